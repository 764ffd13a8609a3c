//! Sender and receiver in one thread, without sockets: what a packet costs each of them.

#[path = "../../proto/benches/packets/config.rs"]
mod config;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use proto::config::Start;
use proto::receiver::{Delivered, Via};
use proto::sender::Transmit;
use proto::{Bitrate, ByteCount, Receiver, ReceiverConfig, Sender, SenderConfig, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::allocator::allocations;
use crate::cli::Wanted;
use crate::report::Report;
use crate::spread::Spread;
use config::{LEN, SEGMENTS};

/// Drives both a million packets far, in every round anew.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let paces = [("10 Gbit/s", Some(Bitrate(10_000_000_000))), ("auto", None)];
    let mut rounds = vec![Vec::new(); paces.len()];
    for _ in 0..wanted.runs {
        for ((_, rate), samples) in paces.iter().zip(&mut rounds) {
            samples.push(Pair::new(*rate)?.run()?);
        }
    }
    for ((pace, _), samples) in paces.iter().zip(&rounds) {
        report.json("memory", pace, samples);
    }
    let rows = paces.iter().zip(&rounds).map(|((pace, _), samples)| row(pace, samples)).collect();
    report.table(
        &format!("In memory, {PACKETS} packets of {LEN} B, without loss"),
        &[
            "pace",
            "sender ns a packet",
            "receiver ns a packet",
            "sender allocations in 10,000",
            "receiver allocations in 10,000",
        ],
        rows,
    );
    Ok(())
}

fn row(pace: &str, samples: &[Sample]) -> Vec<String> {
    let spread = |figure: fn(&Side) -> f64, side: fn(&Sample) -> &Side| {
        Spread::of(samples.iter().map(|sample| figure(side(sample))))
    };
    vec![
        pace.to_owned(),
        format!("{}", spread(Side::nanos, |it| &it.sender)),
        format!("{}", spread(Side::nanos, |it| &it.receiver)),
        format!("{:.2}", spread(Side::allocations, |it| &it.sender)),
        format!("{:.2}", spread(Side::allocations, |it| &it.receiver)),
    ]
}

/// What a round measured.
#[derive(Clone, Debug, Default, Serialize)]
struct Sample {
    packets: u64,
    sender: Side,
    receiver: Side,
}

/// What one of them used.
#[derive(Clone, Debug, Default, Serialize)]
struct Side {
    cpu_seconds_total: f64,
    allocations_total: u64,
    #[serde(skip)]
    packets: u64,
}

impl Side {
    fn nanos(&self) -> f64 {
        self.cpu_seconds_total * 1e9 / self.packets as f64
    }

    fn allocations(&self) -> f64 {
        self.allocations_total as f64 * 1e4 / self.packets as f64
    }
}

/// A sender and its one receiver.
struct Pair {
    sender: Sender,
    receiver: Receiver,
    now: Timestamp,
    input: Bytes,
    bursts: Vec<(Transmit, Vec<u8>)>,
    sent: usize,
    feedback: Vec<u8>,
    delivered_bytes: u64,
    delivered_packets: u64,
}

impl Pair {
    fn new(rate: Option<Bitrate>) -> anyhow::Result<Self> {
        let now = Timestamp::from_secs(1);
        let empty = Transmit {
            destination: proto::sender::Destination::Group,
            kind: proto::wire::Kind::Data,
            segment_len: 0,
            datagrams: 0,
            parity: 0,
            has_manifest: false,
        };
        Ok(Self {
            sender: Sender::new(sender_config(rate), now).context("no such sender")?,
            receiver: Receiver::new(receiver_config(), now),
            now,
            input: Bytes::from(vec![0x5a; READ_LEN]),
            bursts: vec![(empty, Vec::with_capacity(1 << 16)); BURSTS],
            sent: 0,
            feedback: Vec::new(),
            delivered_bytes: 0,
            delivered_packets: 0,
        })
    }

