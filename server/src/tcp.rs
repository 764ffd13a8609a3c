//! TCP: one connection for each subscriber, frames of a 16-bit length and a datagram.
//!
//! The runtime's thread accepts, reads and writes; bursts, already framed and shared by all
//! connections, come to it from the data thread. Each connection has a bounded queue of its own, so
//! that a slow one holds up nobody: when its queue is full it is let go.

mod info;
pub(crate) mod link;

use std::io;
use std::net::{SocketAddr, SocketAddrV6, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use host::poller::Waker;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::link::{Link, Queue};

/// What the data thread is told of connections.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Somebody connected.
    Opened(Link),
    /// Whole frames came by a connection.
    Said(SocketAddr, Bytes),
    /// A connection ended.
    Closed(SocketAddr),
}

/// Sockets that are open, and nobody serves yet.
#[derive(Debug)]
pub(crate) struct Listeners {
    listeners: Vec<StdListener>,
    arrivals: mpsc::Sender<Arrival>,
}

impl Listeners {
    /// Listens at each of `addresses`; what arrives is told to the receiver.
    ///
    /// # Errors
    ///
    /// When an address is in use, or not of this machine.
    pub(crate) fn bind(
        addresses: &[SocketAddr],
    ) -> anyhow::Result<(Self, mpsc::Receiver<Arrival>)> {
        let (arrivals, told) = mpsc::channel(ARRIVALS_WAITING);
        let listen = |address: &SocketAddr| {
            try_listen(*address)
                .with_context(|| format!("cannot listen for subscribers at tcp://{address}"))
        };
        let listeners = addresses.iter().map(listen).collect::<anyhow::Result<_>>()?;
        Ok((Self { listeners, arrivals }, told))
    }

    /// Accepts and carries until it is dropped.
    pub(crate) fn serve(self, waker: &Waker) -> io::Result<Carried> {
        let mut doors = JoinSet::new();
        let carried = Arc::new(Mutex::new(JoinSet::new()));
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        for (place, listener) in self.listeners.into_iter().enumerate() {
            let door = Door {
                place,
                listener: TcpListener::from_std(listener)?,
                arrivals: self.arrivals.clone(),
                waker: waker.clone(),
                room: Arc::clone(&room),
                carried: Arc::clone(&carried),
            };
            doors.spawn(door.accept());
        }
        Ok(Carried { doors, carried })
    }
}

/// What is being accepted and carried.
pub(crate) struct Carried {
    doors: JoinSet<()>,
    carried: Arc<Mutex<JoinSet<()>>>,
}

impl Carried {
    /// Accepts nobody any longer, and waits until what is queued was written, or has had its time.
    pub(crate) async fn finish(mut self) {
        self.doors.shutdown().await;
        let mut carried =
            std::mem::take(&mut *self.carried.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while carried.join_next().await.is_some() {} };
        // Whoever took nothing for so long is not waited for.
        drop(timeout(LAST_WORDS, all).await);
    }
}

/// With `SO_REUSEADDR`, so that a publisher that is started again finds its port.
pub(crate) fn try_listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A listener, and where its connections are told of.
struct Door {
    place: usize,
    listener: TcpListener,
    arrivals: mpsc::Sender<Arrival>,
    waker: Waker,
    room: Arc<Semaphore>,
    carried: Arc<Mutex<JoinSet<()>>>,
}

impl Door {
    async fn accept(self) {
        let mut number = 0;
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            number += 1;
            match self.open(stream, tag(peer, number), permit).await {
                Ok(carrying) => self.carry(carrying),
                Err(error) => tracing::debug!(%error, "a connection could not be used"),
            }
        }
    }

    fn carry(&self, carrying: impl Future<Output = ()> + Send + 'static) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        while carried.try_join_next().is_some() {}
        carried.spawn(carrying);
    }

    /// Tells of a connection; gives back what carries it.
    async fn open(
        &self,
        stream: TcpStream,
        name: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<impl Future<Output = ()> + use<>> {
        stream.set_nodelay(true)?;
        let (link, queue) = Link::new(self.place, name, &stream)?;
        let (read, write) = stream.into_split();
        let (arrivals, waker) = (self.arrivals.clone(), self.waker.clone());
        tell(&arrivals, &waker, Arrival::Opened(link)).await;
        Ok(async move {
            let reading = read_frames(read, name, &arrivals, &waker);
            tokio::select! {
                read = reading => drop(read),
                written = write_queue(write, queue) => drop(written),
            }
            tell(&arrivals, &waker, Arrival::Closed(name)).await;
            drop(permit);
        })
    }
}

