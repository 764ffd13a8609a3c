//! What the kernel counts of a connection: the only unsafe code of the publisher.
#![expect(unsafe_code, reason = "TCP_INFO: neither socket2 nor nix wraps it")]

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use crate::snapshot::Count;

/// Segments that were sent, and their bytes on the wire: what they carried, retransmissions
/// included, and the headers of Ethernet, IP and TCP of each.
///
/// # Errors
///
/// When the kernel does not say.
pub(super) fn wire(socket: impl AsFd, is_v4: bool) -> io::Result<Count> {
    let mut info = TcpInfo::default();
    let mut len = libc::socklen_t::try_from(size_of::<TcpInfo>()).unwrap_or_default();
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel writes at most `len`
    // bytes into `info`, which has that many and consists of integers only.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            ptr::from_mut(&mut info).cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < offset_of!(TcpInfo, bytes_retrans) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let segments = u64::from(info.segs_out);
    let ip_len = if is_v4 { 20 } else { 40 };
    Ok(Count { datagrams: segments, bytes: info.bytes_sent + segments * (14 + ip_len + TCP_LEN) })
}

/// `struct tcp_info` of `linux/tcp.h`, as far as it is read here. It only ever grows at its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct TcpInfo {
    states: [u8; 8],
    /// From `tcpi_rto` to `tcpi_total_retrans`.
    times: [u32; 24],
    /// From `tcpi_pacing_rate` to `tcpi_bytes_received`.
    rates: [u64; 4],
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_times: [u64; 3],
    delivered: u32,
    delivered_ce: u32,
    /// Since Linux 4.19.
    bytes_sent: u64,
    bytes_retrans: u64,
}

/// Header of TCP with time stamps, as every Linux sends them.
const TCP_LEN: u64 = 32;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn fields_are_where_the_kernel_has_them() {
        assert_eq!(offset_of!(TcpInfo, segs_out), 136);
        assert_eq!(offset_of!(TcpInfo, bytes_sent), 200);
    }

    #[test]
    fn what_was_written_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        one.write_all(&[7; 1_000]).unwrap();
        let mut read = [0; 1_000];
        other.read_exact(&mut read).unwrap();
        let count = wire(&one, true).unwrap();
        assert!(count.datagrams >= 2, "{count:?}: a SYN and a segment at least");
        assert_eq!(count.bytes, 1_000 + 66 * count.datagrams);
    }
}
