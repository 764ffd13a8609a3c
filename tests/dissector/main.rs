//! The Wireshark dissector reads what docs/PROTOCOL.md says, and calls malformed what it does not.
//!
//! Each test writes datagrams to a capture file with text2pcap and has tshark read it with
//! docs/onecast.lua. Without these two programs the tests say that they were skipped; where `CI`
//! is set they fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the finding"
)]

mod tshark;

use std::fmt::Write as _;

use bytes::Bytes;
use proto::wire::{CodedPrefix, Discard, Kind, decode};
use tshark::Tshark;

#[test]
fn every_kind_is_shown_and_none_is_malformed() {
    let Some(tshark) = Tshark::find("every_kind_is_shown") else {
        return;
    };
    let vectors: Vec<_> = Kind::ALL.map(vector).into();
    let rows = tshark.opened().fields(&vectors, &["kind", EXPERT, "session"]);
    assert_eq!(rows.len(), Kind::ALL.len());
    for (kind, row) in Kind::ALL.into_iter().zip(rows) {
        let expected = format!("{}||0x0102030405060708", kind.number());
        assert_eq!(row, expected, "{}", kind.name());
    }
}

#[test]
fn every_field_has_its_place_and_unit() {
    let Some(tshark) = Tshark::find("every_field_has_its_place") else {
        return;
    };
    let vectors: Vec<_> = Kind::ALL.map(vector).into();
    let details = tshark.opened().details(&vectors);
    let packets: Vec<_> = details.split("onecast multicast stream").skip(1).collect();
    assert_eq!(packets.len(), Kind::ALL.len());
    for (kind, lines) in SHOWN {
        let packet = packets[usize::from(kind.number()) - 1];
        for line in lines {
            let found = packet.lines().any(|shown| shown.trim().ends_with(line));
            assert!(found, "{}: no `{line}` in\n{packet}", kind.name());
        }
    }
}

#[test]
fn whatever_is_cut_off_is_called_malformed() {
    let Some(tshark) = Tshark::find("whatever_is_cut_off") else {
        return;
    };
    let mut cuts = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Parity) {
        let whole = vector(kind);
        cuts.extend((1..whole.len()).map(|len| whole[..len].to_vec()));
    }
    let rows = tshark.opened().fields(&cuts, &["malformed", "kind"]);
    assert_eq!(rows.len(), cuts.len());
    for (cut, row) in cuts.iter().zip(rows) {
        assert!(!row.starts_with('|'), "{} bytes of {row} pass: {cut:02x?}", cut.len());
    }
}

#[test]
fn left_over_bytes_and_impossible_fields_are_called_malformed() {
    let Some(tshark) = Tshark::find("left_over_bytes") else {
        return;
    };
    let mut bad: Vec<_> = Kind::ALL.into_iter().skip(3).map(vector).collect();
    for datagram in &mut bad {
        datagram.extend([9, 0]);
    }
    for (kind, at, bytes) in IMPOSSIBLE {
        let mut datagram = vector(kind);
        datagram[at..at + bytes.len()].copy_from_slice(bytes);
        bad.push(datagram);
    }
    let rows = tshark.opened().fields(&bad, &["malformed"]);
    assert_eq!(rows.len(), bad.len());
    for (datagram, row) in bad.iter().zip(rows) {
        assert!(!row.is_empty(), "passes: {datagram:02x?}");
    }
}

/// Whatever a byte or two turn a packet into: decoder and dissector are of one mind about it.
#[test]
fn the_dissector_and_the_decoder_agree() {
    let Some(tshark) = Tshark::find("the_dissector_and_the_decoder_agree") else {
        return;
    };
    let mut chance = fastrand::Rng::with_seed(1112);
    let changed: Vec<_> = (0..6_000).map(|_| changed_vector(&mut chance)).collect();
    let rows = tshark.opened().fields(&changed, &["malformed", "unknown"]);
    assert_eq!(rows.len(), changed.len());
    for (datagram, row) in changed.iter().zip(&rows) {
        assert_eq!(row, verdict(datagram), "malformed|unknown of {datagram:02x?}");
    }
    let sound = rows.iter().filter(|row| *row == "|").count();
    assert!((1_000..5_000).contains(&sound), "{sound} sound ones are no fair mixture");
}

