//! Who wants which group, as the switch has it: the bridge's multicast database
//! (`linux/if_bridge.h`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    error::{Error, refused},
    link,
    netlink::{Message, Netlink, attribute, attributes, u32_at},
};

/// One line of the database: this port wants this group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MdbEntry {
    /// The switch's port.
    pub port: String,
    /// The group.
    pub group: IpAddr,
    /// The one source that this line is about; none: a line about all of them.
    pub source: Option<IpAddr>,
    /// Whether [`Self::sources`] are the ones wanted or those not wanted. What the switch itself
    /// joined has no mode in the kernel: it wants every source.
    pub mode: FilterMode,
    /// The sources that the reports named.
    pub sources: Vec<IpAddr>,
    /// Time until the line is forgotten if nobody reports; zero: a source's own timer counts.
    pub expires_in: Duration,
}

/// How a list of sources is meant (RFC 3376 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterMode {
    /// Only these.
    Include,
    /// All but these.
    Exclude,
}

impl MdbEntry {
    /// The host at the port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.port.strip_prefix(super::PORT).unwrap_or(&self.port)
    }
}

/// Reads the whole database of the bridges in the socket's namespace.
pub(super) fn read(netlink: &Netlink) -> Result<Vec<MdbEntry>, Error> {
    let ports: BTreeMap<u32, String> =
        link::all(netlink)?.into_iter().map(|link| (link.index, link.name)).collect();
    let request = [AF_BRIDGE, 0, 0, 0, 0, 0, 0, 0]; // struct br_port_msg
    let messages =
        netlink.dump(RTM_GETMDB, &request).map_err(refused("read", "the switch's mdb"))?;
    Ok(messages.iter().flat_map(infos).filter_map(|info| entry(info, &ports)).collect())
}

/// The entries of one bridge, each still as bytes.
fn infos(message: &Message) -> impl Iterator<Item = &[u8]> {
    let rest = message.body.get(BR_PORT_MSG..).unwrap_or_default();
    let groups = attribute(rest, MDBA_MDB).unwrap_or_default();
    groups_of(groups).flat_map(attributes).map(|(_, info)| info)
}

fn groups_of(mdb: &[u8]) -> impl Iterator<Item = &[u8]> {
    attributes(mdb).map(|(_, group)| group)
}

/// Reads `struct br_mdb_entry` and what is said beside it; none for a group of Ethernet alone.
fn entry(info: &[u8], ports: &BTreeMap<u32, String>) -> Option<MdbEntry> {
    let (fixed, extra) = info.split_at_checked(BR_MDB_ENTRY)?;
    let port = ports.get(&u32_at(fixed, 0))?.clone();
    let group = match fixed.get(24..26)? {
        ETH_P_IP => address(fixed.get(8..12)?)?,
        ETH_P_IPV6 => address(fixed.get(8..24)?)?,
        _ => return None,
    };
    let mode = match attribute(extra, MDBA_MDB_EATTR_GROUP_MODE) {
        Some([MCAST_INCLUDE]) => FilterMode::Include,
        _ => FilterMode::Exclude,
    };
    let expires = attribute(extra, MDBA_MDB_EATTR_TIMER).map_or(0, |value| u32_at(value, 0));
    Some(MdbEntry {
        port,
        group,
        source: attribute(extra, MDBA_MDB_EATTR_SOURCE).and_then(address),
        mode,
        sources: sources(extra),
        expires_in: Duration::from_millis(u64::from(expires) * 10),
    })
}

fn sources(extra: &[u8]) -> Vec<IpAddr> {
    let list = attribute(extra, MDBA_MDB_EATTR_SRC_LIST).unwrap_or_default();
    let addresses = attributes(list)
        .filter_map(|(_, source)| attribute(source, MDBA_MDB_SRCATTR_ADDRESS).and_then(address));
    addresses.collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

const AF_BRIDGE: u8 = 7;
const RTM_GETMDB: u16 = 86;
/// Bytes of `struct br_port_msg`.
const BR_PORT_MSG: usize = 8;
/// Bytes of `struct br_mdb_entry`.
const BR_MDB_ENTRY: usize = 28;
const ETH_P_IP: &[u8] = &[0x08, 0x00];
const ETH_P_IPV6: &[u8] = &[0x86, 0xdd];
const MCAST_INCLUDE: u8 = 1;
const MDBA_MDB: u16 = 1;
const MDBA_MDB_EATTR_TIMER: u16 = 1;
const MDBA_MDB_EATTR_SRC_LIST: u16 = 2;
const MDBA_MDB_EATTR_GROUP_MODE: u16 = 3;
const MDBA_MDB_EATTR_SOURCE: u16 = 4;
const MDBA_MDB_SRCATTR_ADDRESS: u16 = 1;
