//! With a key: opens what is heard, seals what is said (docs/PROTOCOL.md §4.13).

use std::net::SocketAddr;

use super::rekey::{Hint, Turn};
use super::{Event, Receiver};
use crate::seal::{Cause, Cipher, Key, ReplayWindow, Secrets, TAG_LEN, Unbelieved, check_unsealed};
use crate::wire::{self, Discard, Header, Kind};
use crate::{ReceiverConfig, SessionId, StreamId, SubscriberId, Timestamp};

/// What a receiver that has a key needs.
#[derive(Debug)]
pub(super) struct Guard {
    secrets: Secrets,
    subscriber: SubscriberId,
    /// The only stream that is wanted.
    stream: Option<StreamId>,
    /// Whether only signed packets count, whoever can seal.
    is_verified: bool,
    /// Of the session that is followed.
    followed: Option<Followed>,
    /// Of another one that was announced last.
    other: Option<(Name, Cipher)>,
    /// Seals what is said.
    own: Option<(Name, Cipher)>,
    /// What was heard under a key that is not here.
    hint: Hint,
}

/// Epoch, stream and session: what a session's key is made of.
type Name = (u8, StreamId, SessionId);

#[derive(Debug)]
struct Followed {
    stream: StreamId,
    session: SessionId,
    ciphers: Vec<(u8, Cipher)>,
    /// Since when the newest epoch is heard.
    turn: Turn,
    /// Numbers of datagrams for the group, and of those for single subscribers; `None` where who
    /// can seal is not believed to number for the publisher.
    numbers: Option<Box<(Numbers, Numbers)>>,
}

/// What is overtaken by as many others as this has bits is of no use: it was asked for again.
type Numbers = ReplayWindow<256>;

impl Guard {
    /// `None` without a keyring. Takes the keys out of what was configured: what is over is to be
    /// nowhere.
    pub(super) fn new(config: &mut ReceiverConfig) -> Option<Self> {
        let keys = config.keys.take()?;
        let stream = config.stream.as_ref().map(|name| StreamId::of_name(name.as_str()));
        let subscriber = config.subscriber;
        let secrets = Secrets::new(&keys);
        let hint = Hint::default();
        let is_verified = config.verify.is_some();
        let (followed, other, own) = (None, None, None);
        Some(Self { secrets, subscriber, stream, is_verified, followed, other, own, hint })
    }

    /// Whether there is no key yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.secrets.newest() == 0
    }

    /// The epoch under which to speak: that in which the publisher was heard, which may not use the
    /// newest yet.
    pub(super) fn epoch(&self) -> u8 {
        let heard = self.followed.as_ref().map(|followed| followed.turn.epoch());
        heard.filter(|epoch| self.secrets.knows(*epoch)).unwrap_or(self.secrets.newest())
    }

    /// The epoch under which to ask somebody who was not heard yet: each in turn.
    pub(super) fn epoch_of_knock(&self, tries: usize) -> u8 {
        self.secrets.newest_but(tries)
    }

    /// Takes the key of the newest epoch; says whether it is news.
    pub(super) fn add(&mut self, epoch: u8, key: Key) -> bool {
        let is_news = self.secrets.add(epoch, key);
        if is_news {
            // An earlier epoch of this number had another key.
            self.drop_ciphers(|of| of == epoch);
        }
        is_news
    }

    fn drop_ciphers(&mut self, is_over: impl Fn(u8) -> bool) {
        if let Some(followed) = &mut self.followed {
            followed.ciphers.retain(|(epoch, _)| !is_over(*epoch));
        }
        self.other.take_if(|(name, _)| is_over(name.0));
        self.own.take_if(|(name, _)| is_over(name.0));
    }

    /// Forgets the epochs that are over.
    fn expire(&mut self, now: Timestamp) {
        let Some(followed) = &self.followed else { return };
        let turn = &followed.turn;
        if turn.is_over(now) && self.secrets.is_before(self.secrets.oldest(), turn.epoch()) {
            self.secrets.remove_before(turn.epoch());
            let known: Vec<_> = self.secrets.epochs().collect();
            self.drop_ciphers(|epoch| !known.contains(&epoch));
        }
    }

    /// What to ask for, if it is time to.
    pub(super) fn poll_hint(&mut self, now: Timestamp) -> Option<(StreamId, u8)> {
        self.hint.poll(now)
    }

    /// From now on the session that `header` names is followed.
    fn follow(&mut self, header: &Header, now: Timestamp) {
        let Header { stream, session, number, .. } = *header;
        let other = self.other.take().filter(|(name, _)| (name.1, name.2) == (stream, session));
        let ciphers = other.map(|((epoch, ..), cipher)| (epoch, cipher)).into_iter().collect();
        let turn = Turn::new(header.key_epoch, now);
        let numbers = (!self.is_verified).then(Box::default);
        let mut followed = Followed { stream, session, ciphers, turn, numbers };
        followed.take(number);
        followed.turn.hear(header.key_epoch, number, now);
        self.followed = Some(followed);
    }

    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        now: Timestamp,
    ) -> Result<&'a mut [u8], Unbelieved> {
        self.expire(now);
        let (header, _) = wire::decode_header(datagram)?;
        if header.kind.is_feedback() {
            return Err(Discard::Direction.into());
        }
        let name = (header.key_epoch, header.stream, header.session);
        let opened = match &mut self.followed {
            Some(followed) if (followed.stream, followed.session) == (name.1, name.2) => {
                followed.open(datagram, &header, &self.secrets, now)
            }
            _ => self.open_other(datagram, &header, name),
        };
        let is_unknown =
            opened == Err(Cause::Epoch.into()) && !self.secrets.knows(header.key_epoch);
        if is_unknown || opened == Err(Cause::WrongKey.into()) {
            // A publisher that was restarted begins its epochs anew.
            self.hint.add(header.stream, header.key_epoch);
        }
        opened
    }

    /// What belongs to no session that is followed may begin one, or answer a question.
    fn open_other<'a>(
        &mut self,
        datagram: &'a mut [u8],
        header: &Header,
        name: Name,
    ) -> Result<&'a mut [u8], Unbelieved> {
        let wanted = self.stream.or(self.followed.as_ref().map(|followed| followed.stream));
        let is_wanted = wanted.is_none_or(|stream| stream == header.stream);
        if !matches!(header.kind, Kind::Announce | Kind::CookieChallenge) {
            let reason = if is_wanted { Discard::ForeignSession } else { Discard::ForeignStream };
            return Err(reason.into());
        }
        if self.stream.is_some() && !is_wanted {
            return Err(Discard::ForeignStream.into());
        }
        check_sealed(header)?;
        // Who was removed still has the key of an epoch that is over.
        let heard = self.followed.as_ref().map(|followed| followed.turn.epoch());
        if heard.is_some_and(|heard| self.secrets.is_before(name.0, heard)) {
            return Err(Cause::Epoch.into());
        }
        if self.other.as_ref().is_none_or(|(of, _)| *of != name) {
            let cipher = self.secrets.session(name.0, name.1, name.2).ok_or(Cause::Epoch)?;
            self.other = Some((name, cipher));
        }
        let cipher = self.other.as_ref().map(|(_, cipher)| cipher).ok_or(Cause::Epoch)?;
        Ok(cipher.open(datagram).ok_or(Cause::WrongKey)?)
    }

    /// Seals what is said; nothing is left of what cannot be.
    fn seal(&mut self, header: &Header, datagram: &mut Vec<u8>) {
        let name = (header.key_epoch, header.stream, header.session);
        if self.own.as_ref().is_none_or(|(of, _)| *of != name) {
            let cipher = self.secrets.feedback(name.0, name.1, name.2, self.subscriber);
            self.own = cipher.map(|cipher| (name, cipher));
        }
        match &self.own {
            Some((_, cipher)) => cipher.seal(0, datagram),
            None => datagram.clear(),
        }
    }
}

