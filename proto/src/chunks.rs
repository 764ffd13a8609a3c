//! Memory for payload: taken in chunks that many pieces share, and used again once all of them are
//! forgotten.

use std::collections::VecDeque;

use bytes::BytesMut;

/// Chunks that were filled, to be used again.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// Length of the one that is being filled; 0 before the first.
    len: usize,
    /// Those that were filled before, the oldest first, with their lengths.
    filled: VecDeque<(usize, BytesMut)>,
    /// Those of which all is forgotten, the one that was filled last at the end.
    free: Vec<Free>,
}

/// A chunk of which all is forgotten.
#[derive(Debug)]
struct Free {
    len: usize,
    bytes: BytesMut,
    /// It was of no use since the last call of [`Chunks::give_back`].
    is_idle: bool,
}

impl Chunks {
    /// `current` has no room for `len` bytes: in its place comes a chunk of which all is
    /// forgotten, or a new one. So many are kept at `most`: what is beyond them is given back to the system
    /// once it is forgotten.
    pub(crate) fn renew(&mut self, current: &mut BytesMut, len: usize, most: usize) {
        let (next_len, next) = self.next(len);
        let full = std::mem::replace(current, next);
        if self.len > 0 && self.filled.len() + self.free.len() < most {
            self.filled.push_back((self.len, full));
        }
        self.len = next_len;
    }

    /// Gives those back to the system that were of no use since the last call. To be called now and then, in terms of time: at full
    /// speed hundreds are begun in the time for which a processor may be away.
    pub(crate) fn give_back(&mut self) {
        self.reclaim(0);
        self.free.retain(|free| !free.is_idle);
        self.free.iter_mut().for_each(|free| free.is_idle = true);
    }

    fn next(&mut self, len: usize) -> (usize, BytesMut) {
        self.reclaim(len);
        // What was used last is still in the processor's cache: elsewhere to write costs several times as much.
        let warmest = self.free.pop().filter(|free| free.len >= len);
        let new = || (len, BytesMut::with_capacity(len));
        warmest.map_or_else(new, |free| (free.len, free.bytes))
    }

    /// Frees those of which all is forgotten and that have room for `len` bytes.
    fn reclaim(&mut self, len: usize) {
        while let Some((had, mut oldest)) = self.filled.pop_front() {
            // One that is too short would stand in the way of all others.
            if had < len {
                continue;
            }
            if !oldest.try_reclaim(had) {
                self.filled.push_front((had, oldest));
                break;
            }
            self.free.push(Free { len: had, bytes: oldest, is_idle: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_too_short_do_not_stand_in_the_way() {
        let (mut chunks, mut current) = (Chunks::default(), BytesMut::new());
        let mut seen = std::collections::BTreeSet::new();
        for len in [100, 200, 400].into_iter().chain([800; 20]) {
            chunks.renew(&mut current, len, usize::MAX);
            seen.insert(current.as_ptr());
            current.resize(len, 0);
            drop(current.split());
            assert!(chunks.filled.len() + chunks.free.len() <= 4);
        }
        assert!(seen.len() <= 6, "{}", seen.len());
    }

    #[test]
    fn what_a_stall_took_is_given_back_when_it_is_over() {
        let (mut chunks, mut current) = (Chunks::default(), BytesMut::new());
        let mut fill = |chunks: &mut Chunks| {
            chunks.renew(&mut current, 100, 32);
            current.resize(100, 0);
            current.split().freeze()
        };
        let held: Vec<_> = (0..20).map(|_| fill(&mut chunks)).collect();
        drop(held);
        let kept = |chunks: &Chunks| chunks.filled.len() + chunks.free.len();
        assert!(kept(&chunks) >= 19);
        for _ in 0..3 {
            drop(fill(&mut chunks));
            chunks.give_back();
        }
        assert!(kept(&chunks) <= 2, "{}", kept(&chunks));
    }

    #[test]
    fn what_was_filled_last_is_used_again_first_once_it_is_forgotten() {
        let (mut chunks, mut current) = (Chunks::default(), BytesMut::new());
        let mut cut = Vec::new();
        for byte in 0..4 {
            chunks.renew(&mut current, 100, 3);
            current.resize(100, byte);
            cut.push(current.split().freeze());
        }
        let last = cut.pop();
        chunks.renew(&mut current, 100, 3);
        assert!(cut.iter().all(|bytes| bytes.as_ptr() != current.as_ptr()), "somebody has them");
        let at = cut.last().unwrap().as_ptr();
        drop((cut, last));
        chunks.renew(&mut current, 100, 3);
        assert_eq!(current.as_ptr(), at);
    }
}
