//! A host: a namespace with an interface, plugged into a switch.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Output},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    Child, LinkCounters, Path,
    error::Error,
    ethtool::{self, Feature},
    link,
    netlink::Netlink,
    node::Node,
    plan::{Seat, V6_LENGTH},
    route::{self, Prefix},
    switch::{Plug, Switch},
    sysctl,
};

/// A host of the lab, or its router.
#[derive(Debug)]
pub struct Host {
    node: Node,
    legs: Vec<Leg>,
    primary: Seat,
}

/// A host's interface, and the switch at the other end of its cable.
#[derive(Debug)]
struct Leg {
    interface: String,
    seat: Seat,
    switch: Arc<Switch>,
}

/// What all cables and hosts of a lab have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wiring {
    pub(super) ipv6: bool,
    pub(super) mtu: u32,
    pub(super) path: Path,
}

impl Host {
    /// Plugs a machine into one switch, or into several, which makes it a router.
    pub(super) fn connect(
        node: Node,
        seats: Vec<(Seat, Arc<Switch>)>,
        wiring: &Wiring,
    ) -> Result<Self, Error> {
        let primary = seats.first().map(|(seat, _)| seat.clone()).unwrap_or_default();
        let legs: Vec<Leg> = (0..)
            .zip(seats)
            .map(|(n, (seat, switch))| Leg { interface: format!("eth{n}"), seat, switch })
            .collect();
        let is_router = legs.len() > 1;
        node.try_run(|| prepare(wiring.ipv6, is_router))?;
        for leg in &legs {
            leg.switch.plug(&Plug {
                host: node.namespace(),
                interface: &leg.interface,
                is_router,
                mtu: wiring.mtu,
                path: wiring.path,
            })?;
        }
        node.with_netlink(|netlink| {
            link::set_up(netlink, "lo", true)?;
            legs.iter().try_for_each(|leg| leg.configure(netlink, wiring))
        })?;
        Ok(Self { node, legs, primary })
    }

    /// Its name: `pub`, `s1`, …, `router`, `r1`, ….
    #[must_use]
    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// The machine that it is.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its interface: `eth0`. A router has `eth1` on the second segment as well.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        PRIMARY
    }

    /// The address of its interface.
    #[must_use]
    pub fn addr4(&self) -> Ipv4Addr {
        self.primary.v4
    }

    /// The address that means every host of its segment.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        route::broadcast(self.primary.v4, self.primary.v4_length)
    }

    /// The IPv6 address of its interface, unless the lab is without IPv6.
    #[must_use]
    pub fn addr6(&self) -> Option<Ipv6Addr> {
        self.primary.v6
    }

    /// The switch that it is plugged into.
    #[must_use]
    pub fn switch(&self) -> Option<&Switch> {
        self.legs.first().map(|leg| leg.switch.as_ref())
    }

    /// Whether it is plugged into this switch.
    pub(super) fn is_at(&self, switch: &Switch) -> bool {
        self.legs.iter().any(|leg| leg.is_at(switch))
    }

    /// Its interface at this switch.
    pub(super) fn interface_at(&self, switch: &Switch) -> Option<&str> {
        self.legs.iter().find(|leg| leg.is_at(switch)).map(|leg| leg.interface.as_str())
    }

    /// See [`Node::run`].
    ///
    /// # Errors
    ///
    /// No thread could be started there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.node.run(work)
    }

    /// See [`Node::start`].
    ///
    /// # Errors
    ///
    /// No thread could be started there.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, Error> {
        self.node.start(work)
    }

    /// See [`Node::spawn`].
    ///
    /// # Errors
    ///
    /// The program could not be started.
    pub fn spawn(&self, command: Command) -> Result<Child, Error> {
        self.node.spawn(command)
    }

    /// See [`Node::output`].
    ///
    /// # Errors
    ///
    /// The program could not be started.
    pub fn output(&self, command: Command) -> Result<Output, Error> {
        self.node.output(command)
    }

    /// What crossed its interface since the lab was built.
    ///
    /// # Errors
    ///
    /// The kernel does not say, or the interface was removed.
    pub fn counters(&self) -> Result<LinkCounters, Error> {
        self.node.with_netlink(|netlink| Ok(link::get(netlink, self.interface())?.counters))
    }

    /// Whether its interface is on and its cable plugged in at both ends.
    ///
    /// # Errors
    ///
    /// The kernel does not say, or the interface was removed.
    pub fn is_connected(&self) -> Result<bool, Error> {
        self.node.with_netlink(|netlink| Ok(link::get(netlink, self.interface())?.running))
    }

    /// Switches its interfaces on or off, as `ip link set eth0 down` does: its routes go with it
    /// and are there again when it comes back.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn set_link(&self, up: bool) -> Result<(), Error> {
        self.node.with_netlink(|netlink| {
            self.legs.iter().try_for_each(|leg| {
                link::set_up(netlink, &leg.interface, up)?;
                if up { leg.add_routes(netlink) } else { Ok(()) }
            })
        })
    }

    /// Plugs its cables in, or pulls them out of the switch.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn set_cable(&self, plugged_in: bool) -> Result<(), Error> {
        self.legs.iter().try_for_each(|leg| leg.switch.set_cable(self.name(), plugged_in))
    }

    /// Sets the largest IP packet of its interface and of the switch's port, in bytes.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        for leg in &self.legs {
            leg.switch.set_port_mtu(self.name(), mtu)?;
        }
        self.node.with_netlink(|netlink| {
            self.legs.iter().try_for_each(|leg| link::set_mtu(netlink, &leg.interface, mtu))
        })
    }
}

