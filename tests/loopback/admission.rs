//! Subscribers that a publisher lets in, and hands keys.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use client::config::{AdmissionConfig as Asking, StreamWanted};
use client::{Event, Subscriber, Summary};
use host::identity::Identity;
use proto::admission::Token;
use server::Publisher;
use server::admission::AdmissionConfig;
use server::admission::authorized::Authorized;
use server::admission::policy::Policy;

use super::*;

const TOKEN: &[u8] = b"0123456789abcdef";

/// A folder with all that both ends are given.
struct House {
    desk: Desk,
    publisher: Identity,
}

impl House {
    fn new(len: usize) -> Self {
        let desk = Desk::new(len);
        let publisher = Identity::create(&desk.path("publisher")).unwrap();
        let house = Self { desk, publisher };
        house.secret("token", TOKEN);
        house
    }

    fn secret(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.desk.path(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Somebody with a key of its own, as the publisher's file names it.
    fn line_of(&self, name: &str) -> String {
        format!("{} {name}\n", Identity::create(&self.desk.path(name)).unwrap().public())
    }

    /// Lets in whose lines are given, and those who have the token.
    fn admission(&self, address: SocketAddr, lines: &str) -> AdmissionConfig {
        let path = self.desk.path("authorized");
        std::fs::write(&path, lines).unwrap();
        let authorized = Some(Authorized::read(&path).unwrap());
        let policy = Policy { authorized, token: Some(Token::of(TOKEN)) };
        AdmissionConfig { address, identity: self.publisher.clone(), policy }
    }

    /// What a subscriber without a key of its own knows and shows.
    fn by_token(&self, address: SocketAddr) -> client::Admission {
        let admission = client::Admission::at(address.to_string(), &self.public());
        admission.unwrap().token_file(&self.desk.path("token")).unwrap()
    }

    /// What one with a key of its own does.
    fn by_key(&self, address: SocketAddr, name: &str) -> client::Admission {
        let admission = client::Admission::at(address.to_string(), &self.public());
        admission.unwrap().identity(&self.desk.path(name)).unwrap()
    }

    fn public(&self) -> String {
        text(&self.desk.path("publisher.pub")).to_owned()
    }

    /// Publishes the source to a group.
    fn publish(
        &self,
        stream: StreamFlags,
        admission: AdmissionConfig,
        stop: &Shutdown,
    ) -> JoinHandle<server::Summary> {
        let stream = StreamFlags { name: Some("tv".parse().unwrap()), ..stream };
        let config = server::Config::new(vec![stream], None, Talk::Silent).unwrap();
        let config = config.with_admission(Some(admission)).unwrap();
        let stop = stop.clone();
        thread::spawn(move || server::run(config, stop).unwrap())
    }

    fn source(&self, group: &str) -> StreamFlags {
        stream(text(&self.desk.path("source")), group)
    }
}

/// A stream into a file.
fn wanted(name: &str, output: &Path) -> StreamWanted {
    let output = text(output).parse().unwrap();
    let name = name.parse().unwrap();
    StreamWanted { name, output, endpoint: None, fallback: None, interface: None, on_full: None }
}

/// Asks for `streams`, or for whatever the publisher chooses.
fn ask(
    admission: client::Admission,
    streams: Vec<StreamWanted>,
    pattern: Option<String>,
    change: impl FnOnce(&mut client::Config),
    stop: &Shutdown,
) -> JoinHandle<Summary> {
    let mut config = config_of(Vec::new());
    config.admission = Some(Asking { admission, streams, pattern });
    change(&mut config);
    let stop = stop.clone();
    thread::spawn(move || client::run(config, stop).unwrap())
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_has_a_key_or_the_token_is_let_in_and_nobody_else() {
    let (house, stop, address) = (House::new(1_500_007), Shutdown::new(), free_port());
    let lines = house.line_of("alice");
    house.line_of("eve");
    house.secret("other-token", b"fedcba9876543210");
    let by_other_token = client::Admission::at(address.to_string(), &house.public());
    let by_other_token = by_other_token.unwrap().token_file(&house.desk.path("other-token"));
    let another = Identity::create(&house.desk.path("another")).unwrap().public().to_string();
    let to_another = client::Admission::at(address.to_string(), &another);
    let to_another = to_another.unwrap().token_file(&house.desk.path("token"));
    let cases = [
        ("alice", house.by_key(address, "alice"), ""),
        ("token", house.by_token(address), ""),
        ("eve", house.by_key(address, "eve"), "does not let this subscriber in"),
        ("stranger", by_other_token.unwrap(), "does not let this subscriber in"),
        ("misled", to_another.unwrap(), "has another key than --publisher says"),
    ];
    let asking = cases.map(|(name, admission, why)| {
        let out = wanted("tv", &house.desk.path(&format!("out-{name}")));
        (name, ask(admission, vec![out], None, |_| {}, &stop), why)
    });
    let flags = StreamFlags {
        wait_for: Some("2,30s".parse().unwrap()),
        ..house.source("udp://239.255.41.61:5161")
    };
    let sent = house.publish(flags, house.admission(address, &lines), &stop).join().unwrap();
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(sent.streams[0].audience.len(), 2, "{sent:?}");
    for (name, asking, why) in asking {
        let summary = asking.join().unwrap();
        let out = house.desk.read(&format!("out-{name}"));
        if why.is_empty() {
            assert!(summary.is_complete() && summary.exit_code() == 0, "{name}: {summary:?}");
            assert_eq!(out.as_ref(), Some(&house.desk.source), "{name}");
        } else {
            let [stream] = summary.streams.as_slice() else { panic!("{name}: {summary:?}") };
            assert!(stream.ended.to_string().contains(why), "{name}: {summary:?}");
            assert_eq!((summary.exit_code(), out), (1, None), "{name}");
        }
    }
}

#[test]
fn a_stream_that_is_not_there_is_refused_and_the_others_are_received() {
    let (house, stop, address) = (House::new(200_003), Shutdown::new(), free_port());
    let (tv, none) = (house.desk.path("tv"), house.desk.path("none"));
    let streams = vec![wanted("none", &none), wanted("tv", &tv)];
    let asking = ask(house.by_token(address), streams, None, |_| {}, &stop);
    let admission = house.admission(address, "");
    let sent = house.publish(house.source("udp://239.255.41.62:5162"), admission, &stop);
    assert!(sent.join().unwrap().is_complete());
    let summary = asking.join().unwrap();
    assert_eq!(summary.streams.len(), 2, "{summary:?}");
    assert!(summary.streams[0].ended.to_string().contains("no stream of this name"));
    assert!(summary.streams[1].complete && summary.exit_code() == 1, "{summary:?}");
    assert_eq!(house.desk.read("tv").as_ref(), Some(&house.desk.source));
}

/// Notes under which epochs a group is sent to.
pub(super) struct Epochs {
    seen: Arc<Mutex<BTreeSet<u8>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Epochs {
    pub(super) fn of(group: &str) -> Self {
        let group: SocketAddr = group.parse().unwrap();
        let SocketAddr::V4(of) = group else { panic!("IPv6") };
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let socket = socket.unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&group.into()).unwrap();
        socket.join_multicast_v4(of.ip(), &std::net::Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (socket, mut datagram) = (UdpSocket::from(socket), vec![0; 65_536]);
        let (seen, stop) = (Arc::<Mutex<BTreeSet<u8>>>::default(), Arc::<AtomicBool>::default());
        let (noted, is_over) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if socket.recv_from(&mut datagram).is_ok() {
                    noted.lock().unwrap().insert(datagram[3]);
                }
            }
        });
        Self { seen, stop, thread }
    }

    pub(super) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap()).into_iter().collect()
    }
}

