//! Where the payload of packets is kept until it is handed out and no block needs it: what comes one
//! after the other lies side by side, so that it leaves as one piece.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::arena::CHUNK;
use crate::chunks::Chunks;

/// Where the payload of a packet, or of several in a row, lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    piece: u64,
    /// Where it begins, in the upper half, and its length: two words go from hand to hand in registers.
    span: u64,
}

impl Place {
    fn new(piece: u64, at: usize, len: usize) -> Self {
        Self { piece, span: (at as u64) << 32 | len as u64 & u64::from(u32::MAX) }
    }

    /// Length, in bytes.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) fn len(self) -> usize {
        self.span as u32 as usize
    }

    fn at(self) -> usize {
        (self.span >> 32) as usize
    }

    /// Both together, if `next` lies right behind.
    pub(super) fn with(self, next: Self) -> Option<Self> {
        let is_next = next.piece == self.piece && next.at() == self.at() + self.len();
        is_next.then(|| Self { span: self.span + next.len() as u64, ..self })
    }
}

/// Memory of a window.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// What is being filled: the piece after all those below.
    current: BytesMut,
    /// Packets that are kept in it.
    kept: u32,
    /// What may be shared, the oldest first.
    pieces: VecDeque<Piece>,
    /// The number of the first of them.
    first: u64,
    chunks: Chunks,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Packets that are kept in it.
    kept: u32,
}

impl Store {
    /// Where a payload of `len` bytes will lie that is copied next.
    pub(super) fn reserve(&mut self, len: usize) -> Place {
        if self.current.capacity() - self.current.len() < len {
            self.close();
            self.chunks.renew(&mut self.current, len.max(CHUNK), MOST_OF_WINDOW);
        }
        self.kept += 1;
        Place::new(self.first + self.pieces.len() as u64, self.current.len(), len)
    }

    /// Copies a payload to where there is room for it.
    pub(super) fn fill(&mut self, payload: &[u8]) {
        self.current.extend_from_slice(payload);
    }

    /// Keeps a share of a payload.
    pub(super) fn share(&mut self, payload: Bytes) -> Place {
        self.close();
        let (piece, len) = (self.first + self.pieces.len() as u64, payload.len());
        self.pieces.push_back(Piece { bytes: payload, kept: 1 });
        Place::new(piece, 0, len)
    }

    /// What lies there.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let bytes = match self.index(place).and_then(|index| self.pieces.get(index)) {
            Some(piece) => &piece.bytes[..],
            None => &self.current[..],
        };
        let at = place.at();
        bytes.get(at..at + place.len()).unwrap_or_default()
    }

    /// The same to keep.
    pub(super) fn take(&mut self, place: Place) -> Bytes {
        if self.index(place) == Some(self.pieces.len()) {
            self.close();
        }
        let piece = self.index(place).and_then(|index| self.pieces.get(index));
        let at = place.at();
        let range = at..at + place.len();
        piece.filter(|piece| range.end <= piece.bytes.len()).map_or_else(Bytes::new, |piece| {
            if range.len() == piece.bytes.len() {
                piece.bytes.clone()
            } else {
                piece.bytes.slice(range)
            }
        })
    }

    /// A packet that was kept there is forgotten.
    pub(super) fn forget(&mut self, place: Place) {
        let Some(index) = self.index(place) else { return };
        let Some(piece) = self.pieces.get_mut(index) else {
            self.kept = self.kept.saturating_sub(1);
            return;
        };
        piece.kept = piece.kept.saturating_sub(1);
        if piece.kept == 0 {
            piece.bytes = Bytes::new();
        }
        while self.pieces.front().is_some_and(|piece| piece.kept == 0) {
            self.pieces.pop_front();
            self.first += 1;
        }
    }

    /// Gives memory back that was of no use since the last call.
    pub(super) fn give_back(&mut self) {
        self.chunks.give_back();
    }

    /// From now on what was filled may be shared.
    fn close(&mut self) {
        if self.current.is_empty() {
            return;
        }
        let bytes = self.current.split().freeze();
        let kept = std::mem::take(&mut self.kept);
        self.pieces.push_back(Piece { bytes, kept });
    }

    fn index(&self, place: Place) -> Option<usize> {
        usize::try_from(place.piece.checked_sub(self.first)?).ok()
    }
}

/// What a window and an output hold at most by default: what is beyond that is new memory each time, which
/// costs as much as all else that is done with it.
const MOST_OF_WINDOW: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(store: &mut Store, payload: &[u8]) -> Place {
        let place = store.reserve(payload.len());
        store.fill(payload);
        place
    }

    #[test]
    fn what_comes_one_after_the_other_leaves_as_one_piece() {
        let mut store = Store::default();
        let places = [&b"ab"[..], b"cde", b"f"].map(|payload| copy(&mut store, payload));
        let run = places[0].with(places[1]).and_then(|run| run.with(places[2])).unwrap();
        assert_eq!(places[0].with(places[2]), None);
        assert_eq!(store.get(run), b"abcdef");
        assert_eq!(store.take(run), Bytes::from_static(b"abcdef"));
        let later = copy(&mut store, b"g");
        assert_eq!(run.with(later), None, "what was shared is not added to");
        assert_eq!((store.get(places[1]), store.get(later)), (&b"cde"[..], &b"g"[..]));
    }

    #[test]
    fn a_share_is_no_copy() {
        let mut store = Store::default();
        let ours = Bytes::from_static(b"abc");
        let place = store.share(ours.clone());
        assert_eq!(store.take(place).as_ptr(), ours.as_ptr());
    }

    #[test]
    fn what_is_forgotten_makes_room() {
        let mut store = Store::default();
        let mut first = None;
        for round in 0..1_000_u32 {
            let place = copy(&mut store, &[7; 1_000]);
            let taken = store.take(place);
            let is_again = round > 300 && Some(taken.as_ptr()) == first;
            first = first.or(Some(taken.as_ptr()));
            store.forget(place);
            if is_again {
                return;
            }
        }
        panic!("memory is used again");
    }
}
