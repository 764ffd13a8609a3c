//! What the block code costs: `cargo bench -p proto --bench fec`.
//!
//! Rates are of source data (k × 1400 B), for encoding as for recovery. Every recovery meets another
//! set of lost packets. The goals: one loss in 64 packets in 10 µs, 8 parity at 4 GB/s.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proto::fec;

const LEN: usize = 1400;

/// k and parity, as in the tables that the code was chosen by.
const BLOCKS: [(usize, usize); 7] =
    [(32, 4), (32, 8), (64, 4), (64, 8), (64, 16), (128, 8), (128, 16)];

fn accumulate(c: &mut Criterion) {
    let mut group = c.benchmark_group("accumulate one packet");
    let symbol = block(1).remove(0);
    for parity in [1, 4, 8] {
        let mut sums = vec![vec![0; LEN]; parity];
        group.throughput(Throughput::Bytes(LEN as u64));
        group.bench_function(BenchmarkId::from_parameter(parity), |b| {
            b.iter(|| fec::accumulate(3, black_box(&symbol), 0, &mut sums));
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for (k, parity) in BLOCKS {
        let data = block(k);
        let mut sums = vec![vec![0; LEN]; parity];
        group.throughput(Throughput::Bytes((k * LEN) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{k}+{parity}")), |b| {
            b.iter(|| fec::encode(black_box(&data), 0, &mut sums));
        });
    }
    group.finish();
}

fn recover(c: &mut Criterion) {
    let mut group = c.benchmark_group("recover");
    for (k, parity) in BLOCKS {
        let data = block(k);
        let mut sums = vec![vec![0; LEN]; parity];
        assert_eq!(fec::encode(&data, 0, &mut sums), Ok(()));
        let sums: Vec<(u8, Vec<u8>)> = (0..).zip(sums).collect();
        group.throughput(Throughput::Bytes((k * LEN) as u64));
        for missing in [1, 2, 4, 8, 16].into_iter().filter(|&missing| missing <= parity) {
            let mut random = 7;
            let mut holes: Vec<Option<&[u8]>> = Vec::new();
            let name = BenchmarkId::from_parameter(format!("{k}+{parity}, {missing} lost"));
            group.bench_function(name, |b| {
                b.iter(|| {
                    lose(&data, missing, &mut random, &mut holes);
                    fec::recover(black_box(&holes), &sums, LEN)
                });
            });
        }
    }
    group.finish();
}

/// k symbols that differ.
fn block(k: usize) -> Vec<Vec<u8>> {
    let mut random = 1;
    (0..k).map(|_| (0..LEN).map(|_| next(&mut random).to_le_bytes()[4]).collect()).collect()
}

/// The block, with this many others missing each time.
fn lose<'a>(
    data: &'a [Vec<u8>],
    missing: usize,
    random: &mut u64,
    holes: &mut Vec<Option<&'a [u8]>>,
) {
    holes.clear();
    holes.extend(data.iter().map(|symbol| Some(symbol.as_slice())));
    let mut left = missing;
    while left > 0 {
        let at = next(random).to_le_bytes()[5] as usize % data.len();
        if holes.get_mut(at).is_some_and(|symbol| symbol.take().is_some()) {
            left -= 1;
        }
    }
}

/// Knuth's linear congruential generator: fast enough not to be seen in the figures.
fn next(random: &mut u64) -> u64 {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = accumulate, encode, recover
}
criterion_main!(benches);
