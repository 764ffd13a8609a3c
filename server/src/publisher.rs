//! The data thread: it owns all senders and sockets, and shares nothing but copies.
//!
//! A turn: what subscribers said is drained, then each stream takes input while its sender has
//! room, does what is due, and sends a few bursts. Turns follow each other while there is
//! something to do; then the thread waits for a socket, an input or the next deadline.

mod commands;
mod feedback;
mod links;
mod stream;
mod turns;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::Context;
use host::clock::Clock;
use host::poller::{Events, Interest, Poller, Token};
use host::shutdown::Shutdown;
use proto::Timestamp;
use tokio::sync::mpsc;

pub(crate) use self::commands::{Addition, Command};
use self::feedback::Feedback;
use self::links::Links;
use self::stream::{Feed, Way};
pub(crate) use self::stream::{Stream, StreamEnd};
pub(crate) use self::turns::Turns;
use crate::config::route::{Outlet, Route};
use crate::config::{Config, StreamConfig};
use crate::input::{Handling, Input, InputCounters, Line, Live};
use crate::report::News;
use crate::snapshot::{Mode, Shared};
use crate::socket::Socket;
use crate::tcp::Arrival;

/// All streams of a process and the sockets they share.
pub(crate) struct DataThread {
    clock: Clock,
    poller: Arc<Poller>,
    sockets: Vec<Socket>,
    streams: Vec<Stream>,
    /// Some of them were removed, and have not ended yet.
    has_leaving: bool,
    /// Streams that were removed, and have ended.
    ended: Vec<StreamEnd>,
    feedback: Feedback,
    links: Links,
    /// Where subscribers connect, in the order of the listeners.
    listened: Vec<SocketAddr>,
    commands: Receiver<Command>,
    shared: Shared,
    publish_at: Timestamp,
    news: mpsc::Sender<News>,
    /// Asked for by the user.
    shutdown: Shutdown,
    is_ending: bool,
}

/// Where the data thread hears of connections and commands, and tells what it does.
pub(crate) struct Lines {
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) shared: Shared,
    pub(crate) news: mpsc::Sender<News>,
}

impl DataThread {
    /// Opens sockets, starts inputs and makes the senders.
    ///
    /// # Errors
    ///
    /// When the system refuses; the error names what.
    pub(crate) fn new(
        config: &Config,
        inputs: Vec<Input>,
        (poller, lines): (Arc<Poller>, Lines),
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let Lines { arrivals, commands, shared, news } = lines;
        shutdown.wakes(poller.waker());
        let mut data = Self {
            clock: Clock::start(),
            poller,
            sockets: Vec::new(),
            streams: Vec::with_capacity(config.streams.len()),
            has_leaving: false,
            ended: Vec::new(),
            feedback: Feedback::new(),
            links: Links::new(arrivals),
            listened: config.tcp_addresses(),
            commands,
            shared,
            publish_at: Timestamp::ZERO,
            news,
            shutdown,
            is_ending: false,
        };
        let mut live = Live::default();
        for (config, input) in config.streams.iter().zip(inputs) {
            data.open(config, input, &mut live)?;
        }
        live.start()?;
        data.feedback.know(&data.streams);
        Ok(data)
    }

    /// One more stream; its input is heard once `live` is started.
    fn open(&mut self, config: &StreamConfig, input: Input, live: &mut Live) -> anyhow::Result<()> {
        let ways = config.routes.iter().map(|route| self.way(route));
        let ways = ways.collect::<anyhow::Result<Vec<_>>>()?;
        let (len, is_live) = (input.len, input.is_live);
        let (counters, stop) = (Arc::new(InputCounters::default()), Shutdown::new());
        let line =
            Line { wake: self.poller.waker(), counters: Arc::clone(&counters), stop: stop.clone() };
        let handling = Handling { payload_len: config.payload_len(), digest: config.digest };
        let items = input.start(live, handling, line)?;
        let feed = Feed::new(items, counters, (len, is_live), stop);
        self.streams.push(Stream::new(config, feed, ways, self.clock.now())?);
        self.links.add_stream();
        Ok(())
    }

    fn way(&mut self, route: &Route) -> anyhow::Result<Way> {
        let mode = Mode::of(&route.endpoint);
        let socket = match mode {
            Mode::Tcp => self.listened.iter().position(|at| *at == route.destination),
            Mode::Multicast | Mode::Broadcast | Mode::Unicast => Some(self.socket(&route.outlet)?),
        };
        let socket = socket.with_context(|| {
            format!("nothing listens at {} yet: restart the publisher", route.endpoint)
        })?;
        Ok(Way { socket, destination: route.destination, mode })
    }

