//! Datagrams as the kernel hands them over: many at once, several in one buffer.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use socket2::Socket;

/// Buffers for one call to the kernel, used again for the next.
pub(crate) struct Batch {
    slab: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    /// How many buffers the kernel was offered, and how many it filled.
    offered: usize,
    filled: usize,
}

/// Datagrams of a batch that came in one buffer.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    /// Their bytes, to be changed in place.
    pub(crate) bytes: &'a mut [u8],
    /// How long each is, but for the last, which may be shorter.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// The address it was sent to.
    pub(crate) to: Option<IpAddr>,
    /// The interface it came in by.
    pub(crate) interface: Option<u32>,
}

impl Batch {
    /// Buffers for the largest batch there is.
    pub(crate) fn new() -> Self {
        Self {
            slab: vec![0; STRIDE * BATCH_SIZE],
            metas: [RecvMeta::default(); BATCH_SIZE],
            offered: BATCH_SIZE,
            filled: 0,
        }
    }

    /// From now on the kernel is offered one buffer only, or all.
    pub(crate) fn offer_one(&mut self, is_one: bool) {
        self.offered = if is_one { 1 } else { BATCH_SIZE };
    }

    /// Fills it from a socket that was said to be readable.
    pub(super) fn receive(&mut self, socket: &Socket, state: &UdpSocketState) -> io::Result<()> {
        self.filled = 0;
        if self.offered == 1 {
            let mut buffers = self.slab.get_mut(..BUFFER_LEN).map(IoSliceMut::new);
            let (buffers, metas) = (buffers.as_mut_slice(), self.metas.split_at_mut(1).0);
            self.filled = state.recv(UdpSockRef::from(socket), buffers, metas)?;
            return Ok(());
        }
        let places = self.slab.chunks_exact_mut(STRIDE).filter_map(|it| it.get_mut(..BUFFER_LEN));
        let mut buffers = places.map(IoSliceMut::new);
        // The iterator has as many chunks as the array has places.
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        self.filled = state.recv(UdpSockRef::from(socket), &mut buffers, &mut self.metas)?;
        Ok(())
    }

    /// Whether the kernel filled every buffer, so that there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled >= self.offered
    }

    /// Whether it is one datagram.
    pub(crate) fn is_one(&self) -> bool {
        self.filled == 1 && self.metas.first().is_some_and(|meta| meta.len <= meta.stride)
    }

    /// Each buffer, in the order of arrival.
    pub(crate) fn buffers(&mut self) -> impl Iterator<Item = Received<'_>> {
        let buffers = self.slab.chunks_exact_mut(STRIDE).zip(&self.metas).take(self.filled);
        buffers.map(|(buffer, meta)| Received {
            bytes: buffer.get_mut(..meta.len).unwrap_or_default(),
            len: meta.stride.max(1),
            from: meta.addr,
            to: meta.dst_ip,
            interface: meta.interface_index,
        })
    }
}

impl Received<'_> {
    /// How many datagrams it holds.
    pub(crate) fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.len)
    }

    /// Each datagram.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(self.len)
    }
}

/// The longest that UDP gives, and what the kernel merges at most.
const BUFFER_LEN: usize = 65_536;

/// From one buffer to the next: at a distance of 64 KiB their first lines would all have to share one
/// place of the processor's caches.
const STRIDE: usize = BUFFER_LEN + 1_536;
