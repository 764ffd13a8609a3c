//! With a key: seals what leaves, opens what subscribers say (docs/PROTOCOL.md §4.13).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Destination, Event, Sender};
use crate::seal::{
    Cause, Cipher, ReplayWindow, Secrets, TAG_LEN, Unbelieved, check_unsealed, speaker_of,
};
use crate::wire::{self, Announce, Body, Discard, FLAG_ECHO_ONLY, Header, Register};
use crate::{SenderConfig, SessionId, StreamId, SubscriberId, Timestamp};

/// What a sender that has a key needs.
#[derive(Debug)]
pub(super) struct Guard {
    secrets: Secrets,
    session: Cipher,
    speakers: Speakers,
}

impl Guard {
    /// `None` without a key.
    pub(super) fn new(config: &SenderConfig) -> Option<Self> {
        let secrets = Secrets::new(config.keys.as_ref()?);
        let session = secrets.session(secrets.newest(), config.stream, config.session)?;
        Some(Self { secrets, session, speakers: Speakers::default() })
    }

    /// Opens what a subscriber says in `session`.
    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        stream: StreamId,
        session: SessionId,
    ) -> Result<&'a mut [u8], Unbelieved> {
        let (header, _) = wire::decode_header(datagram)?;
        let is_knock = session == SessionId(0) && header.stream == StreamId(0);
        if header.stream != stream && !is_knock {
            return Err(Discard::ForeignStream.into());
        }
        if header.session != session {
            return Err(Discard::ForeignSession.into());
        }
        if !header.kind.is_feedback() {
            return Err(Discard::Direction.into());
        }
        if header.key_epoch == 0 {
            return Err(Cause::Unsealed.into());
        }
        let speaker = speaker_of(datagram).ok_or(Discard::Truncated)?;
        self.speakers.open(datagram, &header, speaker, &self.secrets)
    }
}

/// The keys of those that spoke, and what they said.
#[derive(Debug, Default)]
struct Speakers {
    /// Those that spoke last.
    recent: BTreeMap<Mouth, Speaker>,
    /// Those that were the last before them; who speaks again moves over.
    before: BTreeMap<Mouth, Speaker>,
}

/// Epoch, stream, session and subscriber: what a key is made of.
type Mouth = (u8, StreamId, SessionId, SubscriberId);

#[derive(Debug)]
struct Speaker {
    cipher: Cipher,
    numbers: ReplayWindow<2>,
}

impl Speakers {
    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        header: &Header,
        speaker: SubscriberId,
        secrets: &Secrets,
    ) -> Result<&'a mut [u8], Unbelieved> {
        let mouth = (header.key_epoch, header.stream, header.session, speaker);
        if let Some(known) = self.recent.get_mut(&mouth) {
            let opened = known.cipher.open(datagram).ok_or(Cause::WrongKey)?;
            return if known.numbers.take(header.number) {
                Ok(opened)
            } else {
                Err(Cause::Replayed.into())
            };
        }
        // Nothing is kept, and nothing moved, for who has no key.
        let derived = || secrets.feedback(mouth.0, mouth.1, mouth.2, speaker);
        let opened = match self.before.get(&mouth) {
            Some(known) => known.cipher.open(datagram).ok_or(Cause::WrongKey)?,
            None => derived().ok_or(Cause::Epoch)?.open(datagram).ok_or(Cause::WrongKey)?,
        };
        let known = self.before.remove(&mouth);
        let new = || Some(Speaker { cipher: derived()?, numbers: ReplayWindow::default() });
        let mut known = known.or_else(new).ok_or(Cause::Epoch)?;
        let is_new = known.numbers.take(header.number);
        if self.recent.len() >= GENERATION {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(mouth, known);
        if is_new { Ok(opened) } else { Err(Cause::Replayed.into()) }
    }
}

impl Sender {
    /// What sealing adds to a datagram, in bytes.
    pub(super) fn tag_len(&self) -> usize {
        if self.guard.is_some() { TAG_LEN } else { 0 }
    }

    /// The epoch whose key seals what leaves; 0 without a key.
    pub(super) fn key_epoch(&self) -> u8 {
        self.guard.as_ref().map_or(0, |guard| guard.secrets.newest())
    }

    /// Seals the packet that was written from `start` on, if there is a key.
    pub(super) fn seal(&self, start: usize, datagrams: &mut Vec<u8>) {
        if let Some(guard) = &self.guard {
            guard.session.seal(start, datagrams);
        }
    }

    /// Opens what was said in `session`; what is not believed is counted, and told once.
    pub(super) fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        session: SessionId,
        from: SocketAddr,
    ) -> Option<&'a mut [u8]> {
        let opened = match &mut self.guard {
            Some(guard) => guard.open(datagram, self.config.stream, session),
            None => check_unsealed(datagram).map(|()| datagram),
        };
        opened.map_err(|why| self.disbelieve(why, from)).ok()
    }

    fn disbelieve(&mut self, why: Unbelieved, from: SocketAddr) {
        match why {
            Unbelieved::Counted(reason) => self.stats.discarded.add(reason),
            Unbelieved::Told(cause) => {
                self.stats.discarded.add(cause.reason());
                if self.causes_told.add(cause) {
                    self.events.push_back(Event::NotBelieved { cause, from });
                }
            }
        }
    }

    /// Whether only the echo is asked for. It would prove nothing without a key.
    pub(super) fn wants_echo(&self, header: &Header) -> bool {
        self.guard.is_some() && header.flags & FLAG_ECHO_ONLY != 0
    }

    /// Shows a fresh subscriber that the session is no recording: sends its nonce back, sealed.
    pub(super) fn echo(
        &mut self,
        register: &Register,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        // Who begins only now has yet to ask for what it lacks.
        self.asked_at = now;
        let nonce_echo = Some(register.nonce);
        let announce = Announce { nonce_echo, ..self.announcement(now) };
        self.say(Destination::Unicast(from), Body::Announce(announce))
    }
}

/// What is known of so many speakers, and of those before them, is kept: more than there is room for
/// subscribers.
const GENERATION: usize = 16_384;
