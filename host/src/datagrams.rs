//! Preparing a socket that datagrams are received by.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, ReceiveTimestampns};
use quinn_udp::{UdpSockRef, UdpSocketState};
use socket2::SockRef;

/// What is told of each datagram beside who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing: the kernel gives the socket nothing else.
    Nothing,
    /// The address it was sent to, and the interface it came in by.
    Arrival,
}

/// Has the kernel give what came together in one buffer, and send nothing in fragments.
///
/// What nobody reads is not told, for each of it costs time for every datagram: when it came (for which the
/// kernel looks at its clock for all packets of the machine), its traffic class, and, with
/// [`Told::Nothing`], its destination, for which it looks for a route.
///
/// # Errors
///
/// When the kernel refuses an option.
pub fn prepare(socket: &impl AsFd, told: Told) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    let raw = SockRef::from(socket);
    let is_ipv4 = raw.local_addr()?.is_ipv4();
    if let Err(error) = setsockopt(socket, ReceiveTimestampns, &false) {
        tracing::debug!(%error, "datagrams are given the time at which they came");
    }
    if is_ipv4 {
        raw.set_recv_tos_v4(false)?;
    } else {
        raw.set_recv_tclass_v6(false)?;
    }
    if told == Told::Nothing && is_ipv4 {
        setsockopt(socket, Ipv4PacketInfo, &false)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::net::UdpSocket;

    use quinn_udp::RecvMeta;

    use super::*;

    fn received(told: Told) -> RecvMeta {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let state = prepare(&socket, told).unwrap();
        socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        let (mut buffer, mut metas) = ([0; 100], [RecvMeta::default()]);
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        assert_eq!(state.recv((&socket).into(), &mut buffers, &mut metas).unwrap(), 1);
        assert_eq!(metas[0].len, 5);
        assert_eq!(metas[0].addr, socket.local_addr().unwrap());
        metas[0]
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let meta = received(Told::Arrival);
        assert!(meta.dst_ip.is_some() && meta.interface_index.is_some());
        let meta = received(Told::Nothing);
        assert!(meta.dst_ip.is_none() && meta.interface_index.is_none());
        assert!(meta.ecn.is_none());
    }
}
