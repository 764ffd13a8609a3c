//! Where subscribers are let in.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Where subscribers are let in: `192.0.2.1:9500`, `[2001:db8::1]:9500`, or `:9500` for loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionAddress(pub SocketAddr);

/// No such address for admission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address for admission: write one of this host's, `192.0.2.1:9500`, `0.0.0.0:9500` for \
     all of them, or `:9500` for loopback"
)]
pub struct AdmissionAddressError(String);

impl FromStr for AdmissionAddress {
    type Err = AdmissionAddressError;

    fn from_str(text: &str) -> Result<Self, AdmissionAddressError> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let address = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(loopback),
            None => text.parse().ok(),
        };
        address.map(Self).ok_or_else(|| AdmissionAddressError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_loopback() {
        let parsed = |text: &str| text.parse::<AdmissionAddress>().map(|it| it.0.to_string());
        assert_eq!(parsed(":9500").unwrap(), "127.0.0.1:9500");
        assert_eq!(parsed("[::]:9500").unwrap(), "[::]:9500");
        let refused = parsed("host:9500").unwrap_err().to_string();
        assert!(refused.contains("`host:9500` is no address for admission"), "{refused}");
        assert!(parsed("9500").is_err() && parsed(":x").is_err());
    }
}
