//! A subscriber of admission by hand: it connects, and says and hears what it is told to.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use host::identity::Identity;
use host::tls;
use proto::SubscriberId;
use proto::admission::{Frames, FromPublisher, FromSubscriber, Hello, Token};
use proto::sign::PublicKey;
use proto::wire::List;
use rustls::{ClientConnection, StreamOwned};

/// A connection to a publisher.
pub(crate) struct Caller {
    stream: StreamOwned<ClientConnection, TcpStream>,
    frames: Frames,
}

impl Caller {
    /// Connects, and shakes hands.
    pub(crate) fn connect(
        address: SocketAddr,
        identity: Option<&Identity>,
        publisher: PublicKey,
    ) -> io::Result<Self> {
        let config = tls::client(identity, publisher).unwrap();
        let connection = ClientConnection::new(config, tls::name_of(address.ip())).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, frames: Frames::new() })
    }

    pub(crate) fn say(&mut self, said: &FromSubscriber) {
        self.stream.write_all(&said.to_frame()).unwrap();
        self.stream.flush().unwrap();
    }

    pub(crate) fn say_hello(&mut self, id: u128, token: Option<&[u8]>, streams: &[&str]) {
        self.say(&FromSubscriber::Hello(Hello {
            subscriber: SubscriberId(id),
            name: format!("host-{id}").parse().unwrap(),
            token: token.map(Token::of),
            streams: List::truncated(streams.iter().map(|name| name.parse().unwrap())),
        }));
    }

    /// The next of what it is told; `None` once the publisher has closed.
    pub(crate) fn hear(&mut self) -> Option<FromPublisher> {
        loop {
            if let Some(told) = self.frames.take().unwrap() {
                return Some(FromPublisher::decode(told).unwrap());
            }
            let len = self.stream.read(self.frames.room()).unwrap_or(0);
            if len == 0 {
                return None;
            }
            self.frames.advance(len);
        }
    }
}
