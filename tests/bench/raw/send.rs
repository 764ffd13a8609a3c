//! The sending end.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{END_LEN, Sending, Sent};

/// Sends what was asked for, then says how long that took.
pub(crate) fn send(sending: &Sending) -> anyhow::Result<()> {
    let socket = open(sending).context("cannot open a socket for sending")?;
    let burst = vec![0x5a; sending.len * sending.segments];
    let started = Instant::now();
    let mut sent = 0;
    while sent < sending.packets {
        let now = sending.packets.min(sent + sending.segments as u64) - sent;
        let len = usize::try_from(now).unwrap_or(sending.segments) * sending.len;
        pace(started, sent, sending.rate);
        let burst = burst.get(..len).unwrap_or(&burst);
        socket.send_to(burst, sending.group).context("cannot send")?;
        sent += now;
    }
    let seconds = started.elapsed().as_secs_f64();
    end(&socket, sending.group).context("cannot send the end")?;
    let said = Sent { packets: sent, bytes: sent * sending.len as u64, seconds };
    println!("{}", serde_json::to_string(&said)?);
    Ok(())
}

fn open(sending: &Sending) -> io::Result<UdpSocket> {
    let socket = socket(sending.from)?;
    if sending.segments > 1 {
        let len = libc::c_int::try_from(sending.len).unwrap_or(libc::c_int::MAX);
        setsockopt(&socket, UdpGsoSegment, &len)?;
    }
    Ok(socket.into())
}

/// A socket that sends to groups from this address.
pub(super) fn socket(from: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&from)?;
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_send_buffer_size(SEND_BUFFER_LEN)?;
    socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))?;
    Ok(socket)
}

/// Spins until it is time for the next: sleeping would measure the sleep.
fn pace(started: Instant, sent: u64, rate: f64) {
    if rate > 0.0 {
        let due = Duration::from_secs_f64(sent as f64 / rate);
        while started.elapsed() < due {
            std::hint::spin_loop();
        }
    }
}

/// Several times, and late: whoever is behind has a full buffer.
pub(super) fn end(socket: &UdpSocket, group: SocketAddrV4) -> io::Result<()> {
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(20));
        socket.send_to(&[0; END_LEN], group)?;
    }
    Ok(())
}

/// As the publisher has it.
const SEND_BUFFER_LEN: usize = 2 << 20;
