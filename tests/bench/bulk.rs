//! Transfers, in turns: raw multicast, onecast, others.

use serde::Serialize;

use crate::cli::{Part, Wanted, Way};
use crate::limit;
use crate::ours::{Digest, Into, Ours};
use crate::peers::Peer;
use crate::raw::run::{LEN, Raw, SEGMENTS};
use crate::report::Report;
use crate::scene::{Sample, Scene};
use crate::spread::Spread;
use crate::stage::Stage;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestant {
    /// The highest rate without loss, with so many datagrams in a call.
    Limit(usize),
    /// As fast as it goes, lost or not.
    Raw(usize),
    Ours(Digest),
    /// What the publisher has in memory.
    Memory(Into),
    Peer(Peer),
}

/// All rounds of one contestant in one scene.
struct Series {
    scene: Scene,
    contestant: Contestant,
    /// `None` where it failed.
    rounds: Vec<Option<Sample>>,
}

/// Runs everyone once in every round.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let ours = Ours::new(wanted.programs.clone())?;
    let mut all = series(wanted, &ours, report);
    let most = wanted.subscribers.iter().copied().max().unwrap_or(1);
    for way in &wanted.paths {
        // One network at a time: a path is measured to its end.
        let mut stage = Stage::build(*way, most)?;
        for round in 1..=wanted.runs {
            for one in all.iter_mut().filter(|one| one.scene.way == *way) {
                let name = one.contestant.name();
                report.progress(&format!("round {round}: {name}, {}", one.scene));
                stage.set_loss(one.scene.loss_percent)?;
                let sample = one.contestant.run(&stage, &one.scene, &ours, wanted);
                if let Err(error) = &sample {
                    report.progress(&format!("left out: {error:#}"));
                }
                one.rounds.push(sample.ok());
            }
        }
    }
    for one in &all {
        report.json("bulk", &one.contestant.name(), &one.facts());
    }
    print(&all, report);
    Ok(())
}

/// Every scene with everyone in it.
fn series(wanted: &Wanted, ours: &Ours, report: &Report) -> Vec<Series> {
    let peers = Peer::of(Part::Bulk, wanted, report);
    let mut digests = vec![Digest::Sha256];
    if ours.can_go_without() {
        digests.push(Digest::None);
    } else {
        report.progress("publisher send has no --digest: its rows without one are left out");
    }
    let mut all = Vec::new();
    for scene in scenes(wanted) {
        let of = |contestant| Series { scene, contestant, rounds: Vec::new() };
        if wanted.has(Part::Limit) && scene.loss_percent == 0 {
            all.extend([1, SEGMENTS].map(Contestant::Limit).map(of));
        }
        if wanted.has(Part::Bulk) {
            if scene.loss_percent == 0 {
                all.extend([1, SEGMENTS].map(Contestant::Raw).map(of));
            }
            all.extend(digests.iter().copied().map(Contestant::Ours).map(of));
            all.push(of(Contestant::Memory(Into::Nothing)));
            if scene.way == Way::C {
                all.extend([Into::File, Into::FilePastCache].map(Contestant::Memory).map(of));
            }
            let peers = peers.iter().filter(|it| it.is_reliable() || scene.loss_percent == 0);
            all.extend(peers.map(|peer| of(Contestant::Peer(*peer))));
        }
    }
    all
}

fn scenes(wanted: &Wanted) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for way in &wanted.paths {
        for subscribers in &wanted.subscribers {
            for loss_percent in &wanted.loss {
                let is_whole = *way == Way::A;
                let share = if *subscribers > 4 { 4 } else { 1 };
                let bytes = wanted.bytes.0 / share * if is_whole { 4 } else { 1 };
                let (way, subscribers, loss_percent) = (*way, *subscribers, *loss_percent);
                // On path A a loss takes a burst; path C is for what receivers cost.
                if loss_percent == 0 || way == Way::B {
                    scenes.push(Scene { way, subscribers, loss_percent, bytes });
                }
            }
        }
    }
    scenes
}

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Limit(1) => "raw sendto, loss-free".to_owned(),
            Self::Limit(segments) => format!("raw GSO {segments}, loss-free"),
            Self::Raw(1) => "raw sendto, unpaced".to_owned(),
            Self::Raw(segments) => format!("raw GSO {segments}, unpaced"),
            Self::Ours(Digest::Sha256) => "onecast".to_owned(),
            Self::Ours(Digest::None) => "onecast, no digest".to_owned(),
            Self::Memory(Into::Nothing) => "onecast, from memory".to_owned(),
            Self::Memory(Into::File) => "onecast, from memory to a file".to_owned(),
            Self::Memory(Into::FilePastCache) => "onecast, the same by --direct-io".to_owned(),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }

    fn run(
        self,
        stage: &Stage,
        scene: &Scene,
        ours: &Ours,
        wanted: &Wanted,
    ) -> anyhow::Result<Sample> {
        let buffer = wanted.buffer.0;
        match self {
            Self::Limit(segments) => limit::search(stage, scene, segments, buffer),
            Self::Raw(segments) => {
                // One by one takes many times as long.
                let bytes = if segments == 1 { scene.bytes / 8 } else { scene.bytes };
                Raw { segments, len: LEN, packets: bytes / LEN, rate: 0.0, buffer }
                    .run(stage, scene)
            }
            Self::Ours(digest) => ours.run(stage, scene, digest),
            Self::Memory(into) => ours.run_from_memory(stage, scene, into),
            Self::Peer(peer) => peer.run(stage, scene),
        }
    }
}

