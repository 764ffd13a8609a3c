//! What happens when a packet comes.

use std::net::SocketAddr;
use std::ops::{Deref, Range};

use bytes::Bytes;

use super::arena::Arena;
use super::enrol::Enrolment;
use super::session::Session;
use super::store::{Place, Store};
use super::window::Placed;
use super::{Event, Receiver, Via};
use crate::sign;
use crate::wire::{
    Announce, Body, CODED_HEADER_LEN, CODED_PREFIX_LEN, CodedFields, CodedPrefix, CookieChallenge,
    CookieReply, DEPTH_MASK, Discard, End, Header, Heartbeat, Kind, Packet,
};
use crate::{Delivery, Seq, SeqRange, Timestamp, WireTime};

/// A data, parity or repair packet whose body is not copied before it is known to be wanted.
#[derive(Debug)]
pub(super) struct CodedPacket<'a> {
    pub(super) header: Header,
    pub(super) fields: CodedFields,
    pub(super) body: Arrived<'a>,
}

/// A coded body, as it came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrived<'a> {
    /// In a datagram whose memory is used again for the next.
    Datagram(&'a [u8]),
    /// In memory that may be shared.
    Shared(&'a Bytes),
}

impl Arrived<'_> {
    /// Where so many bytes of payload, which follow the prefix, will be kept.
    pub(super) fn place(self, len: u16, store: &mut Store) -> Place {
        match self {
            Self::Datagram(_) => store.reserve(self.payload(len).len()),
            Self::Shared(bytes) => store.share(bytes.slice(self.payload(len))),
        }
    }

    /// Keeps them there.
    pub(super) fn keep(self, len: u16, store: &mut Store) {
        if let Self::Datagram(bytes) = self {
            store.fill(bytes.get(self.payload(len)).unwrap_or_default());
        }
    }

    fn payload(self, len: u16) -> Range<usize> {
        let first = CODED_PREFIX_LEN.min(self.len());
        first..(CODED_PREFIX_LEN + usize::from(len)).min(self.len())
    }

    /// All of a coded body to keep.
    pub(super) fn whole(self, arena: &mut Arena) -> Bytes {
        match self {
            Self::Datagram(bytes) => arena.keep(bytes),
            Self::Shared(bytes) => bytes.clone(),
        }
    }
}

