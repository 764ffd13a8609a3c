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
