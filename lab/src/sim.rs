//! `lab sim`: what a stream to so many receivers, with so much loss, would cost.
//!
//! The state machines are the real ones; only the network and the clock are not. So it is a tool
//! for planning, and the way the figures of repair are shown.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use proto::config::{Ahead, Interleave};
use proto::sender::SenderStats;
use proto::wire::Kind;
use proto::{Bitrate, Delivery};
use serde::Serialize;

use crate::world::{Link, Plan, World};

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Sim {
    /// How many receivers there are.
    pub receivers: usize,
    /// Share of datagrams that each of them loses.
    pub loss: f64,
    /// Mean length of a burst of loss, in datagrams.
    pub burst: f64,
    /// What is lost is lost to all of them.
    pub shared_loss: bool,
    /// Full data packets to send.
    pub packets: u64,
    /// Of them, those after which counting begins: until then the publisher learns what loss
    /// there is.
    pub warm_up: u64,
    /// Round trip to the farthest receiver.
    pub grtt: Duration,
    /// The stream's rate; `None` is `auto`.
    pub rate: Option<Bitrate>,
    /// Parity ahead of loss.
    pub ahead: Ahead,
    /// How many blocks are interleaved.
    pub interleave: Interleave,
    /// What is older than this is not wanted any more.
    pub deadline: Option<Duration>,
    /// Receivers have no return path.
    pub mute: bool,
    /// Decides everything that is left to chance.
    pub seed: u64,
}

/// What it found out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Receivers.
    pub receivers: usize,
    /// Those of them that were handed everything.
    pub complete: usize,
    /// All bytes sent ÷ first transmissions of data, headers in both.
    pub publisher_bytes_ratio: f64,
    /// Bytes of repair and of parity ÷ first transmissions of data.
    pub repair_ratio: f64,
    /// NAKs that reached the publisher.
    pub naks: u64,
    /// The same ÷ data packets that at least one receiver lost.
    pub naks_per_loss: f64,
    /// Bytes of feedback ÷ bytes sent.
    pub feedback_ratio: f64,
    /// How large the publisher takes the audience to be.
    pub audience_estimate: f64,
    /// How many blocks were interleaved when all had been sent.
    pub interleave_depth: u32,
    /// From first sending to being handed out, beyond the fastest way.
    pub delivery_delay_ms: Delays,
    /// How long the simulation took.
    pub wall_seconds: f64,
}

/// Delays, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Delays {
    /// The median.
    pub p50: f64,
    /// One in a hundred is longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Simulates it and prints what it found out.
///
/// # Errors
///
/// If the figures cannot be printed.
pub fn main(sim: &Sim, json: bool) -> anyhow::Result<ExitCode> {
    let figures = sim.run();
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", figures.table());
    }
    Ok(ExitCode::SUCCESS)
}

impl Sim {
    /// Runs it.
    #[must_use]
    pub fn run(&self) -> Figures {
        self.run_world().1
    }

    /// Runs it; gives the world as it was left, too.
    #[must_use]
    pub fn run_world(&self) -> (World, Figures) {
        let started = Instant::now();
        let mut world = World::new(self.plan());
        let payload = world.sender().payload_len() as u64;
        world.publish(usize::try_from(self.packets * payload).unwrap_or(usize::MAX));
        world.run_to_sent(self.warm_up, LONGEST);
        let before = Costs::of(&world);
        let audience = world.audience_when_sent(LONGEST);
        let figures = Figures::of(&world, &before, audience, started.elapsed());
        (world, figures)
    }

    /// How many are simulated one by one, how many in aggregate, and at which share the former
    /// register: all who may ever be asked to are among them.
    fn split(&self) -> (usize, u64, u8) {
        if self.receivers <= ONE_BY_ONE || self.shared_loss || self.mute {
            return (self.receivers, 0, 0);
        }
        let halvings = (self.receivers / REGISTERED).ilog2();
        let alone = self.receivers >> halvings;
        let crowd = (self.receivers - alone) as u64;
        (alone, crowd, u8::try_from(halvings).unwrap_or(u8::MAX))
    }

    fn plan(&self) -> Plan {
        let link = Link {
            loss: self.loss,
            burst: self.burst,
            shared: self.shared_loss,
            // The farthest class of receivers is twice as far as the nearest.
            delay: self.grtt / 4,
            ..Link::default()
        };
        let (receivers, crowd, enrolled_at) = self.split();
        Plan {
            seed: self.seed,
            receivers,
            crowd,
            enrolled_at,
            link,
            rate: self.rate,
            ahead: self.ahead,
            interleave: self.interleave,
            delivery: self.deadline.map_or(Delivery::Reliable, Delivery::Timely),
            mute: self.mute,
            ..Plan::default()
        }
    }
}

