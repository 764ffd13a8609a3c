//! The data thread: it owns all senders and sockets, and shares nothing but copies.
//!
//! A turn: what subscribers said is drained, then each stream takes input while its sender has
//! room, does what is due, and sends a few bursts. Turns follow each other while there is
//! something to do; then the thread waits for a socket, an input or the next deadline.

mod feedback;
mod links;
mod stream;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host::clock::Clock;
use host::poller::{Events, Interest, Poller, Token};
use host::shutdown::Shutdown;
use proto::Timestamp;
use tokio::sync::mpsc;

use self::feedback::Feedback;
use self::links::Links;
use self::stream::{Feed, Way};
pub(crate) use self::stream::{Stream, StreamEnd};
pub(crate) use self::turns::Turns;
use crate::config::Config;
use crate::config::route::Outlet;
use crate::input::{Handling, Input, InputCounters, Live};
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
    feedback: Feedback,
    links: Links,
    shared: Shared,
    publish_at: Timestamp,
    news: mpsc::Sender<News>,
    /// Asked for by the user.
    shutdown: Shutdown,
    is_ending: bool,
    /// Ends the input threads.
    stop_inputs: Shutdown,
}

/// Where the data thread hears of connections, and tells what it does.
pub(crate) struct Lines {
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
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
        lines: Lines,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let Lines { arrivals, shared, news } = lines;
        let (clock, poller) = (Clock::start(), Arc::new(Poller::new()?));
        shutdown.wakes(poller.waker());
        let stop_inputs = Shutdown::new();
        let mut live = Live::new(&stop_inputs);
        let mut sockets = Sockets::default();
        let listened = config.tcp_addresses();
        let mut streams = Vec::with_capacity(config.streams.len());
        for (config, input) in config.streams.iter().zip(inputs) {
            let mut ways = Vec::with_capacity(config.routes.len());
            for route in &config.routes {
                let mode = Mode::of(&route.endpoint);
                let socket = match mode {
                    Mode::Tcp => listened.iter().position(|at| *at == route.destination),
                    Mode::Multicast | Mode::Broadcast | Mode::Unicast => {
                        Some(sockets.place(&route.outlet, &poller)?)
                    }
                };
                let socket = socket.unwrap_or_default();
                ways.push(Way { socket, destination: route.destination, mode });
            }
            let counters = Arc::new(InputCounters::default());
            let (len, is_live) = (input.len, input.is_live);
            let handling = Handling { payload_len: config.payload_len(), digest: config.digest };
            let (waker, shared) = (poller.waker(), Arc::clone(&counters));
            let items = input.start(&mut live, handling, waker, shared)?;
            let feed = Feed::new(items, counters, len, is_live);
            streams.push(Stream::new(config, feed, ways, clock.now())?);
        }
        live.start()?;
        let feedback = Feedback::new(&streams);
        let links = Links::new(arrivals, streams.len());
        let sockets = sockets.open;
        let publish_at = Timestamp::ZERO;
        let is_ending = false;
        Ok(Self {
            clock,
            poller,
            sockets,
            streams,
            feedback,
            links,
            shared,
            publish_at,
            news,
            shutdown,
            is_ending,
            stop_inputs,
        })
    }

    /// Whether every stream has sent everything.
    fn is_finished(&self) -> bool {
        self.streams.iter().all(Stream::is_finished)
    }

    /// How each stream ended.
    fn into_ends(mut self) -> Vec<StreamEnd> {
        self.stop_inputs.request();
        self.publish();
        let links = self.links;
        let ends = self.streams.into_iter().enumerate();
        ends.map(|(place, stream)| stream.into_end(links.wire(place))).collect()
    }

    /// One turn; gives back when the next is due.
    fn turn(&mut self) -> Timestamp {
        let now = self.clock.now();
        self.end_if_asked(now);
        self.feedback.drain(&mut self.sockets, &mut self.streams, now);
        let mut is_busy = self.links.drain(&self.feedback, &mut self.streams, now);
        let mut next = self.publish_at;
        for stream in &mut self.streams {
            is_busy |= stream.turn(&mut self.sockets, &mut self.links, &self.clock);
            for event in stream.events() {
                tell(&self.news, event);
            }
            next = next.min(stream.deadline());
        }
        self.watch_blocked();
        if now >= self.publish_at {
            self.publish();
            self.publish_at = now.after(PUBLISH_EVERY);
        }
        if is_busy { Timestamp::ZERO } else { next }
    }

    fn end_if_asked(&mut self, now: Timestamp) {
        if self.is_ending || !self.shutdown.is_requested() {
            return;
        }
        self.is_ending = true;
        self.stop_inputs.request();
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

/// Sockets by what makes them.
#[derive(Default)]
struct Sockets {
    open: Vec<Socket>,
    places: HashMap<Outlet, usize>,
}

impl Sockets {
    /// The place of the socket for `outlet`, opened if it is not yet.
    fn place(&mut self, outlet: &Outlet, poller: &Poller) -> anyhow::Result<usize> {
        if let Some(place) = self.places.get(outlet) {
            return Ok(*place);
        }
        let place = self.open.len();
        let socket = Socket::open(outlet)?;
        tracing::debug!(interface = outlet.interface, from = ?socket.local_address(), "socket open");
        poller.add(&socket, Token(u32::try_from(place)?), Interest::Read)?;
        self.places.insert(outlet.clone(), place);
        self.open.push(socket);
        Ok(place)
    }
}

/// How fresh a copy of the counters is.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
