//! What was sent before we came, or while we were away: by unicast, while the live stream is kept.

use std::time::Duration;

use super::enrol::Enrolment;
use super::event::GapCause;
use super::nak::CATCH_UP_FROM;
use super::{Event, Receiver, Via};
use crate::wire::{Body, CatchUpAccept, CatchUpRequest, Discard};
use crate::{Seq, SeqRange, Timestamp};

impl Receiver {
    /// Asks to be given `range`. Gaps up to its end are looked for only where it has come past.
    pub(super) fn start_catch_up(&mut self, range: SeqRange, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        session.gaps.close(range);
        session.frontier = range.first;
        session.catch_up_to = Some(range.end.max(session.lead));
        self.catch_up_stalled = now;
        self.stats.catch_ups += 1;
        self.events.push_back(Event::CatchUp { range });
        if matches!(self.enrolment, Enrolment::Outside) {
            // What comes by unicast comes only to an address that proved itself.
            self.enrolment = Enrolment::asking(now);
        }
        self.repeat_catch_up_request();
    }

    /// Asks for what has not come yet, if the publisher knows where we are.
    pub(super) fn repeat_catch_up_request(&mut self) {
        let Some(session) = &self.session else { return };
        let Some(to) = session.catch_up_to else { return };
        if !self.enrolment.is_proven() {
            return;
        }
        let request =
            CatchUpRequest { subscriber: self.config.subscriber, from: session.frontier, to };
        self.reporter.on_state();
        self.say(Body::CatchUpRequest(request));
    }

    /// The publisher says what of it there is.
    pub(super) fn on_catch_up_accept(
        &mut self,
        accept: CatchUpAccept,
        via: Via,
        now: Timestamp,
    ) -> Result<(), Discard> {
        if accept.subscriber != self.config.subscriber || via != Via::Feedback {
            return Err(Discard::Direction);
        }
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        self.catch_up_stalled = now;
        session.move_trail(accept.trail);
        if accept.from > session.frontier && session.catch_up_to.is_some() {
            let gone = SeqRange::new(session.frontier, accept.from.min(session.trail));
            session.frontier = session.frontier.max(gone.end);
            self.give_up(gone, GapCause::LeftWindow);
        }
        self.pass_trail();
        self.end_catch_up_if_there(now);
        Ok(())
    }

    /// A packet of the catch-up came; what it leaves behind it was lost on the way.
    pub(super) fn advance_catch_up(&mut self, seq: Seq, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let passed = SeqRange::new(session.frontier, seq);
        session.frontier = seq.next();
        session.catch_up_tries = 0;
        self.catch_up_stalled = now;
        if !passed.is_empty() {
            self.miss_in_catch_up(passed, now);
        }
        self.end_catch_up_if_there(now);
    }

    fn miss_in_catch_up(&mut self, range: SeqRange, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        for run in session.window.missing(range) {
            self.stats.packets_missed = self.stats.packets_missed.saturating_add(run.len());
            session.gaps.open(run, now.after(CATCH_UP_NAK), Duration::ZERO, None);
        }
    }

    /// Goes on live, or starts over with what was sent meanwhile and is not here.
    pub(super) fn end_catch_up_if_there(&mut self, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let Some(to) = session.catch_up_to else { return };
        if session.frontier < to {
            return;
        }
        let rest = SeqRange::new(session.frontier, session.lead);
        let runs = session.window.missing(rest);
        let missing: u64 = runs.iter().map(SeqRange::len).sum();
        session.catch_up_to = None;
        if missing > CATCH_UP_FROM {
            let first = runs.first().map_or(rest.first, |run| run.first);
            self.start_catch_up(SeqRange::new(first, rest.end), now);
            return;
        }
        self.reporter.on_state();
        self.events.push_back(Event::CaughtUp);
        self.look_ahead(None, now);
    }

    /// Nothing comes: the request or the answer was lost, or the publisher forgot us.
    pub(super) fn retry_catch_up(&mut self, now: Timestamp) {
        if self.catch_up_due().is_none_or(|due| due > now) {
            return;
        }
        self.catch_up_stalled = now;
        let Some(session) = &mut self.session else { return };
        if session.catch_up_tries >= self.config.max_tries || self.config.mute {
            self.give_up_catch_up(now);
        } else {
            session.catch_up_tries += 1;
            self.repeat_catch_up_request();
        }
    }

    /// Nobody gives what was missed: as far as there is room, it is passed over.
    fn give_up_catch_up(&mut self, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let Some(to) = session.catch_up_to else { return };
        let range = SeqRange::new(session.frontier, to.min(session.window.limit()));
        session.frontier = range.end;
        self.give_up(range, GapCause::Unanswered);
        self.end_catch_up_if_there(now);
    }

    pub(super) fn catch_up_due(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        session.catch_up_to?;
        // While the window is full nothing can come; the report that opens it restarts the flow.
        let has_room = session.frontier < session.window.limit();
        let wait = STALLED.max(session.grtt * 4) * (1 << session.catch_up_tries.min(3));
        has_room.then(|| self.catch_up_stalled.after(wait))
    }
}

/// No packet for this long, and something is wrong.
const STALLED: Duration = Duration::from_millis(200);

/// Unicast packets of one sender seldom overtake each other.
const CATCH_UP_NAK: Duration = Duration::from_millis(2);
