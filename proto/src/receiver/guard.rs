//! With a key: opens what is heard, seals what is said (docs/PROTOCOL.md §4.13).

use std::net::SocketAddr;

use super::{Event, Receiver};
use crate::seal::{Cause, Cipher, ReplayWindow, Secrets, TAG_LEN, Unbelieved, check_unsealed};
use crate::wire::{self, Discard, Header, Kind};
use crate::{ReceiverConfig, SessionId, StreamId, SubscriberId};

/// What a receiver that has a key needs.
#[derive(Debug)]
pub(super) struct Guard {
    secrets: Secrets,
    subscriber: SubscriberId,
    /// The only stream that is wanted.
    stream: Option<StreamId>,
    /// Of the session that is followed.
    followed: Option<Followed>,
    /// Of another one that was announced last.
    other: Option<(Name, Cipher)>,
    /// Seals what is said.
    own: Option<(Name, Cipher)>,
}

/// Epoch, stream and session: what a session's key is made of.
type Name = (u8, StreamId, SessionId);

#[derive(Debug)]
struct Followed {
    stream: StreamId,
    session: SessionId,
    ciphers: Vec<(u8, Cipher)>,
    /// Numbers of datagrams for the group, and of those for single subscribers.
    numbers: Box<(Numbers, Numbers)>,
}

/// What is overtaken by as many others as this has bits is of no use: it was asked for again.
type Numbers = ReplayWindow<256>;

impl Guard {
    /// `None` without a key.
    pub(super) fn new(config: &ReceiverConfig) -> Option<Self> {
        let keys = config.keys.as_ref()?;
        let stream = config.stream.as_ref().map(|name| StreamId::of_name(name.as_str()));
        let subscriber = config.subscriber;
        let secrets = Secrets::new(keys);
        Some(Self { secrets, subscriber, stream, followed: None, other: None, own: None })
    }

    /// The epoch under which to speak.
    pub(super) fn epoch(&self) -> u8 {
        self.secrets.newest()
    }

    /// From now on the session that `header` names is followed.
    fn follow(&mut self, header: &Header) {
        let Header { stream, session, number, .. } = *header;
        let other = self.other.take().filter(|(name, _)| (name.1, name.2) == (stream, session));
        let ciphers = other.map(|((epoch, ..), cipher)| (epoch, cipher)).into_iter().collect();
        let mut followed = Followed { stream, session, ciphers, numbers: Box::default() };
        followed.take(number);
        self.followed = Some(followed);
    }

    fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<&'a mut [u8], Unbelieved> {
        let (header, _) = wire::decode_header(datagram)?;
        if header.kind.is_feedback() {
            return Err(Discard::Direction.into());
        }
        let name = (header.key_epoch, header.stream, header.session);
        match self.followed.as_mut().filter(|of| (of.stream, of.session) == (name.1, name.2)) {
            Some(followed) => followed.open(datagram, &header, &self.secrets),
            None => self.open_other(datagram, &header, name),
        }
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
        if self.other.as_ref().is_none_or(|(of, _)| *of != name) {
            let cipher = self.secrets.session(name.0, name.1, name.2).ok_or(Cause::Epoch)?;
            self.other = Some((name, cipher));
        }
        let cipher = self.other.as_ref().map(|(_, cipher)| cipher).ok_or(Cause::Epoch)?;
        Ok(cipher.open(datagram).ok_or(Cause::WrongKey)?)
    }

    /// Seals what is said.
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
    ) -> Result<&'a mut [u8], Unbelieved> {
        check_sealed(header)?;
        let epoch = header.key_epoch;
        if !self.ciphers.iter().any(|(of, _)| *of == epoch) {
            let cipher = secrets.session(epoch, self.stream, self.session).ok_or(Cause::Epoch)?;
            self.ciphers.push((epoch, cipher));
        }
        let cipher = self.ciphers.iter().find(|(of, _)| *of == epoch).ok_or(Cause::Epoch)?;
        let opened = cipher.1.open(datagram).ok_or(Cause::WrongKey)?;
        if self.take(header.number) { Ok(opened) } else { Err(Cause::Replayed.into()) }
    }

    /// Takes note of a number; false if it was seen before.
    fn take(&mut self, number: u64) -> bool {
        if number < wire::UNICAST_NUMBERS {
            self.numbers.0.take(number)
        } else {
            self.numbers.1.take(number)
        }
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

    /// Whether what is heard was authentic.
    pub(super) fn is_sealed(&self) -> bool {
        self.guard.is_some()
    }

    /// The epoch whose key seals what is said; 0 without a key.
    pub(super) fn key_epoch(&self) -> u8 {
        self.guard.as_ref().map_or(0, Guard::epoch)
    }

    /// Opens what came; the error says why it is discarded.
    pub(super) fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        from: SocketAddr,
    ) -> Result<&'a mut [u8], Discard> {
        let opened = match &mut self.guard {
            Some(guard) => guard.open(datagram),
            None => check_unsealed(datagram).map(|()| datagram),
        };
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
    pub(super) fn guard_follows(&mut self, header: &Header) {
        self.causes_told = super::Causes::default();
        if let Some(guard) = &mut self.guard {
            guard.follow(header);
        }
    }
}
