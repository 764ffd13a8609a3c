//! How long a small message takes, one way: 128 B, 10,000 times a second, on path A.
//!
//! Raw: a blocking sendto and a blocking recv, with the time in the message. sockperf halves a round
//! trip. onecast sends by the library of `server`, without a linger, and receives by that of `client`.

use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::Signal;

use crate::cli::{Wanted, Way};
use crate::peers::is_installed;
use crate::program::{Program, wait_for_all};
use crate::raw::JOINED;
use crate::raw::ping::Delays;
use crate::raw::run::this_program;
use crate::report::Report;
use crate::scene::Scene;
use crate::spread::Spread;
use crate::stage::Stage;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestant {
    Raw,
    Ours,
    Sockperf,
}

/// All rounds of one of them.
struct Series {
    contestant: Contestant,
    subscribers: usize,
    rounds: Vec<Delays>,
}

/// Everyone once in every round; of several subscribers the worst counts.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let contestants = [Contestant::Raw, Contestant::Ours, Contestant::Sockperf].into_iter();
    let contestants = contestants.filter(|it| it.is_wanted(wanted));
    let mut all: Vec<Series> = contestants
        .flat_map(|contestant| {
            [1, 4].map(|subscribers| Series { contestant, subscribers, rounds: Vec::new() })
        })
        .collect();
    let stage = Stage::build(Way::A, 4)?;
    for round in 1..=wanted.runs {
        for one in &mut all {
            let name = one.contestant.name();
            report.progress(&format!("round {round}: {name}, {} subscribers", one.subscribers));
            match one.contestant.run(&stage, one.subscribers) {
                Ok(delays) => one.rounds.push(delays),
                Err(error) => report.progress(&format!("left out: {error:#}")),
            }
        }
    }
    for one in &all {
        let name = format!("{} to {}", one.contestant.name(), one.subscribers);
        report.json("latency", &name, &one.rounds);
    }
    report.table(
        "128 B at 10,000/s, one way, µs, path A, worst subscriber",
        &["who", "subscribers", "p50", "p99", "p99.9", "largest"],
        all.iter().map(Series::row).collect(),
    );
    Ok(())
}

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw sendto and recv",
            Self::Ours => "onecast, --linger 0",
            Self::Sockperf => "sockperf, RTT ÷ 2",
        }
    }

    fn is_wanted(self, wanted: &Wanted) -> bool {
        match self {
            Self::Raw | Self::Ours => true,
            Self::Sockperf => wanted.peers && is_installed("sockperf"),
        }
    }

    fn run(self, stage: &Stage, subscribers: usize) -> anyhow::Result<Delays> {
        let scene = Scene { way: Way::A, subscribers, loss_percent: 0, bytes: 0 };
        match self {
            Self::Raw => ping(stage, &scene, 0),
            Self::Ours => ping(stage, &scene, subscribers),
            Self::Sockperf => sockperf(stage, &scene),
        }
    }
}

impl Series {
    fn row(&self) -> Vec<String> {
        let spread = |figure: fn(&Delays) -> f64| {
            format!("{:.1}", Spread::of(self.rounds.iter().map(figure)))
        };
        vec![
            self.contestant.name().to_owned(),
            self.subscribers.to_string(),
            spread(|delays| delays.p50),
            spread(|delays| delays.p99),
            spread(|delays| delays.p999),
            spread(|delays| delays.largest),
        ]
    }
}

/// Raw, or to so many by the libraries.
fn ping(stage: &Stage, scene: &Scene, by_library: usize) -> anyhow::Result<Delays> {
    let group = scene.group(if by_library > 0 { 108 } else { 106 });
    let start = |role: &str, host: &lab::net::Host| {
        let mut command = this_program(role, &group.to_string())?;
        command.args(["--at", &host.addr4().to_string(), "--count", MESSAGES]);
        command.args(["--subscribers", &by_library.to_string()]);
        Program::start(host, command)
    };
    let mut all = Vec::new();
    for host in stage.subscribers(scene.subscribers)? {
        let mut receiver = start("ping-receive", host)?;
        receiver.wait_for(JOINED, PATIENCE)?;
        all.push(receiver);
    }
    stage.wait_for_members(*group.ip(), scene.subscribers)?;
    let mut sender = [start("ping-send", stage.publisher()?)?];
    wait_for_all(&mut sender, PATIENCE)?;
    wait_for_all(&mut all, PATIENCE)?;
    let mut worst = Delays::default();
    for receiver in &all {
        let delays: Delays = serde_json::from_value(receiver.object_with("p50")?)?;
        worst = if delays.p50 > worst.p50 { delays } else { worst };
    }
    Ok(worst)
}

fn sockperf(stage: &Stage, scene: &Scene) -> anyhow::Result<Delays> {
    let group = scene.group(107).ip().to_string();
    let mut servers = Vec::new();
    for host in stage.subscribers(scene.subscribers)? {
        let at = host.addr4().to_string();
        let mut command = Command::new("sockperf");
        command.args(["sr", "-i", &group, "-p", "11111", "--mc-rx-if", &at, "--mc-tx-if", &at]);
        command.args(["--force-unicast-reply", "--buffer-size", "4194304"]);
        servers.push(Program::start(host, command)?);
    }
    stage.wait_for_members(*scene.group(107).ip(), scene.subscribers)?;
    let publisher = stage.publisher()?;
    let mut command = Command::new("sockperf");
    command.args(["ul", "-i", &group, "-p", "11111", "--mc-ttl", "1", "-m", "128", "-t", "2"]);
    command.args(["--mc-tx-if", &publisher.addr4().to_string(), "--buffer-size", "4194304"]);
    command.args(["--srv-num", &scene.subscribers.to_string(), "--mps", "10000"]);
    command.args(["--reply-every", "10"]);
    let mut client = [Program::start(publisher, command)?];
    wait_for_all(&mut client, PATIENCE)?;
    for server in &servers {
        server.signal(Signal::SIGTERM);
    }
    wait_for_all(&mut servers, PATIENCE)?;
    let [client] = &client;
    let figure = |name: &str| percentile(client, name);
    let (p50, p99) = (figure("percentile 50.000")?, figure("percentile 99.000")?);
    let (p999, largest) = (figure("percentile 99.900")?, figure("<MAX> observation")?);
    Ok(Delays { p50, p99, p999, largest, received: 0 })
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

/// Two seconds of them.
const MESSAGES: &str = "20000";

const PATIENCE: Duration = Duration::from_secs(20);
