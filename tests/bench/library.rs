//! What onecast's two libraries carry, each end in a process of its own.

pub(crate) mod bytes;
pub(crate) mod flood;
pub(crate) mod ping;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use client::Subscriber;
use server::Publisher;

/// A publisher that waits for so many subscribers before its first message.
fn publisher(
    group: SocketAddrV4,
    at: Ipv4Addr,
    subscribers: usize,
) -> anyhow::Result<server::Builder> {
    Ok(Publisher::builder(format!("udp://{group}").parse()?)
        .name("bench".parse()?)
        .interface(at.to_string().parse()?)
        .wait_for(format!("{subscribers},20s").parse()?))
}

/// A subscriber that does not stay for ever.
fn subscriber(group: SocketAddrV4, at: Ipv4Addr) -> anyhow::Result<client::Builder> {
    Ok(Subscriber::builder(format!("udp://{group}").parse()?)
        .interface(at.to_string().parse()?)
        .run_for(PATIENCE))
}

const PATIENCE: Duration = Duration::from_secs(120);
