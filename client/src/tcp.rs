//! A connection to a publisher: frames of a 16-bit length and a datagram.
//!
//! A thread connects, reads, and hands over what came in batches; a connection that ends is made
//! again. What is said goes out from the receive thread, which never waits for it.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use host::poller::Waker;
use rustix::net::{SendFlags, send};

/// A connection, or the attempt to have one.
#[derive(Debug)]
pub(crate) struct TcpLink {
    batches: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    pending: Vec<u8>,
    /// Which connection `pending` is for.
    pending_for: u64,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    /// The connection, and which one it is.
    stream: Mutex<(Option<TcpStream>, u64)>,
    is_over: AtomicBool,
}

impl TcpLink {
    /// Connects to `address`, and wakes whoever waits when something came.
    pub(crate) fn open(address: SocketAddr, waker: Waker) -> io::Result<Self> {
        let (filled, batches) = sync_channel(BATCHES_WAITING);
        let is_over = AtomicBool::new(false);
        let shared = Arc::new(Shared { address, stream: Mutex::new((None, 0)), is_over });
        let reader = Reader { shared: Arc::clone(&shared), filled, waker };
        thread::Builder::new().name("tcp".to_owned()).spawn(move || reader.run())?;
        Ok(Self { batches, shared, pending: Vec::new(), pending_for: 0 })
    }

    /// The next batch of whole frames, if one has come.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        self.batches.try_recv().ok()
    }

    /// Says a datagram, or as much of it as there is room for; the rest goes with the next. Without a
    /// connection, or room, it is lost: feedback is said again.
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        let Ok(len) = u16::try_from(datagram.len()) else { return };
        let connected = self.shared.lock();
        let (Some(stream), number) = &*connected else { return };
        if self.pending_for != *number {
            self.pending.clear();
            self.pending_for = *number;
        }
        if self.pending.len() > PENDING_LIMIT {
            return;
        }
        self.pending.extend_from_slice(&len.to_be_bytes());
        self.pending.extend_from_slice(datagram);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if let Ok(sent) = send(stream, &self.pending, flags) {
            self.pending.drain(..sent.min(self.pending.len()));
        }
    }
}

impl Drop for TcpLink {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(stream) = &self.shared.lock().0 {
            // What was said is still sent. It fails if the other side was faster.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (Option<TcpStream>, u64)> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// The thread that reads.
struct Reader {
    shared: Arc<Shared>,
    filled: SyncSender<Vec<u8>>,
    waker: Waker,
}

impl Reader {
    fn run(&self) {
        while !self.shared.is_over() {
            if let Err(error) = self.connect_and_read() {
                tracing::debug!(address = %self.shared.address, %error, "no connection");
            }
            self.shared.lock().0 = None;
            if self.shared.is_over() {
                return;
            }
            thread::sleep(RETRY);
        }
    }

    fn connect_and_read(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.shared.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        {
            let mut shared = self.shared.lock();
            *shared = (Some(stream.try_clone()?), shared.1 + 1);
        }
        self.waker.wake();
        let mut bytes = vec![0; BATCH_LEN];
        let mut filled = 0;
        loop {
            let read = stream.read(bytes.get_mut(filled..).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let whole = whole_frames(bytes.get(..filled).unwrap_or_default())?;
            if whole == 0 {
                continue;
            }
            let batch = bytes.get(..whole).unwrap_or_default().to_vec();
            bytes.copy_within(whole..filled, 0);
            filled -= whole;
            if self.filled.send(batch).is_err() {
                return Ok(());
            }
            self.waker.wake();
        }
    }
}

/// The datagrams of a batch.
pub(crate) fn frames(mut batch: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = std::mem::take(&mut batch).split_first_chunk_mut::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (frame, rest) = rest.split_at_mut(len);
        batch = rest;
        Some(frame)
    })
}

/// How many bytes of `bytes` are whole frames.
fn whole_frames(bytes: &[u8]) -> io::Result<usize> {
    let mut whole = 0;
    while let Some((len, rest)) = bytes.get(whole..).and_then(<[u8]>::split_first_chunk::<2>) {
        let len = usize::from(u16::from_be_bytes(*len));
        if len > proto::wire::MAX_DATAGRAM_LEN {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no frames of a publisher"));
        }
        if rest.len() < len {
            break;
        }
        whole += 2 + len;
    }
    Ok(whole)
}

/// Some hundred datagrams: small against a socket's buffer, large against a system call.
const BATCH_LEN: usize = 256 << 10;

/// Then the connection waits, and the publisher with it.
const BATCHES_WAITING: usize = 4;

/// Feedback that waits for a connection that takes none.
const PENDING_LIMIT: usize = 64 << 10;

const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_at_their_lengths() {
        let mut bytes = vec![0, 2, 7, 8, 0, 0, 0, 1, 9, 0, 3, 1];
        assert_eq!(whole_frames(&bytes).unwrap(), 9);
        let found: Vec<Vec<u8>> = frames(&mut bytes[..9]).map(|frame| frame.to_vec()).collect();
        assert_eq!(found, [vec![7, 8], vec![], vec![9]]);
        assert!(whole_frames(&[0xff, 0xff, 1]).is_err());
    }
}
