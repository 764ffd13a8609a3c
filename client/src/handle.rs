//! A subscriber inside another program: it hands out one message after the other.

mod builder;
mod direct;
mod event;
mod intake;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::thread::JoinHandle;

use anyhow::Context;
use futures_core::Stream;
use host::shutdown::Shutdown;
use proto::endpoint::Endpoint;
use proto::wire::Name;

pub use self::builder::Builder;
pub use self::direct::Direct;
pub use self::event::{End, Event};
use self::intake::Intake;
use crate::admission::Admission;
use crate::summary::Summary;

/// A stream that is subscribed to.
///
/// What comes is in order: a session, its messages, where some are missing a gap instead of them,
/// and at last the end. One that reads too slowly holds a reliable stream back, and loses the oldest
/// of a timely one, as a gap; [`Builder::on_full`] chooses otherwise.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// use client::{Event, Subscriber};
///
/// let mut subscriber = Subscriber::join("udp://239.77.1.1:5000".parse()?)?;
/// while let Some(event) = subscriber.recv()? {
///     match event {
///         Event::Message(message) => println!("{} bytes", message.len()),
///         Event::Gap { first, end, cause } => println!("packets {first} to {end}: {cause}"),
///         Event::Session(session) => println!("{} begins", session.name),
///         Event::End(end) => println!("all of it: {}", end.is_whole()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// In asynchronous programs it is a [`Stream`], of any runtime's; [`Subscriber::recv_async`] needs
/// nothing beside it.
#[derive(Debug)]
pub struct Subscriber {
    intake: Intake,
    shutdown: Shutdown,
    thread: Option<JoinHandle<anyhow::Result<Summary>>>,
}

/// Why nothing more comes, where that is no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// Nothing was heard of the session for as long as [`Builder::silent_timeout`] says.
    #[error("the publisher fell silent before the end")]
    Silent,
    /// The receive thread failed: [`Subscriber::close`] says why.
    #[error("nothing is received any longer: {0}")]
    Failed(String),
}

impl Subscriber {
    /// Joins a group, or asks a publisher at `unicast://…` or `tcp://…`, by the only interface that
    /// can be meant.
    ///
    /// # Errors
    ///
    /// As [`Builder::join`].
    pub fn join(endpoint: Endpoint) -> anyhow::Result<Self> {
        Self::builder(endpoint).join()
    }

    /// A subscription that is told more before it begins.
    pub fn builder(endpoint: Endpoint) -> Builder {
        Builder::new(Some(endpoint))
    }

    /// A subscription of `stream`, which a publisher's admission is asked for: where it is
    /// received, and its keys, come from there.
    pub fn admitted(stream: Name, admission: Admission) -> Builder {
        Builder::new(None).stream(stream).admission(admission)
    }

    /// What comes next; waits for it. `None`: the session has ended, or was left.
    ///
    /// # Errors
    ///
    /// Once, where the end was not told; what comes after is `None`.
    pub fn recv(&mut self) -> Result<Option<Event>, RecvError> {
        self.intake.next().transpose()
    }

    /// The same, for asynchronous programs. Nothing is lost when it is dropped before it is ready.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::recv`].
    pub async fn recv_async(&mut self) -> Result<Option<Event>, RecvError> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }

    /// Leaves, and says what came of it.
    ///
    /// # Errors
    ///
    /// When the system did not let it go on.
    pub fn close(mut self) -> anyhow::Result<Summary> {
        self.shutdown.request();
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).context("the receive thread ended unexpectedly")?
    }
}

impl Stream for Subscriber {
    type Item = Result<Event, RecvError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.intake.poll_next(context)
    }
}

impl Drop for Subscriber {
    /// Leaves; nobody waits for the good-bye.
    fn drop(&mut self) {
        self.shutdown.request();
    }
}