impl Followed {
    fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        header: &Header,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<&'a mut [u8], Unbelieved> {
        check_sealed(header)?;
        let epoch = header.key_epoch;
        let is_before = epoch != self.turn.epoch() && secrets.is_before(epoch, self.turn.epoch());
        if is_before && !self.turn.admits(header.number, now) {
            return Err(Cause::Epoch.into());
        }
        if !self.ciphers.iter().any(|(of, _)| *of == epoch) {
            let cipher = secrets.session(epoch, self.stream, self.session).ok_or(Cause::Epoch)?;
            self.ciphers.push((epoch, cipher));
        }
        let cipher = self.ciphers.iter().find(|(of, _)| *of == epoch).ok_or(Cause::Epoch)?;
        let opened = cipher.1.open(datagram).ok_or(Cause::WrongKey)?;
        if !self.take(header.number) {
            return Err(Cause::Replayed.into());
        }
        if !is_before {
            self.turn.hear(epoch, header.number, now);
        }
        Ok(opened)
    }

    /// Takes note of a number; false if it was seen before.
    fn take(&mut self, number: u64) -> bool {
        let Some(numbers) = &mut self.numbers else { return true };
        if number < wire::UNICAST_NUMBERS { numbers.0.take(number) } else { numbers.1.take(number) }
    }
}

fn check_sealed(header: &Header) -> Result<(), Cause> {
    if header.key_epoch == 0 { Err(Cause::Unsealed) } else { Ok(()) }
}

impl Receiver {
    /// What sealing adds to a datagram, in bytes.
    pub(super) fn tag_len(&self) -> u16 {
        if self.guard.is_some() { u16::try_from(TAG_LEN).unwrap_or(0) } else { 0 }
    }

    /// Whether what is heard of a session was authentic.
    pub(super) fn is_authentic(&self) -> bool {
        self.guard.is_some() || self.is_verified()
    }

    /// The epoch whose key seals what is said; 0 without a key.
    #[must_use]
    pub fn key_epoch(&self) -> u8 {
        self.guard.as_ref().map_or(0, Guard::epoch)
    }

    /// Opens what came; the error says why it is discarded.
    pub(super) fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<&'a mut [u8], Discard> {
        let opened = match &mut self.guard {
            Some(guard) => guard.open(datagram, now),
            None => check_unsealed(datagram).map(|()| datagram),
        };
        if opened.is_err() {
            self.miss_key(now);
        }
        opened.map_err(|why| match why {
            Unbelieved::Counted(reason) => reason,
            Unbelieved::Told(cause) => self.disbelieve(cause, from),
        })
    }

    /// Tells once in a session why something is not believed; gives the reason to count.
    pub(super) fn disbelieve(&mut self, cause: Cause, from: SocketAddr) -> Discard {
        if self.causes_told.add(cause) {
            self.events.push_back(Event::NotBelieved { cause, from });
        }
        cause.reason()
    }

    /// Seals what is to be said, if there is a key.
    pub(super) fn seal(&mut self, header: &Header, datagram: &mut Vec<u8>) {
        if let Some(guard) = &mut self.guard {
            guard.seal(header, datagram);
        }
    }

    /// Another session is followed, which `header` brought.
    pub(super) fn guard_follows(&mut self, header: &Header, now: Timestamp) {
        self.causes_told = super::Causes::default();
        if let Some(guard) = &mut self.guard {
            guard.follow(header, now);
        }
    }
}
