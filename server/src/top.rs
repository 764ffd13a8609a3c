//! `publisher top`: what a publisher that runs says at its metrics address, as a table that changes.

mod request;
mod table;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use host::http::HttpAddress;
use host::token::Token;

pub(crate) use self::table::saved;
use self::table::{Seen, table};

/// Shows what a running publisher does.
#[derive(Args, Debug)]
pub struct Top {
    /// Where it serves its metrics: the address that its --metrics was given
    #[arg(value_name = "ADDRESS", env = "ONECAST_METRICS")]
    pub address: HttpAddress,

    /// The file with the token that it was given, if it was
    #[arg(long, value_name = "FILE", env = "ONECAST_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,

    /// Show it once, and end
    #[arg(long, env = "ONECAST_ONCE", value_parser = FalseyValueParser::new())]
    pub once: bool,

    /// One JSON object a line, as docs/OPERATIONS.md describes it
    #[arg(long, env = "ONECAST_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// Shows it until nobody reads.
pub(crate) fn main(top: &Top) -> ExitCode {
    match show(top) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publisher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(top: &Top) -> anyhow::Result<()> {
    let is_screen = !top.once && !top.json && io::stdout().is_terminal();
    let token = top.metrics_token_file.as_deref().map(Token::read).transpose()?;
    let mut before: Option<Seen> = None;
    loop {
        let text = match status(top, token.as_ref(), before.as_ref()) {
            Ok((text, seen)) => {
                before = Some(seen);
                text
            }
            // It was there: it may come back.
            Err(error) if before.is_some() => format!("{error:#}"),
            Err(error) => return Err(error),
        };
        let clear = if is_screen { CLEAR } else { "" };
        writeln!(io::stdout().lock(), "{clear}{text}")?;
        if top.once {
            return Ok(());
        }
        thread::sleep(EVERY);
    }
}

fn status(
    top: &Top,
    token: Option<&Token>,
    before: Option<&Seen>,
) -> anyhow::Result<(String, Seen)> {
    let json = request::get(top.address, "/status.json", token)?;
    let seen = Seen::read(&json, top.address)?;
    let text = if top.json { json } else { table(&seen, before) };
    Ok((text, seen))
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

const EVERY: Duration = Duration::from_secs(1);

/// To the upper left, all below wiped.
const CLEAR: &str = "\x1b[H\x1b[2J";
