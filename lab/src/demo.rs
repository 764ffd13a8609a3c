//! `lab demo`: one publisher, five subscribers and a bystander, on a switch of this machine's own.
//!
//! Four subscribers join before the first byte; one of them leaves half-way. A fifth joins late
//! and is given what it missed. The bystander never joins. At the end a table says who received
//! what, and what crossed the publisher's wire.
//!
//! | you look for | open |
//! |---|---|
//! | the network, or loopback where none may be made | `demo/stage.rs` |
//! | a program and what it says of itself | `demo/program.rs` |
//! | who does what when | `demo/script.rs` |
//! | the table and the JSON | `demo/report.rs` |
//! | what is sent | `demo/source.rs` |

pub(crate) mod program;
mod report;
mod script;
pub(crate) mod source;
pub(crate) mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use proto::units::{ByteCount, Ratio};

use report::Report;
use script::Script;
use source::Source;
use stage::Stage;

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The file to send; `None` makes one up.
    pub file: Option<PathBuf>,
    /// Loss that each subscriber injects.
    pub loss: Ratio,
    /// Length of the made-up file.
    pub bytes: ByteCount,
    /// Use loopback even where a network could be made.
    pub loopback: bool,
    /// Print JSON.
    pub json: bool,
}

/// Shows it and says how it went: success if everyone who should have everything has it.
///
/// # Errors
///
/// If a program or the network cannot be started, or the time is over.
pub fn main(demo: &Demo) -> anyhow::Result<ExitCode> {
    // First of all: an unprivileged process may become root of its own network only while it has
    // one thread.
    let stage = Stage::choose(demo.loopback);
    let source = Source::open(demo)?;
    let stage = Stage::build(stage, script::HOSTS)?;
    let report = Script::new(demo, &stage, &source)?.play()?;
    if demo.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the demo found out.
#[must_use]
pub fn is_good(report: &Report) -> bool {
    report.is_good()
}
