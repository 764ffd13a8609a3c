//! What every output can do.

use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use proto::receiver::SessionInfo;

use super::{OutputError, OutputSpec, Sessions, file, player, stdout};

/// Something that payload is written to, in order.
pub(super) trait Sink: Send {
    /// A session begins, maybe in the middle of another.
    fn begin(&mut self, session: &SessionInfo) -> Result<(), SinkError>;

    /// Writes payloads; `written` is moved on by every byte that is safe, also before an error.
    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError>;

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
) -> Result<Option<Box<dyn Sink>>, OutputError> {
    Ok(Some(match spec {
        OutputSpec::Stdout => Box::new(stdout::Stdout::open().map_err(OutputError::Stdout)?),
        OutputSpec::File(path) => file::open(path, sessions)?,
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
    let mut slices: Vec<IoSlice<'_>> = payloads
        .iter()
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| IoSlice::new(bytes))
        .collect();
    let mut slices = slices.as_mut_slice();
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
