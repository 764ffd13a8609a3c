//! A hostile host: what it can hear, what it makes of that, and what it says, in whoever's name.
//!
//! It hears all that the group is sent, and forges with the project's own encoder: packets that are
//! not sealed, and packets that are sealed with a key of its own, which real state machines write.

use std::{
    io::Read,
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use lab::net::Host;
use nix::sys::socket::{setsockopt, sockopt};
use proto::{
    ByteCount, Delivery, Receiver, ReceiverConfig, Sender, SenderConfig, Seq, SessionId,
    SubscriberId, Timestamp, WireTime,
    config::{Ahead, Flow, Interleave, Start},
    poll::Poll,
    receiver::Via,
    seal::Keyring,
    wire::{
        self, Announce, Body, Bye, ByeReason, CatchUpAccept, CatchUpRequest, Coded, CodedPrefix,
        CookieChallenge, CookieReply, End, Evict, EvictReason, Header, Heartbeat, KeyRequest,
        KeyUpdate, Kind, List, Manifest, Nak, Ncf, PacketHash, Range, Refused, RefusedReason,
        Register, StreamMode,
    },
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

/// The group's address in an endpoint.
pub(crate) fn address(endpoint: &str) -> SocketAddrV4 {
    let text = Path::new(endpoint).file_name().unwrap().to_str().unwrap();
    text.parse().unwrap()
}

/// A socket that has joined the group; to be made on the host.
pub(crate) fn listen(group: SocketAddrV4) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.bind(&SocketAddr::V4(group).into()).unwrap();
    socket.set_recv_buffer_size(32 << 20).unwrap();
    let index = nix::net::if_::if_nametoindex("eth0").unwrap();
    let interface = InterfaceIndexOrAddress::Index(index);
    socket.join_multicast_v4_n(group.ip(), &interface).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// What was heard of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// Where it came from.
    pub(crate) source: SocketAddrV4,
}

impl Recording {
    /// Hears for so long, and at least one datagram.
    pub(crate) fn of(ear: &UdpSocket, time: Duration) -> Self {
        let mut buffer = [0; 2048];
        let (mut datagrams, mut source) = (Vec::new(), None);
        let start = Instant::now();
        while source.is_none() || start.elapsed() < time {
            let (len, from) = ear.recv_from(&mut buffer).unwrap();
            let SocketAddr::V4(from) = from else { panic!("{from}") };
            source = Some(from);
            datagrams.push(buffer[..len].to_vec());
        }
        Self { datagrams, source: source.unwrap() }
    }

    /// The next datagram, if one comes within `time`.
    pub(crate) fn within(ear: &UdpSocket, time: Duration) -> Option<Self> {
        ear.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 2048];
        let (len, SocketAddr::V4(source)) = ear.recv_from(&mut buffer).ok()? else { return None };
        Some(Self { datagrams: vec![buffer[..len].to_vec()], source })
    }

    /// Hears for as long as there is something to hear.
    pub(crate) fn to_the_end(ear: &UdpSocket) -> Self {
        let mut recording = Self::of(ear, Duration::ZERO);
        ear.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
        let mut buffer = [0; 2048];
        while let Ok(len) = ear.recv(&mut buffer) {
            recording.datagrams.push(buffer[..len].to_vec());
        }
        ear.set_read_timeout(Some(PATIENCE)).unwrap();
        recording
    }

    /// The newest header, which is in clear.
    pub(crate) fn header(&self) -> Header {
        let newest = self.datagrams.last().unwrap();
        wire::decode_header(newest).unwrap().0
    }

    /// The newest packet, as headers in clear tell.
    pub(crate) fn lead(&self) -> Seq {
        let seqs = self.datagrams.iter().filter_map(|datagram| {
            // The fields of a block are in clear, what follows is not looked at.
            let (_, fields, _) = wire::decode_coded(datagram).ok()?;
            Some(fields.seq(Seq::ZERO))
        });
        seqs.max().unwrap_or_default()
    }
}

