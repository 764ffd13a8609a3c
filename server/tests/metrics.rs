//! `/metrics` of a running publisher, as Prometheus' own tool reads it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails where it is wrong"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A publisher that waits on stdin, and where it serves metrics.
fn publisher(group: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_publisher"))
        .args(["send", "-", "--to", group, "--interface", "lo", "--wait-for", "0"])
        .args(["--name", "news \"at\" ten", "--metrics", "127.0.0.1:0", "--json"])
        .args(["--finish-timeout", "100ms"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let serving: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(serving["event"], "serving");
    (child, serving["metrics"].as_str().unwrap().to_owned())
}

fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn metrics_count_what_was_sent() {
    let (mut child, address) = publisher("udp://239.255.77.8:5778");
    child.stdin.as_mut().unwrap().write_all(&[1; 100_000]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (head, body) = get(&address, "/metrics");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4\r\n"), "{head}");
    for line in [
        "onecast_input_bytes_total{stream=\"news \\\"at\\\" ten\"} 100000",
        "onecast_audience{stream=\"news \\\"at\\\" ten\"} 0",
        "onecast_build_info{role=\"publisher\"",
        "process_resident_memory_bytes ",
    ] {
        assert!(body.contains(line), "{line} is not in\n{body}");
    }
    let is_data = |line: &&str| {
        line.starts_with("onecast_packets_sent_total{")
            && line.contains("mode=\"multicast\"")
            && line.contains("kind=\"data\"")
    };
    let count = body.lines().find(is_data).unwrap_or_else(|| panic!("{body}"));
    let count: u64 = count.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((70..100).contains(&count), "{count}");
    assert!(get(&address, "/-/healthy").0.starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/-/ready").0.starts_with("HTTP/1.1 200"));
    end(child);
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let promtool = Command::new("promtool").arg("--version").output();
    if promtool.is_err() {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing");
        eprintln!("SKIPPED: promtool is missing: apt-get install prometheus");
        return;
    }
    let (child, address) = publisher("udp://239.255.77.9:5779");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (_, body) = get(&address, "/metrics");
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let findings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && findings.is_empty(), "{findings}\n{body}");
    end(child);
}
