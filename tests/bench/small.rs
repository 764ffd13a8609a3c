//! Messages of 128 B as fast as they go, on path A, to four subscribers.
//!
//! Raw: one datagram for each, by one sendto each, and by GSO of 44. onecast: by its libraries, in a
//! process each, with no linger and with 50 µs of it; every message arrives, in order.

use std::time::Duration;

use crate::cli::{Part, Wanted, Way};
use crate::peers::Peer;
use crate::program::{Program, wait_for_all};
use crate::raw::run::{Raw, SEGMENTS, this_program};
use crate::raw::{JOINED, Received};
use crate::report::Report;
use crate::scene::{Sample, Scene, egress};
use crate::spread::Spread;
use crate::stage::Stage;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestant {
    /// So many datagrams in a call.
    Raw(usize),
    /// With a linger of so many microseconds.
    Ours(u64),
    Peer(Peer),
}

/// All rounds of one of them.
struct Series {
    contestant: Contestant,
    rounds: Vec<Sample>,
}

/// Everyone once in every round.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let contestants = [1, SEGMENTS].map(Contestant::Raw).into_iter();
    let contestants = contestants.chain([0, 50].map(Contestant::Ours));
    let peers = Peer::of(Part::Small, wanted, report).into_iter().map(Contestant::Peer);
    let mut all: Vec<Series> = contestants
        .chain(peers)
        .map(|contestant| Series { contestant, rounds: Vec::new() })
        .collect();
    let stage = Stage::build(Way::A, SUBSCRIBERS)?;
    let scene =
        Scene { way: Way::A, subscribers: SUBSCRIBERS, loss_percent: 0, bytes: wanted.bytes.0 };
    for round in 1..=wanted.runs {
        for one in &mut all {
            report.progress(&format!("round {round}: {} of 128 B", one.contestant.name()));
            match one.contestant.run(&stage, &scene, wanted) {
                Ok(sample) => one.rounds.push(sample),
                Err(error) => report.progress(&format!("left out: {error:#}")),
            }
        }
    }
    for one in &all {
        report.json("small", &one.contestant.name(), &one.rounds);
    }
    report.table(
        "128 B as fast as they go, path A, 4 subscribers",
        &[
            "who",
            "messages/s to each",
            "publisher ns a message",
            "subscriber ns",
            "egress B",
            "lost %",
            "rounds",
        ],
        all.iter().map(Series::row).collect(),
    );
    Ok(())
}

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Raw(1) => "raw sendto".to_owned(),
            Self::Raw(segments) => format!("raw GSO {segments}"),
            Self::Ours(0) => "onecast, --linger 0".to_owned(),
            Self::Ours(linger) => format!("onecast, --linger {linger}us"),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }

    fn run(self, stage: &Stage, scene: &Scene, wanted: &Wanted) -> anyhow::Result<Sample> {
        match self {
            Self::Raw(segments) => {
                // A datagram for each message takes many times as long.
                let packets = scene.bytes / LEN / if segments == 1 { 8 } else { 1 };
                let raw = Raw { segments, len: LEN, packets, rate: 0.0, buffer: wanted.buffer.0 };
                raw.run(stage, scene)
            }
            Self::Ours(linger) => flood(stage, scene, linger),
            Self::Peer(peer) => peer.messages(stage, scene, LEN),
        }
    }
}

impl Series {
    fn row(&self) -> Vec<String> {
        let spread = |figure: fn(&Sample) -> f64| Spread::of(self.rounds.iter().map(figure));
        let a_message = |of: fn(&Sample) -> f64| {
            let spread = |it: &Sample| of(it) * LEN as f64 / it.payload_bytes as f64;
            Spread::of(self.rounds.iter().map(spread))
        };
        vec![
            self.contestant.name(),
            format!("{}", spread(|it| it.messages_a_second(LEN))),
            format!("{}", a_message(|it| it.publisher_cpu_seconds * 1e9)),
            format!("{}", a_message(|it| it.subscriber_cpu_seconds * 1e9)),
            format!("{:.0}", a_message(|it| it.egress_bytes as f64).median),
            format!("{:.2}", spread(|it| 100.0 * it.loss).median),
            self.rounds.len().to_string(),
        ]
    }
}

/// By the libraries; an error if a subscriber has not all of them.
fn flood(stage: &Stage, scene: &Scene, linger: u64) -> anyhow::Result<Sample> {
    let group = scene.group(109);
    let start = |role: &str, host: &lab::net::Host| {
        let mut command = this_program(role, &group.to_string())?;
        command.args(["--at", &host.addr4().to_string(), "--len", &LEN.to_string()]);
        command.args(["--count", &(scene.bytes / LEN).to_string()]);
        command.args(["--subscribers", &scene.subscribers.to_string()]);
        command.args(["--linger", &linger.to_string()]);
        Program::start(host, command)
    };
    let mut subscribers = Vec::new();
    for host in stage.subscribers(scene.subscribers)? {
        let mut subscriber = start("flood-receive", host)?;
        subscriber.wait_for(JOINED, PATIENCE)?;
        subscribers.push(subscriber);
    }
    stage.wait_for_members(*group.ip(), scene.subscribers)?;
    let before = egress(stage)?;
    let mut publisher = [start("flood-send", stage.publisher()?)?];
    wait_for_all(&mut publisher, scene.patience())?;
    wait_for_all(&mut subscribers, PATIENCE)?;
    let egress = egress(stage)? - before;
    let mut slowest = 0.0_f64;
    for subscriber in &subscribers {
        let received: Received = serde_json::from_value(subscriber.object_with("packets")?)?;
        anyhow::ensure!(received.bytes == scene.bytes, "a subscriber has {}", received.packets);
        slowest = slowest.max(received.seconds);
    }
    let [publisher] = &publisher;
    let wall = Duration::from_secs_f64(slowest);
    Sample::of(scene.bytes, wall, publisher, &subscribers, egress)
}

const SUBSCRIBERS: usize = 4;

const LEN: u64 = 128;

const PATIENCE: Duration = Duration::from_secs(20);
