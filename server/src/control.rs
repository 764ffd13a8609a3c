//! The thread that is not the data path: news, progress, metrics.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use host::clock::Clock;
use host::http::{self, Answers};
use host::poller::Waker;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at};

use crate::config::Config;
use crate::metrics;
use crate::publisher::StreamEnd;
use crate::report::News;
use crate::snapshot::Shared;
use crate::status::Status;
use crate::talker::Talker;
use crate::tcp::Listeners;

/// What the data thread gives back.
type Ends = io::Result<Vec<StreamEnd>>;

/// Tells people and scrapers what the data thread does.
pub(crate) struct Control {
    shared: Shared,
    news: mpsc::Receiver<News>,
    talker: Talker,
    serving: Option<(TcpListener, Answers)>,
    doors: Doors,
}

/// Where subscribers connect, and who is told of them.
pub(crate) struct Doors {
    pub(crate) listeners: Listeners,
    pub(crate) waker: Waker,
}

impl Control {
    pub(crate) fn new(
        config: &Config,
        shared: Shared,
        news: mpsc::Receiver<News>,
        listener: Option<TcpListener>,
        doors: Doors,
    ) -> anyhow::Result<Self> {
        let mut talker = Talker::new(config.talk);
        let serving = match listener {
            Some(listener) => {
                let address = listener.local_addr()?;
                tracing::info!(%address, "serving metrics");
                talker.news(&News::Serving { metrics: address.to_string() });
                Some((listener, answers(&shared)?))
            }
            None => None,
        };
        Ok(Self { shared, news, talker, serving, doors })
    }

    /// Talks until the data thread ends.
    ///
    /// # Errors
    ///
    /// When the data thread ended without a word.
    pub(crate) async fn run(mut self, end: oneshot::Receiver<Ends>) -> Result<Ends, RecvError> {
        if let Some((listener, answers)) = self.serving.take() {
            tokio::spawn(serve(listener, answers));
        }
        let Doors { listeners, waker } = self.doors;
        let carried = listeners.serve(&waker);
        if let Err(error) = &carried {
            tracing::warn!(%error, "nobody can connect");
        }
        let mut every = interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
        tokio::pin!(end);
        let ends = loop {
            tokio::select! {
                biased;
                ends = &mut end => break ends?,
                Some(news) = self.news.recv() => self.talker.news(&news),
                _ = every.tick() => self.talker.progress(&self.shared.streams()),
            }
        };
        while let Ok(news) = self.news.try_recv() {
            self.talker.news(&news);
        }
        if let Ok(carried) = carried {
            carried.finish().await;
        }
        Ok(ends)
    }
}

fn answers(shared: &Shared) -> anyhow::Result<Answers> {
    let registries = metrics::registries(shared.clone())?;
    let (is_ready, seen) = (shared.clone(), shared.clone());
    let started_us = Clock::unix_us();
    let status = move || Status::new(&seen.streams(), started_us).to_json();
    Ok(Answers::new(move || registries.gather(), move || is_ready.is_ready(), status))
}

async fn serve(listener: TcpListener, answers: Answers) {
    if let Err(error) = http::serve(listener, answers, std::future::pending()).await {
        tracing::warn!(%error, "metrics are no longer served");
    }
}

const PROGRESS_EVERY: Duration = Duration::from_secs(1);
