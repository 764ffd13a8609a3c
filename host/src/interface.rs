//! The interfaces of this machine, and which one is meant.
//!
//! Multicast that leaves or is joined on the wrong interface fails silently, so nothing is
//! guessed: where more than one could be meant, all are listed and none is taken.

pub mod counters;
mod mtu;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

/// One interface, as it was when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index: what joins and sends name it by.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier as well: a cable, a peer.
    pub running: bool,
    /// Whether it says that it carries multicast; loopback does not say so, and does.
    pub multicast: bool,
    /// Whether it reaches nobody but this machine.
    pub loopback: bool,
    /// The longest IP packet that it takes, in bytes.
    pub mtu: u32,
    /// IPv4 addresses with the length of their prefix.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// IPv6 addresses with the length of their prefix.
    pub v6: Vec<(Ipv6Addr, u8)>,
}

/// Version of IP that an interface is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How a person names an interface: `eth0`, `3`, `192.0.2.7` or `192.0.2.0/24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceSpec {
    /// By name.
    Name(String),
    /// By index.
    Index(u32),
    /// By an address that it has.
    Address(IpAddr),
    /// By a network that it has an address in.
    Network(IpAddr, u8),
}

/// Why no interface could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceError {
    /// What was named is not there.
    #[error("no interface {spec}; there are: {available}")]
    Unknown {
        /// What was named.
        spec: InterfaceSpec,
        /// Those that there are.
        available: String,
    },
    /// More than one could be meant.
    #[error("several interfaces could be meant: {candidates}; name one with --interface")]
    Ambiguous {
        /// Those that could be meant.
        candidates: String,
    },
    /// A network that several interfaces have an address in.
    #[error("{spec} fits several interfaces: {candidates}; name one of them")]
    SpecAmbiguous {
        /// What was named.
        spec: InterfaceSpec,
        /// Those that fit.
        candidates: String,
    },
    /// It was named, but it is down.
    #[error("interface {name} is down; bring it up with: ip link set {name} up")]
    Down {
        /// Its name.
        name: String,
    },
    /// None is up, not even loopback.
    #[error("no interface is up with {family}; there are: {available}")]
    NoneUp {
        /// The version of IP that was wanted.
        family: Family,
        /// Those that there are.
        available: String,
    },
    /// The system would not list them.
    #[error("interfaces cannot be listed: {0}")]
    System(#[from] nix::Error),
}

impl Interface {
    /// Every interface of this network namespace, in the order of their indices.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        let mtus = mtu::by_index()?;
        let mut interfaces: BTreeMap<String, Self> = BTreeMap::new();
        for entry in getifaddrs()? {
            // An interface may go between the listing and the question.
            let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else {
                continue;
            };
            let interface =
                interfaces.entry(entry.interface_name.clone()).or_insert_with(|| Self {
                    name: entry.interface_name.clone(),
                    index,
                    mtu: mtus.get(&index).copied().unwrap_or(DEFAULT_MTU),
                    ..Self::default()
                });
            interface.add(&entry);
        }
        let mut interfaces: Vec<Self> = interfaces.into_values().collect();
        interfaces.sort_by_key(|interface| interface.index);
        Ok(interfaces)
    }

    /// Its own broadcast addresses.
    #[must_use]
    pub fn broadcasts(&self) -> Vec<Ipv4Addr> {
        let of = |(address, prefix): &(Ipv4Addr, u8)| {
            let hosts = u32::MAX.checked_shr(u32::from(*prefix)).unwrap_or(0);
            (*prefix < 31).then(|| Ipv4Addr::from_bits(address.to_bits() | hosts))
        };
        if self.loopback { Vec::new() } else { self.v4.iter().filter_map(of).collect() }
    }

    /// Whether this is one of its addresses.
    #[must_use]
    pub fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.iter().any(|(own, _)| *own == v4),
            IpAddr::V6(v6) => self.v6.iter().any(|(own, _)| *own == v6),
        }
    }

    /// Whether it has an address of this family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        match family {
            Family::V4 => !self.v4.is_empty(),
            Family::V6 => !self.v6.is_empty(),
        }
    }

    /// An address to send from: of IPv6, a link-local one if there is one.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.first().map(|(address, _)| IpAddr::V4(*address)),
            Family::V6 => self
                .v6
                .iter()
                .find(|(address, _)| address.is_unicast_link_local())
                .or_else(|| self.v6.first())
                .map(|(address, _)| IpAddr::V6(*address)),
        }
    }

    fn add(&mut self, entry: &InterfaceAddress) {
        self.up |= entry.flags.contains(InterfaceFlags::IFF_UP);
        self.running |= entry.flags.contains(InterfaceFlags::IFF_RUNNING);
        self.multicast |= entry.flags.contains(InterfaceFlags::IFF_MULTICAST);
        self.loopback |= entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let prefix = entry.netmask.as_ref().and_then(ip_of).map_or(0, prefix_len);
        match entry.address.as_ref().and_then(ip_of) {
            Some(IpAddr::V4(address)) => self.v4.push((address, prefix)),
            Some(IpAddr::V6(address)) => self.v6.push((address, prefix)),
            None => {}
        }
    }

    fn is_meant_by(&self, spec: &InterfaceSpec) -> bool {
        match spec {
            InterfaceSpec::Name(name) => self.name == *name,
            InterfaceSpec::Index(index) => self.index == *index,
            InterfaceSpec::Address(wanted) => self.addresses().any(|address| address == *wanted),
            InterfaceSpec::Network(network, prefix) => {
                self.addresses().any(|address| in_network(address, *network, *prefix))
            }
        }
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let v4 = self.v4.iter().map(|(address, _)| IpAddr::V4(*address));
        v4.chain(self.v6.iter().map(|(address, _)| IpAddr::V6(*address)))
    }
}

