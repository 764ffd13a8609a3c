//! What the receive thread tells others: copied now and then, behind a lock that it rarely takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::querier::Heard;
use crate::tally::Tally;

/// One subscription, as it was a moment ago.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The endpoint.
    pub(crate) group: String,
    /// The interface's name.
    pub(crate) interface: String,
    /// The output.
    pub(crate) output: String,
    /// The stream's name, once a session was heard.
    pub(crate) stream: Option<String>,
    /// The session, once one was heard.
    pub(crate) session: Option<String>,
    /// Whether the interface is there.
    pub(crate) is_joined: bool,
    /// Whether the group is one of IPv6.
    pub(crate) is_ipv6: bool,
    /// Whether its publisher is silent without having said that it ends.
    pub(crate) is_silent: bool,
    /// Subscribers of the session, as the publisher estimates them.
    pub(crate) audience: Option<u64>,
    /// What was counted.
    pub(crate) tally: Tally,
    /// When this was so, in microseconds since 1970.
    pub(crate) at_us: u64,
}

/// What is told to those who ask over the control socket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) group: String,
    pub(crate) interface: String,
    pub(crate) output: String,
    pub(crate) stream: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) joined: bool,
    pub(crate) received_bytes: u64,
    pub(crate) delivered_bytes: u64,
    pub(crate) lost_packets: u64,
    pub(crate) repaired_packets: u64,
    pub(crate) kernel_drops: u64,
}

/// What others may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Published {
    streams: Mutex<Streams>,
    queriers: Mutex<Vec<Heard>>,
    joins: AtomicU64,
    leaves: AtomicU64,
    foreign_feedback: AtomicU64,
    /// Turns of the receive thread: one that makes none is stuck.
    turns: AtomicU64,
}

#[derive(Debug, Default)]
struct Streams {
    open: Vec<Snapshot>,
    /// What those that ended had counted, by stream: counters never fall.
    retired: BTreeMap<String, Figures>,
}

impl Published {
    /// Replaces what is told of those that are open.
    pub(crate) fn set(&self, open: Vec<Snapshot>) {
        self.lock().open = open;
    }

    /// A subscription ended; only its figures are kept.
    pub(crate) fn retire(&self, snapshot: &Snapshot) {
        let mut streams = self.lock();
        streams.open.retain(|other| other.group != snapshot.group);
        let retired = streams.retired.entry(snapshot.label().to_owned()).or_default();
        retired.merge(&Figures::of(&snapshot.tally));
    }

    /// Those that are open.
    pub(crate) fn streams(&self) -> Vec<Snapshot> {
        self.lock().open.clone()
    }

    /// The figures of those that are open and those that were, by stream.
    pub(crate) fn figures(&self) -> BTreeMap<String, Figures> {
        let streams = self.lock();
        let mut figures = streams.retired.clone();
        for snapshot in &streams.open {
            let of_stream = figures.entry(snapshot.label().to_owned()).or_default();
            of_stream.merge(&Figures::of(&snapshot.tally));
        }
        figures
    }

    /// Replaces what is told of queriers.
    pub(crate) fn set_queriers(&self, heard: Vec<Heard>) {
        *self.queriers.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    /// When which querier was heard.
    pub(crate) fn queriers(&self) -> Vec<Heard> {
        self.queriers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the publisher of a stream is silent, by stream.
    pub(crate) fn silent(&self) -> BTreeMap<String, bool> {
        let mut silent = BTreeMap::new();
        for snapshot in &self.lock().open {
            *silent.entry(snapshot.label().to_owned()).or_default() |= snapshot.is_silent;
        }
        silent
    }

    pub(crate) fn status(&self) -> Vec<Status> {
        self.lock().open.iter().map(Snapshot::status).collect()
    }

    /// Whether every group is joined.
    pub(crate) fn is_ready(&self) -> bool {
        let streams = self.lock();
        !streams.open.is_empty() && streams.open.iter().all(|stream| stream.is_joined)
    }

    pub(crate) fn on_join(&self) {
        self.joins.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn on_leave(&self) {
        self.leaves.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn on_turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// What all subscriptions do, for those who list services.
    pub(crate) fn in_a_line(&self) -> String {
        let streams = self.lock();
        let count =
            |wanted: fn(&Snapshot) -> bool| streams.open.iter().filter(|it| wanted(it)).count();
        let sum = |of: fn(&Snapshot) -> u64| streams.open.iter().map(of).sum::<u64>();
        format!(
            "groups {} (joined {}, heard {}), payload out {}, packets lost {}",
            streams.open.len(),
            count(|stream| stream.is_joined),
            count(|stream| stream.session.is_some() && !stream.is_silent),
            HumanBytes(sum(|stream| stream.tally.bytes_written)),
            sum(|stream| stream.tally.stats.packets_lost()),
        )
    }

    pub(crate) fn on_foreign_feedback(&self) {
        self.foreign_feedback.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn joins(&self) -> u64 {
        self.joins.load(Ordering::Relaxed)
    }

    pub(crate) fn leaves(&self) -> u64 {
        self.leaves.load(Ordering::Relaxed)
    }

    pub(crate) fn foreign_feedback(&self) -> u64 {
        self.foreign_feedback.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// What metrics call the stream.
    fn label(&self) -> &str {
        self.stream.as_deref().unwrap_or("unknown")
    }

    fn status(&self) -> Status {
        Status {
            group: self.group.clone(),
            interface: self.interface.clone(),
            output: self.output.clone(),
            stream: self.stream.clone(),
            session: self.session.clone(),
            joined: self.is_joined,
            received_bytes: self.tally.received_bytes,
            delivered_bytes: self.tally.bytes_written,
            lost_packets: self.tally.stats.packets_lost(),
            repaired_packets: self.tally.stats.packets_mended(),
            kernel_drops: self.tally.kernel_drops,
        }
    }
}
