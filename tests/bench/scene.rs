//! One transfer that is to be measured, and what it measured.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::Serialize;

use crate::program::Program;
use crate::stage::Stage;

/// So many subscribers at this loss, on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) way: crate::cli::Way,
    pub(crate) subscribers: usize,
    pub(crate) loss_percent: u32,
    pub(crate) bytes: u64,
}

/// What one transfer took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Bytes that were to be brought to each subscriber.
    pub(crate) payload_bytes: u64,
    /// From the first byte until the last subscriber had the last.
    pub(crate) wall_seconds: f64,
    pub(crate) publisher_cpu_seconds: f64,
    /// The mean of the subscribers.
    pub(crate) subscriber_cpu_seconds: f64,
    /// What left the publisher's interface, as it counted.
    pub(crate) egress_bytes: u64,
    /// What of it was sent because somebody lacked it, where the publisher says so.
    pub(crate) repair_bytes: u64,
    /// Datagrams that the publisher sent, where it says so.
    pub(crate) sent_packets: u64,
    /// Datagrams that a subscriber took, in the mean, where it says so.
    pub(crate) received_packets: f64,
    /// Share of the datagrams that did not come, of those that were not to be lost.
    pub(crate) loss: f64,
    pub(crate) publisher_memory_bytes: u64,
    /// The largest of the subscribers.
    pub(crate) subscriber_memory_bytes: u64,
}

impl Scene {
    /// A group that nobody of another scene is in: who left one is still sent it for a while.
    pub(crate) fn group(&self, contestant: u8) -> SocketAddrV4 {
        let place = u8::try_from(self.subscribers).unwrap_or(u8::MAX);
        SocketAddrV4::new(Ipv4Addr::new(239, 77, contestant, place), PORT)
    }

    /// For a column of a table.
    pub(crate) fn short(&self) -> String {
        format!("{} {} {}%", self.way.name(), self.subscribers, self.loss_percent)
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(60) + Duration::from_secs(self.bytes / 2_000_000)
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, subscribers, loss_percent, bytes } = self;
        let mib = *bytes as f64 / f64::from(1 << 20);
        write!(f, "path {}, {subscribers} subscribers, ", way.name())?;
        write!(f, "{loss_percent} % loss, {mib:.0} MiB")
    }
}

impl Sample {
    /// The accounts of programs that have ended, and what crossed the wire.
    pub(crate) fn of(
        payload_bytes: u64,
        wall: Duration,
        publisher: &Program,
        subscribers: &[Program],
        egress_bytes: u64,
    ) -> anyhow::Result<Self> {
        let publisher = publisher.ended()?;
        let all: Vec<_> = subscribers.iter().map(Program::ended).collect::<Result<_, _>>()?;
        let cpu: Duration = all.iter().map(|ended| ended.cpu).sum();
        Ok(Self {
            payload_bytes,
            wall_seconds: wall.as_secs_f64(),
            publisher_cpu_seconds: publisher.cpu.as_secs_f64(),
            subscriber_cpu_seconds: cpu.as_secs_f64() / all.len().max(1) as f64,
            egress_bytes,
            publisher_memory_bytes: publisher.peak_memory,
            subscriber_memory_bytes: all.iter().map(|ended| ended.peak_memory).max().unwrap_or(0),
            ..Self::default()
        })
    }

    /// With what a driver beside each program took, in processes of their own. Both see the same
    /// buffers: of their memory the larger counts.
    pub(crate) fn with_drivers(
        self,
        publisher: &Program,
        subscribers: &[Program],
    ) -> anyhow::Result<Self> {
        let drivers = Self::of(0, Duration::ZERO, publisher, subscribers, 0)?;
        Ok(Self {
            publisher_cpu_seconds: self.publisher_cpu_seconds + drivers.publisher_cpu_seconds,
            subscriber_cpu_seconds: self.subscriber_cpu_seconds + drivers.subscriber_cpu_seconds,
            publisher_memory_bytes: self.publisher_memory_bytes.max(drivers.publisher_memory_bytes),
            subscriber_memory_bytes: self
                .subscriber_memory_bytes
                .max(drivers.subscriber_memory_bytes),
            ..self
        })
    }

    pub(crate) fn megabytes_a_second(&self) -> f64 {
        self.payload_bytes as f64 * (1.0 - self.loss) / self.wall_seconds / 1e6
    }

    /// To each subscriber, of messages of this length.
    pub(crate) fn messages_a_second(&self, len: u64) -> f64 {
        self.megabytes_a_second() * 1e6 / len as f64
    }

    pub(crate) fn publisher_nanos(&self) -> f64 {
        self.publisher_cpu_seconds * 1e9 / self.sent_packets as f64
    }

    pub(crate) fn subscriber_nanos(&self) -> f64 {
        self.subscriber_cpu_seconds * 1e9 / self.received_packets
    }

    /// Seconds of a processor for each 10^9 bytes of payload.
    pub(crate) fn publisher_seconds_a_gigabyte(&self) -> f64 {
        self.publisher_cpu_seconds * 1e9 / self.payload_bytes as f64
    }

    pub(crate) fn subscriber_seconds_a_gigabyte(&self) -> f64 {
        self.subscriber_cpu_seconds * 1e9 / self.payload_bytes as f64
    }

    pub(crate) fn egress(&self) -> f64 {
        self.egress_bytes as f64 / self.payload_bytes as f64
    }

    /// In percent of the payload.
    pub(crate) fn repair(&self) -> f64 {
        100.0 * self.repair_bytes as f64 / self.payload_bytes as f64
    }
}

/// What the publisher's interface sent so far.
pub(crate) fn egress(stage: &Stage) -> anyhow::Result<u64> {
    Ok(stage.publisher()?.counters()?.tx_bytes)
}

const PORT: u16 = 5_077;
