//! From the receiver to the output.

use proto::receiver::{Delivered, Ending, Gap, GapCause, SessionInfo};
use proto::{Delivery, SeqRange, Timestamp};

use super::Subscription;
use crate::output::{Finished, Flaw, OnFull, Sessions, Stopped};
use crate::record::{Record, Records};
use crate::summary::Ended;

impl Subscription {
    /// Hands on what is in order.
    ///
    /// While the output has no room, the stream waits in the receive window and the publisher is
    /// told by the credit; or it goes on, and the oldest of the ring goes. Says whether there was something.
    pub(super) fn deliver(&mut self, now: Timestamp, records: &Records) -> bool {
        let mut has_delivered = false;
        for _ in 0..BATCHES_LIMIT {
            let is_held = self.on_full() == OnFull::Block && !self.output.has_room();
            if self.is_over || is_held {
                break;
            }
            let is_all = self.pull(now, records);
            if !self.batch.is_empty() {
                has_delivered = true;
                self.push(records);
            }
            if is_all {
                break;
            }
        }
        has_delivered
    }

    /// Gives what is next in order to a program that has read all there was, on this thread: not by the ring.
    /// What follows it, and what is no payload, is to be handed out then.
    pub(crate) fn hand_over(&mut self, now: Timestamp, records: &Records) -> Option<Delivered> {
        self.narrate(now, records);
        if self.is_over || !self.batch.is_empty() {
            return None;
        }
        let next = self.receiver.pull(now)?;
        self.note(&next, records);
        if matches!(next, Delivered::Payload(_) | Delivered::Row(_)) {
            return Some(next);
        }
        self.take_back(next, records);
        None
    }

    /// Hands out by the ring what was not handed over.
    pub(crate) fn take_back(&mut self, next: Delivered, records: &Records) {
        self.batch.push(next);
        self.push(records);
    }

    /// Fills the batch; says whether that was all that is in order.
    fn pull(&mut self, now: Timestamp, records: &Records) -> bool {
        let mut bytes = 0;
        while bytes < BATCH_BYTES && !self.is_over {
            let Some(delivered) = self.receiver.pull(now) else { return true };
            bytes += self.note(&delivered, records);
            self.batch.push(delivered);
        }
        false
    }

    /// Takes note of what is delivered; says how many bytes it is.
    fn note(&mut self, delivered: &Delivered, records: &Records) -> usize {
        match delivered {
            Delivered::Payload(payload) => {
                self.tally.delays.add(payload.delay, payload.range.len());
                return payload.bytes.len() + 1;
            }
            Delivered::Row(row) => {
                self.tally.delays.add(row.delay, row.range.len());
                return row.len_with_lengths();
            }
            Delivered::Session(session) => self.on_session(session, records),
            Delivered::Gap(gap) => self.on_gap(gap, records),
            Delivered::End(ending) => self.on_end(ending),
        }
        0
    }

    fn push(&mut self, records: &Records) {
        if self.on_full() == OnFull::Block {
            self.output.push(&mut self.batch);
            return;
        }
        for lost in self.output.push_over(&mut self.batch) {
            self.receiver.on_ring_loss(lost.len());
            self.miss(lost, GapCause::Ring.name(), records);
        }
    }

    fn on_full(&self) -> OnFull {
        let default = || self.config.output.default_on_full(self.is_timely);
        self.config.on_full.unwrap_or_else(default)
    }

    fn on_session(&mut self, session: &SessionInfo, records: &Records) {
        self.is_timely = matches!(session.delivery, Delivery::Timely(_));
        let wanted = self.config.start == proto::config::Start::Oldest;
        if let Some(missed) = session.missed.filter(|missed| wanted && !missed.is_empty()) {
            self.miss(missed, "before_join", records);
        }
        self.session = Some(session.clone());
    }

    fn on_gap(&mut self, gap: &Gap, records: &Records) {
        self.miss(gap.range, gap.cause.name(), records);
    }

    fn on_end(&mut self, ending: &Ending) {
        tracing::info!(
            group = self.group,
            packets = ending.lead.0,
            bytes = ending.bytes,
            lost = ending.lost_packets,
            aborted = ending.aborted,
            "the publisher ended the session"
        );
        self.is_over = self.config.sessions == Sessions::Once;
    }

    fn miss(&mut self, range: SeqRange, cause: &'static str, records: &Records) {
        let (packets, group) = (range.len(), &self.group);
        // A line for each of a thousand gaps hides every other line.
        if self.missing.ranges().len() < LOUD_GAPS {
            tracing::warn!(group, packets = %range, count = packets, cause, "packets are missing");
        } else {
            tracing::debug!(group, packets = %range, count = packets, cause, "packets are missing");
        }
        self.missing.add(range, cause);
        let (first, end) = (range.first.0, range.end.0);
        records.write(&Record::Gap { group, first, end, packets, cause });
    }

    /// Whether, and why, the subscription is at its end.
    pub(super) fn ended(&mut self, now: Timestamp, records: &Records) -> Option<Ended> {
        let progress = self.output.progress();
        if progress.sessions != self.sessions_written {
            self.sessions_written = progress.sessions;
            if let Some(finished) = &progress.finished {
                self.on_written(finished, records);
            }
        }
        if let Some(stopped) = progress.stopped {
            return Some(match stopped {
                Stopped::ReaderGone => Ended::ReaderGone,
                Stopped::Failed(why) => Ended::Failed(why),
            });
        }
        if self.is_over && self.sessions_written > 0 {
            return Some(self.flaw.take().map_or(Ended::Complete, Ended::Flawed));
        }
        if self.is_idle_trial(now) {
            return Some(Ended::Silent);
        }
        if let Some(ended) = self.gives_up(now) {
            return Some(ended);
        }
        let timeout = self.config.defaults.silent_timeout;
        let is_silent = self.silent_since.is_some_and(|since| since.after(timeout) <= now);
        (is_silent && self.config.sessions == Sessions::Once).then_some(Ended::Silent)
    }

    fn on_written(&mut self, finished: &Finished, records: &Records) {
        records.write(&Record::Ended {
            group: &self.group,
            session: finished.session.to_string(),
            bytes: finished.bytes,
            complete: finished.is_whole(),
            sha256: finished.sha256.map(|sha256| hex(&sha256)).as_deref(),
        });
        let asked_live = self.config.start == proto::config::Start::Live;
        match &finished.flaw {
            // Whoever asked for what is live did not ask for what was before.
            Some(Flaw::BeganLate) if asked_live => {}
            Some(flaw) => self.flaw = Some(flaw.to_string()),
            None => {}
        }
    }
}

/// Lower case, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Handed over at once: long enough that the lock is nothing, short enough for a small ring.
const BATCH_BYTES: usize = 256 * 1024;

/// One turn must end, so that the socket is read again.
const BATCHES_LIMIT: usize = 16;

/// Gaps that are a warning each; the others are in the summary.
const LOUD_GAPS: usize = 20;
