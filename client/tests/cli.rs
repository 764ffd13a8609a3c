//! The binary as a user runs it, all of it on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    missing_docs,
    reason = "a test may fail, and its helpers are its own"
)]

mod publisher;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command as StdCommand, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty};
use publisher::{Session, payload};
use tempfile::TempDir;

fn subscriber() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_subscriber"));
    command.timeout(Duration::from_secs(40)).env_remove("ONECAST_LOG");
    command
}

/// A running subscriber, in a runtime directory of its own, that has joined.
struct Running {
    child: Child,
    directory: TempDir,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let child = StdCommand::new(env!("CARGO_BIN_EXE_subscriber"))
            .args(arguments)
            .args(["--interface", "lo"])
            .env("XDG_RUNTIME_DIR", directory.path())
            .current_dir(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let running = Self { child, directory };
        running.wait_for_status("joined");
        running
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = StdCommand::new(env!("CARGO_BIN_EXE_subscriber"));
        let command = command.args(arguments).env("XDG_RUNTIME_DIR", self.directory.path());
        command.current_dir(self.directory.path()).output().unwrap()
    }

    fn wait_for_status(&self, text: &str) {
        let start = Instant::now();
        loop {
            let status = self.ask(&["status"]);
            if String::from_utf8_lossy(&status.stdout).contains(text) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{status:?} never said {text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
    }

    /// Exit code, stdout and stderr; the directory stays until they were looked at.
    fn end(self) -> (Option<i32>, String, String, TempDir) {
        let Self { child, directory } = self;
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr), directory)
    }
}

fn group(last: u8) -> (SocketAddrV4, String) {
    let group = SocketAddrV4::new(Ipv4Addr::new(239, 77, 1, last), 20_000 + u16::from(last));
    (group, format!("udp://{group}"))
}

#[test]
fn a_file_arrives_whole_and_only_then_has_its_name() {
    let (address, endpoint) = group(1);
    let sent = payload(3_000_000);
    let running = Running::start(&["receive", &endpoint, "-o", "out"]);
    assert!(running.path().join("out.part").exists());
    assert!(!running.path().join("out").exists());
    Session::new(address, sent.clone()).start().join().unwrap();
    let (code, stdout, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), sent);
    assert!(!directory.path().join("out.part").exists());
}

#[test]
fn a_mute_subscriber_sends_nothing_and_lives_on_parity() {
    let (address, endpoint) = group(14);
    let sent = payload(3_000_000);
    let impair = "loss=1%,seed=7";
    let running = Running::start(&[
        "receive", &endpoint, "-o", "out", "--mute", "--impair", impair, "--json",
    ]);
    let wait_at_most = Duration::from_millis(500);
    let session = Session { parity: 8, wait_at_most, ..Session::new(address, sent.clone()) };
    let heard = session.start().join().unwrap();
    let (code, stdout, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), sent);
    let summary: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert!(summary["repaired_packets"].as_u64().unwrap() > 5, "{summary}");
    assert_eq!(heard, 0, "datagrams at the socket that feedback goes to");
}

#[test]
fn impaired_datagrams_are_repaired_and_the_summary_says_so() {
    let (address, endpoint) = group(2);
    let sent = payload(3_000_000);
    let impair = "loss=2%,burst=3,reorder=3,duplicate=1%,seed=7";
    let arguments = ["receive", &endpoint, "-o", "out", "--impair", impair, "--json"];
    let running = Running::start(&arguments);
    Session::new(address, sent.clone()).start().join().unwrap();
    let (code, stdout, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("lost on purpose"), "{stderr}");
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), sent);
    let summary: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["delivered_bytes"], 3_000_000);
    assert_eq!(summary["lost_packets"], 0);
    assert!(summary["repaired_packets"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn payload_goes_to_stdout_and_talk_to_stderr() {
    let (address, endpoint) = group(3);
    let running = Running::start(&["receive", &endpoint]);
    Session::new(address, b"hello\n".to_vec()).start().join().unwrap();
    let (code, stdout, stderr, _) = running.end();
    assert_eq!((code, stdout.as_str()), (Some(0), "hello\n"), "{stderr}");
}

#[test]
fn a_restart_begins_the_file_anew() {
    let (address, endpoint) = group(4);
    let sent = payload(2_000_000);
    let running = Running::start(&["receive", &endpoint, "-o", "out"]);
    let dies = Session { die_after: Some(500_000), ..Session::new(address, payload(1_000_000)) };
    dies.start().join().unwrap();
    let again = Session { session: 0x9999, ..Session::new(address, sent.clone()) };
    again.start().join().unwrap();
    let (code, _, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("the publisher restarted"), "{stderr}");
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), sent);
}

#[test]
fn a_silent_publisher_is_given_up_with_exit_code_3() {
    let (address, endpoint) = group(5);
    let running = Running::start(&["receive", &endpoint, "-o", "out", "--silent-timeout", "1s"]);
    let dies = Session { die_after: Some(500_000), ..Session::new(address, payload(1_000_000)) };
    dies.start().join().unwrap();
    let (code, _, stderr, directory) = running.end();
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("fell silent before the end"), "{stderr}");
    assert!(directory.path().join("out.part").exists());
    assert!(!directory.path().join("out").exists());
}

