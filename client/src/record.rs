//! What happens, as lines of JSON for machines.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use serde_json::{Value, json};

use crate::summary::{StreamSummary, Summary};

/// One line. What each field is, docs/OPERATIONS.md says.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record<'a> {
    /// A group was joined.
    Joined { group: &'a str, interface: &'a str, output: &'a str },
    /// A group was joined again.
    Rejoined { group: &'a str, interface: &'a str, reason: &'a str },
    /// The stream comes by another way from now on: by the group, or from the fallback.
    Switched { group: &'a str, to: &'a str },
    /// A session was adopted.
    Session { group: &'a str, stream: &'a str, session: String, restart: bool, first: u64 },
    /// Once a second.
    Progress {
        group: &'a str,
        received_bytes: u64,
        delivered_bytes: u64,
        lost_packets: u64,
        repaired_packets: u64,
        kernel_drops: u64,
    },
    /// Packets that will not come.
    Gap { group: &'a str, first: u64, end: u64, packets: u64, cause: &'a str },
    /// Nothing is heard of the session.
    Silent { group: &'a str, session: String },
    /// Something came that is not believed; told once for each cause in a session.
    NotBelieved { group: &'a str, cause: String, from: SocketAddr },
    /// A stream, or any, is refused or was taken away by the publisher's admission.
    NotAdmitted { stream: Option<&'a str>, reason: &'a str },
    /// A session ended.
    Ended { group: &'a str, session: String, bytes: u64, complete: bool, sha256: Option<&'a str> },
    /// A group was left.
    Left { group: &'a str, reason: &'a str },
}

/// Writes records to stdout on a thread of its own: whoever reads them may be slow.
#[derive(Debug)]
pub(crate) struct Records {
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Records {
    /// Records that go to stdout, or nowhere.
    pub(crate) fn start(is_wanted: bool) -> io::Result<Self> {
        if !is_wanted {
            return Ok(Self { lines: None, writer: None });
        }
        let (lines, received) = sync_channel(QUEUE_LEN);
        let writer = thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || write_lines(&received))?;
        Ok(Self { lines: Some(lines), writer: Some(writer) })
    }

    /// Whether anyone wants them.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes one, unless the reader is so far behind that the queue is full.
    pub(crate) fn write(&self, record: &Record<'_>) {
        if let Some(lines) = &self.lines
            && let Ok(line) = serde_json::to_string(record)
        {
            // Full, or nobody reads: neither may hold up the network.
            drop(lines.try_send(line));
        }
    }

    /// Writes the last one, and waits until all are written.
    pub(crate) fn finish(mut self, summary: &Summary) {
        if let Some(lines) = self.lines.take() {
            // An error says that nobody reads any longer.
            drop(lines.send(summary_line(summary).to_string()));
        }
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

fn write_lines(lines: &Receiver<String>) {
    let mut stdout = io::stdout().lock();
    while let Ok(line) = lines.recv() {
        if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

/// The totals of all subscriptions, and each of them under `streams`.
fn summary_line(summary: &Summary) -> Value {
    let single = match summary.streams.as_slice() {
        [stream] => Some(stream),
        _ => None,
    };
    let mut line = json!({
        "event": "summary",
        "exit_code": summary.exit_code(),
        "complete": summary.is_complete(),
        "sha256": single.and_then(|stream| stream.sha256.as_deref()),
        "join_to_first_packet_ms": single.and_then(|stream| stream.join_to_first_packet_ms),
        "streams": summary.streams.iter().map(stream_line).collect::<Vec<_>>(),
    });
    merge(&mut line, json!(summary.totals()));
    line
}

fn stream_line(stream: &StreamSummary) -> Value {
    let missing = stream.missing.iter().map(|missing| {
        json!({
            "first": missing.range.first.0,
            "end": missing.range.end.0,
            "cause": missing.cause,
        })
    });
    let mut line = json!({
        "group": stream.group,
        "output": stream.output,
        "stream": stream.stream,
        "ended": stream.ended.word(),
        "reason": stream.ended.to_string(),
        "complete": stream.complete,
        "sha256": stream.sha256,
        "join_to_first_packet_ms": stream.join_to_first_packet_ms,
        "missing": missing.collect::<Vec<_>>(),
        "missing_is_cut": stream.missing_is_cut,
    });
    merge(&mut line, json!(stream.totals));
    line
}

fn merge(line: &mut Value, more: Value) {
    if let (Value::Object(line), Value::Object(more)) = (line, more) {
        line.extend(more);
    }
}

/// Some seconds of the worst that a stream does.
const QUEUE_LEN: usize = 10_000;
