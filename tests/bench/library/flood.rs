//! Messages as fast as they go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Args;
use client::Event;

use super::{publisher, subscriber};
use crate::raw::{JOINED, Received, Sent};

/// What either end is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Flooding {
    /// Where to.
    #[arg(long)]
    pub(crate) group: SocketAddrV4,
    /// By which address.
    #[arg(long)]
    pub(crate) at: Ipv4Addr,
    /// Bytes of each message, at least eight.
    #[arg(long, default_value_t = 128)]
    pub(crate) len: usize,
    /// How many, for the sender.
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u64,
    /// To how many subscribers.
    #[arg(long, default_value_t = 0)]
    pub(crate) subscribers: usize,
    /// What a message waits for company, in microseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) linger: u64,
}

/// Sends numbered messages; says how many, and how long they took to the end of the last subscriber.
pub(crate) fn send(flooding: &Flooding) -> anyhow::Result<()> {
    let publisher = publisher(flooding.group, flooding.at, flooding.subscribers)?;
    let publisher = publisher.linger(Duration::from_micros(flooding.linger)).start()?;
    let mut message = vec![0x5a; flooding.len];
    let started = Instant::now();
    for number in 0..flooding.count {
        if let Some(place) = message.first_chunk_mut() {
            *place = number.to_be_bytes();
        }
        publisher.send(&message)?;
    }
    ensure!(publisher.close()?.is_complete(), "somebody has not all of it");
    let (packets, bytes) = (flooding.count, flooding.count * flooding.len as u64);
    let sent = Sent { packets, bytes, seconds: started.elapsed().as_secs_f64() };
    println!("{}", serde_json::to_string(&sent)?);
    Ok(())
}

/// Takes them, each of which must be the next; says how many came, and from the first to the last
/// in how long.
pub(crate) fn receive(flooding: &Flooding) -> anyhow::Result<()> {
    let mut subscriber = subscriber(flooding.group, flooding.at)?.join()?;
    println!("{JOINED}");
    let mut received = Received::default();
    let mut first = None;
    while let Some(event) = subscriber.recv()? {
        match event {
            Event::Message(message) => {
                first.get_or_insert_with(Instant::now);
                let number = message.first_chunk().map(|number| u64::from_be_bytes(*number));
                ensure!(number == Some(received.packets), "{number:?} after {}", received.packets);
                received.packets += 1;
                received.bytes += message.len() as u64;
            }
            Event::Gap { first, end, cause } => bail!("packets {first} to {end}: {cause}"),
            Event::Session(_) => {}
            Event::End(_) => break,
        }
    }
    received.seconds = first.map(|first| first.elapsed().as_secs_f64()).unwrap_or_default();
    println!("{}", serde_json::to_string(&received)?);
    Ok(())
}
