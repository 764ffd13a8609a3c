//! What is not the data path, on one thread: the control socket and HTTP.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Context;
use host::clock::Clock;
use host::control::ControlSocket;
use host::http::{self, Answers};
use host::shutdown::Shutdown;
use tokio::time::{MissedTickBehavior, interval};

use crate::admission::Caller;
use crate::config::{Config, ControlConfig, KeyFile};
use crate::control::listener::{self, Answering};
use crate::metrics;
use crate::new_keys::{NewKeys, SharedKeys};
use crate::output::Crew;
use crate::querier::{LISTEN_EVERY, Queriers};
use crate::snapshot::Published;
use crate::status::PageStatus;
use crate::subscriber::Command;

/// Sockets that are open, and nobody serves yet.
pub(crate) struct Service {
    control: Option<ControlSocket>,
    http: Option<(TcpListener, Answers)>,
    answering: Answering,
    caller: Option<Caller>,
    key_file: Option<KeyFile>,
}

/// The thread that serves.
pub(crate) struct Running {
    thread: Option<JoinHandle<()>>,
    end: Shutdown,
}

impl Service {
    /// Opens what `config` names, so that what is in use is found before anything is joined.
    pub(crate) fn open(
        config: &Config,
        published: &Arc<Published>,
        commands: Sender<Command>,
        crew: Crew,
    ) -> anyhow::Result<Self> {
        let answering = Answering {
            defaults: config.defaults.clone(),
            keys: SharedKeys::new(config.defaults.keys.clone()),
            is_stdout_taken: config.json,
            published: Arc::clone(published),
            commands,
            crew,
        };
        Ok(Self {
            control: open_control(config)?,
            http: open_http(config, published)?,
            answering,
            caller: None,
            key_file: config.key_file.clone(),
        })
    }

    /// Has `caller` ask to be admitted.
    pub(crate) fn calling(self, caller: Option<Caller>) -> Self {
        Self { caller, ..self }
    }

    /// Serves from now on.
    pub(crate) fn start(self) -> io::Result<Running> {
        let end = Shutdown::new();
        let is_idle = self.control.is_none() && self.http.is_none();
        if is_idle && self.caller.is_none() && self.key_file.is_none() {
            return Ok(Running { thread: None, end });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ending = end.clone();
        let thread = thread::Builder::new()
            .name("service".to_owned())
            .spawn(move || runtime.block_on(self.serve(&ending)))?;
        Ok(Running { thread: Some(thread), end })
    }

    async fn serve(self, end: &Shutdown) {
        let Self { control, http, answering, caller, key_file } = self;
        let keys = NewKeys::of(&answering);
        let reload = async {
            if let Some(file) = key_file {
                tokio::select! {
                    () = keys.follow(file) => {}
                    () = end.requested() => {}
                }
            }
        };
        let admission = async {
            if let Some(caller) = caller {
                caller.run(end.requested()).await;
            }
        };
        let (published, is_asked) = (Arc::clone(&answering.published), http.is_some());
        let queriers = async {
            tokio::select! {
                () = watch_queriers(&published), if is_asked => {}
                () = end.requested() => {}
            }
        };
        let control = async {
            let answering = &answering;
            let answer = async move |line: String| answering.answer(&line).await;
            if let Some(control) = control
                && let Err(error) = control.serve(answer, end.requested()).await
            {
                tracing::warn!(%error, "nothing can be joined or left any longer");
            }
        };
        let http = async {
            if let Some((listener, answers)) = http
                && let Err(error) = http::serve(listener, answers, end.requested()).await
            {
                tracing::warn!(%error, "metrics are not served any longer");
            }
        };
        tokio::join!(control, http, queriers, reload, admission);
    }
}

impl Running {
    /// Ends it, and waits until the control socket's path is gone.
    pub(crate) fn end(self) {
        self.end.request();
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::debug!("the service thread ended unexpectedly");
        }
    }
}

async fn watch_queriers(published: &Published) {
    let mut queriers = Queriers::default();
    let mut every = interval(LISTEN_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        published.set_queriers(queriers.listen(&published.streams(), Instant::now()));
    }
}

fn open_control(config: &Config) -> anyhow::Result<Option<ControlSocket>> {
    let Some(control) = &config.control else { return Ok(None) };
    match listener::open(control) {
        Ok(socket) => Ok(Some(socket)),
        // Nobody asked for it by name: a machine without a runtime directory goes without.
        Err(error) if *control == ControlConfig::Process => {
            tracing::warn!(%error, "no control socket: nothing can be joined or left at run time");
            Ok(None)
        }
        Err(error) => Err(error).context("the control socket cannot be opened"),
    }
}

fn open_http(
    config: &Config,
    published: &Arc<Published>,
) -> anyhow::Result<Option<(TcpListener, Answers)>> {
    let Some(address) = config.metrics else { return Ok(None) };
    if address.is_open() && config.metrics_token.is_none() {
        tracing::warn!(
            %address,
            "anyone who reaches this address may read the metrics: give a --metrics-token-file"
        );
    }
    let registries = metrics::register(Arc::clone(published)).context("metrics")?;
    let unauthorized = registries.unauthorized();
    let (ready, seen) = (Arc::clone(published), Arc::clone(published));
    let started_us = Clock::unix_us();
    let status = move || PageStatus::new(&seen, started_us).to_json();
    let answers = Answers::new(move || registries.gather(), move || ready.is_ready(), status);
    let answers = answers.with_token(config.metrics_token.clone(), unauthorized);
    let listener = http::bind(address)?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics");
    Ok(Some((listener, answers)))
}
