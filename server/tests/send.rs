//! The publisher on loopback: what leaves, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails where it is wrong"
)]

#[path = "shared/namespace.rs"]
mod namespace;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::wire::{Body, End, StreamMode, decode};
use serde_json::Value;

fn publisher(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
    command.args(args).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A member of the group, on loopback.
fn member(group: [u8; 4], port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(group), port)).unwrap();
    socket.join_multicast_v4(&group.into(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20).unwrap();
    socket
}

/// Everything up to the first End, and the longest datagram.
fn hear(socket: &UdpSocket) -> (Vec<Body>, End, usize) {
    let (mut bodies, mut longest, mut buffer) = (Vec::new(), 0, [0; 70_000]);
    loop {
        let len = socket.recv(&mut buffer).unwrap();
        longest = longest.max(len);
        let packet = decode(Bytes::copy_from_slice(&buffer[..len])).unwrap();
        if let Body::End(end) = packet.body {
            return (bodies, end, longest);
        }
        bodies.push(packet.body);
    }
}

fn data_packets(bodies: &[Body]) -> usize {
    bodies.iter().filter(|body| matches!(body, Body::Data(_))).count()
}

fn write_file(path: &Path, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..len).map(|place| (place % 251) as u8).collect();
    fs::write(path, &bytes).unwrap();
    bytes
}

/// The last JSON line.
fn summary(output: &Output) -> Value {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let last = stdout.lines().last().unwrap_or_else(|| {
        panic!("nothing on stdout: {}", String::from_utf8_lossy(&output.stderr))
    });
    let value: Value = serde_json::from_str(last).unwrap();
    assert_eq!(value["event"], "summary");
    value
}

fn sha256(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_file_leaves_once_in_datagrams_that_fit_and_the_end_says_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("film.ts");
    let bytes = write_file(&path, 3_000_000);
    let socket = member([239, 255, 77, 2], 5_772);
    let child = publisher(&[
        "send",
        path.to_str().unwrap(),
        "--to",
        "udp://239.255.77.2:5772",
        "--interface",
        "lo",
        "--rate",
        "200M",
        "--wait-for",
        "0",
        "--finish-timeout",
        "200ms",
        "--json",
    ]);
    let child = { child }.spawn().unwrap();
    let (bodies, end, longest) = hear(&socket);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(longest, 1_472);
    assert_eq!(end.bytes, 3_000_000);
    assert!(!end.aborted);
    let summary = summary(&output);
    assert_eq!(summary["stream"], "film.ts");
    assert_eq!(summary["source_bytes"], 3_000_000);
    assert_eq!(summary["source_sha256"], sha256(&bytes));
    let sent = summary["sent"].as_array().unwrap();
    let data = sent.iter().find(|row| row["kind"] == "data").unwrap();
    assert_eq!(data["datagrams"].as_u64().unwrap(), data_packets(&bodies) as u64);
    let egress = summary["egress_bytes"].as_u64().unwrap();
    assert!(egress > 3_000_000 && egress < 3_180_000, "{egress} is over 6 % more than the payload");
}

#[test]
fn ipv6_goes_out_in_datagrams_that_fit_its_header() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("six");
    write_file(&path, 200_000);
    let send = [
        "send",
        path.to_str().unwrap(),
        "--to",
        "udp://[ff15::77:3]:5773",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--rate",
        "500M",
        "--finish-timeout",
        "300ms",
        "--json",
    ];
    // The kernel gives loopback no route for multicast of IPv6.
    let route = "ip -6 route add multicast ff00::/8 dev lo table local";
    let Some(output) = namespace::publisher(route, &send) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent = &summary(&output)["sent"][0];
    assert_eq!(sent["kind"], "data");
    // 1452 bytes and 62 of headers below for each full one.
    let full = sent["bytes"].as_u64().unwrap() / sent["datagrams"].as_u64().unwrap();
    assert!(full > 1_490 && full <= 1_514, "{full}");
}

#[test]
fn an_interface_that_takes_nothing_is_a_failure_not_a_success() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("six");
    write_file(&path, 200_000);
    let send = [
        "send",
        path.to_str().unwrap(),
        "--to",
        "udp://[ff15::77:3]:5773",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--finish-timeout",
        "200ms",
        "--json",
    ];
    let Some(output) = namespace::publisher("true", &send) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("publisher: six: nothing can be sent by lo: "), "{stderr}");
    assert!(summary(&output)["failure"].as_str().unwrap().contains("unreachable"));
}

#[test]
fn stdin_is_sent_as_it_comes() {
    let socket = member([239, 255, 77, 4], 5_774);
    let mut child = publisher(&[
        "send",
        "-",
        "--to",
        "udp://239.255.77.4:5774",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--finish-timeout",
        "100ms",
        "--json",
    ]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"first").unwrap();
    let mut buffer = [0; 2_000];
    let first = loop {
        let len = socket.recv(&mut buffer).unwrap();
        if let Body::Data(data) = decode(Bytes::copy_from_slice(&buffer[..len])).unwrap().body {
            break data;
        }
    };
    assert!(first.body.ends_with(b"first"), "a short packet goes out while stdin is open");
    stdin.write_all(b"second").unwrap();
    drop(stdin);
    let (_, end, _) = hear(&socket);
    assert_eq!(end.bytes, 11);
    let output = child.wait_with_output().unwrap();
    assert_eq!(summary(&output)["source_sha256"], sha256(b"firstsecond"));
}

