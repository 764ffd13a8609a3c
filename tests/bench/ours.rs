//! onecast: a file from memory to everyone, into nothing or into files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::program::{Program, wait_for_all};
use crate::raw::run::this_program;
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    programs: PathBuf,
}

/// Whether the stream is hashed at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// By SHA-256, which proves that everybody has the same.
    Sha256,
    /// Not at all: everybody has as many bytes.
    None,
}

/// Where each subscriber writes what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    /// `/dev/null`.
    Nothing,
    /// A new file in the directory of temporary files.
    File,
    /// The same, past the page cache.
    FilePastCache,
}

/// Who may read the stream, and who can have sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Anybody.
    None,
    /// Who has the key.
    Key,
    /// Who has the key reads, and only the publisher can have sent it.
    Signed,
}

impl Protection {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Key => "--key",
            Self::Signed => "--key --sign",
        }
    }
}

impl Ours {
    pub(crate) fn new(programs: Option<PathBuf>) -> anyhow::Result<Self> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let programs = programs.unwrap_or_else(|| target.join("release"));
        for name in ["publisher", "subscriber"] {
            let file = programs.join(name);
            if !file.is_file() {
                bail!("no {}: cargo build --release --bins", file.display());
            }
        }
        Ok(Self { programs })
    }

    /// Whether the publisher lets a stream go without a digest.
    pub(crate) fn can_go_without(&self) -> bool {
        self.has_flag("--digest")
    }

    /// Whether the publisher signs streams.
    pub(crate) fn can_sign(&self) -> bool {
        self.has_flag("--sign")
    }

    fn has_flag(&self, flag: &str) -> bool {
        let help = Command::new(self.programs.join("publisher")).args(["send", "--help"]).output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(flag))
    }

    /// Flags of the publisher and of the subscribers, with the files that they name made.
    fn flags(&self, stage: &Stage, protection: Protection) -> anyhow::Result<[Vec<String>; 2]> {
        let [key, signer] = ["group.key", "publisher.identity"].map(|name| stage.path(name));
        let make = |args: &[&str], file: &Path| {
            if file.exists() {
                return Ok(());
            }
            let mut command = Command::new(self.programs.join("publisher"));
            let made = command.arg("keygen").args(args).arg(file).output()?;
            if !made.status.success() {
                bail!("publisher keygen: {}", String::from_utf8_lossy(&made.stderr));
            }
            Ok(())
        };
        let mut flags = [Vec::new(), Vec::new()];
        if protection != Protection::None {
            make(&[], &key)?;
            flags = flags.map(|_| vec!["--key".to_owned(), key.display().to_string()]);
        }
        if protection == Protection::Signed {
            make(&["--identity"], &signer)?;
            let [publisher, subscriber] = &mut flags;
            let public = format!("{}.pub", signer.display());
            publisher.extend(["--sign".to_owned(), signer.display().to_string()]);
            subscriber.extend(["--verify".to_owned(), public]);
        }
        Ok(flags)
    }

    /// Sends the scene's bytes; an error if a subscriber has not all of them.
    pub(crate) fn run(
        &self,
        stage: &Stage,
        scene: &Scene,
        digest: Digest,
    ) -> anyhow::Result<Sample> {
        let publisher = if digest == Digest::None { &["--digest", "none"][..] } else { &[] };
        let publisher: Vec<_> = publisher.iter().map(|flag| (*flag).to_owned()).collect();
        let into = (Into::Nothing, &[][..]);
        self.run_with(stage, scene, into, || self.publish(stage, scene, &publisher))
    }

    /// The same of bytes that the publisher has in memory, by the library; without a digest.
    pub(crate) fn run_from_memory(
        &self,
        stage: &Stage,
        scene: &Scene,
        into: Into,
    ) -> anyhow::Result<Sample> {
        self.run_with(stage, scene, (into, &[]), || {
            let host = stage.publisher()?;
            let mut command = this_program("pour", &scene.group(0).to_string())?;
            command.args(["--at", &host.addr4().to_string(), "--bytes", &scene.bytes.to_string()]);
            command.args(["--subscribers", &scene.subscribers.to_string()]);
            Program::start(host, command)
        })
    }

    /// The same, protected.
    pub(crate) fn run_protected(
        &self,
        stage: &Stage,
        scene: &Scene,
        protection: Protection,
    ) -> anyhow::Result<Sample> {
        let [publisher, subscriber] = self.flags(stage, protection)?;
        let into = (Into::Nothing, subscriber.as_slice());
        self.run_with(stage, scene, into, || self.publish(stage, scene, &publisher))
    }

    fn run_with(
        &self,
        stage: &Stage,
        scene: &Scene,
        (into, receivers): (Into, &[String]),
        publish: impl FnOnce() -> anyhow::Result<Program>,
    ) -> anyhow::Result<Sample> {
        let endpoint = endpoint(scene);
        let mut subscribers = Vec::new();
        for host in stage.subscribers(scene.subscribers)? {
            let mut command = self.command(stage, "subscriber", "receive", &endpoint);
            let control = stage.path(&format!("{}.control", host.name()));
            let file = match into {
                Into::Nothing => "/dev/null".into(),
                Into::File | Into::FilePastCache => received(stage, host.name()),
            };
            command.arg("-o").arg(file);
            command.args(["--name", host.name(), "--control"]).arg(control).args(receivers);
            command.args((into == Into::FilePastCache).then_some("--direct-io"));
            subscribers.push(Program::start(host, command)?);
        }
        for subscriber in &mut subscribers {
            subscriber.wait_for("\"joined\"", PATIENCE)?;
        }
        let before = egress(stage)?;
        let mut publisher = [publish()?];
        wait_for_all(&mut subscribers, scene.patience())?;
        wait_for_all(&mut publisher, scene.patience())?;
        let egress = egress(stage)? - before;
        let [publisher] = &publisher;
        let sample = sample(scene, publisher, &subscribers, egress);
        for host in stage.subscribers(scene.subscribers)? {
            fs::remove_file(received(stage, host.name())).ok();
        }
        sample
    }

    fn publish(&self, stage: &Stage, scene: &Scene, flags: &[String]) -> anyhow::Result<Program> {
        let endpoint = endpoint(scene);
        let mut command = self.command(stage, "publisher", "send", "--to");
        let wait_for = format!("{},20s", scene.subscribers);
        command.args([&endpoint, "--wait-for", &wait_for]).arg(stage.file(scene.bytes)?);
        command.args(flags);
        Program::start(stage.publisher()?, command)
    }

    /// Either program, with what both are told.
    pub(crate) fn command(&self, stage: &Stage, name: &str, verb: &str, first: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.args([verb, "--json", "--interface", "eth0", first]);
        command.current_dir(stage.path(""));
        command
    }
}

