//! Counters by the name of their metric: what can be added up over subscriptions of one stream.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::tally::{Delays, Tally};

/// What was counted of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// By metric and the value of its second label; the first is the stream.
    counts: BTreeMap<(&'static str, Cow<'static, str>), u64>,
    /// How long payload took.
    pub(crate) delays: Delays,
    /// How unevenly packets came.
    pub(crate) jitter: Delays,
    /// The last join's time to the first datagram, in seconds.
    pub(crate) join_to_first: Option<f64>,
}

impl Figures {
    /// Those of one subscription.
    pub(crate) fn of(tally: &Tally) -> Self {
        let stats = &tally.stats;
        let mut figures = Self {
            counts: BTreeMap::new(),
            delays: tally.delays.clone(),
            jitter: tally.jitter.clone(),
            join_to_first: tally.join_to_first.map(|time| time.as_secs_f64()),
        };
        for (kind, count) in stats.received.iter() {
            if count.datagrams > 0 {
                figures.add("packets_received_total", kind.name(), count.datagrams);
            }
        }
        for (reason, count) in stats.discarded.iter().filter(|(_, count)| *count > 0) {
            figures.add("datagrams_discarded_total", reason.to_string(), count);
        }
        for (reason, count) in
            [("foreign_group", tally.foreign_group), ("foreign_interface", tally.foreign_interface)]
        {
            figures.add("datagrams_discarded_total", reason, count);
        }
        figures.add_packets(tally);
        figures
    }

    fn add_packets(&mut self, tally: &Tally) {
        let stats = &tally.stats;
        let here = stats.packets_placed + stats.packets_recovered;
        let refused = stats.packets_forged + stats.packets_unverified;
        let gone = stats.packets_delivered + stats.packets_abandoned + refused;
        for (metric, count) in [
            ("datagrams_received_total", datagrams_received(tally)),
            ("bytes_received_total", tally.received_bytes),
            ("packets_delivered_total", stats.packets_delivered),
            ("payload_bytes_delivered_total", stats.bytes_delivered),
            ("output_bytes_total", tally.bytes_written),
            ("packets_duplicate_total", stats.packets_duplicate),
            ("packets_abandoned_total", stats.packets_abandoned),
            ("packets_forged_total", stats.packets_forged),
            ("packets_unverified_total", stats.packets_unverified),
            ("packets_missed_total", stats.packets_missed),
            ("packets_repaired_total", stats.packets_repaired),
            ("packets_recovered_total", stats.packets_recovered),
            ("parity_used_total", stats.parity_used),
            ("parity_unused_total", stats.parity_unused),
            ("window_packets", here.saturating_sub(gone)),
            ("naks_sent_total", stats.naks_sent),
            ("naks_suppressed_total", stats.naks_suppressed),
            ("reports_sent_total", stats.reports_sent),
            ("wire_lost_datagrams_total", stats.wire_lost),
            ("kernel_drops_total", tally.kernel_drops),
            ("feedback_send_errors_total", tally.send_errors),
            ("sessions_total", stats.sessions),
            ("catch_ups_total", stats.catch_ups),
        ] {
            self.add(metric, "", count);
        }
        for (cause, count) in tally.lost_by_cause() {
            self.add("packets_lost_total", cause, count);
        }
        for (action, count) in [
            ("dropped", tally.impaired.dropped),
            ("duplicated", tally.impaired.duplicated),
            ("reordered", tally.impaired.reordered),
        ] {
            self.add("datagrams_impaired_total", action, count);
        }
        for (to, count) in
            [("fallback", tally.switches.to_fallback), ("group", tally.switches.to_group)]
        {
            self.add("way_switches_total", to, count);
        }
        for (reason, count) in &tally.rejoins {
            self.add("rejoins_total", *reason, *count);
        }
    }

    /// Adds those of another subscription.
    pub(crate) fn merge(&mut self, other: &Self) {
        for ((metric, label), count) in &other.counts {
            self.add(metric, label.clone(), *count);
        }
        self.delays.merge(&other.delays);
        self.jitter.merge(&other.jitter);
        self.join_to_first = other.join_to_first.or(self.join_to_first);
    }

    /// Every figure: metric, second label, count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> + '_ {
        self.counts.iter().map(|((metric, label), count)| (*metric, label.as_ref(), *count))
    }

    fn add(&mut self, metric: &'static str, label: impl Into<Cow<'static, str>>, count: u64) {
        let total = self.counts.entry((metric, label.into())).or_default();
        // What a forged announce claims is lost has no bound.
        *total = total.saturating_add(count);
    }
}

/// All that the sockets handed over and no impairment took.
pub(crate) fn datagrams_received(tally: &Tally) -> u64 {
    let stats = &tally.stats;
    let foreign = tally.foreign_group + tally.foreign_interface;
    stats.received.total().datagrams + stats.discarded.total() + foreign
}
