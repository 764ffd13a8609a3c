//! Cyclone DDS by its `ddsperf`: samples of a reliable topic.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;

use super::{end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::raw::ping::Delays;
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// For some seconds, samples of this length; its own counts, of the slowest subscriber.
pub(super) fn send(stage: &Stage, scene: &Scene, len: u64) -> anyhow::Result<Sample> {
    let mut subscribers = start_all(stage, scene, |_, _| Ok(ddsperf(&["-1", "sub"])))?;
    let before = egress(stage)?;
    let mut command = ddsperf(&["-D", SECONDS, "-1", "-Qinitwait:10"]);
    command.arg(format!("-Qminmatch:{}", scene.subscribers));
    command.args(["pub", "size", &len.to_string()]);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, PATIENCE)?;
    // What is under way is counted by then.
    std::thread::sleep(Duration::from_millis(1_100));
    let egress = egress(stage)? - before;
    end_all(&mut subscribers, Signal::SIGTERM)?;
    let mut slowest: Option<Taken> = None;
    for subscriber in &subscribers {
        let lines = subscriber.lines();
        let counts: Vec<Count> = lines.iter().filter_map(|line| count(&line.text)).collect();
        let taken = taken(&counts);
        let taken = taken.with_context(|| format!("no counts: {}", subscriber.last_words()))?;
        slowest = slowest.filter(|slowest| slowest.rate < taken.rate).or(Some(taken));
    }
    let Taken { total, lost, rate } = slowest.context("nobody was there")?;
    let [publisher] = &publisher;
    let (all, sent) = (total + lost, (total + lost) as f64);
    let wall = Duration::from_secs_f64(total as f64 / rate);
    Ok(Sample {
        loss: lost as f64 / sent,
        ..Sample::of(all * len, wall, publisher, &subscribers, egress)?
    })
}

/// There and back, halved; of several subscribers the slowest. The first second is left out.
pub(super) fn latency(stage: &Stage, scene: &Scene) -> anyhow::Result<Delays> {
    let mut subscribers = start_all(stage, scene, |_, _| Ok(ddsperf(&["pong"])))?;
    let mut command = ddsperf(&["-D", SECONDS, "-Qinitwait:10"]);
    command.arg(format!("-Qminmatch:{}", scene.subscribers));
    command.args(["ping", "10000Hz", "size", "128"]);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, PATIENCE)?;
    end_all(&mut subscribers, Signal::SIGTERM)?;
    let [publisher] = &publisher;
    let mut by_subscriber: BTreeMap<String, Vec<Delays>> = BTreeMap::new();
    for line in publisher.lines() {
        let Some((second, subscriber, delays)) = trips(&line.text) else { continue };
        if second > 1.5 {
            by_subscriber.entry(subscriber).or_default().push(delays);
        }
    }
    ensure!(!by_subscriber.is_empty(), "no round trips: {}", publisher.last_words());
    let all = by_subscriber.values().map(|seconds| mean(seconds));
    let slowest = all.max_by(|one, other| one.p50.total_cmp(&other.p50));
    slowest.context("nobody answered")
}

fn ddsperf(args: &[&str]) -> Command {
    let mut command = Command::new("ddsperf");
    command.args(args).env("CYCLONEDDS_URI", CONFIGURATION);
    command
}

/// What a subscriber says each second.
#[derive(Clone, Copy)]
struct Count {
    at: f64,
    total: u64,
    lost: u64,
    delta: u64,
}

/// What came of it.
struct Taken {
    total: u64,
    lost: u64,
    /// In a second, of those in which it came all the time.
    rate: f64,
}

/// Of `[7] 2.007  size 128 total 978330 lost 0 delta 549354 lost 0 rate 545.92 kS/s …`.
fn count(line: &str) -> Option<Count> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let place = words.iter().position(|word| *word == name)?;
        words.get(place + 1)?.parse().ok()
    };
    let at = words.get(1)?.parse().ok()?;
    Some(Count { at, total: after("total")?, lost: after("lost")?, delta: after("delta")? })
}

/// Between the first and the last but one of the seconds in which something came: both ends are cut.
fn taken(counts: &[Count]) -> Option<Taken> {
    let busy: Vec<&Count> = counts.iter().filter(|count| count.delta > 0).collect();
    let (first, last) = (busy.first()?, busy.get(busy.len().checked_sub(2)?)?);
    let end = counts.last()?;
    let rate = (last.total - first.total) as f64 / (last.at - first.at);
    Some(Taken { total: end.total, lost: end.lost, rate }).filter(|it| it.rate.is_finite())
}

/// Second, subscriber and times of `[7] 1.002  host:9 size 128 mean 17.460us min 7.087us 50% 10.467us
/// 90% 19.421us 99% 116.907us max 1974.424us cnt 4101`.
fn trips(line: &str) -> Option<(f64, String, Delays)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let half = |name: &str| {
        let place = words.iter().position(|word| *word == name)?;
        let micros: f64 = words.get(place + 1)?.strip_suffix("us")?.parse().ok()?;
        Some(micros / 2.0)
    };
    let (p50, p99, largest) = (half("50%")?, half("99%")?, half("max")?);
    let delays = Delays { p50, p99, p999: None, largest, received: 0 };
    Some((words.get(1)?.parse().ok()?, (*words.get(2)?).to_owned(), delays))
}

fn mean(all: &[Delays]) -> Delays {
    let mean = |of: fn(&Delays) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    let largest = all.iter().map(|it| it.largest).fold(0.0, f64::max);
    Delays { p50: mean(|it| it.p50), p99: mean(|it| it.p99), p999: None, largest, received: 0 }
}

/// The largest sample of which one fills a datagram.
pub(super) const FULL: u64 = 1_300;

const SECONDS: &str = "5";

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = "<CycloneDDS><Domain><General><Interfaces>\
    <NetworkInterface name=\"eth0\"/></Interfaces><AllowMulticast>true</AllowMulticast>\
    </General></Domain></CycloneDDS>";
