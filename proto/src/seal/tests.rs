//! Known answers, and what is not believed.
//!
//! The golden packets were sealed by another implementation (Python's `cryptography`, OpenSSL's
//! AES), from the definitions in docs/PROTOCOL.md §4.13.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::derive::expand;
use super::*;
use crate::{SessionId, StreamId, SubscriberId};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn ring() -> Keyring {
    let text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    Keyring::of_group(text.parse().unwrap())
}

const STREAM: StreamId = StreamId(0x1234);
const SESSION: SessionId = SessionId(0x0102_0304_0506_0708);
const SUBSCRIBER: SubscriberId = SubscriberId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf);

fn session() -> Cipher {
    Secrets::new(&ring()).session(1, STREAM, SESSION).unwrap()
}

fn feedback() -> Cipher {
    Secrets::new(&ring()).feedback(1, STREAM, SESSION, SUBSCRIBER).unwrap()
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16, as NIST took
/// them over: key, nonce, associated data, text, sealed.
#[test]
fn aes_256_gcm_gives_the_known_answers() {
    let zero = "00".repeat(32);
    let long = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let cases = [
        (zero.as_str(), "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            zero.as_str(),
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            long,
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
             76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    for (key, nonce, aad, text, sealed) in cases {
        let cipher = Cipher::new(&bytes(key).try_into().unwrap());
        let mut body = bytes(text);
        cipher.seal_with(bytes(nonce).try_into().unwrap(), &bytes(aad), &mut body);
        assert_eq!(body, bytes(sealed));
    }
}

/// RFC 5869, test cases 1 and 3.
#[test]
fn hkdf_gives_the_known_answers() {
    let cases = [
        (
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (salt, info, okm) in cases {
        let secret = Salt::new(HKDF_SHA256, &bytes(salt)).extract(&[0x0b; 22]);
        let mut out = [0; 42];
        expand(&secret, &[&bytes(info)], &mut out).unwrap();
        assert_eq!(out.to_vec(), bytes(okm));
    }
}

/// A packet of docs/PROTOCOL.md §7 with epoch 1, and the same sealed under the key 00 01 … 1f.
const GOLDEN: [(&str, &str); 3] = [
    (
        "010102011234010203040506070800000000000003e8000f4240000004000500
         0005010000000f42400000000141",
        "010102011234010203040506070800000000000003e8000f4240000004000500
         8d7e6d564ee213863e290b4588d4461da5ccd55274084388e63e20032e17",
    ),
    (
        "010780011234010203040506070800000000000003e8000f4240
         0000000000000384000000000000044c000000000000040040001400003a9821030a000701900c",
        "010780011234010203040506070800000000000003e8000f4240
         8d7b6c564ee21f407e290b458995093b8946c14a2a9f79bbec68ef612a3c33deb330227ba6403b859b9fa897e8d9
         6f792a97835c2358d7",
    ),
    (
        "011000011234010203040506070800000000000003e8000f4240
         a0a1a2a3a4a5a6a7a8a9aaabacadaeaf020000000000000406",
        "011000011234010203040506070800000000000003e8000f4240
         a0a1a2a3a4a5a6a7a8a9aaabacadaeafae649674add4e1ba8dd2065a93d7a2c52ede69db370ade45aa",
    ),
];

fn cipher_of(packet: &[u8]) -> Cipher {
    if packet[1] == 16 { feedback() } else { session() }
}

#[test]
fn packets_are_sealed_as_the_golden_ones() {
    for (packet, sealed) in GOLDEN.map(|(packet, sealed)| (bytes(packet), bytes(sealed))) {
        let mut burst = vec![7; 3];
        burst.extend(&packet);
        cipher_of(&packet).seal(3, &mut burst);
        assert_eq!(burst, [vec![7; 3], sealed.clone()].concat());
        assert_eq!(sealed.len(), packet.len() + TAG_LEN);
        let mut datagram = sealed;
        assert_eq!(cipher_of(&packet).open(&mut datagram).unwrap(), packet);
    }
}

#[test]
fn the_golden_packets_stand_in_the_document() {
    let document = include_str!("../../../docs/PROTOCOL.md");
    let (_, vectors) = document.split_once("### Vectors: sealed").unwrap();
    let shown: String = vectors.split_whitespace().collect();
    for (_, sealed) in GOLDEN {
        let sealed: String = sealed.split_whitespace().collect();
        assert!(shown.contains(&sealed), "{sealed}");
    }
}

#[test]
fn a_byte_that_was_changed_cut_off_or_added_is_seen() {
    for (_, sealed) in GOLDEN {
        let (sealed, cipher) = (bytes(sealed), cipher_of(&bytes(sealed)));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(cipher.open(&mut changed).is_none(), "bit {bit} of byte {at}");
            }
            assert!(cipher.open(&mut sealed[..at].to_vec()).is_none(), "{at} bytes");
        }
        assert!(cipher.open(&mut [sealed, vec![0]].concat()).is_none(), "one more");
    }
}

#[test]
fn each_epoch_stream_session_direction_and_subscriber_has_a_key_of_its_own() {
    let sealed = |cipher: Cipher| {
        let mut packet = bytes(GOLDEN[1].0);
        cipher.seal(0, &mut packet);
        packet
    };
    let secrets = Secrets::new(&ring());
    let other = Secrets::new(&Keyring::of_group(Key::new([9; 32])));
    let all = [
        secrets.session(1, STREAM, SESSION),
        secrets.session(1, StreamId(1), SESSION),
        secrets.session(1, STREAM, SessionId(1)),
        secrets.feedback(1, STREAM, SESSION, SUBSCRIBER),
        secrets.feedback(1, STREAM, SESSION, SubscriberId(1)),
        other.session(1, STREAM, SESSION),
    ];
    let all: std::collections::BTreeSet<_> =
        all.into_iter().map(|cipher| sealed(cipher.unwrap())).collect();
    assert_eq!(all.len(), 6);
    assert!(secrets.session(2, STREAM, SESSION).is_none(), "of an epoch that is not known");
}

#[test]
fn a_number_is_taken_once() {
    let mut window = ReplayWindow::<2>::default();
    for number in [5, 4, 6, 0, 133, 130, 200, 10_000, 9_999, u64::MAX] {
        assert!(window.take(number), "{number}");
        assert!(!window.take(number), "{number} again");
    }
    assert!(!window.take(u64::MAX - 128), "too old to tell");
    assert!(window.take(u64::MAX - 127));
}

/// Against the plainest thing that can be: a set of all that came.
#[test]
fn the_window_agrees_with_a_set() {
    for seed in 0..50 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut window, mut seen) =
            (ReplayWindow::<2>::default(), std::collections::BTreeSet::new());
        let mut at = 1_000_u64;
        for _ in 0..2_000 {
            at += rng.u64(0..=3) * rng.u64(0..=1) + 200 * u64::from(rng.u8(..) == 0);
            let number = at - rng.u64(0..150);
            let highest = seen.last().copied().unwrap_or(0_u64);
            let is_old = highest >= number + 128;
            assert_eq!(window.take(number), !is_old && !seen.contains(&number), "seed {seed}");
            seen.extend((!is_old).then_some(number));
        }
    }
}

#[test]
fn a_key_is_written_as_it_is_read_and_shown_to_nobody() {
    let text = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    let key: Key = text.parse().unwrap();
    assert_eq!(*key.to_hex(), text.to_lowercase());
    let shown = format!("{key:?} {:?} {:?}", ring(), Secrets::new(&ring()));
    assert_eq!(shown, "Key(secret) Keyring([(1, Key(secret))]) Secrets(newest epoch 1)");
    for wrong in ["", &text[1..], &format!("{text}0"), &text.replace('A', "g"), &"é".repeat(32)] {
        let error = wrong.parse::<Key>().unwrap_err().to_string();
        assert_eq!(error, "no key: a key is 64 hexadecimal digits");
    }
}
