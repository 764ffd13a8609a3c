//! What comes and goes while a stream flows: interfaces, cables, groups, subscribers.

use std::{
    fs,
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use lab::net::Host;
use nix::sys::signal::Signal;

use crate::{
    scrape::{self, scrape},
    stage::{MIB, Stage, same},
};

#[test]
fn a_subscriber_joins_again_when_its_interface_comes_back() {
    a_subscriber_joins_again("ip link set down", |host, up| host.set_link(up).unwrap());
}

#[test]
fn a_subscriber_joins_again_when_its_cable_is_plugged_in_again() {
    a_subscriber_joins_again("cable pulled", |host, up| host.set_cable(up).unwrap());
}

fn a_subscriber_joins_again(what: &str, set: impl Fn(&Host, bool)) {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 24 * MIB, 1);
    let subscriber = stage.subscriber_to_file("s1", GROUP, &["--metrics", scrape::ADDRESS]);
    subscriber.wait_for("joined", PATIENCE);
    let publisher = stage.publisher(&[file.to_str().unwrap(), "--to", GROUP, "--rate", "40M"]);
    publisher.wait_for("started", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));

    set(stage.host("s1"), false);
    std::thread::sleep(Duration::from_millis(800));
    set(stage.host("s1"), true);
    let up_at = Instant::now();
    let rejoined = subscriber.wait_for("rejoined", PATIENCE);
    println!("{what}: joined again {:?} after it came back", rejoined.at - up_at);
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    stage.wait_for_mdb(PATIENCE, |mdb| {
        mdb.iter().any(|entry| entry.host() == "s1" && entry.group == group)
    });
    std::thread::sleep(Duration::from_millis(300)); // figures are as old as that
    assert_eq!(scrape(stage.host("s1")).sum("rejoins_total"), 1.0);
    assert_eq!(subscriber.events("rejoined").len(), 1);
    let publisher = publisher.wait(LONG);
    let subscriber = subscriber.wait(PATIENCE);
    subscriber.expect_code(0);
    publisher.expect_code(0);
    assert!(same(&file, &stage.output("s1")));
    println!("{what}: {} packets repaired", subscriber.number("repaired_packets"));
}

#[test]
fn one_subscriber_has_more_groups_than_a_socket_may_join() {
    let Some(stage) = Stage::new(1) else { return };
    let host = stage.host("s1");
    let limit = || fs::read_to_string("/proc/sys/net/ipv4/igmp_max_memberships");
    assert_eq!(host.run(limit).unwrap().unwrap().trim(), "20");
    let groups: Vec<String> = (1..=50).map(|i| format!("udp://239.1.3.{i}:5000")).collect();
    let outputs: Vec<PathBuf> = (1..=50).map(|i| stage.path(&format!("out{i}"))).collect();
    let mut args: Vec<&str> = groups.iter().map(String::as_str).collect();
    for output in &outputs {
        args.extend(["-o", output.to_str().unwrap()]);
    }
    let subscriber = stage.subscriber("s1", &args);
    subscriber.wait_for_count("joined", 50, PATIENCE);
    stage.wait_for_mdb(PATIENCE, |mdb| {
        let of_ours = |entry: &&lab::net::MdbEntry| {
            matches!(entry.group, IpAddr::V4(group) if group.octets()[..3] == [239, 1, 3])
        };
        mdb.iter().filter(of_ours).count() == 50
    });
    let file = stage.file("file", MIB / 4, 1);
    let mut args = vec![file.to_str().unwrap(), "--rate", "200M"];
    for group in &groups {
        args.extend(["--to", group]);
    }
    let publisher = stage.publisher(&args).wait(LONG);
    let subscriber = subscriber.wait(LONG);
    subscriber.expect_code(0);
    publisher.expect_code(0);
    for output in &outputs {
        assert!(same(&file, output), "{} has another file", output.display());
    }
}

