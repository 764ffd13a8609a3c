//! `publisher compare`: the same bytes by each way, to those who listen now and allow it.
//!
//! An invitation is announced to the group that they listen to; who was started with
//! `--allow-compare` then receives the trial by the way that is tried and throws it away. First they are
//! counted, then each way has its share of the budget.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aws_lc_rs::rand;
use clap::Args;
use clap::builder::FalseyValueParser;
use host::interface::{InterfaceSpec, counters};
use host::shutdown::Shutdown;
use nix::sys::resource::{UsageWho, getrusage};
use proto::ByteCount;
use proto::comparison::{DATA, invitation};
use proto::endpoint::{Endpoint, EndpointSpec};
use serde::Serialize;

use crate::config::Config;
use crate::flags::StreamFlags;
use crate::flags::input::InputSpec;
use crate::flags::target::Target;
use crate::flags::value::Rate;
use crate::report::{StreamSummary, Talk};
use crate::snapshot::Mode;

/// Compares ways of sending with those who listen now.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// The group that they listen to, and the ways to compare, as with send; broadcast only if it
    /// is named
    #[arg(long, value_name = "ENDPOINT", required = true, value_delimiter = ' ')]
    pub to: Vec<Target>,

    /// Send no more than this on the wire, all ways together; on a terminal it is asked for again
    #[arg(long, value_name = "BYTES")]
    pub budget: ByteCount,

    /// Bits per second on the wire for each copy, or `auto` [default: auto]
    #[arg(long, value_name = "20M|auto")]
    pub rate: Option<Rate>,

    /// Send by this interface: its name, index or address
    #[arg(long, value_name = "NAME|INDEX|ADDRESS")]
    pub interface: Option<InterfaceSpec>,

    /// Print JSON on stdout instead of a table
    #[arg(long, value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// What one way cost.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: &'static str,
    subscribers: usize,
    payload_bytes: u64,
    /// By the counters of the interface, whoever else sends by it; none if they cannot be read.
    egress_bytes: Option<u64>,
    /// By what the publisher counts.
    counted_bytes: u64,
    publisher_cpu_seconds: f64,
    wall_seconds: f64,
    delivered_bytes: u64,
    complete: bool,
}

/// A trial: where the invitation goes, and where the data.
struct Trial<'a> {
    compare: &'a Compare,
    group: &'a Target,
    way: &'a Target,
    payload: u64,
}

/// Compares, and says what came of it; true if everyone had everything, whichever way.
///
/// # Errors
///
/// When it cannot be done as written, nobody answers, or a trial fails.
pub fn main(compare: &Compare, shutdown: &Shutdown) -> anyhow::Result<bool> {
    let group = compare.to.first().context("no --to")?;
    check(compare)?;
    confirm(compare.budget)?;
    let folder = Folder::make()?;
    let count = Trial { compare, group, way: group, payload: 0 };
    let found = count.run(&folder, shutdown)?.subscribers;
    if found == 0 {
        bail!("nobody answers: start subscribers of {group} with --allow-compare");
    }
    let payload = payload(compare, found as u64);
    if payload == 0 {
        bail!("--budget {}: too small for {found} subscribers", compare.budget);
    }
    let mut rows = Vec::new();
    for way in compare.to.iter().take_while(|_| !shutdown.is_requested()) {
        rows.push(Trial { compare, group, way, payload }.run(&folder, shutdown)?);
    }
    tell(&rows, compare.json)?;
    Ok(rows.iter().all(|row| row.complete) && rows.len() == compare.to.len())
}

fn check(compare: &Compare) -> anyhow::Result<()> {
    let shared = |target: &Target| Mode::of(&target.0.endpoint).is_shared();
    if !compare.to.first().is_some_and(shared) {
        bail!("the first --to is the group that subscribers listen to: they are asked there");
    }
    for Target(EndpointSpec { endpoint, .. }) in &compare.to {
        if invitation(&endpoint.to_string()).is_none() {
            bail!("{endpoint} is too long for an invitation: write an address");
        }
        if let Endpoint::Unicast { host, .. } | Endpoint::Tcp { host, .. } = endpoint
            && host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_unspecified())
        {
            bail!("{endpoint}: subscribers cannot connect to that: write an address of this host");
        }
    }
    Ok(())
}

/// A person says twice how much may be sent: the wire is not this program's alone.
fn confirm(budget: ByteCount) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    eprint!("This sends up to {budget} into the network. Write the budget again to go on: ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    match line.trim().parse::<ByteCount>() {
        Ok(again) if again == budget => Ok(()),
        _ => bail!("that is not {budget}: nothing was sent"),
    }
}

/// What each trial may send, so that all of them, with headers and some repair, stay within the budget.
fn payload(compare: &Compare, subscribers: u64) -> u64 {
    let copies: u64 = compare
        .to
        .iter()
        .map(|way| if Mode::of(&way.0.endpoint).is_shared() { 1 } else { subscribers })
        .sum();
    let whole = compare.budget.0 * 4 / 5 / copies.max(1);
    whole.saturating_sub(OVERHEAD).min(LONGEST_TRIAL)
}

