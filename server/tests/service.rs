//! The publisher as a service: what it tells whoever started it, and what signals do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PUBLISHER: &str = env!("CARGO_BIN_EXE_publisher");

/// Longer than anything takes on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom a service tells how it is going.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn watched(&self, command: &mut Command) -> Service {
        let command = command.env("NOTIFY_SOCKET", self.path("notify"));
        Service::start(command.env("WATCHDOG_USEC", "900000").env_remove("WATCHDOG_PID"))
    }

    /// The next of what it is told, all of one message.
    fn hear(&self) -> Vec<String> {
        let mut message = [0; 4_096];
        let len = self.socket.recv(&mut message).expect("nothing is told");
        let text = std::str::from_utf8(&message[..len]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Hears on until a message has a line that begins so; gives back the message.
    fn hear_until(&self, line: &str) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.hear();
            if message.iter().any(|told| told.starts_with(line)) {
                return message;
            }
            assert!(Instant::now() < until, "{line} is never told, but {message:?}");
        }
    }
}

/// A publisher that has been started; killed if the test fails.
struct Service {
    child: Child,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap() }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The thread of this name.
    fn thread(&self, name: &str) -> Pid {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let is_named = |path: &Path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let path = tasks.map(|task| task.unwrap().path()).find(|path| is_named(path)).unwrap();
        Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap())
    }

    /// Reads the log until a line has this in it.
    fn log_until(&mut self, wanted: &str) -> BufReader<std::process::ChildStderr> {
        let mut log = BufReader::new(self.child.stderr.take().unwrap());
        read_until(&mut log, wanted);
        log
    }

    fn end(mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_until(log: &mut impl BufRead, wanted: &str) -> String {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "{wanted} is never told");
    }
    line
}

fn config(port: u16, more: &str) -> String {
    format!(
        "[defaults]\ninterface = 'lo'\nwait-for = '0'\nfinish-timeout = '100ms'\n\
         [[stream]]\nname = 'first'\ninput = '-'\nto = 'udp://239.255.77.21:{port}'\n{more}"
    )
}

fn run(config: &Path) -> Command {
    let mut command = Command::new(PUBLISHER);
    command.arg("run").arg(config);
    command
}

