//! What a stranger gets for what it sends: never more (docs/PROTOCOL.md §4.4).

use super::*;
use crate::seal::Key;
use crate::sign::SigningKey;
use crate::wire::{Bye, ByeReason, FLAG_ECHO_ONLY, Name};

const DOCUMENT: &str = include_str!("../../../../docs/PROTOCOL.md");

/// One datagram of a stranger's, and what it got for it.
struct Row {
    kind: Kind,
    received: usize,
    answered: usize,
}

impl Row {
    /// As the document has it.
    fn line(&self) -> String {
        let Self { kind, received, answered } = self;
        let ratio = *answered as f64 / *received as f64;
        format!("| `{}` | {received} | {answered} | {ratio:.2} |", kind.name())
    }
}

/// The shortest of each kind, and others that ask for much.
fn said_by_strangers() -> Vec<Packet> {
    let nobody = Name::default();
    let subscriber = id(7);
    let short = [
        Body::Register(Register { subscriber, name: nobody.clone(), nonce: 0 }),
        Body::CookieReply(CookieReply { subscriber, cookie: 12, name: nobody }),
        live(7, 0, 99, START),
        nak(7, &[(0, 1)]),
        nak(7, &[(0, 4_000), (5_000, 9_000)]),
        catch_up(7, 0, 100),
        Body::Bye(Bye { subscriber, reason: ByeReason::Left, next: Seq(0) }),
    ];
    let mut packets: Vec<Packet> = short.into_iter().map(packet).collect();
    let mut echo = packet(Body::Register(Register { subscriber, name: Name::default(), nonce: 9 }));
    echo.header.flags = FLAG_ECHO_ONLY;
    packets.push(echo);
    packets.extend(wire::every_kind().into_iter().map(|sample| packet(sample.body)));
    packets
}

/// Whether everyone is asked to register, or only a share; and whether it is signed.
fn stream(is_share: bool, is_signed: bool) -> Bench {
    let key = SigningKey::of(&Key::new([1; 32]));
    let mut bench = Bench::new(|config| {
        (config.datagram_len, config.sign) = (300, is_signed.then_some(key));
    });
    bench.push(100);
    bench.run(if is_share { millis(20) } else { millis(300) });
    bench.sent.clear();
    bench
}

fn answered(mut bench: Bench, packet: &Packet, knocks: bool) -> Row {
    let mut datagram = Vec::new();
    let mut packet = packet.clone();
    if knocks {
        (packet.header.session, packet.header.stream) = (SessionId(0), StreamId(0));
    }
    wire::encode(&packet, &mut datagram);
    let received = datagram.len();
    if knocks {
        bench.sender.handle_knock(&mut datagram.clone(), address(7), bench.now);
    } else {
        bench.sender.handle_datagram(&mut datagram, address(7), bench.now);
    }
    bench.run(Duration::from_secs(2));
    let unicast = bench.sent.iter().filter(|sent| sent.to != Destination::Group);
    let answered = unicast
        .map(|sent| {
            assert_eq!(sent.to, Destination::Unicast(address(7)), "nobody else is answered");
            sent.len
        })
        .sum();
    Row { kind: packet.header.kind, received, answered }
}

/// For each kind the datagram that got most for what it was.
fn table() -> Vec<Row> {
    let mut table: Vec<Row> = Vec::new();
    for packet in said_by_strangers() {
        let ways = [(false, false), (true, false), (false, true)];
        let ways = ways.into_iter().flat_map(|way| [(way, false), (way, true)]);
        for ((is_share, knocks), is_signed) in ways {
            let row = answered(stream(is_share, is_signed), &packet, knocks);
            match table.iter_mut().find(|other| other.kind == row.kind) {
                Some(best) if row.answered * best.received > best.answered * row.received => {
                    *best = row;
                }
                Some(_) => {}
                None => table.push(row),
            }
        }
    }
    table.sort_by_key(|row| row.kind.number());
    table
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the table is for people, and for the document")]
fn no_kind_of_packet_is_answered_with_more_than_it_was() {
    let table = table();
    assert_eq!(table.len(), Kind::ALL.len());
    for row in &table {
        println!("{}", row.line());
        assert!(row.answered <= row.received, "{}", row.line());
    }
    let missing = table.iter().map(Row::line).find(|line| !DOCUMENT.contains(line));
    assert_eq!(missing, None, "docs/PROTOCOL.md §4.4 has another table");
}

#[test]
fn a_thousand_of_them_are_answered_with_no_more_than_they_were() {
    for sample in said_by_strangers() {
        let mut bench = stream(false, true);
        let mut received = 0;
        for _ in 0..1_000 {
            let mut datagram = Vec::new();
            wire::encode(&sample, &mut datagram);
            received += datagram.len();
            bench.sender.handle_datagram(&mut datagram, address(7), bench.now);
        }
        bench.run(Duration::from_secs(2));
        let unicast = bench.sent.iter().filter(|sent| sent.to != Destination::Group);
        let answered: usize = unicast.map(|sent| sent.len).sum();
        assert!(answered <= received, "{}: {answered} for {received}", sample.header.kind.name());
    }
}
