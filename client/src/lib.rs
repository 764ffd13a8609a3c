//! The subscriber: joins groups, has all of their streams in order, and says what is missing.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | flags, and what each means | [`cli`] |
//! | flags resolved into what is used | [`config`] |
//! | the receive thread: sockets, time, commands | `subscriber.rs` |
//! | one group: its socket, receiver and output | `subscription.rs` |
//! | group or unicast, and when to change | `subscription/ways.rs`, `subscription/switch.rs` |
//! | a connection to a publisher | `tcp.rs` |
//! | joining, reading the join back, receiving in batches | `socket.rs`, `sys.rs` |
//! | files, stdout, players, and the ring before them | `output.rs` |
//! | loss on purpose | [`impair`] |
//! | `join`, `leave`, `status` of a running one | `control.rs` |
//! | who asks for members | `querier.rs` |
//! | the status page | `status.rs` |
//! | metrics | `metrics.rs`, from `figures.rs` and `tally.rs` |
//! | events as JSON, the live line, the summary | `record.rs`, `progress.rs`, [`summary`] |
//!
//! One thread receives. Outputs are written by threads that can hold up neither it nor each other. Control
//! and HTTP share one more.

mod chance;
pub mod cli;
pub mod config;
mod control;
mod endpoint;
mod figures;
mod flags;
pub mod impair;
mod metrics;
pub mod output;
mod progress;
mod querier;
mod record;
mod service;
mod snapshot;
mod socket;
mod status;
mod subscriber;
mod subscription;
pub mod summary;
mod sys;
mod tally;
mod tcp;

use std::sync::Arc;
use std::sync::mpsc;

use anyhow::Context;
use host::clock::Clock;
use host::descriptors;
use host::poller::{Poller, make_timers_exact};
use host::shutdown::Shutdown;
use host::workers::Workers;

pub use config::Config;
pub use summary::Summary;
pub use tally::Missing;

use output::Crew;
use progress::ProgressLine;
use record::Records;
use service::Service;
use snapshot::Published;
use subscriber::{Parts, Subscriber};
use subscription::Prepared;

/// Subscribes, and receives until all is over or `shutdown` is requested.
///
/// # Errors
///
/// When something cannot be subscribed to, or the system refuses to go on. What was lost, or an
/// output that failed, is in the summary.
pub fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    descriptors::allow_all();
    let (clock, poller) = (Clock::start(), Poller::new().context("no descriptors are left")?);
    shutdown.wakes(poller.waker());
    let writers = Workers::new("output").context("no thread for outputs")?;
    let crew = Crew { waker: poller.waker(), writers };
    let prepared = config
        .subscriptions
        .iter()
        .map(|subscription| Prepared::new(subscription.clone(), crew.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    warn_if_impaired(&config);
    let published = Arc::new(Published::default());
    let (commands, taken) = mpsc::channel();
    let service = Service::open(&config, &published, commands, crew.clone())?;
    // A kernel that refuses is late by 50 µs: no reason to end.
    drop(make_timers_exact());
    let parts = Parts {
        clock,
        poller,
        crew,
        commands: taken,
        shutdown,
        records: Records::start(config.json).context("no thread for events")?,
        progress: ProgressLine::start(config.progress),
        published,
        run_for: config.run_for,
    };
    let subscriber = Subscriber::new(parts, prepared)?;
    let running = service.start().context("no thread for control")?;
    let summary = subscriber.run();
    running.end();
    summary
}

fn warn_if_impaired(config: &Config) {
    if let Some(impair) = &config.defaults.impair {
        tracing::warn!(
            %impair,
            "datagrams are lost on purpose, those of the group and of feedback"
        );
    }
}