impl Figures {
    fn of(world: &World, before: &Costs, audience_estimate: f64, wall: Duration) -> Self {
        let costs = Costs::of(world).since(before);
        let data = costs.data.max(1) as f64;
        let (members, lacking) = world.crowd();
        let members = usize::try_from(members).unwrap_or(usize::MAX);
        Self {
            receivers: world.listeners().len() + members,
            complete: world.complete() + if lacking == 0 { members } else { 0 },
            publisher_bytes_ratio: costs.all as f64 / data,
            repair_ratio: costs.repair as f64 / data,
            naks: costs.naks,
            naks_per_loss: costs.naks as f64 / costs.lost.max(1) as f64,
            feedback_ratio: costs.feedback as f64 / costs.all.max(1) as f64,
            audience_estimate,
            interleave_depth: world.sender().interleave_depth(),
            delivery_delay_ms: Delays::of(world, &before.delivered),
            wall_seconds: wall.as_secs_f64(),
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let delays = &self.delivery_delay_ms;
        for (what, figure) in [
            ("receivers", self.receivers.to_string()),
            ("that have everything", self.complete.to_string()),
            ("sent, of one stream", percent(self.publisher_bytes_ratio)),
            ("of it repair", percent(self.repair_ratio)),
            ("NAKs", self.naks.to_string()),
            ("NAKs for a packet that somebody lost", format!("{:.2}", self.naks_per_loss)),
            ("feedback, of what was sent", percent(self.feedback_ratio)),
            ("audience, as the publisher takes it", format!("{:.0}", self.audience_estimate)),
            ("blocks interleaved", self.interleave_depth.to_string()),
            ("delay, half of all packets", format!("{:.1} ms", delays.p50)),
            ("delay, 99 of 100 packets", format!("{:.1} ms", delays.p99)),
            ("delay, the longest", format!("{:.1} ms", delays.max)),
            ("simulated in", format!("{:.2} s", self.wall_seconds)),
        ] {
            table.add_row([what.to_owned(), figure]);
        }
        table.to_string()
    }
}

/// What a stream has cost so far.
#[derive(Clone, Debug)]
struct Costs {
    /// Bytes of first transmissions, of repair and parity, of everything.
    data: u64,
    repair: u64,
    all: u64,
    naks: u64,
    /// Bytes of feedback.
    feedback: u64,
    /// Data packets that somebody lost.
    lost: u64,
    /// Packets handed out, by listener.
    delivered: Vec<usize>,
}

impl Costs {
    fn of(world: &World) -> Self {
        let stats = world.sender().stats();
        Self {
            data: wire_bytes(stats, Kind::Data),
            repair: wire_bytes(stats, Kind::Repair) + wire_bytes(stats, Kind::Parity),
            all: Kind::ALL.into_iter().map(|kind| wire_bytes(stats, kind)).sum(),
            naks: stats.received.get(Kind::Nak).datagrams,
            feedback: world.tally().feedback_bytes(),
            lost: world.tally().lost_packets(),
            delivered: world.listeners().iter().map(|one| one.delays().len()).collect(),
        }
    }

    fn since(self, before: &Self) -> Self {
        Self {
            data: self.data - before.data,
            repair: self.repair - before.repair,
            all: self.all - before.all,
            naks: self.naks - before.naks,
            feedback: self.feedback - before.feedback,
            lost: self.lost - before.lost,
            ..self
        }
    }
}

impl Delays {
    /// Of all that was handed out after the first packets of each listener.
    fn of(world: &World, skipped: &[usize]) -> Self {
        let delays = world.listeners().iter().zip(skipped);
        let delays = delays.flat_map(|(one, skipped)| one.delays().iter().skip(*skipped));
        let mut delays: Vec<Duration> = delays.copied().collect();
        delays.sort_unstable();
        let at = |share: f64| {
            let place = (delays.len().saturating_sub(1)) as f64 * share;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
            let delay = delays.get(place.round() as usize).copied().unwrap_or_default();
            delay.as_secs_f64() * 1e3
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

fn wire_bytes(stats: &SenderStats, kind: Kind) -> u64 {
    let (group, unicast) = (stats.group.get(kind), stats.unicast.get(kind));
    let datagrams = group.datagrams + unicast.datagrams;
    group.bytes + unicast.bytes + datagrams * u64::from(crate::world::OVERHEAD)
}

/// Virtual time after which a stream that does not end is taken as it is.
const LONGEST: Duration = Duration::from_secs(600);

/// More than this are simulated in aggregate, but for those that register.
const ONE_BY_ONE: usize = 20_000;

/// At least so many of them are simulated one by one all the same.
const REGISTERED: usize = 500;
