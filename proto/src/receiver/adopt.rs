//! Which session is followed (docs/PROTOCOL.md, "Sessions").

use std::net::SocketAddr;

use super::enrol::Enrolment;
use super::lots::Plight;
use super::report::Reporter;
use super::session::Session;
use super::{Receiver, Via};
use crate::comparison;
use crate::wire::{Announce, Discard, Header};
use crate::{Seq, Timestamp};

impl Receiver {
    /// An announce of the session that is followed, or of another one.
    pub(super) fn on_announce(
        &mut self,
        header: &Header,
        announce: &Announce,
        (via, from): (Via, SocketAddr),
        now: Timestamp,
    ) -> Result<(), Discard> {
        if self.config.stream.as_ref().is_some_and(|wanted| *wanted != announce.name) {
            return Err(Discard::ForeignStream);
        }
        if self.config.stream.is_none() && comparison::is_reserved(&announce.name) {
            return Err(Discard::ForeignStream);
        }
        let is_authentic = self.is_authentic();
        if let Some(session) = &mut self.session {
            let same = session.id == header.session && session.started_us == announce.started_us;
            if same && session.stream == header.stream {
                if is_authentic {
                    // Whoever passed it on: it is authentic, and not heard before.
                    session.source = from;
                }
                session.refresh(announce);
                self.look_for_proof(announce);
                self.on_poll(announce.poll, now);
                return Ok(());
            }
            if !session.yields_to(header, announce, (from, is_authentic), now) {
                return Err(if session.stream == header.stream {
                    Discard::ForeignSession
                } else {
                    Discard::ForeignStream
                });
            }
        }
        if via != Via::Group && !self.knock.is_at(from) {
            return Err(Discard::ForeignSession);
        }
        let fresh = self.wanted_of(announce, from, now)?;
        let session = Session::new(header, announce, from, &self.config, now);
        self.guard_follows(header, now);
        self.verifier_follows(header);
        self.adopt(Session { fresh, ..session }, now);
        self.on_poll(announce.poll, now);
        Ok(())
    }

    fn adopt(&mut self, mut session: Session, now: Timestamp) {
        let old = self.session.as_ref();
        session.restart = old.is_some_and(|old| old.restart || old.fresh.is_shown());
        self.abandon_session();
        self.control.clear();
        self.reporter = Reporter::new(now);
        self.plight = Plight::default();
        if !self.enrolment.is_leaving() {
            self.enrolment = Enrolment::Outside;
        }
        let is_shown = session.fresh.is_shown();
        self.session = Some(session);
        if is_shown {
            self.begin();
        } else {
            self.may_hand_out = Some(self.ready.len());
        }
    }

    /// What of the old session is in order is still handed out, then the new one.
    fn abandon_session(&mut self) {
        match self.may_hand_out.take() {
            Some(before) => self.ready.truncate(before),
            None => self.drain_in_order(),
        }
        let Some(old) = self.session.take() else { return };
        self.lost_before = self.lost_before.saturating_add(old.numbers.lost());
        self.bursts_before = old.numbers.bursts(self.bursts_before);
        self.stats.packets_abandoned += old.window.held();
    }
}

impl Session {
    /// What an announce of the session that is followed says anew.
    fn refresh(&mut self, announce: &Announce) {
        self.feedback = announce.feedback.unwrap_or(self.source);
        self.hear_size(announce.grtt_us, announce.group_size);
    }

    /// Whether another session takes the place of this one.
    fn yields_to(
        &mut self,
        header: &Header,
        announce: &Announce,
        (from, is_authentic): (SocketAddr, bool),
        now: Timestamp,
    ) -> bool {
        let is_newer = announce.started_us > self.started_us;
        if !self.fresh.is_shown() {
            // Whoever it is has a moment to show that it is no recording.
            return self.fresh.is_doubtful(now);
        }
        if is_authentic && !is_newer {
            return false;
        }
        let same_host = self.source.ip() == from.ip();
        if std::mem::take(&mut self.was_deaf) {
            self.deaf = now;
        }
        if self.is_over(now) {
            return same_host || self.is_said_again(header, announce, from);
        }
        let same_stream = self.stream == header.stream && self.name == announce.name;
        same_stream && same_host && is_newer
    }

    /// Another host is believed when it says the same twice, which noise does not.
    fn is_said_again(&mut self, header: &Header, announce: &Announce, from: SocketAddr) -> bool {
        let claim = (header.session, from, announce.started_us);
        self.rival.replace(claim) == Some(claim)
    }
}

impl Receiver {
    /// Packets up to `lead` are known to have been sent, those before `trail` are gone.
    pub(super) fn on_extent(
        &mut self,
        trail: Seq,
        lead: Seq,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(session) = &mut self.session else { return };
        session.lead = session.lead.max(lead.min(session.last()));
        session.move_trail(trail);
        self.pass_trail();
        self.end_catch_up_if_there(now);
        self.look_ahead(deadline, now);
    }
}
