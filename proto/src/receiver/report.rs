//! What the sender is told.

use std::time::Duration;

use super::Receiver;
use crate::grtt::FREQUENT_UP_TO;
use crate::poll::{Poll, SHORTEST_INTERVAL};
use crate::wire::{Body, Bye, CODED_HEADER_LEN, Discard, Losses, Register, Report, ReportState};
use crate::{Seq, Timestamp};

/// When the next report is due.
#[derive(Debug)]
pub(super) struct Reporter {
    /// Asked to report by the sender.
    wanted: Option<Timestamp>,
    /// What the mean interval is multiplied with for the next report.
    spread: f64,
    /// The credit that was last given.
    limit: Seq,
    /// Whether something changed that the sender should know at once.
    urgent: bool,
    last: Timestamp,
    /// When to report in this round although not registered.
    sampled: Option<Timestamp>,
    /// How often the end was told.
    ends_told: u32,
}

impl Reporter {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            wanted: None,
            spread: 1.0,
            limit: Seq::ZERO,
            urgent: false,
            last: now,
            sampled: None,
            ends_told: 0,
        }
    }

    /// The sender asks: a small audience answers at once, a large one spreads its answers.
    pub(super) fn on_wanted(&mut self, poll: Poll, chance: f64, now: Timestamp) {
        let longer = poll.report_interval() - SHORTEST_INTERVAL;
        let earliest = now.max(self.last.after(SHORTEST_SPACING.max(longer / 2)));
        let due = earliest.after(longer.mul_f64(chance / 2.0));
        self.wanted = Some(self.wanted.map_or(due, |wanted| wanted.min(due)));
    }

    /// This round it is this subscriber that stands for those who are not registered.
    pub(super) fn on_sampled(&mut self, due: Timestamp) {
        self.sampled = Some(due);
    }

    /// When the next report is due by the clock. The interval is always that of now: where the
    /// audience grew meanwhile, reports become rare at once (RFC 3550 §6.3.3, reconsideration).
    fn due(&self, poll: Poll) -> Timestamp {
        self.last.after(poll.report_interval().mul_f64(self.spread))
    }

    /// The sender knows us now, and few else.
    pub(super) fn on_proven(&mut self, few: bool) {
        self.urgent = few;
    }

    /// Our state changed.
    pub(super) fn on_state(&mut self) {
        self.urgent = true;
    }
}

impl Receiver {
    /// Where this receiver stands.
    pub(super) fn state(&self) -> ReportState {
        let Some(session) = &self.session else { return ReportState::Live };
        if session.end_handed_out {
            let whole = session.given_up == 0;
            return if whole { ReportState::Complete } else { ReportState::Incomplete };
        }
        if session.catch_up_to.is_some() { ReportState::CatchingUp } else { ReportState::Live }
    }

    pub(super) fn report_due(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        if self.config.mute {
            return None;
        }
        if !self.enrolment.is_proven() {
            return self.reporter.sampled;
        }
        let opens =
            self.is_frequent() && self.limit().since(self.reporter.limit) >= self.credit() / 4;
        if self.reporter.urgent || opens {
            return Some(Timestamp::ZERO);
        }
        // Who told of the end has nothing to add, unless it is asked.
        let due = (!session.end_handed_out).then(|| self.reporter.due(session.poll));
        [self.reporter.wanted, due].into_iter().flatten().min()
    }

    /// Whether the audience is so small that each of them reports as its credit opens.
    pub(super) fn is_frequent(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.group_size.audience() <= FREQUENT_UP_TO)
    }

    /// The sender asks for a report.
    pub(super) fn on_report_wanted(&mut self, now: Timestamp) {
        let chance = self.rng.f64();
        // In a large audience nobody repeats for ever that it has all.
        if self.reporter.ends_told >= ENDS_TOLD && !self.is_frequent() {
            return;
        }
        if let Some(session) = &self.session {
            self.reporter.on_wanted(session.poll, chance, now);
        }
    }

    pub(super) fn report_if_due(&mut self, now: Timestamp) {
        if self.report_due().is_some_and(|due| due <= now) {
            self.report(now);
        }
    }

    pub(super) fn report(&mut self, now: Timestamp) {
        self.count_wire_losses();
        let is_sampled = self.reporter.sampled.take().is_some();
        let Some(session) = &self.session else { return };
        if !self.enrolment.is_proven() && !is_sampled {
            return;
        }
        let spread = 0.5 + self.rng.f64();
        let (echo, held) = session.clock.echo(now);
        let limit = self.limit();
        let report = Report {
            subscriber: self.config.subscriber,
            state: self.state(),
            limit,
            highest: session.frontier,
            next: session.window.next(),
            received: self.stats.packets_placed + self.stats.packets_duplicate,
            repaired: self.stats.packets_repaired,
            recovered: self.stats.packets_recovered,
            given_up: session.given_up,
            losses: self.losses(),
            bursts: session.numbers.bursts(self.bursts_before),
            ce: 0,
            jitter_us: micros(session.clock.jitter()),
            echo,
            hold_us: micros(held),
        };
        let ends_told = self.reporter.ends_told + u32::from(session.end_handed_out);
        let (wanted, sampled) = (None, None);
        self.reporter =
            Reporter { wanted, spread, limit, urgent: false, last: now, sampled, ends_told };
        self.stats.reports_sent += 1;
        self.say(Body::Report(report));
    }

    fn losses(&self) -> Losses {
        Losses {
            wire: self.stats.wire_lost,
            kernel: self.stats.kernel_drops,
            ring: self.stats.lost_ring,
            late: self.stats.lost_deadline,
            unauthentic: self.stats.discarded.get(Discard::Forged),
        }
    }

    /// One past the newest packet that may be sent without overrunning the socket's buffer or the
    /// window.
    fn limit(&self) -> Seq {
        let Some(session) = &self.session else { return Seq::ZERO };
        let known = if session.catch_up_to.is_some() { session.frontier } else { session.lead };
        known.plus(self.credit()).min(session.window.limit())
    }

    /// Packets that the socket's buffer has room for.
    fn credit(&self) -> u64 {
        let len = self.session.as_ref().map_or(1, |session| u64::from(session.coded_len));
        (self.config.socket_buffer.0 / (len + CODED_HEADER_LEN as u64)).max(LEAST_CREDIT)
    }

    /// Registers, or says goodbye.
    pub(super) fn enrol(&mut self, now: Timestamp) {
        let Some(session) = &self.session else { return };
        if self.enrolment.asks(now) {
            self.say(Body::Register(Register {
                subscriber: self.config.subscriber,
                name: self.config.name.clone(),
                nonce: 0,
            }));
        } else {
            let next = session.window.next();
            while let Some(reason) = self.enrolment.says_bye(now) {
                self.report(now);
                self.say(Body::Bye(Bye { subscriber: self.config.subscriber, reason, next }));
            }
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Never more often than this because the sender asks.
const SHORTEST_SPACING: Duration = Duration::from_millis(4);

/// Less credit than this moves nothing.
const LEAST_CREDIT: u64 = 16;

/// One of many tells of its end so often: both are lost once in ten thousand times where one in a
/// hundred is.
const ENDS_TOLD: u32 = 2;
