//! What a publisher says of its session.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::feedback::{Need, Range};
use super::fixed;
use super::list::{List, Name};
use super::number::numbered;
use crate::poll::Poll;
use crate::{Seq, SubscriberId};

/// How the payload is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum StreamMode {
    /// A stream of bytes; packets are cut where it suits the sender.
    #[default]
    Bytes = 0,
    /// Messages; boundaries are kept, a long one spans packets, short ones may share one.
    Messages = 1,
}

numbered!(StreamMode { Bytes, Messages });

/// "This is the session": by this alone a session is adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// When the publisher started, in microseconds of Unix time: the newer session wins.
    pub started_us: u64,
    /// The stream's name.
    pub name: Name,
    /// How the payload is to be read.
    pub mode: StreamMode,
    /// How long after its first sending a packet is still wanted, in milliseconds; 0: always
    /// (a reliable stream).
    pub deadline_ms: u32,
    /// Length of a full coded body, in bytes: every data and parity packet has at most this.
    pub coded_len: u16,
    /// Data packets in a full block.
    pub k: u8,
    /// The oldest packet that can still be repaired.
    pub trail: Seq,
    /// One past the newest packet that was sent.
    pub lead: Seq,
    /// The rate, in bits per second of wire; 0: as fast as the audience takes it.
    pub rate_bps: u64,
    /// The longest time between two heartbeats, in milliseconds.
    pub heartbeat_max_ms: u16,
    /// Group round-trip time, in microseconds.
    pub grtt_us: u32,
    /// Size of the audience, on the scale of [`crate::grtt::GroupSize`].
    pub group_size: u8,
    /// Who of the audience is to speak.
    pub poll: Poll,
    /// Where feedback goes, if not to the source of the session's datagrams.
    #[serde(with = "fixed::address")]
    pub feedback: Option<SocketAddr>,
    /// A fresh subscriber's nonce, sent back so that it knows this is no replay.
    pub nonce_echo: Option<u128>,
}

/// "Still here, up to here": also the probe for the group round-trip time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The oldest packet that can still be repaired.
    pub trail: Seq,
    /// One past the newest packet that was sent.
    pub lead: Seq,
    /// First seq of the last closed block, and its k; k = 0 if none was closed yet.
    pub last_block: Seq,
    /// Data packets of that block.
    pub last_k: u8,
    /// Time to the next heartbeat if nothing else is sent, in milliseconds.
    pub next_ms: u16,
    /// Group round-trip time, in microseconds.
    pub grtt_us: u32,
    /// Size of the audience, on the scale of [`crate::grtt::GroupSize`].
    pub group_size: u8,
    /// Who of the audience is to speak.
    pub poll: Poll,
}

/// "Asked for already: wait."
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ncf {
    /// Packets by name.
    pub ranges: List<Range, 64>,
    /// Packets by count.
    pub needs: List<Need, 64>,
}

/// Why packets will not be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum RefusedReason {
    /// They left the transmit window.
    TooLate = 1,
    /// The share of the rate that repair may use is spent.
    OverBudget = 2,
}

numbered!(RefusedReason { TooLate, OverBudget });

/// "These will not be repaired."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
    /// The oldest packet that can still be repaired.
    pub trail: Seq,
    /// Packets by name.
    pub ranges: List<Range, 64>,
}

/// Why a subscriber was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum EvictReason {
    /// It held the others back for too long.
    Slow = 1,
    /// It said nothing for too long.
    Silent = 2,
    /// The operator removed it.
    Kicked = 3,
    /// There is no room for it.
    Full = 4,
    /// It was not admitted.
    Refused = 5,
}

numbered!(EvictReason { Slow, Silent, Kicked, Full, Refused });

impl EvictReason {
    /// As metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Kicked => "kicked",
            Self::Full => "full",
            Self::Refused => "refused",
        }
    }

    /// Whether who was let go for this may come back.
    #[must_use]
    pub fn may_return(self) -> bool {
        matches!(self, Self::Slow | Self::Silent)
    }
}

/// "You are let go."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evict {
    /// Who.
    pub subscriber: SubscriberId,
    /// Why.
    pub reason: EvictReason,
}

/// "That was all": what complete means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// One past the last packet of the session.
    pub lead: Seq,
    /// Bytes of payload in the whole stream, without the lengths of records.
    pub bytes: u64,
    /// SHA-256 of the payload, if the publisher sent all of it from the beginning.
    pub sha256: Option<[u8; 32]>,
    /// The publisher was stopped before its input ended.
    pub aborted: bool,
}
