//! A socket for sending: bound to its interface, shared by all streams that leave by it. What
//! subscribers say comes back to it.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use host::datagrams::{Told, prepare};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::io::Errno;
use rustix::net::{SendFlags, sendto};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::config::route::Outlet;

/// A socket for sending.
#[derive(Debug)]
pub(crate) struct Socket {
    outlet: Outlet,
    socket: UdpSocket,
    /// Sets DF and receives; see [`Self::send`] for why it does not send.
    state: UdpSocketState,
    /// What the kernel was last told to cut at; `None` when it cannot.
    segment_len: Option<usize>,
    /// Set while the kernel has no room for more.
    pub(crate) is_blocked: bool,
    /// Set while there is something to receive.
    pub(crate) is_readable: bool,
    last_error: Option<Errno>,
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it left.
    All,
    /// So many datagrams left; the kernel has no room for the others now.
    Blocked(usize),
    /// So many datagrams left; the next one failed.
    Failed(usize, Failure),
}

/// Why a send failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// The interface is down or gone, or there is no way out of it: it may come back.
    Unreachable,
    /// The kernel had no memory for it.
    NoBuffers,
    /// Longer than the interface takes.
    TooLong,
    /// A firewall, or anything else.
    Refused,
}

impl Socket {
    /// Opens a socket as `outlet` says.
    ///
    /// # Errors
    ///
    /// When the interface went, or the system refuses; the error names what was tried.
    pub(crate) fn open(outlet: &Outlet) -> anyhow::Result<Self> {
        let context = || match outlet.port {
            0 => format!("cannot send by {} from {}", outlet.interface, outlet.address),
            port => format!("cannot listen for subscribers at {}:{port}", outlet.address),
        };
        Self::try_open(outlet).with_context(context)
    }

