//! The way of a datagram, from the sender to everybody and back.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

use proto::Timestamp;
use proto::receiver::Via;
use proto::sender::Destination;
use proto::wire::Kind;

use super::event::{Arrival, Event};
use super::parcel::Parcel;
use super::plan::source_address;
use super::{CROWD_CLASS, World, crowd, link};

impl World {
    pub(super) fn send(&mut self, destination: Destination, datagram: &[u8]) {
        let Some(packet) = Parcel::of(datagram) else { return };
        self.packets_sent += 1;
        if self.is_muted(packet.header().kind) {
            return;
        }
        let packet = Arc::new(packet);
        match destination {
            Destination::Group => {
                if self.common.loses() {
                    self.tally.on_lost(packet.header());
                    return;
                }
                for class in 0..link::CLASSES {
                    let at = self.now.after(self.plan.link.delay_of(class));
                    self.schedule(at, Arrival::Group { packet: Arc::clone(&packet), class });
                }
                if self.crowd.is_some() && crowd::is_heard(packet.header().kind) {
                    let at = self.now.after(self.plan.link.delay_of(CROWD_CLASS));
                    self.schedule(at, Arrival::Crowd { packet });
                }
            }
            Destination::Unicast(address) => {
                if let Some(&listener) = self.by_address.get(&address) {
                    let at = self.now.after(self.plan.link.delay_of(link::class_of(listener)));
                    self.schedule(at, Arrival::Unicast { packet, listener });
                }
            }
        }
    }

    pub(super) fn is_muted(&mut self, kind: Kind) -> bool {
        let Some(left) = self.muted.get_mut(&kind) else { return false };
        let muted = *left > 0;
        *left = left.saturating_sub(1);
        muted
    }

    pub(super) fn schedule(&mut self, at: Timestamp, what: Arrival) {
        self.event_count += 1;
        self.events.push(Reverse(Event { at, order: self.event_count, what }));
    }

    pub(super) fn deliver_due(&mut self) {
        while let Some(Reverse(event)) = self.events.peek() {
            if event.at > self.now {
                return;
            }
            let Some(Reverse(event)) = self.events.pop() else { return };
            match event.what {
                Arrival::Group { packet, class } => {
                    for number in (class..self.listeners.len()).step_by(link::CLASSES) {
                        self.arrive(&packet, number, Via::Group);
                    }
                }
                Arrival::Unicast { packet, listener } => {
                    self.arrive(&packet, listener, Via::Feedback);
                }
                Arrival::One { packet, listener, via } => self.receive(&packet, listener, via),
                Arrival::Crowd { packet } => {
                    if let (Some(crowd), Some(packet)) = (&mut self.crowd, packet.packet()) {
                        crowd.hear(packet, self.now);
                    }
                }
                Arrival::Feedback { packet, from } => {
                    self.hear_feedback(*packet, from);
                }
            }
        }
    }

    /// What the link of one listener makes of a datagram.
    fn arrive(&mut self, packet: &Arc<Parcel>, number: usize, via: Via) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        let fate = listener.link.fate();
        if fate.copies == 0 {
            self.tally.on_lost(packet.header());
        }
        for _ in 0..fate.copies {
            match fate.extra_delay {
                None => self.receive(packet, number, via),
                Some(extra) => {
                    let at = self.now.after(extra);
                    let packet = Arc::clone(packet);
                    self.schedule(at, Arrival::One { packet, listener: number, via });
                }
            }
        }
    }

    fn receive(&mut self, packet: &Parcel, number: usize, via: Via) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        if listener.link.cut {
            return;
        }
        listener.given += 1;
        let now = listener.clock(self.now);
        match packet {
            Parcel::Open(packet) => {
                listener.receiver.handle_packet(packet, via, source_address(), now);
            }
            Parcel::Sealed(_, datagram) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(datagram);
                let (datagram, from) = (&mut self.scratch, source_address());
                listener.receiver.handle_datagram(datagram, via, from, now);
            }
        }
        self.after(number);
    }

    fn hear_feedback(&mut self, packet: Parcel, from: SocketAddr) {
        match packet {
            Parcel::Open(packet) => self.sender.handle_packet(&packet, from, self.now),
            Parcel::Sealed(_, mut datagram) => {
                self.sender.handle_datagram(&mut datagram, from, self.now);
            }
        }
    }
}
