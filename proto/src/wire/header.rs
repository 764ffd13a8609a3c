//! What every datagram starts with.

use serde::{Deserialize, Serialize};

use super::number::numbered;
use crate::{SessionId, StreamId, WireTime};

/// The version of the protocol that is spoken here.
pub const VERSION: u8 = 1;

/// The longest datagram that is read or written: 1500 bytes of Ethernet payload suffice, and a
/// larger MTU is bounded by this.
pub const MAX_DATAGRAM_LEN: usize = 9_000;

/// Length of the header that every packet has, in bytes.
pub const HEADER_LEN: usize = 26;

/// Length of the header of data, parity and repair packets: block, index and k are added.
pub const CODED_HEADER_LEN: usize = 32;

/// Data, parity, repair and heartbeat: log2 of the interleaving depth.
pub const DEPTH_MASK: u8 = 0b0000_0111;

/// Heartbeat: every subscriber that may report is asked to do so now.
pub const FLAG_REPORT_WANTED: u8 = 0b1000_0000;

/// Cookie reply and report: what goes to the group is wanted by unicast, by the way that this came.
pub const FLAG_BY_UNICAST: u8 = 0b1000_0000;

/// Announce: the End of the session carries no SHA-256, so that nobody need compute one.
pub const FLAG_NO_DIGEST: u8 = 0b1000_0000;

/// Register: nothing is wanted but an announce with the nonce, by unicast (docs/PROTOCOL.md §4.13).
pub const FLAG_ECHO_ONLY: u8 = 0b1000_0000;

/// Numbers from here on are those of unicast datagrams: they never leave a gap in the group's.
pub const UNICAST_NUMBERS: u64 = 1 << 63;

/// What every packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: Kind,
    /// Bits that depend on the kind.
    pub flags: u8,
    /// Which key sealed the packet; 0 without a key.
    pub key_epoch: u8,
    /// The stream.
    pub stream: StreamId,
    /// The session.
    pub session: SessionId,
    /// Counts every datagram that this sender ever sends in the session; never reused.
    pub number: u64,
    /// When this transmission left.
    pub sent_at: WireTime,
}

impl Header {
    /// Whether its number is one of the group's, in which a gap is loss.
    #[must_use]
    pub fn is_for_group(&self) -> bool {
        self.number < UNICAST_NUMBERS
    }
}

/// What a packet is.
///
/// 0 is no kind, 64–127 are reserved for private use and not spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum Kind {
    /// [`super::Body::Data`]
    Data = 1,
    /// [`super::Body::Parity`]
    Parity = 2,
    /// [`super::Body::Repair`]
    Repair = 3,
    /// [`super::Body::Nak`]
    Nak = 4,
    /// [`super::Body::Ncf`]
    Ncf = 5,
    /// [`super::Body::Refused`]
    Refused = 6,
    /// [`super::Body::Heartbeat`]
    Heartbeat = 7,
    /// [`super::Body::Announce`]
    Announce = 8,
    /// [`super::Body::Report`]
    Report = 9,
    /// [`super::Body::Register`]
    Register = 10,
    /// [`super::Body::CookieChallenge`]
    CookieChallenge = 11,
    /// [`super::Body::CookieReply`]
    CookieReply = 12,
    /// [`super::Body::CatchUpRequest`]
    CatchUpRequest = 13,
    /// [`super::Body::CatchUpAccept`]
    CatchUpAccept = 14,
    /// [`super::Body::Evict`]
    Evict = 15,
    /// [`super::Body::Bye`]
    Bye = 16,
    /// [`super::Body::End`]
    End = 17,
    /// [`super::Body::Manifest`]
    Manifest = 18,
    /// [`super::Body::KeyRequest`]
    KeyRequest = 19,
    /// [`super::Body::KeyUpdate`]
    KeyUpdate = 20,
}

numbered!(Kind {
    Data,
    Parity,
    Repair,
    Nak,
    Ncf,
    Refused,
    Heartbeat,
    Announce,
    Report,
    Register,
    CookieChallenge,
    CookieReply,
    CatchUpRequest,
    CatchUpAccept,
    Evict,
    Bye,
    End,
    Manifest,
    KeyRequest,
    KeyUpdate,
});

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 20] = [
        Self::Data,
        Self::Parity,
        Self::Repair,
        Self::Nak,
        Self::Ncf,
        Self::Refused,
        Self::Heartbeat,
        Self::Announce,
        Self::Report,
        Self::Register,
        Self::CookieChallenge,
        Self::CookieReply,
        Self::CatchUpRequest,
        Self::CatchUpAccept,
        Self::Evict,
        Self::Bye,
        Self::End,
        Self::Manifest,
        Self::KeyRequest,
        Self::KeyUpdate,
    ];

    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether it has a place in a block and a coded body: data, parity and repair.
    #[must_use]
    pub fn is_coded(self) -> bool {
        matches!(self, Self::Data | Self::Parity | Self::Repair)
    }

    /// Whether a subscriber says it: its body then begins with the subscriber's id.
    #[must_use]
    pub fn is_feedback(self) -> bool {
        matches!(
            self,
            Self::Nak
                | Self::Report
                | Self::Register
                | Self::CookieReply
                | Self::CatchUpRequest
                | Self::Bye
                | Self::KeyRequest
        )
    }

    /// Its name, as metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Parity => "parity",
            Self::Repair => "repair",
            Self::Nak => "nak",
            Self::Ncf => "ncf",
            Self::Refused => "refused",
            Self::Heartbeat => "heartbeat",
            Self::Announce => "announce",
            Self::Report => "report",
            Self::Register => "register",
            Self::CookieChallenge => "cookie_challenge",
            Self::CookieReply => "cookie_reply",
            Self::CatchUpRequest => "catch_up_request",
            Self::CatchUpAccept => "catch_up_accept",
            Self::Evict => "evict",
            Self::Bye => "bye",
            Self::End => "end",
            Self::Manifest => "manifest",
            Self::KeyRequest => "key_request",
            Self::KeyUpdate => "key_update",
        }
    }
}
