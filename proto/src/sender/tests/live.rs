use super::*;
use crate::config::SlowPolicy;
use crate::sender::ConfigError;
use crate::wire::UNICAST_NUMBERS;

fn seqs(bench: &Bench) -> Vec<u64> {
    bench.of_kind(Kind::Data).into_iter().map(seq).collect()
}

#[test]
fn what_cannot_be_sent_is_refused_at_the_door() {
    let refused = |special: fn(&mut SenderConfig)| {
        let mut config = config();
        special(&mut config);
        Sender::new(config, START).unwrap_err()
    };
    assert_eq!(refused(|config| config.datagram_len = 127), ConfigError::DatagramLen(127));
    assert_eq!(refused(|config| config.datagram_len = 9_001), ConfigError::DatagramLen(9_001));
    assert_eq!(refused(|config| config.k = 0), ConfigError::BlockLen(0));
    assert_eq!(refused(|config| config.k = 129), ConfigError::BlockLen(129));
    assert_eq!(refused(|config| config.rate = Some(Bitrate(0))), ConfigError::Rate);
}

#[test]
fn the_groups_numbers_have_no_gap_and_none_is_used_twice() {
    let mut bench = Bench::new(|_| {});
    for who in 1..5 {
        bench.admit(who);
    }
    bench.push(200);
    bench.run(millis(20));
    bench.hear(1, nak(1, &[(3, 9)]));
    bench.hear(2, catch_up(2, 0, 20));
    bench.run(millis(500));
    let numbers = |wanted: fn(&Destination) -> bool| -> Vec<u64> {
        let sent = bench.sent.iter().filter(|sent| wanted(&sent.to));
        sent.map(|sent| sent.packet.header.number).collect()
    };
    let group = numbers(|to| *to == Destination::Group);
    assert!(group.iter().copied().eq(0..group.len() as u64));
    let unicast = numbers(|to| *to != Destination::Group);
    assert!(unicast.iter().copied().eq((0..unicast.len() as u64).map(|n| UNICAST_NUMBERS + n)));
    assert!(unicast.len() > 20);
}

#[test]
fn datagrams_of_a_burst_have_one_length_and_only_the_last_is_shorter() {
    let mut bench = Bench::new(|_| {});
    for len in [1_000, 3, 40, 2_000, 159, 160, 1] {
        bench.sender.push(Bytes::from(vec![1; len]), bench.now).unwrap();
        bench.sender.flush(bench.now);
    }
    bench.run(millis(100));
    let mut at = 0;
    for burst in &bench.bursts {
        let lens: Vec<_> = bench.sent[at..at + burst.datagrams].iter().map(|one| one.len).collect();
        let (last, others) = lens.split_last().unwrap();
        assert!(others.iter().all(|len| *len == burst.segment_len), "{lens:?}");
        assert!(*last <= burst.segment_len, "{lens:?}");
        at += burst.datagrams;
    }
    assert!(bench.bursts.iter().any(|burst| burst.datagrams > 1));
}

#[test]
fn a_fixed_rate_is_kept_within_one_per_cent() {
    for rate in [2_000_000, 50_000_000, 800_000_000] {
        let mut bench = Bench::new(|config| {
            config.rate = Some(Bitrate(rate));
            config.datagram_len = 1_472;
        });
        let end = bench.now.after(Duration::from_secs(1));
        while bench.now < end {
            while bench.sender.has_room() {
                bench.sender.push(Bytes::from(vec![1; 1 << 20]), bench.now).unwrap();
            }
            bench.run(millis(5));
            bench.sent.truncate(0);
        }
        let total = bench.sender.stats().group.total();
        let bits = (total.bytes + 42 * total.datagrams) as f64 * 8.0;
        let share = bits / rate as f64;
        assert!((0.99..1.01).contains(&share), "{share} of {rate}");
    }
}

#[test]
fn an_automatic_rate_never_passes_the_smallest_limit() {
    let mut bench = Bench::new(|config| config.rate = None);
    bench.admit(1);
    bench.admit(2);
    bench.hear(1, live(1, 0, 30, bench.now));
    bench.hear(2, live(2, 0, 12, bench.now));
    bench.push(100);
    bench.run(millis(50));
    assert_eq!(seqs(&bench).last(), Some(&11));
    bench.hear(2, live(2, 12, 80, bench.now));
    bench.run(millis(50));
    assert_eq!(seqs(&bench).last(), Some(&29), "now the other one is the slowest");
}

