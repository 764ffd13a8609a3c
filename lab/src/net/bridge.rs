//! The switch as the kernel sees it: a bridge that listens to IGMP and MLD (`linux/if_link.h`).

use std::time::Duration;

use super::{
    error::{Error, refused},
    link::{self, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, RTM_NEWLINK},
    netlink::{self, Body, Netlink},
};

/// How a switch finds out who wants which group. The default is a switch as one would buy it,
/// except that it settles in a tenth of a second.
///
/// Times are rounded down to 10 ms. Their names are those of RFC 3376 §8 and RFC 3810 §9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snooping {
    /// Whether it listens at all; without, every group goes to every host.
    pub enabled: bool,
    /// Whether it asks. A switch that listens and nobody asks forgets its members after
    /// [`Self::membership_interval`], and then sends every group to every host.
    pub querier: bool,
    /// Whether a host that leaves is taken off at once, without asking for others at its port.
    pub fast_leave: bool,
    /// From one general query to the next. The kernel allows no less than 1 s.
    pub query_interval: Duration,
    /// How long hosts may take to answer; a switch floods for as long after its querier started.
    pub query_response_interval: Duration,
    /// From one general query to the next in the beginning. The kernel allows no less than 1 s.
    pub startup_query_interval: Duration,
    /// How long a member is remembered that nobody hears of.
    pub membership_interval: Duration,
    /// How long hosts may take to say that they still want what another one left.
    pub last_member_interval: Duration,
    /// How often they are asked before the port is taken off.
    pub last_member_count: u32,
}

impl Default for Snooping {
    fn default() -> Self {
        Self {
            enabled: true,
            querier: true,
            fast_leave: false,
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_millis(100),
            startup_query_interval: Duration::from_secs(1),
            membership_interval: Duration::from_secs(260),
            last_member_interval: Duration::from_secs(1),
            last_member_count: 2,
        }
    }
}

/// Creates a bridge that listens as told but does not ask yet: see [`set_querier`].
pub(super) fn create(netlink: &Netlink, name: &str, snooping: &Snooping) -> Result<(), Error> {
    let data = Body::default()
        .u8(IFLA_BR_MCAST_SNOOPING, snooping.enabled.into())
        .u8(IFLA_BR_MCAST_IGMP_VERSION, 3)
        .u8(IFLA_BR_MCAST_MLD_VERSION, 2)
        .u32(IFLA_BR_MCAST_LAST_MEMBER_CNT, snooping.last_member_count)
        .u64(IFLA_BR_MCAST_LAST_MEMBER_INTVL, ticks(snooping.last_member_interval))
        .u64(IFLA_BR_MCAST_MEMBERSHIP_INTVL, ticks(snooping.membership_interval))
        .u64(IFLA_BR_MCAST_QUERY_INTVL, ticks(snooping.query_interval))
        .u64(IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, ticks(snooping.query_response_interval))
        .u64(IFLA_BR_MCAST_STARTUP_QUERY_INTVL, ticks(snooping.startup_query_interval));
    let info = Body::default().text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, &data);
    let body = link::named(name, 0, 0).nest(IFLA_LINKINFO, &info);
    netlink
        .change(RTM_NEWLINK, netlink::CREATE, body.as_bytes())
        .map_err(refused("create bridge", name))
}

/// Makes the bridge ask who wants what, or stop asking.
///
/// A request of its own, after the one that creates the bridge: from here the bridge floods for
/// the response interval that it has at this moment.
pub(super) fn set_querier(netlink: &Netlink, name: &str, on: bool) -> Result<(), Error> {
    let data = Body::default().u8(IFLA_BR_MCAST_QUERIER, on.into());
    let info = Body::default().text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, &data);
    let body = link::named(name, 0, 0).nest(IFLA_LINKINFO, &info);
    link::set(netlink, &body).map_err(refused("switch the querier of bridge", name))
}

/// Takes a host off at once when it leaves, or asks for others at its port first.
pub(super) fn set_fast_leave(netlink: &Netlink, port: &str, on: bool) -> Result<(), Error> {
    let data = Body::default().u8(IFLA_BRPORT_FAST_LEAVE, on.into());
    set_port(netlink, port, &data).map_err(refused("set fast leave of port", port))
}

/// Sends every group to this port, behind which there is a multicast router.
pub(super) fn set_router_port(netlink: &Netlink, port: &str) -> Result<(), Error> {
    let data = Body::default().u8(IFLA_BRPORT_MULTICAST_ROUTER, MDB_RTR_TYPE_PERM);
    set_port(netlink, port, &data).map_err(refused("tell of the router at port", port))
}

fn set_port(netlink: &Netlink, port: &str, data: &Body) -> std::io::Result<()> {
    let info =
        Body::default().text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, data);
    link::set(netlink, &link::named(port, 0, 0).nest(IFLA_LINKINFO, &info))
}

/// The kernel's `clock_t`: hundredths of a second on every machine that Linux runs on.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / 10).unwrap_or(u64::MAX)
}

const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BR_MCAST_QUERIER: u16 = 25;
const IFLA_BR_MCAST_LAST_MEMBER_CNT: u16 = 28;
const IFLA_BR_MCAST_LAST_MEMBER_INTVL: u16 = 30;
const IFLA_BR_MCAST_MEMBERSHIP_INTVL: u16 = 31;
const IFLA_BR_MCAST_QUERY_INTVL: u16 = 33;
const IFLA_BR_MCAST_QUERY_RESPONSE_INTVL: u16 = 34;
const IFLA_BR_MCAST_STARTUP_QUERY_INTVL: u16 = 35;
const IFLA_BR_MCAST_IGMP_VERSION: u16 = 43;
const IFLA_BR_MCAST_MLD_VERSION: u16 = 44;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_FAST_LEAVE: u16 = 7;
const IFLA_BRPORT_MULTICAST_ROUTER: u16 = 25;
const MDB_RTR_TYPE_PERM: u8 = 2;
