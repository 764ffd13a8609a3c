//! Which endpoints can be received, and where they are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use host::interface::{Family, Interface, InterfaceError, InterfaceSpec, InvalidInterface};
use proto::endpoint::{Endpoint, EndpointError, EndpointSpec, Group};

/// Why an endpoint cannot be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReceivable {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("{0} is no fallback: write unicast://HOST:PORT or tcp://HOST:PORT of the publisher")]
    NoFallback(String),
    #[error(transparent)]
    Interface(#[from] InvalidInterface),
}

/// Why a publisher cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("{endpoint} cannot be resolved: {source}")]
    Unresolved { endpoint: Endpoint, source: io::Error },
    #[error("{endpoint} has no address of {family}, as the group has")]
    Family { endpoint: Endpoint, family: Family },
    #[error("{address} cannot be reached from here: {source}")]
    NoRoute { address: SocketAddr, source: io::Error },
    #[error("no interface has the address {0} that leads to the publisher")]
    NoInterface(IpAddr),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}

/// Where a publisher is asked for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publisher {
    /// By UDP.
    Udp(SocketAddr),
    /// By TCP.
    Tcp(SocketAddr),
}

impl Publisher {
    /// Its address, whichever way.
    pub(crate) fn address(self) -> SocketAddr {
        let (Self::Udp(address) | Self::Tcp(address)) = self;
        address
    }

    /// Finds the publisher of an endpoint, of this version of IP if one is given; `None` if the
    /// endpoint names none.
    pub(crate) fn of(
        endpoint: &Endpoint,
        family: Option<Family>,
    ) -> Result<Option<Self>, Unreachable> {
        let (host, port, make): (_, _, fn(SocketAddr) -> Self) = match endpoint {
            Endpoint::Multicast(_) | Endpoint::Broadcast(_) => return Ok(None),
            Endpoint::Unicast { host, port } => (host.as_str(), *port, Self::Udp),
            Endpoint::Tcp { host, port } => (host.as_str(), *port, Self::Tcp),
        };
        let named = || endpoint.clone();
        let found = (host, port)
            .to_socket_addrs()
            .map_err(|source| Unreachable::Unresolved { endpoint: named(), source })?;
        let fits =
            |address: &SocketAddr| family.is_none_or(|family| Family::of(address.ip()) == family);
        match (found.into_iter().find(fits), family) {
            (Some(address), _) => Ok(Some(make(address))),
            (None, Some(family)) => Err(Unreachable::Family { endpoint: named(), family }),
            (None, None) => {
                let source = io::Error::from(io::ErrorKind::NotFound);
                Err(Unreachable::Unresolved { endpoint: named(), source })
            }
        }
    }
}

/// Reads an endpoint, and the interface if one is written after a `?`.
pub(crate) fn parse(text: &str) -> Result<(Endpoint, Option<InterfaceSpec>), NotReceivable> {
    // If the interfaces cannot be listed, what needs them says so later.
    let interfaces = Interface::all().unwrap_or_default();
    let broadcasts: Vec<_> = interfaces.iter().flat_map(Interface::broadcasts).collect();
    let spec = EndpointSpec::parse_with_broadcast(text, &broadcasts)?;
    let interface = spec.interface.as_deref().map(str::parse).transpose()?;
    if let Some(group) = spec.endpoint.group() {
        group.check_joinable()?;
    }
    Ok((spec.endpoint, interface))
}

/// Reads an endpoint that a publisher is asked at.
pub(crate) fn parse_fallback(text: &str) -> Result<Endpoint, NotReceivable> {
    match parse(text)? {
        (endpoint @ (Endpoint::Unicast { .. } | Endpoint::Tcp { .. }), None) => Ok(endpoint),
        _ => Err(NotReceivable::NoFallback(text.to_owned())),
    }
}

/// What is heard without asking: the group, or a broadcast address as if it were one.
pub(crate) fn heard(endpoint: &Endpoint) -> Option<Group> {
    match endpoint {
        Endpoint::Multicast(group) => Some(group.clone()),
        Endpoint::Broadcast(address) => Some(Group {
            address: IpAddr::V4(*address.ip()),
            port: address.port(),
            source: None,
            zone: None,
        }),
        Endpoint::Unicast { .. } | Endpoint::Tcp { .. } => None,
    }
}

/// The interface by which an address is reached.
pub(crate) fn towards(address: SocketAddr) -> Result<Interface, Unreachable> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // Nothing is sent: the kernel only chooses.
    let local = UdpSocket::bind((any, 0))
        .and_then(|socket| socket.connect(address).and_then(|()| socket.local_addr()))
        .map_err(|source| Unreachable::NoRoute { address, source })?
        .ip();
    let owner = Interface::all()?.into_iter().find(|interface| interface.owns(local));
    owner.ok_or(Unreachable::NoInterface(local))
}
