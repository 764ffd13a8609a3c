//! How people and subscribers reach a running publisher, beside its streams: admission, and the
//! operator's socket.

use anyhow::Context;
use host::control::ControlSocket;
use tokio::sync::mpsc;

use crate::admission::{Admission, Listener};
use crate::config::Config;
use crate::operator::{self, Operator};
use crate::reload::Commands;
use crate::report::News;

/// Sockets that are open, and nobody serves yet.
pub(crate) struct Entrance {
    admission: Option<(Admission, Listener)>,
    operator: Option<(Operator, ControlSocket)>,
}

impl Entrance {
    /// Opens what `config` names.
    ///
    /// # Errors
    ///
    /// When an address or a path is in use.
    pub(crate) fn open(
        config: &Config,
        commands: &Commands,
        news: &mpsc::Sender<News>,
    ) -> anyhow::Result<Self> {
        let admission = match &config.admission {
            Some(admission) => {
                let listener = Listener::bind(admission)?;
                let (address, public_key) = (listener.address()?, admission.identity.public());
                tracing::info!(%address, %public_key, "subscribers are let in here");
                let (commands, news) = (commands.clone(), news.clone());
                Some((Admission::new(admission, address, commands, news), listener))
            }
            None => None,
        };
        let operator = operator::open(&config.operator)?.map(|socket| {
            let admission = admission.as_ref().map(|(admission, _)| admission.clone());
            (Operator::new(config, admission), socket)
        });
        Ok(Self { admission, operator })
    }

    /// `config`, with a key for each stream that subscribers are admitted to.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub(crate) fn seal(&self, config: &Config) -> anyhow::Result<Config> {
        let Some((admission, _)) = &self.admission else { return Ok(config.clone()) };
        let streams = config.streams.iter().map(|stream| admission.seal(stream.clone()));
        let streams = streams.collect::<Result<_, _>>();
        let streams = streams.context("the system gives no random numbers")?;
        Ok(Config { streams, ..config.clone() })
    }

    /// Who lets subscribers in.
    pub(crate) fn admission(&self) -> Option<Admission> {
        self.admission.as_ref().map(|(admission, _)| admission.clone())
    }

    /// Lets in and obeys, on tasks of their own.
    pub(crate) fn serve(self) {
        if let Some((admission, listener)) = self.admission {
            let clock = admission.clone();
            tokio::spawn(async move { clock.keep_time().await });
            tokio::spawn(async move {
                if let Err(error) = listener.serve(admission).await {
                    tracing::error!(%error, "nobody is let in any longer");
                }
            });
        }
        if let Some((operator, socket)) = self.operator {
            tokio::spawn(async move {
                let answer = |line: String| std::future::ready(operator.answer(&line));
                if let Err(error) = socket.serve(answer, std::future::pending()).await {
                    tracing::warn!(%error, "nobody can be kicked or admitted any longer");
                }
            });
        }
    }
}
