//! Payload out: to a file, to stdout, to a player.
//!
//! Each output has a ring of its own, and those that have to wait each wait on a thread of their own: a
//! slow one stalls neither the network nor its neighbours. Those that never wait share one.

mod file;
mod player;
mod ring;
mod sink;
mod stdout;
mod task;
#[cfg(test)]
mod tests;
mod verdict;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use host::interface::InterfaceError;
use host::poller::Waker;
use host::workers::Workers;
use proto::SeqRange;
use proto::endpoint::{EndpointError, UdpAddress};
use proto::receiver::Delivered;
use serde::{Deserialize, Serialize};

use ring::Ring;
use task::Task;
pub(crate) use verdict::{Finished, Flaw};

/// Where the payload of a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputSpec {
    /// `-`
    Stdout,
    /// A path.
    File(PathBuf),
    /// `udp://…`: plain datagrams for a player.
    Player(UdpAddress),
}

/// What becomes of an output when a session ends or another begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// The first session that ends is all that is wanted; a restart begins it anew.
    Once,
    /// Each session is followed by the next.
    Follow,
}

/// What happens when an output's ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// The stream waits: the receive window fills, and the credit tells the publisher.
    Block,
    /// The oldest payload that waits goes, and is reported as missing.
    DropOldest,
}

/// Why an output cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A directory stands where the file should.
    #[error("{} is a directory: name a file in it", .0.display())]
    Directory(PathBuf),
    /// It cannot be created.
    #[error("cannot write {}: {source}", .path.display())]
    Open {
        /// What was to be created.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Stdout is closed.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// No address to send to.
    #[error("an output needs an address to send to: write udp://127.0.0.1:1234")]
    NoAddress,
    /// No socket to send from.
    #[error("cannot send to {address}: {source}")]
    Player {
        /// Where to.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// No interface to send by.
    #[error("cannot send to {address}: {source}")]
    Interface {
        /// Where to.
        address: String,
        /// Why not.
        source: InterfaceError,
    },
}

/// Who is told of an output, and who writes it.
#[derive(Clone, Debug)]
pub(crate) struct Crew {
    /// Rung when there is room again, and when all is written.
    pub(crate) waker: Waker,
    /// Those who write.
    pub(crate) writers: Workers,
}

/// An open output, and those who write it.
#[derive(Debug)]
pub(crate) struct Output {
    ring: Arc<Ring>,
    progress: Arc<Mutex<Progress>>,
    task: Arc<Task>,
    writers: Workers,
}

/// How far an output has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes written, of all sessions.
    pub(crate) bytes: u64,
    /// Sessions whose end was written.
    pub(crate) sessions: u64,
    /// How the last session ended.
    pub(crate) finished: Option<Finished>,
    /// Why nothing more is written.
    pub(crate) stopped: Option<Stopped>,
}

/// Why an output is not written any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Whoever read it went: a quiet end.
    ReaderGone,
    /// It failed; what was written is kept.
    Failed(String),
}

impl Output {
    /// Opens it, so that what cannot be written is known before anything is joined.
    pub(crate) fn open(
        spec: &OutputSpec,
        sessions: Sessions,
        crew: Crew,
    ) -> Result<Self, OutputError> {
        let sink = sink::open(spec, sessions)?;
        let Crew { waker, writers } = crew;
        let ring = Arc::new(Ring::new(RING_BYTES, waker));
        let progress = Arc::new(Mutex::new(Progress::default()));
        let writer = writer::Writer::new(sink, Arc::clone(&ring), Arc::clone(&progress));
        let task = Arc::new(Task::new(writer, Arc::clone(&ring), Arc::clone(&progress)));
        Ok(Self { ring, progress, task, writers })
    }

    /// Whether there is room for more; if not, the waker rings when there is.
    pub(crate) fn has_room(&self) -> bool {
        self.ring.has_room()
    }

    /// Hands a batch over, in order; leaves the vector empty.
    pub(crate) fn push(&self, batch: &mut Vec<Delivered>) {
        self.ring.push(batch);
        self.call();
    }

    /// The same, where the newest matters most: the oldest payload goes if there is no room. Says
    /// what went.
    pub(crate) fn push_over(&self, batch: &mut Vec<Delivered>) -> Vec<SeqRange> {
        let losses = self.ring.push_over(batch);
        self.call();
        losses
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all is written that will be.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_ended()
    }

    /// No more comes: what is in the ring is written, then it ends.
    pub(crate) fn close(&self) {
        self.ring.close();
        self.call();
    }

    /// Waits until all is written, and says how far it came.
    pub(crate) fn finish(self) -> Progress {
        self.close();
        self.task.wait();
        self.progress()
    }

    /// Has what is in the ring written.
    fn call(&self) {
        if self.ring.calls() {
            self.writers.give(Arc::<Task>::clone(&self.task));
        }
    }
}

impl Drop for Output {
    /// What was pushed is written all the same, and the output closed.
    fn drop(&mut self) {
        self.close();
    }
}

impl OutputSpec {
    /// Whether a session that ended is all that is wanted, unless it was said otherwise.
    #[must_use]
    pub fn default_sessions(&self) -> Sessions {
        match self {
            Self::Stdout | Self::File(_) => Sessions::Once,
            Self::Player(_) => Sessions::Follow,
        }
    }
}

impl OutputSpec {
    /// What happens when its ring is full, unless it was said otherwise: a player wants what is
    /// new, and of a timely stream what waits is of no use.
    pub(crate) fn default_on_full(&self, is_timely: bool) -> OnFull {
        match self {
            Self::Player(_) => OnFull::DropOldest,
            Self::Stdout | Self::File(_) if is_timely => OnFull::DropOldest,
            Self::Stdout | Self::File(_) => OnFull::Block,
        }
    }
}

impl OutputSpec {
    /// Whether what is written there is gone, so that several may write at once.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self, Self::File(path) if path.as_os_str() == "/dev/null")
    }

    /// As a sentence names it.
    pub(crate) fn spoken(&self) -> String {
        if *self == Self::Stdout { "stdout".to_owned() } else { self.to_string() }
    }
}

impl FromStr for OutputSpec {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text {
            "-" => Ok(Self::Stdout),
            _ if text.starts_with("udp://") => text.parse().map(Self::Player),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl FromStr for OnFull {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "drop-oldest" => Ok(Self::DropOldest),
            _ => Err("write block or drop-oldest".to_owned()),
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Player(address) => write!(f, "{address}"),
        }
    }
}

/// Rides over a stall of 30 ms at 1 Gbit/s; longer ones wait in the receive window.
const RING_BYTES: usize = 4 * 1024 * 1024;
