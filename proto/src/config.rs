//! What a sender and a receiver are told before they start.

mod flow;

use std::time::Duration;

pub use flow::{Flow, SlowPolicy, SlowPolicyError};

use crate::seal::Keyring;
use crate::sign::{PublicKey, SigningKey};
use crate::wire::{Name, StreamMode};
use crate::{Bitrate, ByteCount, SessionId, StreamId, SubscriberId};

/// Whether a late packet is still wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Every byte, or an exact account of what is missing.
    #[default]
    Reliable,
    /// What did not come within this time of its first sending is passed over and reported.
    Timely(Duration),
}

/// Parity that is sent before anyone asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// So many packets for each block.
    Fixed(u8),
    /// As many as the reported loss asks for, on timely streams; none on reliable ones, where
    /// whoever lacks something asks.
    Auto {
        /// At least so many packets for each block.
        floor: u8,
        /// At most this share of a block.
        ceiling: Percent,
    },
}

impl Default for Ahead {
    fn default() -> Self {
        Self::Auto { floor: 0, ceiling: Percent(25) }
    }
}

/// Why a parity was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no parity: write packets for each block, 0 to 127, or auto")]
pub struct AheadError(String);

impl std::str::FromStr for Ahead {
    type Err = AheadError;

    fn from_str(text: &str) -> Result<Self, AheadError> {
        if text == "auto" {
            return Ok(Self::default());
        }
        let packets = text.parse().ok().filter(|packets| *packets < 128);
        packets.map(Self::Fixed).ok_or_else(|| AheadError(text.to_owned()))
    }
}

/// How many blocks are interleaved, so that a burst of loss takes little of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interleave {
    /// As many as the reported bursts of loss ask for.
    #[default]
    Auto,
    /// 2 to this power, 0 to 5.
    Fixed(u8),
}

impl Interleave {
    /// log2 of the depth before anything was reported.
    pub(crate) fn at_first(self) -> u8 {
        match self {
            Self::Auto => 0,
            Self::Fixed(depth_log2) => depth_log2.min(MAX_DEPTH_LOG2),
        }
    }
}

/// Why an interleaving depth was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no interleaving depth: write auto, 1, 2, 4, 8, 16 or 32")]
pub struct InterleaveError(String);

impl std::str::FromStr for Interleave {
    type Err = InterleaveError;

    fn from_str(text: &str) -> Result<Self, InterleaveError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let depth_log2 = (0..=MAX_DEPTH_LOG2).find(|log2| text == (1_u32 << log2).to_string());
        depth_log2.map(Self::Fixed).ok_or_else(|| InterleaveError(text.to_owned()))
    }
}

/// 32 blocks of 64 full packets are 3 MB: deeper ones would take longer than anybody waits.
pub(crate) const MAX_DEPTH_LOG2: u8 = 5;

/// A whole number of hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl Percent {
    /// This share of `whole`, rounded up.
    #[must_use]
    pub fn of(self, whole: u8) -> u8 {
        let share = (u32::from(whole) * u32::from(self.0)).div_ceil(100);
        u8::try_from(share).unwrap_or(u8::MAX)
    }
}

