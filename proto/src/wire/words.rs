//! What stands before the payload of a data, parity or repair packet, as big-endian words: the
//! layout that bincode gives (`tests/words.rs` compares them), for the packets that there are most
//! of. Bincode by way of serde takes some 60 ns to read it, this takes 5.

use super::header::{CODED_HEADER_LEN, Header, Kind, VERSION};
use super::{CODED_PREFIX_LEN, CodedFields, CodedPrefix, DEPTH_MASK, Discard};
use crate::{SessionId, StreamId, WireTime};

/// Reads the header of a coded packet of this version; gives what follows it.
pub(super) fn read_header(datagram: &[u8]) -> Result<(Header, CodedFields, &[u8]), Discard> {
    let (header, body) =
        datagram.split_first_chunk::<CODED_HEADER_LEN>().ok_or(Discard::Truncated)?;
    let (words, _) = header.as_chunks::<8>();
    let [a, b, c, d] = words else { return Err(Discard::Truncated) };
    let [a, b, c, d] = [a, b, c, d].map(|word| u64::from_be_bytes(*word));
    let [_, kind, flags, key_epoch, ..] = a.to_be_bytes();
    let [t0, t1, b0, b1, b2, b3, index, k] = d.to_be_bytes();
    let [.., t2, t3] = c.to_be_bytes();
    let header = Header {
        kind: Kind::from_number(kind).ok_or(Discard::Kind)?,
        flags,
        key_epoch,
        stream: StreamId(low_16(a >> 16)),
        session: SessionId(a << 48 | b >> 16),
        number: b << 48 | c >> 16,
        sent_at: WireTime(u32::from_be_bytes([t2, t3, t0, t1])),
    };
    let block = u32::from_be_bytes([b0, b1, b2, b3]);
    Ok((header, CodedFields { block, index, k, depth_log2: flags & DEPTH_MASK }, body))
}

/// Writes the header of a coded packet; the depth is in its flags.
pub(super) fn header(header: &Header, block: u32, index: u8, k: u8) -> [u8; CODED_HEADER_LEN] {
    let Header { kind, flags, key_epoch, stream, session, number, sent_at } = *header;
    let first = u32::from_be_bytes([VERSION, kind.number(), flags, key_epoch]);
    let (sent_at, block) = (u64::from(sent_at.0), u64::from(block));
    let words = [
        u64::from(first) << 32 | u64::from(stream.0) << 16 | session.0 >> 48,
        session.0 << 16 | number >> 48,
        number << 16 | sent_at >> 16,
        sent_at << 48 | block << 16 | u64::from(index) << 8 | u64::from(k),
    ];
    let mut bytes = [0; CODED_HEADER_LEN];
    let (chunks, _) = bytes.as_chunks_mut::<8>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_be_bytes();
    }
    bytes
}

/// Reads the prefix of a coded body; gives what follows it.
pub(super) fn read_prefix(body: &[u8]) -> Result<(CodedPrefix, &[u8]), Discard> {
    let (prefix, payload) =
        body.split_first_chunk::<CODED_PREFIX_LEN>().ok_or(Discard::Truncated)?;
    let [l0, l1, flags, r0, r1, t0, t1, t2, t3] = *prefix;
    let prefix = CodedPrefix {
        len: u16::from_be_bytes([l0, l1]),
        flags,
        first_record: u16::from_be_bytes([r0, r1]),
        first_sent: WireTime(u32::from_be_bytes([t0, t1, t2, t3])),
    };
    Ok((prefix, payload))
}

/// Writes the prefix of a coded body.
pub(super) fn prefix(prefix: &CodedPrefix) -> [u8; CODED_PREFIX_LEN] {
    let [l0, l1] = prefix.len.to_be_bytes();
    let [r0, r1] = prefix.first_record.to_be_bytes();
    let [t0, t1, t2, t3] = prefix.first_sent.0.to_be_bytes();
    [l0, l1, prefix.flags, r0, r1, t0, t1, t2, t3]
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
fn low_16(word: u64) -> u16 {
    word as u16
}