fn changed_vector(chance: &mut fastrand::Rng) -> Vec<u8> {
    let kind = Kind::ALL[chance.usize(..Kind::ALL.len())];
    let mut datagram = vector(kind);
    for _ in 0..chance.usize(1..3) {
        // Half of the changes hit what follows the header, where the kinds differ.
        let from = if chance.bool() { 26 } else { 0 };
        let at = chance.usize(from..datagram.len());
        datagram[at] = if chance.bool() { chance.u8(..) } else { chance.u8(..4) };
    }
    if chance.u8(..8) == 0 {
        datagram.truncate(chance.usize(1..datagram.len()));
    }
    datagram
}

/// What the dissector should show, `malformed|unknown`, going by the decoder.
fn verdict(datagram: &[u8]) -> &'static str {
    let packet = decode(Bytes::copy_from_slice(datagram));
    // A payload's length is looked at later there; parity has no length of its own.
    let has_prefix = |kind| matches!(kind, Kind::Data | Kind::Repair);
    let prefix = packet.and_then(|packet| match packet.body.coded() {
        Some(coded) if has_prefix(packet.header.kind) => CodedPrefix::read(&coded.body).map(drop),
        _ => Ok(()),
    });
    match prefix {
        Ok(()) => "|",
        Err(Discard::Version | Discard::Kind) => "|1",
        Err(_) => "1|",
    }
}

#[test]
fn other_versions_kinds_and_extensions_are_no_fault() {
    let Some(tshark) = Tshark::find("other_versions_kinds") else {
        return;
    };
    let changed = |at: usize, byte: u8| {
        let mut datagram = vector(Kind::Bye);
        datagram[at] = byte;
        datagram
    };
    let extended = [vector(Kind::Bye), vec![77, 0, 2, 1, 2]].concat();
    let rows = tshark.fields(
        &[changed(0, 2), changed(1, 21), extended],
        &["malformed", EXPERT, "extension.type"],
    );
    assert_eq!(
        rows,
        ["|version 2 is not spoken here|", "|kind 21 is not known|", "||77"],
        "malformed, what is said, extension"
    );
}

