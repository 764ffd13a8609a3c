//! What is counted of the world as a whole.

use std::collections::BTreeSet;

use proto::wire::{Header, Kind};

use super::OVERHEAD;

/// What is counted of the world as a whole.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Datagrams of data that at least one listener did not get, by number.
    lost: BTreeSet<u64>,
    /// Bytes of feedback that reached the sender, all headers counted.
    feedback_bytes: u64,
}

impl Tally {
    /// Data packets that at least one listener did not get the first time.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.lost.len() as u64
    }

    /// Bytes of feedback that reached the sender, all headers counted.
    #[must_use]
    pub fn feedback_bytes(&self) -> u64 {
        self.feedback_bytes
    }

    pub(super) fn on_lost(&mut self, header: &Header) {
        if header.kind == Kind::Data {
            self.lost.insert(header.number);
        }
    }

    pub(super) fn on_feedback(&mut self, len: usize) {
        self.feedback_bytes += len as u64 + u64::from(OVERHEAD);
    }

    pub(super) fn forget(&mut self) {
        self.lost.clear();
    }
}
