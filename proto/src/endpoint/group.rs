//! Multicast groups: which addresses are fit for one, and what an Ethernet makes of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::EndpointError;

/// A multicast group and port, with the one source that is wanted if it is source-specific.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The group.
    pub address: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// The only source that is wanted (IGMPv3, MLDv2; RFC 4607); `None`: any.
    pub source: Option<IpAddr>,
    /// The interface of an IPv6 group, by name or index: what stands after the `%`.
    pub zone: Option<String>,
}

impl Group {
    /// Checks what can be checked without a network: the address is a group that routers and
    /// switches treat as one, and the source can be its source.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn check(&self) -> Result<(), EndpointError> {
        match self.address {
            IpAddr::V4(v4) => check_v4(v4, self.port)?,
            IpAddr::V6(v6) => check_v6(v6, self.port, self.zone.is_some())?,
        }
        self.source.map_or(Ok(()), |source| self.check_source(source))
    }

    /// Checks that a receiver can join: a source-specific group needs its source (RFC 4607).
    /// The publisher sends to such a group without naming itself.
    ///
    /// # Errors
    /// The group is source-specific and no source is named.
    pub fn check_joinable(&self) -> Result<(), EndpointError> {
        if self.is_source_specific_range() && self.source.is_none() {
            return Err(EndpointError::NoSource { group: self.address, port: self.port });
        }
        Ok(())
    }

    /// Whether the address lies in 232.0.0.0/8 or ff3x::/32 (RFC 4607 §1).
    #[must_use]
    pub fn is_source_specific_range(&self) -> bool {
        match self.address {
            IpAddr::V4(v4) => v4.octets().starts_with(&[232]),
            IpAddr::V6(v6) => {
                let [first, second, ..] = v6.segments();
                first & 0xfff0 == 0xff30 && second == 0
            }
        }
    }

    /// What works but is unwise, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self.address {
            IpAddr::V4(v4) => warnings_v4(v4),
            IpAddr::V6(v6) => warnings_v6(v6),
        }
    }

    /// The Ethernet address that the group's datagrams go to: the low 23 bits of an IPv4 group
    /// (RFC 1112 §6.4), the low 32 of an IPv6 one (RFC 2464 §7).
    #[must_use]
    pub fn ethernet_mac(&self) -> [u8; 6] {
        match self.address {
            IpAddr::V4(v4) => {
                let [_, b, c, d] = v4.octets();
                [0x01, 0x00, 0x5e, b & 0x7f, c, d]
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d] = low_32(v6).to_be_bytes();
                [0x33, 0x33, a, b, c, d]
            }
        }
    }

    fn check_source(&self, source: IpAddr) -> Result<(), EndpointError> {
        if source.is_ipv4() != self.address.is_ipv4() {
            let group = self.address;
            return Err(EndpointError::SourceFamily { source_address: source, group });
        }
        let is_broadcast = source == IpAddr::V4(Ipv4Addr::BROADCAST);
        if source.is_multicast() || source.is_unspecified() || is_broadcast {
            return Err(EndpointError::Source { source_address: source });
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    /// As an endpoint is written: `udp://10.0.0.1@232.1.2.3:5000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("udp://")?;
        match self.source {
            Some(IpAddr::V4(source)) => write!(f, "{source}@")?,
            Some(IpAddr::V6(source)) => write!(f, "[{source}]@")?,
            None => {}
        }
        match (self.address, &self.zone) {
            (IpAddr::V4(group), _) => write!(f, "{group}:{}", self.port),
            (IpAddr::V6(group), None) => write!(f, "[{group}]:{}", self.port),
            (IpAddr::V6(group), Some(zone)) => write!(f, "[{group}%{zone}]:{}", self.port),
        }
    }
}

