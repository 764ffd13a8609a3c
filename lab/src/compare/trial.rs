//! One way, one number of subscribers.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use proto::units::Ratio;
use serde_json::Value;

use super::figures::{Figures, Row};
use super::{BYSTANDERS, Way};
use crate::demo::program::Program;
use crate::demo::source::Source;
use crate::demo::stage::Stage;
use crate::net::LinkCounters;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) way: Way,
    pub(super) subscribers: u32,
    pub(super) loss: Ratio,
}

/// What is running.
struct Running {
    subscribers: Vec<(String, Program)>,
    publisher: Program,
}

impl Trial {
    /// Runs it; `hosts` of the stage are for subscribers, those after them for bystanders.
    pub(super) fn run(
        self,
        stage: &Stage,
        source: &Source,
        hosts: usize,
    ) -> anyhow::Result<Figures> {
        let endpoint = self.endpoint(stage)?;
        let watched: Vec<String> = (1..=BYSTANDERS).map(|i| format!("s{}", hosts + i)).collect();
        let subscribers = self.subscribe(stage, source, &endpoint)?;
        let before = counters(stage, &watched)?;
        let publisher = self.publish(stage, source, &endpoint)?;
        let running = Running { subscribers, publisher };
        let (running, cpu, wall) = running.finish()?;
        let after = counters(stage, &watched)?;
        let crossed: Vec<LinkCounters> =
            after.iter().zip(&before).map(|(after, before)| after.since(before)).collect();
        self.figures(source, running, &crossed, (cpu, wall))
    }

    fn endpoint(self, stage: &Stage) -> anyhow::Result<String> {
        let lab = stage.lab().context("no switch")?;
        let publisher = lab.host("pub")?;
        Ok(match self.way {
            Way::Multicast => format!("udp://239.77.2.1:{PORT}"),
            Way::Broadcast => format!("udp://{}:{PORT}", publisher.broadcast()),
            Way::Unicast => format!("unicast://{}:{PORT}", publisher.addr4()),
            Way::Tcp => format!("tcp://{}:{PORT}", publisher.addr4()),
        })
    }

