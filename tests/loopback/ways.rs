//! Streams that go out by unicast, by TCP, and several ways at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use proto::Timestamp;

use super::*;

fn waits_for(subscribers: u32, flags: StreamFlags) -> StreamFlags {
    StreamFlags { wait_for: Some(format!("{subscribers},20s").parse().unwrap()), ..flags }
}

fn whole(desk: &Desk, received: &client::Summary, name: &str) {
    assert!(received.is_complete() && received.exit_code() == 0, "{name}: {received:?}");
    assert_eq!(desk.read(name).as_ref(), Some(&desk.source), "{name}");
}

/// Sends a file to one endpoint, and two subscribers ask for it there.
fn to_two(endpoint: &str, impair: Option<&str>) -> (server::Summary, [client::Summary; 2]) {
    let (desk, stop) = (Desk::new(3_000_001), Shutdown::new());
    let start = |name| {
        let of = subscription(endpoint, text(&desk.path(name)), &defaults(impair));
        subscribe(vec![of], &stop)
    };
    let subscribers = ["one", "two"].map(start);
    let flags = waits_for(2, stream(text(&desk.path("source")), endpoint));
    let sent = publish(vec![flags], &stop).join().unwrap();
    let received = subscribers.map(|subscriber| subscriber.join().unwrap());
    for (name, received) in ["one", "two"].iter().zip(&received) {
        whole(&desk, received, name);
    }
    assert!(sent.is_complete(), "{sent:?}");
    (sent, received)
}

#[test]
fn by_unicast_each_has_a_copy_of_its_own() {
    let (sent, _) = to_two("unicast://127.0.0.1:5061", None);
    let stream = &sent.streams[0];
    assert!(stream.sent.iter().all(|sent| sent.mode == "unicast"), "{:?}", stream.sent);
    assert!(stream.egress_bytes > 6_000_002 && stream.egress_bytes < 6_600_000, "{stream:?}");
}

#[test]
fn by_unicast_what_is_lost_is_mended() {
    let (_, received) = to_two("unicast://127.0.0.1:5062", Some("loss=3%,burst=2,seed=5"));
    for received in &received {
        assert!(received.totals().repaired_packets > 20, "{received:?}");
    }
}

#[test]
fn by_tcp_each_has_a_connection_of_its_own() {
    let (sent, received) = to_two("tcp://127.0.0.1:5063", None);
    let stream = &sent.streams[0];
    assert!(stream.sent.iter().all(|sent| sent.mode == "tcp"), "{:?}", stream.sent);
    assert!(stream.egress_bytes > 6_000_002, "{stream:?}");
    for received in &received {
        let totals = received.totals();
        assert_eq!((totals.lost_packets, totals.missed_packets), (0, 0), "{received:?}");
    }
}

#[test]
fn one_session_goes_out_several_ways_at_once() {
    let (desk, stop) = (Desk::new(2_000_003), Shutdown::new());
    let ways = ["udp://239.255.41.9:5064", "unicast://127.0.0.1:5065", "tcp://127.0.0.1:5066"];
    let names = ["group", "unicast", "tcp"];
    let subscribers: Vec<_> = ways
        .iter()
        .zip(names)
        .map(|(way, name)| {
            subscribe(vec![subscription(way, text(&desk.path(name)), &defaults(None))], &stop)
        })
        .collect();
    let first = waits_for(3, stream(text(&desk.path("source")), ways[0]));
    let to = ways.map(|way| way.parse().unwrap()).to_vec();
    let sent = publish(vec![StreamFlags { to, ..first }], &stop).join().unwrap();
    for (subscriber, name) in subscribers.into_iter().zip(names) {
        whole(&desk, &subscriber.join().unwrap(), name);
    }
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(sent.streams[0].audience.len(), 3, "{sent:?}");
}

#[test]
fn a_group_that_is_not_heard_is_replaced_by_the_fallback() {
    let (desk, stop) = (Desk::new(1_000_003), Shutdown::new());
    let mut of = subscription("udp://239.255.41.10:5067", text(&desk.path("out")), &defaults(None));
    of.fallback = Some("tcp://127.0.0.1:5068".parse().unwrap());
    of.defaults.fallback_after = Duration::from_millis(300);
    let received = subscribe(vec![of], &stop);
    let flags = waits_for(1, stream(text(&desk.path("source")), "tcp://127.0.0.1:5068"));
    let sent = publish(vec![flags], &stop).join().unwrap();
    let received = received.join().unwrap();
    whole(&desk, &received, "out");
    assert!(sent.is_complete(), "{sent:?}");
    let totals = received.totals();
    assert_eq!((totals.switches_to_fallback, totals.switches_to_group), (1, 0));
}

