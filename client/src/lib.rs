//! The subscriber: joins groups, has all of their streams in order, and says what is missing.
//!
//! As a program: [`run`] receives into outputs what a [`Config`] names. As a library: a [`Subscriber`]
//! hands the program around it one message after the other.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | flags, and what each means | [`cli`] |
//! | flags resolved into what is used | [`config`] |
//! | a stream's messages, for a program | `handle.rs`, `handle/` |
//! | from the first join to the summary | `run.rs` |
//! | the receive thread: sockets, time, commands | `subscriber.rs` |
//! | one group: its socket, receiver and output | `subscription.rs` |
//! | group or unicast, and when to change | `subscription/ways.rs`, `subscription/switch.rs` |
//! | a connection to a publisher | `tcp.rs` |
//! | joining, reading the join back, receiving in batches | `socket.rs`, `sys.rs` |
//! | files, stdout, players, the program, and the ring before them | `output.rs` |
//! | loss on purpose | [`impair`] |
//! | being let in, and handed keys | `admission.rs`, `admission/` |
//! | a key file that has changed | `new_keys.rs` |
//! | `join`, `leave`, `status` of a running one | `control.rs` |
//! | who asks for members | `querier.rs` |
//! | the status page | `status.rs` |
//! | metrics | `metrics.rs`, from `figures.rs` and `tally.rs` |
//! | events as JSON, the live line, the summary | `record.rs`, `progress.rs`, [`summary`] |
//!
//! One thread receives. Outputs are written by threads that can hold up neither it nor each other, or
//! read by the program. Control and HTTP share one more.

mod admission;
mod chance;
pub mod cli;
pub mod config;
mod control;
mod endpoint;
mod figures;
mod flags;
mod handle;
pub mod impair;
mod metrics;
mod new_keys;
pub mod output;
mod progress;
mod querier;
mod record;
mod run;
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

use host::shutdown::Shutdown;
use host::supervisor::Supervisor;
use host::{descriptors, memory};

pub use admission::Admission;
pub use config::Config;
pub use handle::{Builder, Direct, End, Event, RecvError, Subscriber};
pub use summary::Summary;
pub use tally::Missing;

/// Subscribes, and receives until all is over or `shutdown` is requested.
///
/// # Errors
///
/// When something cannot be subscribed to, or the system refuses to go on. What was lost, or an
/// output that failed, is in the summary.
pub fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    serve(config, shutdown, Supervisor::default())
}

/// Does as [`run`], as a service: `supervisor` is told how it is going.
///
/// # Errors
///
/// As [`run`].
pub fn serve(
    config: Config,
    shutdown: Shutdown,
    supervisor: Supervisor,
) -> anyhow::Result<Summary> {
    descriptors::allow_all();
    memory::give_back();
    run::Run::start(&config, shutdown)?.supervised_by(supervisor).finish()
}
