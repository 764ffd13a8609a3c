//! What every output can do.

use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use proto::receiver::SessionInfo;

use super::{Caching, OutputError, OutputSpec, Sessions, file, player, stdout};

/// Something that payload is written to, in order.
pub(super) trait Sink: Send {
    /// A session begins, maybe in the middle of another.
    fn begin(&mut self, session: &SessionInfo) -> Result<(), SinkError>;

    /// Writes payloads; `written` is moved on by every byte that is safe, also before an error.
    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError>;

    /// Writes what waits for more: no more of the session comes. Most have nothing wait.
    fn flush(&mut self, _written: &mut u64) -> Result<(), SinkError> {
        Ok(())
    }

    /// The session ended; `is_whole`: all of it is here, and proved so.
    fn end(&mut self, is_whole: bool) -> Result<(), SinkError>;

    /// Nothing more comes, in the middle of a session or after one.
    fn close(&mut self) -> Result<(), SinkError>;

    /// Where what was written stands, as a person would say it.
    fn place(&self) -> String;
}

/// Why a sink takes no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    /// Whoever read it went.
    #[error("the reader is gone")]
    ReaderGone,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens what `spec` names; none if the program reads it itself.
pub(super) fn open(
    spec: &OutputSpec,
    sessions: Sessions,
    caching: Caching,
) -> Result<Option<Box<dyn Sink>>, OutputError> {
    Ok(Some(match spec {
        OutputSpec::Stdout => Box::new(stdout::Stdout::open().map_err(OutputError::Stdout)?),
        OutputSpec::File(path) => file::open(path, sessions, caching)?,
        OutputSpec::Player(address) => Box::new(player::Player::open(address)?),
        OutputSpec::Program(_) => return Ok(None),
    }))
}

/// Writes all payloads, as few calls as the system allows.
pub(super) fn write_all(
    to: &mut impl Write,
    payloads: &[Bytes],
    written: &mut u64,
) -> io::Result<()> {
    for some in payloads.chunks(SLICES) {
        write_some(to, some, written)?;
    }
    Ok(())
}

/// Writes at most [`SLICES`] payloads.
fn write_some(to: &mut impl Write, payloads: &[Bytes], written: &mut u64) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    let all = payloads.iter().filter(|bytes| !bytes.is_empty());
    for (slice, bytes) in slices.iter_mut().zip(all) {
        *slice = IoSlice::new(bytes);
        count += 1;
    }
    let mut slices = slices.get_mut(..count).unwrap_or_default();
    while !slices.is_empty() {
        match to.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                *written += len as u64;
                IoSlice::advance_slices(&mut slices, len);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What one call to the system takes: as many as it takes at most (`UIO_MAXIOV`).
const SLICES: usize = 1_024;