impl Series {
    fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.rounds.iter().flatten().map(figure))
    }

    /// What each round is of another series' same round.
    fn ratio(&self, other: Option<&Self>, figure: impl Fn(&Sample) -> f64) -> String {
        let Some(other) = other else { return "–".to_owned() };
        let pairs = self.rounds.iter().zip(&other.rounds);
        let ratios = pairs.filter_map(|(one, other)| {
            Some(figure(one.as_ref()?) / figure(other.as_ref()?)).filter(|it| it.is_finite())
        });
        let spread = Spread::of(ratios);
        if spread.max > 0.0 { format!("{spread:.2}") } else { "–".to_owned() }
    }

    fn row(&self, all: &[Self]) -> Vec<String> {
        let limit = self.beside(all, Contestant::Limit(SEGMENTS));
        let median = |figure: fn(&Sample) -> f64| format!("{:.2}", self.spread(figure).median);
        vec![
            self.scene.short(),
            self.contestant.name(),
            format!("{:.1}", self.spread(Sample::megabytes_a_second)),
            self.ratio(limit, Sample::megabytes_a_second),
            format!("{:.3}", self.spread(Sample::egress).median),
            median(|sample| 100.0 * sample.loss),
            self.rounds.iter().flatten().count().to_string(),
        ]
    }

    /// What it cost. Who spins to keep a rate has no cost of its own.
    fn costs(&self, all: &[Self]) -> Option<Vec<String>> {
        let raw = self.beside(all, Contestant::Raw(SEGMENTS));
        let counted = |figure: fn(&Sample) -> f64| {
            let spread = self.spread(figure);
            if spread.max > 0.0 { format!("{spread}") } else { "–".to_owned() }
        };
        let mib = |bytes: fn(&Sample) -> f64| {
            let spread = self.spread(bytes).per(f64::from(1 << 20));
            if spread.max > 0.0 { format!("{:.0}", spread.max) } else { "–".to_owned() }
        };
        let median = |figure: fn(&Sample) -> f64| format!("{:.2}", self.spread(figure).median);
        let spins = matches!(self.contestant, Contestant::Limit(_));
        (!spins).then(|| {
            vec![
                self.scene.short(),
                self.contestant.name(),
                counted(Sample::publisher_nanos),
                self.ratio(raw, Sample::publisher_nanos),
                counted(Sample::subscriber_nanos),
                self.ratio(raw, Sample::subscriber_nanos),
                median(Sample::publisher_seconds_a_gigabyte),
                median(Sample::subscriber_seconds_a_gigabyte),
                mib(|sample| sample.publisher_memory_bytes as f64),
                mib(|sample| sample.subscriber_memory_bytes as f64),
            ]
        })
    }

    /// Another contestant with as many subscribers on the same path, without loss.
    fn beside<'a>(&self, all: &'a [Self], contestant: Contestant) -> Option<&'a Self> {
        let of = |scene: &Scene| (scene.way, scene.subscribers);
        let mut same = all.iter().filter(|it| of(&it.scene) == of(&self.scene));
        same.find(|it| it.contestant == contestant && it.contestant != self.contestant)
    }

    fn facts(&self) -> impl Serialize {
        serde_json::json!({
            "path": self.scene.way.name(),
            "subscribers": self.scene.subscribers,
            "loss_percent": self.scene.loss_percent,
            "samples": self.rounds,
        })
    }
}

fn print(all: &[Series], report: &Report) {
    report.table(
        "Speed to each subscriber: median (smallest–largest); of the highest loss-free rate of raw GSO",
        &["path N loss", "who", "MB/s", "of limit", "egress", "lost %", "rounds"],
        all.iter().map(|one| one.row(all)).collect(),
    );
    report.table(
        "Processor time: for each datagram, and of what raw GSO as fast as it goes takes; for 10^9 bytes",
        &[
            "path N loss",
            "who",
            "publisher ns",
            "of raw",
            "subscriber ns",
            "of raw",
            "pub s/GB",
            "sub s/GB",
            "pub MiB",
            "sub MiB",
        ],
        all.iter().filter_map(|one| one.costs(all)).collect(),
    );
}
