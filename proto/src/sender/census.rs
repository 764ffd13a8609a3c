//! How many listen, and who of them is asked to speak (docs/PROTOCOL.md §4.12).
//!
//! A publisher begins by asking one subscriber in 4,096 to register and lets more in as long as
//! few come: a handful is known by name within a twentieth of a second, a million never all speak
//! up. Where only a share is registered it stands for all, and others are sampled by rounds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Sender;
use crate::grtt::GroupSize;
use crate::poll::{LONGEST_INTERVAL, Poll, SHORTEST_INTERVAL};
use crate::wire::Report;
use crate::{SubscriberId, Timestamp};

/// Who is asked to speak, and what those said who are not known by name.
#[derive(Debug)]
pub(super) struct Census {
    poll: Poll,
    /// When the share of those who register may change next.
    step_at: Timestamp,
    round_ends: Timestamp,
    /// Registrations heard since the last step, in the share that was asked.
    knocks: u64,
    /// Losses told in this round by those who are not registered.
    told: BTreeMap<SubscriberId, f64>,
    /// How many of them each host told.
    told_by: BTreeMap<IpAddr, u8>,
    /// Losses told in the round before.
    sampled: Vec<f64>,
    /// Subscribers that spoke up unasked in this round.
    alarmed: u32,
    throughput: Throughput,
}

/// Wire bytes sent in a second, smoothed.
#[derive(Clone, Copy, Debug)]
struct Throughput {
    bits_per_second: f64,
    bytes: u64,
    at: Timestamp,
}

impl Throughput {
    /// Takes how many bytes were sent by now.
    fn measure(&mut self, bytes: u64, now: Timestamp) {
        let time = now.since(self.at);
        if time < MEASURED_OVER {
            return;
        }
        let recent = bytes.saturating_sub(self.bytes) as f64 * 8.0 / time.as_secs_f64();
        self.bits_per_second += (recent - self.bits_per_second) / 4.0;
        (self.bytes, self.at) = (bytes, now);
    }

    /// An idle stream may be spoken about as if it were a slow one.
    fn spare(&self) -> f64 {
        self.bits_per_second.max(LEAST_RATE)
    }
}

impl Census {
    pub(super) fn new(rate_bps: Option<u64>, now: Timestamp) -> Self {
        let bits_per_second = rate_bps.unwrap_or(ASSUMED_RATE) as f64;
        Self {
            poll: Poll { enrol: FIRST_SHARE, alarm: FIRST_ALARM, ..Poll::default() },
            step_at: now.after(FIRST_STEP),
            round_ends: now.after(SHORTEST_ROUND),
            knocks: 0,
            told: BTreeMap::new(),
            told_by: BTreeMap::new(),
            sampled: Vec::new(),
            alarmed: 0,
            throughput: Throughput { bits_per_second, bytes: 0, at: now },
        }
    }

    /// Whether only a share of the audience registers.
    pub(super) fn is_share(&self) -> bool {
        self.poll.enrol > 0
    }

    /// Whether this subscriber belongs to those that are asked to register.
    pub(super) fn asks(&self, id: SubscriberId) -> bool {
        self.poll.enrols(id)
    }

    /// How many each of those that were asked to register stands for, itself counted.
    pub(super) fn stands_for(&self) -> u64 {
        1 << self.poll.enrol.min(FEWEST)
    }

    /// The mean time between two reports of one subscriber.
    pub(super) fn report_interval(&self) -> Duration {
        self.poll.report_interval()
    }

    /// Somebody wants to register.
    pub(super) fn on_knock(&mut self, id: SubscriberId) {
        if self.poll.enrols(id) {
            self.knocks += 1;
        } else {
            self.alarmed += 1;
        }
    }

