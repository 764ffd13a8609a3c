//! What `/metrics` shows, as Prometheus reads it.
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

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use client::config::{Config, Defaults};
use client::impair::ImpairSpec;
use host::shutdown::Shutdown;
use publisher::{Session, payload};

const METRICS: &str = "127.0.0.1:20998";

fn config(group: SocketAddrV4, output: &str) -> Config {
    let defaults = Defaults {
        interface: Some("lo".parse().unwrap()),
        impair: Some("loss=2%,duplicate=1%,seed=7".parse::<ImpairSpec>().unwrap()),
        sessions: Some(client::output::Sessions::Follow),
        ..Defaults::default()
    };
    let endpoint: proto::Endpoint = format!("udp://{group}").parse().unwrap();
    Config {
        subscriptions: vec![defaults.subscription(endpoint, output.parse().unwrap())],
        admission: None,
        key_file: None,
        defaults,
        run_for: None,
        control: None,
        metrics: Some(METRICS.parse().unwrap()),
        metrics_token: None,
        spin: false,
        json: false,
        progress: false,
    }
}

fn scrape() -> Option<String> {
    let mut stream = TcpStream::connect(METRICS).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, text)| text.to_owned())
}

/// Sums over all labels, by the name of the metric.
fn sums(text: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("onecast_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap().to_owned();
        *sums.entry(name).or_default() += value.parse::<f64>().unwrap() as u64;
    }
    sums
}

/// Packets of the kinds that carry data themselves: what parity gave back is counted apart.
fn coded(text: &str) -> u64 {
    let coded = text.lines().filter(|line| {
        line.starts_with("onecast_packets_received_total")
            && (line.contains("kind=\"data\"") || line.contains("kind=\"repair\""))
    });
    coded.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

fn lint(text: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing");
        eprintln!("SKIPPED: promtool is missing (apt-get install prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let found = promtool.wait_with_output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(found.stderr.is_empty(), "{}", String::from_utf8_lossy(&found.stderr));
}

#[test]
fn a_scrape_is_clean_and_adds_up() {
    let group = SocketAddrV4::new(Ipv4Addr::new(239, 77, 2, 1), 20_999);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let shutdown = Shutdown::new();
    let running = {
        let (config, shutdown) = (config(group, output.to_str().unwrap()), shutdown.clone());
        thread::spawn(move || client::run(config, shutdown).unwrap())
    };
    Session::new(group, payload(2_000_000)).start().join().unwrap();
    let start = Instant::now();
    let text = loop {
        // What is published is a tenth of a second old at most.
        thread::sleep(Duration::from_millis(150));
        let text = scrape().unwrap_or_default();
        if text.contains("onecast_output_bytes_total{stream=\"test\"} 2000000") {
            break text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{text}");
    };
    lint(&text);
    let sums = sums(&text);
    let sum = |name: &str| sums.get(&format!("onecast_{name}")).copied().unwrap_or_default();
    let understood = sum("packets_received_total");
    assert_eq!(sum("datagrams_received_total"), understood + sum("datagrams_discarded_total"));
    assert_eq!(
        coded(&text) + sum("packets_recovered_total"),
        sum("packets_delivered_total")
            + sum("packets_duplicate_total")
            + sum("packets_abandoned_total")
            + sum("packets_forged_total")
            + sum("packets_unverified_total")
            + sum("window_packets")
    );
    assert_eq!(sum("delivery_delay_seconds_count"), sum("packets_delivered_total"));
    assert_eq!(sum("joins_total"), 1);
    assert!(sum("datagrams_impaired_total") > 0);
    shutdown.request();
    let summary = running.join().unwrap();
    assert!(summary.is_complete());
    assert_eq!(summary.exit_code(), 0);
    assert_eq!(std::fs::read(output).unwrap(), payload(2_000_000));
}
