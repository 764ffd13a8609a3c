//! Aeron by its C media driver and the programs among its samples. Those spin: with more of them
//! than processors they take from each other what they measure.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use lab::net::Host;
use nix::sys::signal::Signal;

use super::{SETTLE, end_all, start_all};
use crate::program::{Program, wait_for_all};
use crate::raw::ping::Delays;
use crate::scene::{Sample, Scene, egress};
use crate::stage::Stage;

/// Messages of this length, held back by the slowest subscriber; the publisher's own account.
pub(super) fn send(stage: &Stage, scene: &Scene, len: u64) -> anyhow::Result<Sample> {
    let mut drivers = Drivers::start(stage, scene)?;
    let mut subscribers = start_all(stage, scene, |host, _| {
        Ok(client("rate_subscriber", stage, host, &[("-c", &group(scene, host, ""))]))
    })?;
    thread::sleep(SETTLE);
    let before = egress(stage)?;
    let host = stage.publisher()?;
    let count = scene.bytes / len;
    let all = format!("|fc=min,g:/{}", scene.subscribers);
    let mut command =
        client("streaming_publisher", stage, host, &[("-c", &group(scene, host, &all))]);
    command.args(["-L", &len.to_string(), "-m", &count.to_string(), "-l", "1s"]);
    let mut publisher = [Program::start(host, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    // They say each second how many they have.
    thread::sleep(Duration::from_millis(1_100));
    let egress = egress(stage)? - before;
    end_all(&mut subscribers, Signal::SIGINT)?;
    drivers.end()?;
    let [publisher] = &publisher;
    for subscriber in &subscribers {
        let lines = subscriber.lines();
        let has = lines.iter().filter_map(|line| number_before(&line.text, " messages ")).max();
        let said = || [subscriber.last_words(), publisher.last_words()].join("; ");
        ensure!(has == Some(count), "a subscriber has {has:?} of {count} messages: {}", said());
    }
    let total = publisher.line_with("Total: ").context("it did not say how long")?;
    let millis = number_before(&total.text, "ms,").context("it did not say how long")?;
    let wall = Duration::from_millis(millis);
    Sample::of(count * len, wall, publisher, &subscribers, egress)?
        .with_drivers(&drivers.publisher, &drivers.subscribers)
}

/// There and back, halved: one message after the other, the answer by unicast.
pub(super) fn latency(stage: &Stage, scene: &Scene) -> anyhow::Result<Delays> {
    let mut drivers = Drivers::start(stage, scene)?;
    let host = stage.publisher()?;
    let back = format!("aeron:udp?endpoint={}:40457", host.addr4());
    let mut subscribers = start_all(stage, scene, |host, _| {
        Ok(client("cpong", stage, host, &[("-c", &group(scene, host, "")), ("-C", &back)]))
    })?;
    thread::sleep(SETTLE);
    let mut command =
        client("cping", stage, host, &[("-c", &group(scene, host, "")), ("-C", &back)]);
    command.args(["-L", "128", "-m", "2000", "-w", "200"]);
    let mut publisher = [Program::start(host, command)?];
    wait_for_all(&mut publisher, scene.patience())?;
    end_all(&mut subscribers, Signal::SIGINT)?;
    drivers.end()?;
    let [publisher] = &publisher;
    let lines = publisher.lines();
    let all: Vec<(f64, f64)> = lines.iter().filter_map(|line| percentile(&line.text)).collect();
    let at = |share: f64| all.iter().find(|(_, at)| *at >= share).map(|(micros, _)| micros / 2.0);
    let said = || format!("no percentiles: {}", publisher.last_words());
    Ok(Delays {
        p50: at(0.5).with_context(said)?,
        p99: at(0.99).with_context(said)?,
        p999: at(0.999),
        largest: at(1.0).with_context(said)?,
        received: 0,
    })
}

/// A media driver on every host.
struct Drivers {
    publisher: Program,
    subscribers: Vec<Program>,
}

impl Drivers {
    fn start(stage: &Stage, scene: &Scene) -> anyhow::Result<Self> {
        let publisher = Program::start(stage.publisher()?, driver(stage, stage.publisher()?))?;
        let subscribers = start_all(stage, scene, |host, _| Ok(driver(stage, host)))?;
        let late = Instant::now() + PATIENCE;
        for host in stage.subscribers(scene.subscribers)?.into_iter().chain([stage.publisher()?]) {
            while !directory(stage, host).join("cnc.dat").exists() {
                if Instant::now() > late {
                    bail!("the media driver on {} does not start", host.name());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(Self { publisher, subscribers })
    }

    fn end(&mut self) -> anyhow::Result<()> {
        end_all(std::slice::from_mut(&mut self.publisher), Signal::SIGTERM)?;
        end_all(&mut self.subscribers, Signal::SIGTERM)
    }
}

fn driver(stage: &Stage, host: &Host) -> Command {
    let mut command = Command::new("aeronmd");
    command.env("AERON_DIR", directory(stage, host));
    command.envs([
        ("AERON_DIR_DELETE_ON_START", "1"),
        ("AERON_DIR_DELETE_ON_SHUTDOWN", "1"),
        ("AERON_THREADING_MODE", "SHARED"),
        ("AERON_TERM_BUFFER_SPARSE_FILE", "1"),
        ("AERON_SOCKET_SO_RCVBUF", "2m"),
        ("AERON_SOCKET_SO_SNDBUF", "2m"),
        ("AERON_RCV_INITIAL_WINDOW_LENGTH", "2m"),
    ]);
    command
}

/// A sample, on a host.
fn client(name: &str, stage: &Stage, host: &Host, channels: &[(&str, &str)]) -> Command {
    let mut command = Command::new(name);
    command.arg("-p").arg(directory(stage, host));
    for (flag, channel) in channels {
        command.args([flag, channel]);
    }
    command
}

fn group(scene: &Scene, host: &Host, more: &str) -> String {
    // It wants odd addresses: the even ones above them it takes for what subscribers say.
    let group = Ipv4Addr::from_bits(scene.group(111).ip().to_bits() | 1);
    format!("aeron:udp?endpoint={group}:40456|interface={}{more}", host.addr4())
}

fn directory(stage: &Stage, host: &Host) -> PathBuf {
    stage.path(&format!("aeron-{}", host.name()))
}

/// The number right before some text.
fn number_before(line: &str, text: &str) -> Option<u64> {
    line.split_once(text)?.0.split_whitespace().last()?.parse().ok()
}

/// Value and share of `12.345  0.500000000000  10000  2.00`.
fn percentile(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split_whitespace();
    let figures = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next()?.parse::<u64>().ok().map(|_| figures)
}

/// The largest message of which one fills a datagram of 1408 bytes.
pub(super) const FULL: u64 = 1_376;

const PATIENCE: Duration = Duration::from_secs(10);