/// What subscribers tell the publisher: heard at its interface, as no host of a switch can.
pub(crate) fn hear_feedback(
    host: &Host,
    port: u16,
    time: Duration,
    mut meanwhile: impl FnMut(),
) -> Vec<Vec<u8>> {
    let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(ETH_P_IP)));
    let mut socket = host.run(open).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let (mut heard, mut buffer) = (Vec::new(), [0; 2048]);
    let start = Instant::now();
    while start.elapsed() < time {
        meanwhile();
        thread::sleep(Duration::from_millis(10));
        while let Ok(len) = socket.read(&mut buffer) {
            let (ip, udp) = (&buffer[..len], 4 * usize::from(buffer[0] & 0xf));
            let is_feedback = ip[9] == 17 && ip[udp + 2..udp + 4] == port.to_be_bytes();
            if is_feedback {
                heard.push(ip[udp + 8..].to_vec());
            }
        }
    }
    heard
}

/// Sends UDP in the name of any address.
#[derive(Debug)]
pub(crate) struct Voice(Socket);

impl Voice {
    /// To be made on the host.
    pub(crate) fn new() -> Self {
        let raw = Some(Protocol::from(libc::IPPROTO_RAW));
        let socket = Socket::new(Domain::IPV4, Type::RAW, raw).unwrap();
        socket.bind_device(Some(b"eth0")).unwrap();
        Self(socket)
    }

    /// Says this as if it came from there; false where the queue had no room for it.
    pub(crate) fn say(&self, payload: &[u8], from: SocketAddrV4, to: SocketAddrV4) -> bool {
        let udp_len = u16::try_from(payload.len() + 8).unwrap();
        let ip_len = (udp_len + 20).to_be_bytes();
        // Version and length, id, a lifetime of 1, UDP; the kernel fills in the sum of the header.
        let mut packet = vec![0x45, 0, ip_len[0], ip_len[1], 0, 0, 0, 0, 1, 17, 0, 0];
        packet.extend(from.ip().octets());
        packet.extend(to.ip().octets());
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(udp_len.to_be_bytes());
        // Over IPv4 a datagram need not have a sum.
        packet.extend([0, 0]);
        packet.extend(payload);
        self.0.send_to(&packet, &SockAddr::from(SocketAddr::V4(to))).is_ok()
    }
}

/// One packet of each kind that is not sealed, of the session that `header` is of.
pub(crate) fn unsealed(header: &Header, lead: Seq) -> Vec<Vec<u8>> {
    let number = header.number.saturating_add(50);
    bodies(lead, header.sent_at).into_iter().map(|body| encoded(header, number, body)).collect()
}

/// The same, that say they are sealed: noise stands where a tag would.
pub(crate) fn said_to_be_sealed(header: &Header, lead: Seq) -> Vec<Vec<u8>> {
    let with_tag = unsealed(header, lead).into_iter().map(|mut datagram| {
        datagram[3] = header.key_epoch.max(1);
        datagram.extend_from_slice(&[0x5a; 16]);
        datagram
    });
    with_tag.collect()
}

fn encoded(header: &Header, number: u64, body: Body) -> Vec<u8> {
    let header = Header { kind: body.kind(), flags: 0, key_epoch: 0, number, ..*header };
    let mut datagram = Vec::new();
    wire::encode(&wire::Packet { header, body }, &mut datagram);
    datagram
}

/// A body of each kind: lies that would harm.
fn bodies(lead: Seq, now: WireTime) -> Vec<Body> {
    let mut bodies = to_the_group(lead, now);
    bodies.extend(to_one(lead));
    bodies.extend(to_the_publisher(lead));
    assert_eq!(bodies.len(), Kind::ALL.len());
    bodies
}

fn to_the_group(lead: Seq, now: WireTime) -> Vec<Body> {
    let evil = |seq: Seq| {
        let prefix = CodedPrefix { len: 1_000, flags: 0, first_record: 0, first_sent: now };
        let body = [&prefix.to_bytes()[..], &[EVIL; 1_000]].concat();
        let index = u8::try_from(seq.0 % 64).unwrap();
        let block = Seq(seq.0 - seq.0 % 64).low();
        Coded { block, index, k: 0, depth_log2: 0, body: Bytes::from(body) }
    };
    let parity = Coded { index: 64, k: 64, ..evil(lead.minus(64)) };
    let all = Range { first: Seq(0), count: u32::MAX };
    let heartbeat = Heartbeat {
        trail: lead.plus(1_000),
        lead: lead.plus(1_000),
        last_block: lead,
        last_k: 1,
        next_ms: 0,
        grtt_us: u32::MAX,
        group_size: u8::MAX,
        poll: Poll::default(),
    };
    vec![
        Body::Data(evil(lead.plus(1))),
        Body::Parity(parity),
        Body::Repair(evil(lead.minus(1))),
        Body::Ncf(Ncf { ranges: List::truncated([all]), ..Ncf::default() }),
        Body::Refused(Refused {
            reason: RefusedReason::TooLate,
            trail: lead.plus(1_000),
            ranges: List::truncated([all]),
        }),
        Body::Heartbeat(heartbeat),
        Body::Announce(announce()),
        Body::End(End { lead, bytes: 1, sha256: Some([EVIL; 32]), aborted: false }),
        Body::Manifest(Manifest {
            first: lead.minus(64),
            started_us: u64::MAX,
            hashes: List::truncated([PacketHash([EVIL; 16]); 64]),
            signature: [EVIL; 64],
        }),
        Body::KeyUpdate(KeyUpdate {
            epoch: 2,
            from_number: 0,
            node: 1,
            wrapped: List::truncated([EVIL; 48]),
        }),
    ]
}

