//! A publisher for tests: the protocol's sender behind a socket on loopback.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::sender::Destination;
use proto::wire::StreamMode;
use proto::{Bitrate, ByteCount, Delivery, Sender, SenderConfig, SessionId, StreamId, Timestamp};
use socket2::SockRef;

/// What is sent, and how.
#[derive(Clone)]
pub struct Session {
    pub group: SocketAddrV4,
    pub payload: Vec<u8>,
    pub session: u64,
    /// Ends without a word after this much payload.
    pub die_after: Option<usize>,
    pub rate: Bitrate,
    /// Parity packets of each block before anyone asks.
    pub parity: u8,
    /// The first byte waits no longer for a subscriber.
    pub wait_at_most: Duration,
}

impl Session {
    pub fn new(group: SocketAddrV4, payload: Vec<u8>) -> Self {
        let rate = Bitrate(200_000_000);
        let wait_at_most = Duration::from_secs(20);
        Self { group, payload, session: 0x1234, die_after: None, rate, parity: 0, wait_at_most }
    }

    /// Sends it on a thread; joins when everyone has it, with how many datagrams it was sent.
    pub fn start(self) -> JoinHandle<u64> {
        thread::spawn(move || self.run())
    }

    fn run(self) -> u64 {
        let mut heard = 0;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        SockRef::from(&socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_micros(200))).unwrap();
        let started = Instant::now();
        let now = || Timestamp(started.elapsed().as_nanos() as u64);
        let mut sender = Sender::new(self.config(), now()).unwrap();
        let (mut payload, mut sent) = (Bytes::from(self.payload.clone()), 0);
        let (mut burst, mut buf) = (Vec::new(), vec![0; 65_536]);
        while !sender.is_finished() {
            assert!(started.elapsed() < Duration::from_secs(60), "the test publisher hangs");
            while sender.has_room() && !payload.is_empty() {
                let chunk = payload.split_to(payload.len().min(16 * 1024));
                sent += chunk.len();
                sender.push(chunk, now()).unwrap();
                if payload.is_empty() {
                    sender.close(Some(self.sha256()), false, now());
                }
            }
            if self.die_after.is_some_and(|limit| sent >= limit) && sender.is_started() {
                return heard;
            }
            burst.clear();
            while let Some(transmit) = sender.poll_transmit(now(), 16, &mut burst) {
                let to = match transmit.destination {
                    Destination::Group => SocketAddr::V4(self.group),
                    Destination::Unicast(to) => to,
                };
                for datagram in burst.chunks(transmit.segment_len) {
                    socket.send_to(datagram, to).unwrap();
                }
                burst.clear();
            }
            if let Ok((len, from)) = socket.recv_from(&mut buf) {
                heard += 1;
                sender.handle_datagram(&mut buf[..len], from, now());
            }
            if sender.poll_timeout().is_some_and(|(due, _)| due <= now()) {
                sender.handle_timeout(now());
            }
            while sender.poll_event().is_some() {}
        }
        heard
    }

    fn sha256(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.payload);
        digest.as_ref().try_into().unwrap()
    }

    fn config(&self) -> SenderConfig {
        SenderConfig {
            stream: StreamId::of_name("test"),
            session: SessionId(self.session),
            started_us: self.session,
            name: "test".parse().unwrap(),
            mode: StreamMode::Bytes,
            delivery: Delivery::Reliable,
            datagram_len: 1_400,
            overhead_len: 42,
            k: 32,
            ahead: proto::config::Ahead::Fixed(self.parity),
            interleave: proto::config::Interleave::default(),
            rate: Some(self.rate),
            burst: Duration::from_micros(450),
            linger: Duration::ZERO,
            is_hashed: true,
            retain: ByteCount(64 * 1024 * 1024),
            retain_for: None,
            wait_for: 1,
            wait_at_most: self.wait_at_most,
            finish_timeout: Duration::from_secs(10),
            flow: proto::config::Flow::default(),
            heartbeat: (Duration::from_millis(10), Duration::from_millis(500)),
            keys: None,
            sign: None,
            seed: [7; 32],
        }
    }
}

/// Bytes that no other length has at the same place.
pub fn payload(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(len as u64);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}
