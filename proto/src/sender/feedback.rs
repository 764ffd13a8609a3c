//! What subscribers say.

use std::net::SocketAddr;
use std::time::Duration;

use super::audience::Newcomer;
use super::catch_up::CatchUp;
use super::{Destination, Event, Sender};
use crate::wire::{
    self, Body, Bye, CatchUpAccept, CatchUpRequest, CookieChallenge, CookieReply, Discard, Kind,
    Packet, Report, ReportState,
};
use crate::{SeqRange, SubscriberId, Timestamp};

impl Sender {
    /// Takes what came in by the socket of the session.
    pub fn handle_datagram(&mut self, datagram: &mut [u8], from: SocketAddr, now: Timestamp) {
        let header = wire::decode_header(datagram).ok();
        if header.is_some_and(|(header, _)| self.is_flood(header.kind, from, now)) {
            return;
        }
        let len = datagram.len();
        let session = self.config.session;
        let Some(datagram) = self.open(datagram, session, (from, now)) else { return };
        match wire::decode_said(datagram) {
            Ok(packet) => self.handle(&packet, len, from, now),
            Err(reason) => self.stats.discarded.add(reason),
        }
    }

    /// Takes a decoded packet: the simulator's door.
    pub fn handle_packet(&mut self, packet: &Packet, from: SocketAddr, now: Timestamp) {
        if !self.is_flood(packet.header.kind, from, now) {
            self.handle(packet, 0, from, now);
        }
    }

    /// Whether this is one NAK of so many from one host that it is not looked at.
    fn is_flood(&mut self, kind: Kind, from: SocketAddr, now: Timestamp) -> bool {
        let floods = kind == Kind::Nak && self.budget.askers.floods(from.ip(), now);
        if floods {
            self.stats.discarded.add(Discard::Flood);
        }
        floods
    }

    fn handle(&mut self, packet: &Packet, len: usize, from: SocketAddr, now: Timestamp) {
        match self.take(packet, from, now) {
            Ok(()) => self.stats.received.add(packet.header.kind, 1, len as u64),
            Err(reason) => self.stats.discarded.add(reason),
        }
    }

    fn take(&mut self, packet: &Packet, from: SocketAddr, now: Timestamp) -> Result<(), Discard> {
        if packet.header.stream != self.config.stream {
            return Err(Discard::ForeignStream);
        }
        if packet.header.session != self.config.session {
            return Err(Discard::ForeignSession);
        }
        if let Some(speaker) = speaker(&packet.body) {
            self.removed.check(speaker)?;
            if speaks_as_kept(&packet.body) {
                self.refuse_let_go(speaker, from, now)?;
            }
        }
        match &packet.body {
            Body::Nak(nak) => self.on_nak(nak, from, now),
            Body::Report(report) => {
                self.on_report(report, from, now)?;
                self.heed_way(&packet.header, report.subscriber, from, now);
                Ok(())
            }
            // Who comes when all is over cannot be given anything.
            Body::Register(_) | Body::CookieReply(_) | Body::CatchUpRequest(_)
                if self.phase.is_finished() =>
            {
                Err(Discard::TableFull)
            }
            Body::Register(register) if self.wants_echo(&packet.header) => {
                self.echo(register, from, now)
            }
            Body::Register(register) => {
                self.census.on_knock(register.subscriber);
                self.challenge(register.subscriber, from, now)
            }
            Body::CookieReply(reply) => {
                self.on_cookie_reply(reply, from, now)?;
                self.heed_way(&packet.header, reply.subscriber, from, now);
                Ok(())
            }
            Body::CatchUpRequest(request) => self.on_catch_up_request(*request, from, now),
            Body::Bye(bye) => self.on_bye(*bye, from, now),
            Body::Data(_)
            | Body::Parity(_)
            | Body::Repair(_)
            | Body::Ncf(_)
            | Body::Refused(_)
            | Body::Heartbeat(_)
            | Body::Announce(_)
            | Body::CookieChallenge(_)
            | Body::CatchUpAccept(_)
            | Body::Evict(_)
            | Body::End(_)
            | Body::Manifest(_)
            | Body::KeyRequest(_)
            | Body::KeyUpdate(_) => Err(Discard::Direction),
        }
    }