fn announce() -> Announce {
    Announce {
        started_us: u64::MAX / 2,
        name: "evil".parse().unwrap(),
        mode: StreamMode::Bytes,
        deadline_ms: 0,
        coded_len: 1_440,
        k: 64,
        trail: Seq(0),
        lead: Seq(0),
        rate_bps: 0,
        heartbeat_max_ms: 1_000,
        grtt_us: 1,
        group_size: 0,
        poll: Poll::default(),
        feedback: Some("10.255.255.254:9".parse().unwrap()),
        nonce_echo: None,
    }
}

fn to_one(lead: Seq) -> Vec<Body> {
    let (from, to, trail) = (lead, lead.plus(1_000), lead.plus(1_000));
    vec![
        Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: 1 }),
        Body::CatchUpAccept(CatchUpAccept { subscriber: WHO, from, to, trail }),
        Body::Evict(Evict { subscriber: WHO, reason: EvictReason::Kicked }),
    ]
}

fn to_the_publisher(lead: Seq) -> Vec<Body> {
    let name = || "evil".parse().unwrap();
    vec![
        Body::Nak(nak(lead, 1_000)),
        Body::Report(report(lead)),
        Body::Register(Register { subscriber: WHO, name: name(), nonce: 1 }),
        Body::CookieReply(CookieReply { subscriber: WHO, cookie: 1, name: name() }),
        Body::CatchUpRequest(CatchUpRequest { subscriber: WHO, from: Seq(0), to: lead }),
        Body::Bye(Bye { subscriber: WHO, reason: ByeReason::Done, next: lead }),
        Body::KeyRequest(KeyRequest { subscriber: WHO, have_epoch: 0, nonce: 1 }),
    ]
}

/// Becomes a subscriber, where that takes no key: asks, and gives the cookie back.
pub(crate) fn enrol(socket: &UdpSocket, header: &Header) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = || "evil".parse().unwrap();
    let register = Body::Register(Register { subscriber: WHO, name: name(), nonce: 1 });
    socket.send(&encoded(header, 0, register)).unwrap();
    let mut buffer = [0; 2048];
    let cookie = loop {
        let len = socket.recv(&mut buffer).unwrap();
        if let Ok(wire::Packet { body: Body::CookieChallenge(challenge), .. }) =
            wire::decode_said(&buffer[..len])
        {
            break challenge.cookie;
        }
    };
    let reply = Body::CookieReply(CookieReply { subscriber: WHO, cookie, name: name() });
    socket.send(&encoded(header, 1, reply)).unwrap();
}

/// Says goodbye, so that nobody waits for it; of what it said before much may still be under way.
pub(crate) fn leave(socket: &UdpSocket, header: &Header) {
    for number in 2..12 {
        let bye = Bye { subscriber: WHO, reason: ByeReason::Left, next: Seq(0) };
        let bye = encoded(header, number, Body::Bye(bye));
        setsockopt(socket, sockopt::UdpGsoSegment, &i32::try_from(bye.len()).unwrap()).unwrap();
        socket.send(&bye).ok();
        thread::sleep(Duration::from_millis(50));
    }
}

/// Asks for the last `count` packets.
pub(crate) fn nak(lead: Seq, count: u32) -> Nak {
    let first = lead.minus(u64::from(count));
    let ranges = List::truncated([Range { first, count }]);
    Nak { subscriber: WHO, ranges, needs: List::new(), manifests: List::new() }
}

