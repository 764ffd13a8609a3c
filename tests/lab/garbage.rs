//! Garbage from another host of the switch: to the group, to a subscriber, to the publisher.
//!
//! A million datagrams unless `ONECAST_GARBAGE` says how many, a third for each. One in four is
//! noise; the others are datagrams of the stream itself with something changed.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    process::ChildStdin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    attacker,
    program::{Ended, Program},
    scrape::{self, Metrics, scrape},
    stage::{MIB, Stage, same},
};
use fastrand::Rng;

#[test]
fn garbage_costs_a_counter_and_nothing_else() {
    let Some(stage) = Stage::new(3) else { return };
    let count: u64 = env::var("ONECAST_GARBAGE").map_or(1_000_000, |text| text.parse().unwrap());
    let file = stage.file("file", FILE_MIB * MIB, 1);
    let group = attacker::address(GROUP);
    let ear = stage.host("s3").run(|| attacker::listen(group)).unwrap();
    let metrics = ["--metrics", scrape::ADDRESS];
    let victim = stage.subscriber_to_file("s1", GROUP, &metrics);
    let other = stage.subscriber_to_file("s2", GROUP, &[]);
    victim.wait_for("joined", PATIENCE);
    other.wait_for("joined", PATIENCE);
    stage.lose("s2", 2); // so that there are NAKs and repairs to hear
    let args = [&["--to", GROUP, "--wait-for", "2,10s"], &metrics[..]].concat();
    let mut publisher = stage.publisher_of_stdin(&args);
    let input = publisher.input();
    let mut feeder = Feeder { file: File::open(&file).unwrap(), input, given: 0 };
    feeder.give(2 * MIB);
    publisher.wait_for("started", PATIENCE);
    victim.wait_for("session", PATIENCE);
    let (samples, source) = samples(&stage, &ear, &mut feeder);
    let targets = [group.into(), feedback_of(&stage, "s1", &victim).into(), source];
    println!(
        "garbage to the group {}, to feedback {}, to the publisher {}",
        targets[0], targets[1], targets[2]
    );
    let before = [&victim, &publisher].map(Program::peak_memory);

    let port = source.port();
    let answers = format!("ip daddr {} udp sport {port}", stage.host("s3").addr4());
    stage.count("s3", "answers", &answers);
    let start = Instant::now();
    // The stream flows as long as garbage does, and its end comes when all was thrown.
    let rest = FILE_MIB * MIB - feeder.given;
    let first = feeder.given;
    let thrown = throw(&stage, count, targets, &samples, |done| {
        feeder.give((first + rest * done / count).saturating_sub(feeder.given));
    });
    let took = start.elapsed();
    feeder.give(FILE_MIB * MIB);
    thread::sleep(Duration::from_secs(1));
    let after = [&victim, &publisher].map(Program::peak_memory);
    let counted = ["s1", "pub"].map(|host| scrape(stage.host(host)));
    drop(feeder);
    let ended = [publisher, victim, other].map(|program| program.wait(LONG));

    println!(
        "{count} datagrams of garbage in {took:.1?} (the stream ran for {:.1?}); memory of \
         subscriber and publisher {before:?} → {after:?} bytes",
        start.elapsed()
    );
    check_ends(&ended);
    for host in ["s1", "s2"] {
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + 96 * MIB, "memory grew from {before} to {after} bytes");
    }
    let answers = stage.counted_bytes("s3", "answers");
    println!("the publisher answered {thrown} bytes with {answers}");
    assert!(answers < thrown, "a stranger is answered with more than it sent");
    the_counters_add_up(&counted[0]);
    check_publisher(&counted[1], count);
}