    /// Takes what somebody tells who is not known by name; says whether it was asked.
    pub(super) fn on_told(&mut self, report: &Report, from: SocketAddr) -> bool {
        let is_full = self.told.len().max(self.told_by.len()) >= MOST_TOLD;
        if is_full || !self.poll.samples(report.subscriber) {
            return false;
        }
        // One host cannot tell the tale of many.
        let by_host = self.told_by.entry(from.ip()).or_default();
        if *by_host >= MOST_TOLD_BY_HOST {
            return false;
        }
        *by_host += 1;
        let lost = report.losses.wire as f64;
        let seen = report.received as f64 + lost;
        self.told.insert(report.subscriber, if seen > 0.0 { lost / seen } else { 0.0 });
        true
    }

    /// How many told something, and by how many hosts.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.told.len(), self.told_by.len())
    }

    /// Asks a half of all to tell, and says whether this one is of it.
    #[cfg(test)]
    pub(super) fn sample_half(&mut self, id: SubscriberId) -> bool {
        self.poll.sample = 1;
        self.poll.samples(id)
    }

    /// Losses that were told in the last round by those who are not known by name.
    pub(super) fn sampled(&self) -> &[f64] {
        &self.sampled
    }

    fn end_round(&mut self, audience: u64, worst: f64, now: Timestamp) {
        self.sampled = std::mem::take(&mut self.told).into_values().collect();
        self.told_by.clear();
        self.poll.round = self.poll.round.wrapping_add(1);
        let others = audience as f64 / SAMPLED;
        let halvings = others.log2().ceil().max(1.0);
        self.poll.sample = if self.is_share() { byte(halvings) } else { 0 };
        // Too many spoke up: only who fares worse than they do is to follow.
        let calmer = if self.alarmed > MOST_ALARMED {
            byte(worst * 256.0 * 1.5).max(self.poll.alarm.saturating_add(1)).min(254)
        } else {
            (self.poll.alarm - (self.poll.alarm - FIRST_ALARM).div_ceil(4)).max(FIRST_ALARM)
        };
        self.poll.alarm = calmer;
        self.alarmed = 0;
        let bits = SAMPLED * REPORT_BITS;
        let round = bits / (self.throughput.spare() * SAMPLE_SHARE);
        let round = Duration::from_secs_f64(round).clamp(SHORTEST_ROUND, LONGEST_ROUND);
        self.round_ends = now.after(round);
    }
}

impl Sender {
    /// How many subscribers listen: counted where all register, otherwise estimated from the
    /// share that does.
    #[must_use]
    pub fn audience_size(&self) -> u64 {
        let together = self.audience.together();
        let stands_for = together.asked.saturating_mul(self.census.stands_for());
        stands_for.max(together.present)
    }

    /// How large the audience is taken to be where that decides how long to wait before asking:
    /// while it is being found out, as large as it may be.
    pub(super) fn cautious_size(&self) -> GroupSize {
        let known = self.audience_size();
        let possible = if self.is_counting() { self.census.stands_for() } else { 0 };
        GroupSize::of(known.max(possible))
    }

    /// Whether the audience is still being found out.
    pub(super) fn is_counting(&self) -> bool {
        self.census.is_share() && self.audience.together().asked < ENOUGH
    }

    /// How many are there for certain: what the first byte waits for.
    pub(super) fn gathered(&self) -> u64 {
        let together = self.audience.together();
        if together.asked < ENOUGH { together.present } else { self.audience_size() }
    }

    /// The share of packets that subscribers lose: `q` of them lose less. From those that are
    /// registered and, where that is only a share, from those that were sampled.
    #[must_use]
    pub fn loss_quantile(&self, q: f64) -> f64 {
        self.audience.loss_quantile(q, self.census.sampled())
    }

    /// When the share of those who register is to be looked at again.
    pub(super) fn count_due(&self) -> Option<Timestamp> {
        self.is_counting().then_some(self.census.step_at)
    }

    /// What is said of who is to speak.
    pub(super) fn poll(&mut self, now: Timestamp) -> Poll {
        let bytes = self.stats.wire_bytes;
        self.census.throughput.measure(bytes, now);
        if now >= self.census.step_at {
            self.step(now);
        }
        if now >= self.census.round_ends {
            let (audience, worst) = (self.audience_size(), self.loss_quantile(0.9));
            self.census.end_round(audience, worst, now);
        }
        let reporting = self.audience.together().present as f64;
        let share = self.census.throughput.spare() * REPORT_SHARE;
        let interval = Duration::from_secs_f64(reporting * REPORT_BITS / share);
        let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        self.census.poll.report_ms = u16::try_from(interval.as_millis()).unwrap_or(u16::MAX);
        self.census.poll
    }