fn report(lead: Seq) -> wire::Report {
    wire::Report {
        subscriber: WHO,
        state: wire::ReportState::Live,
        limit: Seq(0),
        highest: lead,
        next: Seq(0),
        received: 1,
        repaired: 0,
        recovered: 0,
        given_up: 0,
        losses: wire::Losses { wire: u64::MAX, kernel: u64::MAX, ..wire::Losses::default() },
        bursts: [u32::MAX; 5],
        ce: 0,
        jitter_us: 0,
        echo: WireTime(0),
        hold_us: 0,
    }
}

/// What a publisher with these keys sends in the session that `header` is of, and what a subscriber
/// of it says that lacks some: announces, heartbeats, data, parity, End; registrations, NAKs, reports.
pub(crate) fn sealed_with(keys: &Keyring, header: &Header, name: &str) -> [Vec<Vec<u8>>; 2] {
    let mut sender = Sender::new(sender_config(keys, header, name), Timestamp(0)).unwrap();
    let mut receiver = Receiver::new(receiver_config(keys), Timestamp(0));
    sender.push(Bytes::from(vec![EVIL; 200_000]), Timestamp(0)).unwrap();
    let [mut sent, mut said] = [Vec::new(), Vec::new()];
    let (publisher, subscriber) = (address("10.0.0.1:5000"), address("10.0.0.2:5000"));
    for millis in 1..3_000 {
        let now = Timestamp::from_millis(millis);
        if millis == 2_000 {
            sender.close(None, false, now);
        }
        sender.handle_timeout(now);
        let mut burst = Vec::new();
        while let Some(transmit) = sender.poll_transmit(now, 44, &mut burst) {
            for datagram in burst.chunks(transmit.segment_len) {
                sent.push(datagram.to_vec());
                if !sent.len().is_multiple_of(7) {
                    let via = Via::Group;
                    receiver.handle_datagram(&mut datagram.to_vec(), via, publisher.into(), now);
                }
            }
        }
        receiver.handle_timeout(now);
        let mut datagram = Vec::new();
        while receiver.poll_transmit(now, &mut datagram).is_some() {
            said.push(datagram.clone());
            sender.handle_datagram(&mut datagram.clone(), subscriber.into(), now);
        }
    }
    [sent, said]
}

fn sender_config(keys: &Keyring, header: &Header, name: &str) -> SenderConfig {
    SenderConfig {
        stream: header.stream,
        session: header.session,
        started_us: u64::MAX / 2,
        name: name.parse().unwrap(),
        mode: StreamMode::Bytes,
        delivery: Delivery::Reliable,
        datagram_len: 1_472,
        overhead_len: 42,
        k: 64,
        ahead: Ahead::Fixed(2),
        interleave: Interleave::default(),
        rate: Some("100M".parse().unwrap()),
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: true,
        retain: ByteCount(64 << 20),
        retain_for: None,
        wait_for: 0,
        wait_at_most: Duration::ZERO,
        finish_timeout: Duration::from_secs(1),
        flow: Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys: Some(keys.clone()),
        sign: None,
        seed: [1; 32],
    }
}

fn receiver_config(keys: &Keyring) -> ReceiverConfig {
    ReceiverConfig {
        subscriber: WHO,
        first_number: 0,
        name: "evil".parse().unwrap(),
        stream: None,
        start: Start::Oldest,
        delivery: None,
        window: ByteCount(32 << 20),
        socket_buffer: ByteCount(4 << 20),
        mute: false,
        max_tries: 30,
        silent_after: Duration::from_secs(3),
        keys: Some(keys.clone()),
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: 0,
        max_clock_skew: Duration::from_secs(60),
        seed: [2; 32],
    }
}

/// The session after this one, as a stranger would name it.
pub(crate) fn other_session(header: &Header) -> Header {
    Header { session: SessionId(header.session.0 ^ 1), ..*header }
}

/// Where the host itself speaks from.
pub(crate) fn own(host: &Host) -> SocketAddrV4 {
    SocketAddrV4::new(host.addr4(), 7_778)
}

/// What is in every payload that was forged.
const EVIL: u8 = 0xe1;
const WHO: SubscriberId = SubscriberId(0xe1e1);
/// All that is IPv4, in the byte order of a wire (`packet(7)`).
const ETH_P_IP: i32 = 0x0800_u16.to_be() as i32;
const PATIENCE: Duration = Duration::from_secs(10);
