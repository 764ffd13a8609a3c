//! Packets to bytes and back: the only file that names bincode.
//!
//! Big-endian, fixed width, no tags: what the tables of docs/PROTOCOL.md say is what bincode
//! writes. A limit and own bounds stand before every allocation, and every byte of a datagram
//! is accounted for. Payloads do not pass through here: they are slices of the datagram.

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bincode::error::DecodeError;
use bytes::{Buf, Bytes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::header::{
    CODED_HEADER_LEN, FLAG_ECHO_ONLY, HEADER_LEN, Header, Kind, MAX_DATAGRAM_LEN, VERSION,
};
use super::sane::Sane;
use super::{
    Body, CODED_PREFIX_LEN, Coded, CodedFields, CodedPrefix, DEPTH_MASK, Discard, NO_RECORD,
    PREFIX_RECORDS, Packet, extension, words,
};
use crate::{SessionId, StreamId, WireTime};

type Layout = Configuration<BigEndian, Fixint, Limit<MAX_DATAGRAM_LEN>>;

const LAYOUT: Layout = bincode::config::standard()
    .with_big_endian()
    .with_fixed_int_encoding()
    .with_limit::<MAX_DATAGRAM_LEN>();

/// Length of a cookie challenge, in bytes: a registration is never shorter (docs/PROTOCOL.md §4.4).
const COOKIE_CHALLENGE_LEN: usize = HEADER_LEN + 32;

/// Length of a catch-up accept, in bytes: a catch-up request is never shorter.
const CATCH_UP_ACCEPT_LEN: usize = HEADER_LEN + 40;

/// Length of the longest announce with its signature, in bytes: who asks for one by unicast says no
/// less.
const LONGEST_ANNOUNCE_LEN: usize = HEADER_LEN + 155 + 67;

/// The header as it stands on the wire (docs/PROTOCOL.md §2).
#[derive(Serialize, Deserialize)]
struct WireHeader {
    version: u8,
    kind: u8,
    flags: u8,
    key_epoch: u8,
    stream: StreamId,
    session: SessionId,
    number: u64,
    sent_at: WireTime,
}

/// Reads a datagram. The body of a coded packet is a slice of it.
///
/// # Errors
/// Why the datagram is to be discarded.
pub fn decode(datagram: Bytes) -> Result<Packet, Discard> {
    // The hot kinds are told by one byte, so that their header is read once, as a whole.
    let kind = datagram.get(1).and_then(|number| Kind::from_number(*number));
    if kind.is_some_and(Kind::is_coded) {
        return decode_shared(datagram);
    }
    decode_said(&datagram)
}

/// Reads a datagram of a kind that has no payload, without sharing it; of others a copy is made.
///
/// # Errors
/// Why the datagram is to be discarded.
pub fn decode_said(datagram: &[u8]) -> Result<Packet, Discard> {
    let (header, body) = decode_header(datagram)?;
    let body = match header.kind {
        Kind::Data | Kind::Parity | Kind::Repair => {
            return decode_shared(Bytes::copy_from_slice(datagram));
        }
        Kind::Nak => Body::Nak(read_body(body)?),
        Kind::Ncf => Body::Ncf(read_body(body)?),
        Kind::Refused => Body::Refused(read_body(body)?),
        Kind::Heartbeat => Body::Heartbeat(read_body(body)?),
        Kind::Announce => Body::Announce(read_body(body)?),
        Kind::Report => Body::Report(read_body(body)?),
        Kind::Register => Body::Register(read_body(body)?),
        Kind::CookieChallenge => Body::CookieChallenge(read_body(body)?),
        Kind::CookieReply => Body::CookieReply(read_body(body)?),
        Kind::CatchUpRequest => Body::CatchUpRequest(read_body(body)?),
        Kind::CatchUpAccept => Body::CatchUpAccept(read_body(body)?),
        Kind::Evict => Body::Evict(read_body(body)?),
        Kind::Bye => Body::Bye(read_body(body)?),
        Kind::End => Body::End(read_body(body)?),
        Kind::Manifest => Body::Manifest(read_body(body)?),
        Kind::KeyRequest => Body::KeyRequest(read_body(body)?),
        Kind::KeyUpdate => Body::KeyUpdate(read_body(body)?),
    };
    if datagram.len() < least_len(&header) {
        return Err(Discard::Truncated);
    }
    Ok(Packet { header, body })
}

/// Reads the header that every packet has; gives it and what follows it.
///
/// # Errors
/// Why the datagram is to be discarded.
pub fn decode_header(datagram: &[u8]) -> Result<(Header, &[u8]), Discard> {
    check_version(datagram)?;
    let (header, rest) = read::<WireHeader>(datagram)?;
    Ok((understood(&header)?, rest))
}

/// When a datagram of this kind left; `None` if it is of another kind. Nothing else is looked at.
#[must_use]
pub fn sent_at_of(kind: Kind, datagram: &[u8]) -> Option<WireTime> {
    let (header, _) = datagram.split_first_chunk::<HEADER_LEN>()?;
    let [version, number, .., a, b, c, d] = *header;
    let is_meant = version == VERSION && number == kind.number();
    is_meant.then_some(WireTime(u32::from_be_bytes([a, b, c, d])))
}

/// Reads a data, parity or repair packet without taking a share of it; gives its header, its
/// place in the block and its coded body.
///
/// # Errors
/// Why the datagram is to be discarded; [`Discard::Kind`] if it is of another kind.
pub fn decode_coded(datagram: &[u8]) -> Result<(Header, CodedFields, &[u8]), Discard> {
    check_version(datagram)?;
    let (header, fields, body) = words::read_header(datagram)?;
    if !fields.can_be(header.kind)? {
        return Err(Discard::Malformed);
    }
    if body.len() < CODED_PREFIX_LEN {
        return Err(Discard::Truncated);
    }
    Ok((header, fields, body))
}

/// Appends a packet. The kind is the body's; a coded packet's depth goes into the flags.
pub fn encode(packet: &Packet, into: &mut Vec<u8>) {
    let start = into.len();
    let header = Header { kind: packet.body.kind(), ..packet.header };
    match &packet.body {
        Body::Data(coded) | Body::Parity(coded) | Body::Repair(coded) => {
            return encode_coded(header, coded, into);
        }
        Body::Nak(body) => write_body(&header, body, into),
        Body::Ncf(body) => write_body(&header, body, into),
        Body::Refused(body) => write_body(&header, body, into),
        Body::Heartbeat(body) => write_body(&header, body, into),
        Body::Announce(body) => write_body(&header, body, into),
        Body::Report(body) => write_body(&header, body, into),
        Body::Register(body) => write_body(&header, body, into),
        Body::CookieChallenge(body) => write_body(&header, body, into),
        Body::CookieReply(body) => write_body(&header, body, into),
        Body::CatchUpRequest(body) => write_body(&header, body, into),
        Body::CatchUpAccept(body) => write_body(&header, body, into),
        Body::Evict(body) => write_body(&header, body, into),
        Body::Bye(body) => write_body(&header, body, into),
        Body::End(body) => write_body(&header, body, into),
        Body::Manifest(body) => write_body(&header, body, into),
        Body::KeyRequest(body) => write_body(&header, body, into),
        Body::KeyUpdate(body) => write_body(&header, body, into),
    }
    extension::pad(into, start, least_len(&header));
}

/// Appends the 32 bytes before a coded body; the low three bits of `header.flags` are log2 of
/// the interleaving depth.
pub fn encode_coded_header(header: &Header, block: u32, index: u8, k: u8, into: &mut Vec<u8>) {
    into.extend_from_slice(&words::header(header, block, index, k));
}

impl CodedPrefix {
    /// The prefix as it stands before the payload.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; CODED_PREFIX_LEN] {
        words::prefix(self)
    }

    /// Appends the prefix.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&words::prefix(self));
    }

    /// Reads the prefix of a received or recovered coded body.
    ///
    /// # Errors
    /// [`Discard::Truncated`] if there is none, [`Discard::Malformed`] if it promises more
    /// payload than follows or a record that starts behind it.
    pub fn read(body: &[u8]) -> Result<Self, Discard> {
        let (prefix, rest) = words::read_prefix(body)?;
        let has_record = prefix.flags & PREFIX_RECORDS != 0 && prefix.first_record != NO_RECORD;
        if usize::from(prefix.len) > rest.len() || has_record && prefix.first_record >= prefix.len {
            return Err(Discard::Malformed);
        }
        Ok(prefix)
    }
}

