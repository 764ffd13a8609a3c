//! Others, from Debian: as PEERS of their manuals would run them, with the flags that make them fast.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::net::Host;
use nix::sys::signal::Signal;

use crate::program::{Program, wait_for_all};
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// Another program that sends to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Files, with NAKs; no pause between packets (`-R -1`).
    Uftp,
    /// Files, with acknowledgements of slices.
    Udpcast,
    /// UDP datagrams for some seconds; nothing is repaired.
    Iperf,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Uftp, Self::Udpcast, Self::Iperf];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uftp => "uftp",
            Self::Udpcast => "udpcast",
            Self::Iperf => "iperf",
        }
    }

    /// Its programs.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Uftp => &["uftp", "uftpd"],
            Self::Udpcast => &["udp-sender", "udp-receiver"],
            Self::Iperf => &["iperf"],
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        self.programs().iter().all(|name| is_installed(name))
    }

    /// Whether all that was sent has to arrive.
    pub(crate) fn is_reliable(self) -> bool {
        self != Self::Iperf
    }

    /// Sends the scene's bytes, or for a while.
    pub(crate) fn run(self, stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
        match self {
            Self::Uftp => uftp(stage, scene),
            Self::Udpcast => udpcast(stage, scene),
            Self::Iperf => iperf(stage, scene),
        }
        .with_context(|| format!("{} on {scene}", self.name()))
    }
}

/// Whether there is such a program.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn uftp(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
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
    std::thread::sleep(SETTLE);
    let before = egress(stage)?;
    let mut command = Command::new("uftp");
    command.args(["-I", "eth0", "-M", &groups.0, "-P", &groups.1, "-B", BUFFER]);
    command.args(["-R", "-1", "-x", "2", "-b", "1300"]).arg(&file);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    let egress = egress(stage)? - before;
    end_all(&mut receivers)?;
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

fn udpcast(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let mut receivers = start_all(stage, scene, |_, _| {
        let mut command = Command::new("udp-receiver");
        command.args(["--interface", "eth0", "--file", "/dev/null", "--nokbd"]);
        command.args(["--no-progress", "--rcvbuf", BUFFER]);
        Ok(command)
    })?;
    std::thread::sleep(SETTLE);
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
    let last = receivers.iter().map(|it| Ok(it.ended()?.at)).collect::<anyhow::Result<Vec<_>>>()?;
    let last = last.into_iter().max().unwrap_or_else(Instant::now);
    let wall = last.duration_since(publisher.started);
    Sample::of(scene.bytes, wall, publisher, &receivers, egress)
}

fn iperf(stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
    let group = scene.group(104).ip().to_string();
    let mut receivers = start_all(stage, scene, |_, _| {
        let mut command = Command::new("iperf");
        command.args(["-s", "-u", "-B", &group, "-w", "4M", "-l", "1470", "-f", "m"]);
        Ok(command)
    })?;
    std::thread::sleep(SETTLE);
    let before = egress(stage)?;
    let mut command = Command::new("iperf");
    command.args(["-c", &group, "-u", "-T", "1", "-b", "20g", "-l", "1400", "-t", "2"]);
    command.args(["-w", "4M", "-f", "m"]);
    let mut publisher = [Program::start(stage.publisher()?, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    let egress = egress(stage)? - before;
    std::thread::sleep(SETTLE);
    end_all(&mut receivers)?;
    let [publisher] = &publisher;
    let (mut lost, mut total, mut seconds) = (0, 0, 0.0_f64);
    for receiver in &receivers {
        let counts = receiver.lines().iter().find_map(|line| iperf_counts(&line.text));
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
fn iperf_counts(line: &str) -> Option<(u64, u64, f64)> {
    let (before, after) = line.split_once(" ms ")?;
    let (lost, rest) = after.split_once('/')?;
    let total = rest.split_whitespace().next()?;
    let seconds = before.split_once(" sec")?.0.rsplit_once('-')?.1;
    Some((lost.trim().parse().ok()?, total.parse().ok()?, seconds.trim().parse().ok()?))
}

fn start_all(
    stage: &Stage,
    scene: &Scene,
    command: impl Fn(&Host, usize) -> anyhow::Result<Command>,
) -> anyhow::Result<Vec<Program>> {
    let hosts = stage.subscribers(scene.subscribers)?;
    let start = |(number, host): (usize, &Host)| Program::start(host, command(host, number)?);
    hosts.into_iter().enumerate().map(start).collect()
}

/// Ends those that would go on for ever.
fn end_all(programs: &mut [Program]) -> anyhow::Result<()> {
    for program in &*programs {
        program.signal(Signal::SIGTERM);
    }
    wait_for_all(programs, Duration::from_secs(10))
}

const BUFFER: &str = "4194304";

/// They do not say when they listen.
const SETTLE: Duration = Duration::from_millis(500);
