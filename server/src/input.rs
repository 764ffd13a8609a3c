//! Where a stream comes from: read and hashed on a thread of its own, or of all live ones; or pushed by
//! the program.

mod live;
mod memory;
mod outbox;
mod pieces;
mod queue;
mod reader;
mod rtp;
mod udp;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use anyhow::{Context, ensure};
use bytes::Bytes;
use host::poller::Waker;
use host::shutdown::Shutdown;
use proto::sender::Row;

pub use self::live::Live;
pub use self::memory::{Memory, Taking};
use self::outbox::Outbox;
pub use self::queue::{Queue, SendError};
use self::reader::Reader;
pub use self::udp::UdpInput;
use crate::config::ConfigError;
use crate::flags::StreamFlags;
use crate::flags::input::InputSpec;
use crate::flags::value::Digest;

/// Where a stream comes from.
#[derive(Clone, Debug)]
pub enum InputConfig {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// What an encoder sends.
    Udp(UdpInput),
    /// Messages that the program pushes.
    Queue(Arc<Queue>),
    /// Bytes that the program has.
    Memory(Memory),
}

/// An input that was opened, and waits to be started.
#[derive(Debug)]
pub struct Input {
    source: Source,
    /// Its length in bytes, where that is known before it was read.
    pub len: Option<u64>,
    /// Whether it goes on whether or not we read it.
    pub is_live: bool,
}

/// What is done with what is read.
#[derive(Clone, Copy, Debug)]
pub struct Handling {
    /// Payload of a full packet, in bytes.
    pub payload_len: usize,
    /// What is computed of it.
    pub digest: Digest,
}

/// What an input hands over, in order.
#[derive(Debug)]
pub enum Item {
    /// A piece of the stream.
    Piece {
        /// Never empty.
        piece: Bytes,
        /// Whether nothing follows for now, so that a short packet of a stream of bytes should go.
        is_pause: bool,
    },
    /// Several messages, after which nothing follows for now.
    Messages(Vec<Bytes>),
    /// Messages, side by side.
    Row(Row),
    /// What waits for company is to go at once.
    Flush,
    /// That was all.
    End {
        /// SHA-256 of all payload that was handed over, where it is hashed.
        sha256: Option<[u8; 32]>,
    },
    /// The input could not be read on.
    Failed(io::Error),
}

/// Where what an input hands over is taken from.
#[derive(Debug)]
pub enum Items {
    /// From a thread that reads it.
    Thread(Receiver<Item>),
    /// From the program.
    Queue(Arc<Queue>),
    /// From the program's memory.
    Memory(Taking),
}

/// What an input and whoever takes from it say to each other beside what is handed over.
#[derive(Debug)]
pub struct Line {
    /// Rung when something was handed over.
    pub wake: Waker,
    /// What is counted.
    pub counters: Arc<InputCounters>,
    /// Asks the input to end.
    pub stop: Shutdown,
}

/// What an input counts; only ever rising.
#[derive(Debug, Default)]
pub struct InputCounters {
    /// Payload handed over, in bytes.
    pub bytes: AtomicU64,
    /// Datagrams received, by udp:// input.
    pub datagrams: AtomicU64,
    /// Datagrams that came while there was no room, and are not in the stream.
    pub dropped: AtomicU64,
    /// RTP packets that never came, by their sequence numbers.
    pub rtp_missing: AtomicU64,
    /// RTP packets that came after a later one.
    pub rtp_reordered: AtomicU64,
}

#[derive(Debug)]
enum Source {
    Reader(Reader),
    Udp(udp::Listener),
    Queue(Arc<Queue>),
    Memory(Memory),
}

impl InputConfig {
    /// Resolves what was written.
    ///
    /// # Errors
    ///
    /// When it cannot be received from here.
    pub fn new(spec: &InputSpec, flags: &StreamFlags) -> Result<Self, ConfigError> {
        match spec {
            InputSpec::Udp { address, rtp } => {
                let rtp = flags.rtp.or(rtp.then_some(true));
                let named = flags.interface.as_ref();
                Ok(Self::Udp(UdpInput::new(address, named, rtp)?))
            }
            _ if flags.rtp == Some(true) => Err(ConfigError::NoRtp),
            InputSpec::File(path) => Ok(Self::File(path.clone())),
            InputSpec::Stdin => Ok(Self::Stdin),
        }
    }

