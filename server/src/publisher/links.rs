//! The connections of all streams, on the data thread.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use proto::Timestamp;
use proto::wire::EvictReason;
use tokio::sync::mpsc;

use super::feedback::Feedback;
use super::stream::{By, Heard, Stream};
use crate::snapshot::Count;
use crate::tcp::link::Link;
use crate::tcp::{self, Arrival};

/// Connections by what senders know them by.
#[derive(Debug)]
pub(super) struct Links {
    arrivals: mpsc::Receiver<Arrival>,
    open: HashMap<SocketAddr, Open>,
    /// What those that were closed had sent, by stream.
    closed: Vec<Count>,
    /// Those without room for what was to be sent.
    full: Vec<SocketAddr>,
}

/// A connection, and the stream that it speaks of.
#[derive(Debug)]
struct Open {
    link: Link,
    stream: Option<usize>,
}

impl Links {
    pub(super) fn new(arrivals: mpsc::Receiver<Arrival>) -> Self {
        Self { arrivals, open: HashMap::new(), closed: Vec::new(), full: Vec::new() }
    }

    /// One more stream, behind the others.
    pub(super) fn add_stream(&mut self) {
        self.closed.push(Count::default());
    }

    /// The stream at this place is no more, and those behind it move up; gives back what its
    /// connections sent.
    pub(super) fn forget_stream(&mut self, place: usize) -> Count {
        let sent = self.wire(place);
        if place < self.closed.len() {
            self.closed.remove(place);
        }
        self.open.retain(|_, open| open.stream != Some(place));
        for stream in self.open.values_mut().filter_map(|open| open.stream.as_mut()) {
            *stream -= usize::from(*stream > place);
        }
        sent
    }

    /// Takes what has come, but never so much that sending has to wait for long.
    pub(super) fn drain(
        &mut self,
        feedback: &Feedback,
        streams: &mut [Stream],
        now: Timestamp,
    ) -> bool {
        self.let_go(streams);
        for _ in 0..ARRIVALS_PER_TURN {
            match self.arrivals.try_recv() {
                Ok(Arrival::Opened(link)) => {
                    self.open.insert(link.name, Open { link, stream: None });
                }
                Ok(Arrival::Said(name, said)) => {
                    if let Some(open) = self.open.get_mut(&name) {
                        open.hear(&said, feedback, streams, now);
                    }
                }
                Ok(Arrival::Closed(name)) => self.close(name),
                Err(_) => return false,
            }
        }
        true
    }

    /// Queues frames for a connection.
    pub(super) fn send(&mut self, name: SocketAddr, frames: &Bytes) {
        if let Some(open) = self.open.get(&name)
            && !open.link.send(frames)
            && !self.full.contains(&name)
        {
            self.full.push(name);
        }
    }

    /// Segments that the connections of a stream sent, and their bytes on the wire.
    pub(super) fn wire(&self, stream: usize) -> Count {
        let of_stream = self.open.values().filter(|open| open.stream == Some(stream));
        let closed = self.closed.get(stream).copied().unwrap_or_default();
        of_stream.fold(closed, |sum, open| sum.plus(open.link.wire()))
    }

    fn close(&mut self, name: SocketAddr) {
        let Some(open) = self.open.remove(&name) else { return };
        if let Some(sum) = open.stream.and_then(|stream| self.closed.get_mut(stream)) {
            *sum = sum.plus(open.link.wire());
        }
    }

    /// Those that are too slow are told so, behind what waits for them, and are sent nothing more.
    fn let_go(&mut self, streams: &mut [Stream]) {
        for name in std::mem::take(&mut self.full) {
            let stream = self.open.get(&name).and_then(|open| open.stream);
            let Some(stream) = stream.and_then(|stream| streams.get_mut(stream)) else { continue };
            let last = stream.let_go(name, EvictReason::Slow);
            if let Some(open) = self.open.get(&name) {
                open.link.send_anyway(&last);
            }
            self.close(name);
        }
    }
}

impl Open {
    fn hear(&mut self, said: &[u8], feedback: &Feedback, streams: &mut [Stream], now: Timestamp) {
        let heard = Heard { from: self.link.name, by: By::Listener(self.link.place), at: now };
        for datagram in tcp::frames(said) {
            let mut datagram = datagram.to_vec();
            if let Some(stream) = feedback.hand_over(streams, &mut datagram, heard) {
                self.stream = Some(stream);
            }
        }
    }
}

/// A few hundred reports.
const ARRIVALS_PER_TURN: usize = 256;
