//! Where an encoder's datagrams come from, or a player's go to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use super::options::Options;
use super::url::{Url, bracketed, parse_zoned};
use super::{EndpointError, Group};

/// The port that players and encoders use when none is written.
const DEFAULT_PORT: u16 = 1234;

/// Plain UDP without the protocol: `udp://127.0.0.1:5000`, `udp://239.9.9.9:1234`,
/// `udp://@:1234` (whatever arrives at the port).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpAddress {
    /// The address; `None`: any of this machine's, which only an input can mean.
    pub address: Option<IpAddr>,
    /// The port; 1234 unless written.
    pub port: u16,
    /// The only source that is wanted, of a multicast group.
    pub source: Option<IpAddr>,
    /// The interface of an IPv6 address: what stands after the `%`.
    pub zone: Option<String>,
    /// The interface, by name, index or address.
    pub interface: Option<String>,
    /// How many routers a datagram may pass.
    pub ttl: Option<u8>,
    /// Bytes of payload in a datagram.
    pub packet_len: Option<u16>,
}

impl UdpAddress {
    /// The group, if the address is one.
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        let address = self.address.filter(IpAddr::is_multicast)?;
        Some(Group { address, port: self.port, source: self.source, zone: self.zone.clone() })
    }

    /// Where to send; `None` if no address was written. The zone is not in it.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.address
            .filter(|address| !address.is_unspecified())
            .map(|address| SocketAddr::new(address, self.port))
    }

    /// Where to listen; IPv4 if no address was written.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        SocketAddr::new(self.address.unwrap_or(any), self.port)
    }
}

impl FromStr for UdpAddress {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = Url::split(text)?;
        if !matches!(url.scheme.as_str(), "" | "udp") {
            return Err(EndpointError::Scheme { scheme: url.scheme });
        }
        let options = Options::of_udp_address(&url)?;
        let (address, zone) = if url.host.is_empty() {
            (None, None)
        } else {
            let (address, zone) = parse_zoned(url.host)?;
            (Some(address), zone)
        };
        let address = Self {
            address,
            port: url.port.unwrap_or(DEFAULT_PORT),
            source: options.source,
            zone,
            interface: options.interface,
            ttl: options.ttl,
            packet_len: options.packet_len,
        };
        address.checked()
    }
}

impl UdpAddress {
    fn checked(self) -> Result<Self, EndpointError> {
        match self.group() {
            Some(mut group) => {
                // Here an interface option serves as well as a zone.
                group.zone = group.zone.or_else(|| self.interface.clone());
                group.check()?;
                Ok(self)
            }
            None if self.source.is_some() => Err(EndpointError::SourceHere),
            None => Ok(self),
        }
    }
}

impl fmt::Display for UdpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("udp://")?;
        if let Some(source) = self.source {
            write!(f, "{}", bracketed(&source.to_string()))?;
        }
        if self.source.is_some() || self.address.is_none() {
            f.write_str("@")?;
        }
        if let Some(address) = self.address {
            let zone = self.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
            f.write_str(&bracketed(&format!("{address}{zone}")))?;
        }
        write!(f, ":{}", self.port)?;
        let options = [
            ("ttl", self.ttl.map(|ttl| ttl.to_string())),
            ("interface", self.interface.clone()),
            ("pkt_size", self.packet_len.map(|len| len.to_string())),
        ];
        let given = options.iter().filter_map(|(key, value)| value.as_ref().map(|v| (key, v)));
        for (place, (key, value)) in given.enumerate() {
            write!(f, "{}{key}={value}", if place == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}
