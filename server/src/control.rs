//! The thread that is not the data path: news, progress, metrics.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use host::clock::Clock;
use host::http::{self, Answers};
use host::poller::Waker;
use host::supervisor::{Supervisor, Vitals};
use host::token::Token;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at};

use crate::admission::Admission;
use crate::entrance::Entrance;
use crate::metrics;
use crate::publisher::StreamEnd;
use crate::reload::{Follower, Reloader};
use crate::report::News;
use crate::snapshot::Shared;
use crate::status::Status;
use crate::talker::{Talker, in_a_line};
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
    entrance: Entrance,
    follower: Follower,
}

/// Where subscribers connect, and who is told of them.
pub(crate) struct Doors {
    pub(crate) listeners: Listeners,
    pub(crate) waker: Waker,
}

/// What the data thread does, as it tells it.
pub(crate) struct Told {
    pub(crate) shared: Shared,
    pub(crate) news: mpsc::Receiver<News>,
}

impl Control {
    pub(crate) fn new(
        Told { shared, news }: Told,
        listener: Option<TcpListener>,
        (doors, entrance): (Doors, Entrance),
        follower: Follower,
    ) -> anyhow::Result<Self> {
        let mut talker = Talker::new(follower.current.talk);
        let serving = match listener {
            Some(listener) => {
                let address = listener.local_addr()?;
                tracing::info!(%address, "serving metrics");
                talker.news(&News::Serving { metrics: address.to_string() });
                let token = follower.current.metrics_token.clone();
                Some((listener, answers(&shared, entrance.admission(), token)?))
            }
            None => None,
        };
        Ok(Self { shared, news, talker, serving, doors, entrance, follower })
    }

    /// By what the data thread is seen to live.
    pub(crate) fn vitals(&self) -> Vitals {
        let (copies, seen) = (self.shared.clone(), self.shared.clone());
        Vitals {
            turns: Box::new(move || copies.copies()),
            waker: self.doors.waker.clone(),
            status: Box::new(move || in_a_line(&seen.streams())),
        }
    }

    /// Has the config read again whenever `reloader` says, and `supervisor` told.
    pub(crate) fn follow(&mut self, reloader: Option<Reloader>, supervisor: Supervisor) {
        self.follower.reloader = reloader;
        self.follower.supervisor = supervisor;
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
        self.entrance.serve();
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
                () = self.follower.requested() => {
                    if let Some(news) = self.follower.reload().await {
                        self.talker.news(&news);
                    }
                }
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

fn answers(
    shared: &Shared,
    admission: Option<Admission>,
    token: Option<Token>,
) -> anyhow::Result<Answers> {
    let registries = metrics::registries(shared.clone(), admission.clone())?;
    let unauthorized = registries.unauthorized();
    let (is_ready, seen) = (shared.clone(), shared.clone());
    let started_us = Clock::unix_us();
    let admitted = move || admission.as_ref().map(Admission::view);
    let status = move || Status::new(&seen.streams(), admitted(), started_us).to_json();
    let answers = Answers::new(move || registries.gather(), move || is_ready.is_ready(), status);
    Ok(answers.with_token(token, unauthorized))
}

async fn serve(listener: TcpListener, answers: Answers) {
    if let Err(error) = http::serve(listener, answers, std::future::pending()).await {
        tracing::warn!(%error, "metrics are no longer served");
    }
}

const PROGRESS_EVERY: Duration = Duration::from_secs(1);
