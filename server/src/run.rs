//! One run of a publisher: all streams of a config, from the first socket to the summary.

use std::thread;

use anyhow::Context;
use host::http;
use host::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::control::{Control, Doors};
use crate::publisher::{DataThread, Lines};
use crate::report::Summary;
use crate::snapshot::Shared;
use crate::tcp::Listeners;

/// Everything is open, and the streams are about to be sent.
pub(crate) struct Run {
    data: DataThread,
    control: Control,
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
        let lines = Lines { arrivals, shared: shared.clone(), news: tell };
        let data = DataThread::new(config, inputs, lines, shutdown)?;
        let doors = Doors { listeners, waker: data.waker() };
        let control = Control::new(config, shared, news, listener, doors)?;
        Ok(Self { data, control })
    }

    /// Sends until all streams have ended.
    ///
    /// # Errors
    ///
    /// When the system does not let it go on.
    pub(crate) fn finish(self) -> anyhow::Result<Summary> {
        let Self { data, control } = self;
        let (ended, end) = oneshot::channel();
        let send = move || drop(ended.send(data.run()));
        thread::Builder::new().name("data".to_owned()).spawn(send)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ends = runtime.block_on(control.run(end)).context("the data thread failed")??;
        Ok(Summary::new(ends))
    }
}

/// News that people have not been told yet.
const NEWS_KEPT: usize = 1_024;
