//! One stream: its input on one side, its routes on the other, its sender between them.

mod feed;
mod outgoing;
mod targets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use host::chance;
use host::clock::Clock;
use proto::config::Tuning;
use proto::seal::Key;
use proto::sender::{Outcome, Timer};
use proto::wire::{EvictReason, Name};
use proto::{Sender, SenderConfig, SessionId, StreamId, SubscriberId, Timestamp};

pub(super) use self::feed::Feed;
pub(super) use self::outgoing::Way;
use self::outgoing::{Left, Outgoing};
use super::links::Links;
use crate::config::StreamConfig;
use crate::flags::value::Digest;
use crate::report::News;
use crate::snapshot::{Count, Fare, LOSS_QUANTILES, StreamSnapshot, SubscriberRow};
use crate::socket::Socket;
use crate::tcp::{framed, is_link};

/// One stream of a publisher.
pub(crate) struct Stream {
    name: Name,
    sender: Sender,
    feed: Feed,
    outgoing: Outgoing,
    finish_timeout: Duration,
    /// When its last turn was.
    now: Timestamp,
    /// Before that there is nothing to do, if nothing happens: most of many streams have no turn.
    due: Timestamp,
    interfaces: Arc<[String]>,
    wants: Option<u32>,
    has_given_up: bool,
    /// It was removed: once it has ended, it is forgotten.
    is_leaving: bool,
    /// As of the last snapshot.
    fare: Fare,
}

/// Where and when something was heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) from: SocketAddr,
    pub(super) by: By,
    pub(super) at: Timestamp,
}

/// What something was heard by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The socket at this place.
    Socket(usize),
    /// A connection to the listener at this place.
    Listener(usize),
}

/// How a stream ended.
#[derive(Debug)]
pub(crate) struct StreamEnd {
    pub(crate) snapshot: StreamSnapshot,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) outcome: Outcome,
    pub(crate) audience: Vec<SubscriberRow>,
    /// It was ended before its input did.
    pub(crate) is_aborted: bool,
    pub(crate) failure: Option<String>,
}

impl Stream {
    pub(super) fn new(
        config: &StreamConfig,
        feed: Feed,
        ways: Vec<Way>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let sender = Sender::new(sender_config(config)?, now)
            .with_context(|| format!("stream {}", config.name))?;
        tracing::info!(stream = config.name.as_str(), session = %sender.session(), "session started");
        Ok(Self {
            name: config.name.clone(),
            sender,
            feed,
            outgoing: Outgoing::new(config, ways),
            finish_timeout: config.finish_timeout,
            now,
            due: Timestamp::ZERO,
            interfaces: config.interfaces().into(),
            wants: config.wait_for.subscribers.filter(|wanted| *wanted > 0),
            has_given_up: false,
            is_leaving: false,
            fare: Fare::default(),
        })
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// Whether it was removed.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    pub(super) fn session(&self) -> (StreamId, SessionId) {
        (self.sender.stream(), self.sender.session())
    }

    /// Takes what came in by a socket.
    pub(super) fn hear(&mut self, datagram: &mut [u8], heard: Heard) {
        self.due = Timestamp::ZERO;
        self.outgoing.on_heard(heard.from, heard.by);
        self.sender.handle_datagram(datagram, heard.from, heard.at);
    }

    /// Takes the question of someone who hears no group.
    pub(super) fn hear_knock(&mut self, datagram: &mut [u8], heard: Heard) {
        self.due = Timestamp::ZERO;
        self.outgoing.on_heard(heard.from, heard.by);
        self.sender.handle_knock(datagram, heard.from, heard.at);
    }

    /// Whether subscribers may ask for it by unicast there.
    pub(super) fn listens_at(&self, by: By) -> bool {
        self.outgoing.listens_at(by)
    }

    /// Lets go whom its connection cannot carry; gives back what it is told, framed.
    pub(super) fn let_go(&mut self, address: SocketAddr, reason: EvictReason) -> Bytes {
        self.due = Timestamp::ZERO;
        let mut last = Vec::new();
        self.sender.let_go_at(address, reason, self.now, &mut last);
        tracing::warn!(
            stream = self.name.as_str(),
            ?reason,
            "a subscriber does not take what is sent to it by TCP: let go"
        );
        framed(&last, last.len())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.has_given_up || self.sender.is_finished() && !self.outgoing.is_stuck()
    }

