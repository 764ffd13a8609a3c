//! Payload as plain datagrams, for a player.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};

use bytes::{Bytes, BytesMut};
use host::interface::{Family, Interface, InterfaceSpec, choose};
use proto::endpoint::UdpAddress;
use proto::receiver::SessionInfo;
use proto::wire::StreamMode;
use socket2::{Domain, Protocol, Socket, Type};

use super::OutputError;
use super::sink::{Sink, SinkError};

/// Sends a message as one datagram, and bytes in datagrams of one size.
#[derive(Debug)]
pub(super) struct Player {
    socket: Socket,
    to: SocketAddr,
    name: String,
    mode: StreamMode,
    chunk_len: usize,
    /// Bytes that do not fill a datagram yet.
    rest: BytesMut,
    refused: u64,
}

impl Player {
    pub(super) fn open(address: &UdpAddress) -> Result<Self, OutputError> {
        let to = address.destination().ok_or(OutputError::NoAddress)?;
        let name = address.to_string();
        let (socket, to) = connect(address, to)?;
        Ok(Self {
            socket,
            to,
            name,
            mode: StreamMode::Bytes,
            chunk_len: address.packet_len.map_or(CHUNK_LEN, usize::from).max(1),
            rest: BytesMut::new(),
            refused: 0,
        })
    }

    fn send_chunks(&mut self, payload: &Bytes, written: &mut u64) {
        self.rest.extend_from_slice(payload);
        while self.rest.len() >= self.chunk_len {
            let chunk = self.rest.split_to(self.chunk_len);
            self.send(&chunk);
        }
        *written += payload.len() as u64;
    }

    fn flush(&mut self) {
        if !self.rest.is_empty() {
            let rest = self.rest.split();
            self.send(&rest);
        }
    }

    /// A player that is not there yet, or a message too long for a datagram, ends nothing.
    fn send(&mut self, datagram: &[u8]) {
        let Err(error) = self.socket.send_to(datagram, &self.to.into()) else { return };
        self.refused += 1;
        if self.refused.is_power_of_two() {
            let (to, refused) = (&self.name, self.refused);
            let len = datagram.len();
            tracing::warn!(to, %error, len, refused, "datagrams for the player were refused");
        }
    }
}

impl Sink for Player {
    fn begin(&mut self, session: &SessionInfo) -> Result<(), SinkError> {
        self.flush();
        self.mode = session.mode;
        Ok(())
    }

    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError> {
        for payload in payloads {
            match self.mode {
                StreamMode::Bytes => self.send_chunks(payload, written),
                StreamMode::Messages => {
                    self.send(payload);
                    *written += payload.len() as u64;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, _is_whole: bool) -> Result<(), SinkError> {
        self.flush();
        Ok(())
    }

    fn close(&mut self) -> Result<(), SinkError> {
        self.flush();
        Ok(())
    }

    fn place(&self) -> String {
        self.name.clone()
    }
}

/// A socket to send from, and the destination with its scope.
fn connect(address: &UdpAddress, to: SocketAddr) -> Result<(Socket, SocketAddr), OutputError> {
    let failed = |source| OutputError::Player { address: address.to_string(), source };
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM.cloexec(), Some(Protocol::UDP));
    let socket = socket.map_err(failed)?;
    let named = address.interface.as_ref().or(address.zone.as_ref());
    if named.is_none() && !to.ip().is_multicast() {
        return Ok((socket, to));
    }
    let spec = named.map(|name| name.parse::<InterfaceSpec>()).transpose();
    let spec = spec.map_err(|error| failed(io::Error::other(error)))?;
    let interface = choose(spec.as_ref(), Family::of(to.ip()))
        .map_err(|source| OutputError::Interface { address: address.to_string(), source })?;
    let ttl = u32::from(address.ttl.unwrap_or(1));
    match to {
        SocketAddr::V4(to) => {
            set_v4(&socket, &interface, ttl).map_err(failed)?;
            Ok((socket, to.into()))
        }
        SocketAddr::V6(to) => {
            socket.set_multicast_if_v6(interface.index).map_err(failed)?;
            socket.set_multicast_hops_v6(ttl).map_err(failed)?;
            let to = SocketAddrV6::new(*to.ip(), to.port(), 0, interface.index);
            Ok((socket, to.into()))
        }
    }
}

fn set_v4(socket: &Socket, interface: &Interface, ttl: u32) -> io::Result<()> {
    let address = interface.v4.first().map(|(address, _)| *address);
    let missing = || io::Error::other(format!("{interface} has no IPv4 address"));
    socket.set_multicast_if_v4(&address.ok_or_else(missing)?)?;
    socket.set_multicast_ttl_v4(ttl)
}

/// Seven packets of an MPEG transport stream: what players and encoders expect.
const CHUNK_LEN: usize = 1_316;
