//! Where subscribers ask for a stream by unicast: `unicast://HOST:PORT`, `tcp://HOST:PORT`.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use host::interface::Interface;
use proto::endpoint::{Endpoint, EndpointSpec};

use super::ConfigError;
use super::route::{Outlet, Route};
use crate::flags::StreamFlags;

/// The route of one that is listened for.
pub(super) fn resolve(
    (host, port): (&str, u16),
    spec: &EndpointSpec,
    flags: &StreamFlags,
) -> Result<Route, ConfigError> {
    let interfaces = Interface::all()?;
    let is_ours = |address: &SocketAddr| {
        address.ip().is_unspecified() || interfaces.iter().any(|it| it.owns(address.ip()))
    };
    let endpoint = spec.endpoint.to_string();
    let plain = host.split('%').next().unwrap_or(host);
    let found = match plain.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => (host, port)
            .to_socket_addrs()
            .map_err(|error| ConfigError::Unresolved { host: host.to_owned(), error })?
            .collect(),
    };
    let Some(destination) = found.into_iter().find(is_ours) else {
        return Err(ConfigError::NotOurAddress { endpoint });
    };
    let owner = interfaces.into_iter().find(|it| it.owns(destination.ip()));
    let owner = owner.unwrap_or_else(everywhere);
    let outlet = Outlet {
        interface: owner.name,
        interface_index: owner.index,
        interface_mtu: owner.mtu,
        is_loopback: owner.loopback,
        address: destination.ip(),
        port,
        ttl: flags.ttl.or(spec.ttl).unwrap_or(1),
        looped: flags.looped.unwrap_or(true) && !flags.no_loop,
        dscp: flags.dscp.unwrap_or_default(),
        broadcast: false,
    };
    Ok(Route { endpoint: spec.endpoint.clone(), destination, outlet })
}

/// Whatever interface a subscriber is behind.
fn everywhere() -> Interface {
    Interface { name: "any".to_owned(), mtu: u32::from(u16::MAX), ..Interface::default() }
}

/// One port for a session: what goes to a group leaves from where subscribers ask, so that one that
/// changes from the group to unicast, or back, hears the same publisher.
pub(super) fn share_ports(routes: &mut [Route]) {
    let is_listened = |route: &&Route| matches!(route.endpoint, Endpoint::Unicast { .. });
    let listened: Vec<Outlet> =
        routes.iter().filter(is_listened).map(|route| route.outlet.clone()).collect();
    for place in listened {
        let is_group = |route: &&Route| {
            matches!(route.endpoint, Endpoint::Multicast(_) | Endpoint::Broadcast(_))
                && route.outlet.address == place.address
                && route.outlet.port == 0
        };
        let Some(group) = routes.iter().find(is_group).map(|route| route.outlet.clone()) else {
            continue;
        };
        let shared = Outlet { port: place.port, ..group.clone() };
        for route in routes.iter_mut() {
            if route.outlet == group || route.outlet == place && !is_tcp(route) {
                route.outlet = shared.clone();
            }
        }
    }
}

fn is_tcp(route: &Route) -> bool {
    matches!(route.endpoint, Endpoint::Tcp { .. })
}