/// Pairs of different groups, by their place in `groups`, that share an Ethernet address: a
/// switch that forwards by it cannot keep them apart, and each subscriber of one is sent both.
#[must_use]
pub fn same_ethernet_mac(groups: &[Group]) -> Vec<(usize, usize)> {
    let macs: Vec<_> = groups.iter().map(|group| (group.address, group.ethernet_mac())).collect();
    let mut pairs = Vec::new();
    for (second, (address, mac)) in macs.iter().enumerate() {
        let before = macs.iter().take(second).enumerate();
        let meets = before.filter(|(_, (other, other_mac))| other != address && other_mac == mac);
        pairs.extend(meets.map(|(first, _)| (first, second)));
    }
    pairs
}

fn check_v4(group: Ipv4Addr, port: u16) -> Result<(), EndpointError> {
    if !group.is_multicast() {
        return Err(EndpointError::NotMulticast { address: group.into(), port });
    }
    if group.octets().starts_with(&[224, 0, 0]) {
        return Err(EndpointError::ControlBlock { group: group.into() });
    }
    Ok(())
}

fn check_v6(group: Ipv6Addr, port: u16, has_zone: bool) -> Result<(), EndpointError> {
    if !group.is_multicast() {
        return Err(EndpointError::NotMulticast { address: group.into(), port });
    }
    let refused = |why| Err(EndpointError::Scope { group: group.into(), why });
    match scope(group) {
        0x0 | 0xf => refused("its scope is reserved"),
        0x1 => refused("its scope is one interface, so that it never leaves the host"),
        0x2 if is_well_known(group) => Err(EndpointError::ControlBlock { group: group.into() }),
        0x2 if !has_zone => Err(EndpointError::NoZone { group: group.into() }),
        _ => Ok(()),
    }
}

/// The last four bits of the first 16 (RFC 4291 §2.7).
fn scope(group: Ipv6Addr) -> u16 {
    let [first, ..] = group.segments();
    first & 0x000f
}

/// What neighbour discovery, routing protocols, MLD, mDNS, DHCP and LLMNR use: all nodes are in
/// one of them, so that switches send them everywhere.
fn is_well_known(group: Ipv6Addr) -> bool {
    match group.segments() {
        [0xff02, 0, 0, 0, 0, 0, 0, low] => low <= 0xff,
        [0xff02, 0, 0, 0, 0, 0, 1, _] => true,
        [0xff02, 0, 0, 0, 0, 1 | 2, node, _] => node >= 0xff00,
        _ => false,
    }
}

fn low_32(address: Ipv6Addr) -> u32 {
    let [.., high, low] = address.segments();
    u32::from(high) << 16 | u32::from(low)
}

fn warnings_v4(group: Ipv4Addr) -> Vec<String> {
    let mut warnings = Vec::new();
    if !matches!(group.octets(), [232 | 239, ..]) {
        warnings.push(format!(
            "{group} is outside 239.0.0.0/8, which is for use within a site (RFC 2365), and \
             232.0.0.0/8, which is source-specific (RFC 4607): it may be somebody else's"
        ));
    }
    if group.octets().starts_with(&[232, 0, 0]) {
        warnings.push(format!("{group} is reserved (RFC 4607): use 232.0.1.0 and above"));
    }
    if matches!(group.octets(), [_, 0 | 128, 0, _]) {
        warnings.push(format!(
            "{group} has the Ethernet address of a group of 224.0.0.0/24, which some switches send \
             to every port"
        ));
    }
    warnings
}

fn warnings_v6(group: Ipv6Addr) -> Vec<String> {
    let [first, ..] = group.segments();
    let mut warnings = Vec::new();
    if first & 0x0010 == 0 {
        warnings.push(format!(
            "{group} lacks the transient flag, so that it is one for IANA to assign (RFC 4291 \
             §2.7): use ff15::/16"
        ));
    }
    if scope(group) == 0xe {
        warnings.push(format!(
            "{group} is of global scope: no border keeps it in; ff15::/16 is for use within a site"
        ));
    }
    warnings
}
