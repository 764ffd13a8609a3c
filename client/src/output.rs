//! Payload out: to a file, to stdout, to a player, to the program itself.
//!
//! Each output has a ring of its own, and those that have to wait each wait on a thread of their own: a
//! slow one stalls neither the network nor its neighbours. Those that never wait share one. What the program
//! reads itself it takes out of the ring.

mod bell;
mod blocks;
mod file;
mod player;
mod reader;
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
use host::workers::{Work, Workers};
use proto::SeqRange;
use proto::endpoint::{EndpointError, UdpAddress};
use proto::receiver::Delivered;
use serde::{Deserialize, Serialize};

use crate::summary::Ended;

use bell::Bell;
pub use reader::Inbox;
pub(crate) use reader::{Handed, Reader};
use ring::Ring;
use task::Task;
pub(crate) use verdict::Finished;
pub use verdict::Flaw;

/// Where the payload of a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputSpec {
    /// `-`
    Stdout,
    /// A path.
    File(PathBuf),
    /// `udp://…`: plain datagrams for a player.
    Player(UdpAddress),
    /// The program around this library, which reads it with a [`crate::Subscriber`].
    Program(Inbox),
}

/// What becomes of an output when a session ends or another begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// The first session that ends is all that is wanted; a restart begins it anew.
    Once,
    /// Each session is followed by the next.
    Follow,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// By the page cache, as files are.
    #[default]
    Cached,
    /// Past it, in large blocks, where the file system can: the cache is left to others.
    Direct,
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
    taker: Taker,
}

/// Who takes what is in the ring.
#[derive(Debug)]
enum Taker {
    /// One of these, to write it.
    Writers(Arc<Task>, Workers),
    /// The program, which listens to this.
    Program(Arc<Bell>),
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
    /// Why nothing more comes.
    pub(crate) ended: Option<Ended>,
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
        (sessions, caching): (Sessions, Caching),
        crew: Crew,
    ) -> Result<Self, OutputError> {
        let sink = sink::open(spec, sessions, caching)?;
        let Crew { waker, writers } = crew;
        let ring = Arc::new(Ring::new(RING_BYTES, waker));
        let progress = Arc::new(Mutex::new(Progress::default()));
        let shares = || (Arc::clone(&ring), Arc::clone(&progress));
        let Some(sink) = sink else {
            let bell = Arc::new(Bell::default());
            spec.connect(Reader::new(shares(), Arc::clone(&bell)));
            return Ok(Self { ring, progress, taker: Taker::Program(bell) });
        };
        let (of_writer, of_task) = (shares(), shares());
        let writer = writer::Writer::new(sink, of_writer.0, of_writer.1, spec.is_nowhere());
        let task = Arc::new(Task::new(writer, of_task.0, of_task.1));
        Ok(Self { ring, progress, taker: Taker::Writers(task, writers) })
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

    /// Whether all is written that will be. The program may read what is left when all else is over.
    pub(crate) fn is_finished(&self) -> bool {
        match &self.taker {
            Taker::Writers(task, _) => task.is_ended(),
            Taker::Program(_) => true,
        }
    }

    /// Why nothing more will come.
    pub(crate) fn tell(&self, ended: &Ended) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.ended = Some(ended.clone());
    }

    /// No more comes: what is in the ring is written, then it ends.
    pub(crate) fn close(&self) {
        self.ring.close();
        self.call();
    }

    /// Waits until all is written, and says how far it came.
    pub(crate) fn finish(self) -> Progress {
        self.close();
        if let Taker::Writers(task, _) = &self.taker {
            task.wait();
        }
        self.progress()
    }

    /// Has what is in the ring taken; takes it here where that is less than to wake somebody for it.
    fn call(&self) {
        if !self.ring.calls() {
            return;
        }
        match &self.taker {
            Taker::Writers(task, writers) => {
                let mut has_more = true;
                while has_more && task.is_quick() {
                    has_more = task.turn();
                }
                if has_more {
                    writers.give(Arc::<Task>::clone(task));
                }
            }
            Taker::Program(bell) => bell.ring(),
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
            Self::Stdout | Self::File(_) | Self::Program(_) => Sessions::Once,
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
            Self::Stdout | Self::File(_) | Self::Program(_) if is_timely => OnFull::DropOldest,
            Self::Stdout | Self::File(_) | Self::Program(_) => OnFull::Block,
        }
    }
}

impl OutputSpec {
    /// Whether what is written there is gone, so that several may write at once.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self, Self::File(path) if path.as_os_str() == "/dev/null")
    }

    /// Gives the program what it reads with, if it is the program that reads.
    fn connect(&self, reader: Reader) {
        if let Self::Program(inbox) = self {
            inbox.set(reader);
        }
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
            Self::Program(_) => f.write_str("the program"),
        }
    }
}

/// Rides over a stall of 30 ms at 1 Gbit/s; longer ones wait in the receive window.
const RING_BYTES: usize = 4 * 1024 * 1024;
