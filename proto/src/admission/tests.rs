//! Messages pinned by their bytes, and bytes that nobody honest sends.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::bytes_of;

/// Laid out by hand: what docs/PROTOCOL.md §8 shows.
const GOLDEN: [(&str, &str); 9] = [
    ("hello", HELLO_BYTES),
    ("key_wanted", KEY_WANTED_BYTES),
    ("leave", LEAVE_BYTES),
    ("alive", ALIVE_BYTES),
    ("admitted", ADMITTED_BYTES),
    ("rekey", REKEY_BYTES),
    ("refused", REFUSED_BYTES),
    ("removed", REMOVED_BYTES),
    ("alive", ALIVE_BYTES),
];

const HELLO_BYTES: &str = r#"
00 39  57 bytes
01  message 1 (hello)
01  version 1
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
06 68 61 6c 6c 2d 33  name of 6 bytes, "hall-3"
01 00 10  a token of 16 bytes follows
30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  token
00 02  2 streams
04 64 65 6d 6f  "demo"
05 6d 75 73 69 63  "music"
"#;

const KEY_WANTED_BYTES: &str = r#"
00 07  7 bytes
02  message 2 (key_wanted)
04 64 65 6d 6f  stream "demo"
02  has epoch 2
"#;

const LEAVE_BYTES: &str = r#"
00 06  6 bytes
03  message 3 (leave)
04 64 65 6d 6f  stream "demo"
"#;

const ADMITTED_BYTES: &str = r#"
00 62  98 bytes
04  message 4 (admitted)
04 64 65 6d 6f  stream "demo"
12 34  stream id 4660
00 01  1 endpoint
00 14  of 20 bytes, "udp://239.1.2.3:5000"
75 64 70 3a 2f 2f 32 33 39 2e 31 2e 32 2e 33 3a
35 30 30 30
03  epoch 3
00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  key
10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f
01  a key to check signatures with follows
20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f  Ed25519 public key
30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f
"#;

const REKEY_BYTES: &str = r#"
00 27  39 bytes
05  message 5 (rekey)
04 64 65 6d 6f  stream "demo"
04  epoch 4
00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  key
10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f
"#;

const REFUSED_BYTES: &str = r#"
00 08  8 bytes
06  message 6 (refused)
01  a stream follows
04 64 65 6d 6f  "demo"
02  reason 2: there is no such stream
"#;

const REMOVED_BYTES: &str = r#"
00 07  7 bytes
07  message 7 (removed)
04 64 65 6d 6f  stream "demo"
01  reason 1: kicked by the operator
"#;

const ALIVE_BYTES: &str = r#"
00 01  1 byte
08  message 8 (alive)
"#;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn counted(first: u8) -> [u8; 32] {
    std::array::from_fn(|place| first + u8::try_from(place).unwrap())
}

fn said() -> [FromSubscriber; 4] {
    let streams = List::truncated([name("demo"), name("music")]);
    [
        FromSubscriber::Hello(Hello {
            subscriber: SubscriberId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf),
            name: name("hall-3"),
            token: Some(Token::of(b"0123456789abcdef")),
            streams,
        }),
        FromSubscriber::KeyWanted(KeyWanted { stream: name("demo"), have_epoch: 2 }),
        FromSubscriber::Leave(Leave { stream: name("demo") }),
        FromSubscriber::Alive,
    ]
}

fn told() -> [FromPublisher; 5] {
    let endpoint: Endpoint = "udp://239.1.2.3:5000".parse().unwrap();
    [
        FromPublisher::Admitted(Box::new(Admitted {
            stream: name("demo"),
            stream_id: StreamId(4660),
            endpoints: List::truncated([EndpointText::try_from(&endpoint).unwrap()]),
            epoch: 3,
            key: Key::new(counted(0)),
            verify: Some(counted(0x20)),
        })),
        FromPublisher::Rekey(Rekey { stream: name("demo"), epoch: 4, key: Key::new(counted(0)) }),
        FromPublisher::Refused(Refused {
            stream: Some(name("demo")),
            reason: Refusal::UnknownStream,
        }),
        FromPublisher::Removed(Removed { stream: name("demo"), reason: Removal::Kicked }),
        FromPublisher::Alive,
    ]
}