#[test]
fn groups_are_joined_and_left_while_it_runs() {
    let ((_, first), (second_address, second)) = (group(6), group(7));
    let running = Running::start(&["receive", &first, "-o", "first"]);
    let joined = running.ask(&["join", &second, "-o", "second"]);
    assert!(joined.status.success(), "{joined:?}");
    let again = running.ask(&["join", &second, "-o", "other"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is subscribed to already"));
    let left = running.ask(&["leave", &first]);
    assert!(left.status.success(), "{left:?}");
    let again = running.ask(&["leave", &first]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not subscribed to"));
    Session::new(second_address, payload(10_000)).start().join().unwrap();
    let (code, _, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fs::read(directory.path().join("second")).unwrap(), payload(10_000));
    assert!(!directory.path().join("first.part").exists(), "nothing came, nothing is left");
}

#[test]
fn sigterm_and_time_end_it_cleanly() {
    let (_, endpoint) = group(8);
    let running = Running::start(&["receive", &endpoint]);
    running.terminate();
    let (code, _, stderr, directory) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("left"), "{stderr}");
    let sockets = fs::read_dir(directory.path().join("onecast")).unwrap().count();
    assert_eq!(sockets, 0, "the control socket goes with its subscriber");
    let timed =
        subscriber().args(["receive", &endpoint, "--interface", "lo", "--for", "200ms"]).assert();
    timed.code(0).stderr(contains("the time given with --for is over"));
}

#[test]
fn a_full_disk_keeps_what_was_written_and_fails() {
    let (address, endpoint) = group(9);
    let running = Running::start(&["receive", &endpoint, "-o", "/dev/full"]);
    let session = Session::new(address, payload(100_000)).start();
    let (code, _, stderr, _) = running.end();
    session.join().unwrap();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot write /dev/full: No space left on device"), "{stderr}");
    assert!(stderr.contains("0 bytes were written and are kept"), "{stderr}");
}

#[test]
fn an_interface_that_is_not_there_is_refused() {
    let refused = subscriber().args(["receive", &group(10).1, "--interface", "nosuch0"]).assert();
    refused.code(1).stdout(is_empty()).stderr(contains("no interface nosuch0; there are: lo (1"));
}

#[test]
fn a_port_that_another_program_holds_is_named() {
    let (address, endpoint) = group(11);
    let _holder = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, address.port())).unwrap();
    let refused = subscriber().args(["receive", &endpoint, "--interface", "lo"]).assert();
    refused.code(1).stderr(contains("port 20011 is in use").and(contains("ss -ulpn")));
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_anything_is_joined() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = group(12).1;
    let receive = ["receive", &endpoint, "--interface", "lo", "-o"];
    let refused = subscriber().args(receive).arg(directory.path()).assert();
    refused.code(1).stderr(contains("is a directory").and(contains("joined").not()));
    let refused = subscriber().args(receive).arg("/proc/nothing/here").assert();
    refused.code(1).stderr(contains("cannot write /proc/nothing/here.part"));
}

#[test]
fn a_file_without_permission_is_refused() {
    if nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere; run as another user to see this one");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let out = directory.path().join("out");
    let refused =
        subscriber().args(["receive", &group(13).1, "--interface", "lo", "-o"]).arg(out).assert();
    refused.code(1).stderr(contains("Permission denied").and(contains("joined").not()));
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let (first, second) = (group(14).1, group(15).1);
    for (arguments, says) in [
        (vec!["receive", "nonsense"], "nonsense"),
        (vec!["receive", "udp://10.0.0.1:5000"], "10.0.0.1"),
        (vec!["receive", "udp://232.1.2.3:5000"], "source"),
        (vec!["receive", &first, "--fallback", "udp://239.1.2.4:5000"], "is no fallback"),
        (vec!["receive", "tcp://10.0.0.1:5", "--mute"], "has to be asked for"),
        (vec!["receive", "tcp://10.0.0.1:5", "--fallback", "tcp://10.0.0.1:6"], "already"),
        (
            vec!["receive", &first, "--fallback", "tcp://10.0.0.1:5 tcp://10.0.0.1:6"],
            "2 fallbacks for 1 endpoints",
        ),
        (vec!["receive", &first, "-o", "a", "-o", "b"], "2 outputs for 1 endpoints"),
        (
            vec!["receive", &first, "--on-full", "block,drop-oldest"],
            "2 of --on-full for 1 endpoints: each output has one",
        ),
        (vec!["receive", &first, "--on-full", "wait"], "write block or drop-oldest"),
        (vec!["receive", &first, &second], "two endpoints would write to stdout"),
        (vec!["receive", &first, &first, "-o", "a"], "named twice"),
        (vec!["receive", &first, "--json"], "payload cannot go there"),
        (vec!["receive", &first, "--impair", "lose=1%"], "there are loss, burst"),
        (vec!["receive", &first, "--for", "30"], "200ms, 10s"),
        (vec!["receive", &first, "--metrics", "nowhere"], "no address for metrics"),
        (vec!["receive", &first, "--interface", "a b"], "names no interface"),
        (vec!["receive", &first, "--key", "/nowhere/x"], "the key cannot be read from /nowhere/x"),
        (
            vec!["receive", &first, "--key", "x", "--allow-compare"],
            "'--key <FILE>' cannot be used with '--allow-compare'",
        ),
        (vec!["receive", &first, "--signed", "x"], "unexpected argument '--signed'"),
        (vec!["receive"], "ENDPOINT"),
        (vec!["status", "--control-name", "../x"], "a name has letters"),
    ] {
        let refused = subscriber().args(&arguments).assert();
        refused.code(2).stdout(is_empty()).stderr(contains(says));
    }
}

