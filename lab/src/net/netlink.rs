//! Netlink: a request to the kernel as bytes, its answer as bytes, and nothing else.
//!
//! The messages themselves are built by [`super::link`], [`super::route`], [`super::bridge`],
//! [`super::mdb`] and [`super::ethtool`]. Layout: RFC 3549 §2.3 and `linux/netlink.h`; all numbers
//! are in the byte order of the machine.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
    socket_with, sockopt,
};

/// A netlink socket. It stays in the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Netlink {
    fd: OwnedFd,
}

/// One message of an answer.
#[derive(Debug)]
pub(super) struct Message {
    /// What follows the netlink header.
    pub(super) body: Vec<u8>,
}

impl Netlink {
    /// Opens a socket that speaks of links, addresses and routes.
    pub(super) fn route() -> io::Result<Self> {
        Self::open(None) // NETLINK_ROUTE is protocol 0
    }

    /// Opens a socket that speaks to families known by a name, such as ethtool's.
    pub(super) fn generic() -> io::Result<Self> {
        Self::open(Some(netlink::GENERIC))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let family = AddressFamily::NETLINK;
        let fd = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { fd })
    }

    /// Asks for a change and waits until the kernel says that it was made.
    pub(super) fn change(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.ask(kind, flags | NLM_F_ACK, body).map(drop)
    }

    /// Asks for one object, or for what matches.
    pub(super) fn get(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        self.ask(kind, NLM_F_ACK, body)
    }

    /// Asks for a whole table, again if it changed while it was being read.
    pub(super) fn dump(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        for _ in 0..DUMP_TRIES {
            match self.ask(kind, NLM_F_DUMP, body) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        let request = frame(kind, flags | NLM_F_REQUEST, body);
        send(&self.fd, &request, SendFlags::empty())?;
        let mut messages = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, _) = recv(&self.fd, buffer.as_mut_slice(), RecvFlags::empty())?;
            let answer = buffer.get(..length).unwrap_or_default();
            if read_answer(answer, &mut messages)? {
                return Ok(messages);
            }
        }
    }
}

/// Takes the messages of one datagram; true when it held the last of the answer.
fn read_answer(mut datagram: &[u8], messages: &mut Vec<Message>) -> io::Result<bool> {
    while let Some((header, rest)) = datagram.split_at_checked(HEADER) {
        let length = usize::try_from(u32_at(header, 0)).unwrap_or(usize::MAX);
        let body = length.checked_sub(HEADER).and_then(|n| rest.get(..n)).ok_or_else(malformed)?;
        let (kind, flags) = (u16_at(header, 4), u16_at(header, 6));
        match kind {
            NLMSG_NOOP => {}
            NLMSG_ERROR => return acknowledged(i32_at(body, 0)).map(|()| true),
            NLMSG_DONE => return acknowledged(i32_at(body, 0)).map(|()| true),
            _ if flags & NLM_F_DUMP_INTR != 0 => return Err(io::ErrorKind::Interrupted.into()),
            _ => messages.push(Message { body: body.to_vec() }),
        }
        datagram = rest.get(align(body.len())..).unwrap_or_default();
    }
    Ok(false)
}

/// An error of zero is what netlink calls an acknowledgement.
fn acknowledged(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer ends early")
}

fn frame(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]); // sequence and port: one question at a time, and the kernel names us
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a request: a fixed part, then attributes, each of which may hold others.
#[derive(Clone, Debug, Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// A body that starts with these bytes, which are padded to a multiple of four.
    pub(super) fn new(fixed: &[u8]) -> Self {
        let mut bytes = fixed.to_vec();
        bytes.resize(align(fixed.len()), 0);
        Self(bytes)
    }

    /// Adds an attribute.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // None here is longer than a few hundred bytes; the kernel refuses a length that is wrong.
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(align(self.0.len()), 0);
        self
    }

    /// Adds an attribute that says all by being there.
    pub(super) fn flag(self, kind: u16) -> Self {
        self.bytes(kind, &[])
    }

    /// Adds one byte.
    pub(super) fn u8(self, kind: u16, value: u8) -> Self {
        self.bytes(kind, &[value])
    }

    /// Adds a 32-bit number.
    pub(super) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a 64-bit number.
    pub(super) fn u64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a text, closed by a zero as the kernel wants it.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Adds an attribute that holds others.
    pub(super) fn nest(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }

    /// The bytes, as they go to the kernel.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The attributes in these bytes, in their order; stops at the first that is cut off.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_at_checked(ATTRIBUTE)?;
        let length = usize::from(u16_at(header, 0)).checked_sub(ATTRIBUTE)?;
        let value = rest.get(..length)?;
        bytes = rest.get(align(length)..).unwrap_or_default();
        Some((u16_at(header, 2) & NLA_TYPE_MASK, value))
    })
}

/// The first attribute of this kind.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The text in an attribute, without its closing zero.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// The number at this place, zero where the bytes end: older kernels have shorter structures.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, offset))
}

/// As [`u16_at`].
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, offset))
}

/// As [`u16_at`].
pub(super) fn i32_at(bytes: &[u8], offset: usize) -> i32 {
    i32::from_ne_bytes(array_at(bytes, offset))
}

/// As [`u16_at`].
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, offset))
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().unwrap_or([0; N])
}

/// Everything in a message starts at a multiple of four.
const fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The object must not exist yet.
pub(super) const CREATE: u16 = 0x400 | 0x200; // NLM_F_CREATE | NLM_F_EXCL
/// The object may exist; then it becomes what the request says.
pub(super) const REPLACE: u16 = 0x400 | 0x100; // NLM_F_CREATE | NLM_F_REPLACE

/// How long the kernel may take to answer. It answers at once; a lab that hangs would be worse
/// than one that fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a table that keeps changing is read again.
const DUMP_TRIES: u32 = 10;
/// The kernel fills at most 32 KiB per datagram of a dump.
const BUFFER: usize = 64 * 1024;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of `struct nlattr`.
const ATTRIBUTE: usize = 4;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3fff;

#[cfg(test)]
mod tests;
