//! Why a spelling was refused, and what to write instead.

use std::net::IpAddr;

use super::url::bracketed;

/// Why an endpoint was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing stands where the address should.
    #[error("no address: write, for example, udp://239.1.2.3:5000")]
    Empty,
    /// The part before `://` is not known.
    #[error(
        "`{scheme}://` is not known: write udp:// (multicast or broadcast), unicast:// (UDP, one \
         copy for each subscriber) or tcp://"
    )]
    Scheme {
        /// What was written.
        scheme: String,
    },
    /// A port is missing.
    #[error("no port: write {host}:5000 or another port from 1 to 65535")]
    NoPort {
        /// The host, in brackets if it needs them.
        host: String,
    },
    /// The port is no port, or 0.
    #[error("`{port}` is no port: write a number from 1 to 65535")]
    Port {
        /// What was written.
        port: String,
    },
    /// An IPv6 address without brackets: where it ends cannot be told.
    #[error("`{written}`: write an IPv6 address in brackets, for example [ff15::7]:5000")]
    NoBrackets {
        /// What was written.
        written: String,
    },
    /// A name, or nothing that is an address.
    #[error("`{written}` is no IP address: write one, for example 239.1.2.3 or [ff15::7]")]
    Address {
        /// What was written.
        written: String,
    },
    /// No name and no address of a host.
    #[error("`{host}` is no host: write a name or an address; 0.0.0.0 or [::] means every one")]
    Host {
        /// What was written.
        host: String,
    },
    /// Something after `%` that is no interface, or after an IPv4 address.
    #[error(
        "`%{zone}` in `{host}`: only an IPv6 address takes an interface there, by name or index; \
         for IPv4 use --interface"
    )]
    Zone {
        /// The whole address.
        host: String,
        /// What was written after the `%`.
        zone: String,
    },
    /// An address of one host where a group is meant.
    #[error(
        "{address} is not a multicast group: write one (224.0.1.0 to 239.255.255.255, or \
         ff00::/8), or unicast://{}:{port} or tcp://{}:{port} to send to hosts; a broadcast address \
         must be that of an interface of this machine",
        bracketed(&address.to_string()), bracketed(&address.to_string())
    )]
    NotMulticast {
        /// The address.
        address: IpAddr,
        /// The port that was written with it.
        port: u16,
    },
    /// A group where an address of one host is meant.
    #[error("{address} is a multicast group: write udp://{}:{port}", bracketed(&address.to_string()))]
    Multicast {
        /// The group.
        address: IpAddr,
        /// The port that was written with it.
        port: u16,
    },
    /// A group of the link's own protocols.
    #[error(
        "{group} belongs to the link's own protocols: no router forwards it and switches send it to \
         every port; write a group of 239.0.0.0/8 (RFC 2365) or ff15::/16"
    )]
    ControlBlock {
        /// The group.
        group: IpAddr,
    },
    /// A scope that leaves no host, or that means nothing.
    #[error("{group}: {why} (RFC 4291 §2.7); write a group of ff15::/16 or ff12::/16 instead")]
    Scope {
        /// The group.
        group: IpAddr,
        /// What its scope is.
        why: &'static str,
    },
    /// A link-local group without a link.
    #[error("{group} is link-local and so means another group on each link: write [{group}%eth0]")]
    NoZone {
        /// The group.
        group: IpAddr,
    },
    /// A source of the other family.
    #[error("source {source_address} and group {group} are of different families")]
    SourceFamily {
        /// The source.
        source_address: IpAddr,
        /// The group.
        group: IpAddr,
    },
    /// A source that cannot send.
    #[error("{source_address} cannot be a source: write the address that the publisher sends from")]
    Source {
        /// What was written.
        source_address: IpAddr,
    },
    /// A source without a group.
    #[error("a source goes with a multicast group only: leave out what is before the `@`")]
    SourceHere,
    /// A source-specific group without its source.
    #[error(
        "{group} is source-specific (RFC 4607) and cannot be joined without a source: write \
         udp://SOURCE@{}:{port}, with the address that the publisher sends from",
        bracketed(&group.to_string())
    )]
    NoSource {
        /// The group.
        group: IpAddr,
        /// Its port.
        port: u16,
    },
    /// An option that is not known.
    #[error("option `{key}` is not known: there are {known}")]
    Option {
        /// What was written.
        key: String,
        /// What could be.
        known: &'static str,
    },
    /// An option with a value that it cannot have.
    #[error("option `{key}={value}`: write {wanted}")]
    OptionValue {
        /// The option.
        key: String,
        /// What was written.
        value: String,
        /// What could be.
        wanted: &'static str,
    },
    /// Said twice, and not the same.
    #[error("{what} is given twice: `{first}` and `{second}`")]
    Twice {
        /// What.
        what: &'static str,
        /// Once.
        first: String,
        /// And again.
        second: String,
    },
    /// An option where only an address is taken.
    #[error("options are not taken here: give `{key}` as a flag")]
    OptionHere {
        /// The option.
        key: &'static str,
    },
}
