//! What a subscriber hands out.

use bytes::Bytes;
use proto::receiver::{GapCause, SessionInfo};
use proto::{ByteCount, Seq};

use crate::output::{Finished, Flaw, Handed};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session begins; what follows is of it. If another was followed before, the publisher was
    /// restarted.
    Session(Box<SessionInfo>),
    /// One whole message; of a stream of bytes, its next piece.
    Message(Bytes),
    /// Packets that will not come: the messages that are not whole without them are missing.
    Gap {
        /// The first packet.
        first: Seq,
        /// One past the last.
        end: Seq,
        /// Why.
        cause: GapCause,
    },
    /// The session is over.
    End(End),
}

/// What is known of a session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Payload of the whole stream, as the publisher counted it.
    pub payload: ByteCount,
    /// SHA-256 of it, if the publisher computed one.
    pub sha256: Option<[u8; 32]>,
    /// Packets of the session that were not handed out.
    pub lost_packets: u64,
    /// Why what was handed out is not the whole stream, if it is not.
    pub flaw: Option<Flaw>,
}

impl End {
    /// Whether all of the stream was handed out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.flaw.is_none()
    }
}

impl Event {
    pub(super) fn new(handed: Handed, finished: impl Fn() -> Option<Finished>) -> Self {
        match handed {
            Handed::Payload(bytes) => Self::Message(bytes),
            Handed::Session(session) => Self::Session(session),
            Handed::Gap(gap) => {
                Self::Gap { first: gap.range.first, end: gap.range.end, cause: gap.cause }
            }
            Handed::End(ending) => Self::End(End {
                payload: ByteCount(ending.bytes),
                sha256: ending.sha256,
                lost_packets: ending.lost_packets,
                flaw: finished().and_then(|finished| finished.flaw),
            }),
        }
    }
}
