//! What is drawn on a terminal, and `publisher top`.
//!
//! The terminal is that of `script` (Debian: bsdutils, which every system has).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const PUBLISHER: &str = env!("CARGO_BIN_EXE_publisher");

#[test]
fn one_line_on_a_terminal_and_none_in_a_pipe() {
    let send = "send - --to udp://239.255.77.9:5779 --interface lo --wait-for 1ms --rate 8M \
                --name line --finish-timeout 1ms";
    let terminal = on_a_terminal(&format!("{PUBLISHER} {send}"));
    for part in ["/s · 0 subscribers · lost 0 · repaired 0 · saved –", "\r", "\u{1b}["] {
        assert!(terminal.contains(part), "{part:?} is not in {terminal:?}");
    }
    let pipe = fed(Command::new(PUBLISHER).args(send.split_whitespace()));
    let said = String::from_utf8(pipe.stderr).unwrap();
    assert!(pipe.stdout.is_empty());
    assert!(!said.contains("saved") && !said.contains(['\r', '\u{1b}']), "{said:?}");
}

#[test]
fn top_shows_a_publisher_that_runs() {
    let mut publisher = Publisher::start("127.0.0.1:20994");
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let top = publisher.top(&["--once", "--json"]);
        let status = String::from_utf8(top.stdout).unwrap();
        if top.status.success() && status.contains("\"started\":true") {
            break status;
        }
        assert!(Instant::now() < until, "{status} {}", String::from_utf8_lossy(&top.stderr));
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.lines().count(), 1);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["program"], "publisher");
    assert_eq!(status["streams"][0]["stream"], "top-test");
    let table = String::from_utf8(publisher.top(&["--once"]).stdout).unwrap();
    assert!(table.contains("top-test") && table.contains("flows"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");
    publisher.child.kill().unwrap();
    publisher.child.wait().unwrap();
    let gone = publisher.top(&["--once"]);
    let said = String::from_utf8(gone.stderr).unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(said.starts_with("publisher: nobody answers at 127.0.0.1:20994"), "{said}");
}

struct Publisher {
    child: Child,
    address: &'static str,
}

impl Publisher {
    fn start(address: &'static str) -> Self {
        let child = Command::new(PUBLISHER)
            .args(["send", "-", "--to", "udp://239.255.77.10:5780", "--interface", "lo"])
            .args(["--wait-for", "1ms", "--name", "top-test", "--metrics", address])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    fn top(&self, args: &[&str]) -> Output {
        Command::new(PUBLISHER).args(["top", self.address]).args(args).output().unwrap()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a command that takes its time draws.
fn on_a_terminal(command: &str) -> String {
    // `script` gives its own input to the command: that would end as soon as nobody types.
    let command = format!("(echo a; sleep 4) | {command}");
    let mut script = Command::new("script");
    let output = script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

fn fed(command: &mut Command) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    thread::sleep(Duration::from_millis(1_500));
    drop(input);
    child.wait_with_output().unwrap()
}
