//! Messages that share packets, and how long they wait for that.

use super::*;
use crate::sender::{Row, Timer};
use crate::wire::{CODED_PREFIX_LEN, CodedPrefix, NO_RECORD};

fn bench(linger: Duration) -> Bench {
    Bench::new(|config| {
        config.mode = StreamMode::Messages;
        config.linger = linger;
    })
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

impl Bench {
    fn say(&mut self, message: &[u8]) {
        self.sender.push(Bytes::copy_from_slice(message), self.now).unwrap();
    }

    /// The payload of each data packet, when it left, and where its first record starts.
    fn payloads(&self) -> Vec<(Timestamp, Vec<u8>, u16)> {
        let data = self.of_kind(Kind::Data).into_iter();
        data.map(|sent| {
            let Body::Data(data) = &sent.packet.body else { panic!("{sent:?}") };
            let prefix = CodedPrefix::read(&data.body).unwrap();
            (sent.at, data.body[CODED_PREFIX_LEN..].to_vec(), prefix.first_record)
        })
        .collect()
    }
}

#[test]
fn without_linger_what_was_pushed_together_shares_a_packet_and_leaves_at_once() {
    let mut bench = bench(Duration::ZERO);
    bench.say(b"ab");
    bench.say(b"c");
    bench.drain();
    let start = bench.now;
    bench.run(millis(5));
    bench.say(b"d");
    bench.drain();
    let wanted = [
        (start, b"\0\0\0\x02ab\0\0\0\x01c".to_vec(), 0),
        (start.after(millis(5)), b"\0\0\0\x01d".to_vec(), 0),
    ];
    assert_eq!(bench.payloads(), wanted);
}

#[test]
fn a_message_waits_for_company_as_long_as_the_linger_and_no_longer() {
    let mut bench = bench(micros(50));
    let start = bench.now;
    bench.say(b"ab");
    bench.drain();
    assert_eq!(bench.sender.poll_timeout(), Some((start.after(micros(50)), Timer::Linger)));
    bench.run(micros(30));
    bench.say(b"c");
    bench.drain();
    assert_eq!(bench.count(Kind::Data), 0);
    bench.run(micros(100));
    let wanted = (start.after(micros(50)), b"\0\0\0\x02ab\0\0\0\x01c".to_vec(), 0);
    assert_eq!(bench.payloads(), [wanted], "with the first one's time");
}

#[test]
fn a_full_packet_waits_for_nothing() {
    let mut bench = bench(millis(100));
    bench.say(&[7; PAYLOAD]);
    bench.drain();
    let payloads = bench.payloads();
    assert_eq!(payloads.iter().map(|(_, payload, _)| payload.len()).collect::<Vec<_>>(), [PAYLOAD]);
    bench.run(millis(101));
    let (at, payload, first) = bench.payloads().pop().unwrap();
    assert_eq!((at, payload, first), (START.after(millis(100)), vec![7; 4], NO_RECORD));
}

#[test]
fn while_the_pacer_holds_the_stream_back_messages_share_packets() {
    let mut bench = Bench::new(|config| {
        config.mode = StreamMode::Messages;
        // A packet takes 20 ms.
        config.rate = Some(Bitrate(100_000));
    });
    for _ in 0..200 {
        bench.say(b"0123456");
        bench.run(millis(1));
    }
    bench.run(millis(1_000));
    let payloads = bench.payloads();
    let bytes: usize = payloads.iter().map(|(_, payload, _)| payload.len()).sum();
    assert_eq!(bytes, 200 * 11);
    assert!((10..=24).contains(&payloads.len()), "{} packets", payloads.len());
}

#[test]
fn a_flush_and_a_close_end_the_wait_and_a_pause_does_not() {
    let mut bench = bench(millis(100));
    bench.say(b"ab");
    bench.sender.pause(bench.now);
    bench.drain();
    assert_eq!(bench.count(Kind::Data), 0);
    bench.sender.flush(bench.now);
    bench.drain();
    assert_eq!(bench.count(Kind::Data), 1);
    bench.say(b"c");
    bench.sender.close(None, false, bench.now);
    bench.drain();
    assert_eq!(bench.count(Kind::Data), 2);
    assert_eq!(bench.payloads().last().unwrap().1, b"\0\0\0\x01c");
}

#[test]
fn who_is_held_back_by_credit_has_something_to_send() {
    let mut bench = Bench::new(|config| {
        config.mode = StreamMode::Messages;
        config.rate = None;
        config.linger = micros(50);
    });
    bench.admit(1);
    let none = credit(&bench, 0);
    bench.hear(1, none);
    bench.say(b"ab");
    bench.run(millis(1));
    assert_eq!(bench.count(Kind::Data), 0);
    assert!(bench.sender.window.has_unsent(), "the slow are found by what waits for them");
    for _ in 0..5 {
        bench.say(b"c");
        bench.run(millis(1));
    }
    let some = credit(&bench, 100);
    bench.hear(1, some);
    bench.run(millis(1));
    assert_eq!(bench.count(Kind::Data), 2, "what came meanwhile shares one");
}

#[test]
fn any_messages_pushed_in_any_way_come_out_as_they_were() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(|config| {
            config.mode = StreamMode::Messages;
            config.rate = Some(Bitrate(1_000_000_000));
            config.linger = micros(rng.u64(0..60));
            if rng.bool() {
                config.delivery = Delivery::Timely(Duration::from_secs(1));
            }
        });
        let mut pushed = Vec::new();
        for _ in 0..rng.usize(1..30) {
            let mut row = Row::default();
            for _ in 0..rng.usize(0..6) {
                let longest = [3, 40, PAYLOAD, 4 * PAYLOAD][rng.usize(0..4)];
                let message = vec![rng.u8(..); rng.usize(0..=longest)];
                row.add(&message).unwrap();
                pushed.push(message);
            }
            bench.sender.push_row(row, bench.now).unwrap();
            bench.run(micros(rng.u64(0..40)));
        }
        bench.sender.close(None, false, bench.now);
        bench.run(millis(20));
        assert_eq!(records_of(&bench.payloads()), pushed, "seed {seed}");
    }
}

fn credit(bench: &Bench, limit: u64) -> Body {
    report(1, 0, limit, ReportState::Live, bench.now)
}

/// Reads records as a receiver does, and checks what each packet says of where the next begins.
fn records_of(payloads: &[(Timestamp, Vec<u8>, u16)]) -> Vec<Vec<u8>> {
    let (mut all, mut starts) = (Vec::new(), Vec::new());
    for (_, payload, first) in payloads {
        assert!(!payload.is_empty());
        starts.push((all.len(), all.len() + payload.len(), *first));
        all.extend_from_slice(payload);
    }
    let (mut records, mut at, mut begins) = (Vec::new(), 0, Vec::new());
    while at < all.len() {
        begins.push(at);
        let len = u32::from_be_bytes(all[at..at + 4].try_into().unwrap()) as usize;
        records.push(all[at + 4..at + 4 + len].to_vec());
        at += 4 + len;
    }
    for (start, end, first) in starts {
        let begin = begins.iter().find(|begin| (start..end).contains(begin));
        let wanted = begin.map_or(NO_RECORD, |begin| u16::try_from(begin - start).unwrap());
        assert_eq!(first, wanted, "in the packet at {start}");
    }
    records
}
