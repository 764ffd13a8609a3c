//! A group that is cut off and comes back, and a publisher that can be asked meanwhile.

use std::time::{Duration, Instant};

use crate::{
    scrape::{self, scrape},
    stage::{MIB, Stage, ingress, same},
};

#[test]
fn a_subscriber_asks_by_unicast_while_its_group_is_cut_off() {
    a_group_is_cut_off("unicast://10.77.0.1:6000");
}

#[test]
fn a_subscriber_connects_while_its_group_is_cut_off() {
    a_group_is_cut_off("tcp://10.77.0.1:6000");
}

/// The file is the same byte for byte, and each change of the way is counted once.
fn a_group_is_cut_off(fallback: &str) {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", 20 * MIB, 1);
    let args = ["--fallback", fallback, "--metrics", scrape::ADDRESS];
    let cut_off = stage.subscriber_to_file("s1", GROUP, &args);
    let other = stage.subscriber_to_file("s2", GROUP, &[]);
    for subscriber in [&cut_off, &other] {
        subscriber.wait_for("joined", PATIENCE);
    }
    let to = [file.to_str().unwrap(), "--to", GROUP, "--to", fallback];
    let publisher = stage.publisher(&[&to[..], &["--rate", "20M", "--wait-for", "2"]].concat());
    publisher.wait_for("started", PATIENCE);
    std::thread::sleep(Duration::from_secs(1));

    stage.firewall("s1", "cut", &ingress("ip daddr 239.1.2.3 drop"));
    let cut_at = Instant::now();
    let gone = cut_off.wait_until("switched", PATIENCE, |event| event["to"] == "fallback");
    println!("{fallback}: asked {:?} after the group was cut off", gone.at - cut_at);
    assert!(gone.at - cut_at < Duration::from_secs(5), "{:?}", gone.at - cut_at);
    std::thread::sleep(Duration::from_secs(1));
    let back_at = Instant::now();
    stage.firewall("s1", "cut", "");
    let back = cut_off.wait_until("switched", PATIENCE, |event| event["to"] == "group");
    println!("{fallback}: back {:?} after the group was", back.at - back_at);
    assert!(back.at - back_at < Duration::from_secs(3), "{:?}", back.at - back_at);
    std::thread::sleep(Duration::from_millis(300)); // figures are as old as that
    let metrics = scrape(stage.host("s1"));
    assert_eq!(metrics.of("way_switches_total", "to=\"fallback\""), 1.0);
    assert_eq!(metrics.of("way_switches_total", "to=\"group\""), 1.0);

    let (cut_off, other) = (cut_off.wait(LONG), other.wait(LONG));
    let publisher = publisher.wait(LONG);
    for (host, subscriber) in [("s1", &cut_off), ("s2", &other)] {
        subscriber.expect_code(0);
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
    publisher.expect_code(0);
    let switches = [cut_off.number("switches_to_fallback"), cut_off.number("switches_to_group")];
    assert_eq!(switches, [1, 1]);
    let by_own_way: u64 = publisher.summary()["sent"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sent| sent["to"] == "group" && sent["mode"] != "multicast")
        .map(|sent| sent["bytes"].as_u64().unwrap())
        .sum();
    println!("{fallback}: {by_own_way} bytes of the stream went by it");
    assert!(by_own_way > MIB, "{by_own_way}");
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(60);