/// Where a subscriber writes that does not write into nothing.
fn received(stage: &Stage, name: &str) -> PathBuf {
    stage.path_on_disk(name)
}

fn endpoint(scene: &Scene) -> String {
    format!("udp://{}", scene.group(0))
}

fn sample(
    scene: &Scene,
    publisher: &Program,
    subscribers: &[Program],
    egress: u64,
) -> anyhow::Result<Sample> {
    let started = publisher.line_with("\"started\"").context("the publisher never started")?.at;
    let mut last = started;
    let mut received = 0;
    for subscriber in subscribers {
        let summary = subscriber.object_with("delivered_bytes")?;
        let ended = subscriber.ended()?;
        if ended.code != Some(0) || number(&summary, "delivered_bytes") != scene.bytes {
            bail!("{scene}: a subscriber has not all: {}", subscriber.last_words());
        }
        received += number(&summary, "received_datagrams");
        last = last.max(ended.at);
    }
    let summary = publisher.object_with("egress_datagrams")?;
    let wall = last.duration_since(started);
    Ok(Sample {
        sent_packets: number(&summary, "egress_datagrams"),
        repair_bytes: number(&summary, "repair_bytes"),
        received_packets: received as f64 / subscribers.len().max(1) as f64,
        ..Sample::of(scene.bytes, wall, publisher, subscribers, egress)?
    })
}

fn number(object: &Value, field: &str) -> u64 {
    object.get(field).and_then(Value::as_u64).unwrap_or(0)
}

const PATIENCE: Duration = Duration::from_secs(15);
