use super::*;

fn gaps(sent: &[&Sent]) -> Vec<u128> {
    sent.windows(2).map(|pair| pair[1].at.since(pair[0].at).as_millis()).collect()
}

#[test]
fn it_announces_itself_at_once_and_ten_times_a_second_once_it_knows_how_many_listen() {
    let mut bench = Bench::new(|config| config.wait_for = 1);
    assert_eq!(bench.sent[0].packet.header.kind, Kind::Announce);
    bench.run(millis(1_000));
    let announces = gaps(&bench.of_kind(Kind::Announce));
    assert_eq!(announces[..2], [30; 2], "the audience is counted");
    assert_eq!(announces[2..], [100; 9]);
}

#[test]
fn an_announce_says_what_the_session_is() {
    let bench = Bench::new(|config| config.delivery = Delivery::Timely(millis(150)));
    let Body::Announce(announce) = &bench.sent[0].packet.body else { unreachable!() };
    assert_eq!((announce.started_us, announce.deadline_ms, announce.coded_len), (5, 150, 168));
    assert_eq!((announce.k, announce.rate_bps), (8, 10_000_000));
    assert_eq!((announce.heartbeat_max_ms, announce.name.as_str()), (1_000, "test"));
}

#[test]
fn heartbeats_double_their_interval_up_to_the_longest() {
    let mut bench = Bench::new(|_| {});
    bench.sent.clear();
    bench.run(Duration::from_secs(6));
    let beats = bench.of_kind(Kind::Heartbeat);
    assert_eq!(gaps(&beats)[..8], [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
}

#[test]
fn a_heartbeat_says_when_the_next_one_comes() {
    let mut bench = Bench::new(|_| {});
    bench.run(Duration::from_secs(5));
    let beats = bench.of_kind(Kind::Heartbeat);
    let told: Vec<u128> = beats
        .iter()
        .map(|beat| {
            let Body::Heartbeat(beat) = &beat.packet.body else { unreachable!() };
            u128::from(beat.next_ms)
        })
        .collect();
    assert_eq!(told[..told.len() - 1], gaps(&beats));
}

#[test]
fn data_makes_heartbeats_frequent_again_and_needs_none_itself() {
    let mut bench = Bench::new(|_| {});
    bench.run(Duration::from_secs(5));
    bench.sent.clear();
    for _ in 0..100 {
        bench.push(1);
        bench.run(millis(5));
    }
    assert_eq!(bench.count(Kind::Heartbeat), 0);
    bench.run(millis(100));
    let last = bench.of_kind(Kind::Data).last().unwrap().at;
    let beats = bench.of_kind(Kind::Heartbeat);
    assert_eq!(beats[0].at.since(last), millis(10));
    let Body::Heartbeat(beat) = &beats[0].packet.body else { unreachable!() };
    assert_eq!((beat.trail, beat.lead), (Seq(0), Seq(100)));
}

#[test]
fn announces_grow_rare_where_nothing_is_said() {
    let mut bench = Bench::new(|_| {});
    bench.run(Duration::from_secs(10));
    let announces = gaps(&bench.of_kind(Kind::Announce));
    assert!(announces.iter().skip(2).all(|gap| (100..=1_000).contains(gap)), "{announces:?}");
    assert!(announces.len() < 28, "{announces:?}");
}

#[test]
fn the_last_closed_block_is_told() {
    let mut bench = Bench::new(|_| {});
    bench.push(11);
    bench.run(millis(100));
    let Body::Heartbeat(beat) = &bench.of_kind(Kind::Heartbeat).last().unwrap().packet.body else {
        unreachable!()
    };
    assert_eq!((beat.last_block, beat.last_k), (Seq(8), 3));
}
