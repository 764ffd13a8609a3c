//! What others fail at: who comes late, who stops, who has no rights, what strangers send
//! (and each is told of: nothing waits for ever, and nothing ends in silence).

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    binaries,
    player::{Player, longest_pause},
    program::{Ended, Program},
    scrape::{self, Metrics, scrape},
    stage::{MIB, Stage, same},
};

#[test]
fn who_comes_late_has_all_of_it_or_knows_what_it_missed() {
    let Some(stage) = Stage::new(4) else { return };
    let file = stage.file("file", FILE, 1);
    let [first] = joined([stage.subscriber_to_file("s1", GROUP, &[])]);
    let publisher = send_paced(&stage, &[]);
    publisher.wait_for("started", PATIENCE);
    thread::sleep(Duration::from_secs(2));
    let early = stage.subscriber_to_file("s2", GROUP, &["--from", "oldest"]);
    let live = stage.subscriber_to_file("s3", GROUP, &["--from", "live"]);
    thread::sleep(Duration::from_secs(2));
    let late = stage.subscriber_to_file("s4", GROUP, &["--from", "oldest"]);
    let ended = [first, early, late].map(|program| program.wait(LONG));
    let live = live.wait(LONG);
    let publisher = publisher.wait(LONG);

    for (host, ended) in ["s1", "s2", "s4"].into_iter().zip(&ended) {
        ended.expect_code(0);
        assert!(same(&file, &stage.output(host)), "{host} has another file");
    }
    publisher.expect_code(0);
    // Who wanted what is live has its end, and was told where it begins.
    live.expect_code(0);
    let session = live.events("session").next().expect("a session");
    let first = session.value["first"].as_u64().unwrap();
    let part = fs::read(stage.path("s3.out.part")).unwrap();
    let whole = fs::read(&file).unwrap();
    println!("2 s late and live: begins with packet {first}, has {} bytes", part.len());
    assert!(first > 0 && live.summary()["complete"] == false, "{}", live.summary());
    assert!(whole.ends_with(&part), "what it has is the end of the file");
    assert_eq!((whole.len() - part.len()) as u64, first * PAYLOAD, "{first} packets before it");
}

#[test]
fn who_stops_for_good_keeps_nobody_and_is_named() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", FILE, 1);
    let hosts = ["s1", "s2"];
    let others = joined(hosts.map(|host| stage.subscriber_to_file(host, GROUP, &[])));
    let [stopped] = joined([stage.subscriber_to_file("s3", GROUP, &["--silent-timeout", "3s"])]);
    let publisher = send_paced(&stage, &["--wait-for", "3", "--finish-timeout", "3s"]);
    let started = publisher.wait_for("started", PATIENCE).at;
    thread::sleep(Duration::from_millis(1500));
    stopped.signal(Signal::SIGSTOP);
    for (host, program) in hosts.into_iter().zip(others) {
        let ended = whole(&stage, &file, host, program);
        println!("{host} was done {:?} after the start", ended.at - started);
    }
    let publisher = publisher.wait(LONG);
    publisher.expect_code(3);
    assert_eq!(publisher.summary()["unfinished"], serde_json::json!(["s3"]));
    println!("the publisher ended {:?} after the start", publisher.at - started);

    // Continued, it finds nobody there any more, and says so.
    stopped.signal(Signal::SIGCONT);
    let stopped = stopped.wait(LONG);
    stopped.expect_code(3);
    assert!(!stage.output("s3").exists(), "what is not whole has not its name");
    assert!(["silent", "not_whole"].contains(&ended_as(&stopped)), "{}", stopped.summary());
}

