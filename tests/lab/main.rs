//! The two programs on real networks: hosts in namespaces, a switch that listens to IGMP and MLD.
//!
//! Needs root, or says loudly that it was skipped; with `CI` set it never skips. The programs are
//! those of `$ONECAST_BIN`, else the release build, which is made if it is not there. Every test
//! prints what it measured; none fails because a machine is slow.
//!
//! | you look for | open |
//! |---|---|
//! | a network, files, firewalls | `stage.rs` |
//! | a program that runs, and what it says | `program.rs`, `binaries.rs` |
//! | what a port of the switch carries | `capture.rs` |
//! | a host that forges, replays and floods | `attacker.rs` |
//! | metrics of a running program | `scrape.rs` |
//! | a Prometheus that runs | `monitor.rs` |
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test that cannot go on has failed, and figures are for people"
)]

mod attacker;
mod binaries;
mod capture;
mod monitor;
mod player;
mod program;
mod scrape;
mod stage;

mod behaviour;
mod compare;
mod demo;
mod equivalent;
mod errors;
mod fallback;
mod flap;
mod garbage;
mod hostile;
mod invited;
mod many;
mod media;
mod membership;
mod overhead;
mod prometheus;
mod router;
mod sandbox;
mod soak;
mod timely;
mod transfer;
mod turned;
