//! Multicast in: one socket for each group, bound to the group, joined by interface index.
//!
//! A socket that is bound to the group and has `IP_MULTICAST_ALL` off hears that group and no
//! other, whatever else this host joined on the same port. It never sends: what a subscriber says
//! leaves by the [`feedback`] socket.

pub(crate) mod batch;
pub(crate) mod feedback;
mod membership;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use host::datagrams::{Told, prepare};
use host::interface::Interface;
use proto::ByteCount;
use proto::endpoint::Group;
use quinn_udp::UdpSocketState;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::sys;
pub(crate) use batch::{Batch, Received};
use membership::is_joined;

/// A socket that hears one group on one interface.
#[derive(Debug)]
pub(crate) struct GroupSocket {
    socket: Socket,
    state: UdpSocketState,
    buffer: Buffer,
    /// Who asks and finds nothing sleeps until something comes.
    is_blocking: bool,
}

/// What the kernel granted for a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// What was asked for.
    pub(crate) wanted: ByteCount,
    /// What there is: the kernel counts its own overhead in it, and grants twice what is asked.
    pub(crate) granted: ByteCount,
}

/// Why a group cannot be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("no socket for {group}: {source}")]
    Create { group: Group, source: io::Error },
    #[error(
        "port {} is in use: another program holds it and does not share it \
         (find it with: ss -ulpn sport = :{})", .group.port, .group.port
    )]
    PortInUse { group: Group },
    #[error("{group} cannot be received here: {source}")]
    Bind { group: Group, source: io::Error },
    #[error(
        "{group} cannot be joined on {interface}: the kernel's limit is reached ({source}); raise \
         it with: sysctl -w net.ipv4.igmp_max_memberships=1000 net.ipv4.igmp_max_msf=1000 \
         net.core.optmem_max=1048576"
    )]
    Limit { group: Group, interface: String, source: io::Error },
    #[error("{group} cannot be joined on {interface}: {source}")]
    Join { group: Group, interface: String, source: io::Error },
    #[error("{group} was joined on {interface}, but the kernel does not list it")]
    NotJoined { group: Group, interface: String },
    #[error("{group} was joined, but the kernel's list cannot be read: {source}")]
    ReadBack { group: Group, source: io::Error },
}

impl GroupSocket {
    /// Joins `group` on `interface` and reads the join back from the kernel; hears a broadcast
    /// address without joining anything.
    pub(crate) fn open(
        group: &Group,
        interface: &Interface,
        buffer: ByteCount,
    ) -> Result<Self, SocketError> {
        let created = |source| SocketError::Create { group: group.clone(), source };
        let socket = new_socket(group.address).map_err(created)?;
        let buffer = set_buffer(&socket, buffer).map_err(created)?;
        bind(&socket, group, interface)?;
        if group.address.is_multicast() {
            join(&socket, group, interface)?;
        }
        let state = prepare(&socket, told(group)).map_err(created)?;
        if group.address.is_multicast() {
            read_back(group, interface)?;
        }
        socket.set_read_timeout(Some(PATIENCE)).map_err(created)?;
        Ok(Self { socket, state, buffer, is_blocking: false })
    }

    /// Receives what is there, at most one batch; an error of kind `WouldBlock` says nothing is.
    pub(crate) fn receive(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.set_blocking(false)?;
        batch.receive(&self.socket, &self.state)
    }

    /// Waits for one that comes alone, but not for long; an error of kind `WouldBlock` says that none came.
    pub(crate) fn wait(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.set_blocking(true)?;
        batch.receive(&self.socket, &self.state)
    }

    fn set_blocking(&mut self, is_blocking: bool) -> io::Result<()> {
        if self.is_blocking != is_blocking {
            self.socket.set_nonblocking(!is_blocking)?;
            self.is_blocking = is_blocking;
        }
        Ok(())
    }

    /// Buffers that the kernel dropped because this socket had no room.
    pub(crate) fn kernel_drops(&self) -> io::Result<u64> {
        sys::kernel_drops(&self.socket)
    }

