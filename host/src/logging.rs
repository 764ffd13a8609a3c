//! What a program says on stderr.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Runs its argument, which writes a line, while nothing else draws on the terminal.
pub type AroundLine = Box<dyn Fn(&mut dyn FnMut()) + Send>;

/// Starts logging on stderr. Only the first call has an effect, so that several programs can run
/// in one process.
///
/// `verbosity` counts `-v` up and `-q` down from 0, which means INFO. `ONECAST_LOG`, then
/// `RUST_LOG`, overrides it (`ONECAST_LOG=server=debug`). `json` writes one object a line.
pub fn init(verbosity: i8, json: bool) {
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter(verbosity))
        .with_writer(Stderr)
        .with_target(verbosity > 0)
        // Where nobody reads stderr any longer there is nobody to tell, and telling would panic.
        .log_internal_errors(false)
        .with_ansi(colour);
    let started = if json { base.json().flatten_event(true).try_init() } else { base.try_init() };
    // An error says that someone else logs already: the caller of a library, or a test.
    drop(started);
}

/// Has each line written by way of `around`, such as one that hides a progress bar meanwhile;
/// `None` writes lines directly again.
pub fn write_lines_around(around: Option<AroundLine>) {
    *AROUND_LINE.lock().unwrap_or_else(PoisonError::into_inner) = around;
}

fn filter(verbosity: i8) -> EnvFilter {
    let given = ["ONECAST_LOG", "RUST_LOG"].into_iter().find_map(|name| env::var(name).ok());
    match given {
        Some(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(level(verbosity).as_str()),
    }
}

fn level(verbosity: i8) -> Level {
    match verbosity {
        ..=-2 => Level::ERROR,
        -1 => Level::WARN,
        0 => Level::INFO,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    }
}

static AROUND_LINE: Mutex<Option<AroundLine>> = Mutex::new(None);

/// Writes each line in one piece.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut written = Ok(());
        let mut write = || written = io::stderr().lock().write_all(line);
        match AROUND_LINE.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(around) => around(&mut write),
            None => write(),
        }
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_maps_to_a_level() {
        let levels = [-3, -2, -1, 0, 1, 2, 3].map(level);
        let (error, trace) = (Level::ERROR, Level::TRACE);
        let expected = [error, error, Level::WARN, Level::INFO, Level::DEBUG, trace, trace];
        assert_eq!(levels, expected);
    }

    #[test]
    fn starting_twice_is_starting_once() {
        init(0, false);
        init(2, true);
    }
}