#[test]
fn keys_change_in_the_middle_of_a_transfer_and_not_a_byte_is_lost() {
    let (house, stop, address) = (House::new(3_000_001), Shutdown::new(), free_port());
    let epochs = Epochs::of("239.255.41.63:5163");
    let stays = ["one", "two"].map(|name| {
        let out = wanted("tv", &house.desk.path(name));
        let lossy = |config: &mut client::Config| {
            config.defaults.impair = Some("loss=2%,seed=5".parse().unwrap());
        };
        ask(house.by_token(address), vec![out], None, lossy, &stop)
    });
    let flags = StreamFlags {
        rate: Some("6M".parse().unwrap()),
        wait_for: Some("2,30s".parse().unwrap()),
        ..house.source("udp://239.255.41.63:5163")
    };
    let sent = house.publish(flags, house.admission(address, ""), &stop);
    // Others come and go: each time the key changes.
    for turn in 1..=3 {
        let builder = Subscriber::admitted("tv".parse().unwrap(), house.by_token(address));
        let builder = builder.interface("lo".parse().unwrap()).name("guest".parse().unwrap());
        let mut guest = builder.join().unwrap();
        assert!(guest.recv().unwrap().is_some(), "it is there");
        guest.close().unwrap();
        wait_until("the key does not change", || epochs.count() > turn);
    }
    let sent = sent.join().unwrap();
    for (name, stays) in ["one", "two"].into_iter().zip(stays) {
        let summary = stays.join().unwrap();
        assert!(summary.is_complete() && summary.exit_code() == 0, "{name}: {summary:?}");
        assert_eq!(house.desk.read(name).as_ref(), Some(&house.desk.source), "{name}");
        assert_eq!(summary.totals().lost_packets, 0);
    }
    assert!(sent.is_complete(), "{sent:?}");
    let epochs = epochs.end();
    assert!(epochs.starts_with(&[1, 2, 3, 4]), "{epochs:?}");
}

/// The messages of a stream, until it ends.
fn messages(mut subscriber: Subscriber) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(event) = subscriber.recv().unwrap() {
        match event {
            Event::Message(message) => messages.push(message.to_vec()),
            Event::Session(_) => {}
            Event::Gap { .. } => panic!("{event:?}"),
            Event::End(end) => assert!(end.is_whole(), "{end:?}"),
        }
    }
    messages
}

