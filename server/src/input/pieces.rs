//! Memory that an input is read into: used again once all that was cut from it is forgotten, so
//! that a long stream costs no more of it than is kept.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Fills pieces one after the other and lends them out.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Length of a whole one.
    len: usize,
    /// What is being filled, and what follows in the same memory.
    current: BytesMut,
    filled: usize,
    /// What was lent first of the present memory.
    first: Option<Bytes>,
    /// The same of the memory before, the oldest first: whoever has it alone has all of it.
    lent: VecDeque<Bytes>,
}

impl Pieces {
    /// Pieces of about 256 KiB that hold whole packets of `payload_len` bytes: nothing of them has
    /// to be copied to fill a packet up.
    pub(super) fn new(payload_len: usize) -> Self {
        let payload_len = payload_len.clamp(1, PIECE_LEN);
        let len = PIECE_LEN / payload_len * payload_len;
        let (current, lent) = (BytesMut::zeroed(len), VecDeque::new());
        Self { len, current, filled: 0, first: None, lent }
    }

    /// Where to read to: never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.current.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many bytes were read there.
    pub(super) fn on_read(&mut self, len: usize) {
        self.filled = self.current.len().min(self.filled + len);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.current.len()
    }

    /// Lends out what was read.
    pub(super) fn take(&mut self) -> Bytes {
        let taken = self.current.split_to(std::mem::take(&mut self.filled)).freeze();
        self.first.get_or_insert_with(|| taken.clone());
        if self.current.len() < LEAST_ROOM {
            // Without the end of it, the first alone holds the memory.
            self.current = BytesMut::new();
            self.current = self.next();
            self.lent.extend(self.first.take());
        }
        taken
    }

    /// The piece that was lent first is forgotten first: it, or a new one.
    fn next(&mut self) -> BytesMut {
        match self.lent.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(mut piece)) => {
                piece.resize(self.len, 0);
                return piece;
            }
            Some(Err(kept)) => self.lent.push_front(kept),
            None => {}
        }
        BytesMut::zeroed(self.len)
    }
}

/// What a sender takes in one push, and a disk gives in one read.
const PIECE_LEN: usize = 256 << 10;

/// Less room than this is not worth a read.
const LEAST_ROOM: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pieces: &mut Pieces, byte: u8) -> Bytes {
        let len = pieces.room().len();
        pieces.room().fill(byte);
        pieces.on_read(len);
        assert!(pieces.is_full());
        pieces.take()
    }

    #[test]
    fn a_piece_holds_whole_packets() {
        assert_eq!(fill(&mut Pieces::new(1_431), 1).len() % 1_431, 0);
    }

    #[test]
    fn what_is_forgotten_is_filled_again_and_what_is_kept_is_not() {
        let mut pieces = Pieces::new(1_000);
        let kept: Vec<Bytes> = (0..3).map(|byte| fill(&mut pieces, byte)).collect();
        let first = kept.first().unwrap().as_ptr();
        let mut kept = kept.into_iter();
        drop(kept.next());
        let more = [fill(&mut pieces, 3), fill(&mut pieces, 4)];
        assert_eq!(more.last().unwrap().as_ptr(), first);
        for (bytes, byte) in kept.chain(more).zip([1, 2, 3, 4]) {
            assert!(bytes.iter().all(|it| *it == byte));
        }
    }

    #[test]
    fn short_reads_share_memory() {
        let mut pieces = Pieces::new(1_000);
        let start = pieces.room().as_ptr();
        pieces.on_read(100);
        let (one, next) = (pieces.take(), pieces.room().as_ptr());
        assert_eq!((one.as_ptr(), one.len()), (start, 100));
        assert_eq!(next as usize - start as usize, 100);
    }
}
