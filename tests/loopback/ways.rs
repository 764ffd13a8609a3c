//! Streams that go out by unicast, by TCP, and several ways at once.

use super::*;

fn waits_for(subscribers: u32, flags: StreamFlags) -> StreamFlags {
    StreamFlags { wait_for: Some(format!("{subscribers},20s").parse().unwrap()), ..flags }
}

fn whole(desk: &Desk, received: &client::Summary, name: &str) {
    assert!(received.is_complete() && received.exit_code() == 0, "{name}: {received:?}");
    assert_eq!(desk.read(name).as_ref(), Some(&desk.source), "{name}");
}

/// Sends a file to one endpoint, and two subscribers ask for it there.
fn to_two(endpoint: &str, impair: Option<&str>) -> (server::Summary, [client::Summary; 2]) {
    let (desk, stop) = (Desk::new(3_000_001), Shutdown::new());
    let start = |name| {
        let of = subscription(endpoint, text(&desk.path(name)), &defaults(impair));
        subscribe(vec![of], &stop)
    };
    let subscribers = ["one", "two"].map(start);
    let flags = waits_for(2, stream(text(&desk.path("source")), endpoint));
    let sent = publish(vec![flags], &stop).join().unwrap();
    let received = subscribers.map(|subscriber| subscriber.join().unwrap());
    for (name, received) in ["one", "two"].iter().zip(&received) {
        whole(&desk, received, name);
    }
    assert!(sent.is_complete(), "{sent:?}");
    (sent, received)
}

#[test]
fn by_unicast_each_has_a_copy_of_its_own() {
    let (sent, _) = to_two("unicast://127.0.0.1:5061", None);
    let stream = &sent.streams[0];
    assert!(stream.sent.iter().all(|sent| sent.mode == "unicast"), "{:?}", stream.sent);
    assert!(stream.egress_bytes > 6_000_002 && stream.egress_bytes < 6_600_000, "{stream:?}");
}

#[test]
fn by_unicast_what_is_lost_is_mended() {
    let (_, received) = to_two("unicast://127.0.0.1:5062", Some("loss=3%,burst=2,seed=5"));
    for received in &received {
        assert!(received.totals().repaired_packets > 20, "{received:?}");
    }
}

#[test]
fn by_tcp_each_has_a_connection_of_its_own() {
    let (sent, received) = to_two("tcp://127.0.0.1:5063", None);
    let stream = &sent.streams[0];
    assert!(stream.sent.iter().all(|sent| sent.mode == "tcp"), "{:?}", stream.sent);
    assert!(stream.egress_bytes > 6_000_002, "{stream:?}");
    for received in &received {
        let totals = received.totals();
        assert_eq!((totals.lost_packets, totals.missed_packets), (0, 0), "{received:?}");
    }
}

#[test]
fn one_session_goes_out_several_ways_at_once() {
    let (desk, stop) = (Desk::new(2_000_003), Shutdown::new());
    let ways = ["udp://239.255.41.9:5064", "unicast://127.0.0.1:5065", "tcp://127.0.0.1:5066"];
    let names = ["group", "unicast", "tcp"];
    let subscribers: Vec<_> = ways
        .iter()
        .zip(names)
        .map(|(way, name)| {
            subscribe(vec![subscription(way, text(&desk.path(name)), &defaults(None))], &stop)
        })
        .collect();
    let first = waits_for(3, stream(text(&desk.path("source")), ways[0]));
    let to = ways.map(|way| way.parse().unwrap()).to_vec();
    let sent = publish(vec![StreamFlags { to, ..first }], &stop).join().unwrap();
    for (subscriber, name) in subscribers.into_iter().zip(names) {
        whole(&desk, &subscriber.join().unwrap(), name);
    }
    assert!(sent.is_complete(), "{sent:?}");
    assert_eq!(sent.streams[0].audience.len(), 3, "{sent:?}");
}

#[test]
fn a_group_that_is_not_heard_is_replaced_by_the_fallback() {
    let (desk, stop) = (Desk::new(1_000_003), Shutdown::new());
    let mut of = subscription("udp://239.255.41.10:5067", text(&desk.path("out")), &defaults(None));
    of.fallback = Some("tcp://127.0.0.1:5068".parse().unwrap());
    of.defaults.fallback_after = Duration::from_millis(300);
    let received = subscribe(vec![of], &stop);
    let flags = waits_for(1, stream(text(&desk.path("source")), "tcp://127.0.0.1:5068"));
    let sent = publish(vec![flags], &stop).join().unwrap();
    let received = received.join().unwrap();
    whole(&desk, &received, "out");
    assert!(sent.is_complete(), "{sent:?}");
    let totals = received.totals();
    assert_eq!((totals.switches_to_fallback, totals.switches_to_group), (1, 0));
}
