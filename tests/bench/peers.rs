//! Others, where they are on PATH: as their manuals would run them, with the flags that make them fast.
//!
//! From Debian: uftp, udpcast, iperf, sockperf, cyclonedds-tools. normCast and aeronmd with Aeron's
//! samples are not packaged there: whoever has built them is measured, too.

mod aeron;
mod dds;
mod iperf;
mod norm;
mod sockperf;
mod udpcast;
mod uftp;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::net::Host;
use nix::sys::signal::Signal;

use crate::cli::{Part, Wanted};
use crate::program::{Program, wait_for_all};
use crate::raw::ping::Delays;
use crate::report::Report;
use crate::scene::{Sample, Scene};
use crate::stage::Stage;

/// Another program that sends to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Uftp,
    Udpcast,
    Norm,
    Dds,
    Aeron,
    Iperf,
    Sockperf,
}

impl Peer {
    const ALL: [Self; 7] = [
        Self::Uftp,
        Self::Udpcast,
        Self::Norm,
        Self::Dds,
        Self::Aeron,
        Self::Iperf,
        Self::Sockperf,
    ];

    /// Those that were asked for, can be measured in this part, and are here; says who is not.
    pub(crate) fn of(part: Part, wanted: &Wanted, report: &Report) -> Vec<Self> {
        let able = Self::ALL.into_iter().filter(|peer| wanted.peers && peer.can(part));
        let (here, missing): (Vec<_>, Vec<_>) = able.partition(|peer| peer.missing().is_none());
        for peer in missing {
            let program = peer.missing().unwrap_or_default();
            report.progress(&format!("{} is left out: no {program} on PATH", peer.name()));
        }
        here
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uftp => "uftp",
            Self::Udpcast => "udpcast",
            Self::Norm => "NORM (normCast)",
            Self::Dds => "Cyclone DDS (ddsperf)",
            Self::Aeron => "Aeron (samples, spinning)",
            Self::Iperf => "iperf",
            Self::Sockperf => "sockperf",
        }
    }

    /// Whether all that was sent has to arrive.
    pub(crate) fn is_reliable(self) -> bool {
        self != Self::Iperf
    }

    /// To how many subscribers its latency can be told.
    pub(crate) fn latency_audiences(self) -> &'static [usize] {
        // Its sample measures one answer.
        if self == Self::Aeron { &[1] } else { &[1, 4] }
    }

    /// Sends the scene's bytes, or for a while.
    pub(crate) fn run(self, stage: &Stage, scene: &Scene) -> anyhow::Result<Sample> {
        match self {
            Self::Uftp => uftp::send(stage, scene),
            Self::Udpcast => udpcast::send(stage, scene),
            Self::Norm => norm::send(stage, scene),
            Self::Dds => dds::send(stage, scene, dds::FULL),
            Self::Aeron => aeron::send(stage, scene, aeron::FULL),
            Self::Iperf => iperf::send(stage, scene),
            Self::Sockperf => bail!("it moves no bytes"),
        }
        .with_context(|| format!("{} on {scene}", self.name()))
    }

    /// Sends messages of this length.
    pub(crate) fn messages(self, stage: &Stage, scene: &Scene, len: u64) -> anyhow::Result<Sample> {
        match self {
            Self::Dds => dds::send(stage, scene, len),
            Self::Aeron => aeron::send(stage, scene, len),
            Self::Uftp | Self::Udpcast | Self::Norm | Self::Iperf | Self::Sockperf => {
                bail!("it sends no messages")
            }
        }
        .with_context(|| format!("{}, messages of {len} B", self.name()))
    }

    /// How long a message of 128 B takes, one way.
    pub(crate) fn latency(self, stage: &Stage, scene: &Scene) -> anyhow::Result<Delays> {
        match self {
            Self::Dds => dds::latency(stage, scene),
            Self::Aeron => aeron::latency(stage, scene),
            Self::Sockperf => sockperf::latency(stage, scene),
            Self::Uftp | Self::Udpcast | Self::Norm | Self::Iperf => bail!("it does not say"),
        }
        .with_context(|| format!("{}, latency", self.name()))
    }

    fn can(self, part: Part) -> bool {
        match part {
            Part::Bulk => self != Self::Sockperf,
            Part::Small => matches!(self, Self::Dds | Self::Aeron),
            Part::Latency => matches!(self, Self::Dds | Self::Aeron | Self::Sockperf),
            Part::Memory
            | Part::Limit
            | Part::Pacing
            | Part::Fanout
            | Part::Price
            | Part::Steady => false,
        }
    }

    /// The first of its programs that is not here.
    fn missing(self) -> Option<&'static str> {
        self.programs().iter().copied().find(|name| !is_on_path(name))
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Uftp => &["uftp", "uftpd"],
            Self::Udpcast => &["udp-sender", "udp-receiver"],
            Self::Norm => &["normCast"],
            Self::Dds => &["ddsperf"],
            Self::Aeron => &["aeronmd", "streaming_publisher", "rate_subscriber", "cping", "cpong"],
            Self::Iperf => &["iperf"],
            Self::Sockperf => &["sockperf"],
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
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
fn end_all(programs: &mut [Program], signal: Signal) -> anyhow::Result<()> {
    for program in &*programs {
        program.signal(signal);
    }
    wait_for_all(programs, Duration::from_secs(10))
}

/// When the last of them ended.
fn last_end(programs: &[Program]) -> anyhow::Result<Instant> {
    let ends = programs.iter().map(|it| Ok(it.ended()?.at)).collect::<anyhow::Result<Vec<_>>>()?;
    ends.into_iter().max().context("nobody was there")
}

const BUFFER: &str = "4194304";

/// They do not say when they listen.
const SETTLE: Duration = Duration::from_millis(500);
