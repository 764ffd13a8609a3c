//! A sender and a receiver as benches drive them without sockets; `tests/bench/memory.rs` does, too.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::config::{Ahead, Flow, Interleave, Start};
use proto::wire::StreamMode;
use proto::{
    Bitrate, ByteCount, Delivery, ReceiverConfig, SenderConfig, SessionId, StreamId, SubscriberId,
};

/// Waits for nobody; 10 Gbit/s.
pub(crate) fn sender() -> SenderConfig {
    SenderConfig {
        stream: StreamId(1),
        session: SessionId(1),
        started_us: 1,
        name: "bench".parse().unwrap_or_default(),
        mode: StreamMode::Bytes,
        delivery: Delivery::Reliable,
        datagram_len: LEN,
        overhead_len: 42,
        k: 64,
        ahead: Ahead::default(),
        interleave: Interleave::default(),
        rate: Some(Bitrate(10_000_000_000)),
        burst: Duration::from_micros(450),
        linger: Duration::ZERO,
        is_hashed: true,
        retain: ByteCount(16 << 20),
        retain_for: None,
        wait_for: 0,
        wait_at_most: Duration::ZERO,
        finish_timeout: Duration::from_secs(10),
        flow: Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys: None,
        sign: None,
        seed: [7; 32],
    }
}

/// Says nothing, and takes what is sent next.
pub(crate) fn receiver() -> ReceiverConfig {
    ReceiverConfig {
        subscriber: SubscriberId(1),
        first_number: 0,
        name: "bench".parse().unwrap_or_default(),
        stream: None,
        start: Start::Live,
        delivery: None,
        window: ByteCount(32 << 20),
        socket_buffer: ByteCount(4 << 20),
        mute: true,
        max_tries: 30,
        silent_after: Duration::from_secs(3),
        keys: None,
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: 0,
        max_clock_skew: Duration::from_secs(60),
        seed: [9; 32],
    }
}

/// Where the sender sends from.
pub(crate) fn source() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 5_000))
}

/// What 1500 bytes leave of an IPv4 packet.
pub(crate) const LEN: u16 = 1_472;

/// Datagrams in one send, as the publisher makes them of this length.
pub(crate) const SEGMENTS: usize = 44;
