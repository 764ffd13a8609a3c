//! What is told of a run: news as it goes on, a summary at its end.

use std::sync::atomic::Ordering;

use proto::SubscriberId;
use proto::sender::{BreakerState, Event};
use proto::wire::{ByeReason, Kind, Name};
use serde::Serialize;

use crate::publisher::StreamEnd;
use crate::snapshot::{Count, Egress, StreamSnapshot, SubscriberRow};

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Talk {
    /// One JSON object a line, on stdout.
    Json,
    /// One line on the terminal that changes.
    Line,
    /// Not at all; the log says what matters.
    #[default]
    Silent,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// Metrics are served.
    Serving {
        /// The address.
        metrics: String,
    },
    /// The config file was read again, and is followed.
    Reloaded {
        /// Streams that were started.
        added: Vec<String>,
        /// Streams that are ending.
        removed: Vec<String>,
        /// Streams that go on in another way.
        changed: Vec<String>,
        /// What stays as it was, a sentence each.
        refused: Vec<String>,
    },
    /// The wait for subscribers is over: data flows.
    Started {
        /// The stream.
        stream: String,
        /// Subscribers at this moment.
        audience: u64,
    },
    /// A subscriber proved its address.
    SubscriberJoined(Who),
    /// A subscriber was admitted to a stream, and given its key.
    SubscriberAdmitted(Who),
    /// A subscriber was removed from a stream: its key changes.
    SubscriberRemoved {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Why.
        reason: &'static str,
    },
    /// The next key of a stream was handed out.
    KeyChanged {
        /// The stream.
        stream: String,
        /// Subscribers that were told.
        subscribers: u64,
    },
    /// A subscriber said goodbye.
    SubscriberLeft {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Why.
        reason: &'static str,
    },
    /// A subscriber said nothing for too long: the stream no longer waits for it.
    SubscriberSilent(Who),
    /// A subscriber holds the stream back or is quiet: if it goes on, it may be let go.
    SubscriberSlow(Who),
    /// A subscriber was let go: the stream no longer waits for it.
    SubscriberEvicted {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Why.
        reason: &'static str,
    },
    /// A subscriber that was silent, or let go, is there again.
    SubscriberBack(Who),
    /// A subscriber reached the end.
    SubscriberFinished {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Packets it had to give up.
        lost: u64,
    },
    /// A late joiner is given what it missed.
    CatchUp {
        /// Who.
        #[serde(flatten)]
        who: Who,
        /// Packets it is given.
        packets: u64,
    },
    /// Something came that is not believed; told once for each cause.
    NotBelieved {
        /// The stream.
        stream: String,
        /// Why.
        cause: String,
        /// Where it came from.
        from: String,
    },
    /// The circuit breaker opened or closed by a step.
    Breaker {
        /// The stream.
        stream: String,
        /// What it does now.
        state: &'static str,
        /// Whether that is more than nothing.
        open: bool,
    },
}

/// A subscriber of a stream.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// The stream.
    pub stream: String,
    /// What a person calls the subscriber.
    pub subscriber: String,
    /// Its id.
    pub id: String,
}

impl News {
    /// What is told of a sender's event; not everything is.
    pub(crate) fn of(stream: &Name, event: Event) -> Option<Self> {
        let who = |id: SubscriberId, name: Name| Who {
            stream: stream.to_string(),
            subscriber: name.to_string(),
            id: id.to_string(),
        };
        Some(match event {
            Event::Started { audience } => Self::Started { stream: stream.to_string(), audience },
            Event::SubscriberJoined { subscriber, name, address } => {
                tracing::debug!(%stream, subscriber = %name, %address, "address proven");
                Self::SubscriberJoined(who(subscriber, name))
            }
            Event::SubscriberLeft { subscriber, name, reason } => {
                Self::SubscriberLeft { who: who(subscriber, name), reason: bye(reason) }
            }
            Event::SubscriberSilent { subscriber, name } => {
                Self::SubscriberSilent(who(subscriber, name))
            }
            Event::SubscriberSlow { subscriber, name } => {
                Self::SubscriberSlow(who(subscriber, name))
            }
            Event::SubscriberEvicted { subscriber, name, reason } => {
                Self::SubscriberEvicted { who: who(subscriber, name), reason: reason.name() }
            }
            Event::NotBelieved { cause, from } => Self::NotBelieved {
                stream: stream.to_string(),
                cause: cause.to_string(),
                from: from.to_string(),
            },
            Event::Breaker { state } => Self::Breaker {
                stream: stream.to_string(),
                state: state.name(),
                open: state != BreakerState::Closed,
            },
            Event::SubscriberBack { subscriber, name } => {
                Self::SubscriberBack(who(subscriber, name))
            }
            Event::SubscriberFinished { subscriber, name, given_up } => {
                Self::SubscriberFinished { who: who(subscriber, name), lost: given_up }
            }
            Event::CatchUp { subscriber, name, from, to } => {
                Self::CatchUp { who: who(subscriber, name), packets: to.since(from) }
            }
            // The summary tells how it ended.
            Event::Finished(_) | _ => return None,
        })
    }
}

/// How a stream is getting on: told once a second.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    event: &'static str,
    stream: String,
    source_bytes: u64,
    source_len: Option<u64>,
    payload_bytes: u64,
    egress_bytes: u64,
    egress_datagrams: u64,
    repair_bytes: u64,
    unicast_equivalent_bytes: u64,
    audience: u64,
    started: bool,
}

