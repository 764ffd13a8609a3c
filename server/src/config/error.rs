//! Why a publisher cannot be what was written.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use host::identity::IdentityError;
use host::interface::{Family, InterfaceError, InvalidInterface};
use host::key_file::KeyFileError;
use host::secret::SecretError;
use proto::wire::{Name, NameError};

use crate::admission::authorized::AuthorizedError;

/// Why a publisher cannot be what was written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The config file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The config file says what it cannot.
    #[error("{}:{line}:{column}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// The column, from one.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// The token that metrics are for.
    #[error("--metrics-token-file: {0}")]
    Token(#[from] SecretError),
    /// What others know this publisher by.
    #[error("--identity: {0}")]
    Identity(#[from] IdentityError),
    /// Whose keys let them in.
    #[error("--authorized: {0}")]
    Authorized(#[from] AuthorizedError),
    /// The token that lets subscribers in.
    #[error("--admission-token-file: {0}")]
    AdmissionToken(SecretError),
    /// Nobody could tell that this is the publisher.
    #[error("--admission needs --identity FILE: publisher keygen --identity FILE makes one")]
    NoIdentity,
    /// Nobody could be let in.
    #[error(
        "--admission lets in nobody: give --authorized FILE with the keys of subscribers, or \
         --admission-token-file FILE with what they show"
    )]
    NobodyAdmitted,
    /// There is nowhere to be let in.
    #[error(
        "--identity, --authorized and --admission-token-file say who is let in: say where, with \
         --admission ADDRESS:PORT"
    )]
    NoAdmission,
    /// The key would be in a file, and yet nobody could be removed.
    #[error(
        "--key and --admission exclude each other: with --admission the keys of a stream are random, \
         and handed only to those who are let in"
    )]
    KeyAndAdmission,
    /// A stream without input.
    #[error("a stream has no input: write input = \"FILE\", \"-\" or \"udp://ADDRESS:PORT\"")]
    NoInput,
    /// A stream that goes nowhere.
    #[error("stream {stream} goes nowhere: write to = \"udp://239.1.2.3:5000\"")]
    NoEndpoint {
        /// The stream.
        stream: Name,
    },
    /// A host to listen at that is not this machine.
    #[error(
        "{endpoint}: that is no address of this machine; a publisher listens there for \
         subscribers: write one of its own, or 0.0.0.0"
    )]
    NotOurAddress {
        /// What was written.
        endpoint: String,
    },
    /// A name without an address.
    #[error("{host} cannot be resolved: {error}")]
    Unresolved {
        /// What was written.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// No interface, or too many.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// What was written after `%` or `interface=` names no interface.
    #[error(transparent)]
    InvalidInterface(#[from] InvalidInterface),
    /// The interface has no address of the group's family.
    #[error("interface {interface} has no {family} address to send from")]
    NoAddress {
        /// The interface.
        interface: String,
        /// The family.
        family: Family,
    },
    /// The source of a source-specific group is not this machine.
    #[error("{address} is not an address of {interface}: a publisher is the source of its stream")]
    NotOurSource {
        /// What stood before the `@`.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// There is no key in the file that was named.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The name that was taken from the input.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Messages from what has none.
    #[error("--messages needs udp:// input: a file or stdin has no boundaries to keep")]
    NoMessages,
    /// `--rtp` without datagrams.
    #[error("--rtp needs udp:// input: a file or stdin has no datagrams")]
    NoRtp,
    /// A deadline that nothing can meet.
    #[error("a deadline below 1ms cannot be met: leave it out for a reliable stream")]
    Deadline,
    /// A patience that is none.
    #[error("a --slow-after below 500ms lets go whoever lost a report or two: write 2s")]
    SlowAfter,
    /// A block that is none.
    #[error("a block of {0} packets: write 1 to 128")]
    Block(u8),
    /// Too small for a useful payload.
    #[error("an MTU of {mtu} is too small: write 576 or more")]
    MtuTooSmall {
        /// What was written, or the interface's.
        mtu: u16,
    },
    /// Larger than the interface or the protocol takes.
    #[error("an MTU of {mtu} is too large: {interface} and the protocol take {limit} at most")]
    MtuTooLarge {
        /// What was written.
        mtu: u16,
        /// The interface.
        interface: String,
        /// What they take.
        limit: u16,
    },
    /// Two streams with one name.
    #[error("two streams are called {name}: give one of them another name")]
    SameName {
        /// The name.
        name: Name,
    },
    /// Two streams that could not be told apart.
    #[error("stream {name} meets another with the same id on {endpoint}: rename it")]
    SamePlace {
        /// The stream.
        name: Name,
        /// Where they meet.
        endpoint: String,
    },
    /// The same endpoint twice.
    #[error("{endpoint} is given twice")]
    SameEndpoint {
        /// The endpoint.
        endpoint: String,
    },
}
