//! The receive thread: one thread owns all sockets and receivers.
//!
//! Sockets become readable, time passes, others join and leave: each is a turn. A turn reads what
//! came, lets the receivers do what is due, sends what they say, and hands on what is in order. It
//! never waits for an output.

mod admitted;
mod commands;
mod deadlines;
mod feedback;
mod links;
mod lull;
mod reading;
mod step;
mod trickle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver as Commands;
use std::time::Duration;

use anyhow::Context;
use host::clock::Clock;
use host::poller::{Events, Interest, Poller, Token};
use host::shutdown::Shutdown;
use proto::receiver::Delivered;
use proto::wire::ByeReason;
use proto::{ByteCount, Timestamp};

use crate::admission::Notice;
use crate::config::SubscriptionConfig;
use crate::output::{Crew, OutputSpec, Sessions};
use crate::progress::ProgressLine;
use crate::record::{Record, Records};
use crate::snapshot::Published;
use crate::socket::{Batch, Buffer};
use crate::subscription::{Prepared, SubscribeError, Subscription};
use crate::summary::{Ended, StreamSummary, Summary};
pub(crate) use admitted::Awaited;
pub(crate) use commands::{Answer, Command};
use deadlines::Deadlines;
use feedback::FeedbackSockets;
use links::Links;
use lull::Lull;
use trickle::Trickle;

/// All that the receive thread owns.
pub(crate) struct ReceiveThread {
    clock: Clock,
    poller: Poller,
    crew: Crew,
    events: Events,
    batch: Batch,
    subscriptions: BTreeMap<u32, Subscription>,
    next_id: u32,
    /// Those that something happened to in this turn.
    touched: Vec<u32>,
    /// Memory for what became ready.
    ready: Vec<Token>,
    deadlines: Deadlines,
    feedback: FeedbackSockets,
    links: Links,
    commands: Commands<Command>,
    shutdown: Shutdown,
    /// When all is left.
    leave_at: Option<Timestamp>,
    /// Left, with an output that is still writing.
    closing: Vec<(Subscription, Ended)>,
    /// When the outputs have had time enough.
    give_up_at: Option<Timestamp>,
    /// The limit of the receive buffer is the same for all, and so is the remedy.
    is_clamp_told: bool,
    /// The last one was told to leave: others may be joined.
    is_waiting: bool,
    streams: Vec<StreamSummary>,
    /// Comparisons that a publisher asks for.
    invited: Vec<SubscriptionConfig>,
    awaited: Awaited,
    records: Records,
    progress: ProgressLine,
    published: Arc<Published>,
    publish_at: Timestamp,
    progress_at: Timestamp,
    is_news: bool,
    spins: bool,
    /// Whoever waits for what is received is on this thread.
    is_direct: bool,
    /// The group whose socket is read without asking the poller, which does not know it meanwhile.
    at_socket: Option<u32>,
    looks_elsewhere_at: Timestamp,
    /// When drops are read again, while datagrams come alone.
    drops_at: Timestamp,
    lull: Lull,
    trickle: Trickle,
    /// What was handed to the program past the ring, and of which subscription, until it is taken.
    handed_over: Option<(u32, Delivered)>,
    /// The subscription whose datagram was read alone, until it is counted.
    uncounted: Option<u32>,
    /// Something was handed out, and what else follows from it is to be done.
    is_behind: bool,
}

/// What a [`ReceiveThread`] is made of.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) poller: Poller,
    pub(crate) crew: Crew,
    pub(crate) commands: Commands<Command>,
    pub(crate) awaited: Awaited,
    pub(crate) shutdown: Shutdown,
    pub(crate) records: Records,
    pub(crate) progress: ProgressLine,
    pub(crate) published: Arc<Published>,
    pub(crate) run_for: Option<Duration>,
    /// Never sleeps.
    pub(crate) spins: bool,
}

impl ReceiveThread {
    /// Joins everything in `prepared`, or nothing.
    pub(crate) fn new(parts: Parts, prepared: Vec<Prepared>) -> anyhow::Result<Self> {
        let now = parts.clock.now();
        let links = Links::watch(&parts.poller).context("interfaces cannot be watched")?;
        let mut subscriber = Self {
            events: Events::with_capacity(EVENTS),
            batch: Batch::new(),
            subscriptions: BTreeMap::new(),
            next_id: 0,
            touched: Vec::new(),
            ready: Vec::new(),
            deadlines: Deadlines::default(),
            feedback: FeedbackSockets::default(),
            links,
            leave_at: parts.run_for.map(|run_for| now.after(run_for)),
            closing: Vec::new(),
            give_up_at: None,
            is_clamp_told: false,
            is_waiting: false,
            streams: Vec::new(),
            invited: Vec::new(),
            awaited: parts.awaited,
            publish_at: now,
            progress_at: now.after(PROGRESS_INTERVAL),
            is_news: true,
            spins: parts.spins,
            is_direct: false,
            at_socket: None,
            looks_elsewhere_at: now,
            drops_at: now,
            lull: Lull::default(),
            trickle: Trickle::default(),
            handed_over: None,
            uncounted: None,
            is_behind: false,
            clock: parts.clock,
            poller: parts.poller,
            crew: parts.crew,
            commands: parts.commands,
            shutdown: parts.shutdown,
            records: parts.records,
            progress: parts.progress,
            published: parts.published,
        };
        for prepared in prepared {
            subscriber.join(prepared, now)?;
        }
        Ok(subscriber)
    }

