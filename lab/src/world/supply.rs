//! What is published: a source with an end, or one that goes on.

use bytes::Bytes;

/// Content that comes again and again, and how much of it there is so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Supply {
    content: Bytes,
    total: usize,
    /// Whether it is content over and over.
    comes_round: bool,
    /// Whether there may be more.
    goes_on: bool,
}

impl Supply {
    /// All of `content`, and no more.
    pub(super) fn of(content: Bytes) -> Self {
        Self { total: content.len(), content, comes_round: false, goes_on: false }
    }

    /// Nothing yet; what comes is `content`, over and over.
    pub(super) fn that_goes_on(content: Bytes) -> Self {
        Self { total: 0, content, comes_round: true, goes_on: true }
    }

    pub(super) fn content(&self) -> &Bytes {
        &self.content
    }

    /// Bytes so far.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Where it may end: content that comes round was the same in every session, and some of those
    /// before this one were longer.
    pub(super) fn bound(&self) -> usize {
        if self.comes_round { usize::MAX } else { self.total }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.total += bytes;
    }

    pub(super) fn end(&mut self) {
        self.goes_on = false;
    }

    pub(super) fn has_ended_at(&self, place: usize) -> bool {
        !self.goes_on && place == self.total
    }

    /// For another session: what comes round begins with nothing.
    pub(super) fn begin_again(&mut self) {
        if self.comes_round {
            (self.total, self.goes_on) = (0, true);
        }
    }

    /// At most `most` bytes from `place` on that are there to be sent.
    pub(super) fn piece(&self, place: usize, most: usize) -> Bytes {
        self.within(place, most.min(self.total.saturating_sub(place)))
    }

    /// At most `most` bytes from `place` on: as many as follow one another.
    fn within(&self, place: usize, most: usize) -> Bytes {
        let start = place.checked_rem(self.content.len()).unwrap_or(0);
        self.content.slice(start..start + most.min(self.content.len() - start))
    }

    /// Whether these bytes stand at `place`.
    pub(super) fn has(&self, place: usize, bytes: &[u8]) -> bool {
        let mut place = place;
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = self.within(place, rest.len().min(self.bound().saturating_sub(place)));
            let Some((first, more)) = rest.split_at_checked(piece.len()) else { return false };
            if piece.is_empty() || first != piece {
                return false;
            }
            (place, rest) = (place + piece.len(), more);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_goes_on_comes_round() {
        let mut supply = Supply::that_goes_on(Bytes::from_static(b"abcd"));
        assert!(!supply.has_ended_at(0) && supply.piece(0, 9).is_empty());
        supply.add(10);
        assert_eq!(supply.piece(2, 9), "cd");
        assert_eq!(supply.piece(8, 9), "ab");
        assert!(supply.has(1, b"bcdabcdabcda") && !supply.has(1, b"bcdabcdabb"));
        assert!(!supply.has(1, b"bb"));
        supply.end();
        assert!(supply.has_ended_at(10));
    }

    #[test]
    fn a_source_with_an_end_comes_once() {
        let supply = Supply::of(Bytes::from_static(b"abcd"));
        assert!(supply.has(0, b"abcd") && !supply.has(0, b"abcda") && supply.has_ended_at(4));
    }
}
