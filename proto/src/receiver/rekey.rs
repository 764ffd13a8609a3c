//! One epoch after another (docs/PROTOCOL.md §4.13).

use std::time::Duration;

use super::{Event, Receiver};
use crate::seal::{Cause, Key};
use crate::wire::UNICAST_NUMBERS;
use crate::{StreamId, Timestamp};

/// Since when the newest epoch of a session is heard.
///
/// Who was removed can still seal under the one before. So of that nothing counts but what the
/// publisher sent before it turned, and that only as long as it can be on its way.
#[derive(Debug)]
pub(super) struct Turn {
    epoch: u8,
    at: Timestamp,
    /// The first numbers heard of it: of the group's, and of those for single subscribers.
    first: (u64, u64),
}

impl Turn {
    pub(super) fn new(epoch: u8, now: Timestamp) -> Self {
        Self { epoch, at: now, first: (u64::MAX, u64::MAX) }
    }

    pub(super) fn epoch(&self) -> u8 {
        self.epoch
    }

    /// Something authentic came of this epoch, or of a newer one.
    pub(super) fn hear(&mut self, epoch: u8, number: u64, now: Timestamp) {
        if epoch != self.epoch {
            *self = Self::new(epoch, now);
        }
        let first = if number < UNICAST_NUMBERS { &mut self.first.0 } else { &mut self.first.1 };
        *first = number.min(*first);
    }

    /// Whether the publisher can have sent this before it turned.
    pub(super) fn admits(&self, number: u64, now: Timestamp) -> bool {
        let first = if number < UNICAST_NUMBERS { self.first.0 } else { self.first.1 };
        number < first && !self.is_over(now)
    }

    /// Whether all that was sent before is here or lost.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.at) >= ON_ITS_WAY
    }
}

/// What is heard and cannot be opened, for want of its epoch's key.
#[derive(Debug, Default)]
pub(super) struct Hint {
    heard: Option<(StreamId, u8)>,
    /// Nothing is asked for before this.
    due: Timestamp,
}

impl Hint {
    pub(super) fn add(&mut self, stream: StreamId, epoch: u8) {
        self.heard = Some((stream, epoch));
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Option<(StreamId, u8)> {
        let heard = self.heard.take().filter(|_| self.due <= now)?;
        self.due = now.after(HINT_INTERVAL);
        Some(heard)
    }
}

impl Receiver {
    /// Takes the key of the newest epoch, 1 to 255. What is said is sealed under it as soon as the
    /// publisher is heard under it; a second after that the ones before are forgotten.
    ///
    /// A receiver that was built without a keyring hears only what is not sealed, and goes on so.
    pub fn add_key(&mut self, epoch: u8, key: Key) {
        if self.guard.as_mut().is_some_and(|guard| guard.add(epoch, key)) {
            self.causes_told.remove(Cause::Epoch);
        }
    }

    /// Something came under a key that is not here: whoever can ask for it is told.
    pub(super) fn miss_key(&mut self, now: Timestamp) {
        let hint = self.guard.as_mut().and_then(|guard| guard.poll_hint(now));
        if let Some((stream, epoch)) = hint {
            self.events.push_back(Event::KeyWanted { stream, epoch });
        }
    }
}

/// What was sent longer ago is taken for lost, and asked for again.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Anybody can send what nobody can open: it makes nobody ask more often than this.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
