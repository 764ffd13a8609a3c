//! Who joined and who left, as seen from outside: by the switch, on its cables, at other hosts.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use lab::net::{FilterMode, MdbEntry};
use nix::sys::signal::Signal;

use crate::{
    capture::{
        ALLOW_NEW_SOURCES, BLOCK_OLD_SOURCES, CHANGE_TO_EXCLUDE, CHANGE_TO_INCLUDE, Capture, Record,
    },
    stage::{MIB, Stage, same},
};

#[test]
fn igmp_says_which_group_is_joined_and_left() {
    a_join_and_a_leave_are_reported("udp://239.1.2.3:5000", "239.1.2.3", None);
}

#[test]
fn mld_says_which_group_is_joined_and_left() {
    a_join_and_a_leave_are_reported("udp://[ff15::7]:5000", "ff15::7", None);
}

#[test]
fn igmp_says_of_which_source_a_group_is_joined_and_left() {
    let endpoint = "udp://10.77.0.1@232.1.2.3:5000";
    a_join_and_a_leave_are_reported(endpoint, "232.1.2.3", Some("10.77.0.1"));
}

#[test]
fn mld_says_of_which_source_a_group_is_joined_and_left() {
    let endpoint = "udp://[fd77::1]@[ff35::7]:5000";
    a_join_and_a_leave_are_reported(endpoint, "ff35::7", Some("fd77::1"));
}

/// Two leave in two ways: one is told to by `subscriber leave`, the next ends by a signal.
fn a_join_and_a_leave_are_reported(endpoint: &str, group: &str, source: Option<&str>) {
    let Some(stage) = Stage::new(2) else { return };
    let group: IpAddr = group.parse().unwrap();
    let sources: Vec<IpAddr> = source.into_iter().map(|source| source.parse().unwrap()).collect();
    let (join, leave) = if sources.is_empty() {
        (CHANGE_TO_EXCLUDE, CHANGE_TO_INCLUDE)
    } else {
        (ALLOW_NEW_SOURCES, BLOCK_OLD_SOURCES)
    };
    for (host, by_signal) in [("s1", true), ("s2", false)] {
        let capture = Capture::start(&stage, host);
        let subscriber = stage.subscriber_to_file(host, endpoint, &[]);
        subscriber.wait_for("joined", PATIENCE);
        let joined = capture.wait_for(|record| record.kind == join);
        assert_eq!(joined, Record { kind: join, group, sources: sources.clone() });
        stage.wait_for_mdb(PATIENCE, |mdb| mdb.iter().any(|it| is_for(it, host, group, &sources)));
        let left_at = Instant::now();
        if by_signal {
            subscriber.signal(Signal::SIGTERM);
        } else {
            let output = stage.control(host, &["leave", endpoint]);
            assert!(output.status.success(), "{output:?}");
        }
        let left = capture.wait_for(|record| record.kind == leave);
        assert_eq!(left, Record { kind: leave, group, sources: sources.clone() });
        stage.wait_for_mdb(LAST_MEMBER + MARGIN, |mdb| {
            !mdb.iter().any(|it| it.host() == host && it.group == group)
        });
        println!("{group} at {host}: off the switch's list {:?} after leaving", left_at.elapsed());
        let others = capture.records().into_iter().filter(|record| record.group != group);
        assert_eq!(others.collect::<Vec<_>>(), [], "a group that nobody named");
    }
}

fn is_for(entry: &MdbEntry, host: &str, group: IpAddr, sources: &[IpAddr]) -> bool {
    let mode = if sources.is_empty() { FilterMode::Exclude } else { FilterMode::Include };
    let is_line = entry.source.is_none() && entry.mode == mode && entry.sources == sources;
    entry.host() == host && entry.group == group && is_line
}

#[test]
fn a_host_that_did_not_join_receives_no_datagram_of_the_group() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 8 * MIB, 1);
    for host in ["s1", "s2"] {
        stage.count(host, "group", "ip daddr 239.1.2.3");
    }
    let subscriber = stage.subscriber_to_file("s1", GROUP, &[]);
    subscriber.wait_for("joined", PATIENCE);
    let before = stage.host("s2").counters().unwrap();
    stage.publisher(&[file.to_str().unwrap(), "--to", GROUP]).wait(LONG).expect_code(0);
    subscriber.wait(PATIENCE).expect_code(0);
    let (member, bystander) = (stage.counted("s1", "group"), stage.counted("s2", "group"));
    let strays = stage.host("s2").counters().unwrap().since(&before).rx_bytes;
    println!("datagrams of the group: member {member}, bystander {bystander} ({strays} B in all)");
    assert!(member >= 8 * MIB / 1500);
    assert_eq!(bystander, 0);
}

