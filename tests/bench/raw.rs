//! Multicast with nothing around it: what the kernel allows. Each end is a process of its own, so
//! that its time of a processor can be told.

pub(crate) mod ping;
mod receive;
pub(crate) mod run;
mod send;

use std::net::{Ipv4Addr, SocketAddrV4};

use clap::Args;
use serde::{Deserialize, Serialize};

pub(crate) use receive::receive;
pub(crate) use send::send;

/// What a sender is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sending {
    /// Where to.
    #[arg(long)]
    pub(crate) group: SocketAddrV4,
    /// From which address.
    #[arg(long)]
    pub(crate) from: Ipv4Addr,
    /// Bytes of each datagram.
    #[arg(long)]
    pub(crate) len: usize,
    /// Datagrams in one call; 1: sendto for each.
    #[arg(long)]
    pub(crate) segments: usize,
    /// How many.
    #[arg(long)]
    pub(crate) packets: u64,
    /// So many in a second, paced by spinning; 0: as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) rate: f64,
}

/// What a receiver is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Receiving {
    /// Where from.
    #[arg(long)]
    pub(crate) group: SocketAddrV4,
    /// At which address.
    #[arg(long)]
    pub(crate) at: Ipv4Addr,
    /// The socket's buffer in bytes, whatever the system's limit.
    #[arg(long)]
    pub(crate) buffer: usize,
    /// Say when each burst came, and end when nothing comes for a second.
    #[arg(long)]
    pub(crate) times: bool,
}

/// What a sender says at its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// What a receiver says at its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// From the first to the last.
    pub(crate) seconds: f64,
    /// Each of them, where that was asked for.
    #[serde(default)]
    pub(crate) bursts: Vec<Burst>,
}

/// A burst, as the kernel handed it over.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Burst {
    /// When the kernel took it, in nanoseconds since the first.
    pub(crate) at: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Of each datagram but the last.
    pub(crate) stride: usize,
}

/// A datagram of this length says that the sender has ended.
const END_LEN: usize = 1;

/// What a receiver says once it listens.
pub(crate) const JOINED: &str = "joined";
