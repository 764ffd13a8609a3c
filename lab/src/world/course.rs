//! How a world goes on: from event to event, and from deadline to deadline.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

use proto::Timestamp;

use super::crowd::Crowd;
use super::event::Arrival;
use super::parcel::Parcel;
use super::{CROWD_CLASS, World, link, plan};

impl World {
    /// Goes on until the sender has finished and nothing moves any more, or until `limit` has
    /// passed; says whether it finished.
    pub fn run(&mut self, limit: Duration) -> bool {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.is_finished() && world.events.is_empty())
    }

    /// Goes on until all was sent for the first time, then to the end as [`World::run`]; gives the
    /// audience as the sender took it to be before it began to leave.
    pub fn audience_when_sent(&mut self, limit: Duration) -> f64 {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.is_ending());
        let audience = self.sender.group_size().audience();
        self.run(limit);
        audience
    }

    /// Goes on until so many packets were sent for the first time.
    pub fn run_to_sent(&mut self, packets: u64, limit: Duration) {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.stats().packets_sent >= packets);
    }

    /// Goes on for `time`.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.run_until(end, |_| false);
        // Also when nothing more is to happen.
        self.now = end;
    }

    fn run_until(&mut self, end: Timestamp, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            self.feed_sender();
            self.drive_sender();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_time() else { return done(self) };
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = self.now.max(next);
            self.deliver_due();
            self.fire_timers();
            self.hear_crowd();
        }
    }

    /// Takes what the crowd has to say by now.
    fn hear_crowd(&mut self) {
        let Some(crowd) = &mut self.crowd else { return };
        let delay = self.plan.link.delay_of(CROWD_CLASS);
        for packet in crowd.speak(self.now) {
            let from = plan::crowd_address(packet.header.number);
            self.hear_later(Parcel::Open(packet), from, delay);
        }
    }

    fn next_time(&self) -> Option<Timestamp> {
        let event = self.events.peek().map(|Reverse(event)| event.at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let sender = self.sender.poll_timeout().map(|(at, _)| at);
        let crowd = self.crowd.as_ref().and_then(Crowd::due);
        [event, timer, sender, crowd].into_iter().flatten().min()
    }

    fn feed_sender(&mut self) {
        while self.pushed < self.supply.total() && self.sender.has_room() {
            let piece = self.supply.piece(self.pushed, PUSH);
            let end = self.pushed + piece.len();
            if self.sender.push(piece, self.now).is_err() {
                return;
            }
            self.pushed = end;
        }
        if self.supply.has_ended_at(self.pushed) {
            self.sender.close(None, false, self.now);
        }
    }

    fn drive_sender(&mut self) {
        if self.sender.poll_timeout().is_some_and(|(due, _)| due <= self.now) {
            self.sender.handle_timeout(self.now);
        }
        let mut buf = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, BURST, &mut buf) {
            for datagram in buf.chunks(transmit.segment_len) {
                self.send(transmit.destination, datagram);
            }
        }
        while let Some(event) = self.sender.poll_event() {
            self.sender_events.push(event);
        }
    }

    fn fire_timers(&mut self) {
        while let Some(&(at, number)) = self.timers.first() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            if let Some(listener) = self.listeners.get_mut(number) {
                listener.armed = None;
                listener.receiver.handle_timeout(listener.clock(self.now));
            }
            self.after(number);
        }
    }

    /// Takes what a listener has to say and to hand out, and arms its timer anew.
    pub(super) fn after(&mut self, number: usize) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        listener.take_delivered(&self.supply, self.sender.payload_len(), self.now);
        let delay = self.plan.link.delay_of(link::class_of(number));
        let mut said = Vec::new();
        let from = listener.address;
        let now = listener.clock(self.now);
        while let Some(packet) = listener.says(self.template.keys.is_some(), now) {
            listener.sent += 1;
            if !listener.link.cut {
                let copies = listener.link.feedback_copies();
                said.extend((0..copies).map(|_| packet.clone()));
            }
        }
        let due = listener.due();
        let armed = std::mem::replace(&mut listener.armed, due);
        if armed != due {
            armed.map(|at| self.timers.remove(&(at, number)));
            due.map(|at| self.timers.insert((at, number)));
        }
        for packet in said {
            if !self.is_muted(packet.header().kind) {
                self.hear_later(packet, from, delay);
            }
        }
    }

    fn hear_later(&mut self, packet: Parcel, from: SocketAddr, delay: Duration) {
        self.tally.on_feedback(packet.len());
        let at = self.now.after(delay);
        self.schedule(at, Arrival::Feedback { packet: Box::new(packet), from });
    }
}

/// What the sender is given at a time.
const PUSH: usize = 64 << 10;

/// As many datagrams as one GSO send takes.
const BURST: usize = 44;
