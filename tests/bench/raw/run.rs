//! A run of raw multicast: a sender, receivers, and what they counted.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::{JOINED, Received, Sent};
use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// How raw multicast is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    /// Datagrams in one call; 1: sendto for each.
    pub(crate) segments: usize,
    /// Bytes of each datagram.
    pub(crate) len: u64,
    pub(crate) packets: u64,
    /// Datagrams in a second; 0: as fast as it goes.
    pub(crate) rate: f64,
    /// Of the receivers' sockets.
    pub(crate) buffer: u64,
}

impl Raw {
    /// Sends to all of them; they need not have it all.
    pub(crate) fn run(self, stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
        let place = u8::try_from(self.segments).unwrap_or(u8::MAX);
        let group = scene.group(place).to_string();
        let mut receivers = Vec::new();
        for host in stage.subscribers(scene.subscribers)? {
            let mut command = this_program("raw-receive", &group)?;
            command.args(["--at", &host.addr4().to_string()]);
            command.args(["--buffer", &self.buffer.to_string()]);
            receivers.push(Program::start(host, command)?);
        }
        for receiver in &mut receivers {
            receiver.wait_for(JOINED, PATIENCE)?;
        }
        stage.wait_for_members(*scene.group(place).ip(), scene.subscribers)?;
        let before = egress(stage)?;
        let host = stage.publisher()?;
        let mut command = this_program("raw-send", &group)?;
        command.args(["--from", &host.addr4().to_string()]);
        command.args(["--len", &self.len.to_string(), "--segments", &self.segments.to_string()]);
        command.args(["--packets", &self.packets.to_string()]);
        command.args(["--rate", &self.rate.to_string()]);
        let mut sender = [Program::start(host, command)?];
        wait_for_all(&mut sender, scene.patience())?;
        wait_for_all(&mut receivers, PATIENCE)?;
        let [sender] = &sender;
        self.sample(sender, &receivers, egress(stage)? - before)
    }

    fn sample(
        self,
        sender: &Program,
        receivers: &[Program],
        egress: u64,
    ) -> anyhow::Result<Sample> {
        let sent: Sent = serde_json::from_value(sender.object_with("packets")?)?;
        let mut counts = Vec::new();
        for receiver in receivers {
            let received: Received = serde_json::from_value(receiver.object_with("packets")?)?;
            counts.push(received);
        }
        let all: u64 = counts.iter().map(|received| received.packets).sum();
        let last = counts.iter().map(|received| received.seconds).fold(0.0, f64::max);
        let wall = Duration::from_secs_f64(sent.seconds.max(last));
        let mean = all as f64 / counts.len().max(1) as f64;
        Ok(Sample {
            sent_packets: sent.packets,
            received_packets: mean,
            loss: 1.0 - mean / sent.packets as f64,
            ..Sample::of(sent.bytes, wall, sender, receivers, egress)?
        })
    }
}

/// This program, in a role that it has on a host.
pub(crate) fn this_program(role: &str, group: &str) -> anyhow::Result<Command> {
    let file = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(file);
    command.args([role, "--group", group]);
    Ok(command)
}

/// A full datagram, as onecast sends it over IPv4 and an MTU of 1500.
pub(crate) const LEN: u64 = 1_472;

/// As many as one call takes of them, and as the publisher gives it.
pub(crate) const SEGMENTS: usize = 44;

const PATIENCE: Duration = Duration::from_secs(20);
