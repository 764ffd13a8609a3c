//! MTUs by netlink: `/sys` shows the interfaces of the namespace that it was mounted in, which
//! need not be the one that this thread is in.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// The MTU of every interface of this thread's network namespace, by index.
pub(super) fn by_index() -> nix::Result<BTreeMap<u32, u32>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    sendto(socket.as_raw_fd(), &dump_request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    read_dump(&socket)
}

fn read_dump(socket: &OwnedFd) -> nix::Result<BTreeMap<u32, u32>> {
    let mut mtus = BTreeMap::new();
    let mut buf = vec![0; DUMP_CHUNK_LEN];
    loop {
        let len = recv(socket.as_raw_fd(), &mut buf, MsgFlags::empty())?;
        let mut rest = buf.get(..len).unwrap_or_default();
        if rest.is_empty() {
            return Ok(mtus);
        }
        while let Some((kind, body, next)) = split_message(rest) {
            match kind {
                KIND_DONE | KIND_ERROR => return Ok(mtus),
                KIND_NEW_LINK => mtus.extend(read_link(body)),
                _ => {}
            }
            rest = next;
        }
    }
}

/// `nlmsghdr` and `ifinfomsg`, all zero but for length, kind and flags.
fn dump_request() -> [u8; 32] {
    let mut request = [0; 32];
    let fields = 32_u32.to_ne_bytes().into_iter();
    let fields = fields.chain(KIND_GET_LINK.to_ne_bytes());
    let fields = fields.chain(FLAGS_REQUEST_DUMP.to_ne_bytes());
    for (slot, byte) in request.iter_mut().zip(fields) {
        *slot = byte;
    }
    request
}

/// Splits one message off: its kind, its body, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let kind = u16_at(bytes, 4)?;
    let body = bytes.get(MESSAGE_HEADER_LEN..len)?;
    Some((kind, body, bytes.get(aligned(len)..).unwrap_or_default()))
}

/// Index and MTU of a link message.
fn read_link(body: &[u8]) -> Option<(u32, u32)> {
    let index = u32_at(body, 4)?;
    let mut rest = body.get(LINK_HEADER_LEN..)?;
    loop {
        let len = usize::from(u16_at(rest, 0)?);
        if u16_at(rest, 2)? == ATTRIBUTE_MTU {
            return Some((index, u32_at(rest, 4)?));
        }
        if len < ATTRIBUTE_HEADER_LEN {
            return None;
        }
        rest = rest.get(aligned(len)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

// linux/netlink.h and linux/rtnetlink.h
const MESSAGE_HEADER_LEN: usize = 16;
const LINK_HEADER_LEN: usize = 16;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const KIND_ERROR: u16 = 2;
const KIND_DONE: u16 = 3;
const KIND_NEW_LINK: u16 = 16;
const KIND_GET_LINK: u16 = 18;
const FLAGS_REQUEST_DUMP: u16 = 0x301;
const ATTRIBUTE_MTU: u16 = 4;

/// The kernel fills at most this much in one answer.
const DUMP_CHUNK_LEN: usize = 64 * 1024;
