//! What of a lab needs a process of its own: one without root, and ones that are killed.
//!
//! Not under the test harness: an unprivileged process must enter its user namespace while it has
//! one thread.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::{fs::PermissionsExt, process::CommandExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use lab::net::{self, Lab, Privilege};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let role = env::args().nth(1).unwrap_or_default();
    let outcome = match role.as_str() {
        "--unprivileged" => unprivileged(),
        "--hold" => hold(&env::args().nth(2).unwrap_or_default()),
        _ => all(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("topology-processes {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Outcome {
    if net::available()? != Privilege::Root {
        if env::var_os("CI").is_some() {
            return Err("needs root, and CI does not skip".into());
        }
        eprintln!("\n*** SKIPPED: what a kill leaves of a lab needs root ***\n");
        return unprivileged();
    }
    without_root_it_works()?;
    sigterm_removes_the_names(libc::SIGTERM, 128 + libc::SIGTERM)?;
    sigterm_removes_the_names(libc::SIGINT, 128 + libc::SIGINT)?;
    what_sigkill_leaves_is_found_and_removed()
}

/// Starts this program again as nobody, from a place where nobody may read it.
fn without_root_it_works() -> Outcome {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))?;
    let program = directory.path().join("topology-processes");
    fs::copy(env::current_exe()?, &program)?;
    let mut command = Command::new(&program);
    let status = command.arg("--unprivileged").current_dir("/").uid(65534).gid(65534).status()?;
    if !status.success() {
        return Err(format!("as nobody: {status}").into());
    }
    println!("ok: without root");
    Ok(())
}

fn unprivileged() -> Outcome {
    match net::enter_user_namespace() {
        Ok(Privilege::UserNamespace) => {}
        Ok(Privilege::Root) => return Err("nobody is root".into()),
        Err(reason) => {
            eprintln!("\n*** SKIPPED: {reason} ***\n");
            return Ok(());
        }
    }
    assert_eq!(net::available()?, Privilege::UserNamespace);
    let lab = Lab::builder().hosts(3).routed(1).build()?;
    lab.wait_until_settled()?;
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let (from, to) = (lab.host("pub")?, lab.host("s1")?);
    let receiver = to.run(|| -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((group, 5000))?;
        socket.join_multicast_v4(&group, &to.addr4())?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    })??;
    wait_until("the join is in the mdb", || {
        lab.mdb().is_ok_and(|mdb| mdb.iter().any(|entry| entry.group == group))
    })?;
    let sender = from.run(|| UdpSocket::bind((from.addr4(), 0)))??;
    sender.send_to(b"one send", SocketAddr::from((group, 5000)))?;
    assert_eq!(receiver.recv(&mut [0; 100])?, 8);
    let mut id = Command::new("id");
    id.arg("-u");
    assert_eq!(lab.host("s2")?.output(id)?.stdout, b"0\n", "root inside");
    println!("as nobody: {:?}", to.counters()?);
    Ok(())
}

/// Builds a named lab with a program in it and says which, then waits to be killed.
fn hold(prefix: &str) -> Outcome {
    let lab = Lab::builder().hosts(2).named(prefix).build()?;
    let mut command = Command::new("sleep");
    command.arg("1000");
    let child = lab.host("s1")?.spawn(command)?;
    println!("{}", child.id());
    thread::sleep(Duration::from_secs(60));
    Err("nobody killed the holder of a lab".into())
}

struct Held {
    holder: Child,
    /// The program inside.
    program: u32,
}

impl Held {
    fn start(prefix: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(env::current_exe()?);
        let mut holder = command.args(["--hold", prefix]).stdout(Stdio::piped()).spawn()?;
        let stdout = holder.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let program = line.trim().parse()?;
        assert_eq!(names(prefix).len(), 3, "sw, pub, s1");
        Ok(Self { holder, program })
    }

    fn kill(&mut self, signal: i32) -> Result<std::process::ExitStatus, Box<dyn Error>> {
        let pid = nix::unistd::Pid::from_raw(self.holder.id().try_into()?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal)?)?;
        let status = self.holder.wait()?;
        let program = self.program;
        wait_until("the program inside died", || !runs(program))?;
        Ok(status)
    }
}

fn sigterm_removes_the_names(signal: i32, code: i32) -> Outcome {
    let prefix = format!("signal{signal}-");
    let status = Held::start(&prefix)?.kill(signal)?;
    assert_eq!(status.code(), Some(code));
    assert_eq!(names(&prefix), BTreeSet::new());
    println!("ok: signal {signal} removes names and programs");
    Ok(())
}

fn what_sigkill_leaves_is_found_and_removed() -> Outcome {
    let prefix = "sigkill-";
    let status = Held::start(prefix)?.kill(libc::SIGKILL)?;
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert_eq!(names(prefix).len(), 3, "links that lead nowhere");
    let living = Lab::builder().hosts(1).named("sigkill-living-").build()?;
    let removed = Lab::remove_stale(prefix)?;
    assert_eq!(removed, ["sigkill-pub", "sigkill-s1", "sigkill-sw"]);
    assert_eq!(names(prefix).len(), 2, "those of the lab that lives");
    drop(living);
    assert_eq!(names(prefix), BTreeSet::new());
    println!("ok: what SIGKILL leaves is found and removed");
    Ok(())
}

fn names(prefix: &str) -> BTreeSet<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// A dead program whose new parent has not taken notice of it yet does not run.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) -> Outcome {
    let start = Instant::now();
    while !reached() {
        if start.elapsed() > Duration::from_secs(5) {
            return Err(format!("not after 5 s: {what}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
