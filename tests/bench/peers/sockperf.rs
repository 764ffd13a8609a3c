//! sockperf: how long a datagram takes there and back.

use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::Signal;

use super::{end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::raw::ping::Delays;
use crate::scene::Scene;
use crate::stage::Stage;

/// Half of it; 1 in 10 is answered, and the first 400 ms it leaves out itself.
pub(super) fn latency(stage: &Stage, scene: &Scene) -> anyhow::Result<Delays> {
    let group = scene.group(107).ip().to_string();
    let mut servers = start_all(stage, scene, |host, _| {
        let at = host.addr4().to_string();
        let mut command = Command::new("sockperf");
        command.args(["sr", "-i", &group, "-p", "11111", "--mc-rx-if", &at, "--mc-tx-if", &at]);
        command.args(["--force-unicast-reply", "--buffer-size", "4194304"]);
        Ok(command)
    })?;
    stage.wait_for_members(*scene.group(107).ip(), scene.subscribers)?;
    let publisher = stage.publisher()?;
    let mut command = Command::new("sockperf");
    command.args(["ul", "-i", &group, "-p", "11111", "--mc-ttl", "1", "-m", "128", "-t", "2"]);
    command.args(["--mc-tx-if", &publisher.addr4().to_string(), "--buffer-size", "4194304"]);
    command.args(["--srv-num", &scene.subscribers.to_string(), "--mps", "10000"]);
    command.args(["--reply-every", "10"]);
    let mut client = [Program::start(publisher, command)?];
    wait_for_all(&mut client, PATIENCE)?;
    end_all(&mut servers, Signal::SIGTERM)?;
    let [client] = &client;
    let figure = |name: &str| percentile(client, name);
    let (p50, p99) = (figure("percentile 50.000")?, figure("percentile 99.000")?);
    let (p999, largest) = (figure("percentile 99.900")?, figure("<MAX> observation")?);
    Ok(Delays { p50, p99, p999: Some(p999), largest, received: 0 })
}

/// The largest of its lines of this name: it prints one for each server.
fn percentile(client: &Program, name: &str) -> anyhow::Result<f64> {
    let lines = client.lines();
    let figures = lines.iter().filter(|line| line.text.contains(name)).filter_map(|line| {
        line.text.rsplit_once('=').and_then(|(_, figure)| figure.trim().parse().ok())
    });
    let largest = figures.fold(f64::NAN, f64::max);
    if largest.is_nan() {
        bail!("sockperf did not say {name}: {}", client.last_words());
    }
    Ok(largest)
}

const PATIENCE: Duration = Duration::from_secs(20);
