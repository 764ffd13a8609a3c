//! By which way a subscription hears its publisher: a group, or the publisher's own address.
//!
//! Where both were named the group is heard if it can be, and the publisher is asked by unicast
//! while it cannot; the group stays joined and is watched. It is one session and one receiver
//! whatever the way: what comes twice at a seam is dropped there, what is missing is asked for.

use std::net::SocketAddr;
use std::time::Duration;

use proto::endpoint::Group;
use proto::receiver::Via;
use proto::wire::{Header, Kind, decode_header};
use proto::{Receiver, SessionId, Timestamp};

use crate::endpoint::Publisher;
use crate::tcp::TcpLink;

/// The ways of one subscription.
#[derive(Debug)]
pub(super) struct Ways {
    /// What is heard without asking.
    group: Option<Group>,
    publisher: Option<Publisher>,
    /// The group may be silent for this long.
    after: Duration,
    /// The publisher is being asked.
    pub(super) is_direct: bool,
    group_heard: Timestamp,
    /// From where the group is sent, in a session that was first heard by unicast.
    group_source: Option<(SessionId, SocketAddr)>,
    /// How often it went to the publisher's own address, and back to the group.
    pub(super) switches: Switches,
    link: Option<TcpLink>,
}

/// Changes of the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    /// From the group to the publisher's own address.
    pub(crate) to_fallback: u64,
    /// Back.
    pub(crate) to_group: u64,
}

impl Ways {
    pub(super) fn new(
        group: Option<Group>,
        publisher: Option<Publisher>,
        after: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            group,
            publisher,
            after,
            is_direct: false,
            group_heard: now,
            group_source: None,
            switches: Switches::default(),
            link: None,
        }
    }

    /// The group, if there is one.
    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// The publisher, if one is to be asked.
    pub(super) fn publisher(&self) -> Option<Publisher> {
        self.publisher
    }

    /// Whether there is a group to hear and a publisher to ask.
    pub(super) fn has_both(&self) -> bool {
        self.group.is_some() && self.publisher.is_some()
    }

    /// Whether this is where the publisher is asked by UDP.
    pub(super) fn is_asked_at(&self, from: SocketAddr) -> bool {
        self.publisher == Some(Publisher::Udp(from))
    }

    /// Starts to ask the publisher.
    pub(super) fn go_direct(
        &mut self,
        receiver: &mut Receiver,
        now: Timestamp,
        connect: impl FnOnce(SocketAddr) -> Option<TcpLink>,
    ) {
        let Some(publisher) = self.publisher else { return };
        self.is_direct = true;
        if let Publisher::Tcp(address) = publisher {
            self.link = connect(address);
        }
        receiver.ask_by_unicast(Some(publisher.address()), now);
    }

    /// Hears the group again.
    pub(super) fn go_back(&mut self, receiver: &mut Receiver, now: Timestamp) {
        self.is_direct = false;
        self.link = None;
        receiver.ask_by_unicast(None, now);
    }

    /// When the group has been silent for too long.
    pub(super) fn fallback_due(&self) -> Option<Timestamp> {
        (self.has_both() && !self.is_direct).then(|| self.group_heard.after(self.after))
    }

    /// The group need not be heard for another while: nothing is sent.
    pub(super) fn excuse_group(&mut self, now: Timestamp) {
        self.group_heard = now;
    }

    /// A datagram of the group came: whether that is reason enough to go back to it, and from whom
    /// the receiver is to take it.
    pub(super) fn on_group(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        receiver: &Receiver,
        now: Timestamp,
    ) -> (bool, SocketAddr) {
        if !self.has_both() {
            return (false, from);
        }
        let Ok((header, _)) = decode_header(datagram) else { return (false, from) };
        let is_ours = receiver.session().is_none_or(|session| session == header.session);
        if is_ours {
            self.group_heard = now;
        }
        let from = self.as_pinned(&header, from, receiver);
        (self.is_direct && is_ours, from)
    }

    /// A session that was first heard by unicast is pinned to where it was asked for. The group is
    /// believed to be of the same publisher when it announces the same session.
    fn as_pinned(&mut self, header: &Header, from: SocketAddr, receiver: &Receiver) -> SocketAddr {
        let home = self.publisher.map(Publisher::address);
        let followed = receiver.session();
        if followed != Some(header.session) || receiver.source() != home || Some(from) == home {
            return from;
        }
        if header.kind == Kind::Announce {
            self.group_source.get_or_insert((header.session, from));
        }
        let is_known = self.group_source == Some((header.session, from));
        home.filter(|_| is_known).unwrap_or(from)
    }

    /// By which way the receiver is to take what the publisher itself sent, and from whom.
    pub(super) fn on_direct(
        &self,
        datagram: &[u8],
        from: SocketAddr,
        receiver: &Receiver,
    ) -> (Via, SocketAddr) {
        let is_publisher = self.publisher.is_some_and(|publisher| publisher.address() == from);
        let header = decode_header(datagram).map(|(header, _)| header);
        let Some(header) = header.ok().filter(|_| is_publisher) else {
            return (Via::Feedback, from);
        };
        let via = if header.is_for_group() { Via::Group } else { Via::Feedback };
        let pinned = receiver.source().filter(|_| receiver.session() == Some(header.session));
        (via, pinned.unwrap_or(from))
    }

    /// Where feedback for `to` goes by UDP.
    pub(super) fn feedback_address(&self, to: SocketAddr) -> SocketAddr {
        match self.publisher {
            Some(Publisher::Udp(home)) if self.is_direct => home,
            Some(publisher) if !self.is_direct && publisher.address() == to => {
                let group = self.group_source.map(|(_, source)| source);
                group.unwrap_or(to)
            }
            _ => to,
        }
    }

    /// The connection, while the publisher is asked by TCP.
    pub(super) fn link(&mut self) -> Option<&mut TcpLink> {
        self.link.as_mut()
    }

    /// Where the connection leads to.
    pub(super) fn link_address(&self) -> Option<SocketAddr> {
        self.link.as_ref().and(self.publisher).map(Publisher::address)
    }
}
