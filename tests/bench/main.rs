//! What this machine allows, onecast beside it, and others: `./tests/bench.sh`.
//!
//! Nothing here passes or fails. In each round every contestant runs once, so that what changes on the
//! machine meanwhile meets all of them; a figure is the median of the rounds, with the smallest and
//! the largest. docs/PERFORMANCE.md says how to read them.
//!
//! | you look for | open |
//! |---|---|
//! | flags | `cli.rs` |
//! | time and allocations without sockets | `memory.rs`, `allocator.rs` |
//! | the order of rounds, and the large table | `bulk.rs` |
//! | how evenly a rate is kept | `pacing.rs` |
//! | small messages as fast as they go, and one way; by onecast's libraries | `small.rs`, `latency.rs`, `library.rs` |
//! | many subscribers beside one | `fanout.rs` |
//! | memory over a minute | `steady.rs` |
//! | what keys and signatures cost | `price.rs` |
//! | multicast with nothing around it, its highest rate | `raw.rs`, `limit.rs` |
//! | onecast, others | `ours.rs`, `peers.rs` |
//! | networks, programs, what they used | `stage.rs`, `program.rs`, `scene.rs` |
//! | tables and JSON | `report.rs`, `spread.rs` |
#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

mod allocator;
mod bulk;
mod cli;
mod fanout;
mod latency;
mod library;
mod limit;
mod memory;
mod ours;
mod pacing;
mod peers;
mod price;
mod program;
mod raw;
mod report;
mod scene;
mod small;
mod spread;
mod stage;
mod steady;

use clap::Parser;
use cli::{Cli, Part, Role, Wanted};
use report::Report;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.role {
        Some(Role::RawSend(sending)) => raw::send(sending),
        Some(Role::RawReceive(receiving)) => raw::receive(receiving),
        Some(Role::RawPingSend(pinging)) => raw::ping::send(pinging),
        Some(Role::RawPingReceive(pinging)) => raw::ping::receive(pinging),
        Some(Role::PingSend(pinging)) => library::ping::send(pinging),
        Some(Role::PingReceive(pinging)) => library::ping::receive(pinging),
        Some(Role::FloodSend(flooding)) => library::flood::send(flooding),
        Some(Role::FloodReceive(flooding)) => library::flood::receive(flooding),
        Some(Role::Pour(pouring)) => library::bytes::send(pouring),
        None => measure(&cli.wanted),
    }
}

fn measure(wanted: &Wanted) -> anyhow::Result<()> {
    wanted.check()?;
    let report = Report::new(wanted.json);
    if wanted.has(Part::Memory) {
        memory::measure(wanted, &report)?;
    }
    if wanted.has(Part::Limit) || wanted.has(Part::Bulk) {
        bulk::measure(wanted, &report)?;
    }
    if wanted.has(Part::Pacing) {
        pacing::measure(wanted, &report)?;
    }
    if wanted.has(Part::Small) {
        small::measure(wanted, &report)?;
    }
    if wanted.has(Part::Fanout) {
        fanout::measure(wanted, &report)?;
    }
    if wanted.has(Part::Price) {
        price::measure(wanted, &report)?;
    }
    if wanted.has(Part::Steady) {
        steady::measure(wanted, &report)?;
    }
    if wanted.has(Part::Latency) {
        latency::measure(wanted, &report)?;
    }
    Ok(())
}