impl fmt::Display for Interface {
    /// `eth0 (2, 192.0.2.7)`; what cannot be used says why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.index)?;
        if let Some(address) = self.addresses().next() {
            write!(f, ", {address}")?;
        }
        if !self.up {
            write!(f, ", down")?;
        }
        write!(f, ")")
    }
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The interface that is meant.
///
/// Without a `spec`: the only one that is up, carries multicast, is not loopback and has an
/// address of the family. If there is none, loopback (the caller warns: nobody else hears it);
/// if there are several, an error that lists them.
pub fn choose(spec: Option<&InterfaceSpec>, want: Family) -> Result<Interface, InterfaceError> {
    choose_from(Interface::all()?, spec, want)
}

fn choose_from(
    all: Vec<Interface>,
    spec: Option<&InterfaceSpec>,
    want: Family,
) -> Result<Interface, InterfaceError> {
    match spec {
        Some(spec) => named(all, spec),
        None => only_one(all, want),
    }
}

fn named(all: Vec<Interface>, spec: &InterfaceSpec) -> Result<Interface, InterfaceError> {
    let (mut meant, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|interface| interface.is_meant_by(spec));
    if meant.len() > 1 {
        return Err(InterfaceError::SpecAmbiguous { spec: spec.clone(), candidates: list(&meant) });
    }
    match meant.pop() {
        Some(interface) if interface.up => Ok(interface),
        Some(interface) => Err(InterfaceError::Down { name: interface.name }),
        None => Err(InterfaceError::Unknown { spec: spec.clone(), available: list(&others) }),
    }
}

fn only_one(all: Vec<Interface>, want: Family) -> Result<Interface, InterfaceError> {
    let available = list(&all);
    let (local, remote): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|interface| interface.up).partition(|interface| interface.loopback);
    let mut candidates: Vec<_> =
        remote.into_iter().filter(|interface| interface.multicast && interface.has(want)).collect();
    if candidates.len() > 1 {
        return Err(InterfaceError::Ambiguous { candidates: list(&candidates) });
    }
    candidates
        .pop()
        .or_else(|| local.into_iter().next())
        .ok_or(InterfaceError::NoneUp { family: want, available })
}

fn list(interfaces: &[Interface]) -> String {
    let names: Vec<String> = interfaces.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl FromStr for InterfaceSpec {
    type Err = InvalidInterface;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((network, prefix)) = text.split_once('/') {
            return parse_network(network, prefix).ok_or_else(|| InvalidInterface(text.to_owned()));
        }
        if let Ok(index) = text.parse() {
            return Ok(Self::Index(index));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = !text.is_empty()
            && text.len() < NAME_LEN_LIMIT
            && !text.chars().any(|c| c.is_whitespace() || c == ':');
        if is_name {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(InvalidInterface(text.to_owned()))
        }
    }
}

/// What was written cannot name an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no interface: give a name, an index, an address or a network (10.0.0.0/8)")]
pub struct InvalidInterface(String);

impl fmt::Display for InterfaceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Index(index) => write!(f, "{index}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(network, prefix) => write!(f, "{network}/{prefix}"),
        }
    }
}

fn parse_network(network: &str, prefix: &str) -> Option<InterfaceSpec> {
    let network: IpAddr = network.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let longest = if network.is_ipv4() { 32 } else { 128 };
    (prefix <= longest).then_some(InterfaceSpec::Network(network, prefix))
}

fn in_network(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let host_bits = 32 - u32::from(prefix);
            (address.to_bits() ^ network.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let host_bits = 128 - u32::from(prefix);
            (address.to_bits() ^ network.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[expect(clippy::cast_possible_truncation, reason = "at most 128 bits are set")]
fn prefix_len(netmask: IpAddr) -> u8 {
    match netmask {
        IpAddr::V4(mask) => mask.to_bits().count_ones() as u8,
        IpAddr::V6(mask) => mask.to_bits().count_ones() as u8,
    }
}

/// What Ethernet carries: for an interface that went before its MTU was read.
const DEFAULT_MTU: u32 = 1_500;

/// `IFNAMSIZ`: a name is shorter than this.
const NAME_LEN_LIMIT: usize = 16;