/// Real datagrams of both ways, and where the stream comes from.
fn samples(stage: &Stage, ear: &UdpSocket, feeder: &mut Feeder) -> (Vec<Vec<u8>>, SocketAddr) {
    let (mut samples, source) = hear(ear);
    let (publisher, time) = (stage.host("pub"), Duration::from_secs(2));
    let feed = || feeder.give(1 << 16);
    let feedback = attacker::hear_feedback(publisher, source.port(), time, feed);
    println!("{} datagrams of feedback to make garbage of", feedback.len());
    assert!(feedback.len() > 10);
    samples.extend(feedback);
    (samples, source)
}

fn check_ends(ended: &[Ended]) {
    for ended in ended {
        ended.expect_code(0);
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
    }
}

/// What came in is what was handed out, held, doubled, thrown away, or of the session's own.
pub(crate) fn the_counters_add_up(subscriber: &Metrics) {
    let received = subscriber.sum("datagrams_received_total");
    let discarded = subscriber.sum("datagrams_discarded_total");
    let coded = ["data", "repair"]
        .map(|kind| subscriber.of("packets_received_total", &format!("kind=\"{kind}\"")))
        .iter()
        .sum::<f64>();
    let control = subscriber.sum("packets_received_total") - coded;
    let [delivered, duplicate, abandoned] = ["delivered", "duplicate", "abandoned"]
        .map(|it| subscriber.sum(&format!("packets_{it}_total")));
    let refused = ["forged", "unverified"].map(|it| subscriber.sum(&format!("packets_{it}_total")));
    let [held, refused] = [subscriber.sum("window_packets"), refused.iter().sum()];
    let recovered = subscriber.sum("packets_recovered_total");
    println!(
        "subscriber: received {received} + recovered {recovered} = delivered {delivered} + duplicate {duplicate} + \
         discarded {discarded} + control {control} + held {held} + refused {refused} + abandoned \
         {abandoned}; kernel drops {}, foreign feedback {}",
        subscriber.sum("kernel_drops_total"),
        subscriber.sum("foreign_feedback_total"),
    );
    println!("discarded: {:?}", subscriber.all("datagrams_discarded_total"));
    let sum = delivered + duplicate + discarded + control + held + refused + abandoned;
    assert_eq!(received + recovered, sum);
    assert!(discarded > 1000.0);
}

fn check_publisher(publisher: &Metrics, count: u64) {
    let discarded = publisher.sum("datagrams_discarded_total");
    println!("publisher: discarded {:?}", publisher.all("datagrams_discarded_total"));
    println!(
        "publisher: {} packets asked for, sent {:?}",
        publisher.sum("packets_asked_total"),
        publisher.all("packets_sent_total"),
    );
    assert!(discarded > 1000.0 && discarded <= count as f64, "{discarded}");
    assert_eq!(publisher.sum("audience"), 2.0, "garbage is no subscriber");
}

/// Gives the publisher its input.
struct Feeder {
    file: File,
    input: ChildStdin,
    given: u64,
}

impl Feeder {
    /// So many bytes more, or what there is.
    fn give(&mut self, at_most: u64) {
        let mut block = vec![0; 1 << 16];
        let end = self.given + at_most;
        while self.given < end {
            let len = self.file.read(&mut block).unwrap();
            if len == 0 {
                break;
            }
            self.input.write_all(&block[..len]).unwrap();
            self.given += len as u64;
        }
    }
}

/// Throws it all from another host, and calls `meanwhile` until that is done; gives the bytes of
/// what the last target was sent.
fn throw(
    stage: &Stage,
    count: u64,
    targets: [SocketAddr; 3],
    samples: &[Vec<u8>],
    mut meanwhile: impl FnMut(u64),
) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let throwers: Vec<_> = (1..)
        .zip(targets)
        .map(|(seed, target)| {
            let (samples, done) = (samples.to_vec(), Arc::clone(&done));
            let work = move || throw_at(target, count / 3, &samples, seed, &done);
            stage.host("s3").start(work).unwrap()
        })
        .collect();
    while !throwers.iter().all(thread::JoinHandle::is_finished) {
        meanwhile(done.load(Ordering::Relaxed));
        thread::sleep(Duration::from_millis(10));
    }
    let thrown = throwers.into_iter().map(|thrower| thrower.join().unwrap().unwrap());
    thrown.last().unwrap_or_default()
}

