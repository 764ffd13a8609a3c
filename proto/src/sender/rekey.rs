//! A new key, and who is not to have it (docs/PROTOCOL.md §4.13).

use std::collections::BTreeSet;

use super::{Destination, Event, Sender};
use crate::seal::Key;
use crate::wire::{Body, Discard, Evict, EvictReason};
use crate::{SubscriberId, Timestamp};

/// Those that were removed: what they say is not heard.
#[derive(Debug, Default)]
pub(super) struct Removed(BTreeSet<SubscriberId>);

impl Removed {
    pub(super) fn check(&self, subscriber: SubscriberId) -> Result<(), Discard> {
        if self.0.contains(&subscriber) { Err(Discard::Removed) } else { Ok(()) }
    }
}

impl Sender {
    /// Seals all that leaves from now on under the key of the next epoch, 1 to 255. What
    /// subscribers say under the one before is heard for 10 s more.
    ///
    /// The next epoch after 255 is 1. Who is to have the key should have it before this is called.
    /// A sender that was built without a key stays without one, and a key that it has is no news.
    pub fn rekey(&mut self, epoch: u8, key: Key, now: Timestamp) {
        let name = (self.config.stream, self.config.session);
        let Some(guard) = &mut self.guard else { return };
        if guard.rekey((epoch, key), name, now) {
            // Who has not the key hears of it at once, who has it forgets the one before.
            self.announce_due = now;
        }
    }

    /// Removes a subscriber: it is told, no longer waited for, and what it says is discarded
    /// until [`Sender::readmit`].
    ///
    /// It is told under the present key: the next one should not be used in the same moment.
    pub fn evict(&mut self, subscriber: SubscriberId, reason: EvictReason, now: Timestamp) {
        self.removed.0.insert(subscriber);
        self.members.remove(subscriber);
        let Some(row) = self.audience.remove(subscriber) else { return };
        self.stats.removed += 1;
        self.stats.leaves += u64::from(row.is_present());
        let (name, address) = (row.name().clone(), row.address());
        self.events.push_back(Event::SubscriberEvicted { subscriber, name, reason });
        let evict = Body::Evict(Evict { subscriber, reason });
        if let Err(reason) = self.say(Destination::Unicast(address), evict) {
            self.stats.discarded.add(reason);
        }
        self.advance_phase(now);
    }

    /// Hears a subscriber again that was removed.
    pub fn readmit(&mut self, subscriber: SubscriberId) {
        self.removed.0.remove(&subscriber);
    }
}
