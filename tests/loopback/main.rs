//! The publisher and the subscriber as libraries, in one process, over real sockets on loopback.
//!
//! IPv4 only: the loopback interface of Linux takes no IPv6 multicast. The lab tests have both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod admission;
#[path = "../../server/tests/shared/caller.rs"]
mod caller;
mod messages;
mod next_key;
mod reload;
mod removal;
mod sealed;
mod signed;
mod ways;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use client::config::{Defaults, SubscriptionConfig};
use client::output::{OnFull, OutputSpec};
use host::shutdown::Shutdown;
use proto::endpoint::Endpoint;
use server::flags::StreamFlags;
use server::report::Talk;

/// A folder with a source in it.
struct Desk {
    folder: tempfile::TempDir,
    source: Vec<u8>,
}

impl Desk {
    fn new(len: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut source = vec![0; len];
        fastrand::Rng::with_seed(len as u64).fill(&mut source);
        std::fs::write(folder.path().join("source"), &source).unwrap();
        Self { folder, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(name)).ok()
    }
}

fn stream(input: &str, endpoint: &str) -> StreamFlags {
    StreamFlags {
        input: Some(input.parse().unwrap()),
        to: vec![endpoint.parse().unwrap()],
        interface: Some("lo".parse().unwrap()),
        wait_for: Some("1,10s".parse().unwrap()),
        ..StreamFlags::default()
    }
}

fn publish(streams: Vec<StreamFlags>, stop: &Shutdown) -> JoinHandle<server::Summary> {
    let config = server::Config::new(streams, None, Talk::Silent).unwrap();
    let stop = stop.clone();
    thread::spawn(move || server::run(config, stop).unwrap())
}

fn subscription(endpoint: &str, output: &str, defaults: &Defaults) -> SubscriptionConfig {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    defaults.subscription(endpoint, output.parse::<OutputSpec>().unwrap())
}

fn defaults(impair: Option<&str>) -> Defaults {
    Defaults {
        interface: Some("lo".parse().unwrap()),
        name: "loopback".parse().unwrap(),
        impair: impair.map(|spec| spec.parse().unwrap()),
        ..Defaults::default()
    }
}

fn config_of(subscriptions: Vec<SubscriptionConfig>) -> client::Config {
    client::Config {
        subscriptions,
        admission: None,
        key_file: None,
        defaults: defaults(None),
        run_for: None,
        control: None,
        metrics: None,
        spin: false,
        metrics_token: None,
        json: false,
        progress: false,
    }
}

