//! The publisher: sends a stream once, to every subscriber of a multicast group.
//!
//! As a program: `cli` turns what was typed into flags, `config` turns flags into a [`Config`], and
//! [`run`] does what it says. As a library: a [`Publisher`] takes messages from the program around it.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | commands, exit codes | [`cli`] |
//! | ways of sending compared with those who listen | [`compare`] |
//! | each flag, its environment variable and its place in the config file | [`flags`] |
//! | addresses resolved, interfaces found, what is refused | [`config`] |
//! | a stream of the program's own messages | `handle.rs`, `handle/` |
//! | files, stdin, an encoder's datagrams, the program's messages | [`input`] |
//! | sockets: interface, TTL, loop, DSCP, batched sends | `socket.rs` |
//! | TCP: accepting, reading, writing, queues | `tcp.rs`, `tcp/` |
//! | from the first socket to the summary | `run.rs` |
//! | the data thread | `publisher.rs`, `publisher/` |
//! | who is let in, and handed keys | [`admission`] |
//! | `publisher kick` and `admit` | [`operator`] |
//! | the config file read again while streams run | `reload.rs`, `reload/` |
//! | what others may see of it | [`snapshot`] |
//! | Prometheus | [`metrics`] |
//! | the status page, `publisher top` | [`status`], [`top`] |
//! | what people and scripts are told | [`report`], `talker.rs` |

pub mod admission;
pub mod cli;
pub mod compare;
pub mod config;
mod control;
mod entrance;
pub mod flags;
mod handle;
pub mod input;
pub mod metrics;
pub mod operator;
mod publisher;
mod reload;
pub mod report;
mod run;
pub mod snapshot;
mod socket;
pub mod status;
mod talker;
mod tcp;
pub mod top;

use host::shutdown::Shutdown;
use host::supervisor::Supervisor;

pub use crate::config::Config;
pub use crate::handle::{Builder, Publisher};
pub use crate::input::SendError;
pub use crate::reload::Reloader;
pub use crate::report::Summary;

/// Sends what `config` says, until everything was sent or `shutdown` is requested.
///
/// # Errors
///
/// When it cannot be started: a port in use, a file that cannot be read. What fails while it
/// runs is in the summary of its stream.
pub fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    host::descriptors::allow_all();
    host::memory::give_back();
    run::Run::start(&config, shutdown)?.finish()
}

/// Does as [`run`], as a service: the config is read again whenever `reloader` says, and `supervisor`
/// is told how it is going.
///
/// # Errors
///
/// As [`run`].
pub fn serve(
    config: Config,
    shutdown: Shutdown,
    reloader: Option<Reloader>,
    supervisor: Supervisor,
) -> anyhow::Result<Summary> {
    host::descriptors::allow_all();
    host::memory::give_back();
    run::Run::start(&config, shutdown)?.in_service(reloader, supervisor).finish()
}
