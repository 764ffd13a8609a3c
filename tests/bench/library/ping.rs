//! Some messages a second, with the time in them.

use std::time::Duration;

use anyhow::ensure;
use client::{Event, RecvError};

use super::{publisher, subscriber};
use crate::raw::JOINED;
use crate::raw::ping::{Delays, Pinging, delay_of, each};

/// Sends messages that carry the time at which they were given to the library. Its data thread need
/// not spin: without a linger the thread that calls sends.
pub(crate) fn send(pinging: &Pinging) -> anyhow::Result<()> {
    let publisher = publisher(pinging.group, pinging.at, pinging.subscribers)?;
    let publisher = publisher.linger(Duration::ZERO).start()?;
    each(pinging, |message| Ok(publisher.send(message)?))?;
    ensure!(publisher.close()?.is_complete(), "somebody has not all of it");
    Ok(())
}

/// Receives them, and says how long they took.
pub(crate) fn receive(pinging: &Pinging) -> anyhow::Result<()> {
    let builder = subscriber(pinging.group, pinging.at)?.spin(pinging.spin);
    if pinging.direct {
        let mut subscriber = builder.join_direct()?;
        listen(|| subscriber.recv())?;
        subscriber.close()?;
    } else {
        let mut subscriber = builder.join()?;
        listen(|| subscriber.recv())?;
    }
    Ok(())
}

fn listen(mut next: impl FnMut() -> Result<Option<Event>, RecvError>) -> anyhow::Result<()> {
    println!("{JOINED}");
    let mut delays = Vec::with_capacity(1 << 20);
    while let Some(event) = next()? {
        match event {
            Event::Message(message) => delays.extend(delay_of(&message)),
            Event::Session(_) | Event::Gap { .. } => {}
            Event::End(_) => break,
        }
    }
    println!("{}", serde_json::to_string(&Delays::of(delays))?);
    Ok(())
}
