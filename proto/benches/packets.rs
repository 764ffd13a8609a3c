//! What a packet costs on its way: `cargo bench -p proto --bench packets`.
//!
//! One datagram of 1472 B at a time for the codec; for sender and receiver a block of 64, without loss.

#[path = "packets/config.rs"]
mod config;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use proto::receiver::Via;
use proto::seal::{Key, Keyring};
use proto::sender::Transmit;
use proto::sign::SigningKey;
use proto::{Receiver, ReceiverConfig, Sender, SenderConfig, Timestamp, wire};

use config::{LEN, SEGMENTS};

/// Blocks that one iteration sends.
const BURSTS: usize = 16;

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let mut stream = Stream::new(&Protection::None);
    let Some((_, burst)) = stream.bursts(1).pop() else { return };
    let datagram = Bytes::copy_from_slice(burst.get(..usize::from(LEN)).unwrap_or_default());
    let Ok(packet) = wire::decode(datagram.clone()) else { return };
    let mut into = Vec::with_capacity(1 << 16);
    group.bench_function("encode data", |b| {
        b.iter(|| {
            into.clear();
            wire::encode(black_box(&packet), &mut into);
        });
    });
    group.bench_function("decode data", |b| {
        b.iter(|| wire::decode(black_box(datagram.clone())).is_ok());
    });
    group.bench_function("decode a header", |b| {
        b.iter(|| wire::decode_header(black_box(&datagram)).is_ok());
    });
    group.finish();
}

/// Input into the window, and out of it as bursts.
fn window(c: &mut Criterion) {
    let mut group = c.benchmark_group("sender");
    let packets = BURSTS * SEGMENTS;
    group.throughput(Throughput::Elements(packets as u64));
    for (name, protection) in [
        ("push and transmit", Protection::None),
        ("push, seal and transmit", Protection::Sealed),
        ("push, sign, seal and transmit", Protection::Signed),
    ] {
        let mut stream = Stream::new(&protection);
        group.bench_function(name, |b| b.iter(|| stream.pass(BURSTS)));
    }
    group.finish();
}

/// Datagrams in order, out as payload.
fn in_order(c: &mut Criterion) {
    let mut group = c.benchmark_group("receiver");
    group.throughput(Throughput::Elements((BURSTS * SEGMENTS) as u64));
    for (name, protection) in [
        ("take and hand out in order", Protection::None),
        ("take, open and hand out in order", Protection::Sealed),
        ("take, open, verify and hand out in order", Protection::Signed),
    ] {
        let mut stream = Stream::new(&protection);
        let verify = protection.signer().map(|signer| signer.public());
        let config = ReceiverConfig { keys: protection.keys(), verify, ..config::receiver() };
        let mut receiver = Receiver::new(config, Timestamp::from_secs(1));
        group.bench_function(name, |b| {
            b.iter_batched(
                || (stream.bursts(BURSTS), stream.now),
                |(bursts, now)| take(&mut receiver, bursts, now),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn take(receiver: &mut Receiver, bursts: Vec<(Transmit, Vec<u8>)>, now: Timestamp) {
    for (transmit, mut bytes) in bursts {
        for datagram in bytes.chunks_mut(transmit.segment_len.max(1)) {
            receiver.handle_datagram(datagram, Via::Group, config::source(), now);
        }
        while let Some(delivered) = receiver.pull(now) {
            black_box(delivered);
        }
    }
    receiver.handle_timeout(now);
    while receiver.poll_event().is_some() {}
}

/// A sender that nobody answers.
struct Stream {
    sender: Sender,
    now: Timestamp,
    input: Bytes,
    burst: Vec<u8>,
}

impl Stream {
    fn new(protection: &Protection) -> Self {
        let now = Timestamp::from_secs(1);
        let (keys, sign) = (protection.keys(), protection.signer());
        let config = SenderConfig { keys, sign, ..config::sender() };
        #[expect(clippy::expect_used, reason = "the configuration is of this file")]
        let sender = Sender::new(config, now).expect("a valid configuration");
        let input = Bytes::from(vec![0x5a; 64 << 10]);
        Self { sender, now, input, burst: Vec::with_capacity(1 << 16) }
    }

    /// Sends so many bursts of data, and what else is due.
    fn pass(&mut self, bursts: usize) {
        let mut left = bursts;
        while left > 0 {
            if let Some(transmit) = self.next() {
                left -= usize::from(transmit.datagrams > 1);
                black_box(&self.burst);
            }
        }
    }

    /// The same, kept.
    fn bursts(&mut self, bursts: usize) -> Vec<(Transmit, Vec<u8>)> {
        let mut kept = Vec::new();
        let mut left = bursts;
        while left > 0 {
            if let Some(transmit) = self.next() {
                left -= usize::from(transmit.datagrams > 1);
                kept.push((transmit, self.burst.clone()));
            }
        }
        kept
    }

    fn next(&mut self) -> Option<Transmit> {
        while self.sender.has_room() && self.sender.push(self.input.clone(), self.now).is_ok() {}
        self.sender.handle_timeout(self.now);
        while self.sender.poll_event().is_some() {}
        let sent = self.sender.poll_transmit(self.now, SEGMENTS, &mut self.burst);
        if sent.is_none() {
            let due = self.sender.poll_timeout().map_or(self.now, |(due, _)| due);
            self.now = due.max(self.now.after(Duration::from_micros(1)));
        }
        sent
    }
}

/// What is done to the stream.
enum Protection {
    None,
    Sealed,
    /// Sealed as well.
    Signed,
}

impl Protection {
    fn keys(&self) -> Option<Keyring> {
        let is_sealed = !matches!(self, Self::None);
        is_sealed.then(|| Keyring::of_group(Key::new([1; 32])))
    }

    fn signer(&self) -> Option<SigningKey> {
        matches!(self, Self::Signed).then(|| SigningKey::of(&Key::new([2; 32])))
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = codec, window, in_order
}
criterion_main!(benches);