#[test]
fn who_stops_for_a_while_disturbs_nobody_at_a_fixed_rate() {
    let Some(stage) = Stage::new(4) else { return };
    let file = stage.file("file", 2 * FILE, 1);
    let hosts = ["s1", "s2", "s3"];
    let players = hosts.map(|host| Player::start(stage.host(host), 6000));
    let args = ["--once", "-o", "udp://127.0.0.1:6000", "--metrics", scrape::ADDRESS];
    let others = joined(hosts.map(|host| stage.subscriber(host, &[&[GROUP], &args[..]].concat())));
    let [stopped] = joined([stage.subscriber_to_file("s4", GROUP, &[])]);
    let publisher = send_paced(&stage, &["--wait-for", "4"]);
    publisher.wait_for("started", PATIENCE);
    thread::sleep(Duration::from_secs(3));
    let before = hosts.map(|host| scrape(stage.host(host)));
    stopped.signal(Signal::SIGSTOP);
    let stopped_at = Instant::now();
    thread::sleep(Duration::from_secs(5));
    stopped.signal(Signal::SIGCONT);
    let continued_at = Instant::now();
    let after = hosts.map(|host| scrape(stage.host(host)));
    publisher.wait(LONG);
    let stopped = stopped.wait(LONG);
    for (place, (player, other)) in players.into_iter().zip(others).enumerate() {
        other.wait(LONG).expect_code(0);
        let mut played = player.stop();
        played.retain(|played| (stopped_at..continued_at).contains(&played.at));
        let pause = longest_pause(&played);
        let (p99, p99_before) = (p99(&after[place], &before[place]), p99_of(&before[place]));
        println!(
            "{}: 99 of 100 packets within {p99:.4} s while another stood still, {p99_before:.4} s \
             before; longest pause {pause:?}",
            hosts[place],
        );
        assert!(pause < Duration::from_secs(1), "{pause:?}");
        assert!(p99 <= (4.0 * p99_before).max(BUSY), "{p99} s, {p99_before} s before");
    }
    whole_or_told(&stage, &file, "s4", &stopped);
}

#[test]
fn who_stops_for_a_while_is_let_go_and_comes_back() {
    let Some(stage) = Stage::new(4) else { return };
    let file = stage.file("file", 2 * FILE, 1);
    let hosts = ["s1", "s2", "s3"];
    let others = joined(hosts.map(|host| stage.subscriber_to_file(host, GROUP, &[])));
    let [stopped] = joined([stage.subscriber_to_file("s4", GROUP, &["--rcvbuf", "512KiB"])]);
    let mut publisher = stage.publisher_of_stdin(&["--to", GROUP, "--wait-for", "4"]);
    let mut input = publisher.input();
    let bytes = fs::read(&file).unwrap();
    // The input, not the audience, sets the pace: what is sent lasts longer than the stop.
    let feeder = thread::spawn(move || {
        for piece in bytes.chunks(bytes.len() / 120) {
            std::io::Write::write_all(&mut input, piece).unwrap();
            thread::sleep(Duration::from_millis(100));
        }
    });
    publisher.wait_for("started", PATIENCE);
    thread::sleep(Duration::from_secs(2));
    stopped.signal(Signal::SIGSTOP);
    let stopped_at = Instant::now();
    thread::sleep(Duration::from_secs(5));
    let told = |name: &str| publisher.events(name).first().map(|event| event.at - stopped_at);
    let (warned, gone) = (told("subscriber_slow"), told("subscriber_evicted"));
    println!("warned after {warned:?}, let go after {gone:?}");
    assert!(warned.is_some() && warned < gone, "warned, then let go: {}", publisher.log());
    stopped.signal(Signal::SIGCONT);
    publisher.wait_for("subscriber_back", LONG);
    feeder.join().unwrap();
    for (host, program) in hosts.into_iter().zip(others) {
        whole(&stage, &file, host, program);
    }
    let stopped = stopped.wait(LONG);
    publisher.wait(LONG);
    whole_or_told(&stage, &file, "s4", &stopped);
}