    fn try_open(outlet: &Outlet) -> io::Result<Self> {
        let from = bind_address(outlet);
        let raw = RawSocket::new(Domain::for_address(from), Type::DGRAM, Some(Protocol::UDP))?;
        match outlet.address {
            IpAddr::V4(address) => {
                // By index: addresses change and may be shared.
                let (group, index) = (Ipv4Addr::UNSPECIFIED, outlet.interface_index);
                rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
                    &raw, &group, &address, index,
                )?;
                raw.set_multicast_ttl_v4(u32::from(outlet.ttl))?;
                raw.set_multicast_loop_v4(outlet.looped)?;
                raw.set_tos_v4(outlet.dscp.traffic_class())?;
            }
            IpAddr::V6(_) => {
                raw.set_only_v6(true)?;
                raw.set_multicast_if_v6(outlet.interface_index)?;
                raw.set_multicast_hops_v6(u32::from(outlet.ttl))?;
                raw.set_multicast_loop_v6(outlet.looped)?;
                raw.set_tclass_v6(outlet.dscp.traffic_class())?;
            }
        }
        if outlet.broadcast {
            raw.set_broadcast(true)?;
            raw.bind_device_by_index_v4(outlet.interface_index.try_into().ok())?;
        }
        raw.set_send_buffer_size(SEND_BUFFER_LEN)?;
        raw.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
        raw.bind(&from.into())?;
        let socket = UdpSocket::from(raw);
        let state = prepare(&socket, Told::Nothing)?;
        let segment_len = (state.max_gso_segments() > 1).then_some(0);
        Ok(Self {
            outlet: outlet.clone(),
            socket,
            state,
            segment_len,
            is_blocked: false,
            is_readable: false,
            last_error: None,
        })
    }

    pub(crate) fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// The address that datagrams come from, and feedback goes to.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How many datagrams of this length one call sends.
    pub(crate) fn segments(&self, datagram_len: usize) -> usize {
        match self.segment_len {
            Some(_) => (LONGEST_SEND / datagram_len.max(1)).clamp(1, MOST_SEGMENTS),
            // They leave one by one, but are still made in batches.
            None => MOST_SEGMENTS / 4,
        }
    }

    /// Sends datagrams of `segment_len` bytes each, the last of which may be shorter.
    ///
    /// The length to cut at is an option of the socket, told to the kernel when it changes: with
    /// one stream, once. A control message with each send would do the same, but the one crate
    /// that writes it also writes a traffic class of its own into it and so undoes the DSCP.
    pub(crate) fn send(
        &mut self,
        destination: SocketAddr,
        datagrams: &[u8],
        segment_len: usize,
    ) -> Sent {
        let segment_len = segment_len.max(1);
        if self.cuts_at(segment_len, datagrams.len()) {
            match self.try_send(destination, datagrams) {
                Ok(_) => return Sent::All,
                Err(Errno::IO | Errno::INVAL) => self.give_up_offload(),
                Err(error) => return self.failed(0, error),
            }
        }
        for (count, datagram) in datagrams.chunks(segment_len).enumerate() {
            if let Err(error) = self.try_send(destination, datagram) {
                return self.failed(count, error);
            }
        }
        Sent::All
    }

    /// Why the last send failed, in the system's words.
    pub(crate) fn last_error(&self) -> String {
        self.last_error.map(|error| io::Error::from(error).to_string()).unwrap_or_default()
    }

    /// Receives into `buffers`; none when nothing has come.
    pub(crate) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        match self.state.recv((&self.socket).into(), buffers, metas) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            // An answer to a subscriber that is gone: nothing was received, nothing is wrong.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(0),
            received => received,
        }
    }

    fn failed(&mut self, sent: usize, error: Errno) -> Sent {
        self.last_error = Some(error);
        failed(sent, error)
    }

    fn try_send(&self, destination: SocketAddr, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| sendto(&self.socket, bytes, SendFlags::DONTWAIT, &destination))
    }

    /// Has the kernel cut at `segment_len`, if there is something to cut and it can.
    fn cuts_at(&mut self, segment_len: usize, len: usize) -> bool {
        let Some(told) = self.segment_len else {
            return len <= segment_len;
        };
        let is_one = len <= segment_len;
        // A datagram longer than what was told before would be cut, too.
        if told == segment_len || is_one && (told == 0 || len <= told) {
            return true;
        }
        let option = libc::c_int::try_from(segment_len).unwrap_or_default();
        if setsockopt(&self.socket, UdpGsoSegment, &option).is_err() {
            self.give_up_offload();
            return is_one;
        }
        self.segment_len = Some(segment_len);
        true
    }

    fn give_up_offload(&mut self) {
        if self.segment_len.take().is_some() {
            if let Err(error) = setsockopt(&self.socket, UdpGsoSegment, &0) {
                tracing::debug!(%error, "segmentation offload cannot be switched off");
            }
            tracing::warn!(
                interface = self.outlet.interface,
                "no segmentation offload here: datagrams are sent one by one, at more CPU each"
            );
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Failure {
    /// As metrics and logs spell it.
    pub(crate) const ALL: [Self; 4] =
        [Self::Unreachable, Self::NoBuffers, Self::TooLong, Self::Refused];

    /// As metrics and logs spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NoBuffers => "no_buffers",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
        }
    }
}

fn failed(sent: usize, error: Errno) -> Sent {
    match error {
        Errno::AGAIN => Sent::Blocked(sent),
        Errno::NETUNREACH
        | Errno::HOSTUNREACH
        | Errno::NODEV
        | Errno::NETDOWN
        | Errno::NXIO
        | Errno::ADDRNOTAVAIL => Sent::Failed(sent, Failure::Unreachable),
        Errno::NOBUFS | Errno::NOMEM => Sent::Failed(sent, Failure::NoBuffers),
        Errno::MSGSIZE => Sent::Failed(sent, Failure::TooLong),
        _ => Sent::Failed(sent, Failure::Refused),
    }
}

/// The interface's address, and any port unless subscribers ask there: one port for all sessions of
/// the socket.
fn bind_address(outlet: &Outlet) -> SocketAddr {
    match outlet.address {
        IpAddr::V4(_) => SocketAddr::new(outlet.address, outlet.port),
        IpAddr::V6(v6) => {
            let zone = if v6.is_unicast_link_local() { outlet.interface_index } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(v6, outlet.port, 0, zone))
        }
    }
}

