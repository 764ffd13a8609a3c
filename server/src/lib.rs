//! The publisher: sends a stream once, to every subscriber of a multicast group.
//!
//! `cli` turns what was typed into flags, `config` turns flags into a [`Config`], and [`run`]
//! does what it says.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | commands, exit codes | [`cli`] |
//! | ways of sending compared with those who listen | [`compare`] |
//! | each flag, its environment variable and its place in the config file | [`flags`] |
//! | addresses resolved, interfaces found, what is refused | [`config`] |
//! | files, stdin, an encoder's datagrams | [`input`] |
//! | sockets: interface, TTL, loop, DSCP, batched sends | `socket.rs` |
//! | TCP: accepting, reading, writing, queues | `tcp.rs`, `tcp/` |
//! | the data thread | `publisher.rs`, `publisher/` |
//! | what others may see of it | [`snapshot`] |
//! | Prometheus | [`metrics`] |
//! | the status page, `publisher top` | [`status`], [`top`] |
//! | what people and scripts are told | [`report`], `talker.rs` |

pub mod cli;
pub mod compare;
pub mod config;
mod control;
pub mod flags;
pub mod input;
pub mod metrics;
mod publisher;
pub mod report;
pub mod snapshot;
mod socket;
pub mod status;
mod talker;
mod tcp;
pub mod top;

use std::thread;

use anyhow::Context;
use host::http;
use host::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot};

pub use crate::config::Config;
use crate::control::{Control, Doors};
use crate::publisher::{Lines, Publisher};
pub use crate::report::Summary;
use crate::snapshot::Shared;
use crate::tcp::Listeners;

/// Sends what `config` says, until everything was sent or `shutdown` is requested.
///
/// # Errors
///
/// When it cannot be started: a port in use, a file that cannot be read. What fails while it
/// runs is in the summary of its stream.
pub fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<Summary> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    host::descriptors::allow_all();
    let listener = config.metrics.map(http::bind).transpose()?;
    let inputs = config.streams.iter().map(|stream| stream.input.open());
    let inputs = inputs.collect::<anyhow::Result<Vec<_>>>()?;
    let shared = Shared::default();
    let (tell, news) = mpsc::channel(NEWS_KEPT);
    let (listeners, arrivals) = Listeners::bind(&config.tcp_addresses())?;
    let lines = Lines { arrivals, shared: shared.clone(), news: tell };
    let publisher = Publisher::new(&config, inputs, lines, shutdown)?;
    let doors = Doors { listeners, waker: publisher.waker() };
    let control = Control::new(&config, shared, news, listener, doors)?;
    let (ended, end) = oneshot::channel();
    let send = move || drop(ended.send(publisher.run()));
    thread::Builder::new().name("data".to_owned()).spawn(send)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ends = runtime.block_on(control.run(end)).context("the data thread failed")??;
    Ok(Summary::new(ends))
}

/// News that people have not been told yet.
const NEWS_KEPT: usize = 1_024;
