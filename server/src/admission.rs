//! Admission: who is let in is told where streams are, and what they are sealed under
//! (docs/PROTOCOL.md §8).
//!
//! The runtime's thread carries it: a task for each connection, which asks the roll what is to be
//! done, and one that does what time has come for. The data thread hears of keys and of who was removed by its
//! commands.
//!
//! | you look for | open |
//! |---|---|
//! | who is let in, and to what | `admission/roll.rs` |
//! | what the operator may do | `admission/operator.rs` |
//! | a stream, its keys and their rotation | `admission/offer.rs` |
//! | who may be let in | [`policy`], [`authorized`] |
//! | who was removed | `admission/barred.rs` |
//! | accepting, and how many at a time | `admission/listener.rs` |
//! | one connection: handshake, hello, frames | `admission/connection.rs` |
//! | what others may see of it | [`view`] |

pub mod authorized;
mod barred;
mod connection;
mod listener;
mod offer;
mod operator;
pub mod policy;
mod roll;
mod tally;
#[cfg(test)]
mod tests;
pub mod view;

use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use host::clock::Clock;
use host::identity::Identity;
use proto::Timestamp;
use proto::wire::Name;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::listener::Listener;
use self::offer::Offer;
pub(crate) use self::operator::CLOSED_GROUP;
use self::policy::Policy;
use self::roll::{Outlet, Roll};
pub use self::view::AdmissionView;
use crate::config::StreamConfig;
use crate::reload::Commands;
use crate::report::News;

/// How subscribers are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Where they connect.
    pub address: SocketAddr,
    /// What they know this publisher by.
    pub identity: Identity,
    /// Who may be let in.
    pub policy: Policy,
}

/// Everybody who was let in, shared by those who change it. A clone is the same.
#[derive(Clone)]
pub struct Admission(Arc<State>);

struct State {
    roll: Mutex<Roll>,
    clock: Clock,
    /// Time may have something else to do.
    changed: Notify,
    address: SocketAddr,
    identity: Identity,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("identity", &self.0.identity).finish_non_exhaustive()
    }
}

impl Admission {
    /// Lets nobody in yet; subscribers connect at `address`.
    pub(crate) fn new(
        config: &AdmissionConfig,
        address: SocketAddr,
        commands: Commands,
        news: mpsc::Sender<News>,
    ) -> Self {
        let roll = Roll::new(config.policy.clone(), Outlet { commands, news });
        Self(Arc::new(State {
            roll: Mutex::new(roll),
            clock: Clock::start(),
            changed: Notify::new(),
            address,
            identity: config.identity.clone(),
        }))
    }

    /// Offers a stream, unless it has a key of its own; gives it back with the key that it is to begin
    /// under.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub(crate) fn seal(&self, mut stream: StreamConfig) -> io::Result<StreamConfig> {
        let name = stream.name.clone();
        if stream.keys.is_some() {
            self.with(|roll, _| roll.closed.insert(name));
        } else {
            let offer = Offer::new(&stream)?;
            stream.keys = Some(offer.keyring());
            self.with(|roll, _| roll.offer(&name, offer));
        }
        Ok(stream)
    }

    /// A stream is not offered any longer.
    pub(crate) fn withdraw(&self, stream: &Name) {
        self.with(|roll, _| {
            roll.offers.remove(stream);
            roll.closed.remove(stream);
            for entry in roll.entries.values_mut() {
                entry.streams.remove(stream);
            }
        });
    }

    /// From now on this is who may be let in.
    pub(crate) fn follow(&self, policy: &Policy) {
        self.with(|roll, now| {
            if roll.policy != *policy {
                roll.follow(policy.clone(), now);
            }
        });
    }

    /// Removes a subscriber, by its name or its id of 32 hexadecimal digits, from a stream or from all:
    /// their keys change, and it is not let in again before [`admit`](Self::admit) says so. Tells what
    /// came of it.
    ///
    /// # Errors
    ///
    /// Why nobody was removed.
    pub fn kick(&self, subscriber: &str, stream: Option<&Name>) -> Result<String, String> {
        self.with(|roll, now| roll.kick(subscriber, stream, now))
    }

    /// Lets a subscriber come back that was removed, and puts it into the stream if it is connected,
    /// whatever it may have by itself. Tells what came of it.
    ///
    /// # Errors
    ///
    /// Why nobody was admitted.
    pub fn admit(&self, subscriber: &str, stream: Option<&Name>) -> Result<String, String> {
        self.with(|roll, now| roll.admit(subscriber, stream, now))
    }

    /// As others may see it.
    #[must_use]
    pub fn view(&self) -> AdmissionView {
        self.with_quietly(|roll, _| AdmissionView::of(roll, self.0.address, &self.0.identity))
    }

    /// Does what time has come for. Never returns.
    pub(crate) async fn keep_time(&self) {
        loop {
            let due = self.with_quietly(|roll, now| roll.deadline().map(|due| due.since(now)));
            let waited = async {
                match due {
                    Some(left) => tokio::time::sleep(left).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = waited => self.with_quietly(Roll::handle_timeout),
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Changes it, or asks it.
    fn with<T>(&self, act: impl FnOnce(&mut Roll, Timestamp) -> T) -> T {
        let result = self.with_quietly(act);
        self.0.changed.notify_one();
        result
    }

    fn with_quietly<T>(&self, act: impl FnOnce(&mut Roll, Timestamp) -> T) -> T {
        let mut roll = self.0.roll.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut roll, self.0.clock.now())
    }
}