/// What one UDP send of any length may carry.
const LONGEST_SEND: usize = 65_000;

/// The kernel cuts a send into this many at most (`UDP_MAX_SEGMENTS` of older ones).
const MOST_SEGMENTS: usize = 64;

/// A few of the longest sends: enough to keep a link busy until the thread runs again.
const SEND_BUFFER_LEN: usize = 2 << 20;

/// NAKs and reports of a few thousand subscribers that speak at once.
const RECEIVE_BUFFER_LEN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    fn outlet(address: IpAddr) -> Outlet {
        Outlet {
            interface: "lo".to_owned(),
            interface_index: 1,
            interface_mtu: 65_536,
            is_loopback: true,
            address,
            port: 0,
            ttl: 1,
            looped: true,
            dscp: "ef".parse().unwrap(),
            broadcast: false,
        }
    }

    fn receiver(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    fn lengths(receiver: &UdpSocket, count: usize) -> Vec<usize> {
        let mut buffer = [0; 70_000];
        (0..count).map(|_| receiver.recv(&mut buffer).unwrap()).collect()
    }

    #[test]
    fn a_burst_arrives_as_datagrams_of_one_length() {
        let receiver = receiver("127.0.0.1:0");
        let to = receiver.local_addr().unwrap();
        let mut socket = Socket::open(&outlet(Ipv4Addr::LOCALHOST.into())).unwrap();
        assert_eq!(socket.send(to, &[1; 2_500], 1_000), Sent::All);
        assert_eq!(lengths(&receiver, 3), [1_000, 1_000, 500]);
        assert_eq!(socket.send(to, &[1; 1_400], 1_400), Sent::All);
        assert_eq!(socket.send(to, &[1; 60], 60), Sent::All);
        assert_eq!(socket.send(to, &[1; 120], 60), Sent::All);
        assert_eq!(lengths(&receiver, 4), [1_400, 60, 60, 60]);
    }

    #[test]
    fn without_offload_the_same_arrives() {
        let receiver = receiver("127.0.0.1:0");
        let to = receiver.local_addr().unwrap();
        let mut socket = Socket::open(&outlet(Ipv4Addr::LOCALHOST.into())).unwrap();
        assert_eq!(socket.send(to, &[1; 2_500], 1_000), Sent::All);
        socket.give_up_offload();
        assert_eq!(socket.send(to, &[1; 2_500], 1_000), Sent::All);
        assert_eq!(lengths(&receiver, 6), [1_000, 1_000, 500, 1_000, 1_000, 500]);
    }

    #[test]
    fn options_are_as_the_outlet_says() {
        let socket = Socket::open(&outlet(Ipv4Addr::LOCALHOST.into())).unwrap();
        let raw = socket2::SockRef::from(&socket.socket);
        assert_eq!(raw.tos_v4().unwrap(), 46 << 2);
        assert_eq!(raw.multicast_ttl_v4().unwrap(), 1);
        assert!(raw.multicast_loop_v4().unwrap());
        assert!(!socket.state.may_fragment(), "datagrams must never be fragmented");
        assert_eq!(socket.local_address().unwrap().ip(), Ipv4Addr::LOCALHOST);
        let socket = Socket::open(&outlet(Ipv6Addr::LOCALHOST.into())).unwrap();
        let raw = socket2::SockRef::from(&socket.socket);
        assert_eq!(raw.tclass_v6().unwrap(), 46 << 2);
        assert_eq!(raw.multicast_if_v6().unwrap(), 1);
    }

    #[test]
    fn what_does_not_fit_is_not_fragmented() {
        let mut socket = Socket::open(&outlet(Ipv4Addr::LOCALHOST.into())).unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let sent = socket.send(to, &[0; 65_530], 65_530);
        assert_eq!(sent, Sent::Failed(0, Failure::TooLong));
    }
}
