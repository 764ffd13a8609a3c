use super::*;
use crate::wire::{self, PREFIX_RECORDS};

fn messages(bench: &Bench) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for delivered in &bench.out {
        match delivered {
            Delivered::Payload(payload) => messages.push(payload.bytes.to_vec()),
            Delivered::Row(row) => messages.extend(row.clone().map(Vec::from)),
            Delivered::Session(_) | Delivered::Gap(_) | Delivered::End(_) => {}
        }
    }
    messages
}

fn records(bench: &mut Bench, seq: u64, payload: &[u8], first_record: u16) {
    let coded = message(seq, bench.now, payload, PREFIX_RECORDS, first_record);
    bench.hear(Body::Data(coded));
}

#[test]
fn whatever_the_order_on_the_wire_it_is_handed_out_in_order_and_once() {
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let mut bench = Bench::new();
        for seq in order {
            bench.data(seq);
            bench.data(seq);
        }
        assert_eq!(bench.delivered(), [0, 1, 2, 3, 4], "{order:?}");
        assert_eq!(bench.receiver.stats().packets_duplicate, 5);
        bench.adds_up();
    }
}

#[test]
fn bytes_are_handed_out_as_they_were_sent() {
    let mut bench = Bench::new();
    bench.data(0);
    bench.data(1);
    assert_eq!(messages(&bench), [vec![0; 10], vec![1; 10]]);
    assert_eq!(bench.receiver.stats().bytes_delivered, 20);
}

#[test]
fn messages_are_put_together_over_packets_and_found_again_after_a_gap() {
    let mut bench = Bench::joined(|_| {}, |announce| announce.mode = StreamMode::Messages);
    records(&mut bench, 0, b"\0\0\0\x02ab\0\0\0\x06cde", 0);
    records(&mut bench, 1, b"fgh\0\0\0\x01i", 3);
    assert_eq!(messages(&bench), [b"ab".to_vec(), b"cdefgh".to_vec(), b"i".to_vec()]);
    bench.out.clear();
    records(&mut bench, 2, b"\0\0\0\x0cjkl", 0);
    records(&mut bench, 4, b"tail\0\0\0\x01m", 4);
    bench.hear(refused(RefusedReason::TooLate, 0, &[range(3, 4)]));
    assert_eq!(messages(&bench), [b"m".to_vec()]);
    assert_eq!(bench.gaps(), [Gap { range: range(3, 4), cause: GapCause::LeftWindow }]);
}

#[test]
fn messages_of_packets_in_a_row_are_handed_out_together() {
    let mut bench = Bench::joined(|_| {}, |announce| announce.mode = StreamMode::Messages);
    records(&mut bench, 0, b"\0\0\0\x02ab\0\0\0\x06cde", 0);
    bench.out.clear();
    for (seq, payload, first) in
        [(1, &b"fgh\0\0\0\x01i\0\0"[..], 3), (2, b"\0\0\0\0\0\x02kl", 2), (3, b"\0\0", 0)]
    {
        let coded = message(seq, bench.now, payload, PREFIX_RECORDS, first);
        let packet = bench.packet(Body::Data(coded), Via::Group);
        let mut datagram = Vec::new();
        wire::encode(&packet, &mut datagram);
        bench.receiver.handle_datagram(&mut datagram, Via::Group, source(), bench.now);
    }
    bench.settle();
    assert_eq!(messages(&bench), [&b"cdefgh"[..], b"i", b"", b"kl"]);
    let [Delivered::Row(row)] = &bench.out[..] else { panic!("{:?}", bench.out) };
    assert_eq!(row.range, range(1, 4));
}

#[test]
fn who_joins_in_the_middle_of_a_message_starts_with_the_next_one() {
    let mut bench = Bench::joined(
        |config| config.start = Start::Live,
        |announce| (announce.mode, announce.lead) = (StreamMode::Messages, Seq(7)),
    );
    records(&mut bench, 7, b"middle", NO_RECORD);
    records(&mut bench, 8, b"end\0\0\0\x01n", 3);
    assert_eq!(messages(&bench), [b"n".to_vec()]);
}

#[test]
fn the_end_is_handed_out_once_when_everything_before_it_was() {
    let mut bench = Bench::new();
    bench.data(0);
    bench.end(3);
    bench.data(2);
    assert_eq!(bench.ending(), None);
    bench.repair(1, millis(0), Via::Group);
    let ending = bench.ending().unwrap();
    assert_eq!((ending.lead, ending.bytes, ending.lost_packets), (Seq(3), 9, 0));
    bench.end(3);
    bench.data(2);
    assert!(matches!(bench.out.last(), Some(Delivered::End(_))));
    assert_eq!(bench.out.iter().filter(|out| matches!(out, Delivered::End(_))).count(), 1);
}

#[test]
fn an_end_that_contradicts_what_is_known_is_not_believed() {
    let mut bench = Bench::new();
    bench.data(5);
    bench.end(3);
    assert_eq!(bench.discarded(Discard::Malformed), 1);
    bench.end(6);
    bench.end(7);
    assert_eq!(bench.discarded(Discard::Malformed), 2);
    bench.adds_up();
}

#[test]
fn an_empty_stream_ends_too() {
    let mut bench = Bench::new();
    bench.end(0);
    assert_eq!(bench.ending().map(|ending| ending.lost_packets), Some(0));
}

#[test]
fn what_cannot_be_handed_out_does_not_take_the_place_of_what_can() {
    let mut bench = Bench::new();
    let mut bad = coded(0, bench.now);
    bad.body = Bytes::from_static(&[0xff; 20]);
    bench.hear(Body::Data(bad.clone()));
    bad.body = Bytes::from_static(&[0; 3]);
    bench.hear(Body::Data(bad.clone()));
    bad.body = Bytes::from(vec![0; usize::from(CODED_LEN) + 1]);
    bench.hear(Body::Data(bad));
    assert_eq!((bench.discarded(Discard::Size), bench.receiver.stats().packets_placed), (1, 0));
    bench.data(0);
    assert_eq!(bench.delivered(), [0]);
    bench.adds_up();
}

#[test]
fn an_output_that_takes_nothing_fills_the_window_and_no_more() {
    let mut bench = Bench::known(|_| {});
    bench.stuck = true;
    for seq in 0..WINDOW + 500 {
        bench.data(seq);
    }
    assert_eq!(bench.receiver.status().held, WINDOW);
    assert_eq!(bench.discarded(Discard::OutOfWindow), 500);
    assert_eq!(bench.receiver.stats().wire_lost, 0, "it came; there was no room");
    let limit = bench.reports().last().map_or(Seq(0), |report| report.limit);
    assert!(limit <= Seq(WINDOW), "{limit}");
    bench.adds_up();
    bench.stuck = false;
    bench.settle();
    assert_eq!(bench.delivered().len() as u64, WINDOW);
    bench.adds_up();
}

#[test]
fn the_delay_is_that_over_the_fastest_way() {
    let mut bench = Bench::new();
    bench.data(0);
    bench.run(millis(30));
    bench.repair(1, millis(30), Via::Group);
    let delays: Vec<_> = bench
        .out
        .iter()
        .filter_map(|delivered| {
            if let Delivered::Payload(payload) = delivered { Some(payload.delay) } else { None }
        })
        .collect();
    assert_eq!(delays, [millis(0), millis(30)]);
}
