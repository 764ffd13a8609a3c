//! Payload to stdout.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use proto::receiver::SessionInfo;
use rustix::event::{PollFd, PollFlags, poll};

use super::sink::{Sink, SinkError, write_all};

/// Stdout without the buffer and the line ends of the standard library's.
#[derive(Debug)]
pub(super) struct Stdout {
    file: File,
}

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        let stdout: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
        if io::stdout().is_terminal() {
            tracing::warn!("payload goes to the terminal: name a file with -o");
        }
        Ok(Self { file: File::from(stdout) })
    }
}

impl Sink for Stdout {
    fn begin(&mut self, session: &SessionInfo) -> Result<(), SinkError> {
        if session.restart {
            tracing::warn!(session = %session.session, "another session follows on stdout");
        }
        Ok(())
    }

    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError> {
        let before = *written;
        let mut rest: Option<Vec<Bytes>> = None;
        loop {
            let start = *written;
            match write_all(&mut self.file, rest.as_deref().unwrap_or(payloads), written) {
                Ok(()) => return Ok(()),
                // Whoever shares stdout with us may have made it non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    skip(rest.get_or_insert_with(|| payloads.to_vec()), *written - start);
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)
                        .map_err(io::Error::from)?;
                }
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    tracing::debug!(bytes = *written - before, "stdout was closed");
                    return Err(SinkError::ReaderGone);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn end(&mut self, _is_whole: bool) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn place(&self) -> String {
        "stdout".to_owned()
    }
}

/// Takes `written` bytes off the front.
fn skip(payloads: &mut Vec<Bytes>, written: u64) {
    let mut left = usize::try_from(written).unwrap_or(usize::MAX);
    payloads.retain_mut(|bytes| {
        let taken = left.min(bytes.len());
        left -= taken;
        drop(bytes.split_to(taken));
        !bytes.is_empty()
    });
}
