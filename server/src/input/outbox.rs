//! The way from an input thread to the data thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use host::poller::Waker;

use super::{InputCounters, Item};
use crate::flags::value::Digest;

/// Hands items over, hashes what was handed over, and counts it.
pub(super) struct Outbox {
    sender: SyncSender<Item>,
    wake: Waker,
    digest: Option<Context>,
    pub(super) counters: Arc<InputCounters>,
}

/// Nobody takes items any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Outbox {
    pub(super) fn new(
        sender: SyncSender<Item>,
        wake: Waker,
        counters: Arc<InputCounters>,
        digest: Digest,
    ) -> Self {
        let digest = (digest == Digest::Sha256).then(|| Context::new(&SHA256));
        Self { sender, wake, digest, counters }
    }

    /// Hands a piece of the stream over, and waits until there is room for it.
    pub(super) fn send(&mut self, payload: Bytes, is_pause: bool) -> Result<(), Closed> {
        if payload.is_empty() {
            return Ok(());
        }
        // Hashed first: it takes as long as the wait that may follow.
        self.count(&payload);
        self.sender.send(Item::Piece { piece: payload, is_pause }).map_err(|_| Closed)?;
        self.wake.wake();
        Ok(())
    }

    /// Hands messages over if there is room; drops and counts them if not.
    pub(super) fn offer(&mut self, payloads: Vec<Bytes>) -> Result<(), Closed> {
        if payloads.is_empty() {
            return Ok(());
        }
        let kept = payloads.clone();
        match self.sender.try_send(Item::Messages(payloads)) {
            Ok(()) => {
                kept.iter().for_each(|payload| self.count(payload));
                self.wake.wake();
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.counters.dropped.fetch_add(kept.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Closed),
        }
    }

    /// Runs `read` to its end, then tells how it ended.
    pub(super) fn finish(mut self, read: impl FnOnce(&mut Self) -> io::Result<()>) {
        let result = read(&mut self);
        let (last, sender, wake) = self.into_last(result);
        if sender.send(last).is_ok() {
            wake.wake();
        }
    }

    /// Tells how it ended without waiting for room: others are read by the same thread.
    pub(super) fn finish_aside(self, result: io::Result<()>) {
        let (last, sender, wake) = self.into_last(result);
        match sender.try_send(last) {
            Ok(()) => wake.wake(),
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(last)) => {
                let wait = move || sender.send(last).is_ok().then(|| wake.wake());
                drop(thread::spawn(wait));
            }
        }
    }

    fn into_last(self, result: io::Result<()>) -> (Item, SyncSender<Item>, Waker) {
        let last = match result {
            Ok(()) => Item::End { sha256: self.digest.map(sha256) },
            Err(error) => Item::Failed(error),
        };
        (last, self.sender, self.wake)
    }

    fn count(&mut self, payload: &Bytes) {
        if let Some(digest) = &mut self.digest {
            digest.update(payload);
        }
        self.counters.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
    }
}

pub(super) fn sha256(digest: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    hash
}
