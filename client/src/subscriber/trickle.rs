//! Datagrams that come one by one, each of which somebody waits for: it is handed out first, and all
//! else that follows from it is done after.

use std::time::Duration;

use proto::Timestamp;

use crate::socket::{Batch, PATIENCE};

/// Whether datagrams come one by one.
#[derive(Debug, Default)]
pub(super) struct Trickle {
    /// When the last was read.
    last: Timestamp,
    is_calm: bool,
    /// The next is likely to come before the kernel would give up waiting for it.
    is_steady: bool,
    /// The one that was read just now is handed out before anything else is done.
    is_alone: bool,
}

impl Trickle {
    /// Whether to ask the kernel for one buffer only: to prepare and to look for others takes as long as
    /// the call itself.
    pub(super) fn asks_for_one(&self) -> bool {
        self.is_calm
    }

    /// The only socket that was ready was read; says whether what came is one datagram that follows no
    /// other closely.
    pub(super) fn on_read(&mut self, batch: &Batch, now: Timestamp) -> bool {
        self.on_one(batch.is_one(), now)
    }

    fn on_one(&mut self, is_one: bool, now: Timestamp) -> bool {
        let apart = now.since(self.last);
        self.last = now;
        self.is_calm = apart > CLOSE && is_one;
        self.is_steady = self.is_calm && apart < PATIENCE;
        self.is_alone = self.is_calm;
        self.is_alone
    }

    /// When something was last read.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// Whether it is worth while to wait at the socket for the next.
    pub(super) fn is_steady(&self) -> bool {
        self.is_steady
    }

    /// It was waited for, and none came.
    pub(super) fn on_silence(&mut self) {
        self.is_steady = false;
    }

    /// Whether one was read that is to be handed out before anything else is done; once.
    pub(super) fn take_alone(&mut self) -> bool {
        std::mem::take(&mut self.is_alone)
    }
}

/// What follows sooner than this may as well be taken together with it.
const CLOSE: Duration = Duration::from_micros(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp(micros * 1_000)
    }

    #[test]
    fn what_comes_apart_is_handed_out_alone_and_what_comes_together_is_not() {
        let mut trickle = Trickle::default();
        assert!(trickle.on_one(true, at(1_000)));
        assert!(trickle.asks_for_one() && trickle.take_alone());
        assert!(!trickle.take_alone(), "once");
        assert!(!trickle.on_one(true, at(1_010)), "10 µs later");
        assert!(!trickle.asks_for_one() && !trickle.take_alone());
        assert!(!trickle.on_one(false, at(2_000)), "several");
        assert!(trickle.on_one(true, at(3_000)));
    }

    #[test]
    fn the_next_is_waited_for_only_if_it_is_likely_to_come() {
        let mut trickle = Trickle::default();
        trickle.on_one(true, at(10_000));
        assert!(!trickle.is_steady(), "nobody knows how often they come");
        trickle.on_one(true, at(10_100));
        assert!(trickle.is_steady());
        trickle.on_silence();
        assert!(!trickle.is_steady());
        trickle.on_one(true, at(20_000));
        assert!(!trickle.is_steady(), "10 ms apart");
    }
}
