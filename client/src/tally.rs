//! What is counted beside the receiver's own counters, for one subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::receiver::ReceiverStats;
use proto::wire::{Kind, sent_at_of};
use proto::{SeqRange, Timestamp, WireTime};

use crate::impair::Impaired;
use crate::socket::Received;
use crate::subscription::Switches;

/// Counters of one subscription. Each only grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// What the receiver counted.
    pub(crate) stats: ReceiverStats,
    /// UDP payload that was given to the receiver, in bytes.
    pub(crate) received_bytes: u64,
    /// How long payload took to be handed out.
    pub(crate) delays: Delays,
    /// How unevenly packets came.
    pub(crate) jitter: Delays,
    /// When the newest data packet came, and when it was sent.
    last_data: Option<(Timestamp, WireTime)>,
    /// Buffers that the kernel dropped, of all sockets this subscription had.
    pub(crate) kernel_drops: u64,
    /// Datagrams for another group, which no kernel should hand over.
    pub(crate) foreign_group: u64,
    /// Datagrams that came in by another interface.
    pub(crate) foreign_interface: u64,
    /// Feedback that the system would not send.
    pub(crate) send_errors: u64,
    /// What was done on purpose.
    pub(crate) impaired: Impaired,
    /// Joins after the first, by reason.
    pub(crate) rejoins: BTreeMap<&'static str, u64>,
    /// Changes between the group and the publisher's own address.
    pub(crate) switches: Switches,
    /// From the join to the first datagram of the group.
    pub(crate) join_to_first: Option<Duration>,
    /// Bytes written by the output.
    pub(crate) bytes_written: u64,
}

/// How long payload took from its first sending until it was handed out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    counts: [u64; DELAY_BUCKETS],
    above: u64,
    sum: Duration,
}

/// What is missing of a session, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which packets.
    pub range: SeqRange,
    /// Why, as metrics and logs spell it.
    pub cause: &'static str,
}

/// The ranges that are missing, as many as a person may want to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct MissingList {
    ranges: Vec<Missing>,
    packets: u64,
    is_cut: bool,
}

impl Tally {
    /// Packets given up, by cause.
    pub(crate) fn lost_by_cause(&self) -> [(&'static str, u64); 5] {
        let stats = &self.stats;
        [
            ("unanswered", stats.lost_unanswered),
            ("left_window", stats.lost_left_window),
            ("deadline", stats.lost_deadline),
            ("unverified", stats.lost_unverified),
            ("ring", stats.lost_ring),
        ]
    }

    /// A datagram of the group came.
    pub(crate) fn on_group_datagram(
        &mut self,
        datagram: &[u8],
        joined_at: Timestamp,
        now: Timestamp,
    ) {
        self.join_to_first.get_or_insert_with(|| now.since(joined_at));
        let Some(sent_at) = sent_at_of(Kind::Data, datagram) else { return };
        if let Some((came, sent)) = self.last_data.replace((now, sent_at)) {
            let apart = u64::from(sent_at.since(sent).unsigned_abs());
            self.jitter.add(now.since(came).abs_diff(Duration::from_micros(apart)), 1);
        }
    }

    /// Datagrams of the group came in one buffer: mostly of one burst, which left at one time.
    pub(crate) fn on_group_datagrams(
        &mut self,
        received: &Received<'_>,
        joined_at: Timestamp,
        now: Timestamp,
    ) {
        let mut datagrams = received.bytes.chunks(received.len);
        let (first, last) = (datagrams.clone().next(), datagrams.clone().next_back());
        let sent_at = |datagram: Option<&[u8]>| sent_at_of(Kind::Data, datagram?);
        // What lies between is of the same burst.
        if sent_at(first).is_some() && sent_at(first) == sent_at(last) {
            datagrams.by_ref().take(1).for_each(|first| {
                self.on_group_datagram(first, joined_at, now);
            });
            self.jitter.add(Duration::ZERO, datagrams.len() as u64);
            return;
        }
        datagrams.for_each(|datagram| self.on_group_datagram(datagram, joined_at, now));
    }

    /// The group was joined again.
    pub(crate) fn on_rejoin(&mut self, reason: &'static str) {
        *self.rejoins.entry(reason).or_default() += 1;
    }
}

impl Delays {
    /// Counts so many packets, handed out together.
    pub(crate) fn add(&mut self, delay: Duration, packets: u64) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let units = nanos.saturating_sub(1) / SHORTEST_DELAY_NS;
        let bucket = units.checked_ilog2().map_or(0, |log2| log2 as usize + 1);
        match self.counts.get_mut(bucket) {
            Some(count) => *count += packets,
            None => self.above += packets,
        }
        self.sum += delay.saturating_mul(u32::try_from(packets).unwrap_or(u32::MAX));
    }

