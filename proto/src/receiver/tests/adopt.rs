use super::*;

/// A receiver that follows a session, and an announce of another one.
struct Rival {
    bench: Bench,
    started_us: u64,
}

impl Rival {
    fn new(started_us: u64) -> Self {
        Self { bench: Bench::new(), started_us }
    }

    fn announce(&mut self, from: SocketAddr, name: &str) -> bool {
        let (session, old_from) = (self.bench.session, self.bench.from);
        self.bench.session = SessionId(99);
        self.bench.from = from;
        let name = name.parse().unwrap();
        self.bench.hear(Body::Announce(Announce {
            started_us: self.started_us,
            name,
            ..announce()
        }));
        (self.bench.session, self.bench.from) = (session, old_from);
        self.bench.receiver.status().session == Some(SessionId(99))
    }
}

#[test]
fn a_session_is_adopted_by_an_announce_and_by_nothing_else() {
    let mut bench = Bench::idle(|_| {});
    for sample in wire::every_kind() {
        if sample.header.kind != Kind::Announce {
            bench.hear(sample.body);
        }
    }
    assert_eq!(bench.receiver.status().session, None);
    assert_eq!(bench.discarded(Discard::ForeignSession), 19);
    assert!(bench.out.is_empty() && bench.said.is_empty());
    bench.hear(Body::Announce(announce()));
    assert_eq!(bench.receiver.status().session, Some(SESSION));
    let Delivered::Session(info) = &bench.out[0] else { panic!("{:?}", bench.out) };
    assert_eq!((info.restart, info.first, info.missed), (false, Seq(0), None));
    bench.adds_up();
}

#[test]
fn an_announce_by_the_socket_of_feedback_is_not_believed() {
    let mut bench = Bench::idle(|_| {});
    bench.hear_via(Via::Feedback, Body::Announce(announce()));
    assert_eq!(bench.receiver.status().session, None);
}

#[test]
fn only_the_stream_that_was_asked_for_is_followed() {
    let mut bench = Bench::idle(|config| config.stream = Some("wanted".parse().unwrap()));
    bench.hear(Body::Announce(announce()));
    assert_eq!(
        (bench.receiver.status().session, bench.discarded(Discard::ForeignStream)),
        (None, 1)
    );
    bench.hear(Body::Announce(Announce { name: "wanted".parse().unwrap(), ..announce() }));
    assert_eq!(bench.receiver.status().session, Some(SESSION));
}

#[test]
fn a_newer_session_of_the_same_host_takes_over_at_once() {
    let mut rival = Rival::new(101);
    assert!(rival.announce("10.0.0.1:9999".parse().unwrap(), "test"), "from another port too");
    let Some(Delivered::Session(info)) = rival.bench.out.last() else { panic!() };
    assert!(info.restart);
}

#[test]
fn an_older_session_a_replayed_one_and_another_hosts_are_refused_while_this_one_lives() {
    for (started, from, name) in [
        (99, source(), "test"),
        (100, source(), "test"),
        (101, other_host(), "test"),
        (101, source(), "another"),
    ] {
        let mut rival = Rival::new(started);
        for _ in 0..50 {
            rival.bench.run(millis(900));
            rival.bench.heartbeat(0, 0);
            assert!(!rival.announce(from, name), "started {started} from {from}");
        }
        assert_eq!(rival.bench.discarded(Discard::ForeignSession), 50);
        rival.bench.adds_up();
    }
}

#[test]
fn after_two_of_its_longest_heartbeats_of_silence_any_other_takes_its_place() {
    for (started, from, name) in
        [(1, source(), "test"), (1, other_host(), "test"), (1, source(), "new")]
    {
        let mut rival = Rival::new(started);
        rival.bench.run(millis(2_000));
        assert!(!rival.announce(from, name));
        rival.bench.run(millis(1));
        let at_once = rival.announce(from, name);
        assert_eq!(at_once, from != other_host(), "another host says it twice");
        assert!(at_once || rival.announce(from, name), "{name} from {from}");
    }
}

#[test]
fn how_long_a_silence_may_be_is_not_for_the_announce_to_say_without_bounds() {
    for (told, wait) in [(0, 20), (65_535, 2_000)] {
        let mut bench = Bench::joined(|_| {}, |announce| announce.heartbeat_max_ms = told);
        bench.session = SessionId(99);
        bench.from = other_host();
        bench.run(millis(wait));
        bench.hear(Body::Announce(announce()));
        assert_eq!(bench.receiver.status().session, Some(SESSION), "{told}");
        bench.run(millis(1));
        bench.hear(Body::Announce(announce()));
        bench.hear(Body::Announce(announce()));
        assert_eq!(bench.receiver.status().session, Some(SessionId(99)), "{told}");
    }
}

