//! From the group to the publisher's own address, and back.

use std::net::SocketAddr;

use proto::Timestamp;
use proto::receiver::{Joined, Via};
use proto::wire::ReportState;

use super::{Subscription, TcpLink};
use crate::record::{Record, Records};
use crate::socket::Received;
use crate::tcp;

impl Subscription {
    /// Takes datagrams of the group: as they came together, where nobody wants to see each. Says whether they
    /// are yet to be counted.
    pub(crate) fn take_heard(&mut self, received: &mut Received<'_>, now: Timestamp) -> bool {
        let from = received.from;
        let is_seen = self.config.defaults.allow_compare || self.ways.has_both();
        if is_seen || self.impairment.is_some() {
            received.datagrams().for_each(|datagram| self.take_each(datagram, from, now));
            return false;
        }
        let joined = Joined { bytes: received.bytes, len: received.len };
        self.receiver.handle_joined(joined, Via::Group, from, now);
        true
    }

    /// Counts what was taken.
    pub(crate) fn count_heard(&mut self, received: &Received<'_>, now: Timestamp) {
        self.tally.on_group_datagrams(received, self.joined_at, now);
        self.tally.received_bytes += received.bytes.len() as u64;
    }

    fn take_each(&mut self, bytes: &mut [u8], from: SocketAddr, now: Timestamp) {
        self.look_for_invitation(bytes, from);
        let (is_back, from) = self.ways.on_group(bytes, from, &self.receiver, now);
        if is_back {
            self.ways.go_back(&mut self.receiver, now);
            self.ways.switches.to_group += 1;
            self.has_switched = true;
        }
        self.take(bytes, Via::Group, from, now);
    }

    /// Takes a datagram that came to the socket that feedback is sent from.
    pub(crate) fn take_direct(&mut self, bytes: &mut [u8], from: SocketAddr, now: Timestamp) {
        let (via, from) = self.ways.on_direct(bytes, from, &self.receiver);
        self.take(bytes, via, from, now);
    }

    /// Whether the publisher is asked for this there, by UDP.
    pub(crate) fn asks_at(&self, from: SocketAddr) -> bool {
        self.ways.is_asked_at(from)
    }

    /// Takes note of what the feedback socket had no room for.
    pub(crate) fn note_direct_drops(&mut self, drops: u64) {
        if self.ways.is_direct && drops > self.direct_drops {
            self.direct_drops = drops;
            self.read_drops();
        }
    }

    /// Asks the publisher for what is not heard of the group.
    pub(super) fn ask_publisher(&mut self, now: Timestamp) {
        let (waker, group) = (self.waker.clone(), &self.group);
        self.ways.go_direct(&mut self.receiver, now, |address| {
            let link = TcpLink::open(address, waker);
            link.inspect_err(|error| tracing::warn!(group, %error, "no thread to connect with"))
                .ok()
        });
    }

    /// Goes to the publisher when the group has been silent for too long, and says what changed.
    pub(super) fn choose_way(&mut self, now: Timestamp, records: &Records) {
        if self.ways.fallback_due().is_some_and(|due| due <= now) {
            let state = self.receiver.status().state;
            if matches!(state, ReportState::Complete | ReportState::Incomplete) {
                self.ways.excuse_group(now);
            } else {
                self.ask_publisher(now);
                self.ways.switches.to_fallback += 1;
                self.has_switched = true;
            }
        }
        if std::mem::take(&mut self.has_switched) {
            self.tell_switch(records);
        }
    }

    fn tell_switch(&self, records: &Records) {
        let group = &self.group;
        let publisher = self.ways.publisher().map(|publisher| publisher.address());
        if self.ways.is_direct {
            tracing::warn!(group, ?publisher, "the group is not heard: asking the publisher");
        } else {
            tracing::info!(group, "the group is heard again");
        }
        let to = if self.ways.is_direct { "fallback" } else { "group" };
        records.write(&Record::Switched { group, to });
    }

    /// Takes what came by the connection.
    pub(super) fn read_link(&mut self, now: Timestamp) {
        for _ in 0..BATCHES_LIMIT {
            let Some(from) = self.ways.link_address() else { return };
            let Some(mut batch) = self.ways.link().and_then(|link| link.receive()) else { return };
            for datagram in tcp::frames(&mut batch) {
                self.take_direct(datagram, from, now);
            }
        }
        // More may wait: the next turn comes at once.
        self.waker.wake();
    }
}

/// Then others have their turn.
const BATCHES_LIMIT: usize = 4;
