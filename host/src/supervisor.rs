//! Who started the program as a service and keeps watch over it: systemd, or anything else that
//! speaks sd_notify(3). Where nobody does, `NOTIFY_SOCKET` is not set and nothing is done.

use std::env;
use std::fmt;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::poller::Waker;
use crate::shutdown::Shutdown;

/// Whoever started the program as a service, if somebody did.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    is_there: bool,
    /// It ends the program that says nothing for so long.
    patience: Option<Duration>,
}

/// By what a program is seen to live.
pub struct Vitals {
    /// How many turns the data thread has made: who makes none is stuck.
    pub turns: Box<dyn Fn() -> u64 + Send>,
    /// Has an idle data thread make a turn.
    pub waker: Waker,
    /// How it is going, in a line.
    pub status: Box<dyn Fn() -> String + Send>,
}

/// The thread that tells how it is going; ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    thread: Option<JoinHandle<()>>,
    end: Shutdown,
}

impl Supervisor {
    /// The one that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC`.
    #[must_use]
    pub fn from_env() -> Self {
        let is_there = env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let patience = if is_there { sd_notify::watchdog_enabled() } else { None };
        Self { is_there, patience }
    }

    /// Tells that the program is ready, and from now on how it is going: a line now and then, a sign
    /// of life as long as the data thread makes turns, and that it ends once `shutdown` is
    /// requested.
    ///
    /// # Errors
    ///
    /// When the system has no thread for it.
    pub fn watch(&self, vitals: Vitals, shutdown: &Shutdown) -> io::Result<Watch> {
        let end = Shutdown::new();
        if !self.is_there {
            return Ok(Watch { thread: None, end });
        }
        self.tell(&[NotifyState::Ready, NotifyState::Status(&(vitals.status)())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let teller = Teller { supervisor: self.clone(), turns: (vitals.turns)(), vitals };
        let (ending, ended) = (shutdown.clone(), end.clone());
        let thread = thread::Builder::new()
            .name("supervised".to_owned())
            .spawn(move || runtime.block_on(teller.run(&ending, &ended)))?;
        Ok(Watch { thread: Some(thread), end })
    }

    /// The configuration is about to be read again.
    pub fn reloading(&self) {
        // Since when: who asked for it waits for a reload that began later than that.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// It was; what was wrong with it, if anything, is in the log.
    pub fn reloaded(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    fn tell(&self, what: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(what)
        {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }

    /// How often something is told: a turn that was asked for is looked for one time later.
    fn every(&self) -> Duration {
        self.patience.map_or(STATUS_EVERY, |patience| (patience / 3).min(STATUS_EVERY))
    }
}

/// What the thread has told.
struct Teller {
    supervisor: Supervisor,
    vitals: Vitals,
    /// Turns as of the last sign of life.
    turns: u64,
}

impl Teller {
    async fn run(mut self, ending: &Shutdown, ended: &Shutdown) {
        let mut every = interval(self.supervisor.every().max(SHORTEST));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_ending = false;
        loop {
            tokio::select! {
                () = ended.requested() => break,
                () = ending.requested(), if !is_ending => {
                    is_ending = true;
                    self.supervisor.tell(&[NotifyState::Stopping]);
                }
                _ = every.tick() => self.tell(),
            }
        }
        if !is_ending {
            self.supervisor.tell(&[NotifyState::Stopping]);
        }
    }

    fn tell(&mut self) {
        let turns = (self.vitals.turns)();
        let status = (self.vitals.status)();
        let status = NotifyState::Status(&status);
        if turns == self.turns {
            self.supervisor.tell(&[status]);
        } else {
            self.turns = turns;
            self.supervisor.tell(&[NotifyState::Watchdog, status]);
        }
        self.vitals.waker.wake();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::debug!("the thread that tells the service manager ended unexpectedly");
        }
    }
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").finish_non_exhaustive()
    }
}

/// As often as a person would look.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// A service manager that is less patient than this ends whatever is busy.
const SHORTEST: Duration = Duration::from_millis(10);
