//! A stream of bytes that the program around us has in memory: no thread reads it, and nothing of it is
//! copied before it is written for the wire.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::outbox::sha256;
use super::{Handling, InputCounters, Item};
use crate::flags::value::Digest;

/// Pieces of memory that are one stream.
#[derive(Clone, Debug)]
pub struct Memory {
    pieces: Arc<[Bytes]>,
}

impl Memory {
    /// These, one after the other.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self { pieces: pieces.into() }
    }

    /// Bytes of all.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn begin(self, handling: Handling, counters: Arc<InputCounters>) -> Taking {
        let Handling { payload_len, digest } = handling;
        let payload_len = payload_len.clamp(1, AT_ONCE);
        Taking {
            memory: self,
            place: 0,
            rest: Bytes::new(),
            at_once: AT_ONCE / payload_len * payload_len,
            digest: (digest == Digest::Sha256).then(|| Context::new(&SHA256)),
            counters,
        }
    }
}

/// What was not taken yet.
pub struct Taking {
    memory: Memory,
    /// Of the next piece.
    place: usize,
    /// Of the piece before.
    rest: Bytes,
    /// Bytes that are taken at once: whole packets.
    at_once: usize,
    digest: Option<Context>,
    counters: Arc<InputCounters>,
}

impl Taking {
    /// The next bytes of it, or its end.
    pub(super) fn next(&mut self) -> Item {
        while self.rest.is_empty() {
            let Some(piece) = self.memory.pieces.get(self.place) else {
                return Item::End { sha256: self.digest.take().map(sha256) };
            };
            self.rest = piece.clone();
            self.place += 1;
        }
        let piece = self.rest.split_to(self.rest.len().min(self.at_once));
        if let Some(digest) = &mut self.digest {
            digest.update(&piece);
        }
        self.counters.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Item::Piece { piece, is_pause: false }
    }
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, at_once, .. } = self;
        f.debug_struct("Taking")
            .field("place", place)
            .field("at_once", at_once)
            .finish_non_exhaustive()
    }
}

/// What a sender takes in one push.
const AT_ONCE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_taken_in_order_and_hashed() {
        let whole: Vec<u8> = (0..700_000_u32).map(|place| (place % 251) as u8).collect();
        let all = Bytes::from(whole.clone());
        let pieces = vec![all.slice(..300_000), Bytes::new(), all.slice(300_000..)];
        let counters = Arc::new(InputCounters::default());
        let handling = Handling { payload_len: 1_431, digest: Digest::Sha256 };
        let mut taking = Memory::new(pieces).begin(handling, Arc::clone(&counters));
        let mut taken = Vec::new();
        let mut last = taking.next();
        while let Item::Piece { piece, .. } = last {
            taken.extend_from_slice(&piece);
            last = taking.next();
        }
        let Item::End { sha256: hash } = last else { panic!("{last:?}") };
        assert_eq!(taken, whole);
        assert_eq!(counters.bytes.load(Ordering::Relaxed), 700_000);
        let expected = aws_lc_rs::digest::digest(&SHA256, &whole);
        assert_eq!(hash.unwrap().as_slice(), expected.as_ref());
    }
}
