//! A connection as the data thread sees it, and its queue.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::info;
use crate::snapshot::Count;

/// A connection as the data thread sees it: when it is dropped, what is queued is written and the
/// connection closed.
#[derive(Debug)]
pub(crate) struct Link {
    /// Which listener it came to.
    pub(crate) place: usize,
    /// What the sender knows it by.
    pub(crate) name: SocketAddr,
    queue: UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
    /// For what the kernel counts of it.
    socket: OwnedFd,
}

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
}

impl Link {
    pub(super) fn new(
        place: usize,
        name: SocketAddr,
        stream: &TcpStream,
    ) -> io::Result<(Self, Queue)> {
        let (queue, waiting) = unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let socket = stream.as_fd().try_clone_to_owned()?;
        let link = Self { place, name, queue, queued: Arc::clone(&queued), socket };
        Ok((link, Queue { waiting, queued }))
    }

    /// Queues frames; false if there is no room for them: the connection is too slow.
    pub(crate) fn send(&self, frames: &Bytes) -> bool {
        if self.queued.load(Ordering::Relaxed) + frames.len() > QUEUE_LEN {
            return false;
        }
        self.send_anyway(frames);
        true
    }

    /// Queues frames even if there is no room: the last ones.
    pub(crate) fn send_anyway(&self, frames: &Bytes) {
        self.queued.fetch_add(frames.len(), Ordering::Relaxed);
        // Whoever wrote it may have ended: the data thread is told so.
        drop(self.queue.send(frames.clone()));
    }

    /// Segments sent so far and their bytes on the wire, as the kernel counts them.
    pub(crate) fn wire(&self) -> Count {
        let is_v4 = matches!(self.name, SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some());
        info::wire(&self.socket, is_v4).unwrap_or_default()
    }
}

impl Queue {
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.waiting.recv().await
    }

    /// Whether nothing more will be queued.
    pub(super) fn is_closed(&self) -> bool {
        self.waiting.sender_strong_count() == 0
    }

    /// Ready when nothing more will be queued, and so much time has passed since.
    pub(super) async fn closed_for(&self, time: Duration) {
        while !self.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(time).await;
    }

    pub(super) fn on_written(&self, len: usize) {
        self.queued.fetch_sub(len, Ordering::Relaxed);
    }
}

/// Twice what a subscriber gives credit for.
const QUEUE_LEN: usize = 4 << 20;

const LOOK_EVERY: Duration = Duration::from_millis(100);
