//! How evenly a rate is kept: what came in the worst millisecond, by the kernel's clock.

use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

use crate::cli::{Wanted, Way};
use crate::ours::Ours;
use crate::program::{Program, wait_for_all};
use crate::raw::run::this_program;
use crate::raw::{Burst, JOINED, Received};
use crate::report::Report;
use crate::scene::Scene;
use crate::spread::Spread;
use crate::stage::Stage;

/// What one round saw of one rate.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Sample {
    /// Achieved ÷ asked for.
    achieved: f64,
    /// Most bytes in any millisecond ÷ those of a millisecond at the rate.
    worst_millisecond: f64,
    /// Depth of the token bucket that lets all through, in packets.
    depth_packets: f64,
    publisher_cpu_seconds: f64,
    seconds: f64,
}

/// Sends at each rate, in turns, on path A.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let ours = Ours::new(wanted.programs.clone())?;
    let stage = Stage::build(Way::A, 2)?;
    let mut rounds = vec![Vec::new(); RATES.len()];
    for round in 1..=wanted.runs {
        for (megabits, samples) in RATES.iter().zip(&mut rounds) {
            report.progress(&format!("round {round}: pacing at {megabits} Mbit/s"));
            match run(&ours, &stage, *megabits) {
                Ok(sample) => samples.push(sample),
                Err(error) => report.progress(&format!("left out: {error:#}")),
            }
        }
    }
    for (megabits, samples) in RATES.iter().zip(&rounds) {
        report.json("pacing", &format!("{megabits} Mbit/s"), samples);
    }
    let rows = RATES.iter().zip(&rounds).map(|(rate, samples)| row(*rate, samples)).collect();
    report.table("How evenly a rate is kept, path A, one subscriber", &HEADER, rows);
    Ok(())
}

fn row(megabits: u64, samples: &[Sample]) -> Vec<String> {
    let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
    vec![
        format!("{megabits} Mbit/s"),
        format!("{:.4}", spread(|sample| sample.achieved)),
        format!("{:.2}", spread(|sample| sample.worst_millisecond)),
        format!("{:.0}", spread(|sample| sample.depth_packets)),
        format!("{:.2}", spread(|sample| sample.publisher_cpu_seconds / sample.seconds)),
    ]
}

/// One host takes the stream, so that all is as usual; another one looks on.
fn run(ours: &Ours, stage: &Stage, megabits: u64) -> anyhow::Result<Sample> {
    let bytes = megabits * 1_000_000 / 8 * MILLIS / 1_000;
    let scene = Scene { way: Way::A, subscribers: 1, loss_percent: 0, bytes };
    let group = scene.group(105);
    let endpoint = format!("udp://{group}");
    let hosts = stage.subscribers(2)?;
    let [subscriber, onlooker] = hosts.as_slice() else { return Ok(Sample::default()) };
    let mut command = this_program("raw-receive", &group.to_string())?;
    command.args(["--at", &onlooker.addr4().to_string(), "--buffer", "33554432", "--times"]);
    let mut onlooker = Program::start(onlooker, command)?;
    onlooker.wait_for(JOINED, PATIENCE)?;
    let mut command = ours.command(stage, "subscriber", "receive", &endpoint);
    command.args(["-o", "/dev/null", "--control"]).arg(stage.path("pacing.control"));
    let mut subscriber = Program::start(subscriber, command)?;
    subscriber.wait_for("\"joined\"", PATIENCE)?;
    let mut command = ours.command(stage, "publisher", "send", "--to");
    command.args([&endpoint, "--wait-for", "1,20s", "--rate", &format!("{megabits}M")]);
    // Two processors carry three programs: hashing is not what is looked at.
    command.args(["--digest", "none"]).arg(stage.file(bytes)?);
    let publisher = Program::start(stage.publisher()?, command)?;
    let mut all = [publisher, subscriber, onlooker];
    wait_for_all(&mut all, PATIENCE)?;
    let [publisher, _, onlooker] = &all;
    let received: Received = serde_json::from_value(onlooker.object_with("packets")?)?;
    let bursts = full(received.bursts);
    let cpu = publisher.ended()?.cpu.as_secs_f64();
    Ok(Sample { publisher_cpu_seconds: cpu, ..conformance(&bursts, megabits as f64 * 1e6 / 8.0) })
}

/// Those of full datagrams: announces, heartbeats and the end are not paced.
fn full(bursts: Vec<Burst>) -> Vec<(f64, f64, f64)> {
    let full = bursts.into_iter().filter(|burst| burst.stride >= 1_000);
    full.map(|burst| {
        let wire = burst.bytes + burst.packets * OVERHEAD;
        (burst.at as f64 / 1e9, wire as f64, burst.packets as f64)
    })
    .collect()
}

/// Time, bytes on the wire and packets of each burst, beside a rate in bytes a second.
fn conformance(bursts: &[(f64, f64, f64)], rate: f64) -> Sample {
    let (Some(first), Some(last)) = (bursts.first(), bursts.last()) else {
        return Sample::default();
    };
    let seconds = last.0 - first.0;
    let bytes: f64 = bursts.iter().skip(1).map(|burst| burst.1).sum();
    let packets: f64 = bursts.iter().map(|burst| burst.2).sum();
    let packet_len = (bytes + first.1) / packets;
    Sample {
        achieved: bytes / seconds / rate,
        worst_millisecond: worst_millisecond(bursts) / (rate * 1e-3),
        depth_packets: depth(bursts, rate) / packet_len,
        publisher_cpu_seconds: 0.0,
        seconds,
    }
}

fn worst_millisecond(bursts: &[(f64, f64, f64)]) -> f64 {
    let mut window = VecDeque::new();
    let (mut inside, mut worst) = (0.0, 0.0_f64);
    for burst in bursts {
        window.push_back(*burst);
        inside += burst.1;
        while let Some(oldest) = window.front().filter(|oldest| burst.0 - oldest.0 >= 1e-3) {
            inside -= oldest.1;
            window.pop_front();
        }
        worst = worst.max(inside);
    }
    worst
}

/// The most that a bucket which leaks at the rate ever holds.
fn depth(bursts: &[(f64, f64, f64)], rate: f64) -> f64 {
    let (mut held, mut deepest, mut before) = (0.0_f64, 0.0_f64, 0.0);
    for (at, bytes, _) in bursts {
        held = (held - (at - before) * rate).max(0.0) + bytes;
        deepest = deepest.max(held);
        before = *at;
    }
    deepest
}

const RATES: [u64; 3] = [100, 1_000, 2_000];

/// Of stream, in each round.
const MILLIS: u64 = 1_000;

/// Ethernet, IPv4 and UDP, as `--rate` counts.
const OVERHEAD: u64 = 14 + 20 + 8;

const PATIENCE: Duration = Duration::from_secs(60);

const HEADER: [&str; 5] =
    ["rate", "achieved ÷ asked", "worst 1 ms", "bucket, packets", "publisher cores"];
