//! Waiting for the first subscriber, the live stream, End, finish.

use std::time::Duration;

use super::{Event, Sender, Timer};
use crate::wire::End;
use crate::{SenderConfig, Timestamp};

/// Where a session stands.
#[derive(Debug)]
pub(super) struct Phase {
    state: State,
    closing: Option<Closing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first byte waits for subscribers.
    Waiting { until: Timestamp },
    /// Data flows.
    Live,
    /// All was sent; End is repeated for those who have not all.
    Ending { since: Timestamp, next: Timestamp, interval: Duration, said: u32, progress: Timestamp },
    /// All that will be sent was sent.
    Finished,
}

/// What End will say.
#[derive(Clone, Copy, Debug)]
struct Closing {
    sha256: Option<[u8; 32]>,
    aborted: bool,
}

impl Phase {
    pub(super) fn waiting(config: &SenderConfig, now: Timestamp) -> Self {
        let state = State::Waiting { until: now.after(config.wait_at_most) };
        Self { state, closing: None }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    pub(super) fn takes_payload(&self) -> bool {
        self.closing.is_none()
    }

    pub(super) fn close(&mut self, sha256: Option<[u8; 32]>, aborted: bool) {
        self.closing.get_or_insert(Closing { sha256, aborted });
    }

    pub(super) fn due(&self) -> Option<(Timestamp, Timer)> {
        match self.state {
            State::Waiting { until } => Some((until, Timer::WaitFor)),
            State::Ending { next, .. } => Some((next, Timer::End)),
            State::Live | State::Finished => None,
        }
    }

    /// Somebody has more than before: whoever is getting on is waited for.
    pub(super) fn on_progress(&mut self, now: Timestamp) {
        if let State::Ending { progress, .. } = &mut self.state {
            *progress = now;
        }
    }

    /// Whether End is to be said now; if so it is taken as said.
    fn say_end(&mut self, now: Timestamp) -> Option<Closing> {
        let State::Ending { next, interval, said, .. } = &mut self.state else { return None };
        if *next > now {
            return None;
        }
        *next = now.after(*interval);
        *interval = (*interval * 2).min(END_INTERVALS.1);
        *said += 1;
        self.closing
    }
}

impl Sender {
    /// Goes from one phase to the next where the time has come.
    pub(super) fn advance_phase(&mut self, now: Timestamp) {
        let audience = self.gathered();
        if let State::Waiting { until } = self.phase.state {
            let wanted = u64::from(self.config.wait_for);
            if audience < wanted && now < until {
                return;
            }
            self.phase.state = State::Live;
            // How many they are decides how they ask: they know before the first can be lost.
            self.announce_due = now;
            self.events.push_back(Event::Started { audience });
        }
        if self.phase.state == State::Live
            && self.phase.closing.is_some()
            && !self.window.has_unsent()
        {
            let interval = END_INTERVALS.0;
            self.phase.state =
                State::Ending { since: now, next: now, interval, said: 0, progress: now };
            // Whoever has heard none so far can still be known before it is over.
            self.announce_due = now;
        }
        if self.is_over(now) {
            self.phase.state = State::Finished;
            self.events.push_back(Event::Finished(self.outcome()));
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let State::Ending { since, said, progress, .. } = self.phase.state else { return false };
        let waited_enough = now.since(progress) >= self.config.finish_timeout;
        let is_heard = said >= END_REPEATS && now.since(since) >= self.linger();
        let is_quiet = !self.census.is_share() || now.since(self.asked_at) >= self.hush();
        let all_finished = self.audience.all_finished(self.config.finish_timeout, now);
        is_heard && (all_finished && is_quiet || waited_enough)
    }

    /// Time in which somebody who hears of the session only now can become known.
    fn linger(&self) -> Duration {
        (self.grtt.get() * 4 + END_INTERVALS.0 * 4).min(self.config.finish_timeout)
    }

    /// Who is not known by name and lacks something asks again within this.
    fn hush(&self) -> Duration {
        (self.grtt.get() * 8 + HUSH).min(self.config.finish_timeout)
    }

    /// End, if it is to be said now. The next one follows an announce.
    pub(super) fn end(&mut self, now: Timestamp) -> Option<End> {
        let closing = self.phase.say_end(now)?;
        if let Some((next, _)) = self.phase.due() {
            self.announce_due = next;
        }
        Some(End {
            lead: self.window.lead(),
            bytes: self.stats.payload_bytes,
            sha256: closing.sha256,
            aborted: closing.aborted,
        })
    }
}

/// First and longest time between two Ends.
const END_INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Even when all that are known have everything, those that cannot answer may listen too.
const END_REPEATS: u32 = 3;

/// Twice as long as a receiver ever waits before it asks again.
const HUSH: Duration = Duration::from_secs(1);
