//! The subscriber as a service: what it tells whoever started it, and what SIGHUP does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything takes on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(60);

struct Service(Child);

impl Service {
    fn start(folder: &Path, group: &str, args: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_subscriber"))
            .args(["receive", group, "--interface", "lo", "-o", "/dev/null", "--control"])
            .arg(folder.join("control"))
            .args(args)
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("WATCHDOG_USEC", "900000")
            .env_remove("WATCHDOG_PID")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// Reads the log until a line has this in it; gives back the line.
    fn log_until(log: &mut impl BufRead, wanted: &str) -> String {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "{wanted} is never told");
        }
        line
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn hear(socket: &UnixDatagram) -> String {
    let mut message = [0; 4_096];
    let len = socket.recv(&mut message).expect("nothing is told");
    String::from_utf8(message[..len].to_vec()).unwrap()
}

fn hear_until(socket: &UnixDatagram, wanted: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let message = hear(socket);
        if message.contains(wanted) {
            return message;
        }
        assert!(Instant::now() < until, "{wanted} is never told, but {message}");
    }
}

#[test]
fn one_that_hears_nothing_is_ready_alive_and_not_ended_by_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut service = Service::start(folder.path(), "udp://239.255.77.31:5831", &["--follow"]);
    let mut log = BufReader::new(service.0.stderr.take().unwrap());
    let first = hear(&socket);
    assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
    let joined = "STATUS=groups 1 (joined 1, heard 0), payload out 0 B, packets lost 0";
    assert!(hear_until(&socket, joined).contains("WATCHDOG=1\n"));
    service.signal(Signal::SIGHUP);
    Service::log_until(&mut log, "no config file to read again");
    hear_until(&socket, "WATCHDOG=1");
    service.signal(Signal::SIGTERM);
    assert_eq!(hear_until(&socket, "STOPPING=1"), "STOPPING=1\n");
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
}

#[test]
fn metrics_are_for_those_who_show_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let _socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a token of some length\n").unwrap();
    let path = token.to_str().unwrap();
    let args = ["--metrics", "127.0.0.1:0", "--metrics-token-file", path];
    let refused = |wanted: &str| {
        let mut service = Service::start(folder.path(), "udp://239.255.77.32:5832", &args);
        let mut said = String::new();
        service.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(service.0.wait().unwrap().code(), Some(2));
        assert!(said.contains(wanted), "{said}");
    };
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&format!("(mode 0644), so that it is no secret: chmod 600 {path}"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    refused("token holds no token: write one line");
    fs::write(&token, "a-token-of-some-length\n").unwrap();
    let mut service = Service::start(folder.path(), "udp://239.255.77.32:5832", &args);
    let mut log = BufReader::new(service.0.stderr.take().unwrap());
    let line = Service::log_until(&mut log, "serving metrics");
    let (_, address) = line.trim_end().split_once("address=").unwrap();
    let get = |header: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let ask = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        write!(stream, "{ask}{header}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("").starts_with("HTTP/1.1 401"));
    let shown = get("Authorization: Bearer a-token-of-some-length\r\n");
    assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
    assert!(shown.contains("\nonecast_http_unauthorized_total 1\n"), "{shown}");
    assert!(!line.contains("a-token") && !shown.contains("a-token"));
}
