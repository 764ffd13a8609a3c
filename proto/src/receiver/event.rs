//! What a receiver has to tell, and what it hands out.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::row::Row;
use crate::seal::Cause;
use crate::wire::{EvictReason, Name, StreamMode};
use crate::{Delivery, Seq, SeqRange, SessionId, StreamId};

/// The next thing in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// A session begins; what follows is of it. Boxed, so that payload is moved and not this.
    Session(Box<SessionInfo>),
    /// Bytes of a stream of bytes.
    Payload(Payload),
    /// Messages of a stream of messages.
    Row(Row),
    /// Packets that will not come.
    Gap(Gap),
    /// The session is over.
    End(Ending),
}

/// A session that was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// When the publisher started, in microseconds of Unix time.
    pub started_us: u64,
    /// The stream's name.
    pub name: Name,
    /// How the payload is to be read.
    pub mode: StreamMode,
    /// Whether its End will tell the SHA-256 of the payload.
    pub is_hashed: bool,
    /// Whether a late packet is still wanted.
    pub delivery: Delivery,
    /// Where it comes from.
    pub source: SocketAddr,
    /// Whether another session was followed before.
    pub restart: bool,
    /// The first packet that will be handed out.
    pub first: Seq,
    /// What was sent before it and is not to be had.
    pub missed: Option<SeqRange>,
}

/// Payload in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The packets it came in.
    pub range: SeqRange,
    /// Bytes of the stream.
    pub bytes: Bytes,
    /// Time since the first of the packets was first sent, by the smallest clock offset seen: zero is the
    /// fastest way a packet ever took.
    pub delay: Duration,
}

/// Packets that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which.
    pub range: SeqRange,
    /// Why.
    pub cause: GapCause,
}

/// Why packets will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapCause {
    /// They were asked for as often as is allowed, and nobody answered.
    Unanswered,
    /// They had left the publisher's window.
    LeftWindow,
    /// Their deadline passed.
    Deadline,
    /// They came, and in time no signature for them.
    Unverified,
    /// They came, and the output was too slow to take them; a receiver never says this itself.
    Ring,
}

impl GapCause {
    /// As metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::LeftWindow => "left_window",
            Self::Deadline => "deadline",
            Self::Unverified => "unverified",
            Self::Ring => "ring",
        }
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unanswered => "asked for, never answered",
            Self::LeftWindow => "no longer kept by the publisher",
            Self::Deadline => "past the deadline",
            Self::Unverified => "no signature came for them",
            Self::Ring => "the output was too slow",
        })
    }
}

/// What the publisher said at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Packets of the session.
    pub lead: Seq,
    /// Bytes of payload in the whole stream.
    pub bytes: u64,
    /// SHA-256 of the payload.
    pub sha256: Option<[u8; 32]>,
    /// The publisher was stopped before its input ended.
    pub aborted: bool,
    /// Packets of the session that were not handed out here: given up, or sent before this
    /// subscriber joined.
    pub lost_packets: u64,
}

/// What happened, for logs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session was adopted.
    Adopted(SessionInfo),
    /// Nothing was heard of the session for too long.
    Silent {
        /// Its id.
        session: SessionId,
        /// How long nothing was heard.
        after: Duration,
    },
    /// A silent session is heard again.
    HeardAgain {
        /// Its id.
        session: SessionId,
    },
    /// What was missed is asked for by unicast.
    CatchUp {
        /// What.
        range: SeqRange,
    },
    /// All that was missed and could be had is here.
    CaughtUp,
    /// Packets were given up.
    GaveUp(Gap),
    /// The publisher let this subscriber go.
    Evicted {
        /// Why.
        reason: EvictReason,
    },
    /// Something came that is not believed; told once for each cause in a session.
    NotBelieved {
        /// Why.
        cause: Cause,
        /// Where it came from.
        from: SocketAddr,
    },
    /// Something of a wanted stream came under a key that is not here: of another epoch, or of one
    /// of the same number. Told at most once a second. Anybody can send such a thing: it is a reason
    /// to ask, and no more.
    KeyWanted {
        /// Of which stream.
        stream: StreamId,
        /// Of which epoch.
        epoch: u8,
    },
    /// Heartbeats say that data was sent, and none of it comes: datagrams of the stream's size
    /// do not get through.
    MtuSuspected {
        /// Length of a full datagram of the stream, in bytes.
        datagram_len: u16,
    },
}
