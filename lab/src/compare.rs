//! `lab compare`: the same bytes by multicast, broadcast, unicast and TCP, to one and to many.
//!
//! Each trial is the two programs as anyone runs them, on a switch of this machine's own, wire-honest:
//! every packet crosses the publisher's cable alone. Two hosts never ask for anything; what reaches
//! them is what a way of sending costs those who did not want it.
//!
//! | you look for | open |
//! |---|---|
//! | one way, one number of subscribers | `compare/trial.rs` |
//! | the figures, as a table, JSON and CSV | `compare/figures.rs` |
//! | the page | `compare/page.rs`, its plots `compare/plot.rs` |

mod figures;
mod page;
mod plot;
mod trial;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use proto::units::{ByteCount, Ratio};

use crate::demo::source::Source;
use crate::demo::stage::Stage;
use figures::Figures;
use trial::Trial;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Compare {
    /// To how many subscribers, one trial for each.
    pub subscribers: Vec<u32>,
    /// How much is sent each time.
    pub bytes: ByteCount,
    /// Loss that each subscriber injects.
    pub loss: Ratio,
    /// By which ways.
    pub ways: Vec<Way>,
    /// Print JSON.
    pub json: bool,
    /// Where the page and the CSV go.
    pub report: Option<PathBuf>,
}

/// A way of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// To a group.
    Multicast,
    /// To every host of the link.
    Broadcast,
    /// By UDP, a copy for each.
    Unicast,
    /// By TCP, a connection for each.
    Tcp,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unicast => "unicast",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compares, and says what came of it: success if everyone had everything, whichever way.
///
/// # Errors
///
/// If no network can be made here, a program cannot be started, or one takes too long.
pub fn main(compare: &Compare) -> anyhow::Result<ExitCode> {
    // First of all: an unprivileged process may become root of its own network only while it has
    // one thread.
    let stage = Stage::choose(false);
    if compare.bytes.0 == 0 {
        bail!("--bytes 0: nothing to compare");
    }
    let source = Source::made_up(compare.bytes.0)?;
    let stage = Stage::build(stage, 1 + most_hosts(compare) + BYSTANDERS)?;
    if stage.lab().is_none() {
        bail!("{}: a comparison needs a switch; run it as root", stage.describe());
    }
    let all = run_all(compare, &stage, &source)?;
    if compare.json {
        println!("{}", figures::json(&all)?);
    } else {
        println!("{}", figures::table(&all));
    }
    if let Some(directory) = &compare.report {
        write_report(directory, &all)?;
    }
    let is_good = all.iter().all(Figures::is_complete);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(compare: &Compare, stage: &Stage, source: &Source) -> anyhow::Result<Vec<Figures>> {
    let trials = compare.ways.len() * compare.subscribers.len();
    let bar = ProgressBar::new(trials as u64);
    bar.set_style(ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos} of {len}  {msg}")?);
    let mut all = Vec::with_capacity(trials);
    for way in &compare.ways {
        for subscribers in &compare.subscribers {
            bar.set_message(format!("{way} to {subscribers}"));
            let trial = Trial { way: *way, subscribers: *subscribers, loss: compare.loss };
            let figures = trial
                .run(stage, source, most_hosts(compare))
                .with_context(|| format!("{way} to {subscribers}"))?;
            all.push(figures);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

/// Subscribers' hosts; those behind them are the bystanders.
fn most_hosts(compare: &Compare) -> usize {
    let most = compare.subscribers.iter().max().copied().unwrap_or(1);
    usize::try_from(most).unwrap_or(usize::MAX)
}

fn write_report(directory: &PathBuf, all: &[Figures]) -> anyhow::Result<()> {
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    write("compare.csv", figures::csv(all))?;
    write("compare.html", page::page(all))
}

/// Hosts that never ask for anything.
const BYSTANDERS: usize = 2;
