//! The asking side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LINE_LEN_LIMIT, directory};

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("no {role} answers at {}: {error}", path.display())]
    Nobody {
        /// Which program was asked.
        role: String,
        /// Its socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// None of this user's runs.
    #[error("no {role} of this user runs (looked in {})", path.display())]
    NoneRuns {
        /// Which program was looked for.
        role: String,
        /// Where.
        path: PathBuf,
    },
    /// Nobody knows which is meant.
    #[error("several {role}s run: {}; name one with {flag}", names.join(", "))]
    Several {
        /// Which program was looked for.
        role: String,
        /// The names of those that run.
        names: Vec<String>,
        /// How one is named.
        flag: &'static str,
    },
    /// The directory of sockets cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Asks at the socket: sends a line, gives back the line that is answered.
///
/// # Errors
///
/// When nobody is there, or does not answer within 10 s.
pub fn ask(path: &Path, line: &[u8]) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[line, b"\n"].concat())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_LEN_LIMIT)).read_line(&mut answer)?;
    Ok(answer)
}

/// The socket of the only program of this role that runs; `flag` names one where there are several.
///
/// # Errors
///
/// When none runs, or several do.
pub fn the_only_one(role: &str, flag: &'static str) -> Result<PathBuf, AskError> {
    let path = directory::path();
    let role = role.to_owned();
    let sockets = match directory::sockets(&path, &role) {
        Ok(sockets) => sockets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(AskError::Directory { path, error }),
    };
    // A program that was killed leaves its socket behind.
    let mut running: Vec<(String, PathBuf)> =
        sockets.into_iter().filter(|(_, path)| UnixStream::connect(path).is_ok()).collect();
    if running.len() > 1 {
        let names = running.into_iter().map(|(name, _)| name).collect();
        return Err(AskError::Several { role, names, flag });
    }
    running.pop().map(|(_, path)| path).ok_or(AskError::NoneRuns { role, path })
}

/// A running one answers within a turn.
const PATIENCE: Duration = Duration::from_secs(10);
