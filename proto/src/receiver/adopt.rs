//! Which session is followed (docs/PROTOCOL.md, "Sessions").

use std::net::SocketAddr;

use super::enrol::Enrolment;
use super::lots::Plight;
use super::report::Reporter;
use super::session::Session;
use super::{Delivered, Event, Receiver, Via};
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
        if let Some(session) = &mut self.session {
            let same = session.id == header.session && session.started_us == announce.started_us;
            if same && session.stream == header.stream {
                session.refresh(announce);
                self.on_poll(announce.poll, now);
                return Ok(());
            }
            if !session.yields_to(header, announce, from, now) {
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
        self.adopt(Session::new(header, announce, from, &self.config, now), now);
        self.on_poll(announce.poll, now);
        Ok(())
    }

    fn adopt(&mut self, session: Session, now: Timestamp) {
        let restart = self.session.is_some();
        self.abandon_session();
        let info = session.info(restart);
        self.control.clear();
        self.reporter = Reporter::new(now);
        self.plight = Plight::default();
        if !self.enrolment.is_leaving() {
            self.enrolment = Enrolment::Outside;
        }
        self.session = Some(session);
        self.stats.sessions += 1;
        self.ready.push_back(Delivered::Session(Box::new(info.clone())));
        self.events.push_back(Event::Adopted(info));
    }

    /// What of the old session is in order is still handed out, then the new one.
    fn abandon_session(&mut self) {
        self.drain_in_order();
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
        from: SocketAddr,
        now: Timestamp,
    ) -> bool {
        let same_host = self.source.ip() == from.ip();
        if std::mem::take(&mut self.was_deaf) {
            self.deaf = now;
        }
        if self.is_over(now) {
            return same_host || self.is_said_again(header, announce, from);
        }
        let same_stream = self.stream == header.stream && self.name == announce.name;
        same_stream && same_host && announce.started_us > self.started_us
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