#[test]
fn after_the_end_any_other_takes_its_place() {
    let mut rival = Rival::new(1);
    rival.bench.end(0);
    assert!(rival.bench.ending().is_some());
    assert!(!rival.announce(other_host(), "test"));
    assert!(rival.announce(other_host(), "test"), "another host says it twice");
}

#[test]
fn noise_from_another_host_never_takes_the_place_of_a_silent_session() {
    let mut bench = Bench::joined(|_| {}, |_| {});
    bench.run(millis(5_000));
    bench.from = other_host();
    for session in 100..200 {
        bench.session = SessionId(session);
        bench.hear(Body::Announce(announce()));
    }
    assert_eq!(bench.receiver.status().session, Some(SESSION));
    assert_eq!(bench.discarded(Discard::ForeignSession), 100);
}

#[test]
fn time_without_room_in_our_socket_is_no_silence() {
    let mut rival = Rival::new(1);
    for total in 1..10 {
        rival.bench.run(millis(1_500));
        rival.bench.receiver.on_kernel_drops(total);
        assert!(!rival.announce(other_host(), "test"));
    }
    rival.bench.run(millis(2_001));
    rival.announce(other_host(), "test");
    assert!(rival.announce(other_host(), "test"));
}

#[test]
fn a_session_is_pinned_to_its_source() {
    let mut bench = Bench::new();
    bench.from = "10.0.0.1:5001".parse().unwrap();
    bench.data(0);
    bench.hear(Body::Announce(announce()));
    bench.end(0);
    assert_eq!((bench.discarded(Discard::ForeignSource), bench.delivered()), (3, vec![]));
    assert_eq!(bench.ending(), None);
    bench.adds_up();
}

#[test]
fn what_is_of_another_session_or_stream_is_counted_and_not_heard() {
    let mut bench = Bench::new();
    bench.session = SessionId(1);
    bench.data(0);
    bench.session = SESSION;
    let mut foreign = bench.packet(Body::Data(coded(0, START)), Via::Group);
    foreign.header.stream = StreamId(9);
    bench.take(&foreign, Via::Group);
    assert_eq!(bench.discarded(Discard::ForeignSession), 1);
    assert_eq!(bench.discarded(Discard::ForeignStream), 1);
    assert!(bench.delivered().is_empty());
}

#[test]
fn a_restart_mid_stream_hands_out_the_rest_that_is_in_order_before_the_new_session() {
    let mut bench = Bench::new();
    bench.data(0);
    bench.stuck = true;
    bench.data(1);
    bench.data(2);
    bench.data(4);
    bench.session = SessionId(78);
    bench.hear(Body::Announce(Announce { started_us: 101, ..announce() }));
    bench.data(0);
    bench.stuck = false;
    bench.settle();
    assert_eq!(bench.delivered(), [0, 1, 2, 0]);
    assert!(matches!(bench.out[4], Delivered::Session(_)), "{:?}", bench.out);
    assert_eq!(bench.receiver.stats().packets_abandoned, 1);
    bench.adds_up();
}

#[test]
fn silence_is_told_once_and_its_end_too() {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(20));
    let told = |wanted: fn(&Event) -> bool, bench: &Bench| {
        bench.events.iter().filter(|event| wanted(event)).count()
    };
    assert_eq!(told(|event| matches!(event, Event::Silent { .. }), &bench), 1);
    assert!(bench.receiver.status().silent);
    bench.heartbeat(0, 0);
    assert_eq!(told(|event| matches!(event, Event::HeardAgain { .. }), &bench), 1);
    assert!(!bench.receiver.status().silent);
}

#[test]
fn one_that_has_left_is_not_drawn_in_again() {
    let mut bench = Bench::known(|_| {});
    bench.receiver.leave(wire::ByeReason::Left, bench.now);
    bench.settle();
    bench.session = SessionId(78);
    bench.hear(Body::Announce(Announce { started_us: 101, ..announce() }));
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.count(Kind::Register), 0);
    assert!(bench.receiver.has_left());
}

#[test]
fn a_session_that_draws_the_id_of_the_last_one_is_told_by_its_start() {
    for port in [5_000, 5_001] {
        let mut bench = Bench::new();
        (0..4).for_each(|seq| bench.data(seq));
        bench.from.set_port(port);
        let mut again = announce();
        again.started_us += 1;
        bench.hear(Body::Announce(again));
        bench.data(0);
        assert_eq!(bench.delivered(), [0, 1, 2, 3, 0], "port {port}");
        assert_eq!(bench.receiver.stats().sessions, 2);
    }
}

#[test]
fn another_host_with_the_same_id_and_another_start_is_not_followed() {
    let mut bench = Bench::new();
    bench.data(0);
    bench.from = other_host();
    let mut rival = announce();
    rival.started_us += 1;
    bench.hear(Body::Announce(rival));
    bench.data(1);
    assert_eq!(bench.delivered(), [0]);
    assert_eq!(bench.discarded(Discard::ForeignSession), 1);
    assert_eq!(bench.discarded(Discard::ForeignSource), 1);
}