    /// Asks for proof of an address. The answer is not longer than what asked for it.
    pub(super) fn challenge(
        &mut self,
        subscriber: SubscriberId,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let cookie = self.cookies.bake(subscriber, from, now);
        let challenge = Body::CookieChallenge(CookieChallenge { subscriber, cookie });
        self.say(Destination::Unicast(from), challenge)
    }

    fn on_cookie_reply(
        &mut self,
        reply: &CookieReply,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let subscriber = reply.subscriber;
        if !self.cookies.accepts(reply.cookie, subscriber, from, now) {
            return Err(Discard::Unproven);
        }
        if self.audience.get(subscriber).is_none() && !self.audience.make_room(from.ip()) {
            return Err(Discard::TableFull);
        }
        let newcomer = Newcomer {
            id: subscriber,
            name: reply.name.clone(),
            address: from,
            is_asked: self.census.asks(subscriber),
        };
        if self.audience.admit(newcomer, now) {
            self.stats.joins += 1;
            let name = reply.name.clone();
            self.events.push_back(Event::SubscriberJoined { subscriber, name, address: from });
        }
        self.welcome_back(subscriber);
        self.phase.on_progress(now);
        self.advance_phase(now);
        Ok(())
    }

    fn on_report(
        &mut self,
        report: &Report,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let (wire_len, lead) = (self.full_wire_len(), self.window.lead());
        let sent = self.numbers.0;
        let Some(row) = self.audience.proven(report.subscriber, from) else {
            return self.on_strange_report(report, from, now);
        };
        row.heard = now;
        if row.standing.come_back() | std::mem::take(&mut row.silent) {
            let (subscriber, name) = (row.id, row.name.clone());
            self.events.push_back(Event::SubscriberBack { subscriber, name });
        }
        let lost = report.losses.wire.saturating_sub(row.losses_counted).min(MAX_LOSS_STEP);
        row.measure_loss(report, sent);
        self.interleaving.on_report(row.report.as_ref(), report);
        row.losses_counted = row.losses_counted.max(report.losses.wire);
        let stands_for = if row.is_asked { self.census.stands_for() } else { 1 };
        let again = lost.saturating_mul(wire_len).saturating_mul(stands_for);
        let equivalent = &mut self.stats.unicast_equivalent_bytes;
        *equivalent = equivalent.saturating_add(again);
        let was_finished = row.is_finished();
        let progressed = row.report.as_ref().is_none_or(|old| old.next != report.next);
        if report.state != ReportState::CatchingUp {
            row.catch_up = None;
        }
        row.standing.on_report(report, lead);
        let was_kept = row.is_kept();
        let old = row.report.replace(report.clone());
        let losses = old.filter(|_| was_kept && row.is_kept()).map(|old| old.losses);
        let finished = (!was_finished && row.is_finished()).then(|| row.name.clone());
        let round_trip = i64::from(now.to_wire().since(report.echo)) - i64::from(report.hold_us);
        if let Ok(micros) = u64::try_from(round_trip) {
            self.grtt.on_sample(Duration::from_micros(micros), now);
        }
        if let Some(name) = finished {
            let (subscriber, given_up) = (report.subscriber, report.given_up);
            self.events.push_back(Event::SubscriberFinished { subscriber, name, given_up });
        }
        if let Some(before) = losses {
            self.on_losses(before, report.losses, now);
        }
        if progressed {
            self.phase.on_progress(now);
        }
        self.advance_phase(now);
        Ok(())
    }

    /// Whoever is not registered reports only if it was asked to.
    fn on_strange_report(
        &mut self,
        report: &Report,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        if self.census.on_told(report, from) {
            return Ok(());
        }
        if !self.census.is_share() {
            self.challenge(report.subscriber, from, now)?;
        }
        Err(Discard::Unproven)
    }

