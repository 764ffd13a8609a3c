//! Memory for what packets carry: taken in chunks that many of them share, and used again once they
//! are forgotten.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Where parity is kept.
#[derive(Debug, Default)]
pub(super) struct Arena {
    current: BytesMut,
    chunks: Chunks,
}

/// Chunks that were filled, to be used again.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// There was one before.
    is_begun: bool,
    /// Handles of those that were filled before, the oldest first.
    filled: VecDeque<BytesMut>,
    /// Those of which everything is forgotten, the one that was filled last at the end.
    free: Vec<BytesMut>,
}

impl Arena {
    /// A copy of `bytes` that lives as long as it is needed.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.current.capacity() < bytes.len() {
            self.chunks.renew(&mut self.current, bytes.len());
        }
        self.current.extend_from_slice(bytes);
        self.current.split().freeze()
    }
}

impl Chunks {
    /// `current` has no room for `len` bytes: in its place comes one of which everything is forgotten, or
    /// a new one.
    pub(super) fn renew(&mut self, current: &mut BytesMut, len: usize) {
        let next = self.next(len.max(CHUNK));
        let full = std::mem::replace(current, next);
        // What is beyond a few is given back to the system once it is forgotten.
        if self.is_begun && self.filled.len() + self.free.len() < MOST_FILLED {
            self.filled.push_back(full);
        }
        self.is_begun = true;
    }

    fn next(&mut self, len: usize) -> BytesMut {
        while let Some(mut oldest) = self.filled.pop_front() {
            if !oldest.try_reclaim(len) {
                self.filled.push_front(oldest);
                break;
            }
            self.free.push(oldest);
        }
        // What was used last is still in the processor's cache; to write elsewhere costs several times as much.
        let warmest = self.free.pop().filter(|chunk| chunk.capacity() >= len);
        warmest.unwrap_or_else(|| BytesMut::with_capacity(len))
    }
}

/// Some 180 full packets: small against a window, large against an allocation.
const CHUNK: usize = 256 << 10;

/// What an output holds in its hands at full speed, and the blocks near it: 8 MiB.
const MOST_FILLED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_as_it_is_and_what_is_forgotten_makes_room() {
        let mut arena = Arena::default();
        let kept: Vec<Bytes> =
            (0..600_u16).map(|i| arena.keep(&[i.to_be_bytes()[1]; 1_000])).collect();
        for (bytes, i) in kept.iter().zip(0_u16..) {
            assert!(bytes.iter().all(|byte| *byte == i.to_be_bytes()[1]));
        }
        let before: Vec<_> = kept.iter().map(|bytes| bytes.as_ptr()).collect();
        drop(kept);
        let mut again = (0..600).map(|_| arena.keep(&[7; 1_000]));
        assert!(again.any(|bytes| before.contains(&bytes.as_ptr())), "memory is used again");
    }

    #[test]
    fn what_is_longer_than_a_chunk_has_one_of_its_own() {
        let long = vec![1; CHUNK + 1];
        assert_eq!(Arena::default().keep(&long), long);
    }
}
