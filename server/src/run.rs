//! One run of a publisher: all streams of a config, from the first socket to the summary.

use std::sync::Arc;
use std::thread;

use anyhow::Context;
use host::http;
use host::poller::Poller;
use host::shutdown::Shutdown;
use host::supervisor::Supervisor;
use tokio::sync::{mpsc, oneshot};

use crate::admission::Admission;
use crate::config::Config;
use crate::control::{Control, Doors, Told};
use crate::entrance::Entrance;
use crate::publisher::{DataThread, Lines, Turns};
use crate::reload::{Commands, Follower, Reloader};
use crate::report::Summary;
use crate::snapshot::Shared;
use crate::tcp::Listeners;

/// Everything is open, and the streams are about to be sent.
pub(crate) struct Run {
    turns: Arc<Turns>,
    admission: Option<Admission>,
    control: Control,
    shutdown: Shutdown,
    supervisor: Supervisor,
}

impl Run {
    /// Opens inputs and sockets.
    ///
    /// # Errors
    ///
    /// When one cannot be opened.
    pub(crate) fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let listener = config.metrics.map(http::bind).transpose()?;
        let inputs = config.streams.iter().map(|stream| stream.input.open(config.streams.len()));
        let inputs = inputs.collect::<anyhow::Result<Vec<_>>>()?;
        let shared = Shared::default();
        let (tell, news) = mpsc::channel(NEWS_KEPT);
        let (listeners, arrivals) = Listeners::bind(&config.tcp_addresses())?;
        let (command, commands) = std::sync::mpsc::channel();
        let poller = Arc::new(Poller::new()?);
        let command = Commands { sender: command, waker: poller.waker() };
        let entrance = Entrance::open(config, &command, &tell)?;
        let sealed = entrance.seal(config)?;
        let lines = Lines { arrivals, commands, shared: shared.clone(), news: tell };
        let data = DataThread::new(&sealed, inputs, (poller, lines), shutdown.clone())?;
        let turns = Arc::new(Turns::new(data, config.spin));
        let doors = Doors { listeners, waker: turns.waker() };
        let follower = Follower {
            current: config.clone(),
            commands: command,
            supervisor: Supervisor::default(),
            reloader: None,
            admission: entrance.admission(),
        };
        let admission = entrance.admission();
        let control = Control::new(Told { shared, news }, listener, (doors, entrance), follower)?;
        Ok(Self { turns, admission, control, shutdown, supervisor: Supervisor::default() })
    }

    /// What the data thread works on.
    pub(crate) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Who lets subscribers in.
    pub(crate) fn admission(&self) -> Option<Admission> {
        self.admission.clone()
    }

    /// Has the config read again whenever `reloader` says, and `supervisor` told how it is going.
    pub(crate) fn in_service(mut self, reloader: Option<Reloader>, supervisor: Supervisor) -> Self {
        self.control.follow(reloader, supervisor.clone());
        Self { supervisor, ..self }
    }

    /// Sends until all streams have ended.
    ///
    /// # Errors
    ///
    /// When the system does not let it go on.
    pub(crate) fn finish(self) -> anyhow::Result<Summary> {
        let Self { turns, control, shutdown, supervisor, admission: _ } = self;
        let (ended, end) = oneshot::channel();
        let send = move || drop(ended.send(turns.run()));
        thread::Builder::new().name("data".to_owned()).spawn(send)?;
        let _watch = supervisor.watch(control.vitals(), &shutdown)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ends = runtime.block_on(control.run(end)).context("the data thread failed")??;
        Ok(Summary::new(ends))
    }
}

/// News that people have not been told yet.
const NEWS_KEPT: usize = 1_024;
