//! Wakes the program that reads an output itself.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Rung once, heard once, by whoever waits then or next.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_rung: bool,
    waits: Waits,
}

/// Who waits: only then is there a call to the system.
#[derive(Debug, Default)]
enum Waits {
    #[default]
    Nobody,
    Thread,
    Task(Waker),
}

impl Bell {
    pub(super) fn ring(&self) {
        let mut state = self.lock();
        state.is_rung = true;
        let waits = mem::take(&mut state.waits);
        // What is woken would only wait for the lock.
        drop(state);
        match waits {
            Waits::Nobody => {}
            Waits::Thread => self.rung.notify_one(),
            Waits::Task(waker) => waker.wake(),
        }
    }

    /// Waits until it is rung.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        while !mem::take(&mut state.is_rung) {
            state.waits = Waits::Thread;
            state = self.rung.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same for a task, which is woken then.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if mem::take(&mut state.is_rung) {
            return Poll::Ready(());
        }
        state.waits = Waits::Task(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_is_woken_once_and_hears_what_was_rung_before() {
        let (bell, woken) = (Bell::default(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let context = Context::from_waker(&waker);
        bell.ring();
        assert!(bell.poll(&context).is_ready());
        assert!(bell.poll(&context).is_pending());
        bell.ring();
        bell.ring();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(bell.poll(&context).is_ready());
        assert!(bell.poll(&context).is_pending());
    }

    #[test]
    fn a_thread_is_woken() {
        let bell = Arc::new(Bell::default());
        let waiting = Arc::clone(&bell);
        let waiter = thread::spawn(move || waiting.wait());
        bell.ring();
        waiter.join().unwrap();
    }
}
