//! What becomes of what the publisher says.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use proto::SubscriberId;
use proto::admission::{Admitted, FromPublisher, Refusal, Removal};
use proto::seal::Keyring;
use proto::sign::PublicKey;
use proto::wire::Name;

use super::Notice;
use super::place::{Misplaced, subscription};
use crate::config::{AdmissionConfig, Defaults};
use crate::output::Crew;
use crate::subscriber::Command;
use crate::subscription::Prepared;

/// Hands on to the receive thread what the publisher says.
pub(super) struct Hearing {
    pub(super) config: AdmissionConfig,
    pub(super) subscriber: SubscriberId,
    pub(super) defaults: Defaults,
    pub(super) commands: Sender<Command>,
    pub(super) crew: Crew,
    /// Streams that were given, and how they stand.
    streams: BTreeMap<Name, Standing>,
    /// How many were subscribed to so far.
    subscribed: u64,
}

/// How a stream stands that was given or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is subscribed to.
    Open,
    /// It was, or never will be.
    Over,
}

/// What is to be done then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    GoOn,
    /// The publisher is told that the stream is not wanted.
    Leave(Name),
    /// There is no room; later there may be.
    TryLater,
    /// Nothing more is to be asked for.
    End,
}

impl Hearing {
    pub(super) fn new(
        config: AdmissionConfig,
        subscriber: SubscriberId,
        defaults: Defaults,
        commands: Sender<Command>,
        crew: Crew,
    ) -> Self {
        let streams = BTreeMap::new();
        Self { config, subscriber, defaults, commands, crew, streams, subscribed: 0 }
    }

    /// The streams to ask for: those that are wanted and not over.
    pub(super) fn wanted(&self) -> Vec<Name> {
        let names = self.config.streams.iter().map(|wanted| &wanted.name);
        let is_over = |name: &&Name| self.streams.get(*name) == Some(&Standing::Over);
        names.filter(|name| !is_over(name)).cloned().collect()
    }

    /// Whether all that was wanted is over.
    pub(super) fn is_over(&self) -> bool {
        !self.config.streams.is_empty() && self.wanted().is_empty() && self.open().next().is_none()
    }

    /// The streams that are subscribed to.
    pub(super) fn open(&self) -> impl Iterator<Item = &Name> {
        self.streams
            .iter()
            .filter(|(_, standing)| **standing == Standing::Open)
            .map(|(name, _)| name)
    }

    /// Takes what the publisher says.
    pub(super) fn hear(&mut self, said: FromPublisher) -> Next {
        match said {
            FromPublisher::Admitted(admitted) => self.on_admitted(&admitted),
            FromPublisher::Rekey(rekey) => {
                tracing::debug!(stream = %rekey.stream, epoch = rekey.epoch, "the next key");
                self.command(Command::Key(Some(rekey.stream), rekey.epoch, rekey.key));
                Next::GoOn
            }
            FromPublisher::Refused(refused) => self.on_refused(refused.stream, refused.reason),
            FromPublisher::Removed(removed) => {
                let why = match removed.reason {
                    Removal::Kicked => "the publisher's operator removed this subscriber",
                    Removal::NotAuthorized => "this subscriber is no longer authorized",
                };
                let why = format!("{why} from stream {}", removed.stream);
                self.streams.insert(removed.stream.clone(), Standing::Over);
                self.command(Command::Shut(Some(removed.stream), why));
                self.next()
            }
            FromPublisher::Alive => Next::GoOn,
        }
    }

    /// Takes what the receive thread tells.
    pub(super) fn on_notice(&mut self, notice: &Notice) {
        if let Notice::Left(stream) = notice {
            self.streams.insert(stream.clone(), Standing::Over);
        }
    }

    fn on_admitted(&mut self, admitted: &Admitted) -> Next {
        let (stream, epoch) = (&admitted.stream, admitted.epoch);
        let standing = self.streams.get(stream);
        if standing == Some(&Standing::Open) {
            // The connection was made anew, and the key may be.
            self.command(Command::Key(Some(stream.clone()), epoch, admitted.key.clone()));
            return Next::GoOn;
        }
        match self.prepare(admitted) {
            Ok(prepared) => {
                tracing::info!(%stream, epoch, "admitted");
                self.streams.insert(stream.clone(), Standing::Open);
                self.command(Command::Admit(stream.clone(), Box::new(prepared)));
                Next::GoOn
            }
            Err(why) => {
                self.streams.insert(stream.clone(), Standing::Over);
                if self.config.wants(stream).is_some() {
                    self.command(Command::Shut(Some(stream.clone()), why));
                } else {
                    tracing::warn!(%stream, "not taken: {why}");
                }
                Next::Leave(stream.clone())
            }
        }
    }

    fn prepare(&mut self, admitted: &Admitted) -> Result<Prepared, String> {
        // What is said to one session by one subscriber never has the same number twice.
        let first_number = self.subscribed << NUMBERS_LOG2;
        self.subscribed += 1;
        let verify = self.defaults.verify.or(admitted.verify.map(PublicKey::new));
        let defaults = Defaults {
            verify,
            stream: Some(admitted.stream.clone()),
            speaker: Some((self.subscriber, first_number)),
            keys: Some(Keyring::of_epoch(admitted.epoch, admitted.key.clone())),
            ..self.defaults.clone()
        };
        let config = subscription(&self.config, defaults, admitted);
        let config = config.map_err(|error: Misplaced| error.to_string())?;
        Prepared::new(config, self.crew.clone()).map_err(|error| error.to_string())
    }

    fn on_refused(&mut self, stream: Option<Name>, reason: Refusal) -> Next {
        if stream.is_none() && reason == Refusal::Full {
            tracing::warn!("the publisher has no room for another subscriber now");
            return Next::TryLater;
        }
        let why = match reason {
            Refusal::NotAuthorized => {
                "the publisher does not let this subscriber in: its public key is to be in the \
                 file that --authorized names there, or --admission-token-file is to hold the \
                 same token"
            }
            Refusal::UnknownStream => "the publisher has no stream of this name for it",
            Refusal::Full => "the publisher has no room for another subscriber",
            Refusal::Removed => {
                "the publisher's operator removed this subscriber: only publisher admit lets it in \
                 again"
            }
            Refusal::Version => {
                "the publisher speaks another version of admission: have both ends run the same \
                 release"
            }
        };
        let why =
            stream.as_ref().map_or(why.to_owned(), |stream| format!("stream {stream}: {why}"));
        let is_all = stream.is_none();
        if let Some(stream) = &stream {
            self.streams.insert(stream.clone(), Standing::Over);
        }
        self.command(Command::Shut(stream, why));
        if is_all { Next::End } else { self.next() }
    }

    fn next(&self) -> Next {
        if self.is_over() { Next::End } else { Next::GoOn }
    }

    /// Tells the receive thread.
    pub(super) fn command(&self, command: Command) {
        // One that has ended wants to know nothing.
        drop(self.commands.send(command));
        self.crew.waker.wake();
    }
}

/// No subscription says more than so many datagrams, as a power of two: 2^24 of them find room.
const NUMBERS_LOG2: u32 = 40;
