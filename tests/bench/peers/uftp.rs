//! uftp: files, repaired by NAKs.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;

use super::{BUFFER, SETTLE, end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// Without a pause between packets (`-R -1`).
pub(super) fn send(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let groups = (scene.group(101).ip().to_string(), scene.group(102).ip().to_string());
    let file = stage.file(scene.bytes)?;
    let mut receivers = start_all(stage, scene, |host, number| {
        let directory = stage.path(&format!("uftp-{}", host.name()));
        fs::create_dir_all(&directory)?;
        let mut command = Command::new("uftpd");
        command.args(["-d", "-I", "eth0", "-M", &groups.0, "-B", BUFFER, "-x", "1"]);
        command.args(["-U", &format!("0x0a4d{number:04x}"), "-D"]).arg(directory);
        Ok(command)
    })?;
    thread::sleep(SETTLE);
    let before = egress(stage)?;
    let mut command = Command::new("uftp");
    command.args(["-I", "eth0", "-M", &groups.0, "-P", &groups.1, "-B", BUFFER]);
    command.args(["-R", "-1", "-x", "2", "-b", "1300"]).arg(&file);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    let egress = egress(stage)? - before;
    end_all(&mut receivers, Signal::SIGTERM)?;
    for host in stage.subscribers(scene.subscribers)? {
        let directory = stage.path(&format!("uftp-{}", host.name()));
        let name = file.file_name().context("a file without a name")?;
        let copy = fs::metadata(directory.join(name)).context("a subscriber has no file")?;
        fs::remove_dir_all(&directory)?;
        if copy.len() != scene.bytes {
            bail!("a subscriber has {} bytes of it", copy.len());
        }
    }
    let [publisher] = &publisher;
    // Two seconds of hello and goodbye are left out, as it does itself.
    let elapsed = publisher.line_with("Total elapsed time").context("it did not say how long")?;
    let seconds = elapsed.text.split_whitespace().find_map(|word| word.parse().ok());
    let wall = Duration::from_secs_f64(seconds.context("it did not say how long")?);
    Sample::of(scene.bytes, wall, publisher, &receivers, egress)
}
