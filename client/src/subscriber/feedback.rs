//! One feedback socket for each interface and version of IP, shared by its subscriptions.

use std::collections::BTreeMap;
use std::io;

use host::interface::Family;
use host::poller::{Interest, Poller, Token};

use crate::socket::feedback::FeedbackSocket;
use crate::subscription::Subscription;

/// The sockets, by whether they are IPv4 and by interface.
#[derive(Debug, Default)]
pub(super) struct FeedbackSockets {
    sockets: BTreeMap<Key, (Token, FeedbackSocket)>,
    made: u32,
}

type Key = (bool, u32);

impl FeedbackSockets {
    /// Makes the one that a subscription needs, if there is none yet.
    pub(super) fn add(&mut self, subscription: &Subscription, poller: &Poller) -> io::Result<()> {
        let key = key(subscription);
        if self.sockets.contains_key(&key) {
            return Ok(());
        }
        let family = subscription.family();
        let socket = FeedbackSocket::open(family, subscription.interface())?;
        let token = Token(self.made.wrapping_mul(2).wrapping_add(1));
        poller.add(&socket, token, Interest::Read)?;
        self.made += 1;
        self.sockets.insert(key, (token, socket));
        Ok(())
    }

    /// The one that a subscription speaks by.
    pub(super) fn of(&self, subscription: &Subscription) -> Option<&FeedbackSocket> {
        self.sockets.get(&key(subscription)).map(|(_, socket)| socket)
    }

    /// The one that is waited for by this token.
    pub(super) fn by_token(&self, token: Token) -> Option<&FeedbackSocket> {
        self.sockets.values().find(|(other, _)| *other == token).map(|(_, socket)| socket)
    }
}

fn key(subscription: &Subscription) -> Key {
    (subscription.family() == Family::V4, subscription.interface().index)
}