    /// Adds what another subscription counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.above += other.above;
        self.sum += other.sum;
    }

    /// The bound, in seconds, that this share of all delays does not pass; none if there are none,
    /// or if it lies above all bounds.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.counts.iter().sum::<u64>() + self.above;
        let (mut below, mut bound) = (0, SHORTEST_DELAY.as_secs_f64());
        for count in &self.counts {
            below += count;
            if below > 0 && ratio(below, all) >= share {
                return Some(bound);
            }
            bound *= 2.0;
        }
        None
    }

    /// Upper bounds in seconds, each with its count; then how many lay above, and the sum.
    pub(crate) fn observations(&self) -> host::metrics::Observations {
        let mut bound = SHORTEST_DELAY.as_secs_f64();
        let buckets = self.counts.iter().map(|count| {
            let bucket = (bound, *count);
            bound *= 2.0;
            bucket
        });
        host::metrics::Observations {
            buckets: buckets.collect(),
            above: self.above,
            sum: self.sum.as_secs_f64(),
        }
    }
}

impl MissingList {
    /// Adds packets that are missing.
    pub(crate) fn add(&mut self, range: SeqRange, cause: &'static str) {
        // An announce may claim what was never sent, again and again.
        self.packets = self.packets.saturating_add(range.len());
        if let Some(last) = self.ranges.last_mut()
            && last.cause == cause
            && last.range.end == range.first
        {
            last.range.end = range.end;
        } else if self.ranges.len() < MISSING_LIMIT {
            self.ranges.push(Missing { range, cause });
        } else {
            self.is_cut = true;
        }
    }

    /// The ranges, in the order they were given up.
    pub(crate) fn ranges(&self) -> &[Missing] {
        &self.ranges
    }

    /// Whether there were more than are listed.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Packets missing in all.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn ratio(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

/// The bound of the first bucket; each next one is twice as long.
const SHORTEST_DELAY: Duration = Duration::from_nanos(SHORTEST_DELAY_NS);

/// The same in nanoseconds.
const SHORTEST_DELAY_NS: u64 = 50_000;

/// 50 µs to 1.6 s.
const DELAY_BUCKETS: usize = 16;

/// Beyond this the list is of no use, and its memory is somebody else's to ask for.
const MISSING_LIMIT: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Seq;

    fn bucket_of(delay: Duration) -> Option<usize> {
        let mut delays = Delays::default();
        delays.add(delay, 1);
        delays.counts.iter().position(|count| *count == 1)
    }

    #[test]
    fn a_delay_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        for (micros, bucket) in [(0, 0), (50, 0), (51, 1), (100, 1), (101, 2), (200, 2), (201, 3)] {
            assert_eq!(bucket_of(Duration::from_micros(micros)), Some(bucket), "{micros} µs");
        }
        assert_eq!(bucket_of(Duration::from_micros(50 << 15)), Some(15));
        assert_eq!(bucket_of(Duration::from_secs(2)), None);
    }

    #[test]
    fn neighbours_with_one_cause_are_one_range() {
        let mut missing = MissingList::default();
        missing.add(SeqRange::new(Seq(3), Seq(5)), "deadline");
        missing.add(SeqRange::new(Seq(5), Seq(6)), "deadline");
        missing.add(SeqRange::new(Seq(6), Seq(7)), "ring");
        assert_eq!(missing.ranges().len(), 2);
        assert_eq!(missing.packets(), 4);
    }

    #[test]
    fn the_list_is_bounded_and_says_so() {
        let mut missing = MissingList::default();
        for first in 0..2 * MISSING_LIMIT as u64 {
            missing.add(SeqRange::new(Seq(2 * first), Seq(2 * first + 1)), "deadline");
        }
        assert_eq!(missing.ranges().len(), MISSING_LIMIT);
        assert_eq!(missing.packets(), 2 * MISSING_LIMIT as u64);
        assert!(missing.is_cut());
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut delays = Delays::default();
        assert_eq!(delays.quantile(0.5), None);
        for _ in 0..98 {
            delays.add(Duration::from_micros(40), 1);
        }
        delays.add(Duration::from_micros(150), 1);
        delays.add(Duration::from_secs(9), 1);
        assert_eq!(delays.quantile(0.5), Some(50e-6));
        assert_eq!(delays.quantile(0.99), Some(200e-6));
        assert_eq!(delays.quantile(1.0), None, "above all bounds");
    }
}
