//! Interfaces: cables, their ends, and what crossed them (`linux/if_link.h`).

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{
    error::{Error, refused},
    netlink::{self, Body, Message, Netlink, attribute, i32_at, text, u32_at, u64_at},
};

/// What crossed an interface since it was made, as the kernel counted it (`rtnl_link_stats64`).
///
/// Bytes are of whole Ethernet frames without their checksum: 14 more than the IP packet. On
/// [`Path::Whole`](super::Path::Whole) a burst counts as one packet with one header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LinkCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes of the frames received.
    pub rx_bytes: u64,
    /// Bytes of the frames sent.
    pub tx_bytes: u64,
    /// Frames that came in damaged.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Frames that came in and found no room.
    pub rx_dropped: u64,
    /// Frames that the interface did not send.
    pub tx_dropped: u64,
}

impl LinkCounters {
    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            rx_packets: self.rx_packets.saturating_sub(earlier.rx_packets),
            tx_packets: self.tx_packets.saturating_sub(earlier.tx_packets),
            rx_bytes: self.rx_bytes.saturating_sub(earlier.rx_bytes),
            tx_bytes: self.tx_bytes.saturating_sub(earlier.tx_bytes),
            rx_errors: self.rx_errors.saturating_sub(earlier.rx_errors),
            tx_errors: self.tx_errors.saturating_sub(earlier.tx_errors),
            rx_dropped: self.rx_dropped.saturating_sub(earlier.rx_dropped),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
        }
    }

    fn read(stats: &[u8]) -> Self {
        Self {
            rx_packets: u64_at(stats, 0),
            tx_packets: u64_at(stats, 8),
            rx_bytes: u64_at(stats, 16),
            tx_bytes: u64_at(stats, 24),
            rx_errors: u64_at(stats, 32),
            tx_errors: u64_at(stats, 40),
            rx_dropped: u64_at(stats, 48),
            tx_dropped: u64_at(stats, 56),
        }
    }
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// It has a cable with two ends that are up.
    pub(super) running: bool,
    pub(super) counters: LinkCounters,
}

impl Link {
    fn read(message: &Message) -> Self {
        let body = message.body.as_slice();
        let rest = body.get(IFINFO..).unwrap_or_default();
        Self {
            index: u32::try_from(i32_at(body, 4)).unwrap_or_default(),
            name: attribute(rest, IFLA_IFNAME).map(text).unwrap_or_default(),
            running: u32_at(body, 8) & IFF_LOWER_UP != 0,
            counters: attribute(rest, IFLA_STATS64).map(LinkCounters::read).unwrap_or_default(),
        }
    }
}

/// One end of a cable that is about to exist.
#[derive(Debug)]
pub(super) struct FarEnd<'a> {
    /// The interface's name over there.
    pub(super) name: &'a str,
    /// Where it shall be.
    pub(super) namespace: BorrowedFd<'a>,
}

/// Lays a cable (veth) from here to another namespace.
pub(super) fn lay_cable(
    netlink: &Netlink,
    name: &str,
    far: &FarEnd<'_>,
    mtu: u32,
) -> Result<(), Error> {
    let fd = u32::try_from(far.namespace.as_raw_fd()).unwrap_or_default();
    let peer = Body::new(&ifinfo(0, 0, 0))
        .text(IFLA_IFNAME, far.name)
        .u32(IFLA_NET_NS_FD, fd)
        .u32(IFLA_MTU, mtu);
    let data = Body::default().bytes(VETH_INFO_PEER, peer.as_bytes());
    let info = Body::default().text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, &data);
    let body = named(name, 0, 0).u32(IFLA_MTU, mtu).nest(IFLA_LINKINFO, &info);
    netlink
        .change(RTM_NEWLINK, netlink::CREATE, body.as_bytes())
        .map_err(refused("lay a cable (veth) to", name))
}

/// Switches an interface on or off.
pub(super) fn set_up(netlink: &Netlink, name: &str, up: bool) -> Result<(), Error> {
    let flags = if up { IFF_UP } else { 0 };
    let action = if up { "switch on interface" } else { "switch off interface" };
    set(netlink, &named(name, flags, IFF_UP)).map_err(refused(action, name))
}

/// Makes an interface a port of this bridge.
pub(super) fn set_master(netlink: &Netlink, name: &str, bridge: u32) -> Result<(), Error> {
    let body = named(name, 0, 0).u32(IFLA_MASTER, bridge);
    set(netlink, &body).map_err(refused("plug into the switch", name))
}

/// Sets the largest IP packet of an interface, in bytes.
pub(super) fn set_mtu(netlink: &Netlink, name: &str, mtu: u32) -> Result<(), Error> {
    let body = named(name, 0, 0).u32(IFLA_MTU, mtu);
    set(netlink, &body).map_err(refused("set the MTU of", name))
}

/// Removes an interface, and with it the other end of its cable.
pub(super) fn delete(netlink: &Netlink, name: &str) -> Result<(), Error> {
    let body = named(name, 0, 0);
    netlink.change(RTM_DELLINK, 0, body.as_bytes()).map_err(refused("remove interface", name))
}

/// Looks an interface up by its name.
pub(super) fn get(netlink: &Netlink, name: &str) -> Result<Link, Error> {
    let found = netlink.get(RTM_GETLINK, named(name, 0, 0).as_bytes());
    let links = found.map_err(refused("find interface", name))?;
    let missing = || refused("find interface", name)(std::io::ErrorKind::NotFound.into());
    links.first().map(Link::read).ok_or_else(missing)
}

/// All interfaces of the namespace.
pub(super) fn all(netlink: &Netlink) -> Result<Vec<Link>, Error> {
    let found = netlink.dump(RTM_GETLINK, &ifinfo(0, 0, 0));
    let messages = found.map_err(refused("list", "interfaces"))?;
    Ok(messages.iter().map(Link::read).collect())
}

/// Changes an interface that exists.
pub(super) fn set(netlink: &Netlink, body: &Body) -> std::io::Result<()> {
    netlink.change(RTM_NEWLINK, 0, body.as_bytes())
}

/// The start of a request about the interface of this name.
pub(super) fn named(name: &str, flags: u32, change: u32) -> Body {
    Body::new(&ifinfo(0, flags, change)).text(IFLA_IFNAME, name)
}

/// `struct ifinfomsg`: family, type, index, flags, and which of the flags to change.
fn ifinfo(index: u32, flags: u32, change: u32) -> [u8; IFINFO] {
    let mut bytes = [0; IFINFO];
    let words = [0, index, flags, change];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Bytes of `struct ifinfomsg`.
const IFINFO: usize = 16;
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 1 << 16;

pub(super) const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_NET_NS_FD: u16 = 28;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
