//! A message that nothing goes before.

use super::*;
use crate::seal::Key;
use crate::sign::SigningKey;
use crate::wire::{CODED_PREFIX_LEN, CodedPrefix};

fn bench(special: impl FnOnce(&mut SenderConfig)) -> Bench {
    Bench::new(|config| {
        config.mode = StreamMode::Messages;
        special(config);
    })
}

impl Bench {
    /// Has a message leave alone; says whether it did.
    fn leave(&mut self, message: &[u8]) -> bool {
        let mut buf = Vec::new();
        let Some(alone) = self.sender.write_alone(message, self.now, &mut buf) else {
            return false;
        };
        let transmit = alone.transmit;
        let packet = wire::decode(Bytes::copy_from_slice(&buf)).unwrap();
        self.sent.push(Sent { at: self.now, to: transmit.destination, packet, len: buf.len() });
        self.bursts.push(transmit);
        self.sender.on_left_alone(alone, &buf);
        true
    }

    fn pushed(&mut self, message: &'static [u8]) {
        self.sender.push(Bytes::from_static(message), self.now).unwrap();
    }
}

/// Seq, where its first record starts, and payload of each data packet.
fn data(bench: &Bench) -> Vec<(u64, u16, Vec<u8>)> {
    let of = |sent: &&Sent| {
        let body = &sent.packet.body.coded().unwrap().body;
        let prefix = CodedPrefix::read(body).unwrap();
        (seq(sent), prefix.first_record, body[CODED_PREFIX_LEN..].to_vec())
    };
    bench.of_kind(Kind::Data).iter().map(of).collect()
}

#[test]
fn it_leaves_as_a_packet_among_others_and_is_kept() {
    let mut bench = bench(|_| {});
    bench.pushed(b"ab");
    bench.drain();
    bench.run(millis(1));
    assert!(bench.leave(b"cd"));
    bench.drain();
    bench.run(millis(1));
    bench.pushed(b"e");
    bench.drain();
    let wanted = [(0, 0, &b"\0\0\0\x02ab"[..]), (1, 0, b"\0\0\0\x02cd"), (2, 0, b"\0\0\0\x01e")];
    assert_eq!(data(&bench), wanted.map(|(seq, first, payload)| (seq, first, payload.to_vec())));
    let numbers: Vec<_> = bench.sent.iter().map(|sent| sent.packet.header.number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    let stats = *bench.sender.stats();
    assert_eq!((stats.packets_sent, stats.payload_bytes, bench.sender.window_len()), (3, 5, 3));
    bench.admit(1);
    bench.hear(1, nak(1, &[(1, 2)]));
    bench.run(millis(30));
    assert_eq!(bench.of_kind(Kind::Repair).into_iter().map(seq).collect::<Vec<_>>(), [1]);
}

#[test]
fn counters_are_those_of_one_that_was_pushed() {
    let (mut alone, mut pushed) = (bench(|_| {}), bench(|_| {}));
    for _ in 0..20 {
        assert!(alone.leave(b"abc"));
        pushed.pushed(b"abc");
        alone.run(millis(3));
        pushed.run(millis(3));
    }
    assert_eq!(alone.sender.stats(), pushed.sender.stats());
    assert_eq!(data(&alone), data(&pushed));
    assert_eq!(alone.sender.poll_timeout(), pushed.sender.poll_timeout());
}

#[test]
fn what_waits_goes_before_it() {
    let mut bench = bench(|_| {});
    bench.pushed(b"ab");
    assert!(!bench.leave(b"c"));
    bench.drain();
    bench.run(millis(1));
    assert!(bench.leave(b"c"));
}

#[test]
fn a_linger_is_kept_and_so_is_the_rate() {
    let mut lingering = bench(|config| config.linger = millis(1));
    assert!(!lingering.leave(b"a"));
    let mut slow = bench(|config| config.rate = Some(Bitrate(100_000)));
    let left = (0..100).filter(|_| slow.leave(&[7; 100])).count();
    assert!((1..10).contains(&left), "{left}");
    slow.run(millis(1_000));
    assert!(slow.leave(b"b"), "by then its turn has come");
}

#[test]
fn nobody_is_sent_what_it_has_no_room_for() {
    let mut bench = bench(|config| config.rate = None);
    bench.admit(1);
    let report = live(1, 0, 2, bench.now);
    bench.hear(1, report);
    bench.drain();
    assert!(bench.leave(b"a") && bench.leave(b"b"));
    assert!(!bench.leave(b"c"), "beyond the credit");
    let report = live(1, 2, 3, bench.now);
    bench.hear(1, report);
    assert!(bench.leave(b"c"));
}

#[test]
fn what_fits_no_packet_or_is_to_be_signed_is_pushed() {
    let mut sender = bench(|_| {});
    assert!(!sender.leave(&[7; PAYLOAD - 3]));
    assert!(sender.leave(&[7; PAYLOAD - 4]), "with its length it fills one");
    assert_eq!(sender.sent.last().unwrap().len, 200);
    let sign = Some(SigningKey::of(&Key::new([4; 32])));
    assert!(!bench(|config| (config.sign, config.datagram_len) = (sign, 1_200)).leave(b"a"));
    assert!(!Bench::new(|_| {}).leave(b"a"), "a stream of bytes");
}

#[test]
fn nothing_leaves_before_the_first_subscriber_or_after_the_end() {
    let mut bench = bench(|config| config.wait_for = 1);
    assert!(!bench.leave(b"a"));
    bench.admit(1);
    bench.drain();
    bench.run(millis(1));
    assert!(bench.leave(b"a"));
    bench.sender.close(None, false, bench.now);
    assert!(!bench.leave(b"b"));
}