    /// Whoever waits for what is received does so on this thread.
    pub(crate) fn directly(self) -> Self {
        Self { is_direct: true, ..self }
    }

    fn turn(&mut self, now: Timestamp) {
        self.take_commands(now);
        self.look_at_links(now);
        if self.shutdown.is_requested() {
            self.leave_all(&Ended::Interrupted, now);
        } else if self.leave_at.is_some_and(|at| at <= now) {
            self.leave_all(&Ended::TimeUp, now);
        }
        let mut due = std::mem::take(&mut self.touched);
        self.deadlines.take_due(now, &mut due);
        due.sort_unstable();
        due.dedup();
        for id in due.drain(..) {
            self.serve(id, now);
        }
        self.touched = due;
        self.accept_invitations(now);
        self.reap(now);
        self.publish(now);
    }

    fn accept_invitations(&mut self, now: Timestamp) {
        for invitation in std::mem::take(&mut self.invited) {
            let endpoint = invitation.endpoint.clone();
            let prepared = Prepared::new(invitation, self.crew.clone());
            if let Err(error) = prepared.and_then(|prepared| self.join(prepared, now)) {
                tracing::warn!(%endpoint, %error, "cannot take part in the comparison");
            }
        }
    }

    fn serve(&mut self, id: u32, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        self.is_news = true;
        let Some(feedback) = self.feedback.of(subscription) else { return };
        let ended = subscription.turn(now, feedback, &self.records);
        if let Some(invitation) = subscription.take_invitation() {
            self.invited.push(invitation);
        }
        if let (Some(have_epoch), Some(stream)) =
            (subscription.take_key_wanted(), subscription.config().admitted())
        {
            self.awaited.tell(Notice::KeyWanted(stream.clone(), have_epoch));
        }
        match ended {
            None => self.deadlines.set(id, subscription.deadline()),
            Some(ended) => self.leave(id, ended, now),
        }
    }

    fn join(&mut self, prepared: Prepared, now: Timestamp) -> Result<(), SubscribeError> {
        if self.subscriptions.values().any(|other| prepared.is_for(other)) {
            return Err(SubscribeError::Twice(prepared.group()));
        }
        let subscription = Subscription::join(prepared, &self.records, now)?;
        let id = self.next_id;
        self.next_id += 1;
        let failed = SubscribeError::Feedback;
        self.feedback.add(&subscription, &self.poller).map_err(failed)?;
        if let Some(socket) = subscription.socket() {
            self.is_clamp_told |= !self.is_clamp_told && warn_if_clamped(socket.buffer());
            self.poller.add(socket, group_token(id), Interest::Read).map_err(failed)?;
        }
        self.deadlines.set(id, subscription.deadline());
        self.subscriptions.insert(id, subscription);
        self.published.on_join();
        self.is_waiting = false;
        self.is_news = true;
        Ok(())
    }

    fn leave(&mut self, id: u32, ended: Ended, now: Timestamp) {
        let Some(mut subscription) = self.subscriptions.remove(&id) else { return };
        self.deadlines.remove(id);
        subscription.tell_output(&ended);
        if let Some(feedback) = self.feedback.of(&subscription) {
            subscription.leave(bye_reason(&ended), now, feedback);
        }
        let ended = told(&subscription, ended);
        let group = subscription.group();
        tracing::info!(group, reason = %ended, "left");
        self.records.write(&Record::Left { group, reason: ended.word() });
        self.published.on_leave();
        self.tell_left(subscription.config().admitted());
        self.is_waiting = ended == Ended::Left;
        self.is_news = true;
        self.closing.push((subscription, ended));
    }

    fn leave_all(&mut self, ended: &Ended, now: Timestamp) {
        let ids: Vec<u32> = self.subscriptions.keys().copied().collect();
        for id in ids {
            self.leave(id, ended.clone(), now);
        }
        self.is_waiting = false;
        self.awaited = Awaited::default();
        self.give_up_at.get_or_insert(now.after(OUTPUT_PATIENCE));
    }

