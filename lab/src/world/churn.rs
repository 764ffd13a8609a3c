//! What goes on for days: who comes and goes, and a stream without an end.

use bytes::Bytes;
use proto::seal::{Key, Keyring};
use proto::wire::ByeReason;

use super::World;
use super::supply::Supply;

impl World {
    /// The sender will be given `content` over and over, as much of it as [`World::supply`] says, until
    /// [`World::end_supply`]. A sender that is restarted begins anew, with nothing.
    pub fn publish_on(&mut self, content: Bytes) {
        self.supply = Supply::that_goes_on(content);
        self.pushed = 0;
    }

    /// Another `packets` full packets are there to be sent.
    pub fn supply(&mut self, packets: usize) {
        self.supply.add(packets * self.sender.payload_len());
    }

    /// That was all: End follows.
    pub fn end_supply(&mut self) {
        self.supply.end();
    }

    /// Bytes that the present session was given.
    #[must_use]
    pub fn supplied(&self) -> usize {
        self.supply.total()
    }

    /// Listener `number` says goodbye.
    pub fn leave(&mut self, number: usize) {
        if let Some(listener) = self.listeners.get_mut(number) {
            let now = listener.clock(self.now);
            listener.receiver.leave(ByeReason::Left, now);
        }
        self.after(number);
    }

    /// Listener `number` is no more, said goodbye or not; another begins in its place.
    pub fn replace(&mut self, number: usize) {
        if let Some(old) = self.listeners.get(number) {
            let (address, armed) = (old.address, old.armed);
            self.by_address.remove(&address);
            armed.map(|at| self.timers.remove(&(at, number)));
            let newcomer = self.newcomer(number, |_| {});
            if let Some(place) = self.listeners.get_mut(number) {
                *place = newcomer;
            }
        }
    }

    /// The sender turns to the key of another epoch, which all but listener `without` have, as those
    /// will that come later. For a world that was sealed from its beginning.
    pub fn rekey(&mut self, epoch: u8, key: &Key, without: Option<usize>) {
        self.template.keys = Some(Keyring::of_epoch(epoch, key.clone()));
        for number in 0..self.listeners.len() {
            if Some(number) != without {
                self.hand_key(number, epoch, key);
            }
        }
        self.sender.rekey(epoch, key.clone(), self.now);
    }

    /// Listener `number` is given a key.
    pub fn hand_key(&mut self, number: usize, epoch: u8, key: &Key) {
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.receiver.add_key(epoch, key.clone());
        }
        self.after(number);
    }

    /// Drops what grows with time and is only for people: delays, losses, events, sessions that are
    /// over.
    pub fn forget(&mut self) {
        self.tally.forget();
        self.sender_events.clear();
        self.listeners.iter_mut().for_each(super::Listener::forget);
    }

    /// Datagrams that left the senders, all sessions of them.
    #[must_use]
    pub fn packets_sent(&self) -> u64 {
        self.packets_sent
    }
}