#[test]
fn an_encoders_datagrams_become_messages_and_a_signal_is_their_good_end() {
    let socket = member([239, 255, 77, 5], 5_775);
    let child = publisher(&[
        "send",
        "udp://127.0.0.1:57755",
        "--to",
        "udp://239.255.77.5:5775",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--finish-timeout",
        "100ms",
        "--json",
    ]);
    let child = { child }.spawn().unwrap();
    let mode = first_announce(&socket);
    assert_eq!(mode, StreamMode::Messages);
    let encoder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut ts = [0xff; 7 * 188];
    ts[0] = 0x47;
    let mut rtp = vec![0x80, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    rtp.extend(ts);
    encoder.send_to(&ts, "127.0.0.1:57755").unwrap();
    encoder.send_to(&rtp, "127.0.0.1:57755").unwrap();
    thread::sleep(Duration::from_millis(300));
    terminate(&child);
    let (_, end, _) = hear(&socket);
    assert_eq!(end.bytes, 2 * 1_316, "the header of RTP is taken off");
    assert!(!end.aborted && end.sha256.is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(summary(&output)["source_sha256"], sha256(&[ts, ts].concat()));
}

fn first_announce(socket: &UdpSocket) -> StreamMode {
    let mut buffer = [0; 2_000];
    loop {
        let len = socket.recv(&mut buffer).unwrap();
        let packet = decode(Bytes::copy_from_slice(&buffer[..len])).unwrap();
        if let Body::Announce(announce) = packet.body {
            return announce.mode;
        }
    }
}

fn terminate(child: &Child) {
    let process = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn a_file_that_is_stopped_half_way_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long");
    write_file(&path, 10_000_000);
    let socket = member([239, 255, 77, 6], 5_776);
    let child = publisher(&[
        "send",
        path.to_str().unwrap(),
        "--to",
        "udp://239.255.77.6:5776",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--rate",
        "20M",
        "--finish-timeout",
        "100ms",
        "--json",
    ]);
    let child = { child }.spawn().unwrap();
    first_announce(&socket);
    thread::sleep(Duration::from_millis(200));
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = summary(&output);
    assert_eq!(summary["aborted"], true);
    assert_eq!(summary["source_sha256"], Value::Null);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("stopped before its input ended"), "{stderr}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let socket = member([239, 255, 77, 7], 5_777);
    let mut child = publisher(&[
        "send",
        "-",
        "--to",
        "udp://239.255.77.7:5777",
        "--interface",
        "lo",
        "--wait-for",
        "9",
        "--finish-timeout",
        "60s",
    ]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    first_announce(&socket);
    // More than is let go while it waits for subscribers, so that the end has to wait, too.
    stdin.write_all(&[1; 4_000]).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        terminate(&child);
        thread::sleep(Duration::from_millis(2));
    }
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let code = child.wait().unwrap().code();
    // Who is quick enough to end cleanly between two signals may do so.
    assert!(matches!(code, Some(143 | 3)), "{code:?}: {stderr}");
}

#[test]
fn many_streams_leave_from_one_process_and_one_port() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = String::from(
        "[defaults]\ninterface = \"lo\"\nwait-for = 0\nrate = \"50M\"\n\
         finish-timeout = \"100ms\"\n",
    );
    for number in 0..20 {
        let path = directory.path().join(format!("s{number}"));
        write_file(&path, 50_000 + number);
        let (path, port) = (path.display(), 57_100 + number);
        config +=
            &format!("[[stream]]\ninput = \"{path}\"\nto = \"udp://239.255.78.{number}:{port}\"\n");
    }
    let path = directory.path().join("streams.toml");
    fs::write(&path, config).unwrap();
    let first = member([239, 255, 78, 0], 57_100);
    let last = member([239, 255, 78, 19], 57_119);
    let output = publisher(&["run", path.to_str().unwrap(), "--json"]).output().unwrap();
    let source = |socket: &UdpSocket| socket.recv_from(&mut [0; 2_000]).unwrap().1;
    assert_eq!(source(&first), source(&last), "one port for all sessions");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summaries: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|value: &Value| value["event"] == "summary")
        .collect();
    assert_eq!(summaries.len(), 20);
    assert!((0..20).all(|number| summaries[number]["source_bytes"] == 50_000 + number as u64));
}

#[test]
fn ten_thousand_datagrams_of_strangers_change_nothing() {
    let socket = member([239, 255, 77, 8], 5_778);
    let mut child = publisher(&[
        "send",
        "-",
        "--to",
        "udp://239.255.77.8:5778",
        "--interface",
        "lo",
        "--wait-for",
        "0",
        "--finish-timeout",
        "100ms",
        "--json",
    ]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (len, publisher) = socket.recv_from(&mut [0; 2_000]).unwrap();
    assert!(len > 0);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..10_000 {
        let len = chance.usize(..200);
        let mut noise: Vec<u8> = std::iter::repeat_with(|| chance.u8(..)).take(len).collect();
        if let (Some(version), true) = (noise.first_mut(), chance.bool()) {
            *version = 1;
        }
        stranger.send_to(&noise, publisher).unwrap();
    }
    stdin.write_all(b"payload").unwrap();
    drop(stdin);
    let (_, end, _) = hear(&socket);
    assert_eq!(end.bytes, 7);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(summary(&output)["audience"].as_array().unwrap().len(), 0);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 100]).is_err(), "a stranger's noise is not answered");
}
