//! The answering side, in a running subscriber.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use host::control::{ControlSocket, directory};
use tokio::sync::oneshot;

use super::{ROLE, Reply, Request};
use crate::config::{ControlConfig, Defaults, SubscriptionConfig};
use crate::endpoint;
use crate::new_keys::SharedKeys;
use crate::output::{Crew, OnFull, OutputSpec};
use crate::snapshot::Published;
use crate::subscriber::Command;
use crate::subscription::Prepared;

/// Opens the socket where `config` says.
pub(crate) fn open(config: &ControlConfig) -> io::Result<ControlSocket> {
    let named = |name: &str| Ok::<_, io::Error>(directory::socket(&directory::open()?, ROLE, name));
    ControlSocket::open(match config {
        ControlConfig::Path(path) => path.clone(),
        ControlConfig::Name(name) => named(name)?,
        ControlConfig::Process => named(&std::process::id().to_string())?,
    })
}

/// What it takes to answer.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) defaults: Defaults,
    pub(crate) keys: SharedKeys,
    /// Stdout carries events, so that no payload may go there.
    pub(crate) is_stdout_taken: bool,
    pub(crate) published: Arc<Published>,
    pub(crate) commands: Sender<Command>,
    pub(crate) crew: Crew,
}

impl Answering {
    /// What is answered to a line.
    pub(crate) async fn answer(&self, line: &str) -> Vec<u8> {
        let reply = match serde_json::from_str(line) {
            Ok(request) => self.reply_to(request).await,
            Err(error) => Reply::refused(format!("no such request: {error}")),
        };
        // No map of it has keys that are not text: this cannot fail.
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    async fn reply_to(&self, request: Request) -> Reply {
        match request {
            Request::Join { endpoint, output, on_full } => {
                self.join(&endpoint, &output, on_full).await.into()
            }
            Request::Leave { endpoint } => self.leave(&endpoint).await.into(),
            Request::Status => Reply { streams: Some(self.published.status()), ..Reply::done() },
        }
    }

    async fn join(
        &self,
        endpoint: &str,
        output: &str,
        on_full: Option<OnFull>,
    ) -> Result<(), String> {
        let output: OutputSpec = output.parse().map_err(|error| format!("{error}"))?;
        if output == OutputSpec::Stdout && self.is_stdout_taken {
            return Err("stdout carries the events of --json: name a file with -o".to_owned());
        }
        let taken = |status: &crate::snapshot::Status| status.output == output.to_string();
        if !output.is_nowhere() && self.published.status().iter().any(taken) {
            return Err(format!("another subscription writes to {output} already"));
        }
        let (endpoint, interface) = endpoint::parse(endpoint).map_err(|error| error.to_string())?;
        let mut defaults = self.defaults.clone();
        defaults.keys = self.keys.get();
        defaults.interface = interface.or(defaults.interface);
        let config = SubscriptionConfig { on_full, ..defaults.subscription(endpoint, output) };
        let prepared =
            Prepared::new(config, self.crew.clone()).map_err(|error| error.to_string())?;
        self.command(|answer| Command::Join(Box::new(prepared), answer)).await
    }

    async fn leave(&self, endpoint: &str) -> Result<(), String> {
        let (endpoint, _) = endpoint::parse(endpoint).map_err(|error| error.to_string())?;
        self.command(|answer| Command::Leave(endpoint, answer)).await
    }

    async fn command(
        &self,
        make: impl FnOnce(crate::subscriber::Answer) -> Command,
    ) -> Result<(), String> {
        let ending = || "the subscriber is ending".to_owned();
        let (answer, answered) = oneshot::channel();
        self.commands.send(make(answer)).map_err(|_| ending())?;
        self.crew.waker.wake();
        answered.await.map_err(|_| ending())?
    }
}
