//! What may stand after the `?`, spelled as ffmpeg spells it.

use std::net::IpAddr;
use std::str::FromStr;

use super::url::{is_interface, parse_ip};
use super::{EndpointError, Url};

/// What the options of a URL said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) ttl: Option<u8>,
    pub(super) interface: Option<String>,
    pub(super) source: Option<IpAddr>,
    pub(super) packet_len: Option<u16>,
}

const OF_ENDPOINT: &str = "ttl, interface (or localaddr), sources";
const OF_UDP_ADDRESS: &str = "ttl, interface (or localaddr), sources, pkt_size";

impl Options {
    /// The options that an endpoint takes.
    pub(super) fn of_endpoint(url: &Url<'_>) -> Result<Self, EndpointError> {
        Self::parse(url, OF_ENDPOINT)
    }

    /// The options that the address of an encoder or a player takes.
    pub(super) fn of_udp_address(url: &Url<'_>) -> Result<Self, EndpointError> {
        Self::parse(url, OF_UDP_ADDRESS)
    }

    fn parse(url: &Url<'_>, known: &'static str) -> Result<Self, EndpointError> {
        let mut options = Self::default();
        for &(key, value) in &url.options {
            match key {
                "ttl" => options.ttl = Some(number(key, value, "0 to 255")?),
                "interface" | "localaddr" => options.set_interface(key, value)?,
                "sources" => options.source = Some(only_source(value)?),
                "pkt_size" if known == OF_UDP_ADDRESS => {
                    options.packet_len = Some(number(key, value, "a number of bytes, as 1316")?);
                }
                _ => {
                    return Err(EndpointError::Option { key: key.to_owned(), known });
                }
            }
        }
        options.join_source(url)
    }

    fn set_interface(&mut self, key: &str, value: &str) -> Result<(), EndpointError> {
        if !is_interface(value) {
            return Err(refused(key, value, "the name, index or address of an interface"));
        }
        match self.interface.replace(value.to_owned()) {
            Some(first) if first != value => {
                Err(EndpointError::Twice { what: "the interface", first, second: value.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// A source may stand before the `@` or in `sources=`.
    fn join_source(mut self, url: &Url<'_>) -> Result<Self, EndpointError> {
        let Some(written) = url.source.filter(|source| !source.is_empty()) else {
            return Ok(self);
        };
        let source = parse_ip(written)?;
        match self.source.replace(source) {
            Some(first) if first != source => Err(EndpointError::Twice {
                what: "the source",
                first: source.to_string(),
                second: first.to_string(),
            }),
            _ => Ok(self),
        }
    }
}

fn only_source(value: &str) -> Result<IpAddr, EndpointError> {
    value.parse().map_err(|_| refused("sources", value, "the address of exactly one source"))
}

fn number<T: FromStr>(key: &str, value: &str, wanted: &'static str) -> Result<T, EndpointError> {
    value.parse().map_err(|_| refused(key, value, wanted))
}

fn refused(key: &str, value: &str, wanted: &'static str) -> EndpointError {
    EndpointError::OptionValue { key: key.to_owned(), value: value.to_owned(), wanted }
}
