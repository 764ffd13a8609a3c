//! The socket options that neither socket2 nor nix wraps: the only unsafe code of the subscriber.
#![expect(
    unsafe_code,
    reason = "source-specific joins by interface index, and the kernel's drop counter"
)]

use std::io;
use std::mem::{self, size_of};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use socket2::SockAddr;

/// Joins `group` for datagrams of `source` alone, on the interface with this index.
///
/// socket2 joins by an address of the interface, and IPv4 only; an index is exact, and is all that
/// IPv6 knows.
pub(crate) fn join_source(
    socket: impl AsFd,
    index: u32,
    group: IpAddr,
    source: IpAddr,
) -> io::Result<()> {
    let request = libc::group_source_req {
        gsr_interface: index,
        gsr_group: storage(group),
        gsr_source: storage(source),
    };
    let level = if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    // SAFETY: the descriptor is open while `socket` is borrowed, and the pointer is to a whole
    // `group_source_req` of the length that is given, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            libc::MCAST_JOIN_SOURCE_GROUP,
            ptr::from_ref(&request).cast(),
            len_of::<libc::group_source_req>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Buffers that the kernel dropped because the socket had no room, since it was made.
///
/// The same count as `SO_RXQ_OVFL`, without a control message on each datagram. One buffer is one
/// datagram, or a whole burst where the stack merged it (GRO).
pub(crate) fn kernel_drops(socket: impl AsFd) -> io::Result<u64> {
    let mut memory = [0_u32; MEMINFO_LEN];
    let mut len = len_of::<[u32; MEMINFO_LEN]>();
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel writes at most `len`
    // bytes into `memory`, which has that many, and any bits are a valid `u32`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            ptr::from_mut(&mut memory).cast(),
            &raw mut len,
        )
    };
    let [.., drops] = memory;
    if result == 0 { Ok(u64::from(drops)) } else { Err(io::Error::last_os_error()) }
}

fn storage(address: IpAddr) -> libc::sockaddr_storage {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    // SAFETY: all zero is a valid `sockaddr_storage`: it has integers only.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = size_of::<libc::sockaddr_storage>().min(address.len() as usize);
    // SAFETY: both are at least `len` bytes long, and they do not overlap: one was just made.
    unsafe {
        ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            ptr::from_mut(&mut storage).cast::<u8>(),
            len,
        );
    }
    storage
}

const fn len_of<T>() -> libc::socklen_t {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred bytes at most")]
    let len = size_of::<T>() as libc::socklen_t;
    len
}

/// `SK_MEMINFO_VARS`: nine counters, the drops last.
const MEMINFO_LEN: usize = 9;
