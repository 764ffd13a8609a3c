//! Between the network's thread and those that write: bounded in bytes, handed over in batches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::poller::Waker;
use proto::SeqRange;
use proto::receiver::{Delivered, Gap, GapCause};

/// A queue with one writer and one reader.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    /// Bytes that were pushed and not yet written, those in the reader's hands included.
    bytes: AtomicUsize,
    /// The writer found it full and waits for a sign.
    is_awaited: AtomicBool,
    queue: Mutex<Queue>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Delivered>,
    is_closed: bool,
    /// The reader has its turn, or will have it, and looks again before it rests.
    is_read: bool,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Items, and maybe more are left.
    Some,
    /// Nothing for now: who pushes next calls the reader.
    Nothing,
    /// Nothing, and no more comes.
    All,
}

impl Ring {
    /// An empty ring; `waker` is rung when there is room again.
    pub(super) fn new(capacity: usize, waker: Waker) -> Self {
        Self {
            capacity,
            bytes: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            queue: Mutex::default(),
            waker,
        }
    }

    /// Whether a batch may be pushed; if not, the waker rings once there is room.
    pub(super) fn has_room(&self) -> bool {
        if self.bytes.load(Ordering::SeqCst) < self.capacity {
            return true;
        }
        self.is_awaited.store(true, Ordering::SeqCst);
        // The reader may have made room before it could see the flag.
        self.bytes.load(Ordering::SeqCst) < self.capacity
    }

    /// Appends a batch. The last one may go beyond the capacity, so that it is never cut.
    pub(super) fn push(&self, batch: &mut Vec<Delivered>) {
        let bytes = batch.iter().map(cost).sum();
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.lock().items.extend(batch.drain(..));
    }

    /// Counts an item that the reader has in its hands and that was never pushed: it is released as others are.
    pub(super) fn count(&self, item: &Delivered) {
        self.bytes.fetch_add(cost(item), Ordering::SeqCst);
    }

    /// Whether the reader rests although there is something for it: then it is to be called, once.
    pub(super) fn calls(&self) -> bool {
        let mut queue = self.lock();
        let calls = !queue.is_read && (queue.is_closed || !queue.items.is_empty());
        queue.is_read |= calls;
        calls
    }

    /// Appends a batch and takes out the oldest payload until the ring holds what it may. In its
    /// place stands a gap, so that the output is never called whole.
    pub(super) fn push_over(&self, batch: &mut Vec<Delivered>) -> Vec<SeqRange> {
        self.push(batch);
        let mut losses = Vec::new();
        if self.bytes.load(Ordering::SeqCst) <= self.capacity {
            return losses;
        }
        let mut queue = self.lock();
        let mut kept = VecDeque::with_capacity(queue.items.len());
        while self.bytes.load(Ordering::SeqCst) > self.capacity {
            let Some(item) = queue.items.pop_front() else { break };
            // Sessions, gaps and ends cost little and are never left out.
            let lost = match &item {
                Delivered::Payload(payload) => payload.range,
                Delivered::Row(row) => row.range,
                Delivered::Session(_) | Delivered::Gap(_) | Delivered::End(_) => {
                    kept.push_back(item);
                    continue;
                }
            };
            self.bytes.fetch_sub(cost(&item), Ordering::SeqCst);
            add_loss(&mut losses, lost);
            self.leave_gap(&mut kept, lost);
        }
        kept.append(&mut queue.items);
        queue.items = kept;
        losses
    }

    /// What was dropped one after the other is one gap.
    fn leave_gap(&self, kept: &mut VecDeque<Delivered>, lost: SeqRange) {
        if let Some(Delivered::Gap(Gap { range, cause: GapCause::Ring })) = kept.back_mut()
            && range.end == lost.first
        {
            range.end = lost.end;
            return;
        }
        let gap = Delivered::Gap(Gap { range: lost, cause: GapCause::Ring });
        self.bytes.fetch_add(cost(&gap), Ordering::SeqCst);
        kept.push_back(gap);
    }

    /// Takes the oldest items into `items`. A reader that finds nothing rests until it is called.
    pub(super) fn take(&self, items: &mut VecDeque<Delivered>) -> Taken {
        let mut queue = self.lock();
        if queue.items.is_empty() {
            queue.is_read = queue.is_closed;
            return if queue.is_closed { Taken::All } else { Taken::Nothing };
        }
        let mut bytes = 0;
        while bytes < TAKEN_BYTES
            && let Some(item) = queue.items.pop_front()
        {
            bytes += cost(&item);
            items.push_back(item);
        }
        Taken::Some
    }

    /// Gives back the room of items that were written.
    pub(super) fn release(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        let has_room = before.saturating_sub(bytes) < self.capacity / 2;
        if has_room && self.is_awaited.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Rings the waker: something happened that the other side should look at.
    pub(super) fn signal(&self) {
        self.waker.wake();
    }

    /// No more comes.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an item takes of the capacity: its bytes, and what keeping it costs.
pub(super) fn cost(item: &Delivered) -> usize {
    match item {
        Delivered::Payload(payload) => payload.bytes.len() + ITEM_COST,
        Delivered::Row(row) => row.len_with_lengths() + ITEM_COST,
        Delivered::Session(_) | Delivered::Gap(_) | Delivered::End(_) => ITEM_COST,
    }
}

fn add_loss(losses: &mut Vec<SeqRange>, lost: SeqRange) {
    match losses.last_mut() {
        Some(range) if range.end == lost.first => range.end = lost.end,
        _ => losses.push(lost),
    }
}

/// What a reader takes at once. What it has in its hands cannot be dropped any more, and must not
/// be most of what the ring may hold.
const TAKEN_BYTES: usize = 512 * 1024;

/// An item without its bytes: so that a ring of short ones is bounded too.
const ITEM_COST: usize = 64;
