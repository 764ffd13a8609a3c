//! What a subscriber says, and what it is answered.
//!
//! Each of these starts with the subscriber's id, so that its key can be found before the rest
//! is opened.

use serde::{Deserialize, Serialize};

use super::list::{List, Name};
use super::number::numbered;
use crate::{Seq, SeqRange, SubscriberId, WireTime};

/// A run of data packets by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first one.
    pub first: Seq,
    /// How many; never 0 on the wire.
    pub count: u32,
}

impl Range {
    /// The run as the wire carries it; what passes 2^32 packets is cut off.
    #[must_use]
    pub fn from_seqs(seqs: SeqRange) -> Self {
        Self { first: seqs.first, count: u32::try_from(seqs.len()).unwrap_or(u32::MAX) }
    }

    /// The run as the state machines count.
    #[must_use]
    pub fn to_seqs(self) -> SeqRange {
        SeqRange::new(self.first, self.first.plus(u64::from(self.count)))
    }
}

/// So many more packets of a block, whichever they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// First seq of the block.
    pub block: Seq,
    /// How many more; never 0 on the wire.
    pub count: u8,
}

/// "I miss these."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nak {
    /// Who asks.
    pub subscriber: SubscriberId,
    /// Packets by name.
    pub ranges: List<Range, 64>,
    /// The same by count.
    pub needs: List<Need, 64>,
    /// Packets whose hashes are missing: those are asked for, not the packets.
    pub manifests: List<Range, 32>,
}

/// Packets that a subscriber did not get, by cause, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Datagrams lost before they reached the host: gaps in `number` less the kernel's drops.
    pub wire: u64,
    /// Datagrams that the socket's buffer had no room for.
    pub kernel: u64,
    /// Packets that the subscriber's own ring had no room for.
    pub ring: u64,
    /// Packets that came, or would have come, after their deadline.
    pub late: u64,
    /// Datagrams that were not authentic.
    pub unauthentic: u64,
}

/// Where a subscriber stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum ReportState {
    /// Follows the live stream.
    #[default]
    Live = 0,
    /// Is being given what it missed before it joined.
    CatchingUp = 1,
    /// Has everything up to the end.
    Complete = 2,
    /// Reached the end; some of it is lost for good.
    Incomplete = 3,
}

numbered!(ReportState { Live, CatchingUp, Complete, Incomplete });

/// "So far, so good."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who.
    pub subscriber: SubscriberId,
    /// Where it stands.
    pub state: ReportState,
    /// Credit: one past the newest packet that may be sent without overrunning it.
    pub limit: Seq,
    /// One past the newest packet it knows of.
    pub highest: Seq,
    /// The first packet it has not delivered.
    pub next: Seq,
    /// Data and repair packets received.
    pub received: u64,
    /// Packets got back by repair.
    pub repaired: u64,
    /// Packets got back from parity.
    pub recovered: u64,
    /// Packets given up.
    pub given_up: u64,
    /// Losses by cause.
    pub losses: Losses,
    /// Bursts of loss by length: 1, 2, 3–4, 5–8, 9 and more packets.
    pub bursts: [u32; 5],
    /// Datagrams that arrived marked "congestion experienced".
    pub ce: u32,
    /// Jitter of the inter-arrival time (RFC 3550 §6.4.1), in microseconds.
    pub jitter_us: u32,
    /// `sent_at` of the newest datagram of the sender that was seen.
    pub echo: WireTime,
    /// How long ago it was seen, in microseconds.
    pub hold_us: u32,
}

/// "I am here": asks for a cookie. Padded, so that the answer is not longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Who.
    pub subscriber: SubscriberId,
    /// What a person calls it.
    pub name: Name,
    /// To be sent back in an authentic announce; 0 if none is wanted.
    pub nonce: u128,
}

/// "Prove that you receive at that address."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieChallenge {
    /// Who asked.
    pub subscriber: SubscriberId,
    /// What to send back.
    pub cookie: u128,
}

/// "I do."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieReply {
    /// Who.
    pub subscriber: SubscriberId,
    /// The challenge's cookie.
    pub cookie: u128,
    /// What a person calls it.
    pub name: Name,
}

/// A late joiner asks for what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUpRequest {
    /// Who.
    pub subscriber: SubscriberId,
    /// The first packet it wants; the publisher starts at its trail if that is newer.
    pub from: Seq,
    /// One past the last packet it wants.
    pub to: Seq,
}

/// What of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUpAccept {
    /// Who asked.
    pub subscriber: SubscriberId,
    /// The first packet that will come.
    pub from: Seq,
    /// One past the last packet that will come.
    pub to: Seq,
    /// The oldest packet that can still be repaired.
    pub trail: Seq,
}

/// Why a subscriber leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum ByeReason {
    /// It has all it wanted.
    Done = 1,
    /// It was told to leave.
    Left = 2,
    /// It failed.
    Failed = 3,
}

numbered!(ByeReason { Done, Left, Failed });

/// "I leave."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Who.
    pub subscriber: SubscriberId,
    /// Why.
    pub reason: ByeReason,
    /// The first packet it has not delivered.
    pub next: Seq,
}
