//! What crosses the wire: one UDP datagram is one packet, a fixed header and then the body.
//!
//! `docs/PROTOCOL.md` gives every field; the golden bytes in `wire/tests.rs` pin them.
//!
//! | you look for | open |
//! |---|---|
//! | header, kinds, flags | `wire/header.rs` |
//! | data, parity, repair and the coded body | `wire/coded.rs` |
//! | what a publisher says of its session | `wire/session.rs` |
//! | what a subscriber says, and what is answered | `wire/feedback.rs` |
//! | manifests and keys | `wire/protection.rs` |
//! | bounded lists and names | `wire/list.rs` |
//! | enums of one byte, addresses, signatures | `wire/number.rs`, `wire/fixed.rs` |
//! | which values are refused | `wire/sane.rs` |
//! | what may follow a body | `wire/extension.rs` |
//! | bincode, set up once | `wire/codec.rs` |
//! | what there is most of, by words | `wire/words.rs` |

mod codec;
mod coded;
mod extension;
mod feedback;
mod fixed;
mod header;
mod list;
mod number;
mod protection;
mod sane;
mod session;
#[cfg(test)]
mod tests;
mod words;

use bytes::Bytes;

#[cfg(test)]
pub(crate) use tests::{bytes_of, every_kind};

pub use codec::{
    decode, decode_coded, decode_header, decode_said, encode, encode_coded_header, sent_at_of,
};
pub(crate) use codec::{read_message, write_message};
pub use coded::{CODED_PREFIX_LEN, Coded, CodedFields, CodedPrefix, NO_RECORD, PREFIX_RECORDS};
pub(crate) use extension::{append_signature, split_signature};
pub use feedback::{
    Bye, ByeReason, CatchUpAccept, CatchUpRequest, CookieChallenge, CookieReply, Losses, Nak, Need,
    Range, Register, Report, ReportState,
};
pub use header::{
    CODED_HEADER_LEN, DEPTH_MASK, FLAG_BY_UNICAST, FLAG_ECHO_ONLY, FLAG_NO_DIGEST,
    FLAG_REPORT_WANTED, HEADER_LEN, Header, Kind, MAX_DATAGRAM_LEN, UNICAST_NUMBERS, VERSION,
};
pub use list::{List, ListFull, Name, NameError};
pub use number::UnknownNumber;
pub(crate) use number::numbered;
pub use protection::{KeyRequest, KeyUpdate, Manifest, PacketHash};
pub(crate) use protection::{MANIFEST_HASH_LEN, MANIFEST_LEN};
pub use session::{
    Announce, End, Evict, EvictReason, Heartbeat, Ncf, Refused, RefusedReason, StreamMode,
};

/// A decoded datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What every packet says.
    pub header: Header,
    /// What this kind of packet says.
    pub body: Body,
}

/// What a packet says beyond its header, one variant for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A data packet, the first time it is sent.
    Data(Coded),
    /// A parity packet of a block.
    Parity(Coded),
    /// A data packet, sent again because it was asked for.
    Repair(Coded),
    /// "I miss these."
    Nak(Nak),
    /// "Asked for already: wait."
    Ncf(Ncf),
    /// "These will not be repaired."
    Refused(Refused),
    /// "Still here, up to here."
    Heartbeat(Heartbeat),
    /// "This is the session."
    Announce(Announce),
    /// "So far, so good."
    Report(Report),
    /// "I am here": asks for a cookie.
    Register(Register),
    /// "Prove that you receive at that address."
    CookieChallenge(CookieChallenge),
    /// "I do."
    CookieReply(CookieReply),
    /// A late joiner asks for what it missed.
    CatchUpRequest(CatchUpRequest),
    /// What of it there is.
    CatchUpAccept(CatchUpAccept),
    /// "You are let go."
    Evict(Evict),
    /// "I leave."
    Bye(Bye),
    /// "That was all."
    End(End),
    /// Hashes of a block, signed.
    Manifest(Manifest),
    /// A subscriber asks for the key of an epoch.
    KeyRequest(KeyRequest),
    /// The key of an epoch, wrapped.
    KeyUpdate(KeyUpdate),
}

