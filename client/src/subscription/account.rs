//! How a subscription fares, and what came of it.

use std::collections::BTreeMap;

use host::clock::Clock;

use super::Subscription;
use super::deliver::hex;
use crate::figures::datagrams_received;
use crate::output::{Finished, Progress};
use crate::record::{Record, Records};
use crate::snapshot::Snapshot;
use crate::summary::{Ended, StreamSummary, Totals};
use crate::tally::Tally;

impl Subscription {
    /// How it fares now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            group: self.group.clone(),
            interface: self.interface.name.clone(),
            output: self.config.output.to_string(),
            stream: self.session.as_ref().map(|session| session.name.as_str().to_owned()),
            session: self.session.as_ref().map(|session| session.session.to_string()),
            is_joined: self.socket.is_some() || self.ways.group().is_none(),
            is_ipv6: self.ways.group().is_some_and(|group| group.address.is_ipv6()),
            is_silent: self.silent_since.is_some(),
            audience: self.receiver.audience(),
            tally: self.tally(),
            at_us: Clock::unix_us(),
        }
    }

    /// Tells machines how it fares.
    pub(crate) fn record_progress(&self, records: &Records) {
        if !records.is_wanted() {
            return;
        }
        let tally = self.tally();
        records.write(&Record::Progress {
            group: &self.group,
            received_bytes: tally.received_bytes,
            delivered_bytes: tally.bytes_written,
            lost_packets: tally.stats.packets_lost(),
            repaired_packets: tally.stats.packets_mended(),
            kernel_drops: tally.kernel_drops,
        });
    }

    /// What came of it; waits for the output.
    pub(crate) fn into_summary(self, ended: Ended) -> StreamSummary {
        let tally = self.tally();
        let (group, output) = (self.group, self.config.output.to_string());
        let progress = self.output.finish();
        let missing = self.missing;
        let stream = self.session.map(|session| session.name.as_str().to_owned());
        let mut summary = summary(&tally, &progress, ended);
        if missing.is_cut() {
            tracing::warn!(group, packets = missing.packets(), "more is missing than is listed");
        }
        summary.missing_is_cut = missing.is_cut();
        summary.missing = missing.ranges().to_vec();
        StreamSummary { group, output, stream, ..summary }
    }

    /// The same, without waiting for an output that takes nothing.
    pub(crate) fn abandon(self, ended: Ended) -> StreamSummary {
        let mut summary = summary(&self.tally(), &self.output.progress(), ended);
        summary.missing_is_cut = self.missing.is_cut();
        summary.missing = self.missing.ranges().to_vec();
        let stream = self.session.map(|session| session.name.as_str().to_owned());
        let output = self.config.output.to_string();
        StreamSummary { group: self.group, output, stream, ..summary }
    }
}

fn summary(tally: &Tally, progress: &Progress, ended: Ended) -> StreamSummary {
    let finished = progress.finished.as_ref();
    let first = tally.join_to_first.map(|time| time.as_secs_f64() * 1_000.0);
    StreamSummary {
        group: String::new(),
        output: String::new(),
        stream: None,
        ended,
        totals: totals(tally, progress.bytes),
        complete: finished.is_some_and(Finished::is_whole),
        sha256: finished.and_then(|finished| finished.sha256).map(|sha256| hex(&sha256)),
        join_to_first_packet_ms: first,
        missing: Vec::new(),
        missing_is_cut: false,
    }
}

fn totals(tally: &Tally, delivered_bytes: u64) -> Totals {
    let stats = &tally.stats;
    let mut discarded: BTreeMap<String, u64> = stats
        .discarded
        .iter()
        .map(|(reason, count)| (reason.to_string(), count))
        .chain([
            ("foreign_group".to_owned(), tally.foreign_group),
            ("foreign_interface".to_owned(), tally.foreign_interface),
        ])
        .collect();
    discarded.retain(|_, count| *count > 0);
    Totals {
        received_bytes: tally.received_bytes,
        received_datagrams: datagrams_received(tally),
        delivered_bytes,
        delivered_packets: stats.packets_delivered,
        missed_packets: stats.packets_missed,
        lost_packets: stats.packets_lost(),
        repaired_packets: stats.packets_mended(),
        duplicate_packets: stats.packets_duplicate,
        kernel_drops: tally.kernel_drops,
        sessions: stats.sessions,
        switches_to_fallback: tally.switches.to_fallback,
        switches_to_group: tally.switches.to_group,
        discarded,
    }
}
