//! What may follow the body of every kind but data, parity and repair.
//!
//! An extension is a type (8 bits), a length (16 bits) and that many bytes; the last one ends
//! with the datagram. Unknown types are skipped: so a later version adds to a packet without a
//! new kind (docs/PROTOCOL.md §5).

use super::Discard;

/// Bytes without meaning, zero on the wire: makes a question as long as its answer.
pub(super) const PADDING: u8 = 0;

/// Type and length.
const HEAD_LEN: usize = 3;

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    /// What it is.
    pub(super) number: u8,
    /// What it says.
    pub(super) value: &'a [u8],
}

/// The extensions in `rest`, in order; an error ends them.
pub(super) fn each(rest: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, Discard>> {
    let mut rest = rest;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = split_first(rest);
        rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(extension, _)| extension).ok_or(Discard::Malformed))
    })
}

fn split_first(bytes: &[u8]) -> Option<(Extension<'_>, &[u8])> {
    let (&[number, high, low], bytes) = bytes.split_first_chunk::<HEAD_LEN>()?;
    let (value, rest) = bytes.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((Extension { number, value }, rest))
}

/// Appends one padding extension if fewer than `least` bytes were written since `start`.
///
/// The extension's own head counts too, so the packet may end up to two bytes longer.
pub(super) fn pad(into: &mut Vec<u8>, start: usize, least: usize) {
    let short = least.saturating_sub(into.len().saturating_sub(start));
    if short == 0 {
        return;
    }
    let len = u16::try_from(short.saturating_sub(HEAD_LEN)).unwrap_or(u16::MAX);
    into.push(PADDING);
    into.extend_from_slice(&len.to_be_bytes());
    into.resize(into.len().saturating_add(usize::from(len)), 0);
}
