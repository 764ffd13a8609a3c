//! 64 subscribers beside one: what leaves the publisher, and what that costs it.
//!
//! In this lab the publisher's system calls run the switch, the copies to all and their way up to
//! each socket's queue; so its time of a processor grows with them, as raw multicast's beside it does.
//! On path B a burst becomes packets × subscribers there, of which a processor queues 1,000
//! (`net.core.netdev_max_backlog`): to 64, bursts of 44 lose most of themselves in this queue, as on no
//! wire. What comes of that is repair, and path A is the one to go by.

use serde::Serialize;

use crate::cli::{Wanted, Way};
use crate::ours::{Digest, Ours};
use crate::raw::run::{LEN, Raw, SEGMENTS};
use crate::report::Report;
use crate::scene::{Sample, Scene};
use crate::spread::Spread;
use crate::stage::Stage;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestant {
    /// GSO as fast as it goes, lost or not.
    Raw,
    Ours,
}

/// The same to one and to many.
#[derive(Clone, Copy, Debug, Serialize)]
struct Round {
    one: Sample,
    many: Sample,
}

/// All rounds of one contestant on one path.
struct Series {
    way: Way,
    contestant: Contestant,
    /// `None` where it failed.
    rounds: Vec<Option<Round>>,
}

/// Everyone once in every round, on each path that was asked for but C: it is the subscribers'.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let ours = Ours::new(wanted.programs.clone())?;
    let mut all = Vec::new();
    for way in wanted.paths.iter().copied().filter(|way| *way != Way::C) {
        let stage = Stage::build(way, MANY)?;
        let mut both = [Contestant::Raw, Contestant::Ours].map(|contestant| Series {
            way,
            contestant,
            rounds: Vec::new(),
        });
        for round in 1..=wanted.runs {
            for one in &mut both {
                report.progress(&format!("round {round}: {}, fan-out", one.contestant.name()));
                let round = one.round(&stage, &ours, wanted);
                if let Err(error) = &round {
                    report.progress(&format!("left out: {error:#}"));
                }
                one.rounds.push(round.ok());
            }
        }
        all.extend(both);
    }
    for one in &all {
        let name = format!("{}, path {}", one.contestant.name(), one.way.name());
        report.json("fanout", &name, &one.rounds);
    }
    report.table(
        "64 subscribers beside one: bytes that left the publisher, and its time of a processor",
        &[
            "path",
            "who",
            "egress to 1",
            "egress, 64 ÷ 1",
            "lost at 64, %",
            "repair, %",
            "ns a datagram to 1",
            "to 64",
            "64 ÷ 1",
            "of raw at 64",
        ],
        all.iter().map(|one| one.row(&all)).collect(),
    );
    Ok(())
}

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Raw => format!("raw GSO {SEGMENTS}, unpaced"),
            Self::Ours => "onecast".to_owned(),
        }
    }
}

impl Series {
    fn round(&self, stage: &Stage, ours: &Ours, wanted: &Wanted) -> anyhow::Result<Round> {
        let run = |subscribers| {
            let bytes = wanted.bytes.0 / SHARE * if self.way == Way::A { 4 } else { 1 };
            let scene = Scene { way: self.way, subscribers, loss_percent: 0, bytes };
            let packets = bytes / LEN;
            let buffer = wanted.buffer.0;
            match self.contestant {
                Contestant::Raw => Raw { segments: SEGMENTS, len: LEN, packets, rate: 0.0, buffer }
                    .run(stage, &scene),
                Contestant::Ours => ours.run(stage, &scene, Digest::Sha256),
            }
        };
        Ok(Round { one: run(1)?, many: run(MANY)? })
    }

    fn row(&self, all: &[Self]) -> Vec<String> {
        let rounds = || self.rounds.iter().flatten();
        let spread = |figure: fn(&Round) -> f64| Spread::of(rounds().map(figure));
        vec![
            self.way.name().to_owned(),
            self.contestant.name(),
            format!("{:.3}", spread(|it| it.one.egress()).median),
            format!("{:.3}", spread(|it| it.many.egress() / it.one.egress())),
            format!("{:.1}", spread(|it| 100.0 * it.many.loss).median),
            format!("{:.1}", spread(|it| it.many.repair()).median),
            format!("{}", spread(|it| it.one.publisher_nanos())),
            format!("{}", spread(|it| it.many.publisher_nanos())),
            format!("{:.1}", spread(|it| it.many.publisher_nanos() / it.one.publisher_nanos())),
            self.of_raw(all),
        ]
    }

    /// What a datagram to many costs of what it costs raw multicast in the same round.
    fn of_raw(&self, all: &[Self]) -> String {
        let raw = all.iter().find(|it| it.way == self.way && it.contestant == Contestant::Raw);
        let Some(raw) = raw.filter(|_| self.contestant != Contestant::Raw) else {
            return "–".to_owned();
        };
        let rounds = self.rounds.iter().zip(&raw.rounds);
        let ratios = rounds.filter_map(|(own, raw)| {
            Some(own.as_ref()?.many.publisher_nanos() / raw.as_ref()?.many.publisher_nanos())
        });
        format!("{:.2}", Spread::of(ratios))
    }
}

const MANY: usize = 64;

/// A datagram to so many takes long: this part of `--bytes` will do.
const SHARE: u64 = 16;
