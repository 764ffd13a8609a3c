//! The command line.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use aws_lc_rs::rand;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use host::identity::Identity;
use host::reload::Reload;
use host::shutdown::{Shutdown, follow_signals};
use host::supervisor::Supervisor;
use host::token::Token;
use host::{key_file, logging};
use proto::seal::Key;
use proto::wire::Name;
use zeroize::Zeroizing;

use crate::compare::{self, Compare};
use crate::config::file::ConfigFile;
use crate::config::{Config, ConfigError, admission};
use crate::flags::input::InputSpec;
use crate::flags::target::Target;
use crate::flags::{ProgramFlags, StreamFlags};
use crate::operator::{self, OperatorSocket, Whom};
use crate::reload::Reloader;
use crate::report::Talk;
use crate::talker::conclude;
use crate::top::{self, Top};

/// Sends a stream once, to every subscriber of a multicast group.
#[derive(Debug, Parser)]
#[command(name = "publisher", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send one stream
    Send(Box<Send>),
    /// Send the streams of a config file
    Run(Box<Run>),
    /// Show what a running publisher does
    Top(Top),
    /// Send the same bytes by several ways to those who listen now and allow it, and say what each
    /// cost
    Compare(Box<Compare>),
    /// Make a key for --key, or an identity, in a new file that only its owner may read
    Keygen(Keygen),
    /// Remove a subscriber that was admitted: the key of its streams changes
    Kick(Whom),
    /// Put a subscriber into a stream, or let one come back that was removed
    Admit(Whom),
}

/// Makes a key, or an identity.
#[derive(Args, Debug)]
pub struct Keygen {
    /// The file, which must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// An identity for --identity instead: what it is known by is printed, and written to FILE.pub
    #[arg(long)]
    pub identity: bool,
}

/// Sends one stream.
#[derive(Args, Clone, Debug)]
pub struct Send {
    /// What to send: a file, `-` for stdin, or udp://ADDRESS:PORT of an encoder
    #[arg(env = "ONECAST_INPUT")]
    pub input: InputSpec,

    /// Where to: a group, udp://239.1.2.3:5000 or udp://[ff15::7%eth0]:5000; a broadcast address;
    /// an address of this host's at which subscribers ask for a copy, unicast://HOST:PORT or
    /// tcp://HOST:PORT. May be given again: all are ways of one stream
    #[arg(
        long,
        value_name = "ENDPOINT",
        env = "ONECAST_TO",
        value_delimiter = ' ',
        required = true
    )]
    pub to: Vec<Target>,

    /// What subscribers call the stream [default: the input's file name]
    #[arg(long, env = "ONECAST_NAME")]
    pub name: Option<Name>,

    /// How it is sent.
    #[command(flatten)]
    pub flags: StreamFlags,

    /// How the program behaves.
    #[command(flatten)]
    pub program: ProgramFlags,
}

/// Sends the streams of a config file.
#[derive(Args, Debug)]
pub struct Run {
    /// The config file, as docs/OPERATIONS.md describes it
    #[arg(env = "ONECAST_CONFIG", value_name = "CONFIG.toml")]
    pub config: PathBuf,

    /// What is given here holds for every stream, whatever the file says.
    #[command(flatten)]
    pub flags: StreamFlags,

    /// How the program behaves.
    #[command(flatten)]
    pub program: ProgramFlags,
}