/// What a packet of this kind is padded to, and refused below: nothing is answered with more
/// than it was.
fn least_len(header: &Header) -> usize {
    let kind = header.kind;
    if kind == Kind::Register && header.flags & FLAG_ECHO_ONLY != 0 {
        LONGEST_ANNOUNCE_LEN
    } else if kind == Kind::Register {
        COOKIE_CHALLENGE_LEN
    } else if kind == Kind::CatchUpRequest {
        CATCH_UP_ACCEPT_LEN
    } else {
        HEADER_LEN
    }
}

/// The version comes first, because all else may be laid out differently in another one.
fn check_version(datagram: &[u8]) -> Result<(), Discard> {
    match datagram.first() {
        None => Err(Discard::Truncated),
        Some(&VERSION) if datagram.len() > MAX_DATAGRAM_LEN => Err(Discard::Malformed),
        Some(&VERSION) => Ok(()),
        Some(_) => Err(Discard::Version),
    }
}

fn understood(header: &WireHeader) -> Result<Header, Discard> {
    Ok(Header {
        kind: Kind::from_number(header.kind).ok_or(Discard::Kind)?,
        flags: header.flags,
        key_epoch: header.key_epoch,
        stream: header.stream,
        session: header.session,
        number: header.number,
        sent_at: header.sent_at,
    })
}

