//! A network for one test, with files and firewalls.

use std::{
    env,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lab::net::{Builder, Host, Lab, MdbEntry, Privilege, available};
use tempfile::TempDir;

use crate::{binaries, program::Program};

/// A network and a directory; both are gone when it is dropped, and what ran there before.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    directory: TempDir,
    /// One test at a time: two cores carry one network.
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// A publisher's host `pub` and the subscribers' `s1`, `s2`, …; `None` if this cannot be.
    pub(crate) fn new(subscribers: usize) -> Option<Self> {
        Self::build(&Lab::builder().hosts(1 + subscribers))
    }

    pub(crate) fn build(builder: &Builder) -> Option<Self> {
        let alone = alone()?;
        let lab = builder.build().expect("build a lab");
        lab.wait_until_settled().expect("a switch that has settled");
        let directory = directory().expect("a temporary directory");
        Some(Self { lab, directory, _alone: alone })
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        self.lab.host(name).expect("a host of the lab")
    }

    /// A path in the test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts `subscriber receive ARGS…` on a host; its control socket is `HOST.control`.
    pub(crate) fn subscriber(&self, host: &str, args: &[&str]) -> Program {
        let control = self.path(&format!("{host}.control")).display().to_string();
        self.subscriber_without_control(host, &[&["--control", &control], args].concat())
    }

    /// Starts `subscriber receive ARGS…` where the arguments say where its control socket is.
    pub(crate) fn subscriber_without_control(&self, host: &str, args: &[&str]) -> Program {
        let mut command = Command::new(binaries::file("subscriber"));
        command.args(["receive", "--json", "--name", host]).args(args);
        self.start(host, "subscriber", command)
    }

    /// Starts `subscriber receive` into the file `HOST.out`.
    pub(crate) fn subscriber_to_file(&self, host: &str, endpoint: &str, args: &[&str]) -> Program {
        let output = self.output(host).display().to_string();
        self.subscriber(host, &[&[endpoint, "-o", &output], args].concat())
    }

    /// Where [`Self::subscriber_to_file`] writes.
    pub(crate) fn output(&self, host: &str) -> PathBuf {
        self.path(&format!("{host}.out"))
    }

    /// Starts `publisher send ARGS…` on the publisher's host.
    pub(crate) fn publisher(&self, args: &[&str]) -> Program {
        self.publisher_at("pub", args)
    }

    pub(crate) fn publisher_at(&self, host: &str, args: &[&str]) -> Program {
        let mut command = Command::new(binaries::file("publisher"));
        command.args(["send", "--json"]).args(args);
        self.start(host, "publisher", command)
    }

    /// Starts `publisher send - ARGS…`; it is given its input by [`Program::input`].
    pub(crate) fn publisher_of_stdin(&self, args: &[&str]) -> Program {
        let mut command = Command::new(binaries::file("publisher"));
        command.args(["send", "--json", "-"]).args(args).stdin(Stdio::piped());
        clear(&mut command);
        Program::start_with_input(self.host("pub").node(), "publisher", command)
    }

    /// Starts any program on a host.
    pub(crate) fn start(&self, host: &str, name: &str, mut command: Command) -> Program {
        clear(&mut command);
        Program::start_at(self.host(host).node(), &format!("{name} on {host}"), command)
    }

    /// Runs `subscriber join` or another command against the subscriber of a host.
    pub(crate) fn control(&self, host: &str, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(binaries::file("subscriber"));
        command.args(args).arg("--control").arg(self.path(&format!("{host}.control")));
        self.host(host).output(command).expect("run subscriber")
    }

    /// Makes a file up; the same length and seed give the same bytes.
    pub(crate) fn file(&self, name: &str, len: u64, seed: u64) -> PathBuf {
        let path = self.path(name);
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut writer = BufWriter::new(File::create(&path).expect("create a file"));
        let mut block = vec![0; 1 << 16];
        let mut left = len;
        while left > 0 {
            chance.fill(&mut block);
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            writer.write_all(&block[..now]).expect("write a file");
            left -= now as u64;
        }
        writer.flush().expect("write a file");
        path
    }

    /// Replaces the firewall table of this name at a host; empty rules remove it.
    pub(crate) fn firewall(&self, host: &str, table: &str, rules: &str) {
        let head = format!("table netdev {table} {{}}\ndelete table netdev {table}\n");
        let body = format!("table netdev {table} {{\n{rules}\n}}\n");
        let script = self.path(&format!("{host}-{table}.nft"));
        let text = if rules.is_empty() { head } else { head + &body };
        fs::write(&script, text).expect("write a firewall");
        let mut command = Command::new("nft");
        command.arg("-f").arg(&script);
        let output = self.host(host).output(command).expect("run nft");
        assert!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Loses a share of the UDP packets that come to a host.
    pub(crate) fn lose(&self, host: &str, percent: u32) {
        let drop = format!("meta l4proto udp numgen random mod 100 < {percent} drop");
        let rules = if percent == 0 { String::new() } else { ingress(&drop) };
        self.firewall(host, "loss", &rules);
    }

    /// Counts the packets to a host that match, until [`Self::counted`] reads them.
    pub(crate) fn count(&self, host: &str, table: &str, matching: &str) {
        self.firewall(host, table, &ingress(&format!("{matching} counter")));
    }

    pub(crate) fn counted(&self, host: &str, table: &str) -> u64 {
        self.counter(host, table, "packets ")
    }

    /// Their bytes, from the IP header on.
    pub(crate) fn counted_bytes(&self, host: &str, table: &str) -> u64 {
        self.counter(host, table, "bytes ")
    }

    fn counter(&self, host: &str, table: &str, field: &str) -> u64 {
        let mut command = Command::new("nft");
        command.args(["list", "table", "netdev", table]);
        let output = self.host(host).output(command).expect("run nft");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, after) = text.split_once(field).unwrap_or_else(|| panic!("no counter: {text}"));
        after.split_whitespace().next().unwrap_or_default().parse().expect("a count")
    }

    /// Waits until the switches' database is as wanted.
    pub(crate) fn wait_for_mdb(
        &self,
        within: Duration,
        wanted: impl Fn(&[MdbEntry]) -> bool,
    ) -> Duration {
        let start = Instant::now();
        loop {
            let mdb = self.lab.mdb().expect("read the mdb");
            if wanted(&mdb) {
                return start.elapsed();
            }
            assert!(start.elapsed() < within, "not in the mdb within {within:?}: {mdb:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// In memory where that can be: a disk that others write to stalls subscribers for seconds.
fn directory() -> io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// What a person has set is not for tests.
fn clear(command: &mut Command) {
    for (variable, _) in env::vars_os() {
        if variable.to_string_lossy().starts_with("ONECAST_") {
            command.env_remove(variable);
        }
    }
    command.env("NO_COLOR", "1");
}

/// The right to make networks, for one test at a time; `None`, loudly, where none may be made.
pub(crate) fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    let privilege = available();
    if !matches!(privilege, Ok(Privilege::Root)) {
        assert!(env::var_os("CI").is_none(), "the lab needs root here: {privilege:?}");
        eprintln!("\n*** SKIPPED: this test of the lab needs root: {privilege:?} ***\n");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A chain that sees all that comes in by the interface, before anything else does.
pub(crate) fn ingress(rule: &str) -> String {
    format!(
        "chain in {{ type filter hook ingress device eth0 priority 0; policy accept;\n{rule}\n}}"
    )
}

/// Whether two files have the same bytes.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    let open = |path: &Path| {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (file.metadata().expect("a length").len(), BufReader::new(file))
    };
    let ((len, mut one), (other_len, mut other)) = (open(one), open(other));
    let (mut a, mut b) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    let mut left = len;
    while left > 0 && len == other_len {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(a.len());
        one.read_exact(&mut a[..now]).expect("read a file");
        other.read_exact(&mut b[..now]).expect("read a file");
        if a[..now] != b[..now] {
            return false;
        }
        left -= now as u64;
    }
    len == other_len
}

pub(crate) const MIB: u64 = 1 << 20;
