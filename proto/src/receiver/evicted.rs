//! The sender let go of us: back as a late joiner.

use std::time::Duration;

use super::enrol::Enrolment;
use super::{Event, Receiver};
use crate::wire::EvictReason;
use crate::{SeqRange, Timestamp};

impl Receiver {
    /// The others are no longer held back by us. After a pause we register anew, and what we lack
    /// is asked for as by a late joiner: what is no longer retained by then is a gap.
    pub(super) fn on_evict(&mut self, reason: EvictReason, now: Timestamp) {
        if !self.enrolment.is_proven() || self.config.mute {
            return;
        }
        self.events.push_back(Event::Evicted { reason });
        self.stats.evictions += 1;
        if !reason.may_return() {
            return;
        }
        self.enrolment = Enrolment::asking(now.after(PAUSE));
        let Some(session) = &self.session else { return };
        if !session.is_reliable() || session.end_handed_out {
            return;
        }
        let first = session.gaps.first().unwrap_or(session.frontier).min(session.frontier);
        let missed = SeqRange::new(first, session.lead.max(first));
        self.start_catch_up(missed, now);
        // Nobody answers before we are known again.
        self.catch_up_stalled = now.after(PAUSE);
        self.end_catch_up_if_there(now);
    }
}

/// Whoever was let go gives the others this time before it asks for anything.
const PAUSE: Duration = Duration::from_secs(1);