impl Deref for Arrived<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Datagram(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Receiver {
    pub(super) fn take(
        &mut self,
        packet: &Packet,
        via: Via,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        if let Body::Announce(announce) = &packet.body {
            if self.is_of_same_start(announce) {
                self.check_pinned(&packet.header, from)?;
            }
            self.on_announce(&packet.header, announce, (via, from), now)?;
            self.hear(&packet.header, now);
            let due = self.due_at(packet.header.sent_at);
            self.on_extent(announce.trail, announce.lead, due, now);
            return Ok(());
        }
        if let Body::CookieChallenge(challenge) = &packet.body
            && via == Via::Feedback
            && self.on_knock_answered(packet, *challenge, from)
        {
            return Ok(());
        }
        if let Body::Data(coded) | Body::Parity(coded) | Body::Repair(coded) = &packet.body {
            let (header, fields) = (packet.header, coded.fields());
            let body = Arrived::Shared(&coded.body);
            return self.take_coded(&CodedPacket { header, fields, body }, via, from, now);
        }
        self.admit(&packet.header, from, now)?;
        self.dispatch(packet, (via, from), now)
    }

    pub(super) fn take_coded(
        &mut self,
        packet: &CodedPacket<'_>,
        via: Via,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        self.admit(&packet.header, from, now)?;
        if packet.header.kind == Kind::Parity {
            let due = self.due_at(packet.header.sent_at);
            return self.on_parity(packet, due, now);
        }
        self.on_coded(packet, via, now)
    }

    /// Hears a packet of the session that is followed, and no other.
    fn admit(&mut self, header: &Header, from: SocketAddr, now: Timestamp) -> Result<(), Discard> {
        let session = self.session.as_ref().ok_or(Discard::ForeignSession)?;
        if header.stream != session.stream {
            return Err(Discard::ForeignStream);
        }
        if header.session != session.id {
            return Err(Discard::ForeignSession);
        }
        self.check_pinned(header, from)?;
        // Heard is heard, also where there is no room for it: it was not lost on the way.
        self.hear(header, now);
        Ok(())
    }

    /// A session speaks from one address; whoever else uses its name is not heard.
    fn check_pinned(&self, header: &Header, from: SocketAddr) -> Result<(), Discard> {
        let ours = self.session.as_ref().filter(|session| session.id == header.session);
        match ours {
            // With a key it is the key that tells who speaks.
            Some(session) if session.source != from && !self.is_authentic() => {
                Err(Discard::ForeignSource)
            }
            _ => Ok(()),
        }
    }

    /// Two sessions that drew the same id by chance differ in their start.
    fn is_of_same_start(&self, announce: &Announce) -> bool {
        self.session.as_ref().is_some_and(|session| session.started_us == announce.started_us)
    }

    fn dispatch(
        &mut self,
        packet: &Packet,
        (via, from): (Via, SocketAddr),
        now: Timestamp,
    ) -> Result<(), Discard> {
        match &packet.body {
            Body::Ncf(ncf) => {
                self.on_ncf(ncf, now);
                Ok(())
            }
            Body::Refused(refused) => {
                self.on_refused(refused, now);
                Ok(())
            }
            Body::Heartbeat(heartbeat) => {
                self.on_heartbeat(heartbeat, packet, now);
                Ok(())
            }
            Body::End(end) => self.on_end(end, packet.header.sent_at, now),
            Body::CookieChallenge(challenge) => self.on_challenge(*challenge, via),
            Body::CatchUpAccept(accept) => self.on_catch_up_accept(*accept, via, now),
            Body::Evict(evict) => {
                if evict.subscriber != self.config.subscriber || via != Via::Feedback {
                    return Err(Discard::Direction);
                }
                self.on_evict(evict.reason, now);
                Ok(())
            }
            Body::Manifest(manifest) => self.on_manifest(manifest, from, now),
            Body::KeyUpdate(_) => Ok(()),
            // Those of the first line were taken before.
            Body::Data(_)
            | Body::Parity(_)
            | Body::Repair(_)
            | Body::Announce(_)
            | Body::Nak(_)
            | Body::Report(_)
            | Body::Register(_)
            | Body::CookieReply(_)
            | Body::CatchUpRequest(_)
            | Body::Bye(_)
            | Body::KeyRequest(_) => Err(Discard::Direction),
        }
    }

    /// The session is alive, and its clock is seen.
    fn hear(&mut self, header: &Header, now: Timestamp) {
        // Who can seal but not sign must not set the clock, nor have anybody miss a million packets.
        let is_sure = !self.is_verified() || sign::is_statement(header.kind);
        let Some(session) = &mut self.session else { return };
        session.heard = now;
        if is_sure {
            session.clock.on_datagram(header.sent_at, now);
        }
        if header.is_for_group() && (is_sure || session.numbers.is_near(header.number)) {
            session.numbers.on_datagram(header.number);
        }
        if session.silent {
            session.silent = false;
            let session = session.id;
            self.events.push_back(Event::HeardAgain { session });
        }
    }

    fn on_coded(
        &mut self,
        packet: &CodedPacket<'_>,
        via: Via,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let CodedPacket { header, fields, body } = packet;
        // What cannot be handed out must not take the place of what can.
        let prefix = CodedPrefix::read(body)?;
        let due = self.due_at(prefix.first_sent);
        let is_verified = self.is_verified();
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        if body.len() > usize::from(session.coded_len) {
            return Err(Discard::Size);
        }
        session.barren_heartbeats = 0;
        let seq = fields.seq(session.frontier.max(session.window.next()));
        if seq >= session.last() {
            return Err(Discard::Malformed);
        }
        let check = self.check_coded(seq, prefix, *body)?;
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        let placed = session.window.place(seq, prefix, *body, check);
        match placed {
            Placed::New => self.stats.packets_placed += 1,
            Placed::Duplicate => self.stats.packets_duplicate += 1,
            Placed::Beyond if is_verified => return Err(Discard::OutOfWindow),
            Placed::Beyond => {
                // It exists all the same: once there is room it will be missed.
                session.lead = session.lead.max(seq.next().min(session.believable()));
                return Err(Discard::OutOfWindow);
            }
        }
        if placed == Placed::New && session.gaps.fill(seq) && header.kind == Kind::Repair {
            self.stats.packets_repaired += 1;
        }
        self.learn_block(*fields, now);
        if is_verified {
            // How far the stream has come is told by what is signed.
            if placed == Placed::New {
                self.wait_for_hash(check, seq, now);
            }
            self.advance_catch_up_by(seq, via, now);
            self.recover_with(*fields, now);
            return Ok(());
        }
        if let Some(session) = &mut self.session {
            session.lead = session.lead.max(seq.next());
        }
        self.advance_frontier(seq, via, due, now);
        self.recover_with(*fields, now);
        if let (Some(due), Some(session)) = (due, &mut self.session) {
            session.gaps.hurry(seq, due);
        }
        Ok(())
    }

    /// Sees the gap that `seq` leaves behind it.
    fn advance_frontier(&mut self, seq: Seq, via: Via, due: Option<Timestamp>, now: Timestamp) {
        if self.advance_catch_up_by(seq, via, now) {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let frontier = session.frontier;
        if seq < frontier {
            return;
        }
        session.frontier = seq.next();
        if seq > frontier {
            self.miss(SeqRange::new(frontier, seq), due, now);
        }
    }

    /// A packet of what was missed came, if that is what is waited for; says whether it is.
    fn advance_catch_up_by(&mut self, seq: Seq, via: Via, now: Timestamp) -> bool {
        let Some(session) = &self.session else { return false };
        let Some(to) = session.catch_up_to else { return false };
        if via == Via::Feedback && seq >= session.frontier && seq < to {
            self.advance_catch_up(seq, now);
        }
        true
    }

    fn on_heartbeat(&mut self, heartbeat: &Heartbeat, packet: &Packet, now: Timestamp) {
        let due = self.due_at(packet.header.sent_at);
        let tag_len = self.tag_len();
        let Some(session) = &mut self.session else { return };
        session.hear_size(heartbeat.grtt_us, heartbeat.group_size);
        self.on_poll(heartbeat.poll, now);
        let Some(session) = &mut self.session else { return };
        if heartbeat.lead > session.lead {
            session.barren_heartbeats += 1;
            if session.barren_heartbeats == BARREN && session.window.end() == Seq::ZERO {
                let datagram_len = session
                    .coded_len
                    .saturating_add(u16::try_from(CODED_HEADER_LEN).unwrap_or(0) + tag_len);
                self.events.push_back(Event::MtuSuspected { datagram_len });
            }
        }
        self.learn_last(heartbeat, packet.header.flags & DEPTH_MASK);
        self.on_extent(heartbeat.trail, heartbeat.lead, due, now);
        // Nothing is sent: what waits for the end of its block waits no longer.
        self.hurry(heartbeat.lead, now);
        if packet.header.flags & crate::wire::FLAG_REPORT_WANTED != 0 {
            self.on_report_wanted(now);
        }
    }

    fn on_end(&mut self, end: &End, sent_at: WireTime, now: Timestamp) -> Result<(), Discard> {
        let due = self.due_at(sent_at);
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        if session.end.is_some_and(|known| known != *end) || end.lead < session.lead {
            return Err(Discard::Malformed);
        }
        session.end = Some(*end);
        self.forget_beyond(end.lead);
        self.on_report_wanted(now);
        self.speak_up_at_the_end(now);
        self.on_extent(Seq::ZERO, end.lead, due, now);
        self.hurry(end.lead, now);
        Ok(())
    }

    fn on_challenge(&mut self, challenge: CookieChallenge, via: Via) -> Result<(), Discard> {
        if challenge.subscriber != self.config.subscriber || via != Via::Feedback {
            return Err(Discard::Direction);
        }
        if self.config.mute || self.enrolment.is_leaving() {
            return Ok(());
        }
        let was_proven = self.enrolment.is_proven();
        self.enrolment = Enrolment::Proven;
        self.say(Body::CookieReply(CookieReply {
            subscriber: self.config.subscriber,
            cookie: challenge.cookie,
            name: self.config.name.clone(),
        }));
        if !was_proven {
            let few = self.is_frequent();
            self.reporter.on_proven(few);
        }
        self.repeat_catch_up_request();
        Ok(())
    }

    /// Queues feedback; without a session there is nobody to tell.
    pub(super) fn say(&mut self, body: Body) {
        if let Some(session) = &self.session
            && !self.config.mute
            && self.control.len() < MAX_CONTROL
        {
            self.control.push_back((session.feedback, body));
        }
    }

    /// On a timely stream: when what left at `sent_at` is no longer wanted.
    pub(super) fn due_at(&self, sent_at: WireTime) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        let Delivery::Timely(deadline) = session.delivery else { return None };
        Some(session.clock.arrival_of(sent_at)?.after(deadline))
    }
}

impl Session {
    /// A seq beyond this is not the sender's next packet, whoever says so.
    fn believable(&self) -> Seq {
        self.lead.max(self.window.limit()).plus(BELIEVABLE)
    }
}

/// Feedback that may wait: whoever is asked more than this at once need not answer it all.
const MAX_CONTROL: usize = 256;

/// Three heartbeats in a row that tell of data, and not one packet of it.
const BARREN: u32 = 3;

/// Packets by which one packet may move what is known to have been sent: a gigabyte of them.
const BELIEVABLE: u64 = 1 << 20;
