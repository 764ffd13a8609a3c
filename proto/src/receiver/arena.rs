//! Memory for what packets carry beside payload.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::Receiver;
use crate::Timestamp;
use crate::chunks::Chunks;

/// Where parity is kept.
#[derive(Debug, Default)]
pub(super) struct Arena {
    current: BytesMut,
    chunks: Chunks,
}

impl Arena {
    /// A copy of `bytes` that lives as long as it is needed.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.current.capacity() < bytes.len() {
            self.chunks.renew(&mut self.current, bytes.len().max(CHUNK), MOST_CHUNKS);
        }
        self.current.extend_from_slice(bytes);
        self.current.split().freeze()
    }

    /// Gives memory back that was of no use since the last call.
    pub(super) fn give_back(&mut self) {
        self.chunks.give_back();
    }
}

impl Receiver {
    /// Gives memory back that was of no use for a while.
    pub(super) fn give_back(&mut self, now: Timestamp) {
        if now.since(self.gave_back) < GIVE_BACK_EVERY {
            return;
        }
        self.gave_back = now;
        self.arena.give_back();
        if let Some(session) = &mut self.session {
            session.window.give_back();
            session.records.give_back();
        }
    }
}

/// What was of no use for so long was for a gap that took long to close, or for an output that was slow.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// Some 180 full packets: small against a window, large against an allocation.
pub(super) const CHUNK: usize = 256 << 10;

/// What an output holds in its hands at full speed, and the blocks near it: 8 MiB.
pub(super) const MOST_CHUNKS: usize = 32;

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
