//! Notice that something about the interfaces changed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// A netlink socket that becomes readable when a link or an address comes, goes or changes.
///
/// What it says is not read: any message means "look again". One change makes several
/// messages, so the caller waits a moment before it looks.
#[derive(Debug)]
pub struct LinkWatch {
    socket: OwnedFd,
}

impl LinkWatch {
    /// Watches the network namespace of this thread.
    pub fn new() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Self { socket })
    }

    /// Empties the socket; true if there was anything.
    ///
    /// A full socket has lost messages: that is news too.
    pub fn drain(&self) -> io::Result<bool> {
        let mut buf = [0; 4_096];
        let mut changed = false;
        for _ in 0..DRAIN_LIMIT {
            match recv(self.socket.as_raw_fd(), &mut buf, MsgFlags::empty()) {
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(changed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(changed)
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// A storm of changes is taken in turns, so that it cannot hold the caller for ever.
const DRAIN_LIMIT: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_machine_has_no_news() {
        let watch = LinkWatch::new().unwrap();
        assert!(watch.as_fd().as_raw_fd() >= 0);
        watch.drain().unwrap();
        assert!(!watch.drain().unwrap());
    }
}
