//! One run of a subscriber: from the first join to the summary.

use std::sync::{Arc, mpsc};

use anyhow::Context;
use host::clock::Clock;
use host::poller::{Poller, Waker, make_timers_exact};
use host::shutdown::Shutdown;
use host::supervisor::{Supervisor, Vitals};
use host::workers::Workers;
use proto::receiver::Delivered;

use crate::admission::Caller;
use crate::config::Config;
use crate::output::Crew;
use crate::progress::ProgressLine;
use crate::record::Records;
use crate::service::{Running, Service};
use crate::snapshot::Published;
use crate::subscriber::{Parts, ReceiveThread};
use crate::subscription::Prepared;
use crate::summary::Summary;

/// Everything is joined, and is about to be received.
pub(crate) struct Run {
    receiving: ReceiveThread,
    serving: Running,
    published: Arc<Published>,
    waker: Waker,
    shutdown: Shutdown,
    supervisor: Supervisor,
}

impl Run {
    /// Opens outputs and joins groups: all of them, or none.
    ///
    /// # Errors
    ///
    /// When one cannot be subscribed to.
    pub(crate) fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        let (clock, poller) = (Clock::start(), Poller::new().context("no descriptors are left")?);
        shutdown.wakes(poller.waker());
        let waker = poller.waker();
        let writers = Workers::new("output").context("no thread for outputs")?;
        let crew = Crew { waker: poller.waker(), writers };
        let prepared = config
            .subscriptions
            .iter()
            .map(|subscription| Prepared::new(subscription.clone(), crew.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        warn_if_impaired(config);
        let published = Arc::new(Published::default());
        let (commands, taken) = mpsc::channel();
        let (caller, awaited) = Caller::of(config, &commands, &crew)?.unzip();
        let service = Service::open(config, &published, commands, crew.clone())?.calling(caller);
        let parts = Parts {
            clock,
            poller,
            crew,
            commands: taken,
            awaited: awaited.unwrap_or_default(),
            shutdown: shutdown.clone(),
            records: Records::start(config.json).context("no thread for events")?,
            progress: ProgressLine::start(config.progress),
            published: Arc::clone(&published),
            run_for: config.run_for,
            spins: config.spin,
        };
        // A kernel that refuses is late by 50 µs: no reason to end.
        drop(make_timers_exact());
        let receiving = ReceiveThread::new(parts, prepared)?;
        let serving = service.start().context("no thread for control")?;
        let supervisor = Supervisor::default();
        Ok(Self { receiving, serving, published, waker, shutdown, supervisor })
    }

    /// Whoever waits for what is received is on this thread.
    pub(crate) fn directly(self) -> Self {
        Self { receiving: self.receiving.directly(), ..self }
    }

    /// Tells `supervisor` how it is going.
    pub(crate) fn supervised_by(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// Receives until nothing is left to receive.
    ///
    /// # Errors
    ///
    /// When the system refuses to go on.
    pub(crate) fn finish(mut self) -> anyhow::Result<Summary> {
        let vitals = vitals(&self.published, self.waker.clone());
        let watch = self.supervisor.watch(vitals, &self.shutdown);
        let _watch = watch.context("no thread to tell the service manager")?;
        while self.step()? {}
        Ok(self.conclude())
    }

    /// Waits for what comes next and takes it; false once nothing is left to receive.
    ///
    /// # Errors
    ///
    /// When the system refuses to go on.
    pub(crate) fn step(&mut self) -> anyhow::Result<bool> {
        self.receiving.step()
    }

    /// What the program is to have before all that it can read.
    pub(crate) fn take_handed_over(&mut self) -> Option<Delivered> {
        self.receiving.take_handed_over()
    }

    /// Says what came of it.
    pub(crate) fn conclude(self) -> Summary {
        let summary = self.receiving.finish();
        self.serving.end();
        summary
    }
}

/// By what the receive thread is seen to live.
fn vitals(published: &Arc<Published>, waker: Waker) -> Vitals {
    let (turns, seen) = (Arc::clone(published), Arc::clone(published));
    Vitals {
        turns: Box::new(move || turns.turns()),
        waker,
        status: Box::new(move || seen.in_a_line()),
    }
}

fn warn_if_impaired(config: &Config) {
    if let Some(impair) = &config.defaults.impair {
        tracing::warn!(
            %impair,
            "datagrams are lost on purpose, those of the group and of feedback"
        );
    }
}
