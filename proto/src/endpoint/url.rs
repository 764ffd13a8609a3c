//! Takes a spelling apart; what the parts mean is decided elsewhere.

use std::net::IpAddr;

use super::EndpointError;

/// `scheme://source@host:port?key=value&…`, each part as written.
pub(super) struct Url<'a> {
    /// Lower case; empty if none was written.
    pub(super) scheme: String,
    /// Before the `@`, without brackets; `None` without `@`.
    pub(super) source: Option<&'a str>,
    /// Without brackets.
    pub(super) host: &'a str,
    /// Never zero.
    pub(super) port: Option<u16>,
    /// In the order written.
    pub(super) options: Vec<(&'a str, &'a str)>,
}

impl<'a> Url<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Err(EndpointError::Empty);
        }
        let (source, authority) = match rest.rsplit_once('@') {
            Some((source, authority)) => (Some(without_brackets(source)), authority),
            None => (None, rest),
        };
        let (host, port) = split_port(authority)?;
        let options = query.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| option.split_once('=').unwrap_or((option, "")));
        let scheme = scheme.to_ascii_lowercase();
        Ok(Self { scheme, source, host, port, options: options.collect() })
    }

    /// The port, where one must be written.
    pub(super) fn port(&self) -> Result<u16, EndpointError> {
        self.port.ok_or_else(|| EndpointError::NoPort { host: bracketed(self.host) })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => {
            let port = after.strip_prefix(':');
            (host, Some(port.ok_or_else(|| EndpointError::Port { port: after.to_owned() })?))
        }
        None if authority.matches(':').count() > 1 => {
            return Err(EndpointError::NoBrackets { written: authority.to_owned() });
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(EndpointError::Port { port: text.to_owned() }),
    }
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

/// A host as it stands before a port: an IPv6 address in brackets.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Reads an address with, for IPv6, the interface after a `%`.
pub(super) fn parse_zoned(host: &str) -> Result<(IpAddr, Option<String>), EndpointError> {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    let ip = parse_ip(address)?;
    match zone {
        None => Ok((ip, None)),
        Some(zone) if ip.is_ipv6() && is_interface(zone) => Ok((ip, Some(zone.to_owned()))),
        Some(zone) => Err(EndpointError::Zone { host: host.to_owned(), zone: zone.to_owned() }),
    }
}

pub(super) fn parse_ip(text: &str) -> Result<IpAddr, EndpointError> {
    text.parse().map_err(|_| EndpointError::Address { written: text.to_owned() })
}

/// Whether it can be the name, index or address of an interface.
pub(super) fn is_interface(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '%' | '?' | '&' | '[' | ']');
    !text.is_empty() && text.chars().all(fits)
}