    /// Whether something waits to be sent: what is pushed now would not leave at once.
    pub(super) fn is_held_back(&self) -> bool {
        self.sender.unsent().0 > 0 || self.outgoing.is_stuck()
    }

    /// Takes input, does what is due, sends some; says whether there may be more to do at once.
    pub(super) fn turn(
        &mut self,
        sockets: &mut [Socket],
        links: &mut Links,
        clock: &Clock,
    ) -> bool {
        let now = clock.now();
        self.now = now;
        let before = self.feed.state();
        let has_taken = self.feed.turn(&mut self.sender, now);
        let is_fed = has_taken || self.feed.state() != before;
        if self.due > now && !is_fed && !self.outgoing.is_stuck() {
            return false;
        }
        let due = self.sender.poll_timeout().filter(|(due, _)| *due <= now);
        // Messages that waited for company leave by themselves, and the sooner for it.
        let lingers = due.is_some_and(|(_, timer)| timer == Timer::Linger);
        if due.is_some() && !lingers {
            self.sender.handle_timeout(now);
        }
        let left = self.outgoing.turn(&mut self.sender, sockets, links, (clock, now));
        if lingers && left == Left::Nothing {
            self.sender.handle_timeout(now);
        }
        // An interface that does not come back must not keep a publisher that is to end.
        let since = self.outgoing.unreachable_since().filter(|_| self.feed.is_closed());
        if since.is_some_and(|since| now.since(since) > self.finish_timeout) {
            self.outgoing.give_up();
            self.has_given_up = true;
        }
        if let Some(failure) = self.outgoing.failure() {
            self.feed.fail(&mut self.sender, failure, now);
        }
        // Where all that came has left, another turn would find nothing.
        let is_through = left == Left::All && self.feed.is_drained();
        let is_busy = (has_taken || left != Left::Nothing) && !is_through;
        self.due = if is_busy { Timestamp::ZERO } else { self.next_due() };
        is_busy
    }

    /// Sends a message, if nothing goes before it; says whether it did. What follows from it is done in the
    /// next turn, which is due then.
    pub(super) fn send_alone(
        &mut self,
        message: &[u8],
        (sockets, links): (&mut [Socket], &mut Links),
        now: Timestamp,
    ) -> bool {
        let may_leave = self.due > now && self.feed.is_idle() && !self.outgoing.is_stuck();
        if !may_leave || !self.outgoing.send_alone(message, &mut self.sender, (sockets, links), now)
        {
            return false;
        }
        self.due = Timestamp::ZERO;
        true
    }

    /// When the next turn is due.
    pub(super) fn deadline(&self) -> Timestamp {
        self.due
    }

    fn next_due(&self) -> Timestamp {
        let due = self.sender.poll_timeout().map_or(Timestamp::NEVER, |(due, _)| due);
        // While a burst is stuck the sender can do nothing, however overdue it is.
        self.outgoing.retry_at().unwrap_or(due).min(self.feed.close_by())
    }

