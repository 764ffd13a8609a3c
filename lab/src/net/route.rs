//! Addresses of interfaces, and routes (`linux/if_addr.h`, `linux/rtnetlink.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    error::{Error, refused},
    netlink::{self, Body, Netlink},
};

/// A range of addresses: all that begin with these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) address: IpAddr,
    /// How many bits.
    pub(super) length: u8,
}

impl Prefix {
    pub(super) fn new(address: impl Into<IpAddr>, length: u8) -> Self {
        Self { address: address.into(), length }
    }
}

/// What a prefix of zero bits means: everything.
pub(super) fn everything(like: IpAddr) -> Prefix {
    match like {
        IpAddr::V4(_) => Prefix::new(Ipv4Addr::UNSPECIFIED, 0),
        IpAddr::V6(_) => Prefix::new(Ipv6Addr::UNSPECIFIED, 0),
    }
}

/// Gives an interface an address, at once: it is not first asked whether somebody has it.
pub(super) fn add_address(netlink: &Netlink, index: u32, prefix: Prefix) -> Result<(), Error> {
    let mut fixed = [family(prefix.address), prefix.length, 0, 0, 0, 0, 0, 0];
    if let Some(place) = fixed.last_chunk_mut::<4>() {
        *place = index.to_ne_bytes();
    }
    let address = octets(prefix.address);
    let mut body = Body::new(&fixed).bytes(IFA_LOCAL, &address).bytes(IFA_ADDRESS, &address);
    match prefix.address {
        IpAddr::V4(v4) => {
            body = body.bytes(IFA_BROADCAST, &broadcast(v4, prefix.length).octets());
        }
        IpAddr::V6(_) => body = body.u32(IFA_FLAGS, IFA_F_NODAD),
    }
    netlink
        .change(RTM_NEWADDR, netlink::REPLACE, body.as_bytes())
        .map_err(refused("add address", prefix.address.to_string()))
}

/// Sends what goes to these addresses out of this interface, to the gateway if there is one.
///
/// A route that is there already is replaced.
pub(super) fn add_route(
    netlink: &Netlink,
    to: Prefix,
    index: u32,
    gateway: Option<IpAddr>,
) -> Result<(), Error> {
    let scope = if gateway.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
    let (source_length, tos, flags) = (0, 0, [0; 4]);
    let mut fixed = vec![family(to.address), to.length, source_length, tos];
    fixed.extend([RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST]);
    fixed.extend(flags);
    let mut body = Body::new(&fixed).u32(RTA_OIF, index);
    if to.length > 0 {
        body = body.bytes(RTA_DST, &octets(to.address));
    }
    if let Some(gateway) = gateway {
        body = body.bytes(RTA_GATEWAY, &octets(gateway));
    }
    netlink
        .change(RTM_NEWROUTE, netlink::REPLACE, body.as_bytes())
        .map_err(refused("add route to", format!("{}/{}", to.address, to.length)))
}

/// The address that means every host of the range.
pub(super) fn broadcast(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    let host_bits = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() | host_bits)
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
