//! `publisher compare`: with those who listen now, and allow it.

use std::{process::Command, time::Duration};

use serde_json::Value;

use crate::{
    binaries,
    stage::{MIB, Stage, same},
};

#[test]
fn ways_are_compared_with_those_who_allow_it_while_a_stream_flows() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", 24 * MIB, 1);
    let allowing =
        ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &["--allow-compare"]));
    let refusing = stage.subscriber_to_file("s3", GROUP, &[]);
    for subscriber in allowing.iter().chain([&refusing]) {
        subscriber.wait_for("joined", PATIENCE);
    }
    let to = [file.to_str().unwrap(), "--to", GROUP, "--rate", "8M", "--wait-for", "3"];
    let publisher = stage.publisher(&to);
    publisher.wait_for("started", PATIENCE);

    let mut compare = Command::new(binaries::file("publisher"));
    compare.args(["compare", "--json", "--budget", "10MiB", "--to", GROUP]);
    compare.args(["--to", "unicast://10.77.0.1:6000", "--to", "tcp://10.77.0.1:6001"]);
    let output = stage.host("pub").output(compare).unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("an array on stdout");
    let modes: Vec<&str> = rows.iter().filter_map(|row| row["mode"].as_str()).collect();
    assert_eq!(modes, ["multicast", "unicast", "tcp"], "{rows:#?}");
    for row in &rows {
        println!("{row}");
        assert_eq!((&row["subscribers"], &row["complete"]), (&2.into(), &true.into()), "{row}");
    }
    let counted = |place: usize| rows[place]["counted_bytes"].as_u64().unwrap();
    let all: u64 = (0..3).map(counted).sum();
    assert!(all <= 10 * MIB, "{all} of the budget");
    assert!(counted(1) > counted(0) * 9 / 5 && counted(2) > counted(0) * 9 / 5, "{rows:#?}");

    // What was asked for came as if nothing had been compared.
    publisher.wait(LONG).expect_code(0);
    for (host, subscriber) in
        ["s1", "s2", "s3"].into_iter().zip(allowing.into_iter().chain([refusing]))
    {
        let subscriber = subscriber.wait(LONG);
        subscriber.expect_code(0);
        assert!(same(&file, &stage.output(host)), "{host} has another file");
        let streams = subscriber.summary()["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 1, "{streams:#?}");
        let wanted = if host == "s3" { 0 } else { 4 };
        assert_eq!(subscriber.events("joined").count(), 1 + wanted, "{host}");
    }
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(90);