#[test]
fn each_step_is_told_to_whoever_started_it() {
    let manager = Manager::new();
    let path = manager.path("streams.toml");
    fs::write(&path, config(5_821, "")).unwrap();
    let service = manager.watched(&mut run(&path));
    let first = manager.hear();
    assert_eq!(first[0], "READY=1", "{first:?}");
    assert!(first[1].starts_with("STATUS=") && first.len() == 2, "{first:?}");
    let alive = manager.hear_until("WATCHDOG=1");
    assert!(alive[1].starts_with("STATUS=streams 1 (waiting "), "{alive:?}");
    fs::write(&path, config(5_821, "rate = '1M'\n")).unwrap();
    service.signal(Signal::SIGHUP);
    let reloading = manager.hear_until("RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    manager.hear_until("READY=1");
    service.signal(Signal::SIGTERM);
    assert_eq!(manager.hear_until("STOPPING=1"), ["STOPPING=1"]);
    assert_eq!(service.end().code(), Some(3), "it was stopped before its input ended");
}

#[test]
fn one_that_ends_by_itself_says_so() {
    let manager = Manager::new();
    let args = "send - --to udp://239.255.77.22:5822 --interface lo --wait-for 0 --name ends";
    let mut service = manager.watched(Command::new(PUBLISHER).args(args.split(' ')));
    manager.hear_until("READY=1");
    drop(service.child.stdin.take());
    manager.hear_until("STOPPING=1");
    assert!(service.end().success());
}

#[test]
fn a_data_thread_that_is_stuck_gives_no_sign_of_life() {
    let manager = Manager::new();
    let path = manager.path("streams.toml");
    fs::write(&path, config(5_823, "")).unwrap();
    let service = manager.watched(&mut run(&path));
    manager.hear_until("WATCHDOG=1");
    let data = service.thread("data");
    ptrace::seize(data, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(data).unwrap();
    nix::sys::wait::waitpid(data, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
    // What was under way when it was held; then the others go on, and say nothing of life.
    (0..2).for_each(|_| drop(manager.hear()));
    for _ in 0..8 {
        let told = manager.hear();
        assert!(told.iter().all(|line| line.starts_with("STATUS=")), "{told:?}");
    }
    ptrace::detach(data, None).unwrap();
    manager.hear_until("WATCHDOG=1");
    service.signal(Signal::SIGTERM);
    service.end();
}

#[test]
fn nobody_is_told_where_nobody_asked() {
    let manager = Manager::new();
    let path = manager.path("streams.toml");
    fs::write(&path, config(5_824, "")).unwrap();
    let mut command = run(&path);
    let mut service = Service::start(command.env_remove("NOTIFY_SOCKET"));
    // From then on nobody reads its log, either: it ends all the same.
    drop(service.log_until("data flows"));
    let names = fs::read_dir(format!("/proc/{}/task", service.child.id())).unwrap();
    let names = names.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    assert!(names.into_iter().all(|name| name != "supervised\n"));
    service.signal(Signal::SIGTERM);
    service.end();
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
}

#[test]
fn a_bad_file_is_told_with_its_place_and_all_goes_on() {
    let manager = Manager::new();
    let path = manager.path("streams.toml");
    fs::write(&path, config(5_825, "")).unwrap();
    let mut service = Service::start(&mut run(&path));
    let mut log = service.log_until("data flows");
    fs::write(&path, config(5_825, "ratte = '1M'\n")).unwrap();
    service.signal(Signal::SIGHUP);
    let line = read_until(&mut log, "not reloaded");
    assert!(line.contains("ERROR") && line.contains("streams.toml:9:1: "), "{line}");
    fs::remove_file(&path).unwrap();
    service.signal(Signal::SIGHUP);
    let line = read_until(&mut log, "not reloaded");
    assert!(line.contains("cannot read ") && line.contains("all goes on as before"), "{line}");
    fs::write(&path, config(5_825, "rate = '1M'\nttl = 3\n")).unwrap();
    service.signal(Signal::SIGHUP);
    let line = read_until(&mut log, "not reloaded");
    assert!(line.contains("stream first: to cannot change while it runs"), "{line}");
    read_until(&mut log, "config reloaded");
    service.child.stdin.take().unwrap().write_all(b"still here").unwrap();
    read_until(&mut log, "stream ended");
    assert!(service.end().success());
}

#[test]
fn without_a_config_file_a_hangup_is_told_and_ignored() {
    let args = "send - --to udp://239.255.77.26:5826 --interface lo --wait-for 0 --name hangs";
    let mut service = Service::start(Command::new(PUBLISHER).args(args.split(' ')));
    let mut log = service.log_until("data flows");
    service.signal(Signal::SIGHUP);
    read_until(&mut log, "no config file to read again");
    drop(service.child.stdin.take());
    read_until(&mut log, "stream ended");
    assert!(service.end().success());
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, log) = (folder.path().join("pid"), folder.path().join("log"));
    let (pid_text, log_text) = (pid.display(), log.display());
    let command = format!(
        "echo $$ > {pid_text}; exec {PUBLISHER} send - --to udp://239.255.77.27:5827 \
         --interface lo --wait-for 0 --name gone --finish-timeout 1ms 2> {log_text}"
    );
    let mut script = Command::new("script");
    let script = script.args(["-qec", &command, "/dev/null"]);
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    while !read(&log).contains("data flows") {
        assert!(Instant::now() < until, "{}", read(&log));
        thread::sleep(Duration::from_millis(20));
    }
    // Its terminal goes with it.
    script.kill().unwrap();
    script.wait().unwrap();
    let process = format!("/proc/{}/stat", read(&pid).trim());
    let is_there = || {
        let mut stat = String::new();
        let file = fs::File::open(&process);
        file.is_ok_and(|mut file| file.read_to_string(&mut stat).is_ok() && !stat.contains(") Z "))
    };
    while is_there() {
        assert!(Instant::now() < until, "{}", read(&log));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(read(&log).contains("signal=\"SIGHUP\""), "{}", read(&log));
}
