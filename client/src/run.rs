//! One run of a subscriber: from the first join to the summary.

use std::sync::{Arc, mpsc};

use anyhow::Context;
use host::clock::Clock;
use host::poller::{Poller, make_timers_exact};
use host::shutdown::Shutdown;
use host::workers::Workers;

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
        let service = Service::open(config, &published, commands, crew.clone())?;
        let parts = Parts {
            clock,
            poller,
            crew,
            commands: taken,
            shutdown,
            records: Records::start(config.json).context("no thread for events")?,
            progress: ProgressLine::start(config.progress),
            published,
            run_for: config.run_for,
            spins: config.spin,
        };
        // A kernel that refuses is late by 50 µs: no reason to end.
        drop(make_timers_exact());
        let receiving = ReceiveThread::new(parts, prepared)?;
        let serving = service.start().context("no thread for control")?;
        Ok(Self { receiving, serving })
    }

    /// Receives until nothing is left to receive.
    ///
    /// # Errors
    ///
    /// When the system refuses to go on.
    pub(crate) fn finish(mut self) -> anyhow::Result<Summary> {
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

    /// Says what came of it.
    pub(crate) fn conclude(self) -> Summary {
        let summary = self.receiving.finish();
        self.serving.end();
        summary
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