impl From<&StreamSnapshot> for Progress {
    fn from(stream: &StreamSnapshot) -> Self {
        let total = stream.on_wire();
        Self {
            event: "progress",
            stream: stream.name.to_string(),
            source_bytes: stream.input.bytes.load(Ordering::Relaxed),
            source_len: stream.input_len,
            payload_bytes: stream.stats.payload_bytes,
            egress_bytes: total.bytes,
            egress_datagrams: total.datagrams,
            repair_bytes: repairs(&stream.egress).bytes,
            unicast_equivalent_bytes: stream.stats.unicast_equivalent_bytes,
            audience: stream.audience,
            started: stream.is_started,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Each stream, in the order of the config.
    pub streams: Vec<StreamSummary>,
}

/// How a stream ended.
#[derive(Clone, Debug, Serialize)]
pub struct StreamSummary {
    /// Always `summary`.
    pub event: &'static str,
    /// The stream.
    pub stream: String,
    /// The session.
    pub session: String,
    /// Bytes that were read from the input.
    pub source_bytes: u64,
    /// SHA-256 of all of them, in hexadecimal; none if the input was not read to its
    /// end, or is not hashed.
    pub source_sha256: Option<String>,
    /// Bytes that the sender took.
    pub payload_bytes: u64,
    /// Bytes on the wire, as sent by the sockets: Ethernet, IP and UDP headers included.
    pub egress_bytes: u64,
    /// Datagrams sent.
    pub egress_datagrams: u64,
    /// The same by kind; kinds that were not sent are left out.
    pub sent: Vec<KindSummary>,
    /// Bytes of repairs, parity and catch-up, of those on the wire.
    pub repair_bytes: u64,
    /// What unicast to the same audience would have cost, in bytes on the wire.
    pub unicast_equivalent_bytes: u64,
    /// The same as a multiple of what was sent; none if nothing was.
    pub ratio: Option<f64>,
    /// Subscribers, those that left included.
    pub audience: Vec<SubscriberRow>,
    /// Names of those that have not everything.
    pub unfinished: Vec<String>,
    /// How many more listened, by estimate: known to nobody by name, and asking for nothing at the
    /// end.
    pub others: u64,
    /// Whether it was stopped before its input ended.
    pub aborted: bool,
    /// What went wrong, if something did.
    pub failure: Option<String>,
}

/// What was sent of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct KindSummary {
    /// The way.
    pub mode: &'static str,
    /// Whether it was for the group or for one subscriber.
    pub to: &'static str,
    /// The kind of packet.
    pub kind: &'static str,
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Summary {
    pub(crate) fn new(ends: Vec<StreamEnd>) -> Self {
        Self { streams: ends.into_iter().map(StreamSummary::from).collect() }
    }

    /// Whether every stream was sent to its end and everyone known has everything.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.streams.iter().all(|stream| {
            stream.unfinished.is_empty() && !stream.aborted && stream.failure.is_none()
        })
    }

    /// What went wrong, by stream.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let failed = |stream: &StreamSummary| stream.failure.is_some();
        self.streams
            .iter()
            .filter(move |stream| failed(stream))
            .map(|stream| (stream.stream.as_str(), stream.failure.as_deref().unwrap_or_default()))
    }
}

impl From<StreamEnd> for StreamSummary {
    fn from(end: StreamEnd) -> Self {
        let StreamEnd { snapshot, sha256, outcome, audience, is_aborted, failure } = end;
        let total = snapshot.on_wire();
        let unicast = snapshot.stats.unicast_equivalent_bytes;
        Self {
            event: "summary",
            stream: snapshot.name.to_string(),
            session: snapshot.session.to_string(),
            source_bytes: snapshot.input.bytes.load(Ordering::Relaxed),
            source_sha256: sha256.map(|hash| hex(&hash)),
            payload_bytes: snapshot.stats.payload_bytes,
            egress_bytes: total.bytes,
            egress_datagrams: total.datagrams,
            sent: kinds(&snapshot.egress),
            repair_bytes: repairs(&snapshot.egress).bytes,
            unicast_equivalent_bytes: unicast,
            ratio: ratio(unicast, total.bytes),
            audience,
            unfinished: outcome.unfinished.iter().map(|one| one.name.to_string()).collect(),
            others: outcome.others,
            aborted: is_aborted && failure.is_none(),
            failure,
        }
    }
}

pub(crate) fn kinds(egress: &Egress) -> Vec<KindSummary> {
    let sent = egress.sent_by_kind().filter(|(.., count)| count.datagrams > 0);
    let rows = sent.map(|(mode, to, kind, count)| KindSummary {
        mode: mode.name(),
        to: to.name(),
        kind: kind.name(),
        datagrams: count.datagrams,
        bytes: count.bytes,
    });
    rows.collect()
}

pub(crate) fn repairs(egress: &Egress) -> Count {
    egress.sum(|kind| matches!(kind, Kind::Repair | Kind::Parity))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(unicast: u64, egress: u64) -> Option<f64> {
    (egress > 0).then(|| unicast as f64 / egress as f64)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bye(reason: ByeReason) -> &'static str {
    match reason {
        ByeReason::Done => "done",
        ByeReason::Left => "left",
        ByeReason::Failed => "failed",
    }
}