    /// Whether it is the same place to read from.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Stdin, Self::Stdin) => true,
            (Self::Udp(one), Self::Udp(two)) => one.is_same(two),
            (Self::Queue(one), Self::Queue(two)) => Arc::ptr_eq(one, two),
            // What is in memory goes out once.
            (Self::File(_) | Self::Stdin | Self::Udp(_) | Self::Queue(_) | Self::Memory(_), _) => {
                false
            }
        }
    }

    /// Opens it, one of so many `inputs`: what cannot be read is found before anything is sent.
    ///
    /// # Errors
    ///
    /// When it cannot be read; the error names it.
    pub fn open(&self, inputs: usize) -> anyhow::Result<Input> {
        match self {
            Self::File(path) => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                let metadata = file.metadata().with_context(|| path.display().to_string())?;
                ensure!(!metadata.is_dir(), "{} is a directory: name a file", path.display());
                let len = metadata.is_file().then_some(metadata.len());
                let source = Source::Reader(Reader::new(file.into(), len.is_some()));
                Ok(Input { source, len, is_live: false })
            }
            Self::Stdin => {
                let stdin = io::stdin().as_fd().try_clone_to_owned().context("stdin")?;
                let file = File::from(stdin);
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let source = Source::Reader(Reader::new(file.into(), is_file));
                Ok(Input { source, len: None, is_live: false })
            }
            Self::Udp(udp) => {
                let source = Source::Udp(udp.listen(inputs)?);
                Ok(Input { source, len: None, is_live: true })
            }
            Self::Queue(queue) => {
                let source = Source::Queue(Arc::clone(queue));
                Ok(Input { source, len: None, is_live: false })
            }
            Self::Memory(memory) => {
                let len = Some(memory.len());
                Ok(Input { source: Source::Memory(memory.clone()), len, is_live: false })
            }
        }
    }
}

impl Input {
    /// Starts reading; the line's `wake` is rung when something was handed over. A file or stdin is read
    /// only as fast as it is taken, in pieces that fill packets; what an
    /// encoder sends too fast is dropped and counted. One that is live is added to `live`, which is
    /// still to be started.
    ///
    /// The request to `stop` ends it: the thread hands over its end and returns.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start(
        self,
        live: &mut Live,
        handling: Handling,
        Line { wake, counters, stop }: Line,
    ) -> io::Result<Items> {
        let queue_len = if self.is_live { LIVE_QUEUE_LEN } else { QUEUE_LEN };
        let (sender, receiver) = sync_channel(queue_len);
        let Handling { payload_len, digest } = handling;
        match self.source {
            Source::Queue(queue) => {
                queue.connect(wake, counters);
                return Ok(Items::Queue(queue));
            }
            Source::Memory(memory) => {
                wake.wake();
                return Ok(Items::Memory(memory.begin(handling, counters)));
            }
            Source::Udp(listener) => {
                live.add(listener, Outbox::new(sender, wake, counters, digest), stop);
            }
            Source::Reader(reader) => {
                let outbox = Outbox::new(sender, wake, counters, digest);
                let stopped = Waker::new()?;
                stop.wakes(stopped.clone());
                let read =
                    move || outbox.finish(|outbox| reader.run(outbox, payload_len, &stopped));
                thread::Builder::new().name("input".to_owned()).spawn(read)?;
            }
        }
        Ok(Items::Thread(receiver))
    }
}

impl Items {
    /// The next item.
    ///
    /// # Errors
    ///
    /// When there is none, or an input thread ended without a word.
    pub fn try_recv(&mut self) -> Result<Item, TryRecvError> {
        match self {
            Self::Thread(items) => items.try_recv(),
            Self::Queue(queue) => queue.take().ok_or(TryRecvError::Empty),
            Self::Memory(taking) => Ok(taking.next()),
        }
    }

    /// Nothing more is taken: whoever pushes is told.
    pub fn hang_up(&self) {
        if let Self::Queue(queue) = self {
            queue.hang_up();
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// What waits between an input and the sender: 2 MiB of a file.
const QUEUE_LEN: usize = 8;

/// The same of an encoder, in datagrams that come one by one: a picture of 300 KB at once, before the
/// data thread has its turn.
const LIVE_QUEUE_LEN: usize = 256;
