//! A switch: a bridge in a namespace of its own, with a port for each host.

use std::{net::Ipv6Addr, os::fd::AsFd};

use super::{
    LinkCounters, MdbEntry, PORT, Path, Snooping, bridge,
    error::Error,
    ethtool::{self, Feature},
    link::{self, FarEnd},
    mdb,
    namespace::Namespace,
    netlink::Netlink,
    node::{Node, open},
    route::{self, Prefix},
    sysctl,
};

/// A switch that listens to IGMP and MLD, and the querier beside it.
#[derive(Debug)]
pub struct Switch {
    node: Node,
    netlink: Netlink,
    index: u32,
    snooping: Snooping,
}

/// What is at the other end of a port.
#[derive(Debug)]
pub(super) struct Plug<'a> {
    pub(super) host: &'a Namespace,
    pub(super) interface: &'a str,
    pub(super) is_router: bool,
    pub(super) mtu: u32,
    pub(super) path: Path,
}

impl Switch {
    /// Puts the bridge into the namespace; it is off and asks nobody yet.
    pub(super) fn create(node: Node, snooping: &Snooping) -> Result<Self, Error> {
        let (netlink, index) = node.try_run(|| {
            prepare()?;
            let netlink = open(node.name())?;
            bridge::create(&netlink, BRIDGE, snooping)?;
            let index = link::get(&netlink, BRIDGE)?.index;
            address_bridge(&netlink, index)?;
            Ok((netlink, index))
        })?;
        Ok(Self { node, netlink, index, snooping: snooping.clone() })
    }

    /// Lays a cable from a port of its own to a host.
    pub(super) fn plug(&self, plug: &Plug<'_>) -> Result<(), Error> {
        let port = port(plug.host.name());
        let far = FarEnd { name: plug.interface, namespace: plug.host.as_fd() };
        link::lay_cable(&self.netlink, &port, &far, plug.mtu)?;
        link::set_master(&self.netlink, &port, self.index)?;
        if self.snooping.fast_leave {
            bridge::set_fast_leave(&self.netlink, &port, true)?;
        }
        if plug.is_router {
            bridge::set_router_port(&self.netlink, &port)?;
        }
        if plug.path == Path::WireGro {
            self.node.try_run(|| ethtool::set(&port, Feature::TcpSegmentation, false))?;
        }
        link::set_up(&self.netlink, &port, true)
    }

    /// Switches it on, when all hosts are plugged in; the querier last (see [`bridge::set_querier`]).
    pub(super) fn switch_on(&self) -> Result<(), Error> {
        link::set_up(&self.netlink, BRIDGE, true)?;
        self.set_querier(self.snooping.querier)
    }

    /// The machine that it is, to run `bridge`, `tshark` or a thread there.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its bridge: `br0`.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        BRIDGE
    }

    /// How it was told to listen.
    #[must_use]
    pub fn snooping(&self) -> &Snooping {
        &self.snooping
    }

    /// Who wants which group at this moment.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn mdb(&self) -> Result<Vec<MdbEntry>, Error> {
        mdb::read(&self.netlink)
    }

    /// What crossed each port, by the name of its host; `tx` is what the host was sent.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn port_counters(&self) -> Result<Vec<(String, LinkCounters)>, Error> {
        let ports = link::all(&self.netlink)?.into_iter().filter_map(|link| {
            let host = link.name.strip_prefix(PORT)?;
            Some((host.to_owned(), link.counters))
        });
        Ok(ports.collect())
    }

    /// Starts or stops asking who wants what. After a start it floods for a response interval;
    /// after a stop it does so from the moment that the membership interval has passed.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn set_querier(&self, on: bool) -> Result<(), Error> {
        bridge::set_querier(&self.netlink, BRIDGE, on)
    }

    /// Whether the switch takes this host off at once when it leaves.
    ///
    /// # Errors
    ///
    /// There is no such host here, or the kernel refuses.
    pub fn set_fast_leave(&self, host: &str, on: bool) -> Result<(), Error> {
        bridge::set_fast_leave(&self.netlink, &port(host), on)
    }

    /// Plugs a host's cable in, or pulls it: the host sees its carrier go, and keeps its routes.
    ///
    /// # Errors
    ///
    /// There is no such host here, or the kernel refuses.
    pub fn set_cable(&self, host: &str, plugged_in: bool) -> Result<(), Error> {
        link::set_up(&self.netlink, &port(host), plugged_in)
    }

    /// Removes a host's port, and with it the host's interface: as if the card had been taken out.
    ///
    /// # Errors
    ///
    /// There is no such host here, or the kernel refuses.
    pub fn remove_port(&self, host: &str) -> Result<(), Error> {
        link::delete(&self.netlink, &port(host))
    }

    pub(super) fn set_port_mtu(&self, host: &str, mtu: u32) -> Result<(), Error> {
        link::set_mtu(&self.netlink, &port(host), mtu)
    }
}

fn port(host: &str) -> String {
    format!("{PORT}{host}")
}

/// Settings of the namespace that must be there before the bridge is.
fn prepare() -> Result<(), Error> {
    // A port speaks no IPv6 of its own: hosts would count what it says.
    sysctl::set_if_present("net/ipv6/conf/default/disable_ipv6", "1")?;
    sysctl::set_if_present("net/ipv6/conf/default/accept_dad", "0")?;
    sysctl::set_if_present("net/ipv6/conf/default/router_solicitations", "0")?;
    // A switch has no firewall: with br_netfilter each frame would pay 10 % for one.
    for table in ["iptables", "ip6tables", "arptables"] {
        sysctl::set_if_present(&format!("net/bridge/bridge-nf-call-{table}"), "0")?;
    }
    Ok(())
}

/// MLD queries need a sender, a link-local address, before the querier starts: it tries twice, one
/// second apart, then not for two minutes, and until one succeeds IPv6 groups are flooded. The
/// address that the kernel makes up itself can come later than that: when it has seen the carrier.
fn address_bridge(netlink: &Netlink, index: u32) -> Result<(), Error> {
    let settings = format!("net/ipv6/conf/{BRIDGE}");
    if !sysctl::exists(&settings) {
        return Ok(()); // a kernel without IPv6
    }
    sysctl::set(&format!("{settings}/addr_gen_mode"), ADDRESS_GIVEN)?;
    sysctl::set(&format!("{settings}/disable_ipv6"), "0")?;
    route::add_address(netlink, index, Prefix::new(QUERIER, 64))
}

/// IN6_ADDR_GEN_MODE_NONE: the bridge has no address but the one that it is given.
const ADDRESS_GIVEN: &str = "1";
/// The lowest address wins when there are several queriers (RFC 3810 §7.6.2).
const QUERIER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// Every switch has one bridge, of this name.
const BRIDGE: &str = "br0";
