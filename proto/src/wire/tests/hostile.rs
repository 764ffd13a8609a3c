//! Bytes that nobody honest sends: each is refused, for the reason that fits.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::round_trip::packet;
use super::{encoded, samples};
use crate::wire::*;

fn read(datagram: &[u8]) -> Result<Packet, Discard> {
    decode(Bytes::copy_from_slice(datagram))
}

fn sample(kind: Kind) -> Vec<u8> {
    encoded(&samples::all()[usize::from(kind.number()) - 1])
}

/// What a sample of this kind turns into when these bytes stand at `at`.
fn with(kind: Kind, at: usize, bytes: &[u8]) -> Result<Packet, Discard> {
    let mut datagram = sample(kind);
    datagram[at..at + bytes.len()].copy_from_slice(bytes);
    read(&datagram)
}

#[test]
fn every_truncation_is_refused() {
    for kind in Kind::ALL {
        let datagram = sample(kind);
        for len in 0..datagram.len() {
            let cut = read(&datagram[..len]);
            match cut.map(|packet| packet.body) {
                // Only the prefix knows how long a payload is.
                Ok(Body::Data(coded) | Body::Repair(coded)) => {
                    assert_eq!(CodedPrefix::read(&coded.body), Err(Discard::Malformed));
                }
                // And parity has the length that the announce states.
                Ok(Body::Parity(coded)) => assert!(coded.body.len() >= CODED_PREFIX_LEN),
                Ok(body) => panic!("{} of {len} bytes was read: {body:?}", kind.name()),
                Err(discard) => assert!(
                    matches!(discard, Discard::Truncated | Discard::Malformed),
                    "{} of {len} bytes: {discard}",
                    kind.name()
                ),
            }
        }
    }
}

#[test]
fn a_cut_before_the_end_of_a_body_is_called_truncated() {
    for kind in [Kind::Nak, Kind::Report, Kind::End, Kind::Manifest, Kind::Bye] {
        let datagram = sample(kind);
        assert_eq!(read(&datagram[..datagram.len() - 1]), Err(Discard::Truncated));
    }
    assert_eq!(read(&sample(Kind::Data)[..40]), Err(Discard::Truncated));
    assert_eq!(read(&[]), Err(Discard::Truncated));
    assert_eq!(read(&[VERSION]), Err(Discard::Truncated));
}

#[test]
fn other_versions_and_kinds_are_told_apart() {
    assert_eq!(with(Kind::Data, 0, &[2]), Err(Discard::Version));
    assert_eq!(read(&[0]), Err(Discard::Version));
    for kind in [0, 21, 63, 64, 127, 128, 255] {
        assert_eq!(with(Kind::Bye, 1, &[kind]), Err(Discard::Kind), "kind {kind}");
    }
}

#[test]
fn an_oversized_datagram_is_refused() {
    let mut datagram = sample(Kind::Data);
    datagram.resize(MAX_DATAGRAM_LEN, 0);
    assert!(read(&datagram).is_ok());
    datagram.push(0);
    assert_eq!(read(&datagram), Err(Discard::Malformed));
}

#[test]
fn whole_extensions_are_skipped_and_others_are_not() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.number() > Kind::Repair.number()) {
        let plain = sample(kind);
        let then = |tail: &[u8]| read(&[&plain[..], tail].concat());
        let body = read(&plain).unwrap().body;
        assert_eq!(then(&[99, 0, 2, 7, 7]).unwrap().body, body, "{}", kind.name());
        assert_eq!(then(&[0, 0, 0, 99, 0, 1, 7]).unwrap().body, body, "{}", kind.name());
        for tail in [&[9][..], &[9, 0], &[9, 0, 1], &[9, 0, 1, 7, 7], &[9, 255, 255, 7]] {
            assert_eq!(then(tail), Err(Discard::Malformed), "{} {tail:?}", kind.name());
        }
    }
}

#[test]
fn counts_that_lie_are_refused() {
    const LIST: usize = HEADER_LEN;
    assert_eq!(with(Kind::Ncf, LIST, &[0, 65]), Err(Discard::Malformed));
    assert_eq!(with(Kind::Ncf, LIST, &[255, 255]), Err(Discard::Malformed));
    assert_eq!(with(Kind::Ncf, LIST, &[0, 64]), Err(Discard::Truncated));
    assert_eq!(with(Kind::Manifest, HEADER_LEN + 16, &[1, 0]), Err(Discard::Malformed));
    assert_eq!(with(Kind::Manifest, HEADER_LEN + 16, &[0, 255]), Err(Discard::Truncated));
    assert_eq!(with(Kind::KeyUpdate, HEADER_LEN + 13, &[2, 1]), Err(Discard::Malformed));
    assert_eq!(with(Kind::Register, HEADER_LEN + 16, &[65]), Err(Discard::Malformed));
    assert_eq!(with(Kind::Register, HEADER_LEN + 16, &[64]), Err(Discard::Truncated));
}

#[test]
fn names_are_text_without_control_characters() {
    assert_eq!(with(Kind::Register, HEADER_LEN + 17, b"hall\n3"), Err(Discard::Malformed));
    assert_eq!(with(Kind::Register, HEADER_LEN + 17, b"\xff"), Err(Discard::Malformed));
    assert!(with(Kind::Register, HEADER_LEN + 17, "höll3".as_bytes()).is_ok());
}