    /// Takes account of those that have said good-bye and whose output has written all.
    fn reap(&mut self, now: Timestamp) {
        let (done, closing) = std::mem::take(&mut self.closing)
            .into_iter()
            .partition(|(subscription, _)| subscription.is_done());
        self.closing = closing;
        for (subscription, ended) in done {
            self.retire(subscription, ended);
        }
        for (subscription, _) in &mut self.closing {
            if let Some(feedback) = self.feedback.of(subscription) {
                subscription.say_goodbye(now, feedback);
            }
        }
    }

    fn retire(&mut self, subscription: Subscription, ended: Ended) {
        self.published.retire(&subscription.snapshot());
        // What was tried is none of what was asked for.
        if !subscription.config().is_trial {
            self.streams.push(subscription.into_summary(ended));
        }
        self.is_news = true;
    }

    fn is_done(&self, now: Timestamp) -> bool {
        let is_late = self.give_up_at.is_some_and(|at| at <= now);
        let is_empty = self.closing.is_empty() || is_late;
        self.subscriptions.values().all(|it| it.config().is_trial)
            && is_empty
            && !self.is_waiting
            && !self.awaited.is_waiting()
    }

    fn publish(&mut self, now: Timestamp) {
        self.published.on_turn();
        if self.is_news && self.publish_at <= now {
            let open = self.subscriptions.values().chain(self.closing.iter().map(|(it, _)| it));
            self.published.set(open.map(Subscription::snapshot).collect());
            self.publish_at = now.after(PUBLISH_INTERVAL);
            self.is_news = false;
        }
        if self.reports_progress() && self.progress_at <= now {
            self.progress_at = now.after(PROGRESS_INTERVAL);
            for subscription in self.subscriptions.values() {
                subscription.record_progress(&self.records);
            }
            self.progress.draw(&self.published.streams());
        }
    }

    fn reports_progress(&self) -> bool {
        self.records.is_wanted() || self.progress.is_shown()
    }

    fn deadline(&self) -> Timestamp {
        let mut deadline = self.deadlines.next().min(self.links.deadline());
        for at in [self.leave_at, self.give_up_at].into_iter().flatten() {
            deadline = deadline.min(at);
        }
        if self.is_news {
            deadline = deadline.min(self.publish_at);
        }
        if self.reports_progress() {
            deadline = deadline.min(self.progress_at);
        }
        if !self.closing.is_empty() {
            deadline = deadline.min(self.clock.now().after(REAP_INTERVAL));
        }
        deadline
    }

    /// Leaves what is still open to itself, and says what came of it all.
    pub(crate) fn finish(mut self) -> Summary {
        let closing = std::mem::take(&mut self.closing).into_iter();
        for (subscription, _) in closing.filter(|(it, _)| !it.config().is_trial) {
            let why = "its reader did not take what was left in time".to_owned();
            self.streams.push(subscription.abandon(Ended::Failed(why)));
        }
        self.progress.clear();
        self.streams.sort_by(|a, b| a.group.cmp(&b.group));
        let summary = Summary { streams: self.streams };
        self.records.finish(&summary);
        summary
    }
}

/// A file that was to be whole and is not is no success, however politely it was interrupted.
fn told(subscription: &Subscription, ended: Ended) -> Ended {
    let config = subscription.config();
    let is_file = matches!(config.output, OutputSpec::File(_));
    if ended == Ended::Interrupted && is_file && config.sessions == Sessions::Once {
        return Ended::Flawed("told to end before the stream did".to_owned());
    }
    ended
}

fn bye_reason(ended: &Ended) -> ByeReason {
    match ended {
        Ended::Complete | Ended::Flawed(_) => ByeReason::Done,
        Ended::Left | Ended::TimeUp | Ended::Interrupted | Ended::ReaderGone => ByeReason::Left,
        Ended::Silent | Ended::Failed(_) => ByeReason::Failed,
    }
}

/// True if there was something to warn of.
fn warn_if_clamped(buffer: Buffer) -> bool {
    let Some(remedy) = buffer.remedy() else { return false };
    tracing::warn!(
        wanted = %buffer.wanted,
        granted = %ByteCount(buffer.granted.0 / 2),
        "the kernel limits receive buffers, so that a burst may be lost: {remedy}"
    );
    true
}

/// Even numbers are groups, odd ones feedback sockets.
fn group_token(id: u32) -> Token {
    Token(id.wrapping_mul(2))
}

/// More are told by the next wait.
const EVENTS: usize = 64;

/// How old a figure that someone asks for may be.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long an output may take for what is left when all is over.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is seen whether an output's thread has ended and good-bye is to be said again.
const REAP_INTERVAL: Duration = Duration::from_millis(5);
