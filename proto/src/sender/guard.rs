//! With a key: seals what leaves, opens what subscribers say (docs/PROTOCOL.md §4.13).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Destination, Event, Sender};
use crate::seal::{
    Cause, Cipher, Key, ReplayWindow, Secrets, TAG_LEN, Unbelieved, check_unsealed, speaker_of,
};
use crate::wire::{self, Announce, Body, Discard, FLAG_ECHO_ONLY, Header, Register};
use crate::{SenderConfig, SessionId, StreamId, SubscriberId, Timestamp};

/// What a sender that has a key needs.
#[derive(Debug)]
pub(super) struct Guard {
    secrets: Secrets,
    session: Cipher,
    speakers: Speakers,
    /// Epochs before the newest, and when they are over, the next one first.
    ending: VecDeque<(Timestamp, u8)>,
}

impl Guard {
    /// `None` without a key. Takes the keys out of what was configured: what is over is to be
    /// nowhere.
    pub(super) fn new(config: &mut SenderConfig, now: Timestamp) -> Option<Self> {
        let secrets = Secrets::new(&config.keys.take()?);
        let newest = secrets.newest();
        let session = secrets.session(newest, config.stream, config.session)?;
        let over = now.after(OVERLAP_AFTER);
        let before = secrets.epochs().filter(|epoch| *epoch != newest);
        let ending = before.map(|epoch| (over, epoch)).collect();
        Some(Self { secrets, session, speakers: Speakers::default(), ending })
    }

    pub(super) fn epoch(&self) -> u8 {
        self.secrets.newest()
    }

    /// What is sealed from now on is sealed under this key; says whether it is news.
    pub(super) fn rekey(
        &mut self,
        (epoch, key): (u8, Key),
        (stream, session): (StreamId, SessionId),
        now: Timestamp,
    ) -> bool {
        let before = self.secrets.newest();
        if !self.secrets.add(epoch, key) {
            return false;
        }
        let Some(cipher) = self.secrets.session(epoch, stream, session) else { return false };
        self.session = cipher;
        self.ending.retain(|(_, ending)| *ending != epoch);
        self.ending.push_back((now.after(OVERLAP_AFTER), before));
        // An earlier epoch of this number had another key.
        self.speakers.retain(|of| of != epoch && self.secrets.knows(of));
        true
    }

    /// Forgets the epochs that are over.
    fn expire(&mut self, now: Timestamp) {
        while let Some((_, epoch)) = self.ending.pop_front_if(|(over, _)| *over <= now) {
            self.secrets.remove(epoch);
            self.speakers.retain(|of| of != epoch);
        }
    }

    /// Opens what a subscriber says in `session`.
    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        (stream, session): (StreamId, SessionId),
        now: Timestamp,
    ) -> Result<&'a mut [u8], Unbelieved> {
        self.expire(now);
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

/// Stream, session and subscriber: with the epoch, what a key is made of.
type Mouth = (StreamId, SessionId, SubscriberId);

#[derive(Debug, Default)]
struct Speaker {
    ciphers: Vec<(u8, Cipher)>,
    /// They go on from one epoch to the next: what was said is not said anew under another key.
    numbers: ReplayWindow<2>,
}

impl Speaker {
    fn cipher(&self, epoch: u8) -> Option<&Cipher> {
        self.ciphers.iter().find(|(of, _)| *of == epoch).map(|(_, cipher)| cipher)
    }
}

impl Speakers {
    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        header: &Header,
        speaker: SubscriberId,
        secrets: &Secrets,
    ) -> Result<&'a mut [u8], Unbelieved> {
        let (epoch, mouth) = (header.key_epoch, (header.stream, header.session, speaker));
        let known = self.recent.get(&mouth).or_else(|| self.before.get(&mouth));
        let mut new = None;
        let opened = match known.and_then(|known| known.cipher(epoch)) {
            Some(cipher) => cipher.open(datagram),
            None => {
                let cipher = secrets.feedback(epoch, mouth.0, mouth.1, speaker);
                new.insert(cipher.ok_or(Cause::Epoch)?).open(datagram)
            }
        };
        // Nothing is kept, and nothing moved, for who has no key.
        let opened = opened.ok_or(Cause::WrongKey)?;
        let known = self.keep(mouth);
        known.ciphers.extend(new.map(|cipher| (epoch, cipher)));
        if known.numbers.take(header.number) { Ok(opened) } else { Err(Cause::Replayed.into()) }
    }

    /// The place of who has shown that it has a key.
    fn keep(&mut self, mouth: Mouth) -> &mut Speaker {
        let mut known = Speaker::default();
        if !self.recent.contains_key(&mouth) {
            known = self.before.remove(&mouth).unwrap_or_default();
            if self.recent.len() >= GENERATION {
                self.before = std::mem::take(&mut self.recent);
            }
        }
        self.recent.entry(mouth).or_insert(known)
    }

    /// Drops what was made of the keys of all other epochs.
    fn retain(&mut self, is_kept: impl Fn(u8) -> bool) {
        for speaker in self.recent.values_mut().chain(self.before.values_mut()) {
            speaker.ciphers.retain(|(epoch, _)| is_kept(*epoch));
        }
    }
}

impl Sender {
    /// What sealing adds to a datagram, in bytes.
    pub(super) fn tag_len(&self) -> usize {
        if self.guard.is_some() { TAG_LEN } else { 0 }
    }

    /// The epoch whose key seals what leaves; 0 without a key.
    #[must_use]
    pub fn key_epoch(&self) -> u8 {
        self.guard.as_ref().map_or(0, Guard::epoch)
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
        (from, now): (SocketAddr, Timestamp),
    ) -> Option<&'a mut [u8]> {
        let opened = match &mut self.guard {
            Some(guard) => guard.open(datagram, (self.config.stream, session), now),
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

    /// Whether only the echo is asked for. It would prove nothing of what is neither sealed nor signed.
    pub(super) fn wants_echo(&self, header: &Header) -> bool {
        (self.guard.is_some() || self.is_signed()) && header.flags & FLAG_ECHO_ONLY != 0
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

/// Who has not heard of the newest epoch is still heard under the one before for so long.
const OVERLAP_AFTER: Duration = Duration::from_secs(10);
