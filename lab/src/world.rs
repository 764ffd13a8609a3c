//! A network that exists only in numbers: one [`Sender`], thousands of [`Receiver`](proto::Receiver)s, virtual time.
//!
//! The same seed gives the same run. There is one event for each datagram and class of delay, not
//! one for each delivery: that is what lets thousands of receivers run in seconds.
//!
//! | you look for | open |
//! |---|---|
//! | how it goes on | `world/course.rs` |
//! | the way of a datagram | `world/network.rs` |
//! | loss, delay, reorder, duplicates | `world/link.rs` |
//! | one receiver and what it was handed | `world/listener.rs` |
//! | what a world is made of | `world/plan.rs` |
//! | what is under way | `world/event.rs`, `world/parcel.rs` |
//! | what is published | `world/supply.rs` |
//! | who comes and goes, and what lasts for days | `world/churn.rs` |
//! | receivers too many to be simulated one by one | `world/crowd.rs`, `world/lacking.rs` |

mod churn;
mod course;
mod crowd;
mod event;
mod lacking;
mod link;
mod listener;
mod network;
mod parcel;
mod plan;
mod supply;
mod tally;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proto::receiver::Via;
use proto::sender;
use proto::wire::Kind;
use proto::{ReceiverConfig, Sender, SenderConfig, Timestamp};

use crowd::Crowd;
use event::Event;
use link::LinkState;
use plan::{address_of, new_sender, next_id, receiver_config, sender_config};
use supply::Supply;

pub use link::Link;
pub use listener::Listener;
pub use plan::Plan;
pub use tally::Tally;

/// One sender, many receivers, and the time between them.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    /// What a sender is told, but for its session.
    template: SenderConfig,
    now: Timestamp,
    sender: Sender,
    supply: Supply,
    pushed: usize,
    listeners: Vec<Listener>,
    by_address: BTreeMap<SocketAddr, usize>,
    /// Listeners that there ever were: each has an address of its own.
    joined: usize,
    last_id: u128,
    crowd: Option<Crowd>,
    events: BinaryHeap<Reverse<Event>>,
    event_count: u64,
    timers: BTreeSet<(Timestamp, usize)>,
    rng: fastrand::Rng,
    /// The next packets of this kind are lost on the sender's own cable, so many.
    muted: BTreeMap<Kind, u32>,
    tally: Tally,
    /// What lies between the sender and all of them.
    common: LinkState,
    sender_events: Vec<sender::Event>,
    session_count: u64,
    packets_sent: u64,
    /// A sealed datagram is opened where it lies.
    scratch: Vec<u8>,
}