/// What a [`crate::Sender`] is told.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The stream.
    pub stream: StreamId,
    /// The session: random, new at every start.
    pub session: SessionId,
    /// When the publisher started, in microseconds of Unix time.
    pub started_us: u64,
    /// The stream's name.
    pub name: Name,
    /// How the payload is to be read.
    pub mode: StreamMode,
    /// Whether a late packet is still wanted.
    pub delivery: Delivery,
    /// Length of a full datagram, in bytes: UDP payload, headers of UDP and IP not counted.
    pub datagram_len: u16,
    /// What UDP, IP and Ethernet add to a datagram, in bytes: for the pacer and the counters.
    pub overhead_len: u16,
    /// Data packets in a full block, 1 to 128.
    pub k: u8,
    /// Parity that is sent before anyone asks.
    pub ahead: Ahead,
    /// How many blocks are interleaved.
    pub interleave: Interleave,
    /// `None`: as fast as the slowest kept subscriber takes it.
    pub rate: Option<Bitrate>,
    /// No burst takes longer than this on a wire of the stream's rate.
    pub burst: Duration,
    /// A message waits no longer than this for others to share its packet.
    pub linger: Duration,
    /// Whether the session's End will tell the SHA-256 of its payload: the announce says so, and
    /// subscribers compute it only then.
    pub is_hashed: bool,
    /// Payload that is kept for repair and late joiners.
    pub retain: ByteCount,
    /// Payload older than this is not kept, where given.
    pub retain_for: Option<Duration>,
    /// The first byte waits for this many proven subscribers…
    pub wait_for: u32,
    /// …or this long.
    pub wait_at_most: Duration,
    /// How long End is repeated for those who have not all.
    pub finish_timeout: Duration,
    /// How the rate is shared, and when who cannot follow is let go.
    pub flow: Flow,
    /// The shortest and the longest time between two heartbeats.
    pub heartbeat: (Duration, Duration),
    /// Seals what is sent, and opens what is heard; `None`: nothing is sealed.
    pub keys: Option<Keyring>,
    /// Signs what is sent; `None`: whoever can seal can speak as the publisher.
    pub sign: Option<SigningKey>,
    /// Seeds the cookie and the back-offs: 32 random bytes.
    pub seed: [u8; 32],
}

/// What of a [`SenderConfig`] may change while it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// `None`: as fast as the slowest kept subscriber takes it.
    pub rate: Option<Bitrate>,
    /// A message waits no longer than this for others to share its packet.
    pub linger: Duration,
    /// Payload that is kept for repair and late joiners.
    pub retain: ByteCount,
    /// Payload older than this is not kept, where given.
    pub retain_for: Option<Duration>,
    /// How long End is repeated for those who have not all.
    pub finish_timeout: Duration,
}

/// Where a receiver starts in a session that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what is sent next.
    #[default]
    Live,
    /// With the oldest packet that the publisher still has.
    Oldest,
}

/// What a [`crate::Receiver`] is told.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Who this is: random, new at every start.
    pub subscriber: SubscriberId,
    /// What it says is numbered from here. Who is the same for several receivers of one stream, one
    /// after the other, gives each numbers that none before it can have used.
    pub first_number: u64,
    /// What a person calls it.
    pub name: Name,
    /// The stream's name, if only that one is wanted; otherwise the first that is announced.
    pub stream: Option<Name>,
    /// Where to start in a session that is under way.
    pub start: Start,
    /// Overrides the announce's deadline.
    pub delivery: Option<Delivery>,
    /// Payload that may wait for a gap to close or for the output.
    pub window: ByteCount,
    /// Payload that the socket's buffer holds without loss: the credit that is given out.
    pub socket_buffer: ByteCount,
    /// No return path: nothing is ever sent.
    pub mute: bool,
    /// How often one gap is asked for before it is given up.
    pub max_tries: u32,
    /// A session is called silent after this without a datagram of it.
    pub silent_after: Duration,
    /// Opens what is heard, and seals what is said; `None`: nothing is sealed.
    pub keys: Option<Keyring>,
    /// Believes, and hands out, only what this key's owner signed; `None`: whatever is sealed.
    pub verify: Option<PublicKey>,
    /// Packets whose signature does not come are given up after this; on a timely stream after its
    /// deadline, if that is shorter.
    pub max_auth_delay: Duration,
    /// Unix time at its start, in microseconds. Used with a key and without a return path.
    pub unix_us: u64,
    /// How much older or newer than its own clock says a session's start may be, with a key and
    /// without a return path: there is no other way to tell it from a recording.
    pub max_clock_skew: Duration,
    /// Seeds the back-offs and the nonces: 32 random bytes.
    pub seed: [u8; 32],
}
