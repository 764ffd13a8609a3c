//! What a subscriber says, and what it is answered: unicast, apart from the group.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use host::datagrams::{Told, prepare};
use host::interface::{Family, Interface};
use proto::ByteCount;
use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Batch, set_buffer};
use crate::sys;

/// A socket for all that is sent, and for cookies, unicast repairs and catch-up.
#[derive(Debug)]
pub(crate) struct FeedbackSocket {
    socket: Socket,
    state: UdpSocketState,
}

impl FeedbackSocket {
    /// A socket with a port of its own.
    ///
    /// IPv4 takes the interface's address, so that answers come the way that the group comes.
    /// IPv6 leaves it to the kernel: which address fits depends on how far the publisher is.
    pub(crate) fn open(family: Family, interface: &Interface) -> io::Result<Self> {
        let (domain, address) = match family {
            Family::V4 => (Domain::IPV4, interface.address(family)),
            Family::V6 => (Domain::IPV6, None),
        };
        let any = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        match family {
            Family::V4 => socket.set_multicast_all_v4(false)?,
            Family::V6 => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
            }
        }
        // What the kernel grants of it will do: the credit goes by that.
        socket.set_recv_buffer_size(BUFFER_LEN)?;
        socket.bind(&SocketAddr::new(address.unwrap_or(any), 0).into())?;
        let state = prepare(&socket, Told::Nothing)?;
        Ok(Self { socket, state })
    }

    /// Receives what is there, at most one batch; an error of kind `WouldBlock` says nothing is.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.receive(&self.socket, &self.state)
    }

    /// Payload that the kernel lets such a socket hold without loss.
    pub(crate) fn room() -> io::Result<ByteCount> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        Ok(set_buffer(&socket, ByteCount(BUFFER_LEN as u64))?.payload())
    }

    /// Buffers that the kernel dropped because this socket had no room.
    pub(crate) fn kernel_drops(&self) -> io::Result<u64> {
        sys::kernel_drops(&self.socket)
    }

    /// Sends one datagram. Feedback is sent again if it is lost, so an error is only counted.
    pub(crate) fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(datagram, &to.into()).map(|_| ())
    }
}

impl AsFd for FeedbackSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Room for a stream that comes by unicast, and for catch-up, which comes in bursts.
const BUFFER_LEN: usize = 2 * 1024 * 1024;