fn subscribe(
    subscriptions: Vec<SubscriptionConfig>,
    stop: &Shutdown,
) -> JoinHandle<client::Summary> {
    let (config, stop) = (config_of(subscriptions), stop.clone());
    thread::spawn(move || client::run(config, stop).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_arrives_whole_and_both_sides_say_so() {
    let desk = Desk::new(3_000_001);
    let (endpoint, stop) = ("udp://239.255.41.1:5041", Shutdown::new());
    let output = desk.path("out");
    let received = subscribe(vec![subscription(endpoint, text(&output), &defaults(None))], &stop);
    let sent = publish(vec![stream(text(&desk.path("source")), endpoint)], &stop).join().unwrap();
    let received = received.join().unwrap();
    assert!(received.is_complete() && received.exit_code() == 0, "{received:?}");
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(desk.read("out").as_ref(), Some(&desk.source));
    assert_eq!(received.streams[0].sha256, sent.streams[0].source_sha256);
}

#[test]
fn without_a_digest_nobody_computes_one_and_the_length_says_what_is_whole() {
    let desk = Desk::new(1_000_001);
    let (endpoint, stop) = ("udp://239.255.41.19:5059", Shutdown::new());
    let output = desk.path("out");
    let received = subscribe(vec![subscription(endpoint, text(&output), &defaults(None))], &stop);
    let flags = StreamFlags {
        digest: Some("none".parse().unwrap()),
        ..stream(text(&desk.path("source")), endpoint)
    };
    let sent = publish(vec![flags], &stop).join().unwrap();
    let received = received.join().unwrap();
    assert!(received.is_complete() && sent.is_complete(), "{received:?} {sent:?}");
    assert_eq!(desk.read("out").as_ref(), Some(&desk.source));
    assert_eq!((&received.streams[0].sha256, &sent.streams[0].source_sha256), (&None, &None));
}

#[test]
fn what_is_lost_reordered_and_doubled_on_the_way_is_mended() {
    let desk = Desk::new(4_000_000);
    let (endpoint, stop) = ("udp://239.255.41.2:5042", Shutdown::new());
    let output = desk.path("out");
    let impaired = defaults(Some("loss=5%,burst=3,reorder=3,duplicate=1%,seed=11"));
    let received = subscribe(vec![subscription(endpoint, text(&output), &impaired)], &stop);
    let sent = publish(vec![stream(text(&desk.path("source")), endpoint)], &stop).join().unwrap();
    let received = received.join().unwrap();
    assert!(received.is_complete() && sent.is_complete(), "{received:?} {sent:?}");
    assert_eq!(desk.read("out").as_ref(), Some(&desk.source));
    assert!(received.totals().repaired_packets > 50, "{received:?}");
}

#[test]
fn two_streams_of_one_publisher_do_not_mix_in_one_subscriber() {
    let (one, two) = (Desk::new(700_000), Desk::new(900_000));
    // One port, two groups: what keeps them apart is that each socket is bound to its group.
    let (first, second) = ("udp://239.255.41.3:5043", "udp://239.255.41.4:5043");
    let stop = Shutdown::new();
    let received = subscribe(
        vec![
            subscription(first, text(&one.path("out")), &defaults(None)),
            subscription(second, text(&two.path("out")), &defaults(None)),
        ],
        &stop,
    );
    let named =
        |flags: StreamFlags, name: &str| StreamFlags { name: Some(name.parse().unwrap()), ..flags };
    let streams = vec![
        named(stream(text(&one.path("source")), first), "one"),
        named(stream(text(&two.path("source")), second), "two"),
    ];
    let sent = publish(streams, &stop).join().unwrap();
    let received = received.join().unwrap();
    assert!(received.is_complete() && sent.is_complete(), "{received:?} {sent:?}");
    assert_eq!(one.read("out").as_ref(), Some(&one.source));
    assert_eq!(two.read("out").as_ref(), Some(&two.source));
    // Who joins between two announces hears of a session that it does not know yet.
    let discarded = received.totals().discarded;
    assert!(discarded.keys().all(|reason| reason == "foreign_session"), "{received:?}");
}

/// A pipe that an output can be told to write to, and its end to read from.
fn pipe() -> (std::io::PipeReader, std::io::PipeWriter, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    (reader, writer, path)
}

#[test]
fn an_output_that_is_never_read_does_not_touch_its_neighbour() {
    let (stuck, free) = (Desk::new(30_000_000), Desk::new(9_000_000));
    let (first, second) = ("udp://239.255.41.7:5048", "udp://239.255.41.8:5048");
    let (stop, halt) = (Shutdown::new(), Shutdown::new());
    let (reader, _writer, path) = pipe();
    let small = Defaults { window: "4MiB".parse().unwrap(), ..defaults(None) };
    let held = subscription(first, &path, &small);
    let whole = subscription(second, text(&free.path("out")), &defaults(None));
    let received = subscribe(vec![held, whole], &stop);
    let named =
        |flags: StreamFlags, name: &str| StreamFlags { name: Some(name.parse().unwrap()), ..flags };
    let streams = vec![
        named(stream(text(&stuck.path("source")), first), "one"),
        named(stream(text(&free.path("source")), second), "two"),
    ];
    let sent = publish(streams, &halt);
    let until = Instant::now() + Duration::from_secs(30);
    while !free.path("out").exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(free.read("out").as_ref(), Some(&free.source), "the neighbour's file");
    drop(reader);
    let received = received.join().unwrap();
    halt.request();
    sent.join().unwrap();
    let of_held = received.streams.iter().find(|stream| stream.group == first).unwrap();
    assert!(of_held.missing.is_empty() && of_held.totals.lost_packets == 0, "{of_held:?}");
}

#[test]
fn what_an_output_had_no_room_for_is_told_to_both_sides() {
    let desk = Desk::new(24_000_000);
    let (endpoint, stop) = ("udp://239.255.41.9:5049", Shutdown::new());
    let (mut reader, writer, path) = pipe();
    let mut dropping = subscription(endpoint, &path, &defaults(None));
    dropping.on_full = Some(OnFull::DropOldest);
    let received = subscribe(vec![dropping], &stop);
    let paced = StreamFlags {
        rate: Some("400M".parse().unwrap()),
        ..stream(text(&desk.path("source")), endpoint)
    };
    let sent = publish(vec![paced], &stop).join().unwrap();
    assert!(!sent.is_complete(), "{sent:?}");
    // Nothing was read until now: what is left of the ring is read, and no more.
    drop(writer);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    let received = received.join().unwrap();
    assert_eq!(received.exit_code(), 3, "{received:?}");
    let of_it = &received.streams[0];
    assert!(of_it.missing.iter().all(|missing| missing.cause == "ring"), "{of_it:?}");
    let missing: u64 = of_it.missing.iter().map(|missing| missing.range.len()).sum();
    assert_eq!(missing, of_it.totals.lost_packets);
    assert!((1_000_000..8_000_000).contains(&bytes.len()), "{} bytes", bytes.len());
    assert_eq!(of_it.totals.delivered_bytes, bytes.len() as u64);
    assert!(desk.source.ends_with(&bytes[bytes.len() - 1_000_000..]), "the newest is kept");
}

#[test]
fn the_datagrams_of_an_encoder_reach_a_player_one_for_one() {
    let stop = Shutdown::new();
    let player = UdpSocket::bind("127.0.0.1:0").unwrap();
    player.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let output = format!("udp://{}", player.local_addr().unwrap());
    let endpoint = "udp://239.255.41.5:5045";
    let received = subscribe(vec![subscription(endpoint, &output, &defaults(None))], &stop);
    let sent = publish(vec![stream("udp://127.0.0.1:5046", endpoint)], &stop);
    let encoder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut got = vec![0; 2_000];
    // The first ones may be sent before the subscriber is there: it plays live.
    let until = Instant::now() + Duration::from_secs(10);
    let mut heard = 0_u32;
    let mut number = 0_u32;
    while heard < 200 && Instant::now() < until {
        number += 1;
        let mut datagram = vec![0x47; 1_316];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        encoder.send_to(&datagram, "127.0.0.1:5046").unwrap();
        thread::sleep(Duration::from_millis(2));
        player.set_nonblocking(true).unwrap();
        while let Ok(len) = player.recv(&mut got) {
            assert_eq!(len, 1_316, "a datagram is a message");
            heard += 1;
        }
    }
    stop.request();
    let (sent, received) = (sent.join().unwrap(), received.join().unwrap());
    assert!(heard >= 200, "{heard} of {number} reached the player: {sent:?} {received:?}");
}

#[test]
fn a_stream_that_was_stopped_is_not_called_whole() {
    let desk = Desk::new(8_000_000);
    let (endpoint, stop, halt) = ("udp://239.255.41.6:5047", Shutdown::new(), Shutdown::new());
    let output = desk.path("out");
    let received = subscribe(vec![subscription(endpoint, text(&output), &defaults(None))], &stop);
    let slow = StreamFlags {
        rate: Some("8M".parse().unwrap()),
        ..stream(text(&desk.path("source")), endpoint)
    };
    let sent = publish(vec![slow], &halt);
    let part = desk.path("out.part");
    let until = Instant::now() + Duration::from_secs(10);
    while std::fs::metadata(&part).map_or(0, |part| part.len()) == 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    halt.request();
    assert!(!sent.join().unwrap().is_complete());
    let received = received.join().unwrap();
    assert_eq!(received.exit_code(), 3, "{received:?}");
    assert_eq!(desk.read("out"), None, "only what is whole has its name");
    let part = desk.read("out.part").unwrap();
    assert!(!part.is_empty() && desk.source.starts_with(&part));
}
