//! What subscribers say: received in batches, handed to the stream that it is for.

use std::collections::HashMap;
use std::io::IoSliceMut;

use proto::wire::decode_header;
use proto::{SessionId, StreamId, Timestamp};
use quinn_udp::RecvMeta;

use super::stream::{By, Heard, Stream};
use crate::socket::Socket;

/// Receives for all streams.
pub(super) struct Feedback {
    by_session: HashMap<(StreamId, SessionId), usize>,
    memory: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
}

impl Feedback {
    pub(super) fn new() -> Self {
        Self {
            by_session: HashMap::new(),
            memory: vec![0; BUFFERS * BUFFER_LEN],
            metas: [RecvMeta::default(); BUFFERS],
        }
    }

    /// From now on there are these streams.
    pub(super) fn know(&mut self, streams: &[Stream]) {
        self.by_session = streams.iter().map(Stream::session).zip(0..).collect();
    }

    /// Hands a datagram to the stream that it is for; gives back which.
    pub(super) fn hand_over(
        &self,
        streams: &mut [Stream],
        datagram: &mut [u8],
        heard: Heard,
    ) -> Option<usize> {
        hand_over(&self.by_session, streams, datagram, heard)
    }

    /// Takes what has come, but never so much that sending has to wait for long.
    pub(super) fn drain(&mut self, sockets: &mut [Socket], streams: &mut [Stream], now: Timestamp) {
        for (place, socket) in sockets.iter_mut().enumerate() {
            for _ in 0..BATCHES_PER_TURN {
                if !socket.is_readable {
                    break;
                }
                socket.is_readable = self.receive((place, socket), streams, now);
            }
        }
    }

    /// Receives one batch; says whether there may be more.
    fn receive(
        &mut self,
        (place, socket): (usize, &Socket),
        streams: &mut [Stream],
        now: Timestamp,
    ) -> bool {
        let Self { by_session, memory, metas } = self;
        let mut buffers = memory.chunks_mut(BUFFER_LEN).map(IoSliceMut::new);
        let mut buffers: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let count = match socket.receive(&mut buffers, metas) {
            Ok(count) => count,
            Err(error) => {
                tracing::debug!(%error, "feedback cannot be received");
                return false;
            }
        };
        for (buffer, meta) in buffers.iter_mut().zip(metas.iter()).take(count) {
            let received = buffer.get_mut(..meta.len).unwrap_or_default();
            for datagram in received.chunks_mut(meta.stride.max(1)) {
                let heard = Heard { from: meta.addr, by: By::Socket(place), at: now };
                hand_over(by_session, streams, datagram, heard);
            }
        }
        count == BUFFERS
    }
}

/// What names no session of ours goes to the first stream, whose sender counts why it is of no
/// use: every datagram is counted once. What names none at all may ask for a stream by unicast.
/// Gives back which stream it was for.
fn hand_over(
    by_session: &HashMap<(StreamId, SessionId), usize>,
    streams: &mut [Stream],
    datagram: &mut [u8],
    heard: Heard,
) -> Option<usize> {
    let header = decode_header(datagram).map(|(header, _)| header).ok();
    let knocks = |stream: &Stream| {
        header.is_some_and(|header| {
            let is_meant = header.stream == StreamId(0) || header.stream == stream.session().0;
            header.session == SessionId(0) && is_meant && stream.listens_at(heard.by)
        })
    };
    if let Some(place) = streams.iter().position(knocks) {
        streams.get_mut(place)?.hear_knock(datagram, heard);
        return Some(place);
    }
    let place = header.and_then(|it| by_session.get(&(it.stream, it.session)).copied());
    streams.get_mut(place.unwrap_or(0))?.hear(datagram, heard);
    place
}

/// Datagrams, or runs of them that the kernel put together, that one call receives.
const BUFFERS: usize = 8;

/// The longest of either.
const BUFFER_LEN: usize = 64 << 10;

/// 256 datagrams and more: what a pacing quantum of time allows.
const BATCHES_PER_TURN: usize = 32;
