//! What a world is made of.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::config::{Ahead, Interleave};
use proto::poll::Poll;
use proto::wire::StreamMode;
use proto::{
    Bitrate, ByteCount, Delivery, ReceiverConfig, Sender, SenderConfig, SessionId, StreamId,
    SubscriberId, Timestamp,
};

use super::Link;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many receivers there are from the beginning.
    pub receivers: usize,
    /// How many more there are that are not simulated one by one; they lose what the others lose.
    pub crowd: u64,
    /// Only ids that register where one in 2^n does: the others are the crowd's.
    pub enrolled_at: u8,
    /// What lies between the sender and each of them.
    pub link: Link,
    /// The stream's rate; `None` is `auto`.
    pub rate: Option<Bitrate>,
    /// Whether a late packet is still wanted.
    pub delivery: Delivery,
    /// What the sender keeps.
    pub retain: ByteCount,
    /// What each receiver's socket holds.
    pub socket_buffer: ByteCount,
    /// Parity that is sent before anyone asks.
    pub ahead: Ahead,
    /// How many blocks are interleaved.
    pub interleave: Interleave,
    /// Receivers have no return path.
    pub mute: bool,
    /// How much each receiver's clock goes wrong, in millionths: those of even number are fast, the
    /// others slow.
    pub clock_ppm: u32,
    /// How long End is repeated for those who are not getting on.
    pub finish_timeout: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            receivers: 10,
            crowd: 0,
            enrolled_at: 0,
            link: Link::default(),
            rate: Some(Bitrate(100_000_000)),
            delivery: Delivery::Reliable,
            retain: ByteCount(64 << 20),
            socket_buffer: ByteCount(8 << 20),
            ahead: Ahead::default(),
            interleave: Interleave::default(),
            mute: false,
            clock_ppm: 0,
            finish_timeout: Duration::from_secs(10),
        }
    }
}

pub(super) fn new_sender(
    plan: &Plan,
    template: &SenderConfig,
    session: u64,
    now: Timestamp,
) -> Sender {
    let config = SenderConfig {
        session: SessionId(plan.seed.rotate_left(17) ^ session),
        started_us: session,
        ..template.clone()
    };
    #[expect(clippy::expect_used, reason = "who makes it special makes it valid")]
    Sender::new(config, now).expect("a valid configuration")
}

pub(super) fn sender_config(plan: &Plan) -> SenderConfig {
    SenderConfig {
        stream: StreamId(1),
        session: SessionId(0),
        started_us: 0,
        name: "simulated".parse().unwrap_or_default(),
        mode: StreamMode::Bytes,
        delivery: plan.delivery,
        datagram_len: 1_472,
        overhead_len: super::OVERHEAD,
        k: 64,
        ahead: plan.ahead,
        interleave: plan.interleave,
        rate: plan.rate,
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: true,
        retain: plan.retain,
        retain_for: None,
        wait_for: u32::try_from(plan.receivers).unwrap_or(u32::MAX).min(WAIT_FOR),
        wait_at_most: Duration::from_secs(2),
        finish_timeout: plan.finish_timeout,
        flow: proto::config::Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys: None,
        sign: None,
        seed: [7; 32],
    }
}

/// The first id from `from` that registers where the plan wants it to.
pub(super) fn next_id(plan: &Plan, from: u128) -> SubscriberId {
    let poll = Poll { enrol: plan.enrolled_at, ..Poll::default() };
    (from..).map(SubscriberId).find(|id| poll.enrols(*id)).unwrap_or_default()
}

pub(super) fn receiver_config(plan: &Plan, id: SubscriberId, seed: u64) -> ReceiverConfig {
    let mut bytes = [0; 32];
    for (byte, seed) in bytes.iter_mut().zip(seed.to_be_bytes()) {
        *byte = seed;
    }
    ReceiverConfig {
        subscriber: id,
        first_number: 0,
        name: format!("r{}", id.0 - 1).parse().unwrap_or_default(),
        stream: None,
        start: proto::config::Start::Oldest,
        delivery: None,
        window: ByteCount(32 << 20),
        socket_buffer: plan.socket_buffer,
        mute: plan.mute,
        max_tries: 30,
        silent_after: Duration::from_secs(3),
        keys: None,
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: 0,
        max_clock_skew: Duration::from_secs(60),
        seed: bytes,
    }
}

pub(super) fn source_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 5_000))
}

pub(super) fn address_of(number: usize) -> SocketAddr {
    let host = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(0x0a01_0000);
    SocketAddr::from((Ipv4Addr::from(host), 6_000))
}

/// Everybody of the crowd speaks from a host of its own.
pub(super) fn crowd_address(number: u64) -> SocketAddr {
    let host = u32::try_from(number % (1 << 23)).unwrap_or(0);
    SocketAddr::from((Ipv4Addr::from(0x0a80_0000 | host), 6_000))
}

/// A sender need not know everybody by name before it begins.
const WAIT_FOR: u32 = 128;
