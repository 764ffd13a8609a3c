//! Where a stream leaves this machine: endpoint, interface and address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use host::interface::{Family, Interface, InterfaceError, InterfaceSpec, choose};
use proto::endpoint::{Endpoint, EndpointSpec, Group};

use super::ConfigError;
use super::listen;
use crate::flags::StreamFlags;
use crate::flags::target::Target;
use crate::flags::value::Dscp;

/// One way out of a stream.
#[derive(Clone, Debug)]
pub struct Route {
    /// As it was written.
    pub endpoint: Endpoint,
    /// Where datagrams go.
    pub destination: SocketAddr,
    /// The socket they leave by.
    pub outlet: Outlet,
}

/// What makes a socket for sending; streams with equal ones share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outlet {
    /// The interface's name.
    pub interface: String,
    /// Its index.
    pub interface_index: u32,
    /// The longest IP packet it takes, in bytes.
    pub interface_mtu: u32,
    /// Whether it reaches nobody but this machine.
    pub is_loopback: bool,
    /// The address to send from.
    pub address: IpAddr,
    /// The port to send from; 0: any. With `unicast://` it is the one that subscribers ask at.
    pub port: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Whether this machine hears it.
    pub looped: bool,
    /// Code point of every datagram.
    pub dscp: Dscp,
    /// Whether it may send to broadcast addresses.
    pub broadcast: bool,
}

impl Outlet {
    /// Bytes of IP and UDP header in each datagram.
    #[must_use]
    pub fn ip_udp_len(&self) -> u16 {
        if self.address.is_ipv4() { 20 + 8 } else { 40 + 8 }
    }

    /// Bytes of Ethernet, IP and UDP header in each datagram.
    #[must_use]
    pub fn overhead_len(&self) -> u16 {
        14 + self.ip_udp_len()
    }
}

/// The routes of a stream.
///
/// # Errors
///
/// When an endpoint cannot be sent to from here.
pub fn resolve(flags: &StreamFlags) -> Result<Vec<Route>, ConfigError> {
    let mut routes: Vec<Route> = Vec::new();
    for Target(spec) in &flags.to {
        let route = resolve_one(spec, flags)?;
        let same = |other: &Route| {
            (other.destination, &other.outlet) == (route.destination, &route.outlet)
        };
        if routes.iter().any(same) {
            return Err(ConfigError::SameEndpoint { endpoint: route.endpoint.to_string() });
        }
        routes.push(route);
    }
    listen::share_ports(&mut routes);
    Ok(routes)
}

fn resolve_one(spec: &EndpointSpec, flags: &StreamFlags) -> Result<Route, ConfigError> {
    let (target, port) = match &spec.endpoint {
        Endpoint::Multicast(group) => (group.address, group.port),
        Endpoint::Broadcast(address) => (IpAddr::V4(*address.ip()), address.port()),
        Endpoint::Unicast { host, port } | Endpoint::Tcp { host, port } => {
            return listen::resolve((host, *port), spec, flags);
        }
    };
    let interface = interface(spec, flags, Family::of(target))?;
    let address = source(&interface, target, spec.endpoint.group())?;
    let destination = match target {
        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, interface.index)),
    };
    let outlet = Outlet {
        interface: interface.name,
        interface_index: interface.index,
        interface_mtu: interface.mtu,
        is_loopback: interface.loopback,
        address,
        port: 0,
        ttl: flags.ttl.or(spec.ttl).unwrap_or(1),
        looped: flags.looped.unwrap_or(true) && !flags.no_loop,
        dscp: flags.dscp.unwrap_or_default(),
        broadcast: matches!(spec.endpoint, Endpoint::Broadcast(_)),
    };
    Ok(Route { endpoint: spec.endpoint.clone(), destination, outlet })
}

/// The endpoint's own interface, else `--interface`, else the source's, else the only one.
fn interface(
    spec: &EndpointSpec,
    flags: &StreamFlags,
    family: Family,
) -> Result<Interface, ConfigError> {
    let group = spec.endpoint.group();
    let written = spec.interface.as_ref().or(group.and_then(|group| group.zone.as_ref()));
    let named: Option<InterfaceSpec> = match written {
        Some(text) => Some(text.parse()?),
        None => flags.interface.clone(),
    };
    let source = group.and_then(|group| group.source).map(InterfaceSpec::Address);
    match (named.or(source), &spec.endpoint) {
        (None, Endpoint::Broadcast(address)) => match owner(address)? {
            Some(interface) => Ok(interface),
            None => Ok(choose(None, family)?),
        },
        (named, _) => Ok(choose(named.as_ref(), family)?),
    }
}

/// The interface whose broadcast address this is.
fn owner(address: &SocketAddrV4) -> Result<Option<Interface>, InterfaceError> {
    let mut all = Interface::all()?;
    all.retain(|interface| interface.broadcasts().contains(address.ip()));
    Ok(if all.len() == 1 { all.pop() } else { None })
}

/// The address to send from.
fn source(
    interface: &Interface,
    target: IpAddr,
    group: Option<&Group>,
) -> Result<IpAddr, ConfigError> {
    let family = Family::of(target);
    let no_address = || ConfigError::NoAddress { interface: interface.name.clone(), family };
    let has = |address: IpAddr| interface.owns(address);
    match (group.and_then(|group| group.source), target) {
        (Some(address), _) if has(address) => Ok(address),
        (Some(address), _) => {
            Err(ConfigError::NotOurSource { address, interface: interface.name.clone() })
        }
        (None, IpAddr::V6(group)) => {
            source_v6(interface, group).map(IpAddr::V6).ok_or_else(no_address)
        }
        (None, IpAddr::V4(_)) => interface.address(family).ok_or_else(no_address),
    }
}

/// On the link its own address; beyond it one that can be answered from there.
fn source_v6(interface: &Interface, group: Ipv6Addr) -> Option<Ipv6Addr> {
    let [first, ..] = group.segments();
    let is_link_local = first & 0xf <= 2;
    let addresses = || interface.v6.iter().map(|(address, _)| *address);
    addresses()
        .find(|address| address.is_unicast_link_local() == is_link_local)
        .or_else(|| addresses().next())
}