impl Body {
    /// The place in a block and the coded body, if it has them.
    #[must_use]
    pub fn coded(&self) -> Option<&Coded> {
        if let Self::Data(coded) | Self::Parity(coded) | Self::Repair(coded) = self {
            Some(coded)
        } else {
            None
        }
    }

    /// What this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Data(_) => Kind::Data,
            Self::Parity(_) => Kind::Parity,
            Self::Repair(_) => Kind::Repair,
            Self::Nak(_) => Kind::Nak,
            Self::Ncf(_) => Kind::Ncf,
            Self::Refused(_) => Kind::Refused,
            Self::Heartbeat(_) => Kind::Heartbeat,
            Self::Announce(_) => Kind::Announce,
            Self::Report(_) => Kind::Report,
            Self::Register(_) => Kind::Register,
            Self::CookieChallenge(_) => Kind::CookieChallenge,
            Self::CookieReply(_) => Kind::CookieReply,
            Self::CatchUpRequest(_) => Kind::CatchUpRequest,
            Self::CatchUpAccept(_) => Kind::CatchUpAccept,
            Self::Evict(_) => Kind::Evict,
            Self::Bye(_) => Kind::Bye,
            Self::End(_) => Kind::End,
            Self::Manifest(_) => Kind::Manifest,
            Self::KeyRequest(_) => Kind::KeyRequest,
            Self::KeyUpdate(_) => Kind::KeyUpdate,
        }
    }
}

/// Why a datagram was discarded.
///
/// What strangers send is counted by reason and forgotten: it is an outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Discard {
    /// Shorter than its kind needs.
    #[error("truncated")]
    Truncated,
    /// A version of the protocol that is not spoken here.
    #[error("version")]
    Version,
    /// A kind that is not known here.
    #[error("kind")]
    Kind,
    /// Well-framed, but a field says what it cannot.
    #[error("malformed")]
    Malformed,
    /// A stream of the group that was not asked for.
    #[error("foreign_stream")]
    ForeignStream,
    /// A session that no accepted announce has named.
    #[error("foreign_session")]
    ForeignSession,
    /// Another source than the one the session is pinned to.
    #[error("foreign_source")]
    ForeignSource,
    /// A kind that does not travel in this direction.
    #[error("direction")]
    Direction,
    /// So far ahead of or behind the window that it cannot be kept.
    #[error("out_of_window")]
    OutOfWindow,
    /// Of another size than the announce stated.
    #[error("size")]
    Size,
    /// Asks for what only a proven address may ask for.
    #[error("unproven")]
    Unproven,
    /// There is no room for another subscriber.
    #[error("table_full")]
    TableFull,
    /// Not authentic.
    #[error("forged")]
    Forged,
    /// Seen before.
    #[error("replayed")]
    Replayed,
    /// Under a key of an epoch that is over, or not yet known.
    #[error("epoch")]
    Epoch,
    /// One of so many from one host that it was not looked at.
    #[error("flood")]
    Flood,
    /// Said by a subscriber that was removed.
    #[error("removed")]
    Removed,
}

impl Discard {
    /// Every reason, in the order of [`Discard::index`].
    pub const ALL: [Self; 17] = [
        Self::Truncated,
        Self::Version,
        Self::Kind,
        Self::Malformed,
        Self::ForeignStream,
        Self::ForeignSession,
        Self::ForeignSource,
        Self::Direction,
        Self::OutOfWindow,
        Self::Size,
        Self::Unproven,
        Self::TableFull,
        Self::Forged,
        Self::Replayed,
        Self::Epoch,
        Self::Flood,
        Self::Removed,
    ];

    /// Its place in a table of counters.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The longest message that is put together: 64 MiB without its own length, in bytes.
pub const MAX_MESSAGE_LEN: usize = (64 << 20) - 4;

/// A datagram as received: shared, so that a payload is a slice of it.
pub type Datagram = Bytes;