#[test]
fn groups_are_joined_and_left_while_the_subscriber_runs() {
    let Some(stage) = Stage::new(1) else { return };
    let other: IpAddr = "239.1.2.4".parse().unwrap();
    let subscriber = stage.subscriber_to_file("s1", GROUP, &[]);
    subscriber.wait_for("joined", PATIENCE);
    let is_joined = |group: IpAddr, wanted: bool| {
        stage.wait_for_mdb(PATIENCE, |mdb| mdb.iter().any(|it| it.group == group) == wanted)
    };
    is_joined("239.1.2.3".parse().unwrap(), true);

    let output = stage.path("other.out");
    let told = ["join", "udp://239.1.2.4:5000", "-o", output.to_str().unwrap()];
    let told = stage.control("s1", &told);
    assert!(told.status.success(), "{told:?}");
    println!("in the switch's list {:?} after `subscriber join`", is_joined(other, true));
    let told = stage.control("s1", &["leave", GROUP]);
    assert!(told.status.success(), "{told:?}");
    is_joined("239.1.2.3".parse().unwrap(), false);
    assert_eq!(subscriber.events("left").len(), 1);
    let told = stage.control("s1", &["leave", "udp://239.9.9.9:5000"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");

    let file = stage.file("file", 4 * MIB, 1);
    let args = [file.to_str().unwrap(), "--to", "udp://239.1.2.4:5000"];
    stage.publisher(&args).wait(LONG).expect_code(0);
    subscriber.wait(PATIENCE).expect_code(0);
    assert!(same(&file, &output));
}

#[test]
fn a_late_joiner_gets_what_is_retained() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 16 * MIB, 1);
    let early = stage.subscriber_to_file("s1", GROUP, &[]);
    early.wait_for("joined", PATIENCE);
    let publisher = stage.publisher(&[file.to_str().unwrap(), "--to", GROUP, "--rate", "40M"]);
    publisher.wait_for("started", PATIENCE);
    std::thread::sleep(Duration::from_millis(1500));
    let late = stage.subscriber_to_file("s2", GROUP, &["--from", "oldest"]);
    let first = late.wait_for("session", PATIENCE);
    println!("late: a session {:?} after its start", first.at - late.started());
    publisher.wait(LONG).expect_code(0);
    for (host, program) in [("s1", early), ("s2", late)] {
        program.wait(PATIENCE).expect_code(0);
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
}

#[test]
fn a_subscriber_that_dies_is_named_and_not_waited_for_longer_than_told() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 12 * MIB, 1);
    let subscribers = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &[]));
    let args = [file.to_str().unwrap(), "--to", GROUP, "--rate", "40M", "--wait-for", "2,10s"];
    let publisher = stage.publisher(&[&args[..], &["--finish-timeout", "3s"]].concat());
    publisher.wait_for("started", PATIENCE);
    let [healthy, victim] = subscribers;
    // Shortly before the end, so that it is not known to be silent when that comes.
    std::thread::sleep(Duration::from_millis(1900));
    victim.signal(Signal::SIGKILL);
    let healthy = healthy.wait(LONG);
    let publisher = publisher.wait(LONG);
    healthy.expect_code(0);
    assert!(same(&file, &stage.output("s1")));
    publisher.expect_code(3);
    assert_eq!(publisher.summary()["unfinished"], serde_json::json!(["s2"]));
    let waited = publisher.at.saturating_duration_since(healthy.at);
    println!("the publisher ended {waited:?} after the last subscriber");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_subscriber_that_leaves_is_not_missed() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 12 * MIB, 1);
    let subscribers = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &[]));
    let args = [file.to_str().unwrap(), "--to", GROUP, "--rate", "40M", "--wait-for", "2,10s"];
    let publisher = stage.publisher(&args);
    publisher.wait_for("started", PATIENCE);
    let [healthy, leaver] = subscribers;
    std::thread::sleep(Duration::from_secs(1));
    leaver.stop().expect_code(3); // its file is not whole, and it says so
    publisher.wait(LONG).expect_code(0);
    healthy.wait(PATIENCE).expect_code(0);
    assert!(same(&file, &stage.output("s1")));
    assert!(!stage.output("s2").exists(), "a file that is not whole has the name of one that is");
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