#[test]
fn a_control_socket_of_nobody_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut status = subscriber();
    let status = status.env("XDG_RUNTIME_DIR", directory.path()).arg("status").assert();
    status.code(1).stderr(contains("no subscriber of this user runs (looked in"));
    let path = directory.path().join("none.sock");
    let status = subscriber().args(["status", "--control"]).arg(path).assert();
    status.code(1).stderr(contains("no subscriber answers at"));
}

#[test]
fn a_control_directory_that_others_may_enter_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("onecast")).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path().join("onecast"), open).unwrap();
    let mut receive = subscriber();
    receive.env("XDG_RUNTIME_DIR", directory.path()).args(["receive", &group(16).1]);
    receive.args(["--interface", "lo", "--for", "100ms"]);
    receive.assert().code(0).stderr(contains("is not a directory of this user's alone"));
    receive.args(["--control-name", "mine"]);
    receive.assert().code(1).stderr(contains("the control socket cannot be opened"));
}

/// The terminal is that of `script` (Debian: bsdutils, which every system has).
#[test]
fn a_live_line_is_drawn_on_a_terminal_only() {
    let (_, endpoint) = group(90);
    let receive = format!("receive {endpoint} -o udp://127.0.0.1:9 --interface lo --for 3s");
    let command = format!("{} {receive}", env!("CARGO_BIN_EXE_subscriber"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &command, "/dev/null"]).timeout(Duration::from_secs(40));
    terminal.assert().stdout(contains("/s · no session yet · lost 0 · repaired 0"));
    let silent = contains("no session yet").not();
    subscriber().args(receive.split_whitespace()).assert().stderr(silent).stdout(is_empty());
}

#[test]
fn keygen_writes_an_identity_once_and_prints_its_public_half() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let made = subscriber().arg("keygen").arg(&file).assert().success();
    let printed = String::from_utf8(made.get_output().stdout.clone()).unwrap();
    assert_eq!(printed.trim().len(), 64);
    assert_eq!(fs::read_to_string(folder.path().join("identity.pub")).unwrap(), printed);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = subscriber().arg("keygen").arg(&file).assert().code(1);
    again.stderr(contains("File exists"));
}

#[test]
fn what_admission_needs_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    subscriber().arg("keygen").arg(&file).assert().success();
    let (identity, publisher) = (file.to_str().unwrap(), "ab".repeat(32));
    let to = ["--admission", "127.0.0.1:9", "--publisher", &publisher];
    let shown = [&to[..], &["--identity", identity]].concat();
    let cases: [(Vec<&str>, &str); 9] = [
        (vec!["--admission", "127.0.0.1:9", "--identity", identity], "--publisher"),
        (vec!["--identity", identity, "udp://239.1.2.3:5000"], "--admission"),
        ([&to[..], &["--stream", "tv"]].concat(), "--identity or --admission-token-file"),
        (shown.clone(), "such as -o '{stream}.ts'"),
        (
            [&shown[..], &["--stream", "tv", "-o", "a", "-o", "b"]].concat(),
            "2 outputs for 1 streams",
        ),
        ([&shown[..], &["--stream", "a", "--stream", "b"]].concat(), "two endpoints would write"),
        ([&shown[..], &["--stream", "a", "--key", identity]].concat(), "cannot be used with"),
        (vec!["udp://239.1.2.3:5000", "-o", "{stream}"], "only with --admission"),
        (vec!["udp://239.1.2.3:5000", "--stream", "a", "--stream", "b"], "with --admission"),
    ];
    for (arguments, told) in cases {
        let refused = subscriber().arg("receive").args(&arguments).assert().code(2);
        refused.stderr(contains(told));
    }
}

#[test]
fn sighup_has_the_key_file_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let write = |text: &str| {
        fs::write(&key, text).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let (one, two) = ("11".repeat(32), "22".repeat(32));
    write(&one);
    let mut running = Running::start(&["receive", &group(17).1, "--key", key.to_str().unwrap()]);
    let mut log = BufReader::new(running.child.stderr.take().unwrap()).lines();
    let mut told = |what: &str| {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGHUP).unwrap();
        log.any(|line| line.unwrap().contains(what))
    };
    write(&format!("{one}\n2 {two}\n"));
    assert!(told("epochs=[2]"));
    write(&format!("{two}\n"));
    assert!(told("the key of epoch 1 is another one: leave it as it is"));
    running.terminate();
    assert_eq!(running.end().0, Some(0));
}