#[test]
fn one_that_fell_silent_holds_nobody_back_until_it_returns() {
    let mut bench = Bench::new(|config| {
        (config.rate, config.flow.slow) = (None, Some(SlowPolicy::Warn));
    });
    bench.admit(1);
    bench.admit(2);
    bench.push(100);
    bench.hear(1, live(1, 0, 5, bench.now));
    for second in 0..4 {
        bench.hear(2, live(2, 0, 50, bench.now));
        bench.run(Duration::from_secs(1));
        assert!(second >= 2 || seqs(&bench).len() == 5, "after {second} s");
    }
    assert_eq!(seqs(&bench).len(), 50);
    bench.hear(1, live(1, 50, 60, bench.now));
    bench.hear(2, live(2, 50, 90, bench.now));
    bench.run(millis(10));
    assert_eq!(seqs(&bench).len(), 60, "it counts again");
}

#[test]
fn with_nobody_heard_an_automatic_rate_is_a_modest_one() {
    let mut bench = Bench::new(|config| config.rate = None);
    bench.push(20_000);
    bench.run(millis(100));
    let bits = bench.of_kind(Kind::Data).iter().map(|sent| (sent.len + 42) * 8).sum::<usize>();
    assert!((9_000_000..11_000_000).contains(&bits), "{bits} in 100 ms");
}

#[test]
fn however_little_is_retained_the_stream_moves() {
    let mut bench = Bench::new(|config| (config.rate, config.retain) = (None, ByteCount(0)));
    bench.admit(1);
    bench.hear(1, live(1, 0, 500, bench.now));
    bench.push(10);
    bench.run(millis(10));
    assert_eq!(seqs(&bench).len(), 10);
}

#[test]
fn packets_of_an_open_block_say_so_and_of_a_closed_one_its_length() {
    let mut bench = Bench::new(|config| config.rate = Some(Bitrate(1_000_000_000)));
    bench.admit(1);
    bench.push(11); // one block of 8 and 3 more
    bench.drain();
    bench.run(millis(1));
    let fields = |sent: &Sent| {
        let coded = sent.packet.body.coded().unwrap();
        (coded.block, coded.index, coded.k)
    };
    let data: Vec<_> = bench.of_kind(Kind::Data).into_iter().map(fields).collect();
    assert_eq!((data[0], data[7], data[10]), ((0, 0, 8), (0, 7, 8), (8, 2, 0)));
    bench.run(millis(20)); // the budget of a block
    bench.hear(1, nak(1, &[(10, 11)]));
    bench.drain();
    let repair = bench.of_kind(Kind::Repair).into_iter().map(fields).collect::<Vec<_>>();
    assert_eq!(repair, [(8, 2, 3)]);
}

#[test]
fn what_is_retained_is_bounded_by_bytes() {
    let mut bench = Bench::new(|config| config.retain = ByteCount(20 * PAYLOAD as u64));
    bench.push(100);
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.sender.window_len(), 20);
}

#[test]
fn what_is_retained_is_bounded_by_age() {
    let mut bench = Bench::new(|config| config.retain_for = Some(millis(500)));
    for _ in 0..10 {
        bench.push(1);
        bench.run(millis(100));
    }
    assert!((5..=6).contains(&bench.sender.window_len()), "{}", bench.sender.window_len());
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.sender.window_len(), 0);
}

#[test]
fn unicast_would_have_cost_what_the_audience_of_each_moment_costs() {
    let mut bench = Bench::new(|_| {});
    bench.push(10);
    bench.run(millis(100));
    assert_eq!(bench.sender.stats().unicast_equivalent_bytes, 0);
    bench.admit(1);
    bench.admit(2);
    bench.push(10);
    bench.run(millis(100));
    assert_eq!(bench.sender.stats().unicast_equivalent_bytes, 2 * 10 * (200 + 42));
    let Body::Report(mut lossy) = live(1, 20, 99, bench.now) else { unreachable!() };
    lossy.losses.wire = 3;
    bench.hear(1, Body::Report(lossy.clone()));
    bench.hear(1, Body::Report(lossy));
    assert_eq!(bench.sender.stats().unicast_equivalent_bytes, 23 * (200 + 42), "counted once");
}

#[test]
fn messages_start_where_the_prefix_says() {
    let mut bench = Bench::new(|config| config.mode = StreamMode::Messages);
    bench.sender.push(Bytes::from(vec![5; 300]), bench.now).unwrap();
    bench.run(millis(10));
    let bodies: Vec<_> = bench.of_kind(Kind::Data).into_iter().cloned().collect();
    let prefixes: Vec<_> = bodies
        .iter()
        .map(|sent| wire::CodedPrefix::read(&sent.packet.body.coded().unwrap().body).unwrap())
        .collect();
    assert_eq!(prefixes.len(), 2);
    assert_eq!((prefixes[0].first_record, prefixes[1].first_record), (0, wire::NO_RECORD));
    assert!(prefixes.iter().all(|prefix| prefix.flags == wire::PREFIX_RECORDS));
    assert_eq!(bench.sender.stats().payload_bytes, 300, "without the lengths of records");
}
