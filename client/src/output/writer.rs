//! Takes batches out of an output's ring and writes them, a batch in each turn.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proto::receiver::Delivered;

use super::ring::{Ring, Taken, cost};
use super::sink::{Sink, SinkError};
use super::verdict::Verdict;
use super::{Progress, Stopped};

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Another one.
    GoesOn,
    /// Nothing, until the ring has something again.
    Rests,
    /// Nothing ever.
    Ended,
}

pub(super) struct Writer {
    sink: Box<dyn Sink>,
    ring: Arc<Ring>,
    progress: Arc<Mutex<Progress>>,
    verdict: Verdict,
    /// What was taken out of the ring.
    items: VecDeque<Delivered>,
    /// What is written is gone.
    is_nowhere: bool,
    /// A run of payloads, to be written at once…
    run: Vec<Bytes>,
    /// …and what it takes of the ring until it is.
    run_cost: usize,
}

impl Writer {
    pub(super) fn new(
        sink: Box<dyn Sink>,
        ring: Arc<Ring>,
        progress: Arc<Mutex<Progress>>,
        is_nowhere: bool,
    ) -> Self {
        Self {
            sink,
            ring,
            progress,
            is_nowhere,
            verdict: Verdict::new(true),
            items: VecDeque::new(),
            run: Vec::new(),
            run_cost: 0,
        }
    }

    /// Whether a turn takes less than to have another thread do it.
    pub(super) fn is_quick(&self) -> bool {
        self.is_nowhere && !self.verdict.hashes()
    }

    /// Writes a batch, if there is one; the end, if it has come or the sink takes no more.
    pub(super) fn turn(&mut self) -> Turn {
        let result = match self.ring.take(&mut self.items) {
            Taken::Nothing => return Turn::Rests,
            Taken::Some => self.write_items(),
            Taken::All => return self.end(Ok(())),
        };
        if result.is_err() { self.end(result) } else { Turn::GoesOn }
    }

    fn end(&mut self, result: Result<(), SinkError>) -> Turn {
        let flushed = if result.is_ok() { self.flush() } else { Ok(()) };
        let closed = self.sink.close();
        if let Err(error) = result.and(flushed).and(closed) {
            self.stop(&error);
        }
        Turn::Ended
    }

    fn write_items(&mut self) -> Result<(), SinkError> {
        while let Some(item) = self.items.pop_front() {
            let cost = cost(&item);
            match item {
                Delivered::Payload(payload) => self.add(payload.bytes, cost)?,
                Delivered::Row(row) => {
                    for message in row {
                        self.add(message, 0)?;
                    }
                    // Room is given back when all of the row is written.
                    self.run_cost += cost;
                }
                mark @ (Delivered::Session(_) | Delivered::Gap(_) | Delivered::End(_)) => {
                    self.run_cost += cost;
                    self.write_run()?;
                    self.mark(&mark)?;
                }
            }
        }
        self.write_run()
    }

    fn add(&mut self, payload: Bytes, cost: usize) -> Result<(), SinkError> {
        self.run.push(payload);
        self.run_cost += cost;
        let is_full = self.run.len() >= RUN_LEN || self.run_cost >= RUN_BYTES;
        if is_full { self.write_run() } else { Ok(()) }
    }

    fn write_run(&mut self) -> Result<(), SinkError> {
        let mut written = 0;
        let result = self.sink.write(&self.run, &mut written);
        if result.is_ok() {
            self.verdict.add(&self.run);
        }
        self.run.clear();
        self.progress(|progress| progress.bytes += written);
        self.ring.release(std::mem::take(&mut self.run_cost));
        result
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let mut written = 0;
        let result = self.sink.flush(&mut written);
        self.progress(|progress| progress.bytes += written);
        result
    }

    /// Takes what is not payload.
    fn mark(&mut self, item: &Delivered) -> Result<(), SinkError> {
        match item {
            Delivered::Payload(_) | Delivered::Row(_) => {}
            Delivered::Session(session) => {
                self.flush()?;
                self.sink.begin(session)?;
                self.verdict.begin(session);
            }
            Delivered::Gap(gap) => self.verdict.lose(gap.range.len()),
            Delivered::End(ending) => {
                self.flush()?;
                let finished = self.verdict.end(ending);
                self.sink.end(finished.is_whole())?;
                if let Some(flaw) = &finished.flaw {
                    tracing::warn!(output = self.sink.place(), %flaw, "not the whole stream");
                }
                self.progress(|progress| {
                    progress.sessions += 1;
                    progress.finished = Some(finished);
                });
                self.ring.signal();
            }
        }
        Ok(())
    }

    fn stop(&self, error: &SinkError) {
        let stopped = match error {
            SinkError::ReaderGone => Stopped::ReaderGone,
            SinkError::Io(error) => {
                let place = self.sink.place();
                let bytes = self.progress(|progress| progress.bytes);
                Stopped::Failed(format!(
                    "cannot write {place}: {error}; {bytes} bytes were written and are kept"
                ))
            }
        };
        self.progress(|progress| progress.stopped = Some(stopped));
    }

    fn progress<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Payloads of one call to the system: as many as it takes at most.
const RUN_LEN: usize = 1_024;

/// Room is given back at least this often.
const RUN_BYTES: usize = 512 * 1024;
