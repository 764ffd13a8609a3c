//! What is said over a connection to the publisher's admission.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use host::tls;
use proto::admission::{Frames, FromPublisher, FromSubscriber};
use proto::wire::Discard;
use rustls::{AlertDescription, ClientConfig, Error as TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum TalkError {
    #[error("{address} cannot be resolved: {error}")]
    Unresolved { address: String, error: io::Error },
    #[error("{address} cannot be connected to: {error}")]
    Unreachable { address: SocketAddr, error: io::Error },
    #[error(
        "whoever answers at {0} has another key than --publisher says: it is another publisher, or \
         one that pretends to be it"
    )]
    AnotherPublisher(SocketAddr),
    #[error("{address} does not speak TLS as a publisher's admission does: {error}")]
    Handshake { address: SocketAddr, error: io::Error },
    #[error("nothing was answered in time")]
    Slow,
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the publisher ended the connection")]
    Closed,
    #[error("the connection failed: {0}")]
    Failed(#[from] io::Error),
    #[error("the publisher said what cannot be read ({0})")]
    Unreadable(#[from] Discard),
}

/// A connection over which the publisher proved its key.
pub(super) struct Talk {
    stream: TlsStream<TcpStream>,
    frames: Frames,
}

impl Talk {
    /// Connects to the first address that answers.
    pub(super) async fn begin(address: &str, config: Arc<ClientConfig>) -> Result<Self, TalkError> {
        let unresolved = |error| TalkError::Unresolved { address: address.to_owned(), error };
        let addresses = timeout(BEGIN_WITHIN, lookup_host(address)).await;
        let addresses = addresses.map_err(|_| TalkError::Slow)?.map_err(unresolved)?;
        let nobody = io::Error::from(io::ErrorKind::NotFound);
        let mut last = unresolved(nobody);
        for address in addresses {
            match timeout(BEGIN_WITHIN, Self::connect(address, Arc::clone(&config))).await {
                Ok(Ok(talk)) => return Ok(talk),
                Ok(Err(error)) => last = error,
                Err(_) => last = TalkError::Slow,
            }
        }
        Err(last)
    }

    async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self, TalkError> {
        let unreachable = |error| TalkError::Unreachable { address, error };
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let connecting = TlsConnector::from(config).connect(tls::name_of(address.ip()), stream);
        let stream = connecting.await.map_err(|error| match tls_error(&error) {
            Some(TlsError::InvalidCertificate(_)) => TalkError::AnotherPublisher(address),
            _ => TalkError::Handshake { address, error },
        })?;
        Ok(Self { stream, frames: Frames::new() })
    }

    /// Waits for what the publisher says next. Nothing is lost if it is dropped meanwhile.
    pub(super) async fn hear(&mut self) -> Result<FromPublisher, TalkError> {
        loop {
            if let Some(message) = self.frames.take()? {
                return Ok(FromPublisher::decode(message)?);
            }
            let read = self.stream.read(self.frames.room()).await.map_err(ended)?;
            if read == 0 {
                return Err(TalkError::Closed);
            }
            self.frames.advance(read);
        }
    }

    pub(super) async fn say(&mut self, what: &FromSubscriber) -> Result<(), TalkError> {
        let frame = what.to_frame();
        let write = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        timeout(WRITE_WITHIN, write).await.map_err(|_| TalkError::Slow)?.map_err(ended)
    }

    /// Ends it in order; who does not take that in time is left.
    pub(super) async fn end(mut self) {
        drop(timeout(WRITE_WITHIN, self.stream.shutdown()).await);
    }
}

impl TalkError {
    /// Whether to try again is of no use.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self, Self::AnotherPublisher(_))
    }
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// A peer that goes without a word has ended the connection, too.
fn ended(error: io::Error) -> TalkError {
    let is_end = match tls_error(&error) {
        Some(TlsError::AlertReceived(alert)) => *alert == AlertDescription::CloseNotify,
        _ => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        ),
    };
    if is_end { TalkError::Closed } else { TalkError::Failed(error) }
}

/// Either end closes what it has not heard for so long; each speaks every 10 s.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// How often it is said that this end is there.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// As long as a publisher waits for the first word.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

const WRITE_WITHIN: Duration = Duration::from_secs(5);
