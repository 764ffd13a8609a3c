//! iperf: UDP datagrams for some seconds; nothing is repaired.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{SETTLE, end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// As fast as it goes, for two seconds.
pub(super) fn send(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let group = scene.group(104).ip().to_string();
    let mut receivers = start_all(stage, scene, |_, _| {
        let mut command = Command::new("iperf");
        command.args(["-s", "-u", "-B", &group, "-w", "4M", "-l", "1470", "-f", "m"]);
        Ok(command)
    })?;
    thread::sleep(SETTLE);
    let before = egress(stage)?;
    let mut command = Command::new("iperf");
    command.args(["-c", &group, "-u", "-T", "1", "-b", "20g", "-l", "1400", "-t", "2"]);
    command.args(["-w", "4M", "-f", "m"]);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    let egress = egress(stage)? - before;
    thread::sleep(SETTLE);
    end_all(&mut receivers, Signal::SIGTERM)?;
    let [publisher] = &publisher;
    let (mut lost, mut total, mut seconds) = (0, 0, 0.0_f64);
    for receiver in &receivers {
        let counts = receiver.lines().iter().find_map(|line| counts(&line.text));
        let counts = counts.with_context(|| format!("no report: {}", receiver.last_words()))?;
        lost += counts.0;
        total += counts.1;
        seconds = seconds.max(counts.2);
    }
    let sent = total / receivers.len().max(1) as u64;
    Ok(Sample {
        sent_packets: sent,
        received_packets: (total - lost) as f64 / receivers.len().max(1) as f64,
        loss: lost as f64 / total as f64,
        ..Sample::of(sent * 1_400, Duration::from_secs_f64(seconds), publisher, &receivers, egress)?
    })
}

/// Lost, sent and seconds of `[  1] 0.0000-2.0071 sec  189 MBytes  788 Mbits/sec  0.013 ms 0/140832 (0%)`.
fn counts(line: &str) -> Option<(u64, u64, f64)> {
    let (before, after) = line.split_once(" ms ")?;
    let (lost, rest) = after.split_once('/')?;
    let total = rest.split_whitespace().next()?;
    let seconds = before.split_once(" sec")?.0.rsplit_once('-')?.1;
    Some((lost.trim().parse().ok()?, total.parse().ok()?, seconds.trim().parse().ok()?))
}