fn start(house: &House, address: SocketAddr, group: &str) -> Publisher {
    let builder = Publisher::builder(group.parse().unwrap());
    let builder = builder.admission(house.admission(address, ""));
    let builder = builder.interface("lo".parse().unwrap()).name("demo".parse().unwrap());
    builder.wait_for("1,30s".parse().unwrap()).start().unwrap()
}

#[test]
fn a_subscriber_joins_the_stream_that_the_operator_puts_it_into() {
    let (house, stop) = (House::new(1), Shutdown::new());
    let publisher = start(&house, "127.0.0.1:0".parse().unwrap(), "udp://239.255.41.64:5164");
    let admission = publisher.admission().unwrap().clone();
    let pattern = text(&house.desk.path("out-{stream}")).to_owned();
    let placed = |config: &mut client::Config| config.defaults.name = "placed".parse().unwrap();
    let by_token = house.by_token(admission.view().address);
    let asking = ask(by_token, Vec::new(), Some(pattern), placed, &stop);
    wait_until("it is not there", || {
        admission.view().subscribers.iter().any(|it| it.name == "placed")
    });
    admission.admit("placed", Some(&"demo".parse().unwrap())).unwrap();
    for number in 0..100_u32 {
        publisher.send(&number.to_be_bytes()).unwrap();
    }
    let sent = publisher.close().unwrap();
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(sent.streams[0].audience.len(), 1, "{sent:?}");
    wait_until("it has not all", || house.desk.read("out-demo").is_some());
    let all: Vec<u8> = (0..100_u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!(house.desk.read("out-demo"), Some(all));
    stop.request();
    let summary = asking.join().unwrap();
    assert!(summary.is_complete() && summary.exit_code() == 0, "{summary:?}");
}

#[test]
fn who_is_kicked_ends_with_an_error_that_says_so() {
    let (house, stop) = (House::new(1), Shutdown::new());
    let publisher = start(&house, "127.0.0.1:0".parse().unwrap(), "udp://239.255.41.65:5165");
    let admission = publisher.admission().unwrap().clone();
    let out = wanted("demo", &house.desk.path("out"));
    let named = |config: &mut client::Config| config.defaults.name = "victim".parse().unwrap();
    let asking = ask(house.by_token(admission.view().address), vec![out], None, named, &stop);
    publisher.send(b"something").unwrap();
    wait_until("nothing comes", || {
        let out = std::fs::metadata(house.desk.path("out.part"));
        out.is_ok_and(|out| out.len() > 0)
    });
    admission.kick("victim", None).unwrap();
    let summary = asking.join().unwrap();
    let [stream] = summary.streams.as_slice() else { panic!("{summary:?}") };
    assert!(stream.ended.to_string().contains("operator removed this subscriber"), "{summary:?}");
    assert_eq!(summary.exit_code(), 1);
    publisher.close().unwrap();
}

#[test]
fn a_publisher_that_was_restarted_lets_its_subscribers_in_anew() {
    let (house, stop, address) = (House::new(1), Shutdown::new(), free_port());
    let group = "udp://239.255.41.66:5166";
    let follows = |config: &mut client::Config| {
        config.defaults.sessions = Some(client::output::Sessions::Follow);
    };
    let out = wanted("demo", &house.desk.path("out"));
    let asking = ask(house.by_token(address), vec![out], None, follows, &stop);
    for (run, file) in [(1, "out"), (2, "out.2")] {
        let publisher = start(&house, address, group);
        publisher.send(format!("run {run}").as_bytes()).unwrap();
        let sent = publisher.close().unwrap();
        assert!(sent.is_complete() && sent.streams[0].audience.len() == 1, "run {run}: {sent:?}");
        wait_until("it has not all", || house.desk.read(file).is_some());
        assert_eq!(house.desk.read(file), Some(format!("run {run}").into_bytes()));
    }
    stop.request();
    assert_eq!(asking.join().unwrap().exit_code(), 0);
}

#[test]
fn a_program_around_the_library_is_let_in_or_told_why_not() {
    let house = House::new(1);
    let publisher = start(&house, "127.0.0.1:0".parse().unwrap(), "udp://239.255.41.67:5167");
    let address = publisher.admission().unwrap().view().address;
    let builder = |stream: &str| {
        let builder = Subscriber::admitted(stream.parse().unwrap(), house.by_token(address));
        builder.interface("lo".parse().unwrap())
    };
    let refused = builder("other").join().unwrap_err().to_string();
    assert!(refused.contains("no stream of this name"), "{refused}");
    let subscriber = builder("demo").join().unwrap();
    let taken = thread::spawn(move || messages(subscriber));
    publisher.send(b"hello").unwrap();
    assert!(publisher.close().unwrap().is_complete());
    assert_eq!(taken.join().unwrap(), [b"hello"]);
}
