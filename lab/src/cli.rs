//! The command line of `lab`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proto::config::{Ahead, Interleave};
use proto::units::{ByteCount, Ratio, parse_duration};

use crate::compare::{self, Compare, Way};
use crate::demo::{self, Demo};
use crate::sim::{self, Sim};

/// Networks on one machine: see onecast work, plan with it, compare it.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One publisher, five subscribers and a bystander on a switch: who receives what, and what
    /// crossed the publisher's wire
    Demo(DemoFlags),
    /// The same bytes by multicast, broadcast, unicast and TCP, on a switch: what each way costs
    Compare(CompareFlags),
    /// Receivers that exist only in numbers: what a stream to so many of them, with so much loss,
    /// would cost
    Sim(SimFlags),
}

#[derive(Clone, Debug, clap::Args)]
struct SimFlags {
    /// How many receivers there are
    #[arg(long, default_value_t = 1_000)]
    receivers: usize,
    /// Share of datagrams that each of them loses
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    loss: Ratio,
    /// Mean length of a burst of loss, in datagrams
    #[arg(long, value_name = "DATAGRAMS", default_value_t = 1.0)]
    burst: f64,
    /// What is lost is lost to all of them
    #[arg(long)]
    shared_loss: bool,
    /// Full data packets to send
    #[arg(long, default_value_t = 10_000)]
    packets: u64,
    /// Of them, those after which counting begins: until then the publisher learns what loss
    /// there is
    #[arg(long, value_name = "PACKETS", default_value_t = 0)]
    warm_up: u64,
    /// Round trip to the farthest receiver
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = parse_duration)]
    grtt: std::time::Duration,
    /// The stream's rate, or `auto`
    #[arg(long, default_value = "100M")]
    rate: String,
    /// Parity packets ahead of loss for each block, or `auto`
    #[arg(long, default_value = "auto")]
    parity: Ahead,
    /// How many blocks are interleaved: 1, 2, 4, 8, 16, 32, or `auto`
    #[arg(long, value_name = "DEPTH", default_value = "auto")]
    interleave: Interleave,
    /// What is older than this is not wanted any more
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    deadline: Option<std::time::Duration>,
    /// Receivers have no return path
    #[arg(long)]
    mute: bool,
    /// Decides everything that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object on stdout instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct CompareFlags {
    /// To how many subscribers, one run for each number; 64 at most
    #[arg(long, value_delimiter = ',', value_name = "N,…", default_value = "1,2,4,8,16",
        value_parser = clap::value_parser!(u32).range(1..=64))]
    subscribers: Vec<u32>,
    /// How much is sent each time
    #[arg(long, value_name = "BYTES", default_value = "32MiB")]
    bytes: ByteCount,
    /// Loss that each subscriber injects into what it receives
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    loss: Ratio,
    /// By which ways
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "WAY,…",
        default_value = "multicast,broadcast,unicast,tcp"
    )]
    ways: Vec<Way>,
    /// Print JSON on stdout instead of a table
    #[arg(long)]
    json: bool,
    /// Write compare.html, a page with the plots, and compare.csv into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DemoFlags {
    /// The file to send; without one, 64 MiB are made up
    file: Option<PathBuf>,
    /// Loss that each subscriber injects into what it receives
    #[arg(long, value_name = "SHARE", default_value = "1%", env = "ONECAST_DEMO_LOSS")]
    loss: Ratio,
    /// Length of the made-up file
    #[arg(long, value_name = "BYTES", default_value = "64MiB", conflicts_with = "file")]
    bytes: ByteCount,
    /// Do not make a network: use multicast on the loopback interface
    #[arg(long)]
    loopback: bool,
    /// Print one JSON object on stdout instead of a table
    #[arg(long)]
    json: bool,
}

/// The whole program: what `main` returns.
///
/// `lab publisher …` and `lab subscriber …` are the two programs themselves: a lab needs them
/// where only `lab` was built.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    match args.get(1).and_then(|name| name.to_str()) {
        Some("publisher") => return server::cli::main(args.into_iter().skip(1)),
        Some("subscriber") => return client::cli::main(args.into_iter().skip(1)),
        _ => {}
    }
    let cli = Cli::parse_from(args);
    let outcome = match cli.command {
        Command::Demo(flags) => demo::main(&flags.into()),
        Command::Compare(flags) => compare::main(&flags.into()),
        Command::Sim(flags) => flags.plan().and_then(|sim| sim::main(&sim, flags.json)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl SimFlags {
    fn plan(&self) -> anyhow::Result<Sim> {
        let rate = if self.rate == "auto" { None } else { Some(self.rate.parse()?) };
        Ok(Sim {
            receivers: self.receivers,
            loss: self.loss.value(),
            burst: self.burst,
            shared_loss: self.shared_loss,
            packets: self.packets,
            warm_up: self.warm_up,
            grtt: self.grtt,
            rate,
            ahead: self.parity,
            interleave: self.interleave,
            deadline: self.deadline,
            mute: self.mute,
            seed: self.seed,
        })
    }
}

impl From<CompareFlags> for Compare {
    fn from(flags: CompareFlags) -> Self {
        Self {
            subscribers: flags.subscribers,
            bytes: flags.bytes,
            loss: flags.loss,
            ways: flags.ways,
            json: flags.json,
            report: flags.report,
        }
    }
}

impl From<DemoFlags> for Demo {
    fn from(flags: DemoFlags) -> Self {
        Self {
            file: flags.file,
            loss: flags.loss,
            bytes: flags.bytes,
            loopback: flags.loopback,
            json: flags.json,
        }
    }
}