impl Leg {
    fn is_at(&self, switch: &Switch) -> bool {
        std::ptr::eq(self.switch.as_ref(), switch)
    }

    fn configure(&self, netlink: &Netlink, wiring: &Wiring) -> Result<(), Error> {
        let index = link::get(netlink, &self.interface)?.index;
        route::add_address(netlink, index, Prefix::new(self.seat.v4, self.seat.v4_length))?;
        if let Some(v6) = self.seat.v6 {
            route::add_address(netlink, index, Prefix::new(v6, V6_LENGTH))?;
        }
        if wiring.path != Path::Whole {
            ethtool::set(&self.interface, Feature::Segmentation, false)?;
        }
        if wiring.path == Path::WireGro {
            ethtool::set(&self.interface, Feature::Joining, true)?;
        }
        link::set_up(netlink, &self.interface, true)?;
        self.add_routes(netlink)
    }

    /// Groups go out of here, and what is not of this segment to the router.
    fn add_routes(&self, netlink: &Netlink) -> Result<(), Error> {
        let index = link::get(netlink, &self.interface)?.index;
        // What a router itself sends to a group leaves by one interface, as with any host.
        if self.interface == PRIMARY {
            route::add_route(netlink, Prefix::new(Ipv4Addr::new(224, 0, 0, 0), 4), index, None)?;
            if self.seat.v6.is_some() {
                let groups = Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0);
                route::add_route(netlink, Prefix::new(groups, 8), index, None)?;
            }
        }
        for gateway in self.gateways() {
            route::add_route(netlink, route::everything(gateway), index, Some(gateway))?;
        }
        Ok(())
    }

    fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.seat.gateway4.map(IpAddr::from);
        v4.into_iter().chain(self.seat.gateway6.map(IpAddr::from))
    }
}

/// Settings of the namespace that must be there before its interfaces are.
fn prepare(ipv6: bool, is_router: bool) -> Result<(), Error> {
    for (name, value) in if ipv6 { IPV6 } else { NO_IPV6 } {
        sysctl::set_if_present(&format!("net/ipv6/conf/{name}"), value)?;
    }
    if is_router {
        sysctl::set("net/ipv4/ip_forward", "1")?;
        sysctl::set("net/ipv4/conf/all/rp_filter", "0")?;
        sysctl::set("net/ipv4/conf/default/rp_filter", "0")?;
        sysctl::set_if_present("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// The interface that every host has.
const PRIMARY: &str = "eth0";
/// Addresses are there at once and stay; nobody asks for routers, which hosts would count.
const IPV6: &[(&str, &str)] = &[
    ("default/accept_dad", "0"),
    ("default/accept_ra", "0"),
    ("default/router_solicitations", "0"),
    ("default/keep_addr_on_down", "1"),
];
const NO_IPV6: &[(&str, &str)] = &[("all/disable_ipv6", "1"), ("default/disable_ipv6", "1")];
