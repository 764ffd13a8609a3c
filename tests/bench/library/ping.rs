//! Some messages a second, with the time in them.

use std::time::Duration;

use anyhow::ensure;
use client::Event;

use super::{publisher, subscriber};
use crate::raw::JOINED;
use crate::raw::ping::{Delays, Pinging, delay_of, each};

/// Sends messages that carry the time at which they were given to the library.
pub(crate) fn send(pinging: &Pinging) -> anyhow::Result<()> {
    ensure!(!pinging.spin, CANNOT_SPIN);
    let publisher = publisher(pinging.group, pinging.at, pinging.subscribers)?;
    let publisher = publisher.linger(Duration::ZERO).start()?;
    each(pinging, |message| Ok(publisher.send(message)?))?;
    ensure!(publisher.close()?.is_complete(), "somebody has not all of it");
    Ok(())
}

/// Receives them, and says how long they took.
pub(crate) fn receive(pinging: &Pinging) -> anyhow::Result<()> {
    ensure!(!pinging.spin, CANNOT_SPIN);
    let mut subscriber = subscriber(pinging.group, pinging.at)?.join()?;
    println!("{JOINED}");
    let mut delays = Vec::with_capacity(1 << 20);
    while let Some(event) = subscriber.recv()? {
        match event {
            Event::Message(message) => delays.extend(delay_of(&message)),
            Event::Session(_) | Event::Gap { .. } => {}
            Event::End(_) => break,
        }
    }
    println!("{}", serde_json::to_string(&Delays::of(delays))?);
    Ok(())
}

/// Where they can, both builders are told here.
const CANNOT_SPIN: &str = "the libraries do not spin";
