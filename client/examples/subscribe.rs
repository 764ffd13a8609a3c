//! Receives what the publisher's example sends on this machine, for a minute at most:
//!
//! ```text
//! cargo run -p client --example subscribe &
//! cargo run -p server --example publish
//! ```

use std::time::Duration;

use client::{Event, Subscriber};

fn main() -> anyhow::Result<()> {
    let mut subscriber = Subscriber::builder("udp://239.255.77.1:5077".parse()?)
        .interface("lo".parse()?)
        .run_for(Duration::from_secs(60))
        .join()?;
    let mut messages = 0;
    while let Some(event) = subscriber.recv()? {
        match event {
            Event::Session(session) => println!("{} begins", session.name),
            Event::Message(_) => messages += 1,
            Event::Gap { first, end, cause } => {
                println!("packets {first} to {end} are missing: {cause}");
            }
            Event::End(end) => println!("{messages} messages; all of it: {}", end.is_whole()),
        }
    }
    let summary = subscriber.close()?;
    anyhow::ensure!(summary.is_complete(), "not all of it came");
    Ok(())
}
