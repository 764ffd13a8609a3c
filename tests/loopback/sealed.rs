//! Sealed streams over real sockets.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use host::key_file;
use proto::seal::{Key, Keyring};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::*;

fn with_key(byte: u8, impair: Option<&str>) -> Defaults {
    let keys = Some(Keyring::of_group(Key::new([byte; 32])));
    Defaults { keys, ..defaults(impair) }
}

/// A stream that is sealed with the key of a file.
fn sealed(desk: &Desk, byte: u8, endpoint: &str) -> StreamFlags {
    let key = desk.path(&format!("key-{byte}"));
    if !key.exists() {
        key_file::create(&key, &Key::new([byte; 32])).unwrap();
    }
    StreamFlags { key: Some(key), ..stream(text(&desk.path("source")), endpoint) }
}

/// The reasons for which it discarded something.
fn reasons(received: &client::Summary) -> Vec<String> {
    received.totals().discarded.into_keys().collect()
}

#[test]
fn a_sealed_stream_arrives_whole_whichever_way_it_goes_and_whatever_is_lost() {
    let (desk, stop) = (Desk::new(2_000_003), Shutdown::new());
    let ways = ["udp://239.255.41.20:5070", "unicast://127.0.0.1:5071", "tcp://127.0.0.1:5072"];
    let names = ["group", "unicast", "tcp"];
    let losses = [Some("loss=3%,seed=3"), Some("loss=3%,seed=4"), None];
    let mut subscribers = Vec::new();
    for ((way, name), loss) in ways.iter().zip(names).zip(losses) {
        let of = subscription(way, text(&desk.path(name)), &with_key(1, loss));
        subscribers.push(subscribe(vec![of], &stop));
    }
    let flags = StreamFlags {
        to: ways.map(|way| way.parse().unwrap()).to_vec(),
        wait_for: Some("3,20s".parse().unwrap()),
        ..sealed(&desk, 1, ways[0])
    };
    let sent = publish(vec![flags], &stop).join().unwrap();
    for (subscriber, name) in subscribers.into_iter().zip(names) {
        let received = subscriber.join().unwrap();
        assert!(received.is_complete() && received.exit_code() == 0, "{name}: {received:?}");
        assert_eq!(desk.read(name).as_ref(), Some(&desk.source), "{name}");
        let forged = reasons(&received).iter().any(|reason| reason == "forged");
        assert!(!forged, "{name}: {received:?}");
    }
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(sent.streams[0].audience.len(), 3, "{sent:?}");
}

/// A subscriber that is to hear nothing of a sealed stream; gives what it says.
fn left_out(endpoint: &str, defaults: Defaults) -> (Desk, server::Summary, client::Summary) {
    let (desk, stop) = (Desk::new(100_000), Shutdown::new());
    let defaults = Defaults { silent_timeout: Duration::from_millis(500), ..defaults };
    let of = subscription(endpoint, text(&desk.path("out")), &defaults);
    let received = subscribe(vec![of], &stop);
    let flags =
        StreamFlags { wait_for: Some("1,2s".parse().unwrap()), ..sealed(&desk, 1, endpoint) };
    let sent = publish(vec![flags], &stop).join().unwrap();
    (desk, sent, received.join().unwrap())
}

fn assert_left_out(endpoint: &str, defaults: Defaults, why: &str) {
    let (desk, sent, received) = left_out(endpoint, defaults);
    let stream = &received.streams[0];
    assert!(stream.ended.to_string().contains(why), "{received:?}");
    assert_eq!(received.exit_code(), 1, "{received:?}");
    assert_eq!((stream.totals.delivered_bytes, stream.totals.sessions), (0, 0), "{received:?}");
    assert_eq!((desk.read("out"), stream.stream.as_ref()), (None, None));
    assert!(sent.streams[0].audience.is_empty(), "{sent:?}");
    assert!(sent.streams[0].sent.iter().all(|sent| sent.to == "group"), "nobody is answered");
}