fn frames() -> Vec<Vec<u8>> {
    let said = said().map(|message| message.to_frame().to_vec());
    let told = told().map(|message| message.to_frame().to_vec());
    said.into_iter().chain(told).collect()
}

#[test]
fn messages_are_written_as_the_golden_bytes() {
    for (frame, (name, golden)) in frames().into_iter().zip(GOLDEN) {
        assert_eq!(frame, bytes_of(golden), "{name}");
    }
}

#[test]
fn golden_bytes_are_read_as_the_messages() {
    for (message, (name, golden)) in said().into_iter().zip(&GOLDEN[..4]) {
        assert_eq!(FromSubscriber::decode(&bytes_of(golden)[2..]), Ok(message), "{name}");
    }
    for (message, (name, golden)) in told().into_iter().zip(&GOLDEN[4..]) {
        assert_eq!(FromPublisher::decode(&bytes_of(golden)[2..]), Ok(message), "{name}");
    }
}

#[test]
fn the_golden_bytes_stand_in_the_document() {
    let document = include_str!("../../../docs/PROTOCOL.md");
    for (name, golden) in GOLDEN {
        let heading = format!("### Message: {name}\n");
        let (_, after) = document.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
        let (_, block) = after.split_once("```bytes\n").unwrap();
        assert_eq!(bytes_of(block.split_once("```").unwrap().0), bytes_of(golden), "{name}");
    }
}

#[test]
fn what_is_secret_is_shown_to_nobody() {
    let shown = format!("{:?} {:?}", said(), told());
    assert!(shown.contains("Token(secret)") && shown.contains("Key(secret)"), "{shown}");
    assert!(!shown.contains("[48, 49") && !shown.contains("[0, 1"), "{shown}");
}

#[test]
fn a_frame_is_taken_once_it_is_whole_however_it_comes() {
    let all = frames().concat();
    for piece in [1, 2, 3, 50, all.len()] {
        let (mut buffer, mut taken) = (Frames::new(), Vec::new());
        for bytes in all.chunks(piece) {
            buffer.room()[..bytes.len()].copy_from_slice(bytes);
            buffer.advance(bytes.len());
            while let Some(message) = buffer.take().unwrap() {
                taken.push(message.to_vec());
            }
        }
        let expected: Vec<_> = frames().iter().map(|frame| frame[2..].to_vec()).collect();
        assert_eq!(taken, expected, "{piece} bytes at once");
    }
}

#[test]
fn the_longest_frame_fits_and_a_longer_one_is_refused_at_once() {
    let mut buffer = Frames::new();
    let mut came = 0;
    let longest = [&[0x10, 0x00][..], &[7; MAX_MESSAGE_LEN]].concat();
    while came < longest.len() {
        assert_eq!(buffer.take(), Ok(None));
        let room = buffer.room();
        let len = room.len().min(longest.len() - came).min(1000);
        room[..len].copy_from_slice(&longest[came..came + len]);
        buffer.advance(len);
        came += len;
    }
    assert_eq!(buffer.take().unwrap().unwrap().len(), MAX_MESSAGE_LEN);
    let mut buffer = Frames::new();
    buffer.room()[..2].copy_from_slice(&[0x10, 0x01]);
    buffer.advance(2);
    assert_eq!(buffer.take(), Err(Discard::Malformed));
}

#[test]
fn every_truncation_is_refused() {
    for message in said() {
        let frame = message.to_frame();
        for len in 2..frame.len() {
            assert!(FromSubscriber::decode(&frame[2..len]).is_err(), "{message:?} of {len}");
        }
    }
    for message in told() {
        let frame = message.to_frame();
        for len in 2..frame.len() {
            assert!(FromPublisher::decode(&frame[2..len]).is_err(), "{message:?} of {len}");
        }
    }
}

