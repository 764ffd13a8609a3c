//! A network that exists only in numbers: one [`Sender`], thousands of [`Receiver`](proto::Receiver)s, virtual time.
//!
//! The same seed gives the same run. There is one event for each datagram and class of delay, not
//! one for each delivery: that is what lets thousands of receivers run in seconds.
//!
//! | you look for | open |
//! |---|---|
//! | loss, delay, reorder, duplicates | `world/link.rs` |
//! | one receiver and what it was handed | `world/listener.rs` |
//! | what a world is made of | `world/plan.rs` |
//! | what is under way | `world/event.rs` |
//! | receivers too many to be simulated one by one | `world/crowd.rs`, `world/lacking.rs` |

mod crowd;
mod event;
mod lacking;
mod link;
mod listener;
mod plan;
mod tally;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::receiver::Via;
use proto::sender::{self, Destination};
use proto::wire::{self, Datagram, Kind, Packet};
use proto::{ReceiverConfig, Sender, SenderConfig, Timestamp};

use crowd::Crowd;
use event::{Arrival, Event};
use plan::{address_of, new_sender, next_id, receiver_config, sender_config, source_address};

use link::LinkState;

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
    source: Bytes,
    pushed: usize,
    listeners: Vec<Listener>,
    by_address: BTreeMap<SocketAddr, usize>,
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
            source: Bytes::new(),
            pushed: 0,
            listeners: Vec::new(),
            by_address: BTreeMap::new(),
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
        let id = next_id(&self.plan, self.last_id + 1);
        self.last_id = id.0;
        let mut config = receiver_config(&self.plan, id, self.rng.u64(..));
        special(&mut config);
        let link = self.plan.link.for_listener(self.rng.u64(..));
        let address = address_of(number);
        self.by_address.insert(address, number);
        let ppm = i64::from(self.plan.clock_ppm) * if number.is_multiple_of(2) { 1 } else { -1 };
        self.listeners.push(Listener::new(config, link, address, ppm, self.now));
        number
    }

    /// The sender is given this much payload, and End follows it.
    pub fn publish(&mut self, bytes: usize) {
        let mut content = vec![0; bytes];
        self.rng.fill(&mut content);
        self.source = content.into();
        self.pushed = 0;
    }

    /// The sender dies without a word and starts anew, with the same source from its beginning.
    pub fn restart(&mut self) {
        self.session_count += 1;
        self.sender = new_sender(&self.plan, &self.template, self.session_count, self.now);
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

    /// Goes on until the sender has finished and nothing moves any more, or until `limit` has
    /// passed; says whether it finished.
    pub fn run(&mut self, limit: Duration) -> bool {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.is_finished() && world.events.is_empty())
    }

    /// Goes on until all was sent for the first time, then to the end as [`World::run`]; gives the
    /// audience as the sender took it to be before it began to leave.
    pub fn audience_when_sent(&mut self, limit: Duration) -> f64 {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.is_ending());
        let audience = self.sender.group_size().audience();
        self.run(limit);
        audience
    }

    /// Goes on until so many packets were sent for the first time.
    pub fn run_to_sent(&mut self, packets: u64, limit: Duration) {
        let end = self.now.after(limit);
        self.run_until(end, |world| world.sender.stats().packets_sent >= packets);
    }

    /// Goes on for `time`.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.run_until(end, |_| false);
    }

    fn run_until(&mut self, end: Timestamp, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            self.feed_sender();
            self.drive_sender();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_time() else { return done(self) };
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = self.now.max(next);
            self.deliver_due();
            self.fire_timers();
            self.hear_crowd();
        }
    }

    /// Takes what the crowd has to say by now.
    fn hear_crowd(&mut self) {
        let Some(crowd) = &mut self.crowd else { return };
        let delay = self.plan.link.delay_of(CROWD_CLASS);
        for packet in crowd.speak(self.now) {
            self.tally.on_feedback(&packet);
            let from = plan::crowd_address(packet.header.number);
            let at = self.now.after(delay);
            self.schedule(at, Arrival::Feedback { packet: Box::new(packet), from });
        }
    }

    fn next_time(&self) -> Option<Timestamp> {
        let event = self.events.peek().map(|Reverse(event)| event.at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let sender = self.sender.poll_timeout().map(|(at, _)| at);
        let crowd = self.crowd.as_ref().and_then(Crowd::due);
        [event, timer, sender, crowd].into_iter().flatten().min()
    }

    fn feed_sender(&mut self) {
        while self.pushed < self.source.len() && self.sender.has_room() {
            let end = (self.pushed + PUSH).min(self.source.len());
            let piece = self.source.slice(self.pushed..end);
            if self.sender.push(piece, self.now).is_err() {
                return;
            }
            self.pushed = end;
        }
        if self.pushed == self.source.len() {
            self.sender.close(None, false, self.now);
        }
    }

    fn drive_sender(&mut self) {
        if self.sender.poll_timeout().is_some_and(|(due, _)| due <= self.now) {
            self.sender.handle_timeout(self.now);
        }
        let mut buf = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, BURST, &mut buf) {
            for datagram in buf.chunks(transmit.segment_len) {
                self.send(transmit.destination, datagram);
            }
        }
        while let Some(event) = self.sender.poll_event() {
            self.sender_events.push(event);
        }
    }

    fn send(&mut self, destination: Destination, datagram: &[u8]) {
        let Ok(packet) = wire::decode(Datagram::copy_from_slice(datagram)) else { return };
        if self.is_muted(packet.header.kind) {
            return;
        }
        let packet = Arc::new(packet);
        match destination {
            Destination::Group => {
                if self.common.loses() {
                    self.tally.on_lost(&packet);
                    return;
                }
                for class in 0..link::CLASSES {
                    let at = self.now.after(self.plan.link.delay_of(class));
                    self.schedule(at, Arrival::Group { packet: Arc::clone(&packet), class });
                }
                if self.crowd.is_some() && crowd::is_heard(packet.header.kind) {
                    let at = self.now.after(self.plan.link.delay_of(CROWD_CLASS));
                    self.schedule(at, Arrival::Crowd { packet });
                }
            }
            Destination::Unicast(address) => {
                if let Some(&listener) = self.by_address.get(&address) {
                    let at = self.now.after(self.plan.link.delay_of(link::class_of(listener)));
                    self.schedule(at, Arrival::Unicast { packet, listener });
                }
            }
        }
    }

    fn is_muted(&mut self, kind: Kind) -> bool {
        let Some(left) = self.muted.get_mut(&kind) else { return false };
        let muted = *left > 0;
        *left = left.saturating_sub(1);
        muted
    }

    fn schedule(&mut self, at: Timestamp, what: Arrival) {
        self.event_count += 1;
        self.events.push(Reverse(Event { at, order: self.event_count, what }));
    }

    fn deliver_due(&mut self) {
        while let Some(Reverse(event)) = self.events.peek() {
            if event.at > self.now {
                return;
            }
            let Some(Reverse(event)) = self.events.pop() else { return };
            match event.what {
                Arrival::Group { packet, class } => {
                    for number in (class..self.listeners.len()).step_by(link::CLASSES) {
                        self.arrive(&packet, number, Via::Group);
                    }
                }
                Arrival::Unicast { packet, listener } => {
                    self.arrive(&packet, listener, Via::Feedback);
                }
                Arrival::One { packet, listener, via } => self.receive(&packet, listener, via),
                Arrival::Crowd { packet } => {
                    if let Some(crowd) = &mut self.crowd {
                        crowd.hear(&packet, self.now);
                    }
                }
                Arrival::Feedback { packet, from } => {
                    self.sender.handle_packet(&packet, from, self.now);
                }
            }
        }
    }

    /// What the link of one listener makes of a datagram.
    fn arrive(&mut self, packet: &Arc<Packet>, number: usize, via: Via) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        let fate = listener.link.fate();
        if fate.copies == 0 {
            self.tally.on_lost(packet);
        }
        for _ in 0..fate.copies {
            match fate.extra_delay {
                None => self.receive(packet, number, via),
                Some(extra) => {
                    let at = self.now.after(extra);
                    let packet = Arc::clone(packet);
                    self.schedule(at, Arrival::One { packet, listener: number, via });
                }
            }
        }
    }

    fn receive(&mut self, packet: &Packet, number: usize, via: Via) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        if listener.link.cut {
            return;
        }
        listener.given += 1;
        let now = listener.clock(self.now);
        listener.receiver.handle_packet(packet, via, source_address(), now);
        self.after(number);
    }

    fn fire_timers(&mut self) {
        while let Some(&(at, number)) = self.timers.first() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            if let Some(listener) = self.listeners.get_mut(number) {
                listener.armed = None;
                listener.receiver.handle_timeout(listener.clock(self.now));
            }
            self.after(number);
        }
    }

    /// Takes what a listener has to say and to hand out, and arms its timer anew.
    fn after(&mut self, number: usize) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        listener.take_delivered(&self.source, self.sender.payload_len(), self.now);
        let delay = self.plan.link.delay_of(link::class_of(number));
        let mut said = Vec::new();
        let from = listener.address;
        let now = listener.clock(self.now);
        while let Some((_, packet)) = listener.receiver.poll_packet(now) {
            listener.sent += 1;
            if !listener.link.cut {
                let copies = listener.link.feedback_copies();
                said.extend((0..copies).map(|_| Box::new(packet.clone())));
            }
        }
        let due = listener.due();
        let armed = std::mem::replace(&mut listener.armed, due);
        if armed != due {
            armed.map(|at| self.timers.remove(&(at, number)));
            due.map(|at| self.timers.insert((at, number)));
        }
        for packet in said {
            if !self.is_muted(packet.header.kind) {
                self.tally.on_feedback(&packet);
                let at = self.now.after(delay);
                self.schedule(at, Arrival::Feedback { packet, from });
            }
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
        &self.source
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
        self.listeners.iter().filter(|listener| listener.is_complete(&self.source)).count()
    }
}

/// Ethernet, IPv4 and UDP headers, in bytes.
pub const OVERHEAD: u16 = 42;

/// What the sender is given at a time.
const PUSH: usize = 64 << 10;

/// The crowd is neither among the nearest nor among the farthest.
const CROWD_CLASS: usize = 1;

/// As many datagrams as one GSO send takes.
const BURST: usize = 44;