#[test]
fn names_in_any_script_are_no_fault() {
    let Some(tshark) = Tshark::find("names_in_any_script") else {
        return;
    };
    let names = ["hä€", "ab😀", "ñandú"].map(|name| {
        let mut datagram = vector(Kind::Register);
        datagram.splice(42..49, [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat());
        (datagram, format!("|{name}"))
    });
    let (datagrams, expected): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    assert_eq!(tshark.fields(&datagrams, &[EXPERT, "name"]), expected);
}

#[test]
fn of_a_sealed_packet_what_is_in_clear_is_shown_and_no_more() {
    let Some(tshark) = Tshark::find("of_a_sealed_packet") else {
        return;
    };
    let document = include_str!("../../docs/PROTOCOL.md");
    let (_, vectors) = document.split_once("### Vectors: sealed").unwrap();
    let (_, vectors) = vectors.split_once("```text\n").unwrap();
    let vectors: String = vectors.split("```").next().unwrap().split_whitespace().collect();
    let [data, heartbeat, bye] = ["data", "heartbeat", "bye"].map(|kind| {
        let hex = vectors.split_once(kind).unwrap().1;
        let digits: Vec<u8> = hex.bytes().take_while(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks_exact(2).map(pair).collect::<Vec<u8>>()
    });
    let cut = bye[..42 + 15].to_vec();
    let fields = ["malformed", "block", "subscriber", "sealed", "tag"];
    let rows = tshark.fields(&[data.clone(), heartbeat.clone(), bye.clone(), cut], &fields);
    let shown = |datagram: &[u8], from: usize, to: usize| hex(&datagram[from..to]);
    let ends = |datagram: &[u8], clear: usize| {
        let body = datagram.len() - 16;
        format!("{}|{}", shown(datagram, clear, body), shown(datagram, body, body + 16))
    };
    assert_eq!(rows[0], format!("|1024||{}", ends(&data, 32)));
    assert_eq!(rows[1], format!("|||{}", ends(&heartbeat, 26)));
    assert_eq!(rows[2], format!("||{}|{}", shown(&bye, 26, 42), ends(&bye, 42)));
    assert!(rows[3].starts_with('1'), "{}", rows[3]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn other_ports_are_read_when_told_and_only_then() {
    let Some(tshark) = Tshark::find("other_ports") else {
        return;
    };
    let tshark = tshark.at_port(6100);
    let datagrams = [vector(Kind::Heartbeat)];
    assert_eq!(tshark.fields(&datagrams, &["kind"]), [""]);
    let by_preference = tshark.with(["-o", "onecast.ports:5000,6000-6200"]);
    assert_eq!(by_preference.fields(&datagrams, &["kind"]), ["7"]);
    let decoded_as = tshark.with(["-d", "udp.port==6100,onecast"]);
    assert_eq!(decoded_as.fields(&datagrams, &["kind"]), ["7"]);
}

/// What tshark says of a packet that it frowns upon, whoever found it.
const EXPERT: &str = "_ws.expert.message";

/// Lines that must be shown for the vector of a kind, each the end of a line.
const SHOWN: [(Kind, &[&str]); 12] = [
    (Kind::Data, &["log2: 2", "(low 32 bits): 1024", "Index: 5", "records: True", "0000000141"]),
    (Kind::Parity, &["Index: 64", "k: 64", "Parity: 00050100000000000011223344"]),
    (Kind::Repair, &["Sent at: 1000000 us", "First sent at: 500000 us"]),
    (Kind::Nak, &["From seq: 1040", "Packets: 3", "More packets: 4"]),
    (Kind::Refused, &["Reason: too late (1)", "Trail: 900"]),
    (Kind::Heartbeat, &["wanted: True", "Lead: 1100", "heartbeat in: 20 ms", "GRTT: 15000 us"]),
    (
        Kind::Announce,
        &[
            "Started: Sep 21, 2026 14:13:20.000000000 UTC",
            "Name: demo",
            "Mode: messages (1)",
            "Rate: 20000000 bit/s",
            "Feedback address: 192.0.2.1",
            "Feedback port: 5001",
            "Nonce: c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
        ],
    ),
    (Kind::Report, &["State: catching up (1)", "Not authentic: 2", "5-8: 1", "for: 1200 us"]),
    (Kind::Register, &["Subscriber: a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "Name: hall-3"]),
    (Kind::CatchUpRequest, &["To seq, not with it: 1100", "Type: padding (0)"]),
    (Kind::End, &["Bytes of payload: 1400000", "Aborted: yes (1)"]),
    (Kind::KeyUpdate, &["From number: 5000", "Wrapped key: deadbeef"]),
];

/// A kind, a place in its vector, and bytes that cannot stand there.
const IMPOSSIBLE: [(Kind, usize, &[u8]); 12] = [
    (Kind::Data, 31, &[5]),
    (Kind::Data, 33, &[6]),
    (Kind::Data, 36, &[5]),
    (Kind::Parity, 30, &[63]),
    (Kind::Ncf, 26, &[1]),
    (Kind::Ncf, 28, &[0xff; 8]),
    (Kind::Ncf, 36, &[0; 4]),
    (Kind::Evict, 42, &[0]),
    (Kind::Announce, 39, &[2]),
    (Kind::Register, 43, b"\n"),
    (Kind::End, 42, &[2]),
    (Kind::Manifest, 43, &[0]),
];

/// The bytes under a heading of docs/PROTOCOL.md §7.
fn vector(kind: Kind) -> Vec<u8> {
    let document = include_str!("../../docs/PROTOCOL.md");
    let (_, after) = document.split_once(&format!("### Vector: {}\n", kind.name())).unwrap();
    let (_, block) = after.split_once("```hex\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let hex = block.lines().filter_map(|line| line.split("  ").next());
    hex.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
