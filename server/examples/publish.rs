//! Sends ten thousand messages to whoever on this machine has joined:
//!
//! ```text
//! cargo run -p client --example subscribe &
//! cargo run -p server --example publish
//! ```

use std::time::Duration;

use server::Publisher;

fn main() -> anyhow::Result<()> {
    let publisher = Publisher::builder("udp://239.255.77.1:5077".parse()?)
        .name("example".parse()?)
        .interface("lo".parse()?)
        .wait_for("1,10s".parse()?)
        .linger(Duration::from_micros(50))
        .start()?;
    for number in 0..10_000 {
        publisher.send(format!("message {number}").as_bytes())?;
    }
    // Waits until every subscriber has everything.
    let summary = publisher.close()?;
    for stream in &summary.streams {
        println!(
            "{} bytes in {} datagrams to {} subscribers",
            stream.payload_bytes,
            stream.egress_datagrams,
            stream.audience.len()
        );
    }
    anyhow::ensure!(summary.is_complete(), "somebody has not all of it");
    Ok(())
}
