//! udpcast: files, with acknowledgements of slices.

use std::process::Command;
use std::thread;

use super::{BUFFER, SETTLE, last_end, start_all};
use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// From its start, greeting included.
pub(super) fn send(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let mut receivers = start_all(stage, scene, |_, _| {
        let mut command = Command::new("udp-receiver");
        command.args(["--interface", "eth0", "--file", "/dev/null", "--nokbd"]);
        command.args(["--no-progress", "--rcvbuf", BUFFER]);
        Ok(command)
    })?;
    thread::sleep(SETTLE);
    let before = egress(stage)?;
    let mut command = Command::new("udp-sender");
    command.args(["--interface", "eth0", "--nokbd", "--nopointopoint", "--no-progress"]);
    command.args(["--min-receivers", &scene.subscribers.to_string()]);
    command.args(["--mcast-data-address", &scene.group(103).ip().to_string(), "--file"]);
    command.arg(stage.file(scene.bytes)?);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    wait_for_all(&mut receivers, scene.patience())?;
    let egress = egress(stage)? - before;
    let [publisher] = &publisher;
    let wall = last_end(&receivers)?.duration_since(publisher.started);
    Sample::of(scene.bytes, wall, publisher, &receivers, egress)
}