/// A subscriber that says what it must to become known, and then reads nothing for a while.
struct Sleeper {
    receiver: proto::Receiver,
    stream: TcpStream,
    publisher: SocketAddr,
    unread: Vec<u8>,
    started: Instant,
}

impl Sleeper {
    fn connect(publisher: &str) -> Self {
        let publisher: SocketAddr = publisher.parse().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match TcpStream::connect(publisher) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        let config = proto::ReceiverConfig {
            subscriber: proto::SubscriberId(77),
            first_number: 0,
            name: "sleeper".parse().unwrap(),
            stream: None,
            start: proto::config::Start::Oldest,
            delivery: None,
            window: proto::ByteCount(1 << 20),
            socket_buffer: proto::ByteCount(1 << 20),
            mute: false,
            max_tries: 5,
            silent_after: Duration::from_secs(60),
            keys: None,
            verify: None,
            max_auth_delay: Duration::from_secs(10),
            unix_us: 0,
            max_clock_skew: Duration::from_secs(60),
            seed: [7; 32],
        };
        let mut receiver = proto::Receiver::new(config, Timestamp::ZERO);
        receiver.ask_by_unicast(Some(publisher), Timestamp::ZERO);
        Self { receiver, stream, publisher, unread: Vec::new(), started: Instant::now() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO.after(self.started.elapsed())
    }

    /// Says what there is to say.
    fn speak(&mut self) {
        let now = self.now();
        self.receiver.handle_timeout(now);
        let mut datagram = Vec::new();
        while self.receiver.poll_transmit(now, &mut datagram).is_some() {
            let len = u16::try_from(datagram.len()).unwrap();
            self.stream.write_all(&len.to_be_bytes()).unwrap();
            self.stream.write_all(&datagram).unwrap();
        }
    }

    /// Reads once; gives back the whole frames, none at the end.
    fn read(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut piece = vec![0; 1 << 16];
        // A connection that the other side has closed with something unread may be reset.
        let read = self.stream.read(&mut piece).unwrap_or(0);
        self.unread.extend_from_slice(&piece[..read]);
        let mut frames = Vec::new();
        while let Some(len) = self.unread.first_chunk::<2>() {
            let end = 2 + usize::from(u16::from_be_bytes(*len));
            if self.unread.len() < end {
                break;
            }
            frames.push(self.unread.drain(..end).skip(2).collect());
        }
        (read > 0).then_some(frames)
    }

    fn become_known(&mut self) {
        while self.receiver.session().is_none() {
            self.speak();
            for mut frame in self.read().unwrap() {
                let (via, now) = (proto::receiver::Via::Feedback, self.now());
                self.receiver.handle_datagram(&mut frame, via, self.publisher, now);
            }
        }
    }
}

#[test]
fn a_connection_that_takes_nothing_is_let_go_and_stalls_nobody() {
    // More than the kernel's buffers and the queue of a connection hold together.
    let (desk, stop) = (Desk::new(48_000_000), Shutdown::new());
    let endpoint = "tcp://127.0.0.1:5069";
    let of = subscription(endpoint, text(&desk.path("out")), &defaults(None));
    let received = subscribe(vec![of], &stop);
    let flags = StreamFlags {
        rate: Some("200M".parse().unwrap()),
        finish_timeout: Some(Duration::from_secs(1)),
        ..waits_for(2, stream(text(&desk.path("source")), endpoint))
    };
    let sent = publish(vec![flags], &stop);
    let mut sleeper = Sleeper::connect("127.0.0.1:5069");
    sleeper.become_known();
    whole(&desk, &received.join().unwrap(), "out");
    let mut last = Vec::new();
    while let Some(frames) = sleeper.read() {
        last = frames.last().cloned().unwrap_or(last);
    }
    let sent = sent.join().unwrap();
    assert_eq!(sent.streams[0].unfinished, ["sleeper"], "{sent:?}");
    let (header, _) = proto::wire::decode_header(&last).unwrap();
    assert_eq!(header.kind, proto::wire::Kind::Evict, "told why, last of all");
}
