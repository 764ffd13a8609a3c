//! Known answers, and what changes a signature.

use super::*;
use crate::WireTime;
use crate::seal::Key;
use crate::wire::CodedPrefix;

const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

fn signing(secret: &str) -> SigningKey {
    SigningKey::of(&secret.parse::<Key>().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 8032 §7.1, tests 1 and 2: secret, public, message, signature.
const VECTORS: [[&str; 4]; 2] = [
    [
        SECRET,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
         d25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "r",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
         387b2eaeb4302aeeb00d291612bb0c00",
    ],
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [secret, public, message, signature] in VECTORS {
        let key = signing(secret);
        assert_eq!(key.public().to_string(), public);
        let made = key.sign(&[message.as_bytes()]);
        assert_eq!(hex(&made), signature);
        let checks = Verifying::new(public.parse().unwrap());
        assert!(checks.is_of(&[message.as_bytes()], &made));
        assert!(!checks.is_of(&[b"another"], &made));
    }
}

#[test]
fn a_public_key_is_64_digits() {
    let public = signing(SECRET).public();
    assert_eq!(public.to_string().parse(), Ok(public));
    for text in ["", "00", &"g0".repeat(32), &"0".repeat(63)] {
        assert_eq!(text.parse::<PublicKey>(), Err(PublicKeyError), "{text}");
    }
}

#[test]
fn nothing_shows_a_secret() {
    let shown = format!("{:?}", signing(SECRET));
    assert!(!shown.contains(&SECRET[..8]), "{shown}");
}

#[test]
fn a_statement_that_was_changed_is_not_believed() {
    let key = signing(SECRET);
    let checks = Verifying::new(key.public());
    let mut datagram = b"before".to_vec();
    datagram.extend_from_slice(&[7; 60]);
    sign_statement(&key, 6, &mut datagram);
    let signed = &datagram[6..];
    assert_eq!(signed.len(), 60 + 3 + SIGNATURE_LEN);
    assert_eq!(is_signed(&checks, signed), Some(true));
    assert_eq!(is_signed(&checks, &signed[..signed.len() - 1]), None);
    for at in (0..60).chain(60 + 3..signed.len()) {
        let mut changed = signed.to_vec();
        changed[at] ^= 1;
        assert_eq!(is_signed(&checks, &changed), Some(false), "byte {at}");
    }
    let other = Verifying::new(signing(VECTORS[1][0]).public());
    assert_eq!(is_signed(&other, signed), Some(false));
}

#[test]
fn a_manifest_holds_for_one_session_one_stream_and_one_place() {
    let key = signing(SECRET);
    let checks = Verifying::new(key.public());
    let (stream, session) = (StreamId(3), SessionId(9));
    let manifest = Manifest::sign(
        &key,
        (stream, session, 5),
        Seq(7),
        [PacketHash([1; 16]), PacketHash([2; 16])],
    );
    assert!(manifest.is_of(&checks, stream, session));
    assert!(!manifest.is_of(&checks, StreamId(4), session));
    assert!(!manifest.is_of(&checks, stream, SessionId(8)));
    let moved = Manifest { first: Seq(8), ..manifest.clone() };
    assert!(!moved.is_of(&checks, stream, session));
    let restarted = Manifest { started_us: 6, ..manifest.clone() };
    assert!(!restarted.is_of(&checks, stream, session));
    let hashes = wire::List::truncated([PacketHash([1; 16]), PacketHash([3; 16])]);
    assert!(!Manifest { hashes, ..manifest }.is_of(&checks, stream, session));
}

const PREFIX: CodedPrefix =
    CodedPrefix { len: 5, flags: 1, first_record: 0x0203, first_sent: WireTime(0x0405_0607) };

/// By Python's hashlib:
/// sha256(bytes.fromhex("0102030405060708" "0000000000000007" "0005" "01" "0203" "04050607") + b"abcde")
#[test]
fn a_packet_is_hashed_with_its_session_and_place() {
    let session = SessionId(0x0102_0304_0506_0708);
    let hashed = Hashed::new(session, Seq(7), &PREFIX, b"abcde");
    let hash = hashed.hash(&mut Vec::new());
    assert_eq!(hex(&hash.0), "e8c838d347dd232530fdf4c0e090c43c");
    let others = [
        Hashed::new(SessionId(1), Seq(7), &PREFIX, b"abcde"),
        Hashed::new(session, Seq(8), &PREFIX, b"abcde"),
        Hashed::new(session, Seq(7), &CodedPrefix { flags: 0, ..PREFIX }, b"abcde"),
        Hashed::new(session, Seq(7), &PREFIX, b"abcdf"),
    ];
    assert!(others.iter().all(|other| other.hash(&mut Vec::new()) != hash));
}

/// Of every length up to that of the longest packet, and past the ends of several blocks.
#[test]
fn packets_side_by_side_have_the_hashes_that_each_has_alone() {
    let bytes: Vec<u8> = (0..1_600_u32).map(|at| (at * 31 / 8).to_le_bytes()[0]).collect();
    let mut scratch = Vec::new();
    for len in 0..=1_472 {
        let packet = |seq: usize| {
            let seq64 = seq as u64;
            Hashed::new(SessionId(len as u64), Seq(seq64), &PREFIX, &bytes[seq..seq + len])
        };
        let packets: Vec<Hashed<'_>> = (0..16).map(packet).collect();
        let alone: Vec<PacketHash> = packets.iter().map(|one| one.hash(&mut scratch)).collect();
        assert_eq!(hash_all(&packets, &mut scratch), alone, "{len} bytes");
    }
}

#[test]
fn any_number_of_packets_of_any_lengths_is_hashed_in_order() {
    let bytes = [7; 1_500];
    let mut scratch = Vec::new();
    for count in 0..=50 {
        for odd in [None, Some(0), Some(20), Some(48)] {
            let packet = |seq: usize| {
                let len = if odd == Some(seq) { 3 } else { 1_400 - seq % 2 };
                Hashed::new(SessionId(1), Seq(seq as u64), &PREFIX, &bytes[..len])
            };
            let packets: Vec<Hashed<'_>> = (0..count).map(packet).collect();
            let alone: Vec<PacketHash> = packets.iter().map(|one| one.hash(&mut scratch)).collect();
            assert_eq!(hash_all(&packets, &mut scratch), alone, "{count} packets");
        }
    }
}
