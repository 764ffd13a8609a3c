//! What protection costs: a plain stream, the same sealed, and the same sealed and signed, in turns.

use serde::Serialize;

use crate::cli::{Wanted, Way};
use crate::ours::{Ours, Protection};
use crate::report::Report;
use crate::scene::{Sample, Scene};
use crate::spread::Spread;
use crate::stage::Stage;

/// All rounds of one protection in one scene.
struct Series {
    scene: Scene,
    protection: Protection,
    /// `None` where it failed.
    rounds: Vec<Option<Sample>>,
}

/// Everyone once in every round: with four subscribers and with one, where bursts are split and where
/// they are not.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let ours = Ours::new(wanted.programs.clone())?;
    let mut protections = vec![Protection::None, Protection::Key];
    if ours.can_sign() {
        protections.push(Protection::Signed);
    } else {
        report.progress("publisher send has no --sign: its rows are left out");
    }
    let mut all = Vec::new();
    for way in wanted.paths.iter().copied().filter(|way| *way != Way::C) {
        let stage = Stage::build(way, MOST)?;
        let mut here = series(way, &protections, wanted);
        for round in 1..=wanted.runs {
            for one in &mut here {
                let name = one.protection.name();
                report.progress(&format!("round {round}: {name}, {}", one.scene));
                let sample = ours.run_protected(&stage, &one.scene, one.protection);
                if let Err(error) = &sample {
                    report.progress(&format!("left out: {error:#}"));
                }
                one.rounds.push(sample.ok());
            }
        }
        all.extend(here);
    }
    for one in &all {
        report.json("price", one.protection.name(), &one.facts());
    }
    print(&all, report);
    Ok(())
}

fn series(way: Way, protections: &[Protection], wanted: &Wanted) -> Vec<Series> {
    let bytes = wanted.bytes.0 * if way == Way::A { 4 } else { 1 };
    let scenes = [MOST, 1].map(|subscribers| Scene { way, subscribers, loss_percent: 0, bytes });
    let of = |scene| {
        let of = move |protection| Series { scene, protection, rounds: Vec::new() };
        protections.iter().copied().map(of)
    };
    scenes.into_iter().flat_map(of).collect()
}

fn print(all: &[Series], report: &Report) {
    report.table(
        "The price of protection: medians (smallest–largest), and round by round beside a plain stream",
        &["path N loss", "what", "MB/s", "of plain", "pub s/GB", "of plain", "bytes", "of plain"],
        all.iter().map(|one| one.row(all)).collect(),
    );
}

impl Series {
    fn row(&self, all: &[Self]) -> Vec<String> {
        let spread = |figure: fn(&Sample) -> f64| {
            let spread = Spread::of(self.rounds.iter().flatten().map(figure));
            format!("{spread:.2}")
        };
        let plain = all.iter().find(|it| {
            it.scene == self.scene
                && it.protection == Protection::None
                && it.protection != self.protection
        });
        vec![
            self.scene.short(),
            self.protection.name().to_owned(),
            spread(Sample::megabytes_a_second),
            self.of(plain, Sample::megabytes_a_second),
            spread(Sample::publisher_seconds_a_gigabyte),
            self.of(plain, Sample::publisher_seconds_a_gigabyte),
            spread(Sample::egress),
            self.of(plain, Sample::egress),
        ]
    }

    /// What each round is of the plain one's.
    fn of(&self, plain: Option<&Self>, figure: fn(&Sample) -> f64) -> String {
        let Some(plain) = plain else { return "–".to_owned() };
        let pairs = self.rounds.iter().zip(&plain.rounds);
        let ratios =
            pairs.filter_map(|(one, plain)| Some(figure(one.as_ref()?) / figure(plain.as_ref()?)));
        let spread = Spread::of(ratios);
        format!("{spread:.3}")
    }

    fn facts(&self) -> impl Serialize {
        serde_json::json!({
            "path": self.scene.way.name(),
            "subscribers": self.scene.subscribers,
            "samples": self.rounds,
        })
    }
}

const MOST: usize = 4;