#[test]
fn fields_that_cannot_be_are_refused() {
    let with = |golden: &str, at: usize, bytes: &[u8]| {
        let mut message = bytes_of(golden)[2..].to_vec();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let hello = |at, bytes: &[u8]| FromSubscriber::decode(&with(HELLO_BYTES, at, bytes));
    assert_eq!(hello(0, &[9]), Err(Discard::Kind));
    assert_eq!(hello(0, &[ADMITTED]), Err(Discard::Kind), "what only publishers say");
    assert_eq!(hello(1, &[2]), Err(Discard::Version));
    assert_eq!(hello(18, &[65]), Err(Discard::Malformed), "a long name");
    assert_eq!(hello(26, &[0x01, 0x01]), Err(Discard::Malformed), "a long token");
    assert_eq!(hello(44, &[0, 33]), Err(Discard::Malformed), "many streams");
    let told = |golden, at, bytes: &[u8]| FromPublisher::decode(&with(golden, at, bytes));
    assert_eq!(told(ADMITTED_BYTES, 8, &[0, 9]), Err(Discard::Malformed), "many endpoints");
    assert_eq!(told(ADMITTED_BYTES, 10, &[0, 129]), Err(Discard::Malformed), "a long endpoint");
    assert_eq!(told(ADMITTED_BYTES, 12, &[0xff]), Err(Discard::Malformed), "no UTF-8");
    assert_eq!(told(ADMITTED_BYTES, 32, &[0]), Err(Discard::Malformed), "no epoch");
    assert_eq!(told(REKEY_BYTES, 6, &[0]), Err(Discard::Malformed), "no epoch");
    assert_eq!(told(REFUSED_BYTES, 7, &[6]), Err(Discard::Malformed), "no such reason");
    assert_eq!(told(REMOVED_BYTES, 6, &[0]), Err(Discard::Malformed), "no such reason");
    assert_eq!(told(LEAVE_BYTES, 0, &[LEAVE]), Err(Discard::Kind), "what only subscribers say");
}

#[test]
fn an_extension_is_skipped_and_stray_bytes_are_refused() {
    let mut message = bytes_of(LEAVE_BYTES)[2..].to_vec();
    message.extend([200, 0, 2, 1, 1]);
    assert!(FromSubscriber::decode(&message).is_ok());
    message.push(0);
    assert!(FromSubscriber::decode(&message).is_err());
}

#[test]
fn an_endpoint_is_read_as_it_was_written_and_a_strange_one_is_told_so() {
    let endpoint: Endpoint = "unicast://publisher.example:6000".parse().unwrap();
    let text = EndpointText::try_from(&endpoint).unwrap();
    assert_eq!(text.endpoint(), Ok(endpoint));
    let strange = EndpointText::try_from(List::truncated(*b"quic://x:1")).unwrap();
    assert!(strange.endpoint().is_err());
    let long = Endpoint::Tcp { host: "x".repeat(200), port: 1 };
    assert_eq!(EndpointText::try_from(&long), Err(NoEndpointText));
}

proptest! {
    #[test]
    fn no_bytes_do_harm(message in vec(any::<u8>(), 0..300), number in 0_u8..10) {
        let message = [vec![number], message].concat();
        if let Ok(read) = FromSubscriber::decode(&message) {
            prop_assert_eq!(FromSubscriber::decode(&read.to_frame()[2..]), Ok(read));
        }
        if let Ok(read) = FromPublisher::decode(&message) {
            prop_assert_eq!(FromPublisher::decode(&read.to_frame()[2..]), Ok(read));
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(
        at: prop::sample::Index, byte: u8, which: prop::sample::Index,
    ) {
        let mut frame = frames()[which.index(9)].clone();
        let at = at.index(frame.len());
        frame[at] = byte;
        let mut buffer = Frames::new();
        buffer.room()[..frame.len()].copy_from_slice(&frame);
        buffer.advance(frame.len());
        while let Ok(Some(message)) = buffer.take() {
            drop(FromSubscriber::decode(message));
            drop(FromPublisher::decode(message));
        }
    }
}
