//! Where a stream goes to and comes from, as people write it.
//!
//! | spelling | meaning |
//! |---|---|
//! | `udp://239.1.2.3:5000`, `udp://[ff15::7%eth0]:5000` | multicast, any source |
//! | `udp://10.0.0.1@232.1.2.3:5000` | multicast, source-specific |
//! | `udp://255.255.255.255:5000` | broadcast; so is the broadcast address of an interface |
//! | `unicast://HOST:PORT` | UDP, one copy for each subscriber |
//! | `tcp://HOST:PORT` | TCP, one connection for each subscriber |
//!
//! What others write for the same is understood: `239.1.2.3:5000`, `udp://@239.1.2.3:5000`, and
//! ffmpeg's `?ttl=`, `?localaddr=` and `?sources=`.

mod error;
mod group;
mod options;
#[cfg(test)]
mod tests;
mod udp_address;
mod url;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

pub use error::EndpointError;
pub use group::{Group, same_ethernet_mac};
use options::Options;
pub use udp_address::UdpAddress;
use url::{Url, bracketed, parse_zoned};

/// Where a stream goes to and comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// One send, every subscriber of the group.
    Multicast(Group),
    /// One send, every host of the link.
    Broadcast(SocketAddrV4),
    /// UDP, one copy for each subscriber that registers at the publisher.
    Unicast {
        /// The publisher's name or address; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// TCP, one connection for each subscriber.
    Tcp {
        /// The publisher's name or address; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl Endpoint {
    /// Reads an endpoint where `broadcast` are the broadcast addresses of this machine's
    /// interfaces: only from them can it be told that 10.0.0.255 is one.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse_with_broadcast(text: &str, broadcast: &[Ipv4Addr]) -> Result<Self, EndpointError> {
        let EndpointSpec { endpoint, ttl, interface } =
            EndpointSpec::parse_with_broadcast(text, broadcast)?;
        let options = [("ttl", ttl.is_some()), ("interface", interface.is_some())];
        match options.into_iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(EndpointError::OptionHere { key }),
            None => Ok(endpoint),
        }
    }

    /// The group, if it is multicast.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        match self {
            Self::Multicast(group) => Some(group),
            Self::Broadcast(_) | Self::Unicast { .. } | Self::Tcp { .. } => None,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Multicast(group) => group.port,
            Self::Broadcast(address) => address.port(),
            Self::Unicast { port, .. } | Self::Tcp { port, .. } => *port,
        }
    }

    /// The way of sending, as the metric label `mode` spells it.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Multicast(_) => "multicast",
            Self::Broadcast(_) => "broadcast",
            Self::Unicast { .. } => "unicast",
            Self::Tcp { .. } => "tcp",
        }
    }

    /// What works but is unwise, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.group().map(Group::warnings).unwrap_or_default()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse_with_broadcast(text, &[])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multicast(group) => group.fmt(f),
            Self::Broadcast(address) => write!(f, "udp://{address}"),
            Self::Unicast { host, port } => write!(f, "unicast://{}:{port}", bracketed(host)),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
        }
    }
}

/// An endpoint with the options that a command line takes after a `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `ttl=`: how many routers a datagram may pass.
    pub ttl: Option<u8>,
    /// `interface=` or `localaddr=`: name, index or address. That of an IPv6 group is in its
    /// zone instead.
    pub interface: Option<String>,
}

impl EndpointSpec {
    /// As [`Endpoint::parse_with_broadcast`], options included.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse_with_broadcast(text: &str, broadcast: &[Ipv4Addr]) -> Result<Self, EndpointError> {
        let url = Url::split(text)?;
        let options = Options::of_endpoint(&url)?;
        match url.scheme.as_str() {
            "" | "udp" => parse_udp(&url, options, broadcast),
            "unicast" => {
                let (host, port) = parse_host(&url, &options)?;
                Ok(options.with(Endpoint::Unicast { host, port }))
            }
            "tcp" => {
                let (host, port) = parse_host(&url, &options)?;
                Ok(options.with(Endpoint::Tcp { host, port }))
            }
            _ => Err(EndpointError::Scheme { scheme: url.scheme }),
        }
    }
}

impl FromStr for EndpointSpec {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse_with_broadcast(text, &[])
    }
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)?;
        match (self.ttl, &self.interface) {
            (None, None) => Ok(()),
            (Some(ttl), None) => write!(f, "?ttl={ttl}"),
            (None, Some(interface)) => write!(f, "?interface={interface}"),
            (Some(ttl), Some(interface)) => write!(f, "?ttl={ttl}&interface={interface}"),
        }
    }
}

impl Options {
    fn with(self, endpoint: Endpoint) -> EndpointSpec {
        EndpointSpec { endpoint, ttl: self.ttl, interface: self.interface }
    }
}

fn parse_udp(
    url: &Url<'_>,
    mut options: Options,
    broadcast: &[Ipv4Addr],
) -> Result<EndpointSpec, EndpointError> {
    let (address, zone) = parse_zoned(url.host)?;
    let port = url.port()?;
    if let IpAddr::V4(v4) = address
        && (v4.is_broadcast() || broadcast.contains(&v4))
    {
        refuse_source(&options)?;
        return Ok(options.with(Endpoint::Broadcast(SocketAddrV4::new(v4, port))));
    }
    let zone = if address.is_ipv6() { only_zone(zone, options.interface.take())? } else { None };
    let group = Group { address, port, source: options.source, zone };
    group.check()?;
    Ok(options.with(Endpoint::Multicast(group)))
}

/// The interface of an IPv6 group may stand after the `%` or in an option.
fn only_zone(
    zone: Option<String>,
    interface: Option<String>,
) -> Result<Option<String>, EndpointError> {
    match (zone, interface) {
        (Some(first), Some(second)) if first != second => {
            Err(EndpointError::Twice { what: "the interface", first, second })
        }
        (zone, interface) => Ok(zone.or(interface)),
    }
}

fn parse_host(url: &Url<'_>, options: &Options) -> Result<(String, u16), EndpointError> {
    refuse_source(options)?;
    let host = url.host;
    let port = url.port()?;
    match parse_zoned(host) {
        Ok((address, _)) if address.is_multicast() => {
            Err(EndpointError::Multicast { address, port })
        }
        Ok((IpAddr::V4(v4), _)) if v4.is_broadcast() => {
            Err(EndpointError::Host { host: host.to_owned() })
        }
        Ok(_) => Ok((host.to_owned(), port)),
        Err(_) if is_host_name(host) => Ok((host.to_owned(), port)),
        Err(_) => Err(EndpointError::Host { host: host.to_owned() }),
    }
}

/// Whether it can be a name of DNS. A last label of digits makes it a mistyped address instead.
fn is_host_name(host: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let last = host.rsplit('.').find(|label| !label.is_empty()).unwrap_or_default();
    host.chars().all(fits) && last.chars().any(|c| !c.is_ascii_digit())
}

fn refuse_source(options: &Options) -> Result<(), EndpointError> {
    if options.source.is_some() { Err(EndpointError::SourceHere) } else { Ok(()) }
}
