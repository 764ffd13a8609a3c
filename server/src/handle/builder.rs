//! What a stream of messages is told before it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use host::http::HttpAddress;
use host::interface::InterfaceSpec;
use host::shutdown::Shutdown;
use proto::wire::{Name, StreamMode};

use super::Publisher;
use crate::admission::AdmissionConfig;
use crate::config::Config;
use crate::flags::StreamFlags;
use crate::flags::target::Target;
use crate::flags::value::{Digest, Rate, WaitFor};
use crate::input::{InputConfig, Memory, Queue};
use crate::report::Summary;
use crate::run::Run;

/// Makes a [`Publisher`]. Every value can be written as on the command line and parsed:
/// `.rate("20M".parse()?)`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    flags: StreamFlags,
    metrics: Option<HttpAddress>,
    admission: Option<AdmissionConfig>,
    spin: bool,
}

impl Builder {
    pub(super) fn new(target: Target) -> Self {
        let flags = StreamFlags { to: vec![target], ..StreamFlags::default() };
        Self { flags, metrics: None, admission: None, spin: false }
    }

    /// Sends to another endpoint as well.
    pub fn to(mut self, target: Target) -> Self {
        self.flags.to.push(target);
        self
    }

    /// What subscribers call the stream; otherwise `messages`.
    pub fn name(mut self, name: Name) -> Self {
        self.flags.name = Some(name);
        self
    }

    /// Sends by this interface; must be said where there are several.
    pub fn interface(mut self, interface: InterfaceSpec) -> Self {
        self.flags.interface = Some(interface);
        self
    }

    /// Seals the stream with the key in this file: who has it not reads nothing and is not believed;
    /// otherwise it is not sealed.
    pub fn key(mut self, file: impl Into<PathBuf>) -> Self {
        self.flags.key = Some(file.into());
        self
    }

    /// Signs the stream with the identity in this file; otherwise it is not signed.
    pub fn sign(mut self, file: impl Into<PathBuf>) -> Self {
        self.flags.sign = Some(file.into());
        self
    }

    /// Lets subscribers in there, and hands them keys that change whenever one leaves; otherwise
    /// whoever hears the stream is a subscriber. Excludes [`Builder::key`].
    pub fn admission(mut self, admission: AdmissionConfig) -> Self {
        self.admission = Some(admission);
        self
    }

    /// Bits per second on the wire; otherwise as fast as the slowest subscriber takes it.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.flags.rate = Some(rate);
        self
    }

    /// What is older than this is not wanted any more, at least 1 ms; otherwise everything is.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.flags.deadline = Some(deadline);
        self
    }

    /// A message waits no longer than this for others to share its datagram; otherwise it does not
    /// wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.flags.linger = Some(linger);
        self
    }

    /// What the first message waits for; otherwise one subscriber, or two seconds.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.flags.wait_for = Some(wait_for);
        self
    }

    /// Serves a status page and Prometheus metrics here.
    pub fn metrics(mut self, address: HttpAddress) -> Self {
        self.metrics = Some(address);
        self
    }

    /// Whether the end of the stream tells the SHA-256 of all messages, so that subscribers can
    /// prove that they have them; otherwise they go by their number of bytes. It costs the sending
    /// thread, and each reader that checks it, as much again as sending: some 0.2 µs for a message
    /// of 128 bytes.
    pub fn hashed(mut self, is_hashed: bool) -> Self {
        self.flags.digest = Some(if is_hashed { Digest::Sha256 } else { Digest::None });
        self
    }

    /// The data thread never sleeps: what comes back is heard, and what is due leaves, some 20 µs
    /// sooner, for a processor of its own.
    pub fn spin(mut self, spin: bool) -> Self {
        self.spin = spin;
        self
    }

    /// Whatever else a flag of `publisher send` can say; what was said by the other methods stays.
    pub fn flags(mut self, flags: StreamFlags) -> Self {
        self.flags = self.flags.or(flags);
        self
    }

    /// Opens the sockets and announces the stream.
    ///
    /// # Errors
    ///
    /// When it cannot be done as said, or the system refuses; the error says which, and what to
    /// say instead.
    pub fn start(mut self) -> anyhow::Result<Publisher> {
        let digest = *self.flags.digest.get_or_insert(Digest::None);
        let queue = Arc::new(Queue::new(digest == Digest::Sha256));
        let lingers = self.flags.linger.is_some_and(|linger| !linger.is_zero());
        let input = (InputConfig::Queue(Arc::clone(&queue)), StreamMode::Messages);
        let config = self.config(input)?;
        let run = Run::start(&config, Shutdown::new())?;
        let turns = (!lingers).then(|| run.turns());
        let admission = run.admission();
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || run.finish())
            .context("no thread for a publisher")?;
        Ok(Publisher { queue, turns, admission, thread: Some(thread) })
    }

    /// Sends these bytes, one piece after the other, as one stream without boundaries, and waits until all
    /// was sent and every subscriber has it or was let go. Nothing is copied but to the wire, and
    /// no thread reads ahead; a digest, if [`Builder::hashed`] asks for it, is computed by the thread that sends.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`] and [`Publisher::close`].
    pub fn send_all(mut self, pieces: Vec<Bytes>) -> anyhow::Result<Summary> {
        self.flags.digest.get_or_insert(Digest::None);
        let config = self.config((InputConfig::Memory(Memory::new(pieces)), StreamMode::Bytes))?;
        Run::start(&config, Shutdown::new())?.finish()
    }

    fn config(self, input: (InputConfig, StreamMode)) -> anyhow::Result<Config> {
        let mut config = Config::of_program(self.flags, self.metrics, input)?;
        config.spin = self.spin;
        Ok(config.with_admission(self.admission)?)
    }
}
