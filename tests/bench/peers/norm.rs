//! NORM (RFC 5740) by its `normCast`: files, repaired by NAKs.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;

use super::{SETTLE, end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// At a rate that it keeps up with here; to the word of the last subscriber that it has the file.
pub(super) fn send(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let group = format!("{}/6003", scene.group(112).ip());
    let file = stage.file(scene.bytes)?;
    let mut subscribers = start_all(stage, scene, |host, number| {
        let directory = stage.path(&format!("norm-{}", host.name()));
        fs::create_dir_all(&directory)?;
        let mut command = norm_cast(&group, number + 2);
        command.args(["rxsockbuffer", BUFFER, "recv"]).arg(directory.join(""));
        Ok(command)
    })?;
    for subscriber in &mut subscribers {
        subscriber.wait_for("receiver ready", PATIENCE)?;
    }
    thread::sleep(SETTLE);
    let before = egress(stage)?;
    let nodes: Vec<String> = (0..scene.subscribers).map(|node| (node + 2).to_string()).collect();
    let mut command = norm_cast(&group, 1);
    command.args(["ack", &nodes.join(","), "txsockbuffer", BUFFER]);
    command.args(["rate", rate(scene.subscribers), "send"]).arg(&file);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    let [first] = &mut publisher;
    let started = first.wait_for("enqueued", PATIENCE)?.at;
    let mut last = started;
    let late = Instant::now() + scene.patience();
    for subscriber in &mut subscribers {
        let left = late.saturating_duration_since(Instant::now());
        last = last.max(subscriber.wait_for("completed reception", left)?.at);
    }
    wait_for_all(&mut publisher, PATIENCE)?;
    let egress = egress(stage)? - before;
    end_all(&mut subscribers, Signal::SIGTERM)?;
    for host in stage.subscribers(scene.subscribers)? {
        let directory = stage.path(&format!("norm-{}", host.name()));
        let name = file.file_name().context("a file without a name")?;
        let copy = fs::metadata(directory.join(name)).context("a subscriber has no file")?;
        fs::remove_dir_all(&directory)?;
        ensure!(copy.len() == scene.bytes, "a subscriber has {} bytes of it", copy.len());
    }
    let [publisher] = &publisher;
    Sample::of(scene.bytes, last.duration_since(started), publisher, &subscribers, egress)
}

fn norm_cast(group: &str, node: usize) -> Command {
    let mut command = Command::new("normCast");
    command.args(["addr", group, "interface", "eth0", "id", &node.to_string()]);
    command
}

/// It has to be told; more than this and it loses more than it gains.
fn rate(subscribers: usize) -> &'static str {
    match subscribers {
        0..=1 => "1600000000",
        2..=4 => "800000000",
        _ => "300000000",
    }
}

const BUFFER: &str = "4000000";

const PATIENCE: Duration = Duration::from_secs(15);
