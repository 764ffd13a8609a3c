use super::*;
use crate::config::Tuning;
use crate::sender::ConfigError;

fn tuning(rate: Option<u64>) -> Tuning {
    Tuning {
        rate: rate.map(Bitrate),
        linger: Duration::ZERO,
        retain: ByteCount(1 << 20),
        retain_for: None,
        finish_timeout: Duration::from_secs(10),
    }
}

/// Wire bits of data per second, over a while.
fn measured(bench: &mut Bench) -> f64 {
    let bits = |bench: &Bench| {
        let count = bench.sender.stats().group.get(Kind::Data);
        (count.bytes + count.datagrams * 42) as f64 * 8.0
    };
    let before = bits(bench);
    for _ in 0..100 {
        while bench.sender.has_room() {
            bench.push(100);
        }
        bench.run(millis(5));
    }
    (bits(bench) - before) / 0.5
}

#[test]
fn another_rate_holds_from_the_next_burst_in_the_same_session() {
    let mut bench = Bench::new(|config| config.rate = Some(Bitrate(10_000)));
    bench.push(100);
    bench.run(millis(1));
    let (announced, numbers) = (bench.count(Kind::Announce), bench.sent.len() as u64);
    bench.sender.retune(tuning(Some(20_000_000)), bench.now).unwrap();
    let rate = measured(&mut bench);
    assert!((rate / 20e6 - 1.0).abs() < 0.05, "{rate}");
    assert!(bench.count(Kind::Announce) > announced, "subscribers are told");
    bench.sender.retune(tuning(Some(5_000_000)), bench.now).unwrap();
    let rate = measured(&mut bench);
    assert!((rate / 5e6 - 1.0).abs() < 0.05, "{rate}");
    bench.sender.retune(tuning(None), bench.now).unwrap();
    let rate = measured(&mut bench);
    assert!((rate / 100e6 - 1.0).abs() < 0.05, "with nobody heard: {rate}");
    let of_group = bench.sent.iter().map(|sent| sent.packet.header);
    assert!(of_group.clone().all(|header| header.session == SESSION));
    let gapless = of_group.map(|header| header.number).eq(0..bench.sent.len() as u64);
    assert!(gapless && bench.sent.len() as u64 > numbers, "no number is left out");
}

#[test]
fn a_rate_of_nothing_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(|_| {});
    let refused = bench.sender.retune(tuning(Some(0)), bench.now);
    assert_eq!(refused, Err(ConfigError::Rate));
    assert_eq!(bench.sender.pace(), Some(Bitrate(10_000_000)));
}
