//! A hostile host on the switch: it forges, replays and floods. Nothing of it is delivered, all of it is
//! counted, and the stream arrives whole.

use std::{
    env,
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use host::key_file;
use nix::sys::socket::{setsockopt, sockopt};
use proto::{
    Seq,
    seal::{Key, Keyring},
    wire::{self, Body, Header, Kind},
};

use crate::{
    attacker::{self, Recording, Voice},
    garbage::{feedback_of, the_counters_add_up},
    scrape::{self, scrape},
    stage::{MIB, Stage, same},
};

#[test]
fn nothing_is_believed_of_who_has_no_key_or_another_whatever_it_forges() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", 32 * MIB, 1);
    let key = make_key(&stage);
    let args = ["--key", &key, "--metrics", scrape::ADDRESS];
    let victim = stage.subscriber_to_file("s1", GROUP, &args);
    let other = stage.subscriber_to_file("s2", GROUP, &args);
    victim.wait_for("joined", PATIENCE);
    other.wait_for("joined", PATIENCE);
    stage.lose("s2", 2); // so that there are NAKs and repairs
    let ear = stage.host("s3").run(|| attacker::listen(attacker::address(GROUP))).unwrap();
    let to = [file.to_str().unwrap(), "--to", GROUP, "--rate", "40M", "--wait-for", "2,10s"];
    let publisher = stage.publisher(&[&to[..], &args].concat());
    publisher.wait_for("started", PATIENCE);
    victim.wait_for("session", PATIENCE);

    let heard = Recording::of(&ear, Duration::from_secs(1));
    let feedback = feedback_of(&stage, "s1", &victim);
    let own = attacker::own(stage.host("s3"));
    // Nobody hears what comes in its own name: the kernel sees to that.
    let targets = [
        (attacker::address(GROUP), [own, heard.source]),
        (feedback, [own, heard.source]),
        (heard.source, [own, feedback]),
    ];
    let forged = forgeries(&heard);
    let thrown = stage.host("s3").run(|| throw(&forged, &targets)).unwrap();
    thread::sleep(Duration::from_millis(500)); // figures are as old as that
    let counted = ["s1", "s2", "pub"].map(|host| scrape(stage.host(host)));
    assert_eq!(publisher.events("summary").len(), 0, "it was thrown while the stream flowed");

    println!("{} forgeries, thrown at group, feedback and publisher: {thrown:?}", forged.len());
    for (metrics, least) in counted.iter().zip([thrown[0] + thrown[1], 0, thrown[2]]) {
        let discarded = metrics.sum("datagrams_discarded_total");
        let unheard = metrics.sum("kernel_drops_total") + metrics.sum("foreign_feedback_total");
        println!("discarded: {:?}, {unheard} more", metrics.all("datagrams_discarded_total"));
        assert!(discarded + unheard >= least as f64, "{discarded} + {unheard} of {least} counted");
        assert!(metrics.of("datagrams_discarded_total", "reason=\"forged\"") > 0.0);
    }
    the_counters_add_up(&counted[0]);
    assert_eq!(counted[2].sum("audience"), 2.0, "an attacker is no subscriber");
    publisher.wait(LONG).expect_code(0);
    for (host, program) in [("s1", victim), ("s2", other)] {
        let ended = program.wait(PATIENCE);
        ended.expect_code(0);
        assert_eq!(ended.number("delivered_bytes"), 32 * MIB, "{host}");
        assert_eq!(ended.events("session").count(), 1, "{host}");
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
}

/// Not sealed, sealed by nobody, sealed with another key, of the stream itself with something
/// changed, and the stream itself again.
fn forgeries(heard: &Recording) -> Vec<Vec<u8>> {
    let (header, lead) = (heard.header(), heard.lead());
    let strange = attacker::other_session(&header);
    let mut forged = attacker::unsealed(&header, lead);
    forged.extend(attacker::said_to_be_sealed(&header, lead));
    forged.extend(attacker::unsealed(&strange, lead));
    let old_key = Keyring::of_group(Key::new([2; 32]));
    for header in [header, strange] {
        let sealed = attacker::sealed_with(&old_key, &header, "file");
        for kind in Kind::ALL {
            let of_kind = sealed.iter().flatten().filter(|datagram| datagram[1] == kind.number());
            forged.extend(of_kind.take(10).cloned());
        }
    }
    let mut chance = fastrand::Rng::with_seed(1);
    for datagram in heard.datagrams.iter().rev().take(100) {
        forged.push(datagram.clone());
        let mut changed = datagram.clone();
        changed[chance.usize(0..datagram.len())] ^= 1 << chance.u8(0..8);
        forged.push(changed);
    }
    forged
}

/// Throws everything at everyone, in its own name and in another; gives how much each was sent.
fn throw(forged: &[Vec<u8>], targets: &[(SocketAddrV4, [SocketAddrV4; 2]); 3]) -> [u64; 3] {
    let voice = Voice::new();
    let mut thrown = [0; 3];
    for _ in 0..ROUNDS {
        for datagram in forged {
            for ((target, names), count) in targets.iter().zip(&mut thrown) {
                for name in names {
                    *count += u64::from(voice.say(datagram, *name, *target));
                }
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
    thrown
}

#[test]
fn what_was_recorded_is_not_believed_in_another_session_nor_by_a_publisher_that_was_restarted() {
    let Some(stage) = Stage::new(3) else { return };
    let [old, new] =
        [(2, 1), (12, 2)].map(|(mib, seed)| stage.file(&format!("file{seed}"), mib * MIB, seed));
    let key = make_key(&stage);
    let args = ["--key", &key, "--metrics", scrape::ADDRESS];
    let (recording, said) = record(&stage, &old, &args);
    println!("recorded: {} datagrams, {} of feedback", recording.datagrams.len(), said.len());

    // Who has just started knows of no session, and nobody answers its question.
    let fresh = stage.subscriber_to_file("s2", GROUP, &args);
    fresh.wait_for("joined", PATIENCE);
    let group = attacker::address(GROUP);
    let replayed = stage.host("s3").run(|| replay(&recording, group, None)).unwrap();
    thread::sleep(Duration::from_secs(1));
    let metrics = scrape(stage.host("s2"));
    println!("discarded: {:?}", metrics.all("datagrams_discarded_total"));
    assert!(fresh.events("session").is_empty(), "a recording was believed");
    assert_eq!(metrics.sum("packets_delivered_total"), 0.0);
    assert!(metrics.sum("datagrams_received_total") >= replayed as f64 * 0.9);

    // The publisher is started again, and the recording goes on.
    let to = [new.to_str().unwrap(), "--to", GROUP, "--rate", "20M", "--name", STREAM];
    let to = [&to[..], &["--wait-for", "1,20s"]].concat();
    let publisher = stage.publisher(&[&to[..], &args].concat());
    let source = stage.host("s3").run(|| source_of_another(&recording)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let way = [SocketAddrV4::new(stage.host("s1").addr4(), 7_779), source];
    let replayer = stage.host("s3").start({
        let (recording, said, done) = (recording.clone(), said.clone(), Arc::clone(&done));
        move || {
            while !done.load(Ordering::Relaxed) {
                replay(&recording, group, Some((&said, way)));
            }
        }
    });
    publisher.wait_for("started", LONG);
    thread::sleep(Duration::from_secs(2));
    let metrics = scrape(stage.host("pub"));
    println!("publisher: discarded {:?}", metrics.all("datagrams_discarded_total"));
    assert!(metrics.sum("datagrams_discarded_total") > 0.0);
    assert_eq!(metrics.sum("audience"), 1.0, "a recording is no subscriber");
    let fresh = fresh.wait(LONG);
    done.store(true, Ordering::Relaxed);
    replayer.unwrap().join().unwrap().unwrap();
    fresh.expect_code(0);
    assert_eq!(fresh.events("session").count(), 1);
    assert_eq!(fresh.number("delivered_bytes"), 12 * MIB);
    assert!(same(&new, &stage.output("s2")), "s2 has another file");
    publisher.wait(PATIENCE).expect_code(0);
}

/// Sends a file to `s1`; gives what the group heard, and what the publisher was told.
fn record(stage: &Stage, file: &Path, args: &[&str]) -> (Recording, Vec<Vec<u8>>) {
    let ear = stage.host("s3").run(|| attacker::listen(attacker::address(GROUP))).unwrap();
    let subscriber = stage.subscriber_to_file("s1", GROUP, args);
    subscriber.wait_for("joined", PATIENCE);
    stage.lose("s1", 2); // so that it has something to say
    let to = [file.to_str().unwrap(), "--to", GROUP, "--rate", "10M", "--name", STREAM];
    let publisher = stage.publisher(&[&to[..], args].concat());
    let port = Recording::of(&ear, Duration::ZERO).source.port();
    let recorder = thread::spawn(move || Recording::to_the_end(&ear));
    let said = attacker::hear_feedback(stage.host("pub"), port, Duration::from_secs(2), || {});
    publisher.wait(LONG).expect_code(0);
    subscriber.wait(PATIENCE).expect_code(0);
    assert!(same(file, &stage.output("s1")));
    (recorder.join().unwrap(), said)
}

/// Where a session comes from that is not the recorded one.
fn source_of_another(recording: &Recording) -> SocketAddrV4 {
    let ear = attacker::listen(attacker::address(GROUP));
    loop {
        let heard = Recording::of(&ear, Duration::ZERO);
        if heard.header().session != recording.header().session {
            return heard.source;
        }
    }
}

/// Says it all again, in the names of those who said it; gives how much.
fn replay(
    recording: &Recording,
    group: SocketAddrV4,
    said: Option<(&[Vec<u8>], [SocketAddrV4; 2])>,
) -> u64 {
    let voice = Voice::new();
    let mut count = 0;
    let (said, [from, to]) = said.unwrap_or((&[], [group; 2]));
    let mut said = said.iter().cycle();
    for datagram in &recording.datagrams {
        count += u64::from(voice.say(datagram, recording.source, group));
        if let Some(said) = said.next() {
            voice.say(said, from, to);
        }
        thread::sleep(Duration::from_micros(300));
    }
    count
}

#[test]
fn a_flood_of_naks_takes_no_more_than_repairs_share_and_harms_nobody() {
    a_flood_of_naks(false);
}

#[test]
fn a_flood_of_naks_without_the_key_repairs_nothing_and_harms_nobody() {
    a_flood_of_naks(true);
}

fn a_flood_of_naks(is_sealed: bool) {
    let Some(stage) = Stage::new(3) else { return };
    let seconds: u64 = env::var("ONECAST_FLOOD").map_or(10, |text| text.parse().unwrap());
    let len = (seconds + 4) * RATE / 8;
    let file = stage.file("file", len, 1);
    let key = make_key(&stage);
    let args = if is_sealed { vec!["--key", &key] } else { Vec::new() };
    let subscribers = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &args));
    subscribers.iter().for_each(|subscriber| _ = subscriber.wait_for("joined", PATIENCE));
    stage.lose("s2", 2);
    let ear = stage.host("s3").run(|| attacker::listen(attacker::address(GROUP))).unwrap();
    let rate = RATE.to_string();
    let to = [file.to_str().unwrap(), "--to", GROUP, "--rate", &rate, "--wait-for", "2,10s"];
    let with = ["--metrics", scrape::ADDRESS];
    let publisher = stage.publisher(&[&to[..], &with, &args].concat());
    publisher.wait_for("started", PATIENCE);

    let heard = Recording::of(&ear, Duration::from_secs(1));
    let naks = naks(&heard.header(), heard.lead(), is_sealed);
    let for_so_long = Duration::from_secs(seconds);
    let attack = || flood(&naks, &heard, for_so_long, !is_sealed);
    let sent = stage.host("s3").run(attack).unwrap();
    thread::sleep(Duration::from_millis(500)); // figures are as old as that
    let metrics = scrape(stage.host("pub"));
    let publisher = publisher.wait(LONG);
    let [repair, egress] = ["repair_bytes", "egress_bytes"].map(|it| publisher.number(it));
    println!(
        "sealed: {is_sealed}; {sent} NAKs in {seconds} s; the publisher took {} and discarded {:?}; of \
         {egress} bytes that it sent {repair} were repair; it used {:?} of a processor",
        metrics.sum("naks_received_total"),
        metrics.all("datagrams_discarded_total"),
        publisher.cpu,
    );
    publisher.expect_code(0);
    for (host, program) in ["s1", "s2"].iter().zip(subscribers) {
        let ended = program.wait(PATIENCE);
        ended.expect_code(0);
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
    assert!(metrics.sum("datagrams_discarded_total") > 0.0);
    // A quarter of what is sent is repair's; all that s2 lacked is less than that.
    assert!(repair <= egress * 26 / 100 + MIB, "{repair} of {egress} bytes were repair");
    if is_sealed {
        assert!(repair <= egress * 6 / 100, "{repair} of {egress} bytes were repair");
    }
}

/// NAKs for packets that the publisher has, all of one length.
fn naks(header: &Header, lead: Seq, is_sealed: bool) -> Vec<Vec<u8>> {
    if is_sealed {
        let other = Keyring::of_group(Key::new([2; 32]));
        let [_, said] = attacker::sealed_with(&other, header, "file");
        let is_nak = |datagram: &&Vec<u8>| datagram[1] == Kind::Nak.number();
        let first = said.iter().find(is_nak).unwrap();
        return vec![first.clone(); SEGMENTS];
    }
    let of = |nth: u32| {
        let body = Body::Nak(attacker::nak(lead.minus(u64::from(nth)), 100));
        let header = Header { kind: Kind::Nak, flags: 0, number: u64::from(nth), ..*header };
        let mut datagram = Vec::new();
        wire::encode(&wire::Packet { header, body }, &mut datagram);
        datagram
    };
    (0..u32::try_from(SEGMENTS).unwrap()).map(of).collect()
}

/// As many as the machine gives; says how many. Who enrols is a subscriber as any, until it leaves.
fn flood(naks: &[Vec<u8>], heard: &Recording, time: Duration, enrols: bool) -> u64 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(SocketAddr::V4(heard.source)).unwrap();
    if enrols {
        attacker::enrol(&socket, &heard.header());
    }
    let len = i32::try_from(naks[0].len()).unwrap();
    setsockopt(&socket, sockopt::UdpGsoSegment, &len).unwrap();
    let burst = naks.concat();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < time {
        // Where a queue is full there is nothing to be waited for.
        sent += socket.send(&burst).map_or(0, |_| naks.len() as u64);
    }
    if enrols {
        attacker::leave(&socket, &heard.header());
    }
    sent
}

/// The file of the group's key.
fn make_key(stage: &Stage) -> String {
    let path = stage.path("group.key");
    key_file::create(&path, &Key::new([1; 32])).unwrap();
    path.display().to_string()
}

const GROUP: &str = "udp://239.1.2.3:5000";
const STREAM: &str = "show";
const ROUNDS: usize = 4;
/// Datagrams that one call sends.
const SEGMENTS: usize = 60;
/// Of the stream, in bits a second.
const RATE: u64 = 40_000_000;
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
