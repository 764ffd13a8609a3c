//! What an encoder sends, one message for each datagram.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use anyhow::Context;
use bytes::Bytes;
use host::datagrams::{Told, prepare};
use host::interface::{Family, Interface, InterfaceSpec, choose};
use host::receive_buffer;
use proto::endpoint::UdpAddress;
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::outbox::{Closed, Outbox};
use super::rtp::Rtp;
use crate::config::ConfigError;

/// Where an encoder sends to.
#[derive(Clone, Debug)]
pub struct UdpInput {
    /// The group, or an address of this machine.
    pub listen: SocketAddr,
    /// The interface that a group is joined on.
    pub interface: Option<Interface>,
    /// The only source that is wanted.
    pub source: Option<IpAddr>,
    /// Whether it is RTP; `None`: found out.
    pub rtp: Option<bool>,
}

/// A socket that hears the encoder.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UdpSocket,
    state: UdpSocketState,
    rtp: Rtp,
}

impl UdpInput {
    /// Resolves what was written.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or more than one could be meant.
    pub fn new(
        address: &UdpAddress,
        named: Option<&InterfaceSpec>,
        rtp: Option<bool>,
    ) -> Result<Self, ConfigError> {
        let mut listen = address.listen();
        let written = address.interface.as_ref().or(address.zone.as_ref());
        let written = written.map(|text| text.parse()).transpose()?;
        let is_group = listen.ip().is_multicast();
        let interface = (is_group || written.is_some())
            .then(|| choose(written.as_ref().or(named), Family::of(listen.ip())))
            .transpose()?;
        if let (SocketAddr::V6(v6), Some(interface)) = (&mut listen, &interface) {
            *v6 = SocketAddrV6::new(*v6.ip(), v6.port(), 0, interface.index);
        }
        Ok(Self { listen, interface, source: address.source, rtp })
    }

    /// Whether the same is heard there; addresses of the interface may have changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let index = |input: &Self| input.interface.as_ref().map(|interface| interface.index);
        (self.listen, index(self), self.source, self.rtp)
            == (other.listen, index(other), other.source, other.rtp)
    }

    pub(super) fn listen(&self, inputs: usize) -> anyhow::Result<Listener> {
        let buffer_len = usize::try_from(receive_buffer::of_each(inputs).0)?;
        let socket = self
            .bind(buffer_len)
            .with_context(|| format!("cannot listen at udp://{}", self.listen))?;
        if self.listen.ip().is_multicast() {
            self.join(&socket).with_context(|| format!("cannot join {}", self.listen.ip()))?;
        }
        let socket = UdpSocket::from(socket);
        let state = prepare(&socket, Told::Nothing)?;
        Ok(Listener { socket, state, rtp: Rtp::new(self.rtp) })
    }

    fn bind(&self, buffer_len: usize) -> io::Result<Socket> {
        let domain = Domain::for_address(self.listen);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if self.listen.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if self.listen.ip().is_multicast() {
            // Others on this machine may hear the same encoder.
            socket.set_reuse_address(true)?;
            if self.listen.is_ipv4() {
                socket.set_multicast_all_v4(false)?;
            } else {
                socket.set_multicast_all_v6(false)?;
            }
        }
        socket.set_recv_buffer_size(buffer_len)?;
        // The kernel doubles what it grants, for its own accounting.
        let granted = socket.recv_buffer_size()? / 2;
        if granted < buffer_len {
            tracing::info!(
                granted,
                wanted = buffer_len,
                "the input's socket buffer was cut: sysctl -w net.core.rmem_max={buffer_len}"
            );
        }
        socket.bind(&self.listen.into())?;
        Ok(socket)
    }

    fn join(&self, socket: &Socket) -> io::Result<()> {
        let interface = self.interface.as_ref();
        let index = interface.map_or(0, |interface| interface.index);
        match (self.listen.ip(), self.source) {
            (IpAddr::V4(group), None) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
            }
            (IpAddr::V4(group), Some(IpAddr::V4(source))) => {
                let address = interface.and_then(|interface| interface.v4.first());
                let address = address.map_or(Ipv4Addr::UNSPECIFIED, |(address, _)| *address);
                socket.join_ssm_v4(&source, &group, &address)
            }
            (IpAddr::V6(group), None) => socket.join_multicast_v6(&group, index),
            (_, Some(_)) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "an input can be source-specific in IPv4 only: leave the source out",
            )),
        }
    }
}

impl Listener {
    /// Receives what is there, some of it, and hands it over.
    pub(super) fn receive(
        &mut self,
        memory: &mut Memory,
        outbox: &mut Outbox,
    ) -> io::Result<Result<(), Closed>> {
        let Memory { bytes, metas } = memory;
        let mut buffers: Vec<_> = bytes.chunks_mut(BUFFER_LEN).map(IoSliceMut::new).collect();
        let count = match self.state.recv((&self.socket).into(), &mut buffers, metas) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Ok(())),
            // An earlier send of somebody else's to this port: nothing that ends an input.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(Ok(())),
            Err(error) => return Err(error),
        };
        let mut payloads = Vec::new();
        for (buffer, meta) in buffers.iter().zip(metas.iter()).take(count) {
            let received = Bytes::copy_from_slice(buffer.get(..meta.len).unwrap_or_default());
            for datagram in received.chunks(meta.stride.max(1)) {
                outbox.counters.datagrams.fetch_add(1, Ordering::Relaxed);
                let payload = self.rtp.payload(datagram, &outbox.counters);
                if !payload.is_empty() {
                    payloads.push(received.slice_ref(payload));
                }
            }
        }
        Ok(outbox.offer(payloads))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is received into, by all inputs in turn.
pub(super) struct Memory {
    bytes: Vec<u8>,
    metas: [RecvMeta; BUFFERS],
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BUFFERS * BUFFER_LEN], metas: [RecvMeta::default(); BUFFERS] }
    }
}

/// How many datagrams, or runs of them that the kernel put together, one call receives.
const BUFFERS: usize = 16;

/// The longest of either.
const BUFFER_LEN: usize = 64 << 10;
