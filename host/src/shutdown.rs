//! Ending: asked for by a signal or by a caller, heard by every thread.

use std::fmt;
use std::io::{self, IsTerminal};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::poller::Waker;
use crate::reload::Reload;

/// A request to end, shared by all threads of a program. Once made, it stays.
#[derive(Clone, Default)]
pub struct Shutdown {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requested: AtomicBool,
    notify: Notify,
    wakers: Mutex<Vec<Waker>>,
}

impl Shutdown {
    /// A request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to end cleanly.
    pub fn request(&self) {
        self.state.requested.store(true, Ordering::Release);
        self.state.notify.notify_waiters();
        for waker in self.state.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            waker.wake();
        }
    }

    /// Whether someone asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.state.requested.load(Ordering::Acquire)
    }

    /// Rings `waker` when someone asks; at once if someone has.
    pub fn wakes(&self, waker: Waker) {
        if self.is_requested() {
            waker.wake();
        }
        self.state.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }

    /// Waits until someone asks.
    pub async fn requested(&self) {
        loop {
            let notified = self.state.notify.notified();
            tokio::pin!(notified);
            // Listening starts before the flag is read, so that no request falls in between.
            notified.as_mut().enable();
            if self.is_requested() {
                return;
            }
            notified.await;
        }
    }
}

/// The signals that a program follows.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    terminals: Terminals,
}

impl Signals {
    /// Catches them, within a runtime.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            terminals: Terminals::look(),
        })
    }

    /// Turns the first SIGINT or SIGTERM into a request; the second ends the process at once, with
    /// exit code 130 or 143. SIGHUP ends it, too, when it says that the terminal is gone, with exit
    /// code 129; otherwise it asks for a reload. Never returns.
    async fn follow(mut self, shutdown: &Shutdown, reload: Option<&Reload>) {
        loop {
            let (name, code) = tokio::select! {
                _ = self.interrupt.recv() => ("SIGINT", 130),
                _ = self.terminate.recv() => ("SIGTERM", 143),
                _ = self.hangup.recv() => {
                    if self.terminals == Terminals::look() {
                        on_hangup(reload);
                        continue;
                    }
                    ("SIGHUP", 129)
                }
            };
            if shutdown.is_requested() {
                tracing::warn!(signal = name, "second signal: ending at once");
                process::exit(code);
            }
            tracing::info!(signal = name, "ending; a second signal ends at once");
            shutdown.request();
        }
    }
}

/// Which of stdin, stdout and stderr are terminals; one that was hung up is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terminals([bool; 3]);

impl Terminals {
    fn look() -> Self {
        Self([io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()])
    }
}

fn on_hangup(reload: Option<&Reload>) {
    match reload {
        Some(reload) => reload.request(),
        None => tracing::info!("SIGHUP: there is no config file to read again; going on"),
    }
}

/// Follows signals, caught from now on, on a thread of their own, so that they are heard whatever else
/// is going on. SIGHUP asks for `reload`; without one it is told and ignored.
///
/// # Errors
///
/// When the signals cannot be caught, or the thread cannot be started.
pub fn follow_signals(shutdown: &Shutdown, reload: Option<Reload>) -> io::Result<()> {
    let shutdown = shutdown.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _within = runtime.enter();
        Signals::catch()?
    };
    let follow = move || runtime.block_on(signals.follow(&shutdown, reload.as_ref()));
    thread::Builder::new().name("signals".to_owned()).spawn(follow)?;
    Ok(())
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("requested", &self.is_requested()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::poller::{Events, Poller};

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_is_heard_by_those_who_wait_and_by_those_who_come_later() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_requested());
        shutdown.request();
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[test]
    fn a_poller_is_woken() {
        let (poller, shutdown, clock) = (Poller::new().unwrap(), Shutdown::new(), Clock::start());
        shutdown.wakes(poller.waker());
        shutdown.request();
        let mut events = Events::with_capacity(1);
        poller.wait(&mut events, &clock, None).unwrap();
        assert!(events.woken());
    }
}
