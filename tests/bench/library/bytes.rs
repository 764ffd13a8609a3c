//! A stream of bytes that is in memory already.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;

use super::publisher;

/// What the publisher is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Pouring {
    /// Where to.
    #[arg(long)]
    pub(crate) group: SocketAddrV4,
    /// By which address.
    #[arg(long)]
    pub(crate) at: Ipv4Addr,
    /// How many bytes.
    #[arg(long)]
    pub(crate) bytes: u64,
    /// To how many subscribers.
    #[arg(long)]
    pub(crate) subscribers: usize,
}

/// Sends the same mebibyte over and over, as one stream; says how that ended.
pub(crate) fn send(pouring: &Pouring) -> anyhow::Result<()> {
    let piece = Bytes::from((0..PIECE_LEN).map(|place| (place % 251) as u8).collect::<Vec<_>>());
    let mut left = pouring.bytes;
    let mut pieces = Vec::new();
    while left > 0 {
        let len = left.min(PIECE_LEN);
        pieces.push(piece.slice(..usize::try_from(len)?));
        left -= len;
    }
    let publisher = publisher(pouring.group, pouring.at, pouring.subscribers)?;
    println!("{STARTED}");
    let summary = publisher.send_all(pieces)?;
    let stream = summary.streams.first().context("no stream was sent")?;
    println!("{}", serde_json::to_string(stream)?);
    Ok(())
}

/// As `publisher send --json` says it.
const STARTED: &str = r#"{"event":"started"}"#;

const PIECE_LEN: u64 = 1 << 20;
