//! What the status page and `/status.json` show of a publisher.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use host::build_info;
use host::clock::Clock;
use proto::wire::{Kind, Losses};
use serde::Serialize;

use crate::admission::AdmissionView;
use crate::metrics::suppressed;
use crate::report::{KindSummary, kinds, repairs};
use crate::snapshot::{StreamSnapshot, SubscriberRow};

/// A publisher at a moment. `docs/OPERATIONS.md` gives every field.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    program: &'static str,
    version: &'static str,
    /// Seconds since 1970.
    started_at: f64,
    /// Seconds since 1970.
    time: f64,
    streams: Vec<StreamStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<AdmissionView>,
}

/// A stream at a moment.
#[derive(Clone, Debug, Serialize)]
struct StreamStatus {
    stream: String,
    session: String,
    /// When its counters were copied, in seconds since 1970.
    at: f64,
    started: bool,
    finished: bool,
    audience: u64,
    wants: Option<u32>,
    source_bytes: u64,
    source_len: Option<u64>,
    input_dropped: u64,
    payload_bytes: u64,
    egress_bytes: u64,
    egress_datagrams: u64,
    sent: Vec<KindSummary>,
    repair_bytes: u64,
    unicast_equivalent_bytes: u64,
    grtt_seconds: f64,
    window_packets: u64,
    joins: u64,
    leaves: u64,
    naks_received: u64,
    packets_asked: u64,
    repairs_suppressed: BTreeMap<&'static str, u64>,
    send_errors: BTreeMap<&'static str, u64>,
    losses: Losses,
    mended: u64,
    given_up: u64,
    subscribers: Vec<SubscriberRow>,
    subscribers_hidden: u64,
}

impl Status {
    /// Of a publisher that was started at `started_us`, in microseconds since 1970.
    #[must_use]
    pub fn new(
        streams: &[StreamSnapshot],
        admission: Option<AdmissionView>,
        started_us: u64,
    ) -> Self {
        Self {
            program: "publisher",
            version: build_info::VERSION,
            started_at: seconds(started_us),
            time: seconds(Clock::unix_us()),
            streams: streams.iter().map(StreamStatus::from).collect(),
            admission,
        }
    }

    /// As it is served: one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // No map of it has keys that are not text: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<&StreamSnapshot> for StreamStatus {
    fn from(snapshot: &StreamSnapshot) -> Self {
        let (stats, fare, total) = (&snapshot.stats, &snapshot.fare, snapshot.egress.total());
        Self {
            stream: snapshot.name.to_string(),
            session: snapshot.session.to_string(),
            at: seconds(snapshot.at_us),
            started: snapshot.is_started,
            finished: snapshot.is_finished,
            audience: snapshot.audience,
            wants: snapshot.wants,
            source_bytes: snapshot.input.bytes.load(Ordering::Relaxed),
            source_len: snapshot.input_len,
            input_dropped: snapshot.input.dropped.load(Ordering::Relaxed),
            payload_bytes: stats.payload_bytes,
            egress_bytes: total.bytes,
            egress_datagrams: total.datagrams,
            sent: kinds(&snapshot.egress),
            repair_bytes: repairs(&snapshot.egress).bytes,
            unicast_equivalent_bytes: stats.unicast_equivalent_bytes,
            grtt_seconds: snapshot.grtt.as_secs_f64(),
            window_packets: snapshot.window_packets,
            joins: stats.joins,
            leaves: stats.leaves,
            naks_received: stats.received.get(Kind::Nak).datagrams,
            packets_asked: stats.packets_asked,
            repairs_suppressed: suppressed(stats).into_iter().collect(),
            send_errors: snapshot.egress.failed().collect(),
            losses: fare.losses,
            mended: fare.mended,
            given_up: fare.given_up,
            subscribers: fare.rows.clone(),
            subscribers_hidden: fare.hidden,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
