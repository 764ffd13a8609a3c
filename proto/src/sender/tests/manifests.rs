use super::*;
use crate::seal::Key;
use crate::sign::{SigningKey, Verifying};
use crate::wire::Manifest;

const LEN: u16 = 1_200;
const FULL: usize = LEN as usize - 32 - 9;

fn key() -> SigningKey {
    SigningKey::of(&Key::new([4; 32]))
}

fn signed(special: impl FnOnce(&mut SenderConfig)) -> Bench {
    Bench::new(|config| {
        (config.sign, config.datagram_len, config.k) = (Some(key()), LEN, 64);
        config.rate = Some(Bitrate(1_000_000_000));
        special(config);
    })
}

fn push(bench: &mut Bench, packets: usize) {
    bench.sender.push(Bytes::from(vec![7; packets * FULL]), bench.now).unwrap();
}

fn manifests(bench: &Bench) -> Vec<(Destination, Manifest)> {
    let manifests = bench.sent.iter().filter_map(|sent| {
        let Body::Manifest(manifest) = &sent.packet.body else { return None };
        Some((sent.to, manifest.clone()))
    });
    manifests.collect()
}

fn nak_for_manifests(who: u8, first: u64, count: u32) -> Body {
    let manifests = List::truncated([Range { first: Seq(first), count }]);
    Body::Nak(Nak { subscriber: id(who), ranges: List::new(), needs: List::new(), manifests })
}

#[test]
fn every_packet_is_in_one_manifest_which_ends_a_burst() {
    let mut bench = signed(|_| {});
    push(&mut bench, 500);
    bench.run(millis(100));
    let manifests = manifests(&bench);
    let mut next = Seq::ZERO;
    let checks = Verifying::new(key().public());
    for (to, manifest) in &manifests {
        assert_eq!((*to, manifest.first), (Destination::Group, next));
        assert!(manifest.is_of(&checks, STREAM, SESSION));
        next = manifest.range().end;
    }
    assert_eq!(next, Seq(500));
    let bytes = |kind| -> usize { bench.of_kind(kind).iter().map(|sent| sent.len + 42).sum() };
    assert!(bytes(Kind::Manifest) * 1_000 < bytes(Kind::Data) * 17, "packets are short here");
    // Bursts that carry a manifest have no send more than those that do not.
    let alone = bench.bursts.iter().filter(|burst| burst.kind == Kind::Manifest).count();
    assert!(alone <= 1, "{alone} of {}", manifests.len());
}

#[test]
fn what_goes_alone_is_signed_at_once_and_what_trickles_not_each() {
    let mut bench = signed(|config| config.mode = StreamMode::Messages);
    for _ in 0..100 {
        bench.sender.push(Bytes::from_static(b"tick"), bench.now).unwrap();
        bench.run(Duration::from_micros(100));
    }
    bench.run(millis(5));
    let manifests = manifests(&bench);
    assert_eq!(manifests.iter().map(|(_, it)| it.hashes.len()).sum::<usize>(), 100);
    assert!((8..=14).contains(&manifests.len()), "one in a millisecond: {}", manifests.len());
    bench.sent.clear();
    bench.run(millis(50));
    bench.sender.push(Bytes::from_static(b"tick"), bench.now).unwrap();
    bench.drain();
    assert_eq!((bench.count(Kind::Data), bench.count(Kind::Manifest)), (1, 1), "at once");
}

#[test]
fn a_slow_stream_is_signed_within_20_ms() {
    let mut bench = signed(|config| config.rate = Some(Bitrate(1_000_000)));
    push(&mut bench, 40);
    bench.run(Duration::from_secs(1));
    for (_, manifest) in manifests(&bench) {
        let sent = bench.of_kind(Kind::Data).into_iter().find(|it| seq(it) == manifest.first.0);
        let said =
            bench.sent.iter().find(|sent| sent.packet.body == Body::Manifest(manifest.clone()));
        let waited = said.unwrap().at.since(sent.unwrap().at);
        assert!(waited <= millis(21), "{waited:?}");
    }
}

#[test]
fn a_manifest_is_given_again_to_who_asks_alone_or_to_all_if_several_do() {
    let mut bench = signed(|_| {});
    [1, 2, 3].into_iter().for_each(|who| bench.admit(who));
    push(&mut bench, 200);
    bench.run(millis(50));
    let first = manifests(&bench)[0].1.clone();
    let last = manifests(&bench).last().unwrap().1.clone();
    bench.sent.clear();
    bench.hear(1, nak_for_manifests(1, 3, 1));
    bench.run(millis(20));
    assert_eq!(manifests(&bench), [(Destination::Unicast(address(1)), first.clone())]);
    bench.sent.clear();
    bench.run(millis(50));
    for who in [1, 2] {
        bench.hear(who, nak_for_manifests(who, 199, 1));
    }
    bench.run(millis(20));
    // An audience of three is answered at once, so the first of them alone.
    let to: Vec<_> =
        manifests(&bench).into_iter().map(|(to, manifest)| (to, manifest.first)).collect();
    assert!(to.contains(&(Destination::Group, last.first)), "{to:?}");
}

#[test]
fn strangers_are_given_no_manifest_and_one_host_only_its_share() {
    let mut bench = signed(|_| {});
    bench.admit(1);
    push(&mut bench, 3_000);
    bench.run(millis(200));
    bench.sent.clear();
    bench.hear(9, nak_for_manifests(9, 0, 3_000));
    bench.run(millis(20));
    assert_eq!(bench.count(Kind::Manifest), 0);
    bench.sent.clear();
    for _ in 0..1_000 {
        bench.hear(1, nak_for_manifests(1, 0, 3_000));
    }
    bench.run(millis(1));
    let given = bench.count(Kind::Manifest);
    assert!((1..=100).contains(&given), "{given}: each once");
}

#[test]
fn where_somebody_may_not_ask_each_is_sent_twice() {
    let mut bench = signed(|config| config.ahead = crate::config::Ahead::Fixed(2));
    push(&mut bench, 200);
    bench.run(millis(100));
    let mut firsts: Vec<_> = manifests(&bench).iter().map(|(_, it)| it.first).collect();
    let all = firsts.len();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len() * 2, all);
}

#[test]
fn all_statements_are_signed_and_what_has_its_own_proof_is_not() {
    let mut sender =
        Sender::new(SenderConfig { sign: Some(key()), datagram_len: LEN, ..config() }, START)
            .unwrap();
    let checks = Verifying::new(key().public());
    let mut signed = Vec::new();
    let mut buf = Vec::new();
    sender.push(Bytes::from(vec![7; FULL]), START).unwrap();
    sender.handle_packet(&packet(register(1)), address(1), START);
    sender.close(None, false, START);
    for step in 0..200 {
        let now = START.after(millis(step));
        sender.handle_timeout(now);
        while let Some(transmit) = sender.poll_transmit(now, 44, &mut buf) {
            for datagram in buf.chunks(transmit.segment_len) {
                let (header, _) = wire::decode_header(datagram).unwrap();
                signed.push((header.kind, crate::sign::is_signed(&checks, datagram)));
            }
        }
    }
    for (kind, signed) in &signed {
        let is_statement = !matches!(kind, Kind::Data | Kind::Manifest | Kind::CookieChallenge);
        assert_eq!(*signed, is_statement.then_some(true), "{}", kind.name());
    }
    for kind in [Kind::Announce, Kind::End, Kind::Data, Kind::Manifest, Kind::CookieChallenge] {
        assert!(signed.iter().any(|(of, _)| *of == kind), "{}", kind.name());
    }
}