    fn subscribe(
        self,
        stage: &Stage,
        source: &Source,
        endpoint: &str,
    ) -> anyhow::Result<Vec<(String, Program)>> {
        let mut all = Vec::new();
        for host in (1..=self.subscribers).map(|i| format!("s{i}")) {
            let output = source.output(&host).display().to_string();
            let args = ["receive", endpoint, "--name", &host, "--from", "oldest", "--json"];
            let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
            if matches!(self.way, Way::Multicast | Way::Broadcast) {
                args.extend(["--interface".to_owned(), "eth0".to_owned()]);
            }
            if self.loss.value() > 0.0 {
                // Each its own chance, and the same again with every run.
                let seed = host.bytes().fold(0_u32, |seed, byte| seed * 31 + u32::from(byte));
                args.extend(["--impair".to_owned(), format!("loss={},seed={seed}", self.loss)]);
            }
            args.extend(["-o".to_owned(), output]);
            all.push((host.clone(), Program::start(stage, &host, "subscriber", &args)?));
        }
        let late = Instant::now() + PATIENCE;
        while !all.iter().all(|(_, program)| program.has_joined()) {
            if Instant::now() > late {
                bail!("subscribers did not start: {}", complaints(&all));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(all)
    }

    fn publish(self, stage: &Stage, source: &Source, endpoint: &str) -> anyhow::Result<Program> {
        let input = source.path().display().to_string();
        let wait_for = format!("{},20s", self.subscribers);
        let args = ["send", &input, "--to", endpoint, "--wait-for", &wait_for, "--json"];
        let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        if matches!(self.way, Way::Multicast | Way::Broadcast) {
            args.extend(["--interface".to_owned(), "eth0".to_owned()]);
        }
        Program::start(stage, "pub", "publisher", &args)
    }

    fn figures(
        self,
        source: &Source,
        running: Running,
        crossed: &[LinkCounters],
        (cpu, wall): (Duration, Duration),
    ) -> anyhow::Result<Figures> {
        let mut delivered_bytes = 0;
        let mut complete = true;
        for (host, program) in running.subscribers {
            let summary = program.summary()?;
            delivered_bytes += number(&summary, "delivered_bytes");
            let is_same = summary.get("sha256").and_then(Value::as_str) == Some(source.sha256());
            let is_whole = summary.get("complete").and_then(Value::as_bool) == Some(true);
            complete &= is_same && is_whole;
            // The next trial writes its own.
            drop(fs::remove_file(source.output(&host)));
        }
        let publisher = running.publisher.summary()?;
        let [egress, bystanders @ ..] = crossed else { bail!("nothing was counted") };
        let bystander_rx_bytes: u64 = bystanders.iter().map(|counted| counted.rx_bytes).sum();
        let row = Row {
            mode: self.way.name(),
            subscribers: self.subscribers,
            payload_bytes: source.len(),
            egress_bytes: egress.tx_bytes,
            egress_datagrams: egress.tx_packets,
            publisher_cpu_seconds: cpu.as_secs_f64(),
            wall_seconds: wall.as_secs_f64(),
            delivered_bytes,
            complete,
            bystander_rx_bytes: bystander_rx_bytes / bystanders.len().max(1) as u64,
        };
        Ok(Figures { way: self.way, row, counted_bytes: number(&publisher, "egress_bytes") })
    }
}

impl Running {
    /// Waits for all; gives back the publisher's time of a processor, and the time from the first byte
    /// until the last subscriber had everything.
    fn finish(mut self) -> anyhow::Result<(Self, Duration, Duration)> {
        let late = Instant::now() + PATIENCE;
        let (mut cpu, mut received_at) = (None, None);
        while cpu.is_none() || received_at.is_none() {
            if Instant::now() > late {
                let complaints = complaints(&self.subscribers);
                bail!("it took too long: {} {complaints}", self.publisher.complaints());
            }
            if cpu.is_none() {
                cpu = self.reap_publisher()?;
            }
            // The two accounts must not mix: subscribers are taken note of one turn later.
            if received_at.is_none() && self.has_all_received()? {
                received_at = Some(Instant::now());
            }
            thread::sleep(LOOK_EVERY);
        }
        let started = self.publisher.started_at().context("the publisher never started")?;
        let wall = received_at.unwrap_or(started).saturating_duration_since(started);
        Ok((self, cpu.unwrap_or_default(), wall))
    }

    fn has_all_received(&mut self) -> anyhow::Result<bool> {
        let mut all = true;
        for (_, program) in &mut self.subscribers {
            all &= program.ended()?.is_some();
        }
        Ok(all)
    }

    /// What the kernel adds to the account of ended children when this one is taken note of.
    fn reap_publisher(&mut self) -> anyhow::Result<Option<Duration>> {
        let before = children()?;
        let ended = self.publisher.ended()?;
        Ok(ended.map(|_| children()).transpose()?.map(|after| after.saturating_sub(before)))
    }
}

/// Time of a processor that ended children used.
fn children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("no account of children")?;
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default()
    };
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

/// The publisher's, then the bystanders'.
fn counters(stage: &Stage, watched: &[String]) -> anyhow::Result<Vec<LinkCounters>> {
    let hosts = std::iter::once("pub").chain(watched.iter().map(String::as_str));
    hosts.map(|host| stage.counters(host)?.context("a host without an interface")).collect()
}

fn complaints(all: &[(String, Program)]) -> String {
    all.iter().map(|(_, program)| program.complaints()).collect::<Vec<_>>().join("\n")
}

fn number(line: &Value, field: &str) -> u64 {
    line.get(field).and_then(Value::as_u64).unwrap_or(0)
}

const PORT: u16 = 5_077;

/// Many times what one takes.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_EVERY: Duration = Duration::from_millis(2);
