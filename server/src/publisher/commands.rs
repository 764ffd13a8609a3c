//! What a running publisher is told: streams that come, go, and change.

use anyhow::ensure;
use proto::config::Tuning;
use proto::seal::Key;
use proto::wire::{EvictReason, Name};
use proto::{SubscriberId, Timestamp};
use tokio::sync::oneshot;

use super::{DataThread, Stream};
use crate::config::StreamConfig;
use crate::input::{Input, Live};

/// What the data thread is to do beside sending.
pub(crate) enum Command {
    /// One more stream.
    Add(Box<Addition>),
    /// The stream of this name ends, as all do when the publisher ends.
    Remove(Name),
    /// The stream of this name goes on so.
    Retune(Name, Tuning),
    /// The stream of this name is sealed under the key of this epoch from now on.
    Rekey(Name, u8, Key),
    /// A subscriber of the stream of this name is removed.
    Evict(Name, SubscriberId, EvictReason),
    /// A subscriber that was removed from the stream of this name is heard again.
    Readmit(Name, SubscriberId),
}

/// One more stream.
pub(crate) struct Addition {
    pub(crate) config: StreamConfig,
    pub(crate) input: Input,
    /// Told whether it was started.
    pub(crate) answer: oneshot::Sender<anyhow::Result<()>>,
}

impl DataThread {
    /// Does what it was told to.
    pub(super) fn obey(&mut self, now: Timestamp) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(addition) => {
                    let Addition { config, input, answer } = *addition;
                    // Nobody waits for the answer only if the control thread has failed.
                    drop(answer.send(self.add(&config, input)));
                }
                Command::Remove(name) => {
                    self.named(&name, |stream| stream.leave(now));
                    self.has_leaving = true;
                }
                Command::Retune(name, tuning) => {
                    self.named(&name, |stream| stream.retune(tuning, now));
                }
                Command::Rekey(name, epoch, key) => {
                    self.named(&name, |stream| stream.rekey(epoch, key, now));
                }
                Command::Evict(name, subscriber, reason) => {
                    self.named(&name, |stream| stream.evict(subscriber, reason, now));
                }
                Command::Readmit(name, subscriber) => {
                    self.named(&name, |stream| stream.readmit(subscriber));
                }
            }
        }
    }

    /// Takes account of streams that were removed and have ended.
    pub(super) fn retire(&mut self) {
        if !self.has_leaving {
            return;
        }
        let is_over = |stream: &Stream| stream.is_leaving() && stream.is_finished();
        while let Some(place) = self.streams.iter().position(is_over) {
            let stream = self.streams.remove(place);
            let end = stream.into_end(self.links.forget_stream(place));
            tracing::info!(stream = end.snapshot.name.as_str(), "removed, and ended");
            self.ended.push(end);
            self.feedback.know(&self.streams);
        }
        self.has_leaving = self.streams.iter().any(Stream::is_leaving);
    }

    fn add(&mut self, config: &StreamConfig, input: Input) -> anyhow::Result<()> {
        ensure!(!self.is_ending, "the publisher is ending");
        let is_taken = self.streams.iter().any(|stream| *stream.name() == config.name);
        ensure!(!is_taken, "the one of that name has not ended yet: reload again when it has");
        let (mut live, place) = (Live::default(), self.streams.len());
        self.open(config, input, &mut live)?;
        if let Err(error) = live.start() {
            self.streams.truncate(place);
            self.links.forget_stream(place);
            return Err(error.into());
        }
        self.feedback.know(&self.streams);
        Ok(())
    }

    fn named(&mut self, name: &Name, act: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.name() == name) {
            act(stream);
        }
    }
}
