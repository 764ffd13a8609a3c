//! Commands, and what the program says of them by its exit code.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use host::identity::Identity;
use host::logging;
use host::shutdown::{Shutdown, follow_signals};
use host::supervisor::Supervisor;

use crate::control::client::ask;
use crate::control::{Reply, Request};
use crate::flags::{ControlFlags, Receive, absolute};
use crate::output::{OnFull, OutputSpec};
use crate::snapshot::Status;
use crate::summary::Summary;

/// Receives streams that a publisher sends once, to every subscriber of a multicast group.
#[derive(Parser)]
#[command(name = "subscriber", version = host::build_info::VERSION, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Join groups, and write what comes to outputs
    Receive(Box<Receive>),
    /// Have a running subscriber join a group
    Join(Join),
    /// Have a running subscriber leave a group
    Leave(Leave),
    /// Show what a running subscriber is subscribed to
    Status(StatusOf),
    /// Make an identity, to be shown to a publisher's admission
    Keygen(Keygen),
}

#[derive(Args)]
struct Join {
    /// The group
    endpoint: String,

    /// Where the stream goes: - (the running subscriber's stdout), a file, udp://…
    #[arg(short, long, value_name = "OUTPUT", env = "ONECAST_OUTPUT", default_value = "-")]
    output: OutputSpec,

    /// What to do when the output is too slow [default: as of `receive`]
    #[arg(long, value_name = "block|drop-oldest", env = "ONECAST_ON_FULL")]
    on_full: Option<OnFull>,

    #[command(flatten)]
    control: ControlFlags,
}

#[derive(Args)]
struct Keygen {
    /// The file to write it to; the public key, for the publisher's --authorized file, goes to
    /// FILE.pub and stdout
    file: PathBuf,
}

#[derive(Args)]
struct Leave {
    /// The group
    endpoint: String,

    #[command(flatten)]
    control: ControlFlags,
}

#[derive(Args)]
struct StatusOf {
    #[command(flatten)]
    control: ControlFlags,

    /// One JSON object a line
    #[arg(long, env = "ONECAST_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,
}

/// Runs the program with these arguments, the first of them its name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    match command {
        Command::Receive(receive) => run(*receive),
        Command::Join(join) => done(self::join(join).map(|_| ())),
        Command::Leave(leave) => {
            let request = Request::Leave { endpoint: leave.endpoint };
            done(ask(leave.control.config().as_ref(), &request).map(|_| ()))
        }
        Command::Status(of) => done(status(of)),
        Command::Keygen(keygen) => done(self::keygen(&keygen)),
    }
}

fn run(receive: Receive) -> ExitCode {
    let program = receive.program.clone();
    logging::init(program.verbosity(), program.json);
    let config = match receive.into_config() {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let shutdown = Shutdown::new();
    let reload = config.key_file.as_ref().map(|file| file.requests.clone());
    if let Err(error) = follow_signals(&shutdown, reload) {
        complain(&format!("signals cannot be caught: {error}"));
        return ExitCode::from(FAILED);
    }
    match crate::serve(config, shutdown, Supervisor::from_env()) {
        Ok(summary) => {
            if !program.quiet {
                tell(&summary);
            }
            ExitCode::from(summary.exit_code())
        }
        Err(error) => done(Err(error)),
    }
}

fn join(join: Join) -> anyhow::Result<Reply> {
    let output = absolute(&join.output, env::current_dir().ok());
    let output = output.into_string();
    let output = output.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let request = Request::Join { endpoint: join.endpoint, output, on_full: join.on_full };
    ask(join.control.config().as_ref(), &request)
}

fn keygen(keygen: &Keygen) -> anyhow::Result<()> {
    let identity = Identity::create(&keygen.file)?;
    Ok(writeln!(io::stdout(), "{}", identity.public())?)
}

fn status(of: StatusOf) -> anyhow::Result<()> {
    let reply = ask(of.control.config().as_ref(), &Request::Status)?;
    let mut stdout = io::stdout().lock();
    for stream in reply.streams.unwrap_or_default() {
        let line = if of.json { serde_json::to_string(&stream)? } else { status_line(&stream) };
        writeln!(stdout, "{line}")?;
    }
    Ok(())
}

fn status_line(stream: &Status) -> String {
    let joined = if stream.joined { "joined" } else { "interface down" };
    format!(
        "{} -> {}: {joined} on {}, stream {}, {} bytes out, {} lost, {} repaired, {} kernel drops",
        stream.group,
        stream.output,
        stream.interface,
        stream.stream.as_deref().unwrap_or("not heard yet"),
        stream.delivered_bytes,
        stream.lost_packets,
        stream.repaired_packets,
        stream.kernel_drops,
    )
}

/// What came of each subscription, on stderr.
fn tell(summary: &Summary) {
    for stream in &summary.streams {
        let totals = &stream.totals;
        complain(&format!(
            "{} -> {}: {}; {} bytes delivered, {} packets lost, {} repaired, {} kernel drops",
            stream.group,
            stream.output,
            stream.ended,
            totals.delivered_bytes,
            totals.lost_packets,
            totals.repaired_packets,
            totals.kernel_drops,
        ));
        for missing in stream.missing.iter().take(LISTED) {
            complain(&format!("missing: packets {} ({})", missing.range, missing.cause));
        }
        if stream.missing.len() > LISTED || stream.missing_is_cut {
            complain("missing: more ranges than are listed; --json lists up to a thousand");
        }
    }
}

fn done(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A value that was refused is told in one line; other mistakes with the usage, as clap does it.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        complain(line.strip_prefix("error: ").unwrap_or(line));
    } else if error.print().is_err() {
        // Nobody reads the usage.
        return ExitCode::from(USAGE);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

/// One line on stderr; if that is closed, nobody reads it.
fn complain(line: &str) {
    drop(writeln!(io::stderr(), "subscriber: {line}"));
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the stream ended with \
    losses, was stopped before its end, or fell silent";

/// Exit code for what did not work.
const FAILED: u8 = 1;

/// Exit code for what a person wrote.
const USAGE: u8 = 2;

/// More ranges than a person reads.
const LISTED: usize = 20;
