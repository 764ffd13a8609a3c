//! The receiving end: counts, and does nothing else.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use super::{Burst, END_LEN, JOINED, Received, Receiving};

/// Counts until the sender has ended, or nothing comes any more.
pub(crate) fn receive(receiving: &Receiving) -> anyhow::Result<()> {
    let socket =
        socket(receiving.group, receiving.at, receiving.buffer).context("cannot listen")?;
    socket.set_nonblocking(true)?;
    let state = UdpSocketState::new((&socket).into()).context("cannot prepare the socket")?;
    let mut slab = vec![0; BUFFER_LEN * BATCH_SIZE];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let mut counted = Counted::default();
    println!("{JOINED}");
    while !counted.has_ended && wait(&socket, counted.patience(receiving))? {
        let mut buffers = slab.chunks_exact_mut(BUFFER_LEN).map(IoSliceMut::new);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let filled = match state.recv(UdpSockRef::from(&socket), &mut buffers, &mut metas) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            filled => filled.context("cannot receive")?,
        };
        let now = Instant::now();
        for meta in metas.iter().take(filled) {
            counted.add(meta, now);
            if receiving.times {
                counted.note(meta);
            }
        }
    }
    println!("{}", serde_json::to_string(&counted.received())?);
    Ok(())
}

#[derive(Default)]
struct Counted {
    packets: u64,
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    /// The kernel's time of the first.
    epoch: Option<Duration>,
    bursts: Vec<Burst>,
    has_ended: bool,
}

impl Counted {
    fn add(&mut self, meta: &RecvMeta, now: Instant) {
        if meta.len == END_LEN {
            self.has_ended = true;
            return;
        }
        self.packets += meta.len.div_ceil(meta.stride.max(1)) as u64;
        self.bytes += meta.len as u64;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// Keeps when it came, by the kernel's clock.
    fn note(&mut self, meta: &RecvMeta) {
        let at = meta.timestamp.unwrap_or_default();
        let since = at.saturating_sub(*self.epoch.get_or_insert(at));
        self.bursts.push(Burst {
            at: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            packets: meta.len.div_ceil(meta.stride.max(1)) as u64,
            bytes: meta.len as u64,
            stride: meta.stride,
        });
    }

    /// How long nothing may come, in seconds: a sender starts within some.
    fn patience(&self, receiving: &Receiving) -> i64 {
        if receiving.times && self.packets > 0 { 1 } else { PATIENCE_SECONDS }
    }

    fn since_first(&self, now: Instant) -> Duration {
        self.first.map(|first| now.duration_since(first)).unwrap_or_default()
    }

    fn received(self) -> Received {
        let seconds = self.last.map(|last| self.since_first(last)).unwrap_or_default();
        let Self { packets, bytes, bursts, .. } = self;
        Received { packets, bytes, seconds: seconds.as_secs_f64(), bursts }
    }
}

/// A blocking socket that is bound to the group and has joined it.
pub(super) fn socket(group: SocketAddrV4, at: Ipv4Addr, buffer: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    setsockopt(&socket, RcvBufForce, &buffer)?;
    socket.bind(&SockAddr::from(group))?;
    socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Address(at))?;
    Ok(socket)
}

/// Waits for datagrams; false once none came for long.
fn wait(socket: &Socket, seconds: i64) -> io::Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    let patience = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut polled, Some(&patience)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// What the kernel merges at most.
const BUFFER_LEN: usize = 65_536;

/// The sender starts within a second, and its end may be lost.
const PATIENCE_SECONDS: i64 = 10;
