//! Being known to the publisher: register, prove the address, say goodbye.

use std::time::Duration;

use crate::Timestamp;
use crate::wire::ByeReason;

/// Where a subscriber stands with its publisher.
#[derive(Debug)]
pub(super) enum Enrolment {
    /// Others speak for this one: it says nothing until it is asked or has to.
    Outside,
    /// Nothing was answered yet: ask again at `due`.
    Asking {
        /// When to register next.
        due: Timestamp,
        /// Time to the one after.
        interval: Duration,
    },
    /// A challenge was answered.
    Proven,
    /// Goodbye is being said.
    Leaving {
        /// Why.
        reason: ByeReason,
        /// When to say it next.
        due: Timestamp,
        /// How often it is still to be said.
        left: u32,
    },
    /// Nothing more will be said.
    Gone,
}

impl Enrolment {
    pub(super) fn asking(due: Timestamp) -> Self {
        Self::Asking { due, interval: FIRST_RETRY }
    }

    /// Says goodbye, if there is somebody who knows this one; once where many may do so at once.
    pub(super) fn leaving(&self, reason: ByeReason, few: bool, now: Timestamp) -> Self {
        if matches!(self, Self::Outside) {
            return Self::Gone;
        }
        // Whoever said goodbye is not waited for: what it has must be told before, more than once.
        let (due, left) = if few { (now.after(BYE_SPACING), BYES) } else { (now, 1) };
        Self::Leaving { reason, due, left }
    }

    /// Whether it was not asked for long enough to have registered.
    pub(super) fn asks_unheard(&self) -> bool {
        matches!(self, Self::Asking { interval, .. } if *interval == FIRST_RETRY)
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Asking { due, .. } | Self::Leaving { due, .. } => Some(*due),
            Self::Outside | Self::Proven | Self::Gone => None,
        }
    }

    /// Whether to register now; if so it is taken as done.
    pub(super) fn asks(&mut self, now: Timestamp) -> bool {
        let Self::Asking { due, interval } = self else { return false };
        if *due > now {
            return false;
        }
        *due = now.after(*interval);
        *interval = (*interval * 2).min(LAST_RETRY);
        true
    }

    /// Whether to say goodbye now; if so it is taken as done.
    pub(super) fn says_bye(&mut self, now: Timestamp) -> Option<ByeReason> {
        let Self::Leaving { reason, due, left } = self else { return None };
        if *due > now {
            return None;
        }
        let reason = *reason;
        *left -= 1;
        *due = now.after(BYE_SPACING);
        if *left == 0 {
            *self = Self::Gone;
        }
        Some(reason)
    }

    pub(super) fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Leaving { .. } | Self::Gone)
    }
}

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Nobody confirms a goodbye; three in 40 ms are heard where one in a hundred is lost.
const BYES: u32 = 3;
const BYE_SPACING: Duration = Duration::from_millis(20);