fn throw_at(
    target: SocketAddr,
    count: u64,
    samples: &[Vec<u8>],
    seed: u64,
    done: &AtomicU64,
) -> u64 {
    let mut chance = Rng::with_seed(seed);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let (mut datagram, mut thrown) = (Vec::new(), 0);
    for _ in 0..count {
        make(&mut datagram, samples, &mut chance);
        // A datagram that the system refuses (none is there yet, ICMP came) is thrown all the same.
        socket.send_to(&datagram, target).ok();
        thrown += IP_AND_UDP + datagram.len() as u64;
        done.fetch_add(1, Ordering::Relaxed);
    }
    thrown
}

/// Noise, or something real with a few bytes changed, cut short, made longer, or put together.
fn make(datagram: &mut Vec<u8>, samples: &[Vec<u8>], chance: &mut Rng) {
    datagram.clear();
    if chance.u8(0..4) == 0 {
        datagram.resize(chance.usize(0..1473), 0);
        chance.fill(datagram);
        return;
    }
    datagram.extend_from_slice(&samples[chance.usize(0..samples.len())]);
    match chance.u8(0..8) {
        0 => datagram.truncate(chance.usize(0..=datagram.len())),
        1 => datagram.resize((datagram.len() + chance.usize(1..64)).min(1472), chance.u8(..)),
        2 => {
            let other = &samples[chance.usize(0..samples.len())];
            let at = chance.usize(0..datagram.len().min(other.len()));
            datagram.splice(..at, other[..at].iter().copied());
        }
        // The header is where the harm is.
        3..=5 => change(&mut datagram[..], 32, chance),
        _ => change(&mut datagram[..], usize::MAX, chance),
    }
}

fn change(datagram: &mut [u8], within: usize, chance: &mut Rng) {
    let len = datagram.len().min(within);
    for _ in 0..chance.usize(1..6) {
        datagram[chance.usize(0..len)] = chance.u8(..);
    }
}

/// Real datagrams, one of each length and kind and many more, and where they come from.
fn hear(ear: &UdpSocket) -> (Vec<Vec<u8>>, SocketAddr) {
    let mut samples = Vec::new();
    let mut buffer = [0; 2048];
    let mut source = None;
    let start = Instant::now();
    while samples.len() < 30 || start.elapsed() < Duration::from_millis(1500) {
        let (len, from) = ear.recv_from(&mut buffer).unwrap();
        source = Some(from);
        // Heartbeats and announces are few among the data: all of them are kept.
        if samples.len() < 30 || len < 1000 {
            samples.push(buffer[..len].to_vec());
        }
    }
    (samples, source.unwrap())
}

/// Where the subscriber wants to be answered: its only UDP socket that is not bound to the group.
pub(crate) fn feedback_of(stage: &Stage, host: &str, subscriber: &Program) -> SocketAddrV4 {
    let table = fs::read_to_string(format!("/proc/{}/net/udp", subscriber.pid())).unwrap();
    let locals = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
    let sockets = locals.map(|local| {
        let (address, port) = local.split_once(':').unwrap();
        let address = u32::from_str_radix(address, 16).unwrap().swap_bytes();
        let port = u16::from_str_radix(port, 16).unwrap();
        SocketAddrV4::new(Ipv4Addr::from(address), port)
    });
    let ours = stage.host(host).addr4();
    let found = sockets.into_iter().find(|socket| *socket.ip() == ours);
    found.unwrap_or_else(|| panic!("no feedback socket: {table}"))
}

const GROUP: &str = "udp://239.1.2.3:5000";
const IP_AND_UDP: u64 = 28;
const FILE_MIB: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