#[test]
fn the_switch_stops_sending_after_a_leave() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 64 * MIB, 1);
    stage.count("s1", "group", "ip daddr 239.1.2.3");
    let subscribers = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &[]));
    for subscriber in &subscribers {
        subscriber.wait_for("joined", PATIENCE);
    }
    let args = [file.to_str().unwrap(), "--to", GROUP, "--rate", "40M", "--wait-for", "2"];
    let publisher = stage.publisher(&args);
    publisher.wait_for("started", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));

    let output = stage.control("s1", &["leave", GROUP]);
    assert!(output.status.success(), "{output:?}");
    let left_at = Instant::now();
    let (mut last_seen, mut count) = (Duration::ZERO, stage.counted("s1", "group"));
    assert!(count > 100, "the stream flows: {count}");
    while left_at.elapsed() < LAST_MEMBER + MARGIN + Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(20));
        let now = stage.counted("s1", "group");
        if now != count {
            (last_seen, count) = (left_at.elapsed(), now);
        }
    }
    println!("last datagram {last_seen:?} after the leave (the switch's time: {LAST_MEMBER:?})");
    assert!(last_seen < LAST_MEMBER + MARGIN, "{last_seen:?}");
    drop((publisher, subscribers));
}

#[test]
fn two_groups_on_one_port_do_not_mix() {
    let Some(stage) = Stage::new(2) else { return };
    let groups = ["udp://239.1.2.3:5000", "udp://239.1.2.4:5000"];
    let files = ["one", "other"].map(|name| stage.file(name, 4 * MIB, name.len() as u64));
    // Two programs on one host, and both groups in one program on another.
    let outputs = ["a", "b", "c", "d"].map(|name| stage.path(name));
    let names = outputs.each_ref().map(|path| path.to_str().unwrap());
    let one = stage.subscriber("s1", &[groups[0], "-o", names[0]]);
    let control = stage.path("another.control");
    let other = [groups[1], "-o", names[1], "--control", control.to_str().unwrap()];
    let other = stage.subscriber_without_control("s1", &other);
    let both = [groups[0], groups[1], "-o", names[2], "-o", names[3]];
    let both = stage.subscriber("s2", &both);
    for (program, groups) in [(&one, 1), (&other, 1), (&both, 2)] {
        program.wait_for_count("joined", groups, PATIENCE);
    }
    // The kernel tells the switch some milliseconds later: whoever hears less than the first announce
    // does not know the session yet.
    let groups_of_test = ["239.1.2.3", "239.1.2.4"].map(|group| group.parse::<IpAddr>().unwrap());
    stage.wait_for_mdb(PATIENCE, |mdb| {
        mdb.iter().filter(|entry| groups_of_test.contains(&entry.group)).count() == 4
    });
    let send = |i: usize| {
        let args = [files[i].to_str().unwrap(), "--to", groups[i], "--rate", "40M"];
        stage.publisher(&[&args[..], &["--wait-for", "2"]].concat())
    };
    let publishers = [send(0), send(1)];
    for program in publishers.into_iter().chain([one, other, both]) {
        let ended = program.wait(LONG);
        ended.expect_code(0);
        let summary = ended.summary();
        let discarded = summary["discarded"].as_object();
        let foreign = discarded.into_iter().flatten().filter(|(why, _)| why.contains("foreign"));
        assert_eq!(foreign.count(), 0, "{summary}");
    }
    for (output, file) in outputs.iter().zip([&files[0], &files[1], &files[0], &files[1]]) {
        assert!(same(file, output), "{} has another file", output.display());
    }
}

#[test]
fn a_source_that_nobody_asked_for_does_not_reach_the_host() {
    let Some(stage) = Stage::new(2) else { return };
    let (file, other) = (stage.file("file", 8 * MIB, 1), stage.file("other", 4 * MIB, 2));
    let group = "udp://232.1.2.3:5000";
    let subscriber = stage.subscriber_to_file("s1", "udp://10.77.0.1@232.1.2.3:5000", &[]);
    subscriber.wait_for("joined", PATIENCE);
    stage.count("s1", "wanted", "ip saddr 10.77.0.1 ip daddr 232.1.2.3");
    stage.count("s1", "unwanted", "ip saddr 10.77.0.12 ip daddr 232.1.2.3");
    let args = [other.to_str().unwrap(), "--to", group, "--rate", "20M", "--wait-for", "1ms"];
    let intruder = stage.publisher_at("s2", &args);
    let args = [file.to_str().unwrap(), "--to", group, "--rate", "40M"];
    stage.publisher(&args).wait(LONG).expect_code(0);
    subscriber.wait(PATIENCE).expect_code(0);
    let intruder = intruder.wait(LONG);
    assert!(intruder.number("egress_datagrams") > 1000);
    let (wanted, unwanted) = (stage.counted("s1", "wanted"), stage.counted("s1", "unwanted"));
    println!("of the source {wanted} datagrams, of another {unwanted}");
    assert!(wanted > 1000);
    assert_eq!(unwanted, 0);
    assert!(same(&file, &stage.output("s1")));
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
/// What the switch waits for another member: it asks twice, a second each (RFC 3376 §8.8).
const LAST_MEMBER: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_millis(500);