    /// What the kernel granted for its receive buffer.
    pub(crate) fn buffer(&self) -> Buffer {
        self.buffer
    }
}

impl AsFd for GroupSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Buffer {
    /// The command that lets the kernel grant what was asked, if it did not.
    pub(crate) fn remedy(&self) -> Option<String> {
        let clamped = self.granted.0 < self.wanted.0.saturating_mul(2);
        clamped.then(|| format!("sysctl -w net.core.rmem_max={}", self.wanted.0))
    }

    /// Payload that it holds without loss: a datagram of 1472 bytes is charged with 2304, and up to
    /// a quarter of the buffer may be charged for what was read already (`forward_threshold` in
    /// Linux's net/ipv4/udp.c). That leaves 0.48 of it, and what is not data takes some, too.
    pub(crate) fn payload(&self) -> ByteCount {
        ByteCount(self.granted.0 / 16 * 7)
    }
}

/// Of a group of IPv4 that was joined the kernel gives a socket only what came by that interface; of IPv6
/// it asks for the group alone, and of a broadcast address for neither.
fn told(group: &Group) -> Told {
    if group.address.is_ipv4() && group.address.is_multicast() {
        Told::Nothing
    } else {
        Told::Arrival
    }
}

fn new_socket(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    // Other programs on this host may hear the same group.
    socket.set_reuse_address(true)?;
    if address.is_ipv4() {
        socket.set_multicast_all_v4(false)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
    }
    Ok(socket)
}

pub(crate) fn set_buffer(socket: &Socket, wanted: ByteCount) -> io::Result<Buffer> {
    socket.set_recv_buffer_size(usize::try_from(wanted.0).unwrap_or(usize::MAX))?;
    let granted = socket.recv_buffer_size()?;
    Ok(Buffer { wanted, granted: ByteCount(u64::try_from(granted).unwrap_or(u64::MAX)) })
}

fn bind(socket: &Socket, group: &Group, interface: &Interface) -> Result<(), SocketError> {
    let address = match group.address {
        IpAddr::V4(address) => SocketAddr::V4(SocketAddrV4::new(address, group.port)),
        // A group of one link means nothing without the link; others ignore the scope.
        IpAddr::V6(address) => {
            SocketAddr::V6(SocketAddrV6::new(address, group.port, 0, interface.index))
        }
    };
    socket.bind(&address.into()).map_err(|source| {
        let group = group.clone();
        if source.kind() == io::ErrorKind::AddrInUse {
            SocketError::PortInUse { group }
        } else {
            SocketError::Bind { group, source }
        }
    })
}

fn join(socket: &Socket, group: &Group, interface: &Interface) -> Result<(), SocketError> {
    let index = interface.index;
    let joined = match (group.address, group.source) {
        (address, Some(source)) => sys::join_source(socket, index, address, source),
        (IpAddr::V4(address), None) => {
            socket.join_multicast_v4_n(&address, &InterfaceIndexOrAddress::Index(index))
        }
        (IpAddr::V6(address), None) => socket.join_multicast_v6(&address, index),
    };
    joined.map_err(|source| {
        let (group, interface) = (group.clone(), interface.to_string());
        match source.raw_os_error() {
            Some(libc::ENOBUFS | libc::ENOMEM) => SocketError::Limit { group, interface, source },
            _ => SocketError::Join { group, interface, source },
        }
    })
}

fn read_back(group: &Group, interface: &Interface) -> Result<(), SocketError> {
    match is_joined(group, interface.index) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(SocketError::NotJoined { group: group.clone(), interface: interface.to_string() })
        }
        Err(source) => Err(SocketError::ReadBack { group: group.clone(), source }),
    }
}

/// How long it is waited at a socket, about: the kernel counts in its own ticks, of 1 to 10 ms.
pub(crate) const PATIENCE: Duration = Duration::from_millis(4);
