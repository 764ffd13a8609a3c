//! Asking a publisher for its stream by unicast (docs/PROTOCOL.md, "By unicast").
//!
//! Who hears no group knows the publisher's address and nothing else: it registers there with a
//! session of 0, proves its address to the session that answers, and is then sent all that goes to
//! the group.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::Receiver;
use super::enrol::Enrolment;
use super::guard::Guard;
use crate::wire::{
    Body, CookieChallenge, CookieReply, FLAG_BY_UNICAST, FLAG_ECHO_ONLY, Header, Packet, Register,
};
use crate::{SessionId, StreamId, Timestamp};

/// The publisher that is asked, if one is.
#[derive(Debug, Default)]
pub(super) struct Knock {
    at: Option<SocketAddr>,
    due: Timestamp,
    interval: Duration,
    /// How often it was asked.
    tries: usize,
    control: VecDeque<Said>,
}

/// What is said before a session is followed: under the key of which epoch, of which stream, in
/// which session, and what.
type Said = (u8, StreamId, SessionId, Body);

impl Knock {
    /// Whether this is who is asked.
    pub(super) fn is_at(&self, from: SocketAddr) -> bool {
        self.at == Some(from)
    }

    /// Whether a publisher is asked.
    pub(super) fn is_asking(&self) -> bool {
        self.at.is_some()
    }

    /// Whether there is nothing to say.
    pub(super) fn is_quiet(&self) -> bool {
        self.control.is_empty()
    }

    /// What the header of a packet says of the way that is wanted, or of the answer.
    pub(super) fn flags(&self, body: &Body) -> u8 {
        if let Body::Register(register) = body {
            return if register.nonce == 0 { 0 } else { FLAG_ECHO_ONLY };
        }
        let says = matches!(body, Body::Report(_) | Body::CookieReply(_));
        if says && self.at.is_some() { FLAG_BY_UNICAST } else { 0 }
    }

    fn next(&mut self) -> Option<(SocketAddr, Said)> {
        Some((self.at?, self.control.pop_front()?))
    }
}

impl Receiver {
    /// Asks for what goes to the group by unicast, of this publisher; `None`: no longer.
    ///
    /// What then comes from it with a number of the group's is to be handed in as
    /// [`super::Via::Group`].
    pub fn ask_by_unicast(&mut self, publisher: Option<SocketAddr>, now: Timestamp) {
        self.knock = Knock { at: publisher, due: now, interval: FIRST_RETRY, ..Knock::default() };
        self.reporter.on_state();
        // Who is sent a copy is known by name, whoever else is asked to register.
        let is_outside = matches!(self.enrolment, Enrolment::Outside);
        if is_outside && publisher.is_some() && self.session.is_some() {
            self.enrolment = Enrolment::asking(now);
        }
    }

    /// The session that is followed, if one is.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id)
    }

    /// Where the session that is followed comes from.
    #[must_use]
    pub fn source(&self) -> Option<SocketAddr> {
        self.session.as_ref().map(|session| session.source)
    }

    /// Asks again, as long as nothing is heard.
    pub(super) fn knock(&mut self, now: Timestamp) {
        if self.knock_due().is_none_or(|due| due > now) {
            return;
        }
        let tries = self.knock.tries;
        let key_epoch = self.guard.as_ref().map_or(0, |guard| guard.epoch_of_knock(tries));
        let knock = &mut self.knock;
        knock.tries = tries.wrapping_add(1);
        knock.due = now.after(knock.interval);
        knock.interval = (knock.interval * 2).min(LAST_RETRY);
        let name = self.config.stream.as_ref();
        let stream = name.map_or(StreamId(0), |name| StreamId::of_name(name.as_str()));
        let register = Body::Register(Register {
            subscriber: self.config.subscriber,
            name: self.config.name.clone(),
            nonce: 0,
        });
        knock.control.clear();
        knock.control.push_back((key_epoch, stream, SessionId(0), register));
    }

    /// When to ask: at once while no session is known, later while one is heard.
    pub(super) fn knock_due(&self) -> Option<Timestamp> {
        if self.knock.at.is_none() || self.config.mute || self.enrolment.is_leaving() {
            return None;
        }
        // Without a key there is nothing that would be heard.
        if self.guard.as_ref().is_some_and(Guard::is_waiting) {
            return None;
        }
        let heard = self.session.as_ref().map(|session| session.heard.after(UNHEARD));
        Some(self.knock.due.max(heard.unwrap_or(Timestamp::ZERO)))
    }

    /// A challenge of a session that is not followed yet: whoever was asked may put one.
    pub(super) fn on_knock_answered(
        &mut self,
        packet: &Packet,
        challenge: CookieChallenge,
        from: SocketAddr,
    ) -> bool {
        let header = &packet.header;
        let is_followed = self.session.as_ref().is_some_and(|session| session.id == header.session);
        let is_ours = challenge.subscriber == self.config.subscriber;
        if is_followed || !is_ours || !self.knock.is_at(from) || self.enrolment.is_leaving() {
            return false;
        }
        let reply = Body::CookieReply(CookieReply {
            subscriber: challenge.subscriber,
            cookie: challenge.cookie,
            name: self.config.name.clone(),
        });
        self.knock.control.clear();
        self.knock.control.push_back((header.key_epoch, header.stream, header.session, reply));
        true
    }

    /// The next packet to who is asked.
    pub(super) fn poll_knock(&mut self, now: Timestamp) -> Option<(SocketAddr, Packet)> {
        let (at, (key_epoch, stream, session, body)) = self.knock.next()?;
        let (kind, number) = (body.kind(), self.number);
        self.number += 1;
        let (flags, sent_at) = (self.knock.flags(&body), now.to_wire());
        let header = Header { kind, flags, key_epoch, stream, session, number, sent_at };
        Some((at, Packet { header, body }))
    }
}

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// A session speaks at least once a second: after this it may be another that is to be asked for.
const UNHEARD: Duration = Duration::from_millis(1_500);
