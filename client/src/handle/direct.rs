//! A subscriber that has no thread: whoever asks for the next message receives it.

use std::fmt;
use std::task::Poll;

use host::shutdown::Shutdown;

use super::intake::Intake;
use super::{Event, RecvError};
use crate::output::{Inbox, Reader};
use crate::run::Run;
use crate::summary::Summary;

/// A stream that is received by the thread that asks for it, for programs in which the way from one
/// thread to another takes too long: some 20 µs.
///
/// In exchange the program promises to ask often. While it does not, datagrams wait in the socket's
/// buffer and are lost beyond it, nothing is asked for that is missing, and the publisher, which
/// hears nothing, lets this subscriber go after a while. It stays on the thread that joined.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> anyhow::Result<()> {
/// use client::{Event, Subscriber};
///
/// let builder = Subscriber::builder("udp://239.77.1.1:5000".parse()?);
/// let mut subscriber = builder.spin(true).join_direct()?;
/// while let Some(event) = subscriber.recv()? {
///     if let Event::Message(message) = event {
///         println!("{} bytes", message.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Direct {
    /// None once nothing is left to receive.
    run: Option<Run>,
    intake: Intake,
    shutdown: Shutdown,
    summary: Option<Summary>,
}

impl Direct {
    /// Receives until `inbox` has what is to be read with.
    ///
    /// # Errors
    ///
    /// When all is over before that, or the system refuses to go on.
    pub(super) fn wait(run: &mut Run, inbox: &Inbox) -> anyhow::Result<Option<Reader>> {
        loop {
            if let Some(reader) = inbox.take() {
                return Ok(Some(reader));
            }
            if !run.step()? {
                return Ok(None);
            }
        }
    }

    pub(super) fn new(run: Run, reader: Reader, shutdown: Shutdown) -> Self {
        Self { run: Some(run), intake: Intake::new(reader), shutdown, summary: None }
    }

    /// What comes next; receives until there is something. `None`: the session has ended, or was
    /// left.
    ///
    /// # Errors
    ///
    /// Once, where the end was not told; what comes after is `None`.
    pub fn recv(&mut self) -> Result<Option<Event>, RecvError> {
        loop {
            if let Poll::Ready(next) = self.intake.try_next() {
                return next.transpose();
            }
            if !self.step()? {
                return Ok(None);
            }
            if let Some(delivered) = self.run.as_mut().and_then(Run::take_handed_over) {
                self.intake.take_over(delivered);
            }
        }
    }

    /// Leaves, and says what came of it.
    ///
    /// # Errors
    ///
    /// When the system did not let it go on.
    pub fn close(mut self) -> anyhow::Result<Summary> {
        self.shutdown.request();
        while let Some(run) = &mut self.run {
            if !run.step()? {
                self.conclude();
            }
        }
        Ok(self.summary.take().unwrap_or_default())
    }

    /// Receives; false if there is nothing to be received any longer.
    fn step(&mut self) -> Result<bool, RecvError> {
        let Some(run) = &mut self.run else { return Ok(false) };
        match run.step() {
            Ok(true) => {}
            Ok(false) => self.conclude(),
            Err(error) => {
                self.run = None;
                return Err(RecvError::Failed(format!("{error:#}")));
            }
        }
        Ok(true)
    }

    fn conclude(&mut self) {
        self.summary = self.run.take().map(Run::conclude);
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("intake", &self.intake).finish_non_exhaustive()
    }
}
