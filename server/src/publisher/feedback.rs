//! What subscribers say: received in batches, handed to the stream that it is for.

use std::collections::HashMap;
use std::io::IoSliceMut;

use proto::wire::decode_header;
use proto::{SessionId, StreamId, Timestamp};
use quinn_udp::RecvMeta;

use super::stream::Stream;
use crate::socket::Socket;

/// Receives for all streams.
pub(super) struct Feedback {
    by_session: HashMap<(StreamId, SessionId), usize>,
    memory: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
}

impl Feedback {
    pub(super) fn new(streams: &[Stream]) -> Self {
        let sessions = streams.iter().map(Stream::session).zip(0..).collect();
        Self {
            by_session: sessions,
            memory: vec![0; BUFFERS * BUFFER_LEN],
            metas: [RecvMeta::default(); BUFFERS],
        }
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
                let stream = find(by_session, streams, datagram);
                if let Some(stream) = stream {
                    stream.hear(datagram, meta.addr, place, now);
                }
            }
        }
        count == BUFFERS
    }
}

/// What names no session of ours goes to the first stream, whose sender counts why it is of no
/// use: every datagram is counted once.
fn find<'a>(
    by_session: &HashMap<(StreamId, SessionId), usize>,
    streams: &'a mut [Stream],
    datagram: &[u8],
) -> Option<&'a mut Stream> {
    let place = decode_header(datagram)
        .ok()
        .and_then(|(header, _)| by_session.get(&(header.stream, header.session)).copied());
    streams.get_mut(place.unwrap_or(0))
}

/// Datagrams, or runs of them that the kernel put together, that one call receives.
const BUFFERS: usize = 8;

/// The longest of either.
const BUFFER_LEN: usize = 64 << 10;

/// 256 datagrams and more: what a pacing quantum of time allows.
const BATCHES_PER_TURN: usize = 32;
