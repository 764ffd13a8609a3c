//! How long a small message takes, one way: 128 B, 10,000 times a second, on path A.
//!
//! Raw: a blocking sendto and a blocking recv, with the time in the message; beside it the same with a
//! receiver that looks for the next all the time. onecast sends by the library of `server`, without a
//! linger, and receives by that of `client`: on a thread of its own, or on the one that asks, which
//! sleeps or spins. The first fifth of a second of each is not counted.
//! sockperf, Cyclone DDS and Aeron halve a round trip.

use std::time::Duration;

use crate::cli::{Part, Wanted, Way};
use crate::peers::Peer;
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
    Raw(Wait),
    Ours(Thread, Wait),
    Peer(Peer),
}

/// Where onecast's library receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// On its own (`join`), which wakes the program's.
    Apart,
    /// On the program's (`join_direct`).
    Direct,
}

/// How a receiver waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// It sleeps until something comes.
    Block,
    /// It looks all the time, on a processor of its own: so only to one.
    Spin,
}

/// All rounds of one of them.
struct Series {
    contestant: Contestant,
    subscribers: usize,
    rounds: Vec<Delays>,
}

/// Everyone once in every round; of several subscribers the worst counts.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let own = [
        Contestant::Raw(Wait::Block),
        Contestant::Ours(Thread::Apart, Wait::Block),
        Contestant::Ours(Thread::Direct, Wait::Block),
        Contestant::Raw(Wait::Spin),
        Contestant::Ours(Thread::Direct, Wait::Spin),
    ];
    let peers = Peer::of(Part::Latency, wanted, report).into_iter().map(Contestant::Peer);
    let mut all: Vec<Series> = own
        .into_iter()
        .chain(peers)
        .flat_map(|contestant| {
            let of = move |subscribers| Series { contestant, subscribers, rounds: Vec::new() };
            contestant.audiences().iter().copied().map(of)
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
        "128 B at 10,000/s, one way, µs, path A, worst subscriber; the first 0.2 s is not counted",
        &["who", "subscribers", "p50", "p99", "p99.9", "largest"],
        all.iter().map(Series::row).collect(),
    );
    Ok(())
}

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Self::Raw(Wait::Block) => "raw sendto and recv",
            Self::Raw(Wait::Spin) => "raw sendto and recv, spinning",
            Self::Ours(Thread::Apart, Wait::Block) => "onecast, linger 0",
            Self::Ours(Thread::Apart, Wait::Spin) => "onecast, linger 0, spinning",
            Self::Ours(Thread::Direct, Wait::Block) => "onecast, linger 0, direct",
            Self::Ours(Thread::Direct, Wait::Spin) => "onecast, linger 0, direct, spinning",
            Self::Peer(peer) => peer.name(),
        }
    }

    /// To how many.
    fn audiences(self) -> &'static [usize] {
        match self {
            Self::Raw(Wait::Block) | Self::Ours(_, Wait::Block) => &[1, 4],
            Self::Raw(Wait::Spin) | Self::Ours(_, Wait::Spin) => &[1],
            Self::Peer(peer) => peer.latency_audiences(),
        }
    }

    fn run(self, stage: &Stage, subscribers: usize) -> anyhow::Result<Delays> {
        let scene = Scene { way: Way::A, subscribers, loss_percent: 0, bytes: 0 };
        match self {
            Self::Raw(wait) => {
                let roles = ["raw-ping-send", "raw-ping-receive"];
                ping(stage, &scene, roles, wait.flag().as_slice())
            }
            Self::Ours(thread, wait) => {
                let flags: Vec<_> = thread.flag().into_iter().chain(wait.flag()).collect();
                ping(stage, &scene, ["ping-send", "ping-receive"], &flags)
            }
            Self::Peer(peer) => peer.latency(stage, &scene),
        }
    }
}

impl Thread {
    fn flag(self) -> Option<&'static str> {
        (self == Self::Direct).then_some("--direct")
    }
}

impl Wait {
    fn flag(self) -> Option<&'static str> {
        (self == Self::Spin).then_some("--spin")
    }
}

impl Series {
    fn row(&self) -> Vec<String> {
        let spread = |figure: fn(&Delays) -> f64| {
            let spread = Spread::of(self.rounds.iter().map(figure));
            if spread.max > 0.0 { format!("{spread:.1}") } else { "–".to_owned() }
        };
        vec![
            self.contestant.name().to_owned(),
            self.subscribers.to_string(),
            spread(|delays| delays.p50),
            spread(|delays| delays.p99),
            spread(|delays| delays.p999.unwrap_or_default()),
            spread(|delays| delays.largest),
        ]
    }
}

/// Both ends by this program, in the roles of a sender and a receiver.
fn ping(
    stage: &Stage,
    scene: &Scene,
    [send, receive]: [&str; 2],
    flags: &[&str],
) -> anyhow::Result<Delays> {
    let group = scene.group(if send == "ping-send" { 108 } else { 106 });
    let start = |role: &str, host: &lab::net::Host| {
        let mut command = this_program(role, &group.to_string())?;
        command.args(["--at", &host.addr4().to_string(), "--count", MESSAGES]);
        command.args(["--subscribers", &scene.subscribers.to_string()]).args(flags);
        Program::start(host, command)
    };
    let mut all = Vec::new();
    for host in stage.subscribers(scene.subscribers)? {
        let mut receiver = start(receive, host)?;
        receiver.wait_for(JOINED, PATIENCE)?;
        all.push(receiver);
    }
    stage.wait_for_members(*group.ip(), scene.subscribers)?;
    let mut sender = [start(send, stage.publisher()?)?];
    wait_for_all(&mut sender, PATIENCE)?;
    wait_for_all(&mut all, PATIENCE)?;
    let mut worst = Delays::default();
    for receiver in &all {
        let delays: Delays = serde_json::from_value(receiver.object_with("p50")?)?;
        worst = if delays.p50 > worst.p50 { delays } else { worst };
    }
    Ok(worst)
}

/// Two seconds of them.
const MESSAGES: &str = "20000";

const PATIENCE: Duration = Duration::from_secs(20);