impl Trial<'_> {
    fn run(&self, folder: &Folder, shutdown: &Shutdown) -> anyhow::Result<Row> {
        let streams = vec![self.invitation(folder)?, self.data(folder)?];
        let config = Config::new(streams, None, Talk::Silent)?;
        let interface = config.streams.last().and_then(|stream| stream.interfaces().pop());
        let (sent, cpu, start) = (transmitted(interface.as_deref()), cpu()?, Instant::now());
        let summary = crate::run(config, shutdown.clone())?;
        let wall = start.elapsed().saturating_sub(ANSWER_WITHIN);
        let cpu = self::cpu()?.saturating_sub(cpu);
        let after = transmitted(interface.as_deref());
        let egress = after.zip(sent).map(|(after, before)| after.saturating_sub(before));
        let data = summary.streams.into_iter().find(|stream| stream.stream == DATA);
        self.row(&data.context("no trial")?, egress, cpu, wall)
    }

    fn row(
        &self,
        data: &StreamSummary,
        egress_bytes: Option<u64>,
        cpu: Duration,
        wall: Duration,
    ) -> anyhow::Result<Row> {
        if let Some(failure) = &data.failure {
            bail!("{}: {failure}", self.way);
        }
        let complete = data.audience.iter().filter(|row| row.complete).count();
        Ok(Row {
            mode: Mode::of(&self.way.0.endpoint).name(),
            subscribers: data.audience.len(),
            payload_bytes: self.payload,
            egress_bytes,
            counted_bytes: data.egress_bytes,
            publisher_cpu_seconds: cpu.as_secs_f64(),
            wall_seconds: wall.as_secs_f64(),
            delivered_bytes: complete as u64 * self.payload,
            complete: complete > 0 && data.unfinished.is_empty() && !data.aborted,
        })
    }

    /// A stream of nothing whose name says where to go.
    fn invitation(&self, folder: &Folder) -> anyhow::Result<StreamFlags> {
        let name = invitation(&self.way.0.endpoint.to_string());
        let mut flags = self.flags(self.group.clone(), folder.file("invitation", 0)?)?;
        flags.name = Some(name.context("an invitation that is too long")?);
        flags.finish_timeout = Some(Duration::from_millis(1));
        Ok(flags)
    }

    fn data(&self, folder: &Folder) -> anyhow::Result<StreamFlags> {
        let mut flags = self.flags(self.way.clone(), folder.file("data", self.payload)?)?;
        flags.name = Some(DATA.parse()?);
        Ok(flags)
    }

    fn flags(&self, to: Target, input: PathBuf) -> anyhow::Result<StreamFlags> {
        let is_shared = Mode::of(&to.0.endpoint).is_shared();
        Ok(StreamFlags {
            input: Some(InputSpec::File(input)),
            to: vec![to],
            rate: self.compare.rate,
            interface: self.compare.interface.clone().filter(|_| is_shared),
            // Whoever answers has this long to.
            wait_for: Some(format!("1000000,{}s", ANSWER_WITHIN.as_secs()).parse()?),
            ..StreamFlags::default()
        })
    }
}

/// Bytes that left by an interface.
fn transmitted(interface: Option<&str>) -> Option<u64> {
    let all = counters::all().ok()?;
    all.into_iter().find(|(name, _)| Some(name.as_str()) == interface).map(|(_, it)| it.tx_bytes)
}

/// Time of a processor that this program used so far.
fn cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("no account of this program")?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default()
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

fn tell(rows: &[Row], json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(rows)?)?;
        return Ok(());
    }
    writeln!(out, "{:<10} subscribers   payload MB   sent MB   CPU s   time s   complete", "way")?;
    for row in rows {
        writeln!(
            out,
            "{:<10} {:>11} {:>12.2} {:>9.2} {:>7.2} {:>8.2}   {}",
            row.mode,
            row.subscribers,
            megabytes(row.payload_bytes),
            megabytes(row.counted_bytes),
            row.publisher_cpu_seconds,
            row.wall_seconds,
            if row.complete { "yes" } else { "NO" },
        )?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Where the files of the trials lie; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("onecast-compare-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// A file of `len` bytes that nothing on the way can make smaller.
    fn file(&self, name: &str, len: u64) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        let mut bytes = vec![0; usize::try_from(len)?];
        rand::fill(&mut bytes).ok().context("the system gives no random numbers")?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("publisher: {} stays: {error}", self.0.display());
        }
    }
}

/// Who listens joins another way within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Announces, heartbeats and handshakes of a trial.
const OVERHEAD: u64 = 64 << 10;

/// As much as one way sends at most, and as is kept for repair.
const LONGEST_TRIAL: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_for_all_copies_of_all_ways() {
        let to = ["udp://239.1.2.3:5000", "unicast://10.0.0.1:6000", "tcp://10.0.0.1:6000"];
        let compare = Compare {
            to: to.iter().map(|text| text.parse().unwrap()).collect(),
            budget: ByteCount(90_000_000),
            rate: None,
            interface: None,
            json: false,
        };
        let sent = payload(&compare, 4) * 9;
        assert!(sent < 75_000_000 && sent > 60_000_000, "{sent}");
        assert_eq!(payload(&Compare { budget: ByteCount(10_000), ..compare.clone() }, 4), 0);
        assert!(check(&compare).is_ok());
        let swapped = Compare { to: compare.to.iter().rev().cloned().collect(), ..compare };
        assert!(check(&swapped).is_err(), "nobody is asked by TCP");
    }
}