async fn tell(arrivals: &mpsc::Sender<Arrival>, waker: &Waker, arrival: Arrival) {
    // The data thread may have ended.
    if arrivals.send(arrival).await.is_ok() {
        waker.wake();
    }
}

/// Reads until the other side ends, or says what is no frame.
async fn read_frames(
    mut read: OwnedReadHalf,
    name: SocketAddr,
    arrivals: &mpsc::Sender<Arrival>,
    waker: &Waker,
) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(READ_LEN);
    loop {
        bytes.reserve(READ_LEN);
        let read = timeout(SILENCE, read.read_buf(&mut bytes)).await;
        if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
            return Ok(());
        }
        let whole = whole_frames(&bytes)?;
        if whole > 0 {
            tell(arrivals, waker, Arrival::Said(name, bytes.split_to(whole).freeze())).await;
        }
    }
}

/// Writes what is queued, until the data thread lets go of the connection and all was written.
async fn write_queue(mut write: OwnedWriteHalf, mut queue: Queue) -> io::Result<()> {
    while let Some(bytes) = queue.next().await {
        // Once nothing more will be queued, what is left has only so long.
        if queue.is_closed() {
            timeout(LINGER, write.write_all(&bytes))
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??;
        } else {
            tokio::select! {
                written = write.write_all(&bytes) => written?,
                () = queue.closed_for(LINGER) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        queue.on_written(bytes.len());
    }
    write.shutdown().await
}

/// How many bytes of `bytes` are whole frames; an error if a frame is longer than feedback is.
fn whole_frames(bytes: &[u8]) -> io::Result<usize> {
    let mut whole = 0;
    while let Some((len, rest)) = bytes.get(whole..).and_then(<[u8]>::split_first_chunk::<2>) {
        let len = usize::from(u16::from_be_bytes(*len));
        if len > LONGEST_SAID {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no frames of a subscriber"));
        }
        if rest.len() < len {
            break;
        }
        whole += 2 + len;
    }
    Ok(whole)
}

/// The datagrams of whole frames.
pub(crate) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (frame, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        bytes = rest;
        Some(frame)
    })
}

/// Frames of a burst of datagrams that are `segment_len` bytes long but for the last.
pub(crate) fn framed(datagrams: &[u8], segment_len: usize) -> Bytes {
    let segment_len = segment_len.max(1);
    let count = datagrams.len().div_ceil(segment_len);
    let mut frames = BytesMut::with_capacity(datagrams.len() + 2 * count);
    for datagram in datagrams.chunks(segment_len) {
        let len = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        frames.extend_from_slice(&len.to_be_bytes());
        frames.extend_from_slice(datagram);
    }
    frames.freeze()
}

/// A name for a connection that no address of UDP has: its number stands where IPv6 has a flow label.
fn tag(peer: SocketAddr, number: u32) -> SocketAddr {
    let address = match peer {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    };
    SocketAddr::V6(SocketAddrV6::new(address, peer.port(), number, 0))
}

/// Whether it is the name of a connection.
pub(crate) fn is_link(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.flowinfo() != 0)
}

/// What the data thread has not taken yet; then connections wait.
const ARRIVALS_WAITING: usize = 1_024;

/// Each may have a queue of megabytes.
const MOST_CONNECTIONS: usize = 1_024;

/// As many may come at once when a publisher was started again.
const BACKLOG: i32 = 1_024;
const READ_LEN: usize = 16 << 10;

/// The longest feedback: a NAK of 64 ranges and 64 needs.
const LONGEST_SAID: usize = 2_048;

/// A subscriber reports several times a second while it is few, and every minute at the very least.
const SILENCE: Duration = Duration::from_secs(60);

/// What the last words of the program may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long who was let go has to read why.
const LINGER: Duration = Duration::from_secs(10);

/// Where descriptors have run out, others may be closed meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_is_read_as_it_was() {
        let framed = framed(&[1, 1, 1, 2, 2, 2, 3], 3);
        assert_eq!(whole_frames(&framed).unwrap(), framed.len());
        assert_eq!(whole_frames(&framed[..9]).unwrap(), 5, "the second is not whole yet");
        let read: Vec<&[u8]> = frames(&framed).collect();
        assert_eq!(read, [&[1, 1, 1][..], &[2, 2, 2], &[3]]);
        assert!(whole_frames(&[0xff, 0xff]).is_err(), "a request of HTTP is no frame");
    }

    #[test]
    fn a_connection_has_a_name_of_its_own() {
        let peer: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        assert!(is_link(&tag(peer, 1)) && !is_link(&peer));
        assert_ne!(tag(peer, 1), tag(peer, 2));
    }
}