/// What is wrong, in which kind, where in its body, and the bytes that make it so.
const CANNOT_BE: [(&str, Kind, usize, &[u8]); 21] = [
    ("a range of none", Kind::Ncf, 10, &[0; 4]),
    ("a range past the last seq", Kind::Ncf, 2, &[0xff; 8]),
    ("a need of none", Kind::Ncf, 24, &[0]),
    ("a reason without a name", Kind::Evict, 16, &[0]),
    ("another one", Kind::Bye, 16, &[4]),
    ("a state without a name", Kind::Report, 16, &[4]),
    ("a refusal without a reason", Kind::Refused, 0, &[3]),
    ("a mode without a name", Kind::Announce, 13, &[2]),
    ("coded bodies without a prefix", Kind::Announce, 18, &[0, 8]),
    ("blocks of nothing", Kind::Announce, 20, &[0]),
    ("a family without a name", Kind::Announce, 59, &[5]),
    ("no address, yet one", Kind::Announce, 59, &[0]),
    ("an IPv4 address of 16 bytes", Kind::Announce, 75, &[1]),
    ("neither present nor absent", Kind::Announce, 78, &[2]),
    ("neither, of a hash", Kind::End, 16, &[2]),
    ("neither aborted nor not", Kind::End, 49, &[2]),
    ("packets past the last seq", Kind::Manifest, 0, &[0xff; 8]),
    ("data behind its block", Kind::Data, 4, &[5, 5]),
    ("a repair behind its block", Kind::Repair, 4, &[64, 64]),
    ("parity of an open block", Kind::Parity, 4, &[64, 0]),
    ("parity within its block", Kind::Parity, 4, &[63, 64]),
];

#[test]
fn fields_that_cannot_be_are_refused() {
    for (what, kind, at, bytes) in CANNOT_BE {
        assert_eq!(with(kind, HEADER_LEN + at, bytes), Err(Discard::Malformed), "{what}");
    }
}

#[test]
fn a_manifest_of_nothing_is_refused() {
    let mut datagram = sample(Kind::Manifest);
    datagram.drain(HEADER_LEN + 18..HEADER_LEN + 18 + 32);
    datagram[HEADER_LEN + 17] = 0;
    assert_eq!(read(&datagram), Err(Discard::Malformed));
}

#[test]
fn a_prefix_cannot_promise_more_than_there_is() {
    let body = sample(Kind::Data).split_off(CODED_HEADER_LEN);
    assert!(CodedPrefix::read(&body).is_ok());
    let changed = |at: usize, bytes: &[u8]| {
        let mut body = body.clone();
        body[at..at + bytes.len()].copy_from_slice(bytes);
        CodedPrefix::read(&body)
    };
    assert_eq!(changed(0, &[0, 6]), Err(Discard::Malformed));
    assert_eq!(changed(3, &[0, 5]), Err(Discard::Malformed));
    assert!(changed(3, &[0xff, 0xff]).is_ok());
    assert!(changed(2, &[0, 0, 5]).is_ok(), "where there are no records, none is looked for");
    assert_eq!(CodedPrefix::read(&body[..8]), Err(Discard::Truncated));
}

/// A stranger's question never costs more to answer than it cost to ask.
#[test]
fn no_answer_is_longer_than_its_question() {
    let register = Body::Register(Register {
        subscriber: crate::SubscriberId(0),
        name: Name::default(),
        nonce: 0,
    });
    let shortest = encoded(&samples::packet(register)).len();
    assert!(sample(Kind::CookieChallenge).len() <= shortest);
    assert!(sample(Kind::CatchUpAccept).len() <= sample(Kind::CatchUpRequest).len());
    // Nor is a question answered that was cut short by hand.
    let unpadded = &sample(Kind::CatchUpRequest)[..HEADER_LEN + 32];
    assert_eq!(read(unpadded), Err(Discard::Truncated));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn noise_never_panics(datagram in vec(any::<u8>(), 0..200)) {
        let outcome = read(&datagram);
        prop_assert!(datagram.first() == Some(&VERSION) || outcome.is_err());
    }

    #[test]
    fn noise_behind_an_honest_header_never_panics(
        kind in 0_u8..24, body in vec(any::<u8>(), 0..400)
    ) {
        let mut datagram = sample(Kind::Bye)[..HEADER_LEN].to_vec();
        datagram[1] = kind;
        datagram.extend(body);
        if let Ok(packet) = read(&datagram) {
            prop_assert_eq!(packet.body.kind().number(), kind);
        }
        if let Ok((_, _, body)) = decode_coded(&datagram) {
            prop_assert!(CodedPrefix::read(body).map_or(true, |p| usize::from(p.len) <= body.len()));
        }
    }

    /// What survives a change is again a packet, and is written as such.
    #[test]
    fn changed_packets_are_refused_or_read(
        packet in packet(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut datagram = encoded(&packet);
        for (at, byte) in changes {
            let at = at.index(datagram.len());
            datagram[at] ^= byte;
        }
        if let Ok(packet) = read(&datagram) {
            prop_assert_eq!(read(&encoded(&packet)).unwrap(), packet);
        }
    }
}
