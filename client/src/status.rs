//! What the status page and `/status.json` show of a subscriber.

use std::collections::BTreeMap;

use host::build_info;
use host::clock::Clock;
use serde::Serialize;

use crate::snapshot::{Published, Snapshot};
use crate::tally::Delays;

/// A subscriber at a moment. `docs/OPERATIONS.md` gives every field.
#[derive(Debug, Serialize)]
pub(crate) struct PageStatus {
    program: &'static str,
    version: &'static str,
    /// Seconds since 1970.
    started_at: f64,
    /// Seconds since 1970.
    time: f64,
    streams: Vec<StreamStatus>,
}

/// A group that is subscribed to, at a moment.
#[derive(Debug, Serialize)]
struct StreamStatus {
    group: String,
    interface: String,
    output: String,
    stream: Option<String>,
    session: Option<String>,
    joined: bool,
    audience: Option<u64>,
    /// When its counters were copied, in seconds since 1970.
    at: f64,
    received_bytes: u64,
    payload_bytes: u64,
    delivered_bytes: u64,
    delivered_packets: u64,
    missed_packets: u64,
    repaired_packets: u64,
    resent_packets: u64,
    recovered_packets: u64,
    duplicate_packets: u64,
    lost_packets: u64,
    lost: BTreeMap<&'static str, u64>,
    wire_lost_datagrams: u64,
    kernel_drops: u64,
    parity_used: u64,
    parity_unused: u64,
    naks_sent: u64,
    reports_sent: u64,
    catch_ups: u64,
    sessions: u64,
    join_to_first_packet_seconds: Option<f64>,
    delay_seconds: DelayStatus,
}

/// How long payload took from its first sending until it was handed out, less the shortest seen.
#[derive(Debug, Serialize)]
struct DelayStatus {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl PageStatus {
    /// Of a subscriber that was started at `started_us`, in microseconds since 1970.
    pub(crate) fn new(published: &Published, started_us: u64) -> Self {
        Self {
            program: "subscriber",
            version: build_info::VERSION,
            started_at: seconds(started_us),
            time: seconds(Clock::unix_us()),
            streams: published.streams().into_iter().map(StreamStatus::from).collect(),
        }
    }

    /// As it is served: one line.
    pub(crate) fn to_json(&self) -> String {
        // No map of it has keys that are not text: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Snapshot> for StreamStatus {
    fn from(snapshot: Snapshot) -> Self {
        let (tally, stats) = (&snapshot.tally, &snapshot.tally.stats);
        Self {
            joined: snapshot.is_joined,
            audience: snapshot.audience,
            at: seconds(snapshot.at_us),
            received_bytes: tally.received_bytes,
            payload_bytes: stats.bytes_delivered,
            delivered_bytes: tally.bytes_written,
            delivered_packets: stats.packets_delivered,
            missed_packets: stats.packets_missed,
            repaired_packets: stats.packets_mended(),
            resent_packets: stats.packets_repaired,
            recovered_packets: stats.packets_recovered,
            duplicate_packets: stats.packets_duplicate,
            lost_packets: stats.packets_lost(),
            lost: tally.lost_by_cause().into_iter().collect(),
            wire_lost_datagrams: stats.wire_lost,
            kernel_drops: tally.kernel_drops,
            parity_used: stats.parity_used,
            parity_unused: stats.parity_unused,
            naks_sent: stats.naks_sent,
            reports_sent: stats.reports_sent,
            catch_ups: stats.catch_ups,
            sessions: stats.sessions,
            join_to_first_packet_seconds: tally.join_to_first.map(|time| time.as_secs_f64()),
            delay_seconds: DelayStatus::of(&tally.delays),
            group: snapshot.group,
            interface: snapshot.interface,
            output: snapshot.output,
            stream: snapshot.stream,
            session: snapshot.session,
        }
    }
}

impl DelayStatus {
    fn of(delays: &Delays) -> Self {
        Self { p50: delays.quantile(0.5), p99: delays.quantile(0.99) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
