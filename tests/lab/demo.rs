//! The first command of the README.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{binaries, stage};

#[test]
fn the_demo_ends_in_time_and_its_figures_are_complete() {
    let Some(_alone) = stage::alone() else { return };
    let start = Instant::now();
    let mut command = Command::new(binaries::file("lab"));
    command.args(["demo", "--json"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let took = start.elapsed();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("one object on stdout");
    println!("the demo took {took:?}, ratio {}", found["ratio"]);
    assert!(took < Duration::from_secs(30), "{took:?}");

    let source_bytes = natural(&found["source_bytes"]);
    assert_eq!(source_bytes, 64 << 20);
    let source_sha256 = found["source_sha256"].as_str().unwrap();
    assert_eq!(source_sha256.len(), 64);
    let publisher = &found["publisher"];
    assert!(natural(&publisher["egress_bytes"]) > source_bytes);
    assert!(natural(&publisher["egress_datagrams"]) > source_bytes / 1500);
    assert_eq!(natural(&publisher["payload_bytes"]), source_bytes);
    assert!(natural(&publisher["repair_bytes"]) > 0);
    let egress_bytes = natural(&publisher["egress_bytes"]) as f64;
    let ratio = natural(&found["unicast_equivalent_bytes"]) as f64 / egress_bytes;
    assert!((found["ratio"].as_f64().unwrap() - ratio).abs() < 0.001);
    assert!(ratio > 1.0, "{ratio}");

    let hosts = found["hosts"].as_array().unwrap();
    let with_role = |role: &str| hosts.iter().filter(|host| host["role"] == role).count();
    assert!(with_role("subscriber") >= 2, "{hosts:#?}");
    assert_eq!(["bystander", "leaver", "late"].map(with_role), [1, 1, 1]);
    for host in hosts {
        check(host, source_bytes, source_sha256);
    }
}

fn check(host: &Value, source_bytes: u64, source_sha256: &str) {
    assert!(host["name"].is_string(), "{host}");
    for field in ["received_bytes", "delivered_bytes", "lost_packets", "repaired_packets"] {
        natural(&host[field]);
    }
    let on_wire = natural(&host["interface_rx_bytes"]);
    let complete = host["complete"].as_bool().unwrap();
    match host["role"].as_str().unwrap() {
        "bystander" => {
            println!("interface of the host that did not join: {on_wire} bytes");
            assert!(!complete && host["join_to_first_packet_ms"].is_null(), "{host}");
            assert!(on_wire < source_bytes / 100, "{host}");
        }
        "leaver" => assert!(!complete && on_wire > source_bytes / 4, "{host}"),
        _ => {
            assert!(complete && host["sha256"] == source_sha256, "{host}");
            assert_eq!(natural(&host["delivered_bytes"]), source_bytes);
            assert!(natural(&host["lost_packets"]) > 0, "{host}");
            assert!(natural(&host["repaired_packets"]) > 0, "{host}");
            assert!(host["join_to_first_packet_ms"].is_number(), "{host}");
        }
    }
}

fn natural(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a count: {value}"))
}
