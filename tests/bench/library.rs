//! Small messages through onecast's two libraries, each in a process of its own.

use std::time::Duration;

use anyhow::ensure;
use client::{Event, Subscriber};
use server::Publisher;

use crate::raw::JOINED;
use crate::raw::ping::{Delays, Pinging, delay_of, each};

/// Sends messages that carry the time at which they were given to the library.
pub(crate) fn send(pinging: &Pinging) -> anyhow::Result<()> {
    let publisher = Publisher::builder(format!("udp://{}", pinging.group).parse()?)
        .name("ping".parse()?)
        .interface(pinging.at.to_string().parse()?)
        .wait_for(format!("{},20s", pinging.subscribers).parse()?)
        .linger(Duration::ZERO)
        .start()?;
    each(pinging, |message| Ok(publisher.send(message)?))?;
    ensure!(publisher.close()?.is_complete(), "somebody has not all of it");
    Ok(())
}

/// Receives them, and says how long they took.
pub(crate) fn receive(pinging: &Pinging) -> anyhow::Result<()> {
    let mut subscriber = Subscriber::builder(format!("udp://{}", pinging.group).parse()?)
        .interface(pinging.at.to_string().parse()?)
        .run_for(PATIENCE)
        .join()?;
    println!("{JOINED}");
    let mut delays = Vec::with_capacity(1 << 20);
    while let Some(event) = subscriber.recv()? {
        match event {
            Event::Message(message) => delays.push(delay_of(&message)),
            Event::Session(_) | Event::Gap { .. } => {}
            Event::End(_) => break,
        }
    }
    println!("{}", serde_json::to_string(&Delays::of(delays))?);
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(60);
