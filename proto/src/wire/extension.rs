//! What may follow the body of every kind but data, parity and repair.
//!
//! An extension is a type (8 bits), a length (16 bits) and that many bytes; the last one ends
//! with the datagram. Unknown types are skipped: so a later version adds to a packet without a
//! new kind (docs/PROTOCOL.md §5).

use super::Discard;

/// Bytes without meaning, zero on the wire: makes a question as long as its answer.
pub(super) const PADDING: u8 = 0;

/// A signature over all that stands before it; it comes last (docs/PROTOCOL.md §4.19).
const SIGNATURE: u8 = 1;

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

/// Appends a signature.
pub(crate) fn append_signature(signature: &[u8; SIGNATURE_LEN], into: &mut Vec<u8>) {
    into.extend_from_slice(&SIGNATURE_HEAD);
    into.extend_from_slice(signature);
}

/// What a signature at the end covers, and the signature; `None` if there is none.
pub(crate) fn split_signature(datagram: &[u8]) -> Option<(&[u8], &[u8; SIGNATURE_LEN])> {
    let (rest, signature) = datagram.split_last_chunk::<SIGNATURE_LEN>()?;
    let (said, head) = rest.split_last_chunk::<HEAD_LEN>()?;
    (*head == SIGNATURE_HEAD).then_some((said, signature))
}

/// Ed25519 (RFC 8032).
const SIGNATURE_LEN: usize = 64;

const SIGNATURE_HEAD: [u8; HEAD_LEN] = [SIGNATURE, 0, 64];
