//! The connection to the publisher's admission: made, held, and made again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::Context;
use host::tls;
use proto::SubscriberId;
use proto::admission::{FromSubscriber, Hello, KeyWanted, Leave};
use proto::wire::{List, Name};
use rustls::ClientConfig;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, interval_at, sleep_until};

use super::Notice;
use super::backoff::Backoff;
use super::hearing::{Hearing, Next};
use super::talk::{ALIVE_EVERY, SILENCE, Talk, TalkError};
use crate::chance;
use crate::config::Config;
use crate::output::Crew;
use crate::subscriber::{Awaited, Command};

/// Asks to be admitted, and asks again, until there is nothing left to ask for.
pub(crate) struct Caller {
    tls: Arc<ClientConfig>,
    hearing: Hearing,
    notices: UnboundedReceiver<Notice>,
    backoff: Backoff,
    /// Whether the publisher has ever said anything.
    was_heard: bool,
    /// What was complained of since it was heard last.
    told: Option<String>,
}

/// How a connection ended that did not fail.
enum Over {
    /// It is to be made again.
    Again,
    /// It is not.
    ForGood,
}

impl Caller {
    /// What `config` asks for, if it does, and what the receive thread is to wait for.
    pub(crate) fn of(
        config: &Config,
        commands: &Sender<Command>,
        crew: &Crew,
    ) -> anyhow::Result<Option<(Self, Awaited)>> {
        let Some(admission) = &config.admission else { return Ok(None) };
        let shown = &admission.admission;
        let tls = tls::client(shown.identity.as_ref(), shown.publisher);
        let tls = tls.context("TLS as admission needs it is not to be had")?;
        let (tell, notices) = unbounded_channel();
        let awaited = Awaited {
            streams: admission.streams.iter().map(|wanted| wanted.name.clone()).collect(),
            is_open: admission.streams.is_empty(),
            notices: Some(tell),
        };
        let subscriber = SubscriberId(chance::number());
        let hearing = Hearing::new(
            admission.clone(),
            subscriber,
            config.defaults.clone(),
            commands.clone(),
            crew.clone(),
        );
        let backoff = Backoff::default();
        Ok(Some((Self { tls, hearing, notices, backoff, was_heard: false, told: None }, awaited)))
    }

    /// Asks until `end` is ready, or nothing is left to ask for.
    pub(crate) async fn run(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            match self.call(end.as_mut()).await {
                Ok(Over::ForGood) => return,
                Ok(Over::Again) => {}
                Err(error) if error.is_for_good() && !self.was_heard => {
                    let why = format!("no admission: {error}");
                    return self.hearing.command(Command::Shut(None, why));
                }
                Err(error) => self.complain(&error),
            }
            let mut until = Instant::now() + self.backoff.wait();
            loop {
                tokio::select! {
                    () = &mut end => return,
                    () = sleep_until(until) => break,
                    Some(notice) = self.notices.recv() => {
                        self.hearing.on_notice(&notice);
                        if matches!(notice, Notice::KeyWanted(..)) {
                            // Something is sent, so that a publisher is there again.
                            until = until.min(Instant::now() + Backoff::default().wait());
                        }
                    }
                }
            }
            if self.hearing.is_over() {
                return;
            }
        }
    }

    /// Says once why it does not work.
    fn complain(&mut self, error: &TalkError) {
        let address = &self.hearing.config.admission.address;
        let streams = self.hearing.open().count();
        if self.told.replace(error.to_string()).is_some_and(|told| told == error.to_string()) {
            return tracing::debug!(address, streams, "admission: {error}");
        }
        tracing::warn!(
            address,
            streams,
            "admission: {error}; it is tried again, and streams go on until their keys change"
        );
    }

    /// One connection, from the first word to the last.
    async fn call(
        &mut self,
        mut end: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Over, TalkError> {
        let address = self.hearing.config.admission.address.clone();
        let mut talk = tokio::select! {
            () = &mut end => return Ok(Over::ForGood),
            talk = Talk::begin(&address, Arc::clone(&self.tls)) => talk?,
        };
        talk.say(&self.hello()).await?;
        let mut heard = Instant::now();
        let mut alive = interval_at(heard + ALIVE_EVERY, ALIVE_EVERY);
        loop {
            let next = tokio::select! {
                () = &mut end => {
                    self.leave_all(&mut talk).await;
                    talk.end().await;
                    return Ok(Over::ForGood);
                }
                said = talk.hear() => {
                    heard = Instant::now();
                    if !self.was_heard || self.told.is_some() {
                        tracing::info!(address, "the publisher's admission answers");
                    }
                    (self.was_heard, self.told) = (true, None);
                    self.backoff = Backoff::default();
                    self.hearing.hear(said?)
                }
                Some(notice) = self.notices.recv() => {
                    self.hearing.on_notice(&notice);
                    talk.say(&spoken(notice)).await?;
                    if self.hearing.is_over() { Next::End } else { Next::GoOn }
                }
                _ = alive.tick() => {
                    talk.say(&FromSubscriber::Alive).await?;
                    Next::GoOn
                }
                () = sleep_until(heard + SILENCE) => return Err(TalkError::Silent),
            };
            match next {
                Next::GoOn => {}
                Next::Leave(stream) => talk.say(&leave(stream)).await?,
                Next::TryLater => {
                    self.backoff.be_patient();
                    talk.end().await;
                    return Ok(Over::Again);
                }
                Next::End => {
                    talk.end().await;
                    return Ok(Over::ForGood);
                }
            }
        }
    }

    fn hello(&self) -> FromSubscriber {
        let hearing = &self.hearing;
        FromSubscriber::Hello(Hello {
            subscriber: hearing.subscriber,
            name: hearing.defaults.name.clone(),
            token: hearing.config.admission.token.clone(),
            streams: List::truncated(hearing.wanted()),
        })
    }

    /// So that the publisher need not wait whether it comes back.
    async fn leave_all(&mut self, talk: &mut Talk) {
        let open: Vec<Name> = self.hearing.open().cloned().collect();
        for stream in open {
            // A publisher that has gone knows anyway.
            if talk.say(&leave(stream)).await.is_err() {
                return;
            }
        }
    }
}

fn spoken(notice: Notice) -> FromSubscriber {
    match notice {
        Notice::KeyWanted(stream, have_epoch) => {
            FromSubscriber::KeyWanted(KeyWanted { stream, have_epoch })
        }
        Notice::Left(stream) => leave(stream),
    }
}

fn leave(stream: Name) -> FromSubscriber {
    FromSubscriber::Leave(Leave { stream })
}
