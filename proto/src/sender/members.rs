//! Who is sent by unicast what goes to the group.
//!
//! A subscriber says so with every report and cookie reply, so that the last one that came decides,
//! and what was lost is said again. Whether there is a way to it is for the program to know.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Destination, Sender, Subscriber};
use crate::wire::{self, Body, Discard, Evict, EvictReason, FLAG_BY_UNICAST, Header};
use crate::{SessionId, StreamId, SubscriberId, Timestamp};

/// Who is sent by unicast what goes to the group.
#[derive(Debug, Default)]
pub struct Members {
    addresses: BTreeMap<SubscriberId, SocketAddr>,
    changes: u64,
}

impl Members {
    /// Their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.values().copied()
    }

    /// How often somebody came, went or moved: while it stays, so do the addresses.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Takes one in, or lets it move; says whether something changed.
    fn add(&mut self, id: SubscriberId, address: SocketAddr) -> bool {
        let is_news = self.addresses.insert(id, address) != Some(address);
        self.changes += u64::from(is_news);
        is_news
    }

    /// Lets one go.
    pub(super) fn remove(&mut self, id: SubscriberId) {
        self.changes += u64::from(self.addresses.remove(&id).is_some());
    }
}

impl Sender {
    /// Who is sent by unicast what goes to the group.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Takes a `register` of session 0, which says that its sender hears no group. Only for what came
    /// by a way on which the group's datagrams can be sent to single subscribers.
    pub fn handle_knock(&mut self, datagram: &mut [u8], from: SocketAddr, now: Timestamp) {
        let len = datagram.len();
        let Some(datagram) = self.open(datagram, SessionId(0), (from, now)) else { return };
        let taken = wire::decode_said(datagram).and_then(|packet| {
            let header = packet.header;
            if header.session != SessionId(0) {
                return Err(Discard::ForeignSession);
            }
            if header.stream != StreamId(0) && header.stream != self.config.stream {
                return Err(Discard::ForeignStream);
            }
            let Body::Register(register) = packet.body else { return Err(Discard::Direction) };
            self.removed.check(register.subscriber)?;
            // Who comes when all is over cannot be given anything.
            if self.phase.is_finished() {
                return Err(Discard::TableFull);
            }
            self.challenge(register.subscriber, from, now).map(|()| header.kind)
        });
        match taken {
            Ok(kind) => self.stats.received.add(kind, 1, len as u64),
            Err(reason) => self.stats.discarded.add(reason),
        }
    }

    /// Lets go whom the way to it cannot carry: it is sent nothing more. Writes what it is to be told
    /// into `buf`, nothing if it is not known.
    pub fn let_go_at(
        &mut self,
        address: SocketAddr,
        reason: EvictReason,
        now: Timestamp,
        buf: &mut Vec<u8>,
    ) {
        let found = self.audience.rows().find(|row| row.address == address).map(|row| row.id);
        let Some(subscriber) = found else { return };
        self.let_go(subscriber, reason, now);
        let evict = Body::Evict(Evict { subscriber, reason });
        self.write_control(Destination::Unicast(address), evict, now, buf);
    }

    /// A proven subscriber said by which way it wants what goes to the group. Who is new there hears
    /// of the session before anything else.
    pub(super) fn heed_way(
        &mut self,
        header: &Header,
        id: SubscriberId,
        from: SocketAddr,
        now: Timestamp,
    ) {
        let is_here = self.audience.get(id).is_some_and(Subscriber::is_present);
        if header.flags & FLAG_BY_UNICAST == 0 || !is_here {
            self.members.remove(id);
        } else if self.members.add(id, from) {
            let announce = Body::Announce(self.announcement(now));
            if let Err(reason) = self.say(Destination::Unicast(from), announce) {
                self.stats.discarded.add(reason);
            }
        }
    }
}