    /// Goes until windows and rings have their size, then counts.
    fn run(mut self) -> anyhow::Result<Sample> {
        self.go_to(WARM_UP)?;
        let warm = self.delivered_packets;
        let (sender, receiver) = self.go_to(WARM_UP + PACKETS)?;
        let packets = self.delivered_packets - warm;
        let side = |side: Side| Side { packets, ..side };
        ensure!(self.receiver.stats().kernel_drops == 0, "nothing is lost here");
        Ok(Sample { packets, sender: side(sender), receiver: side(receiver) })
    }

    /// Until so many packets were delivered; gives what each side used on the way.
    fn go_to(&mut self, packets: u64) -> anyhow::Result<(Side, Side)> {
        let (mut sender, mut receiver) = (Side::default(), Side::default());
        let mut idle_turns = 0;
        while self.delivered_packets < packets {
            let before = self.delivered_packets;
            sender.account(|| self.send());
            receiver.account(|| self.receive());
            while receiver.account(|| self.speak()) {
                sender.account(|| self.hear());
            }
            idle_turns = if self.delivered_packets > before { 0 } else { idle_turns + 1 };
            ensure!(idle_turns < PATIENCE, "nothing moves after {before} packets");
            self.pass_time();
        }
        Ok((sender, receiver))
    }

    fn send(&mut self) {
        while self.sender.has_room() && self.sender.push(self.input.clone(), self.now).is_ok() {}
        self.sender.handle_timeout(self.now);
        self.sent = 0;
        for (transmit, bytes) in &mut self.bursts {
            let Some(sent) = self.sender.poll_transmit(self.now, SEGMENTS, bytes) else { break };
            *transmit = sent;
            self.sent += 1;
        }
        while self.sender.poll_event().is_some() {}
    }

    fn receive(&mut self) {
        for (transmit, bytes) in self.bursts.iter_mut().take(self.sent) {
            for datagram in bytes.chunks_mut(transmit.segment_len.max(1)) {
                self.receiver.handle_datagram(datagram, Via::Group, config::source(), self.now);
            }
            while let Some(delivered) = self.receiver.pull(self.now) {
                if let Delivered::Payload(payload) = delivered {
                    self.delivered_packets += payload.range.len();
                    self.delivered_bytes += payload.bytes.len() as u64;
                }
            }
        }
        self.receiver.handle_timeout(self.now);
        while self.receiver.poll_event().is_some() {}
    }

    /// Whether the receiver has something to say.
    fn speak(&mut self) -> bool {
        self.receiver.poll_transmit(self.now, &mut self.feedback).is_some()
    }

    fn hear(&mut self) {
        self.sender.handle_datagram(&mut self.feedback, subscriber(), self.now);
    }

    /// To the next deadline of either.
    fn pass_time(&mut self) {
        let due = [
            self.sender.poll_timeout().map(|(due, _)| due),
            self.receiver.poll_timeout().map(|(due, _)| due),
        ];
        let next = due.into_iter().flatten().min().unwrap_or(self.now);
        self.now = next.max(self.now.after(LEAST_STEP));
    }
}

impl Side {
    fn account<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (allocated, started) = (allocations(), cpu());
        let done = work();
        self.cpu_seconds_total += (cpu() - started).as_secs_f64();
        self.allocations_total += allocations() - allocated;
        done
    }
}

/// Time of a processor that this thread used: others on the machine are not in it.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// As the programs have it where nothing is said.
fn sender_config(rate: Option<Bitrate>) -> SenderConfig {
    SenderConfig {
        rate,
        retain: ByteCount(64 << 20),
        wait_for: 1,
        wait_at_most: Duration::from_secs(2),
        ..config::sender()
    }
}

fn receiver_config() -> ReceiverConfig {
    ReceiverConfig { start: Start::Oldest, mute: false, ..config::receiver() }
}

fn subscriber() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 6_000))
}

const PACKETS: u64 = 1_000_000;

/// More than the sender retains.
const WARM_UP: u64 = 100_000;

/// Bursts between two looks at a clock, so that looking is not seen in the figures.
const BURSTS: usize = 8;

/// What the publisher reads at once.
const READ_LEN: usize = 64 << 10;

const LEAST_STEP: Duration = Duration::from_micros(1);

/// Turns without a packet before it is called a fault: heartbeats and reports come between.
const PATIENCE: u32 = 100_000;
