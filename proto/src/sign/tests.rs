//! Known answers, and what changes a signature.

use super::*;
use crate::seal::Key;

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
    let manifest = Manifest::sign(&key, (stream, session, 5), Seq(7), [[1; 16], [2; 16]]);
    assert!(manifest.is_of(&checks, stream, session));
    assert!(!manifest.is_of(&checks, StreamId(4), session));
    assert!(!manifest.is_of(&checks, stream, SessionId(8)));
    let moved = Manifest { first: Seq(8), ..manifest.clone() };
    assert!(!moved.is_of(&checks, stream, session));
    let restarted = Manifest { started_us: 6, ..manifest.clone() };
    assert!(!restarted.is_of(&checks, stream, session));
    let hashes = wire::List::truncated([[1; 16], [3; 16]]);
    assert!(!Manifest { hashes, ..manifest }.is_of(&checks, stream, session));
}

/// By Python's hashlib: sha256(bytes.fromhex("0102030405060708" "0000000000000007") + b"abc" + b"de")
#[test]
fn a_packet_is_hashed_with_its_session_and_place() {
    let session = SessionId(0x0102_0304_0506_0708);
    let mut scratch = Vec::new();
    let hash = hash_packet(session, Seq(7), [b"abc", b"de"], &mut scratch);
    let mut datagram = b"............a header of more than 16 bytesabcde".to_vec();
    let (before, at) = (datagram.clone(), datagram.len() - 5);
    assert_eq!(hash_in_place(session, Seq(7), &mut datagram, at), Some(hash));
    assert_eq!(datagram, before);
    assert_eq!(hash_in_place(session, Seq(7), &mut datagram, 15), None);
    assert_eq!(hex(&hash), "51c7d13371b44cb62e0f7c175ea00cf6");
}
