//! What was asked for.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::net::Path;
use proto::ByteCount;

/// Measures this machine's limits, onecast beside them, and others.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "./tests/bench.sh")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
}

/// What is to be measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Wanted {
    /// Measure only this; may be given again [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<Part>,
    /// Rounds: in each, every contestant runs once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Payload of a transfer to 1 or 4 subscribers where bursts are split; a fourth of it to 16, four
    /// times as much on path A
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) bytes: ByteCount,
    /// How many subscribers
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,4,16")]
    pub(crate) subscribers: Vec<usize>,
    /// A: bursts cross whole; B: split at the publisher, as on a wire; C: B, and joined again at the
    /// subscribers
    #[arg(long, value_name = "PATH", value_delimiter = ',', default_value = "a,b,c")]
    pub(crate) paths: Vec<Way>,
    /// Loss at each subscriber, in percent; on path A, where a loss takes a whole burst, none
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0,1")]
    pub(crate) loss: Vec<u32>,
    /// Beside others, where they are on PATH: uftp, udpcast, iperf, sockperf and ddsperf from Debian,
    /// normCast, and aeronmd with the samples of Aeron
    #[arg(long)]
    pub(crate) peers: bool,
    /// How long memory is watched
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..))]
    pub(crate) seconds: u32,
    /// The socket buffer of raw receivers
    #[arg(long, value_name = "SIZE", default_value = "32MiB")]
    pub(crate) buffer: ByteCount,
    /// Where publisher and subscriber are [default: $ONECAST_BIN, else target/release]
    #[arg(long, value_name = "DIRECTORY", env = "ONECAST_BIN")]
    pub(crate) programs: Option<PathBuf>,
    /// One JSON object a line instead of tables, with every round
    #[arg(long)]
    pub(crate) json: bool,
    /// cargo bench gives this
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Sender and receiver without sockets: time and allocations for each packet
    Memory,
    /// The highest rate of raw multicast that every subscriber receives whole
    Limit,
    /// A file to all subscribers: onecast, raw multicast, others
    Bulk,
    /// How evenly a rate is kept
    Pacing,
    /// Small messages, as fast as they go
    Small,
    /// 64 subscribers beside one: what leaves the publisher, and what that costs it
    Fanout,
    /// A file as it is, sealed, and sealed and signed: what each costs of the one before
    Price,
    /// Memory of both at full rate
    Steady,
    /// Small messages, one way
    Latency,
}

/// How a burst crosses the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    A,
    B,
    C,
}

/// What this program is when it starts itself on a host.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Role {
    /// Sends raw multicast
    #[command(hide = true)]
    RawSend(crate::raw::Sending),
    /// Counts raw multicast
    #[command(hide = true)]
    RawReceive(crate::raw::Receiving),
    /// Sends small messages with the time in them
    #[command(hide = true)]
    RawPingSend(crate::raw::ping::Pinging),
    /// Says how long they took
    #[command(hide = true)]
    RawPingReceive(crate::raw::ping::Pinging),
    /// The same by onecast's library
    #[command(hide = true)]
    PingSend(crate::raw::ping::Pinging),
    /// The same by onecast's library
    #[command(hide = true)]
    PingReceive(crate::raw::ping::Pinging),
    /// Sends small messages by onecast's library, as fast as they go
    #[command(hide = true)]
    FloodSend(crate::library::flood::Flooding),
    /// Counts them
    #[command(hide = true)]
    FloodReceive(crate::library::flood::Flooding),
    /// Sends bytes from memory by onecast's library
    #[command(hide = true)]
    Pour(crate::library::bytes::Pouring),
}

impl Wanted {
    /// Whether this part was asked for.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.subscribers.iter().any(|count| !(1..=64).contains(count)) {
            bail!("--subscribers: give 1 to 64");
        }
        if self.loss.iter().any(|percent| *percent > 50) {
            bail!("--loss: give 0 to 50 percent");
        }
        Ok(())
    }
}

impl Way {
    pub(crate) fn path(self) -> Path {
        match self {
            Self::A => Path::Whole,
            Self::B => Path::Wire,
            Self::C => Path::WireGro,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}
