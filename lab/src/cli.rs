//! The command line of `lab`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proto::units::{ByteCount, Ratio};

use crate::demo::{self, Demo};

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
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
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