    fn on_catch_up_request(
        &mut self,
        request: CatchUpRequest,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let sent = self.window.sent();
        let wanted = SeqRange::new(request.from, request.to);
        let range = wanted.clamp_to(sent);
        let Some(row) = self.audience.proven(request.subscriber, from) else {
            self.challenge(request.subscriber, from, now)?;
            return Err(Discard::Unproven);
        };
        row.heard = now;
        row.catch_up = Some(CatchUp::new(range, now));
        let progressed = row.asked_from.replace(request.from).is_none_or(|old| old < request.from);
        let (subscriber, name) = (row.id, row.name.clone());
        self.events.push_back(Event::CatchUp {
            subscriber,
            name,
            from: range.first,
            to: range.end,
        });
        if progressed {
            self.phase.on_progress(now);
        }
        self.accept(request.subscriber, from, range)
    }

    fn accept(&mut self, id: SubscriberId, to: SocketAddr, range: SeqRange) -> Result<(), Discard> {
        let accept = CatchUpAccept {
            subscriber: id,
            from: range.first,
            to: range.end,
            trail: self.window.trail(),
        };
        self.say(Destination::Unicast(to), Body::CatchUpAccept(accept))
    }

    /// The window moved past what a late joiner was still to be given: it is told what is left,
    /// once in a round trip.
    pub(super) fn shorten_catch_up(&mut self, id: SubscriberId, now: Timestamp) {
        let (trail, again) = (self.window.trail(), self.grtt.get());
        let shorter = self.audience.catch_up_mut(id).and_then(|catch_up| {
            catch_up.expire(trail);
            catch_up.word(again, now)
        });
        let address = self.audience.get(id).map(|row| row.address);
        if let (Some(range), Some(address)) = (shorter, address)
            && let Err(reason) = self.accept(id, address, range)
        {
            self.stats.discarded.add(reason);
        }
    }

    fn on_bye(&mut self, bye: Bye, from: SocketAddr, now: Timestamp) -> Result<(), Discard> {
        let row = self.audience.proven(bye.subscriber, from).ok_or(Discard::Unproven)?;
        row.heard = now;
        if row.left.is_none() {
            row.left = Some(bye.reason);
            row.catch_up = None;
            let name = row.name.clone();
            self.stats.leaves += 1;
            self.members.remove(bye.subscriber);
            let (subscriber, reason) = (bye.subscriber, bye.reason);
            self.events.push_back(Event::SubscriberLeft { subscriber, name, reason });
        }
        self.advance_phase(now);
        Ok(())
    }

    /// A full data packet with everything around it, in bytes.
    pub(super) fn full_wire_len(&self) -> u64 {
        u64::from(self.config.datagram_len) + u64::from(self.config.overhead_len)
    }

    /// Queues what is not paced; a flood of questions is not answered without bound.
    pub(super) fn say(&mut self, to: Destination, body: Body) -> Result<(), Discard> {
        if self.control.len() >= MAX_CONTROL {
            return Err(Discard::TableFull);
        }
        self.control.push_back((to, body));
        Ok(())
    }
}

/// Who says it.
fn speaker(body: &Body) -> Option<SubscriberId> {
    match body {
        Body::Nak(nak) => Some(nak.subscriber),
        Body::Report(report) => Some(report.subscriber),
        Body::Register(register) => Some(register.subscriber),
        Body::CookieReply(reply) => Some(reply.subscriber),
        Body::CatchUpRequest(request) => Some(request.subscriber),
        Body::Bye(bye) => Some(bye.subscriber),
        Body::KeyRequest(request) => Some(request.subscriber),
        Body::Data(_)
        | Body::Parity(_)
        | Body::Repair(_)
        | Body::Ncf(_)
        | Body::Refused(_)
        | Body::Heartbeat(_)
        | Body::Announce(_)
        | Body::CookieChallenge(_)
        | Body::CatchUpAccept(_)
        | Body::Evict(_)
        | Body::End(_)
        | Body::Manifest(_)
        | Body::KeyUpdate(_) => None,
    }
}

/// Whether only a subscriber that is kept says this; one that has reached the end may say so in any
/// case.
fn speaks_as_kept(body: &Body) -> bool {
    if let Body::Report(report) = body {
        return !matches!(report.state, ReportState::Complete | ReportState::Incomplete);
    }
    matches!(body, Body::Nak(_) | Body::CatchUpRequest(_))
}

/// Answers that may wait: a whole table of subscribers registering at once.
const MAX_CONTROL: usize = 4_096;

/// No report is believed to have lost more than this since the last one.
const MAX_LOSS_STEP: u64 = 1 << 20;
