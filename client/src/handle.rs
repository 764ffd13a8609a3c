//! A subscriber inside another program: it hands out one message after the other.

mod builder;
mod event;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::thread::JoinHandle;

use anyhow::Context;
use futures_core::Stream;
use host::shutdown::Shutdown;
use proto::endpoint::Endpoint;
use proto::receiver::Delivered;

pub use self::builder::Builder;
pub use self::event::{End, Event};
use crate::output::Reader;
use crate::summary::{Ended, Summary};

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
    reader: Reader,
    shutdown: Shutdown,
    thread: Option<JoinHandle<anyhow::Result<Summary>>>,
    is_over: bool,
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
        Builder::new(endpoint)
    }

    /// What comes next; waits for it. `None`: the session has ended, or was left.
    ///
    /// # Errors
    ///
    /// Once, where the end was not told; what comes after is `None`.
    pub fn recv(&mut self) -> Result<Option<Event>, RecvError> {
        let next = self.reader.next();
        self.take(next).transpose()
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

    fn take(&mut self, next: Option<Delivered>) -> Option<Result<Event, RecvError>> {
        match next {
            Some(delivered) => Some(Ok(Event::new(delivered, || self.reader.finished()))),
            None if std::mem::replace(&mut self.is_over, true) => None,
            None => why(self.reader.ended()).map(Err),
        }
    }
}

impl Stream for Subscriber {
    type Item = Result<Event, RecvError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.reader.poll_next(context).map(|next| self.take(next))
    }
}

impl Drop for Subscriber {
    /// Leaves; nobody waits for the good-bye.
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

/// What of the reasons to end is an error.
fn why(ended: Option<Ended>) -> Option<RecvError> {
    match ended {
        Some(Ended::Silent) => Some(RecvError::Silent),
        Some(Ended::Failed(why)) => Some(RecvError::Failed(why)),
        Some(
            Ended::Complete
            | Ended::Flawed(_)
            | Ended::Left
            | Ended::TimeUp
            | Ended::Interrupted
            | Ended::ReaderGone,
        ) => None,
        None => Some(RecvError::Failed("its thread ended".to_owned())),
    }
}