/// The whole program: what `main` returns.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let (reload, mut reloader) = (Reload::new(), None);
    let configured = match cli.command {
        Command::Send(send) => {
            let configured = send.read();
            // What a stream is does not change, but who may have it does, and the key it is under.
            if send.program.admission.is_some() || send.flags.key.is_some() {
                let read = move || send.read().map(|(config, _)| config);
                reloader = Some(Reloader::new(reload.clone(), read));
            }
            configured
        }
        Command::Run(run) => {
            let configured = run.read();
            let read = move || run.read().map(|(config, _)| config);
            reloader = Some(Reloader::new(reload.clone(), read));
            configured
        }
        Command::Top(top) => return top::main(&top),
        Command::Compare(compare) => return self::compare(&compare),
        Command::Keygen(keygen) => return self::keygen(&keygen),
        Command::Kick(whom) => return operator::kick(whom),
        Command::Admit(whom) => return operator::admit(whom),
    };
    let (config, program) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            eprintln!("publisher: {error}");
            return ExitCode::from(USAGE);
        }
    };
    logging::init(program.verbosity(), program.json);
    match run(config, reloader.map(|reloader| (reload, reloader))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("publisher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(compare: &Compare) -> ExitCode {
    logging::init(-1, false);
    let shutdown = Shutdown::new();
    let compared = follow_signals(&shutdown, None)
        .map_err(anyhow::Error::from)
        .and_then(|()| compare::main(compare, &shutdown));
    match compared {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INCOMPLETE),
        Err(error) => {
            eprintln!("publisher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn keygen(keygen: &Keygen) -> ExitCode {
    let made = if keygen.identity { make_identity(&keygen.file) } else { make_key(&keygen.file) };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publisher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make_identity(file: &Path) -> anyhow::Result<()> {
    let identity = Identity::create(file)?;
    writeln!(std::io::stdout(), "{}", identity.public())?;
    Ok(())
}

fn make_key(file: &Path) -> anyhow::Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut()).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(key_file::create(file, &Key::new(*bytes))?)
}

fn run(config: Config, reloading: Option<(Reload, Reloader)>) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    let (reload, reloader) = reloading.unzip();
    follow_signals(&shutdown, reload).context("signals cannot be caught")?;
    let talk = config.talk;
    let summary = crate::serve(config, shutdown, reloader, Supervisor::from_env())?;
    conclude(&summary, talk);
    let failures =
        summary.failures().inspect(|(stream, why)| eprintln!("publisher: {stream}: {why}"));
    if failures.count() > 0 {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::from(if summary.is_complete() { 0 } else { INCOMPLETE }))
}

/// A value that was refused is told in one line; other mistakes with the usage, as clap does it.
fn refuse(error: &clap::Error) -> ExitCode {
    let kind = error.kind();
    if matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        eprintln!("publisher: {}", line.strip_prefix("error: ").unwrap_or(line));
    } else if let Err(error) = error.print() {
        tracing::debug!(%error, "nobody reads the usage");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

impl Send {
    fn read(&self) -> Result<(Config, ProgramFlags), ConfigError> {
        let Self { input, to, name, flags, program } = self.clone();
        configure(vec![StreamFlags { input: Some(input), to, name, ..flags }], program)
    }
}

impl Run {
    fn read(&self) -> Result<(Config, ProgramFlags), ConfigError> {
        let file = ConfigFile::read(&self.config)?;
        let program = self.program.clone().or(&file.program());
        configure(file.streams(&self.flags), program)
    }
}

fn configure(
    streams: Vec<StreamFlags>,
    program: ProgramFlags,
) -> Result<(Config, ProgramFlags), ConfigError> {
    let token = program.metrics_token_file.as_deref().map(Token::read).transpose()?;
    let mut config = Config::new(streams, program.metrics, talk(&program))?;
    config.spin = program.spin;
    config.operator = match &program.control {
        Some(path) => OperatorSocket::Path(path.clone()),
        None => OperatorSocket::Process,
    };
    let config = config.with_admission(admission::resolve(&program)?)?;
    Ok((config.with_token(token), program))
}

fn talk(program: &ProgramFlags) -> Talk {
    if program.json {
        Talk::Json
    } else if !program.quiet && std::io::stderr().is_terminal() {
        Talk::Line
    } else {
        Talk::Silent
    }
}

const EXIT_CODES: &str = "Exit codes: 0 everyone has everything; 1 failed; 2 wrong usage or \
    config; 3 the stream ended and somebody has not everything, or it was stopped before its end";

/// Exit code for what a person wrote.
const USAGE: u8 = 2;

/// Exit code for a stream that not everyone has.
const INCOMPLETE: u8 = 3;