impl From<&Header> for WireHeader {
    fn from(header: &Header) -> Self {
        Self {
            version: VERSION,
            kind: header.kind.number(),
            flags: header.flags,
            key_epoch: header.key_epoch,
            stream: header.stream,
            session: header.session,
            number: header.number,
            sent_at: header.sent_at,
        }
    }
}

fn decode_shared(mut datagram: Bytes) -> Result<Packet, Discard> {
    let (header, CodedFields { block, index, k, depth_log2 }, _) = decode_coded(&datagram)?;
    datagram.advance(CODED_HEADER_LEN);
    let coded = Coded { block, index, k, depth_log2, body: datagram };
    let body = if header.kind == Kind::Parity {
        Body::Parity(coded)
    } else if header.kind == Kind::Repair {
        Body::Repair(coded)
    } else {
        Body::Data(coded)
    };
    Ok(Packet { header, body })
}

fn encode_coded(mut header: Header, coded: &Coded, into: &mut Vec<u8>) {
    header.flags = (header.flags & !DEPTH_MASK) | (coded.depth_log2 & DEPTH_MASK);
    encode_coded_header(&header, coded.block, coded.index, coded.k, into);
    into.extend_from_slice(&coded.body);
}

fn read_body<T: DeserializeOwned + Sane>(bytes: &[u8]) -> Result<T, Discard> {
    let body: T = read_message(bytes)?;
    if body.is_sane() { Ok(body) } else { Err(Discard::Malformed) }
}

/// Reads a message that is no datagram's body; extensions may follow it.
pub(crate) fn read_message<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Discard> {
    let (message, rest) = read::<T>(bytes)?;
    // No extension is known yet: each is skipped, but all must be whole.
    for extension in extension::each(rest) {
        extension?;
    }
    Ok(message)
}

/// Appends a message that is no datagram's body.
pub(crate) fn write_message(message: &impl Serialize, into: &mut Vec<u8>) {
    let written = bincode::serde::encode_into_std_write(message, into, LAYOUT);
    debug_assert!(written.is_ok(), "bounded fields always fit: {written:?}");
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Discard> {
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, LAYOUT).map_err(|error| reason(&error))?;
    Ok((value, bytes.get(read..).ok_or(Discard::Truncated)?))
}

fn reason(error: &DecodeError) -> Discard {
    if matches!(error, DecodeError::UnexpectedEnd { .. }) {
        Discard::Truncated
    } else {
        Discard::Malformed
    }
}

fn write_body(header: &Header, body: &impl Serialize, into: &mut Vec<u8>) {
    write::<_, HEADER_LEN>(&WireHeader::from(header), into);
    write_message(body, into);
}

/// Appends a value of which the length is known: by way of the stack, which is what is fast.
fn write<T: Serialize, const LEN: usize>(value: &T, into: &mut Vec<u8>) {
    let mut bytes = [0; LEN];
    let written = bincode::serde::encode_into_slice(value, &mut bytes, LAYOUT);
    debug_assert!(matches!(written, Ok(len) if len == LEN), "{written:?}");
    into.extend_from_slice(&bytes);
}