impl World {
    /// A world in which nothing has happened yet.
    ///
    /// # Panics
    /// If the plan's rate is zero.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self::with_sender(plan, |_| {})
    }

    /// The same, with something special about the sender.
    ///
    /// # Panics
    /// If what is special cannot be sent.
    #[must_use]
    pub fn with_sender(plan: Plan, special: impl FnOnce(&mut SenderConfig)) -> Self {
        let now = Timestamp::from_secs(1);
        let rng = fastrand::Rng::with_seed(plan.seed);
        let mut template = sender_config(&plan);
        special(&mut template);
        let common = plan.link.common(plan.seed);
        let crowd = (plan.crowd > 0).then(|| Crowd::new(plan.crowd, plan.link.loss, plan.seed));
        let mut world = Self {
            sender: new_sender(&plan, &template, 1, now),
            template,
            plan,
            now,
            supply: Supply::default(),
            pushed: 0,
            listeners: Vec::new(),
            by_address: BTreeMap::new(),
            joined: 0,
            last_id: 0,
            crowd,
            events: BinaryHeap::new(),
            event_count: 0,
            timers: BTreeSet::new(),
            rng,
            muted: BTreeMap::new(),
            tally: Tally::default(),
            common,
            sender_events: Vec::new(),
            session_count: 1,
            packets_sent: 0,
            scratch: Vec::new(),
        };
        for _ in 0..world.plan.receivers {
            world.join();
        }
        world
    }

    /// Another receiver listens from now on; gives its number.
    pub fn join(&mut self) -> usize {
        self.join_with(|_| {})
    }

    /// The same, with something special about it.
    pub fn join_with(&mut self, special: impl FnOnce(&mut ReceiverConfig)) -> usize {
        let number = self.listeners.len();
        let listener = self.newcomer(number, special);
        self.listeners.push(listener);
        number
    }

    fn newcomer(&mut self, number: usize, special: impl FnOnce(&mut ReceiverConfig)) -> Listener {
        let id = next_id(&self.plan, self.last_id + 1);
        self.last_id = id.0;
        let mut config = receiver_config(&self.plan, id, self.rng.u64(..));
        config.keys.clone_from(&self.template.keys);
        special(&mut config);
        let link = self.plan.link.for_listener(self.rng.u64(..));
        let address = address_of(self.joined);
        self.joined += 1;
        self.by_address.insert(address, number);
        let ppm = i64::from(self.plan.clock_ppm) * if number.is_multiple_of(2) { 1 } else { -1 };
        Listener::new(config, link, address, ppm, self.now)
    }

    /// The sender is given this much payload, and End follows it.
    pub fn publish(&mut self, bytes: usize) {
        let mut content = vec![0; bytes];
        self.rng.fill(&mut content);
        self.supply = Supply::of(content.into());
        self.pushed = 0;
    }

    /// The sender dies without a word and starts anew, with the same source from its beginning.
    pub fn restart(&mut self) {
        self.session_count += 1;
        self.sender = new_sender(&self.plan, &self.template, self.session_count, self.now);
        self.supply.begin_again();
        self.pushed = 0;
    }

    /// The same, and by a chance of one in 2^64 it draws the same session id again.
    pub fn restart_as_the_same(&mut self) {
        let session = self.sender.session();
        self.restart();
        self.template.started_us += 1;
        let config = SenderConfig { session, ..self.template.clone() };
        if let Ok(sender) = Sender::new(config, self.now) {
            self.sender = sender;
        }
    }

    /// Another publisher that calls its session the same, and waits for nobody.
    #[must_use]
    pub fn rival(&self) -> Option<Sender> {
        let session = self.sender.session();
        let config = SenderConfig { session, wait_for: 0, ..self.template.clone() };
        Sender::new(config, self.now).ok()
    }

    /// The next `count` packets of this kind reach nobody, whichever way they go.
    pub fn lose_next(&mut self, kind: Kind, count: u32) {
        self.muted.insert(kind, count);
    }

    /// Cuts listener `number` off, or joins it again.
    pub fn set_cut(&mut self, number: usize, cut: bool) {
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.link.cut = cut;
        }
    }

    /// The output of listener `number` takes nothing any more, or takes again.
    pub fn set_stuck(&mut self, number: usize, stuck: bool) {
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.stuck = stuck;
        }
        self.after(number);
    }

    /// From now on every listener loses this share of datagrams, each on its own.
    pub fn set_loss(&mut self, loss: f64) {
        self.listeners.iter_mut().for_each(|listener| listener.link.set_loss(loss));
    }

    /// From now on the nearest listener is this far away.
    pub fn set_delay(&mut self, delay: Duration) {
        self.plan.link.delay = delay;
    }

    /// The same datagram reaches every listener of the group, from wherever it says.
    pub fn inject(&mut self, datagram: &[u8], from: SocketAddr) {
        for number in 0..self.listeners.len() {
            if let Some(listener) = self.listeners.get_mut(number) {
                let mut datagram = datagram.to_vec();
                listener.given += 1;
                let now = listener.clock(self.now);
                listener.receiver.handle_datagram(&mut datagram, Via::Group, from, now);
            }
            self.after(number);
        }
    }

    /// The sender.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// What the senders told, all sessions of them.
    #[must_use]
    pub fn sender_events(&self) -> &[sender::Event] {
        &self.sender_events
    }

    /// What is published.
    #[must_use]
    pub fn source(&self) -> &Bytes {
        self.supply.content()
    }

    /// What was counted of the world as a whole.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Everyone that listens or did.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Receivers of the crowd, and how many of them times blocks still lack something.
    #[must_use]
    pub fn crowd(&self) -> (u64, u64) {
        self.crowd.as_ref().map_or((0, 0), |crowd| (crowd.size(), crowd.lacking()))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Listeners that were handed all of the source and nothing else.
    #[must_use]
    pub fn complete(&self) -> usize {
        self.listeners.iter().filter(|listener| listener.is_complete(self.source())).count()
    }
}

/// Ethernet, IPv4 and UDP headers, in bytes.
pub const OVERHEAD: u16 = 42;

/// The crowd is neither among the nearest nor among the farthest.
const CROWD_CLASS: usize = 1;
