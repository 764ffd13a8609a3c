//! What a subscriber did, when it is over.

use std::collections::BTreeMap;
use std::fmt;

use proto::wire::Name;
use serde::Serialize;

use crate::tally::Missing;

/// What a subscriber did, over all it was subscribed to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Each subscription that there was, in the order they ended.
    pub streams: Vec<StreamSummary>,
}

/// What came of one subscription.
#[derive(Clone, Debug)]
pub struct StreamSummary {
    /// The endpoint, as a person writes it.
    pub group: String,
    /// The output, as a person writes it.
    pub output: String,
    /// The stream's name, if a session was heard.
    pub stream: Option<String>,
    /// Why it ended.
    pub ended: Ended,
    /// What was counted.
    pub totals: Totals,
    /// All of the last session is here, and proved so.
    pub complete: bool,
    /// SHA-256 of what was delivered of the last session that ended, in hex.
    pub sha256: Option<String>,
    /// From the join to the first datagram of the group, in milliseconds.
    pub join_to_first_packet_ms: Option<f64>,
    /// What is missing and why; at most a thousand ranges.
    pub missing: Vec<Missing>,
    /// Whether more ranges are missing than are listed.
    pub missing_is_cut: bool,
}

/// What was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Bytes of all datagrams received.
    pub received_bytes: u64,
    /// Datagrams received, those that were discarded included.
    pub received_datagrams: u64,
    /// Bytes of payload that the output took.
    pub delivered_bytes: u64,
    /// Packets of payload handed out.
    pub delivered_packets: u64,
    /// Packets that were missing when a later one came.
    pub missed_packets: u64,
    /// Packets given up.
    pub lost_packets: u64,
    /// Packets that were missing and came back: repaired, or recovered from parity.
    pub repaired_packets: u64,
    /// Packets that came more than once.
    pub duplicate_packets: u64,
    /// Buffers that the kernel had no room for.
    pub kernel_drops: u64,
    /// Sessions adopted.
    pub sessions: u64,
    /// Changes from the group to the fallback.
    pub switches_to_fallback: u64,
    /// Changes back to the group.
    pub switches_to_group: u64,
    /// Datagrams discarded, by reason; those that are none are left out.
    pub discarded: BTreeMap<String, u64>,
}

/// Why a subscription ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The session ended, and all of it that was asked for is here.
    Complete,
    /// The session ended with losses, or is not what the publisher says it is.
    Flawed(String),
    /// The publisher fell silent before the end.
    Silent,
    /// It was told to leave.
    Left,
    /// The time that was given is over.
    TimeUp,
    /// The program was told to end.
    Interrupted,
    /// The output's reader went.
    ReaderGone,
    /// It failed.
    Failed(String),
}

impl Summary {
    /// 0 done, 1 failed, 3 ended with losses.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let codes = self.streams.iter().map(StreamSummary::exit_code);
        // A failure outweighs a loss.
        codes.max_by_key(|code| if *code == FAILED { u8::MAX } else { *code }).unwrap_or_default()
    }

    /// All that was counted together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for stream in &self.streams {
            totals.add(&stream.totals);
        }
        totals
    }

    /// Whether every subscription has all of its last session.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.streams.is_empty() && self.streams.iter().all(|stream| stream.complete)
    }
}

impl StreamSummary {
    /// Of a stream that was asked for and not given; without a name, of all.
    pub(crate) fn refused(stream: &Name, why: &str) -> Self {
        let stream = Some(stream.as_str()).filter(|name| !name.is_empty());
        Self {
            group: stream.unwrap_or("admission").to_owned(),
            output: "nothing".to_owned(),
            stream: stream.map(str::to_owned),
            ended: Ended::Failed(why.to_owned()),
            totals: Totals::default(),
            complete: false,
            sha256: None,
            join_to_first_packet_ms: None,
            missing: Vec::new(),
            missing_is_cut: false,
        }
    }

    fn exit_code(&self) -> u8 {
        match &self.ended {
            Ended::Failed(_) => FAILED,
            Ended::Flawed(_) | Ended::Silent => WITH_LOSSES,
            Ended::Complete
            | Ended::Left
            | Ended::TimeUp
            | Ended::Interrupted
            | Ended::ReaderGone => {
                if self.totals.lost_packets > 0 {
                    WITH_LOSSES
                } else {
                    0
                }
            }
        }
    }
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.received_bytes += other.received_bytes;
        self.received_datagrams += other.received_datagrams;
        self.delivered_bytes += other.delivered_bytes;
        self.delivered_packets += other.delivered_packets;
        // What a forged announce claims has no bound.
        self.missed_packets = self.missed_packets.saturating_add(other.missed_packets);
        self.lost_packets = self.lost_packets.saturating_add(other.lost_packets);
        self.repaired_packets += other.repaired_packets;
        self.duplicate_packets += other.duplicate_packets;
        self.kernel_drops += other.kernel_drops;
        self.sessions += other.sessions;
        self.switches_to_fallback += other.switches_to_fallback;
        self.switches_to_group += other.switches_to_group;
        for (reason, count) in &other.discarded {
            *self.discarded.entry(reason.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Flawed(why) => write!(f, "not whole: {why}"),
            Self::Silent => f.write_str("the publisher fell silent before the end"),
            Self::Left => f.write_str("told to leave"),
            Self::TimeUp => f.write_str("the time given with --for is over"),
            Self::Interrupted => f.write_str("told to end"),
            Self::ReaderGone => f.write_str("the output's reader went"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl Ended {
    /// One word for machines.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Flawed(_) => "not_whole",
            Self::Silent => "silent",
            Self::Left => "left",
            Self::TimeUp => "time_up",
            Self::Interrupted => "interrupted",
            Self::ReaderGone => "reader_gone",
            Self::Failed(_) => "failed",
        }
    }
}

const FAILED: u8 = 1;
const WITH_LOSSES: u8 = 3;
