//! What an interface does in one piece that a wire would carry in many (`linux/ethtool_netlink.h`).

use std::io;

use super::{
    error::{Error, refused},
    netlink::{Body, Netlink, attribute, attributes, text, u16_at},
};

/// What an interface may be told to do or not to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feature {
    /// Bursts of UDP or TCP leave in one piece: `tx-udp-segmentation`, "tso" and "gso".
    Segmentation,
    /// Bursts of TCP leave in one piece: "tso".
    TcpSegmentation,
    /// Received packets are joined into bursts: "gro".
    Joining,
}

impl Feature {
    /// Whether this is one of the kernel's names for it. "tso" has more of them in each kernel.
    fn covers(self, name: &str) -> bool {
        let tcp = name.starts_with("tx-tcp") && name.ends_with("-segmentation");
        match self {
            Self::Segmentation => {
                tcp || matches!(name, "tx-udp-segmentation" | "tx-generic-segmentation")
            }
            Self::TcpSegmentation => tcp,
            Self::Joining => name == "rx-gro",
        }
    }
}

/// Switches a feature of an interface of the calling thread's namespace.
pub(super) fn set(interface: &str, feature: Feature, on: bool) -> Result<(), Error> {
    let attempt = || {
        let netlink = Netlink::generic()?;
        let family = family(&netlink)?;
        let mut names = changeable(&netlink, family, interface)?;
        names.retain(|name| feature.covers(name));
        netlink.change(family, 0, request(interface, &names, on).as_bytes())
    };
    let state = if on { "on" } else { "off" };
    attempt().map_err(refused("switch a feature of", format!("{interface} ({feature:?} {state})")))
}

/// The features that can be changed, by the kernel's names.
fn changeable(netlink: &Netlink, family: u16, interface: &str) -> io::Result<Vec<String>> {
    let header = Body::default().text(ETHTOOL_A_HEADER_DEV_NAME, interface);
    let body = Body::new(&[ETHTOOL_MSG_FEATURES_GET, 1, 0, 0]);
    let answer = netlink.get(family, body.nest(ETHTOOL_A_FEATURES_HEADER, &header).as_bytes())?;
    let message = answer.first().and_then(|message| message.body.get(GENL_HEADER..));
    let bits = message
        .and_then(|bytes| attribute(bytes, ETHTOOL_A_FEATURES_HW))
        .and_then(|set| attribute(set, ETHTOOL_A_BITSET_BITS))
        .unwrap_or_default();
    let names = attributes(bits).filter_map(|(_, bit)| attribute(bit, ETHTOOL_A_BITSET_BIT_NAME));
    Ok(names.map(text).collect())
}

fn request(interface: &str, features: &[String], on: bool) -> Body {
    let header = Body::default()
        .text(ETHTOOL_A_HEADER_DEV_NAME, interface)
        .u32(ETHTOOL_A_HEADER_FLAGS, ETHTOOL_FLAG_OMIT_REPLY);
    let bits = features.iter().fold(Body::default(), |bits, feature| {
        let name = Body::default().text(ETHTOOL_A_BITSET_BIT_NAME, feature);
        let bit = if on { name.flag(ETHTOOL_A_BITSET_BIT_VALUE) } else { name };
        bits.nest(ETHTOOL_A_BITSET_BITS_BIT, &bit)
    });
    let wanted = Body::default().nest(ETHTOOL_A_BITSET_BITS, &bits);
    Body::new(&[ETHTOOL_MSG_FEATURES_SET, 1, 0, 0])
        .nest(ETHTOOL_A_FEATURES_HEADER, &header)
        .nest(ETHTOOL_A_FEATURES_WANTED, &wanted)
}

/// The number by which this kernel knows ethtool's messages.
fn family(netlink: &Netlink) -> io::Result<u16> {
    let body = Body::new(&[CTRL_CMD_GETFAMILY, 1, 0, 0]).text(CTRL_ATTR_FAMILY_NAME, "ethtool");
    let answer = netlink.get(GENL_ID_CTRL, body.as_bytes())?;
    let attributes = answer.first().and_then(|message| message.body.get(GENL_HEADER..));
    let id = attributes.and_then(|bytes| attribute(bytes, CTRL_ATTR_FAMILY_ID));
    id.map(|value| u16_at(value, 0)).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Bytes of `struct genlmsghdr`.
const GENL_HEADER: usize = 4;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
