//! A publisher inside another program: it pushes messages, and every subscriber has them.

mod builder;

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;

pub use self::builder::Builder;
use crate::admission::Admission;
use crate::flags::target::Target;
use crate::input::{Queue, SendError};
use crate::publisher::Turns;
use crate::report::Summary;

/// A stream of messages.
///
/// Messages keep their boundaries and their order. Small ones share datagrams, and may wait for
/// that as long as [`Builder::linger`] allows; long ones span several. Without a linger, a message is
/// sent to the network by the thread that calls, which wakes nobody. Where many follow each other closely, they
/// are copied beside those that wait, and the thread that carries them is woken only when it sleeps.
/// Many threads may send.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// let publisher = server::Publisher::builder("udp://239.77.1.1:5000".parse()?).start()?;
/// publisher.send(b"the first message")?;
/// let summary = publisher.close()?;
/// assert!(summary.is_complete(), "somebody has not all of it");
/// # Ok(())
/// # }
/// ```
///
/// One that is dropped ends its stream as [`Publisher::close`] does, but nobody waits for it: what
/// was not sent when the process ends is lost.
#[derive(Debug)]
pub struct Publisher {
    queue: Arc<Queue>,
    /// Where a message may go at once: what the data thread works on.
    turns: Option<Arc<Turns>>,
    admission: Option<Admission>,
    thread: Option<JoinHandle<anyhow::Result<Summary>>>,
}

impl Publisher {
    /// A stream that is to go to `target`.
    pub fn builder(target: Target) -> Builder {
        Builder::new(target)
    }

    /// Sends a message, which may be empty. Waits while more waits to be sent than the subscribers,
    /// or the rate, let through; before the first subscriber is there, as long as
    /// [`Builder::wait_for`] says.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`]; [`SendError::Ended`] when the stream has failed: [`Publisher::close`]
    /// says why.
    pub fn send(&self, message: &[u8]) -> Result<(), SendError> {
        self.send_here(message).unwrap_or_else(|| self.queue.send(message))
    }

    /// Sends a message if that needs no waiting.
    ///
    /// # Errors
    ///
    /// As [`Publisher::send`], and [`SendError::Full`].
    pub fn try_send(&self, message: &[u8]) -> Result<(), SendError> {
        self.send_here(message).unwrap_or_else(|| self.queue.try_send(message))
    }

    /// Sends it on this thread, if it may be done so at once.
    fn send_here(&self, message: &[u8]) -> Option<Result<(), SendError>> {
        self.turns.as_ref()?.lend(&self.queue, message)
    }

    /// Who lets subscribers in, where [`Builder::admission`] says that they are let in: to remove them, and
    /// to see who they are.
    #[must_use]
    pub fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    /// Lets what was sent go at once, without waiting for company.
    pub fn flush(&self) {
        self.queue.flush();
    }

    /// Ends the stream; waits until all was sent, and every subscriber has it or was let go.
    ///
    /// # Errors
    ///
    /// When the system did not let it go on. What went wrong with the stream alone is in its summary.
    pub fn close(mut self) -> anyhow::Result<Summary> {
        self.queue.close();
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).context("the publisher's thread ended unexpectedly")?
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.queue.close();
    }
}