    /// The place of the socket for `outlet`, opened if it is not yet.
    fn socket(&mut self, outlet: &Outlet) -> anyhow::Result<usize> {
        if let Some(place) = self.sockets.iter().position(|socket| socket.outlet() == outlet) {
            return Ok(place);
        }
        let place = self.sockets.len();
        let socket = Socket::open(outlet)?;
        tracing::debug!(interface = outlet.interface, from = ?socket.local_address(), "socket open");
        self.poller.add(&socket, Token(u32::try_from(place)?), Interest::Read)?;
        self.sockets.push(socket);
        Ok(place)
    }

    /// Whether every stream has sent everything.
    fn is_finished(&self) -> bool {
        self.streams.iter().all(Stream::is_finished)
    }

    /// Whether what is pushed now would not leave at once: to the one stream that a library's has.
    fn is_held_back(&self) -> bool {
        self.streams.first().is_some_and(Stream::is_held_back)
    }

    /// How each stream ended.
    fn into_ends(mut self) -> Vec<StreamEnd> {
        self.publish();
        let (links, mut ended) = (self.links, self.ended);
        let ends = self.streams.into_iter().enumerate();
        ended.extend(ends.map(|(place, stream)| stream.into_end(links.wire(place))));
        ended
    }

    /// One turn; gives back when the next is due.
    fn turn(&mut self) -> Timestamp {
        let now = self.clock.now();
        self.end_if_asked(now);
        self.obey(now);
        self.feedback.drain(&mut self.sockets, &mut self.streams, now);
        let has_more = self.links.drain(&self.feedback, &mut self.streams, now);
        let next = self.turn_of_streams().min(self.publish_at);
        self.retire();
        if now >= self.publish_at {
            self.publish();
            self.publish_at = now.after(PUBLISH_EVERY);
        }
        if has_more { Timestamp::ZERO } else { next }
    }

    /// Sends a message of the only stream before anything else is done, which a turn then does; says whether
    /// it did.
    fn send_alone(&mut self, message: &[u8], now: Timestamp) -> bool {
        let [stream] = self.streams.as_mut_slice() else { return false };
        stream.send_alone(message, (&mut self.sockets, &mut self.links), now)
    }

    /// A turn of all streams, and of nothing else; gives back when their next is due.
    fn turn_of_streams(&mut self) -> Timestamp {
        let (mut is_busy, mut next) = (false, Timestamp::NEVER);
        for stream in &mut self.streams {
            is_busy |= stream.turn(&mut self.sockets, &mut self.links, &self.clock);
            for event in stream.events() {
                tell(&self.news, event);
            }
            next = next.min(stream.deadline());
        }
        self.watch_blocked();
        if is_busy { Timestamp::ZERO } else { next }
    }

    fn end_if_asked(&mut self, now: Timestamp) {
        if self.is_ending || !self.shutdown.is_requested() {
            return;
        }
        self.is_ending = true;
        self.streams.iter_mut().for_each(|stream| stream.end(now));
    }

    fn publish(&mut self) {
        let links = &self.links;
        let streams = self.streams.iter_mut().enumerate();
        let snapshots = streams.map(|(place, stream)| stream.snapshot(links.wire(place)));
        self.shared.publish(snapshots.collect());
    }

    fn watch_blocked(&self) {
        for (socket, token) in self.sockets.iter().zip(0..) {
            if socket.is_blocked
                && let Err(error) = self.poller.change(socket, Token(token), Interest::ReadWrite)
            {
                tracing::warn!(%error, "cannot wait for room in a socket");
            }
        }
    }

    fn take_note(&mut self, events: &Events) {
        for event in events.iter() {
            let socket = usize::try_from(event.token.0).ok();
            let Some(socket) = socket.and_then(|place| self.sockets.get_mut(place)) else {
                continue;
            };
            socket.is_readable |= event.readable;
            if event.writable && socket.is_blocked {
                socket.is_blocked = false;
                if let Err(error) = self.poller.change(&*socket, event.token, Interest::Read) {
                    tracing::warn!(%error, "cannot wait for feedback");
                }
            }
        }
    }
}

/// News are for people: when nobody keeps up with them, some are left out.
fn tell(to: &mpsc::Sender<News>, news: News) {
    if to.try_send(news).is_err() {
        tracing::debug!("too much happens at once: an event was left out");
    }
}

/// How fresh a copy of the counters is.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
