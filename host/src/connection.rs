//! Connections of the HTTP server, bounded in number and in the time they may take to ask.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// A listener that accepts no more than [`MAX_CONNECTIONS`] at a time.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that must ask within [`ASK_WITHIN`] and may be idle for [`IDLE_FOR`].
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    is_asking: bool,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let accepted = match Arc::clone(&self.places).acquire_owned().await {
                Ok(place) => self.listener.accept().await.map(|accepted| (accepted, place)),
                Err(closed) => Err(io::Error::other(closed)),
            };
            match accepted {
                Ok(((stream, peer), place)) => return (Connection::new(stream, place), peer),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    // Out of descriptors, most likely: others may be closed in the meantime.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(sleep(ASK_WITHIN));
        Self { stream, is_asking: true, deadline, _place: place }
    }

    fn may_take(&mut self, time: Duration) {
        self.deadline.as_mut().reset(Instant::now() + time);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buf) {
            if !this.is_asking {
                this.is_asking = true;
                this.may_take(ASK_WITHIN);
            }
            return Poll::Ready(read);
        }
        ready!(this.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, buf));
        self.is_asking = false;
        self.may_take(IDLE_FOR);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// More than a scraper, a page and a person need; few enough to cost nothing.
pub(crate) const MAX_CONNECTIONS: usize = 32;

/// From the first byte of a request to its answer.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// Longer than the usual time between two scrapes.
const IDLE_FOR: Duration = Duration::from_secs(75);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;
    use crate::http::{Answers, bind, serve};

    /// A server that has nothing to tell.
    fn start() -> SocketAddr {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::new(Vec::new, || true, || "{}".to_owned());
        tokio::spawn(serve(listener, answers, std::future::pending()));
        address
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_request_that_comes_byte_by_byte_is_cut_off() {
        let mut stream = TcpStream::connect(start()).await.unwrap();
        let began = Instant::now();
        let mut bytes = b"GET / HTTP/1.1\r\n".iter().cycle();
        let is_over = async |stream: &mut TcpStream| {
            let mut one = [0];
            timeout(Duration::from_secs(1), stream.read(&mut one)).await.is_ok()
        };
        while !is_over(&mut stream).await {
            assert!(began.elapsed() < ASK_WITHIN * 2, "it may ask for ever");
            // One that was cut off in the meantime is noticed by reading.
            drop(stream.write_all(&[*bytes.next().unwrap()]).await);
        }
        assert!(began.elapsed() >= ASK_WITHIN);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn one_more_than_the_most_has_to_wait_for_another_to_go() {
        let address = start();
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        let answered = timeout(ASK_WITHIN / 2, late.read_exact(&mut answer)).await;
        assert!(answered.is_err(), "{answer:?}");
        held.pop();
        late.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}
