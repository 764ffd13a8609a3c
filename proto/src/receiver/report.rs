//! What the sender is told.

use std::time::Duration;

use super::Receiver;
use crate::grtt::{FREQUENT_UP_TO, GroupSize, SHORT_INTERVAL};
use crate::wire::{Body, Bye, CODED_HEADER_LEN, Losses, Register, Report, ReportState};
use crate::{Seq, Timestamp};

/// When the next report is due.
#[derive(Debug)]
pub(super) struct Reporter {
    due: Timestamp,
    /// The credit that was last given.
    limit: Seq,
    /// Whether something changed that the sender should know at once.
    urgent: bool,
    last: Timestamp,
}

impl Reporter {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            due: now.after(FIRST_REPORT),
            limit: Seq::ZERO,
            urgent: false,
            last: Timestamp::ZERO,
        }
    }

    /// The sender asks: a small audience answers at once, a large one spreads its answers.
    pub(super) fn on_wanted(&mut self, audience: GroupSize, chance: f64, now: Timestamp) {
        let interval = audience.report_interval();
        let shortest = SHORTEST_INTERVAL.max((interval - SHORT_INTERVAL) / 8);
        let spread = (interval - SHORT_INTERVAL).mul_f64(chance / 8.0);
        let earliest = now.max(self.last.after(shortest));
        self.due = self.due.min(earliest.after(spread));
    }

    /// The sender knows us now.
    pub(super) fn on_proven(&mut self) {
        self.urgent = true;
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
        if self.config.mute || !self.enrolment.is_proven() {
            return None;
        }
        let frequent = session.group_size.audience() <= FREQUENT_UP_TO;
        let opens = frequent && self.limit().since(self.reporter.limit) >= self.credit() / 4;
        let now = self.reporter.urgent || opens;
        Some(if now { Timestamp::ZERO } else { self.reporter.due })
    }

    /// The sender asks for a report.
    pub(super) fn on_report_wanted(&mut self, now: Timestamp) {
        let chance = self.rng.f64();
        if let Some(session) = &self.session {
            self.reporter.on_wanted(session.group_size, chance, now);
        }
    }

    pub(super) fn report_if_due(&mut self, now: Timestamp) {
        if self.report_due().is_some_and(|due| due <= now) {
            self.report(now);
        }
    }

    pub(super) fn report(&mut self, now: Timestamp) {
        self.count_wire_losses();
        let Some(session) = &self.session else { return };
        if !self.enrolment.is_proven() {
            return;
        }
        let interval = session.group_size.report_interval();
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
            bursts: [0; 5],
            ce: 0,
            jitter_us: micros(session.clock.jitter()),
            echo,
            hold_us: micros(held),
        };
        self.reporter =
            Reporter { due: now.after(interval.mul_f64(spread)), limit, urgent: false, last: now };
        self.stats.reports_sent += 1;
        self.say(Body::Report(report));
    }

    fn losses(&self) -> Losses {
        Losses {
            wire: self.stats.wire_lost,
            kernel: self.stats.kernel_drops,
            ring: 0,
            late: self.stats.lost_deadline,
            unauthentic: 0,
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
                self.say(Body::Bye(Bye { subscriber: self.config.subscriber, reason, next }));
            }
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Never more often than this because the sender asks.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(4);

const FIRST_REPORT: Duration = Duration::from_millis(20);

/// Less credit than this moves nothing.
const LEAST_CREDIT: u64 = 16;
