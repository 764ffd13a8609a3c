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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use host::poller::Poller;
    use host::workers::Workers;
    use proto::StreamId;
    use proto::admission::{EndpointText, Refused, Rekey, Removed};
    use proto::seal::Key;
    use proto::wire::List;

    use super::*;
    use crate::admission::Admission;
    use crate::config::StreamWanted;
    use crate::output::OutputSpec;

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    /// A hearing of who wants these streams, and what the receive thread is told.
    fn hearing(streams: &[&str]) -> (Hearing, Receiver<Command>) {
        let wanted = |stream: &&str| StreamWanted {
            name: name(stream),
            output: OutputSpec::File("/dev/null".into()),
            endpoint: None,
            fallback: None,
            interface: Some("lo".parse().unwrap()),
            on_full: None,
        };
        let admission = Admission::at("127.0.0.1:1", &"ab".repeat(32)).unwrap();
        let streams = streams.iter().map(wanted).collect();
        let config = AdmissionConfig { admission, streams, pattern: None };
        let waker = Poller::new().unwrap().waker();
        let crew = Crew { waker, writers: Workers::new("test").unwrap() };
        let (commands, told) = channel();
        let hearing = Hearing::new(config, SubscriberId(7), Defaults::default(), commands, crew);
        (hearing, told)
    }

    fn admitted(stream: &str, epoch: u8) -> FromPublisher {
        let group = "udp://239.255.41.9:5009".parse().unwrap();
        FromPublisher::Admitted(Box::new(Admitted {
            stream: name(stream),
            stream_id: StreamId::of_name(stream),
            endpoints: List::truncated([EndpointText::try_from(&group).unwrap()]),
            epoch,
            key: Key::new([epoch; 32]),
            verify: None,
        }))
    }

    fn refused(stream: Option<&str>, reason: Refusal) -> FromPublisher {
        FromPublisher::Refused(Refused { stream: stream.map(name), reason })
    }

    /// What the receive thread was told, in a word each.
    fn words(told: &Receiver<Command>) -> Vec<String> {
        let word = |command| match command {
            Command::Admit(stream, prepared) => {
                let (id, first) = prepared.defaults().speaker.unwrap();
                format!("admit {stream} as {} from {}", id.0, first >> NUMBERS_LOG2)
            }
            Command::Key(stream, epoch, _) => format!("key {epoch} of {}", stream.unwrap()),
            Command::Shut(stream, _) => format!("shut {stream:?}"),
            Command::Join(..) | Command::Leave(..) => panic!("{command:?}"),
        };
        told.try_iter().map(word).collect()
    }

    #[test]
    fn a_stream_is_joined_once_and_handed_keys_after_that() {
        let (mut hearing, told) = hearing(&["tv"]);
        assert_eq!(hearing.hear(admitted("tv", 1)), Next::GoOn);
        assert_eq!(words(&told), ["admit tv as 7 from 0"]);
        let rekey = Rekey { stream: name("tv"), epoch: 2, key: Key::new([2; 32]) };
        assert_eq!(hearing.hear(FromPublisher::Rekey(rekey)), Next::GoOn);
        // The connection was made anew.
        assert_eq!(hearing.hear(admitted("tv", 3)), Next::GoOn);
        assert_eq!(words(&told), ["key 2 of tv", "key 3 of tv"]);
        assert_eq!((hearing.wanted(), hearing.is_over()), (vec![name("tv")], false));
        hearing.on_notice(&Notice::Left(name("tv")));
        assert_eq!((hearing.wanted(), hearing.is_over()), (vec![], true));
        // Its numbers go on, so that none is said twice under one key.
        assert_eq!(hearing.hear(admitted("tv", 4)), Next::GoOn);
        assert_eq!(words(&told), ["admit tv as 7 from 1"]);
    }

    #[test]
    fn what_is_refused_or_taken_away_is_shut_and_not_asked_for_again() {
        let (mut hearing, told) = hearing(&["tv", "radio"]);
        let unknown = refused(Some("tv"), Refusal::UnknownStream);
        assert_eq!(hearing.hear(unknown), Next::GoOn, "there is another");
        assert_eq!(hearing.wanted(), [name("radio")]);
        assert_eq!(hearing.hear(admitted("radio", 1)), Next::GoOn);
        let removed = Removed { stream: name("radio"), reason: Removal::Kicked };
        assert_eq!(hearing.hear(FromPublisher::Removed(removed)), Next::End);
        let shut = |name| format!("shut {:?}", Some(self::name(name)));
        assert_eq!(words(&told), [shut("tv"), "admit radio as 7 from 0".to_owned(), shut("radio")]);
    }

    #[test]
    fn who_is_not_let_in_ends_and_who_finds_no_room_waits() {
        let (mut hearing, told) = hearing(&["tv"]);
        assert_eq!(hearing.hear(refused(None, Refusal::Full)), Next::TryLater);
        assert_eq!(words(&told).len(), 0);
        for reason in [Refusal::NotAuthorized, Refusal::Removed, Refusal::Version] {
            assert_eq!(hearing.hear(refused(None, reason)), Next::End);
            assert_eq!(words(&told), ["shut None"]);
        }
    }

    #[test]
    fn what_was_not_asked_for_and_has_no_output_is_left() {
        let (mut hearing, told) = hearing(&["tv"]);
        assert_eq!(hearing.hear(admitted("news", 1)), Next::Leave(name("news")));
        assert_eq!(words(&told).len(), 0, "the others go on");
    }
}
