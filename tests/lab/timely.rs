//! A deadline holds when nothing can be repaired.

use std::time::Duration;

use crate::{
    player::{Player, longest_pause},
    scrape::{self, scrape},
    stage::{MIB, Stage, ingress},
};

#[test]
fn delivery_stalls_no_longer_than_the_deadline_and_says_what_is_missing() {
    let Some(stage) = Stage::new(1) else { return };
    let file = stage.file("file", 6 * MIB, 1);
    let player = Player::start(stage.host("s1"), 6000);
    let args = [GROUP, "--once", "-o", "udp://127.0.0.1:6000", "--metrics", scrape::ADDRESS];
    let subscriber = stage.subscriber("s1", &args);
    subscriber.wait_for("joined", PATIENCE);
    let deadline = ["--deadline", "200ms", "--finish-timeout", "1s"];
    let args = [file.to_str().unwrap(), "--to", GROUP, "--rate", "8M"];
    let publisher = stage.publisher(&[&args[..], &deadline].concat());
    publisher.wait_for("started", PATIENCE);
    // It has joined; from here on nobody hears it, and it loses.
    stage.firewall("pub", "mute", &ingress("ip saddr 10.77.0.11 meta l4proto udp drop"));
    stage.lose("s1", 5);
    std::thread::sleep(Duration::from_secs(5));
    let metrics = scrape(stage.host("s1"));
    let subscriber = subscriber.wait(LONG);
    let publisher = publisher.wait(LONG);
    let played = player.stop();

    let pause = longest_pause(&played);
    let lost = subscriber.number("lost_packets");
    let received = subscriber.number("delivered_packets");
    println!(
        "longest pause {pause:?}; {lost} packets lost of {}; {} of {} delays above 200 ms by more \
         than their bucket; publisher ended with {:?}",
        lost + received,
        metrics.sum("delivery_delay_seconds_count") - up_to_the_deadline(&metrics),
        metrics.sum("delivery_delay_seconds_count"),
        publisher.code,
    );
    subscriber.expect_code(3);
    assert!(pause < DEADLINE + MARGIN, "{pause:?}");
    assert!(played.len() > 3000, "{} datagrams", played.len());
    assert!((1..15).contains(&(100 * lost / (lost + received))), "{lost} of {}", lost + received);

    let stream = &subscriber.summary()["streams"][0];
    let listed = stream["missing"].as_array().unwrap();
    let range = |range: &serde_json::Value| {
        assert_eq!(range["cause"], "deadline", "{range}");
        range["end"].as_u64().unwrap() - range["first"].as_u64().unwrap()
    };
    assert_eq!(listed.iter().map(range).sum::<u64>(), lost, "every lost packet is in a range");
    let told: u64 =
        subscriber.events("gap").map(|gap| gap.value["packets"].as_u64().unwrap()).sum();
    assert_eq!(told, lost, "every lost packet was told as it was given up");
}

/// Delays of at most 204.8 ms: the bucket that holds the deadline.
fn up_to_the_deadline(metrics: &scrape::Metrics) -> f64 {
    metrics.of("delivery_delay_seconds_bucket", "le=\"0.2048\"")
}

const GROUP: &str = "udp://239.1.2.3:5000";
const DEADLINE: Duration = Duration::from_millis(200);
/// Two cores carry all of it: a program may have to wait for one.
const MARGIN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
