//! What both programs ask of the machine they run on.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | time for the state machines | [`clock`] |
//! | chance | [`chance`] |
//! | how many descriptors it may open | [`descriptors`] |
//! | memory that is given back | [`memory`] |
//! | files that hold a key | [`key_file`] |
//! | who somebody is, by an Ed25519 key | [`identity`] |
//! | TLS 1.3 between two who know each other's keys | [`tls`] |
//! | how large receive buffers are | [`receive_buffer`] |
//! | talking to a running program, by a Unix socket | [`control`] |
//! | sockets that datagrams come by | [`datagrams`] |
//! | waiting for sockets, threads and deadlines | [`poller`] |
//! | running as soon as it is woken | [`scheduling`] |
//! | which interfaces there are, and which is meant | [`interface`] |
//! | interfaces that go and come back | [`link_watch`] |
//! | `/metrics` and the probes | [`http`], bounded by `connection.rs` |
//! | who may ask | [`token`], from a file that is [`secret`] |
//! | the status page, its JSON and its events | `page.rs`, `assets/` |
//! | which metrics there are | [`registry`], [`metrics`] |
//! | the log on stderr | [`logging`] |
//! | SIGINT, SIGTERM and SIGHUP | [`shutdown`], [`reload`] |
//! | systemd, or whoever else watches over a service | [`supervisor`] |
//! | threads for what may have to wait | [`workers`] |
//! | the version | [`build_info`] |

pub mod build_info;
pub mod chance;
pub mod clock;
mod connection;
pub mod control;
pub mod datagrams;
pub mod descriptors;
pub mod http;
pub mod identity;
pub mod interface;
pub mod key_file;
pub mod link_watch;
pub mod logging;
pub mod memory;
pub mod metrics;
mod page;
pub mod poller;
pub mod receive_buffer;
pub mod registry;
pub mod reload;
pub mod scheduling;
pub mod secret;
pub mod shutdown;
pub mod supervisor;
pub mod tls;
pub mod token;
pub mod workers;