#[test]
fn nobody_needs_rights() {
    let Some(stage) = Stage::new(2) else { return };
    let file = stage.file("file", FILE, 1);
    // Nobody may read neither the directory of a test nor that of a build.
    for (path, mode) in [(stage.path(""), 0o777), (file.clone(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for name in ["publisher", "subscriber"] {
        fs::copy(binaries::file(name), stage.path(name)).unwrap();
    }
    let as_nobody = |host: &str, name: &str, args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--"]);
        command.arg(stage.path(name)).args(args).env("HOME", "/nonexistent");
        stage.start(host, name, command)
    };
    let subscribers = joined(["s1", "s2"].map(|host| {
        let output = stage.output(host).display().to_string();
        as_nobody(host, "subscriber", &["receive", "--json", GROUP, "-o", &output])
    }));
    let path = file.to_str().unwrap();
    let args = ["send", "--json", path, "--to", GROUP, "--wait-for", "2"];
    let publisher = as_nobody("pub", "publisher", &args).wait(LONG);
    for (host, subscriber) in ["s1", "s2"].into_iter().zip(subscribers) {
        whole(&stage, &file, host, subscriber);
    }
    publisher.expect_code(0);
}

#[test]
fn ten_thousand_random_datagrams_change_nothing_and_are_counted() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", FILE, 1);
    let hosts = ["s1", "s2"];
    let subscribers = joined(hosts.map(|host| stage.subscriber_to_file(host, GROUP, &[])));
    let metrics = ["--wait-for", "2", "--metrics", scrape::ADDRESS];
    let publisher = send_paced(&stage, &metrics);
    publisher.wait_for("started", PATIENCE);
    let ports = ports_of(&publisher);
    let from = stage.host("pub").addr4();
    let strangers = stage.host("s3").start(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut chance = fastrand::Rng::with_seed(10_000);
        let mut datagram = [0; 1_472];
        for number in 0..10_000 {
            chance.fill(&mut datagram);
            let len = chance.usize(0..datagram.len());
            let group = SocketAddrV4::new(Ipv4Addr::new(239, 1, 2, 3), 5000);
            let port = ports[number / 2 % ports.len()];
            let to = if number % 2 == 0 { group } else { SocketAddrV4::new(from, port) };
            // A port that refuses says so at the next call.
            drop(socket.send_to(&datagram[..len], to));
            if number % 4 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    strangers.unwrap().join().unwrap().unwrap();
    thread::sleep(Duration::from_millis(300)); // figures are as old as that
    let counted = scrape(stage.host("pub")).sum("datagrams_discarded_total");
    for (host, subscriber) in hosts.into_iter().zip(subscribers) {
        let subscriber = whole(&stage, &file, host, subscriber);
        let discarded = subscriber.summary()["discarded"].as_object().unwrap();
        let sum: u64 = discarded.values().filter_map(Value::as_u64).sum();
        println!("{host} threw {sum} away: {discarded:?}");
        assert!(sum > 4_000, "{sum} of 5,000 were counted");
    }
    println!("the publisher threw {counted} away");
    assert!(counted > 1_000.0, "{counted} were counted");
    publisher.wait(LONG).expect_code(0);
}

#[test]
fn who_is_killed_and_starts_again_is_followed_and_nothing_retained_is_missed() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", FILE, 1);
    let hosts = ["s1", "s2"];
    let subscribers = joined(hosts.map(|host| stage.subscriber_to_file(host, GROUP, &[])));
    let publisher = send_paced(&stage, &[]);
    publisher.wait_for("started", PATIENCE);
    thread::sleep(Duration::from_secs(2));
    publisher.signal(Signal::SIGKILL);
    assert_eq!(publisher.wait(PATIENCE).code, None);
    thread::sleep(Duration::from_millis(500));

    let publisher = send_paced(&stage, &[]);
    let again = publisher.started();
    for (host, subscriber) in hosts.into_iter().zip(&subscribers) {
        let session = subscriber.wait_until("session", PATIENCE, |it| it["restart"] == true);
        println!("{host} follows {:?} after the start", session.at - again);
        assert!(session.at - again < Duration::from_secs(2), "{:?}", session.at - again);
    }
    publisher.wait_for("started", PATIENCE);
    thread::sleep(Duration::from_millis(1500));
    let late = stage.subscriber_to_file("s3", GROUP, &["--from", "oldest"]);
    let [one, two] = subscribers;
    for (host, program) in ["s1", "s2", "s3"].into_iter().zip([one, two, late]) {
        whole(&stage, &file, host, program);
    }
    publisher.wait(LONG).expect_code(0);
}

/// All of these once each has joined.
fn joined<const N: usize>(subscribers: [Program; N]) -> [Program; N] {
    for subscriber in &subscribers {
        subscriber.wait_for("joined", PATIENCE);
    }
    subscribers
}

/// Sends `file` in some five seconds for each [`FILE`].
fn send_paced(stage: &Stage, args: &[&str]) -> Program {
    let file = stage.path("file").display().to_string();
    stage.publisher(&[&[file.as_str(), "--to", GROUP, "--rate", "42M"], args].concat())
}

/// How it ended, once it has all of the file.
fn whole(stage: &Stage, file: &Path, host: &str, subscriber: Program) -> Ended {
    let ended = subscriber.wait(LONG);
    ended.expect_code(0);
    assert!(same(file, &stage.output(host)), "{host} has another file");
    ended
}

/// A file that has its name is whole; otherwise the exit code and the summary say that it is not.
fn whole_or_told(stage: &Stage, file: &Path, host: &str, ended: &Ended) {
    let output = stage.output(host);
    println!("{host}: exit code {:?}, {}", ended.code, ended_as(ended));
    if output.exists() {
        assert!(same(file, &output), "{host} calls another file whole");
        ended.expect_code(0);
    } else {
        ended.expect_code(3);
        assert!(ended_as(ended) != "complete", "{}", ended.summary());
    }
}

fn ended_as(ended: &Ended) -> &str {
    ended.summary()["streams"][0]["ended"].as_str().unwrap()
}

/// The bound of the bucket that 99 of 100 delays lie in, in seconds, of those after `before`.
fn p99(after: &Metrics, before: &Metrics) -> f64 {
    p99_over(after, |bound| before.of(BUCKET, bound))
}

fn p99_of(metrics: &Metrics) -> f64 {
    p99_over(metrics, |_| 0.0)
}

fn p99_over(metrics: &Metrics, before: impl Fn(&str) -> f64) -> f64 {
    let all = metrics.of(BUCKET, "le=\"+Inf\"") - before("le=\"+Inf\"");
    let bounds = metrics.all(BUCKET).into_iter().filter_map(|(labels, count)| {
        let (_, rest) = labels.split_once("le=\"")?;
        let (text, _) = rest.split_once('"')?;
        let count = count - before(&format!("le=\"{text}\""));
        Some((text.parse::<f64>().ok()?, count))
    });
    let enough = bounds.filter(|(_, count)| *count >= 0.99 * all).map(|(bound, _)| bound);
    enough.fold(f64::INFINITY, f64::min)
}

/// The UDP ports of a program that is alone on its host.
fn ports_of(program: &Program) -> Vec<u16> {
    let table = fs::read_to_string(format!("/proc/{}/net/udp", program.pid())).unwrap();
    let locals = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
    let ports = locals.filter_map(|local| u16::from_str_radix(local.split_once(':')?.1, 16).ok());
    let ports: Vec<u16> = ports.collect();
    assert!(!ports.is_empty(), "no socket: {table}");
    ports
}

const GROUP: &str = "udp://239.1.2.3:5000";
const BUCKET: &str = "delivery_delay_seconds_bucket";
/// Five seconds of it at 42 Mbit/s, headers included.
const FILE: u64 = 24 * MIB;
/// Bytes of payload in a packet of 1500 bytes over IPv4.
const PAYLOAD: u64 = 1_431;
/// Two cores carry all of it: a delay up to this, in seconds, is the machine's.
const BUSY: f64 = 0.06;
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
