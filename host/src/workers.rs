//! Threads for work that may have to wait: as many as wait, and no more.
//!
//! Work comes in turns, each short unless a device or a reader makes it wait. One thread does the
//! turns of all that never waits. Where turns are due and none was begun for a while, all threads wait,
//! and another one begins: so whoever waits holds up nobody else for long.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Something that is done in turns, never two of them at once.
pub trait Work: Send + Sync {
    /// Does a part of it. Says whether there is more to do; if not, it is to be given again when there
    /// is. Must not panic.
    fn turn(&self) -> bool;
}

/// The threads of a program that take turns. They end when nothing refers to this any longer and all
/// turns are done.
#[derive(Clone)]
pub struct Workers {
    handle: Arc<Handle>,
}

/// When the last one goes, the threads end.
struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    state: Mutex<State>,
    /// A turn is due, or no more will be.
    due: Condvar,
    /// The same, for who watches that it is taken.
    watched: Condvar,
}

#[derive(Default)]
struct State {
    turns: VecDeque<Arc<dyn Work>>,
    /// Turns that were begun, ever.
    begun: u64,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Workers {
    /// Starts the first thread, and the one that watches; each is called `name`.
    ///
    /// # Errors
    ///
    /// When they cannot be started.
    pub fn new(name: &'static str) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            state: Mutex::default(),
            due: Condvar::new(),
            watched: Condvar::new(),
        });
        shared.begin()?;
        let watching = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || watching.watch())?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Has `work` take its turn soon. It must not be given again before it said that there is no more
    /// to do.
    pub fn give(&self, work: Arc<dyn Work>) {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        state.turns.push_back(work);
        let is_taken = state.idle >= state.turns.len();
        drop(state);
        shared.due.notify_one();
        if !is_taken {
            shared.watched.notify_one();
        }
    }

    /// How many threads there are, the one that watches apart.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.handle.shared.lock().threads
    }
}

impl Shared {
    /// Starts one more thread.
    fn begin(self: &Arc<Self>) -> io::Result<()> {
        self.lock().threads += 1;
        let shared = Arc::clone(self);
        let begun = thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work());
        if begun.is_err() {
            self.lock().threads -= 1;
        }
        begun.map(drop)
    }

    /// Takes turns until there are none for a while, or no more will be.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.turns.pop_front() {
                state.begun += 1;
                drop(state);
                let has_more = work.turn();
                state = self.lock();
                if has_more {
                    state.turns.push_back(work);
                }
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let (woken, timeout) =
                self.due.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.turns.is_empty() && state.threads > 1 {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Begins another thread wherever turns are due and nobody takes them.
    fn watch(self: Arc<Self>) {
        let mut state = self.lock();
        loop {
            if state.turns.is_empty() {
                if state.is_closed {
                    return;
                }
                state = self.watched.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let begun = state.begun;
            state = self
                .watched
                .wait_timeout_while(state, PATIENCE, |state| state.begun == begun)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if state.begun == begun && !state.turns.is_empty() {
                drop(state);
                // Without another thread, whoever waits is waited for.
                drop(self.begin());
                state = self.lock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.due.notify_all();
        self.shared.watched.notify_all();
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

/// If no turn was begun for so long, all threads wait for something else.
const PATIENCE: Duration = Duration::from_millis(10);

/// A thread that nobody needed for so long ends, unless it is the last.
const IDLE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Counts its turns, and waits in each of them until it is let go.
    struct Waits {
        turns: AtomicUsize,
        told: Mutex<Receiver<()>>,
        done: Mutex<Sender<()>>,
    }

    impl Work for Waits {
        fn turn(&self) -> bool {
            self.turns.fetch_add(1, Ordering::SeqCst);
            self.told.lock().unwrap().recv().unwrap();
            self.done.lock().unwrap().send(()).unwrap();
            false
        }
    }

    fn waits() -> (Arc<Waits>, Sender<()>, Receiver<()>) {
        let (tell, told) = channel();
        let (done, is_done) = channel();
        let turns = AtomicUsize::new(0);
        let work = Waits { turns, told: Mutex::new(told), done: Mutex::new(done) };
        (Arc::new(work), tell, is_done)
    }

    #[test]
    fn who_waits_holds_nobody_up() {
        let workers = Workers::new("test").unwrap();
        let waiting: Vec<_> = (0..20).map(|_| waits()).collect();
        for (work, ..) in &waiting {
            workers.give(Arc::<Waits>::clone(work));
        }
        let (last, tell, done) = waits();
        tell.send(()).unwrap();
        workers.give(last);
        done.recv().unwrap();
        assert!(workers.threads() >= 20, "{}", workers.threads());
        for (work, tell, done) in &waiting {
            tell.send(()).unwrap();
            done.recv().unwrap();
            assert_eq!(work.turns.load(Ordering::SeqCst), 1);
        }
    }

    /// Has three turns, and notices whether two of them ever overlap.
    struct Thrice {
        left: AtomicUsize,
        is_busy: AtomicBool,
        done: Mutex<Sender<()>>,
    }

    impl Work for Thrice {
        fn turn(&self) -> bool {
            assert!(!self.is_busy.swap(true, Ordering::SeqCst));
            let left = self.left.fetch_sub(1, Ordering::SeqCst) - 1;
            self.is_busy.store(false, Ordering::SeqCst);
            if left == 0 {
                self.done.lock().unwrap().send(()).unwrap();
            }
            left > 0
        }
    }

    #[test]
    fn a_thousand_that_never_wait_take_turns_on_few_threads() {
        let workers = Workers::new("test").unwrap();
        let (done, is_done) = channel();
        for _ in 0..1_000 {
            let (left, is_busy) = (AtomicUsize::new(3), AtomicBool::new(false));
            workers.give(Arc::new(Thrice { left, is_busy, done: Mutex::new(done.clone()) }));
        }
        for _ in 0..1_000 {
            is_done.recv().unwrap();
        }
        assert!(workers.threads() < 100, "{}", workers.threads());
    }

    #[test]
    fn what_was_given_is_done_before_the_threads_end() {
        let workers = Workers::new("test").unwrap();
        let (work, tell, done) = waits();
        workers.give(work);
        drop(workers);
        tell.send(()).unwrap();
        done.recv().unwrap();
    }
}