    /// Lets more register while few have, and fewer where too many do.
    fn step(&mut self, now: Timestamp) {
        let asked = self.audience.together().asked;
        let heard = asked.max(self.census.knocks);
        let enrol = self.census.poll.enrol;
        self.census.knocks = 0;
        self.census.step_at = now.after(STEP + self.grtt.get() * 2);
        let wanted =
            ENOUGH.max(if self.phase.is_waiting() { self.config.wait_for.into() } else { 0 });
        let next = if heard > MOST_ASKED {
            enrol.saturating_add(1).min(FEWEST)
        } else if heard >= wanted {
            enrol - u8::from(enrol > 0 && self.can_afford(asked))
        } else {
            let room = (3 * wanted / 2).checked_div(heard);
            let halvings = room.map_or(BLIND_STEP, |room| byte(f64::from(room.max(2).ilog2())));
            enrol.saturating_sub(halvings)
        };
        if next != enrol {
            self.census.poll.enrol = next;
            let census = &self.census;
            self.audience.ask(|id| census.asks(id));
        }
    }

    /// Whether twice as many may register: it costs a small share of what was sent.
    fn can_afford(&self, asked: u64) -> bool {
        let cost = asked.saturating_mul(2 * ENROL_COST);
        asked * 2 <= MOST_ASKED && cost <= self.stats.wire_bytes / ENROL_SHARE
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn byte(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// The first question goes to one in 2^12.
const FIRST_SHARE: u8 = 12;
/// Never fewer than one in 2^32.
const FEWEST: u8 = 32;
/// Nobody of one in 2^n: there are hardly more than 3 · 2^n, and 2^6 times as many may be asked.
const BLIND_STEP: u8 = 6;

/// Who is registered tells the size of all within 2.6 / √144, 22 %, in 99 of 100 cases; twice as
/// many at most are asked on the way there.
const ENOUGH: u64 = 144;

/// More than this do not register, whatever that would cost.
const MOST_ASKED: u64 = 4_096;

/// Those who are asked register within this, and a round trip.
const STEP: Duration = Duration::from_millis(10);
/// The round trip is not known yet.
const FIRST_STEP: Duration = Duration::from_millis(30);

/// To register, report twice and say goodbye, all headers counted, in bytes.
const ENROL_COST: u64 = 750;
/// 1 / 64 of what was sent may have been spent on that.
const ENROL_SHARE: u64 = 64;

/// A report on the wire, in bits.
const REPORT_BITS: f64 = 1_750.0;
/// The share of the stream that reports of who is registered may take…
const REPORT_SHARE: f64 = 0.01;
/// …and of those who are sampled.
const SAMPLE_SHARE: f64 = 0.003;

/// An idle stream is spoken about as if it had this rate, in bits per second.
const LEAST_RATE: f64 = 1e6;
/// What an automatic rate is taken for before it is known, in bits per second.
const ASSUMED_RATE: u64 = 10_000_000;
const MEASURED_OVER: Duration = Duration::from_millis(100);

/// How many are sampled in a round.
const SAMPLED: f64 = 64.0;
const SHORTEST_ROUND: Duration = Duration::from_secs(1);
const LONGEST_ROUND: Duration = Duration::from_secs(60);
/// More than this in one round are not listened to…
const MOST_TOLD: usize = 1_024;
/// …nor more than this from one host.
const MOST_TOLD_BY_HOST: u8 = 4;

/// Who loses more than 12 in 256, a twentieth, speaks up unasked.
const FIRST_ALARM: u8 = 12;
/// More than this in one round, and only who fares worse is to speak up.
const MOST_ALARMED: u32 = 32;