#[test]
fn who_has_another_key_hears_nothing_and_ends_with_the_reason() {
    let why = "it does not open with this key: the publisher has another key";
    assert_left_out("udp://239.255.41.21:5073", with_key(2, None), why);
}

#[test]
fn who_has_no_key_hears_nothing_and_ends_with_the_reason() {
    let why = "it is sealed, and there is no key here: start with the publisher's key, --key FILE";
    assert_left_out("udp://239.255.41.22:5074", defaults(None), why);
}

/// Hears all that a group is sent, as anybody can, and sends it again.
struct Attacker {
    group: SocketAddrV4,
    out: UdpSocket,
    stop: Arc<AtomicBool>,
    recording: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Attacker {
    fn start(group: SocketAddrV4) -> Self {
        let out = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        SockRef::from(&out).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let own = out.local_addr().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::V4(group).into()).unwrap();
        socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let socket = UdpSocket::from(socket);
        let (stop, recording) = (Arc::default(), Arc::default());
        let (is_over, heard) = (Arc::<AtomicBool>::clone(&stop), Arc::clone(&recording));
        thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
                let heard: &Mutex<Vec<Vec<u8>>> = &heard;
                if from != own {
                    heard.lock().unwrap().push(datagram[..len].to_vec());
                }
            }
        });
        Self { group, out, stop, recording }
    }

    fn recorded(&self) -> usize {
        self.recording.lock().unwrap().len()
    }

    /// Sends all again that was recorded by now; then lets the others take a turn.
    fn replay(&self) {
        let recording = self.recording.lock().unwrap().clone();
        for datagram in recording {
            // One that finds no room is no harm: there are others.
            drop(self.out.send_to(&datagram, self.group));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_recording_is_not_believed_in_its_session_nor_in_another_nor_after_a_restart() {
    let group: SocketAddrV4 = "239.255.41.23:5075".parse().unwrap();
    let endpoint = format!("udp://{group}");
    let (desk, stop) = (Desk::new(300_000), Shutdown::new());
    let attacker = Attacker::start(group);
    let to = |name: &str, defaults: &Defaults| {
        subscribe(vec![subscription(&endpoint, text(&desk.path(name)), defaults)], &stop)
    };
    let received = to("first", &with_key(1, None));
    let sent = publish(vec![sealed(&desk, 1, &endpoint)], &stop).join().unwrap();
    assert!(sent.is_complete() && received.join().unwrap().is_complete(), "{sent:?}");
    let recorded = attacker.recorded();
    assert!(recorded > 100, "{recorded}");

    // A subscriber that has just started, while no publisher is there.
    let silent_timeout = Duration::from_millis(1_500);
    let fresh = to("fresh", &Defaults { silent_timeout, ..with_key(1, None) });
    while !fresh.is_finished() {
        attacker.replay();
    }
    let fresh = fresh.join().unwrap();
    let ended = fresh.streams[0].ended.to_string();
    assert!(ended.contains("does not answer whether it is there"), "{fresh:?}");
    assert_eq!((fresh.totals().delivered_bytes, fresh.totals().sessions), (0, 0), "{fresh:?}");
    assert_eq!(desk.read("fresh"), None);

    // Among what a publisher sends that was restarted, and what it has just sent.
    let received = to("second", &with_key(1, None));
    let slow = StreamFlags { rate: Some("4M".parse().unwrap()), ..sealed(&desk, 1, &endpoint) };
    let sent = publish(vec![slow], &stop);
    while !sent.is_finished() {
        attacker.replay();
    }
    let (sent, received) = (sent.join().unwrap(), received.join().unwrap());
    assert!(sent.is_complete() && received.is_complete(), "{sent:?} {received:?}");
    assert_eq!(desk.read("second").as_ref(), Some(&desk.source));
    assert!(reasons(&received).iter().any(|reason| reason == "replayed"), "{received:?}");
    assert!(attacker.recorded() > recorded);
}
