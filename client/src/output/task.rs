//! Writing as work for those threads that may have to wait.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use host::workers::Work;

use super::ring::Ring;
use super::writer::{Turn, Writer};
use super::{Progress, Stopped};

/// The writing of one output.
pub(super) struct Task {
    /// Gone once it has ended: then the file is closed as well.
    writer: Mutex<Option<Writer>>,
    is_ended: AtomicBool,
    /// As of the last turn: whoever has something written may do it itself.
    is_quick: AtomicBool,
    ended: Condvar,
    ring: Arc<Ring>,
    progress: Arc<Mutex<Progress>>,
}

impl Task {
    pub(super) fn new(writer: Writer, ring: Arc<Ring>, progress: Arc<Mutex<Progress>>) -> Self {
        let (is_ended, is_quick) = (AtomicBool::new(false), AtomicBool::new(false));
        let (writer, ended) = (Mutex::new(Some(writer)), Condvar::new());
        Self { writer, is_ended, is_quick, ended, ring, progress }
    }

    /// Whether a turn takes less than to have another thread do it. Not before the session is known:
    /// its payload may be hashed.
    pub(super) fn is_quick(&self) -> bool {
        self.is_quick.load(Ordering::Relaxed)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Waits for its end. Whoever has not closed the ring waits for ever.
    pub(super) fn wait(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.ended.wait_while(writer, |writer| writer.is_some());
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    fn fail(&self) {
        let failed = Stopped::Failed("writing it ended unexpectedly".to_owned());
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).stopped = Some(failed);
    }
}

impl Work for Task {
    fn turn(&self) -> bool {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = slot.as_mut() else { return false };
        // A fault of one output is not to end those of others.
        let turn = catch_unwind(AssertUnwindSafe(|| writer.turn())).unwrap_or_else(|_| {
            self.fail();
            Turn::Ended
        });
        self.is_quick.store(turn != Turn::Ended && writer.is_quick(), Ordering::Relaxed);
        if turn == Turn::Ended {
            *slot = None;
            self.is_ended.store(true, Ordering::Release);
            self.ended.notify_all();
            self.ring.signal();
        }
        turn == Turn::GoesOn
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_ended", &self.is_ended()).finish_non_exhaustive()
    }
}
