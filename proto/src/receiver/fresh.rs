//! Whether a session is going on now, or was recorded (docs/PROTOCOL.md §4.13).
//!
//! What was recorded is as authentic as it was. So who adopts a sealed session sends a nonce, and
//! nothing is handed out before the publisher has sent it back. Who cannot ask looks at the clock.

use std::time::Duration;

use super::{Delivered, Event, Receiver};
use crate::Timestamp;
use crate::seal::Cause;
use crate::wire::{Announce, Body, Discard, Register};

/// Whether a session was shown to be no recording.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fresh {
    /// It was, or nobody wants to know.
    Shown,
    /// It is to be.
    Asked {
        /// What is to come back.
        nonce: u128,
        /// When to ask next.
        due: Timestamp,
        /// Time to the one after.
        interval: Duration,
        /// Since when.
        since: Timestamp,
    },
}

impl Fresh {
    pub(super) fn is_shown(self) -> bool {
        matches!(self, Self::Shown)
    }

    /// Whether it was asked for in vain for so long that another session is as likely.
    pub(super) fn is_doubtful(self, now: Timestamp) -> bool {
        matches!(self, Self::Asked { since, .. } if now.since(since) >= DOUBT_AFTER)
    }

    fn is_answered_by(self, announce: &Announce) -> bool {
        matches!(self, Self::Asked { nonce, .. } if announce.nonce_echo == Some(nonce))
    }

    fn due(self) -> Option<Timestamp> {
        if let Self::Asked { due, .. } = self { Some(due) } else { None }
    }

    /// Whether to ask now; if so it is taken as done.
    fn asks(&mut self, now: Timestamp) -> Option<u128> {
        let Self::Asked { nonce, due, interval, since } = self else { return None };
        if *due > now {
            return None;
        }
        // Once doubt is due it is told, not when it happens to be asked next.
        let doubt = Some(since.after(DOUBT_AFTER)).filter(|doubt| *doubt > now);
        *due = now.after(*interval).min(doubt.unwrap_or(Timestamp::NEVER));
        *interval = (*interval * 2).min(LAST_RETRY);
        Some(*nonce)
    }
}

impl Receiver {
    /// What a session that is about to be adopted has to show.
    ///
    /// # Errors
    /// Why it is to be discarded: without a return path the clock must do.
    pub(super) fn wanted_of(
        &mut self,
        announce: &Announce,
        from: std::net::SocketAddr,
        now: Timestamp,
    ) -> Result<Fresh, Discard> {
        if !self.is_authentic() {
            return Ok(Fresh::Shown);
        }
        if self.config.mute {
            let here = self.config.unix_us + micros(now.since(self.started));
            let skew = micros(self.config.max_clock_skew);
            let is_now = here.abs_diff(announce.started_us) <= skew;
            return if is_now { Ok(Fresh::Shown) } else { Err(self.disbelieve(Cause::Old, from)) };
        }
        let nonce = u128::from(self.rng.u64(..)) << 64 | u128::from(self.rng.u64(1..));
        // All who hear the first announce would ask in the same moment.
        let audience = crate::grtt::GroupSize(announce.group_size).audience();
        let due = now.after(SPACING.mul_f64(audience * self.rng.f64()));
        Ok(Fresh::Asked { nonce, due, interval: FIRST_RETRY, since: now })
    }

    /// When to ask again whether the session is no recording.
    pub(super) fn proof_due(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        session.fresh.due().filter(|_| !self.enrolment.is_leaving())
    }

    /// Asks the publisher to show that the session is no recording.
    pub(super) fn ask_for_proof(&mut self, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let (is_doubtful, source) = (session.fresh.is_doubtful(now), session.source);
        if let Some(nonce) = session.fresh.asks(now).filter(|_| !self.enrolment.is_leaving()) {
            if is_doubtful {
                self.disbelieve(Cause::Unanswered, source);
            }
            let (subscriber, name) = (self.config.subscriber, self.config.name.clone());
            self.say(Body::Register(Register { subscriber, name, nonce }));
        }
    }

    /// An announce of the session that is followed: it may bring the nonce back.
    pub(super) fn look_for_proof(&mut self, announce: &Announce) {
        let Some(session) = &mut self.session else { return };
        if session.fresh.is_answered_by(announce) {
            session.fresh = Fresh::Shown;
            self.begin();
        }
    }

    /// The session that was adopted is believed: it is told of, and what follows is handed out.
    pub(super) fn begin(&mut self) {
        let Some(session) = &self.session else { return };
        let info = session.info(session.restart);
        self.stats.sessions += 1;
        // What is ready already belongs to it, but for what may be handed out in any case.
        let place = self.may_hand_out.take().unwrap_or(self.ready.len());
        self.ready.insert(place, Delivered::Session(Box::new(info.clone())));
        self.events.push_back(Event::Adopted(info));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Nonces of a large audience reach the publisher this far apart.
const SPACING: Duration = Duration::from_micros(5);

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Several questions went unanswered: whoever announces another session may be the one to believe.
const DOUBT_AFTER: Duration = Duration::from_secs(1);