    /// What happened, as people are told.
    pub(super) fn events(&mut self) -> impl Iterator<Item = News> + '_ {
        let events = std::iter::from_fn(|| self.sender.poll_event());
        events.filter_map(|event| News::of(&self.name, event))
    }

    /// Ends before the input does.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.due = Timestamp::ZERO;
        self.feed.end(&mut self.sender, now);
    }

    /// Ends, and is then forgotten.
    pub(super) fn leave(&mut self, now: Timestamp) {
        self.is_leaving = true;
        self.end(now);
    }

    /// Goes on as `tuning` says.
    pub(super) fn retune(&mut self, tuning: Tuning, now: Timestamp) {
        self.due = Timestamp::ZERO;
        match self.sender.retune(tuning, now) {
            Ok(()) => self.finish_timeout = tuning.finish_timeout,
            Err(error) => tracing::error!(stream = self.name.as_str(), %error, "not changed"),
        }
    }

    /// Seals it under another key from now on.
    pub(super) fn rekey(&mut self, epoch: u8, key: Key, now: Timestamp) {
        self.due = Timestamp::ZERO;
        tracing::debug!(stream = self.name.as_str(), epoch, "sealed under another key");
        self.sender.rekey(epoch, key, now);
    }

    /// Removes a subscriber.
    pub(super) fn evict(&mut self, whom: SubscriberId, reason: EvictReason, now: Timestamp) {
        self.due = Timestamp::ZERO;
        self.sender.evict(whom, reason, now);
    }

    /// Hears a subscriber again that was removed.
    pub(super) fn readmit(&mut self, whom: SubscriberId) {
        self.due = Timestamp::ZERO;
        self.sender.readmit(whom);
    }

    pub(super) fn snapshot(&mut self, tcp: Count) -> StreamSnapshot {
        self.fare = Fare::of(self.sender.audience()).at_least(&self.fare);
        let by_tcp = self.sender.members().addresses().filter(is_link).count() as u64;
        let members = self.sender.members().len() as u64;
        StreamSnapshot {
            name: self.name.clone(),
            session: self.sender.session(),
            stats: *self.sender.stats(),
            lateness: self.sender.lateness(),
            egress: *self.outgoing.egress(),
            audience: self.sender.audience_size(),
            registered: self.sender.audience().len() as u64,
            loss: LOSS_QUANTILES.map(|q| self.sender.loss_quantile(q)),
            tcp,
            members: (members.saturating_sub(by_tcp), by_tcp),
            modes: self.outgoing.modes(),
            interfaces: Arc::clone(&self.interfaces),
            wants: self.wants,
            grtt: self.sender.grtt(),
            window_packets: self.sender.window_len(),
            interleave_depth: self.sender.interleave_depth(),
            pace: self.sender.pace(),
            breaker: self.sender.breaker(),
            is_started: self.sender.is_started(),
            is_finished: self.sender.is_finished(),
            input: Arc::clone(self.feed.counters()),
            input_len: self.feed.input_len(),
            fare: self.fare.clone(),
            at_us: Clock::unix_us(),
        }
    }

    pub(super) fn into_end(mut self, tcp: Count) -> StreamEnd {
        StreamEnd {
            snapshot: self.snapshot(tcp),
            outcome: self.sender.outcome(),
            audience: self.sender.audience().rows().map(SubscriberRow::from).collect(),
            sha256: self.feed.sha256(),
            is_aborted: self.feed.is_aborted(),
            failure: self.feed.into_failure(),
        }
    }
}

fn sender_config(config: &StreamConfig) -> anyhow::Result<SenderConfig> {
    Ok(SenderConfig {
        stream: config.id(),
        session: SessionId(u64::from_be_bytes(random()?)),
        started_us: Clock::unix_us(),
        name: config.name.clone(),
        mode: config.mode,
        delivery: config.delivery,
        datagram_len: config.datagram_len,
        overhead_len: config.overhead_len,
        k: config.k,
        ahead: config.ahead,
        interleave: config.interleave,
        rate: config.rate,
        burst: config.burst,
        linger: config.linger,
        is_hashed: config.digest == Digest::Sha256,
        retain: config.retain,
        retain_for: config.retain_for,
        wait_for: config.wait_for.subscribers.unwrap_or(u32::MAX),
        wait_at_most: config.wait_for.at_most.unwrap_or(NO_LIMIT),
        finish_timeout: config.finish_timeout,
        flow: config.flow,
        heartbeat: HEARTBEAT,
        keys: config.keys.clone(),
        sign: config.sign.clone(),
        seed: random()?,
    })
}

fn random<const LEN: usize>() -> anyhow::Result<[u8; LEN]> {
    chance::bytes().context("the system gives no random numbers")
}

/// The shortest and the longest time between two heartbeats: the loss of a last packet is seen
/// within the first, a silent publisher within two of the second.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A century: for as long as it takes.
const NO_LIMIT: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
