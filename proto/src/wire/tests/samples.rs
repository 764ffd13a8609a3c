//! One packet of each kind, every field of it different from its default.

use bytes::Bytes;

use crate::poll::Poll;
use crate::wire::*;
use crate::{Seq, SessionId, StreamId, SubscriberId, WireTime};

const SUBSCRIBER: SubscriberId = SubscriberId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf);
const POLL: Poll = Poll { enrol: 3, sample: 10, round: 7, report_ms: 400, alarm: 12 };
const NONCE: u128 = 0xc0c1_c2c3_c4c5_c6c7_c8c9_cacb_cccd_cecf;
const COOKIE: u128 = 0xd0d1_d2d3_d4d5_d6d7_d8d9_dadb_dcdd_dedf;

const PARITY: [u8; 13] = [0, 5, 1, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44];

/// In the order of [`Kind::ALL`].
pub(crate) fn all() -> Vec<Packet> {
    let mut bodies = coded();
    bodies.extend([nak(), ncf(), refused(), heartbeat(), announce(), report()]);
    bodies.extend(membership());
    bodies.extend([end(), manifest(), key_request(), key_update()]);
    bodies.into_iter().map(packet).collect()
}

pub(super) fn packet(body: Body) -> Packet {
    let kind = body.kind();
    let depth_log2 = body.coded().map_or(0, |coded| coded.depth_log2);
    let header = Header {
        kind,
        flags: if kind == Kind::Heartbeat { FLAG_REPORT_WANTED } else { depth_log2 },
        key_epoch: [(Kind::Manifest, 3), (Kind::KeyUpdate, 2)]
            .into_iter()
            .find_map(|(sealed, epoch)| (kind == sealed).then_some(epoch))
            .unwrap_or(0),
        stream: StreamId(0x1234),
        session: SessionId(0x0102_0304_0506_0708),
        number: 1000,
        sent_at: WireTime(1_000_000),
    };
    Packet { header, body }
}

fn coded() -> Vec<Body> {
    let at = |index, k, body| Coded { block: 1024, index, k, depth_log2: 2, body };
    vec![
        Body::Data(at(5, 0, coded_body(1_000_000))),
        Body::Parity(at(64, 64, Bytes::from_static(&PARITY))),
        Body::Repair(at(5, 64, coded_body(500_000))),
    ]
}

fn coded_body(first_sent_us: u32) -> Bytes {
    let first_sent = WireTime(first_sent_us);
    let mut body = Vec::new();
    CodedPrefix { len: 5, flags: PREFIX_RECORDS, first_record: 0, first_sent }.write(&mut body);
    body.extend_from_slice(&[0, 0, 0, 1, b'A']);
    body.into()
}

fn list<T, const MAX: usize>(elements: Vec<T>) -> List<T, MAX> {
    elements.try_into().unwrap_or_else(|_| panic!("a sample fits"))
}

fn nak() -> Body {
    let ranges = vec![Range { first: Seq(1030), count: 1 }, Range { first: Seq(1040), count: 3 }];
    let needs = list(vec![Need { block: Seq(1024), count: 4 }]);
    let manifests = list(vec![Range { first: Seq(1032), count: 2 }]);
    Body::Nak(Nak { subscriber: SUBSCRIBER, ranges: list(ranges), needs, manifests })
}

fn ncf() -> Body {
    let ranges = list(vec![Range { first: Seq(1030), count: 1 }]);
    Body::Ncf(Ncf { ranges, needs: list(vec![Need { block: Seq(1024), count: 4 }]) })
}

fn refused() -> Body {
    let ranges = list(vec![Range { first: Seq(800), count: 100 }]);
    Body::Refused(Refused { reason: RefusedReason::TooLate, trail: Seq(900), ranges })
}

fn heartbeat() -> Body {
    Body::Heartbeat(Heartbeat {
        trail: Seq(900),
        lead: Seq(1100),
        last_block: Seq(1024),
        last_k: 64,
        next_ms: 20,
        grtt_us: 15_000,
        group_size: 0x21,
        poll: POLL,
    })
}

fn announce() -> Body {
    Body::Announce(Announce {
        started_us: 1_790_000_000_000_000,
        name: "demo".parse().unwrap(),
        mode: StreamMode::Messages,
        deadline_ms: 200,
        coded_len: 1400,
        k: 64,
        trail: Seq(900),
        lead: Seq(1100),
        rate_bps: 20_000_000,
        heartbeat_max_ms: 1000,
        grtt_us: 15_000,
        group_size: 0x21,
        poll: POLL,
        feedback: Some("192.0.2.1:5001".parse().unwrap()),
        nonce_echo: Some(NONCE),
    })
}

fn report() -> Body {
    Body::Report(Report {
        subscriber: SUBSCRIBER,
        state: ReportState::CatchingUp,
        limit: Seq(2000),
        highest: Seq(1100),
        next: Seq(1030),
        received: 1060,
        repaired: 20,
        recovered: 15,
        given_up: 1,
        losses: Losses { wire: 30, kernel: 4, ring: 0, late: 1, unauthentic: 2 },
        bursts: [10, 4, 2, 1, 0],
        ce: 3,
        jitter_us: 250,
        echo: WireTime(1_000_000),
        hold_us: 1200,
    })
}

fn membership() -> Vec<Body> {
    let subscriber = SUBSCRIBER;
    let name: Name = "hall-3".parse().unwrap();
    vec![
        Body::Register(Register { subscriber, name: name.clone(), nonce: NONCE }),
        Body::CookieChallenge(CookieChallenge { subscriber, cookie: COOKIE }),
        Body::CookieReply(CookieReply { subscriber, cookie: COOKIE, name }),
        Body::CatchUpRequest(CatchUpRequest { subscriber, from: Seq(0), to: Seq(1100) }),
        Body::CatchUpAccept(CatchUpAccept {
            subscriber,
            from: Seq(900),
            to: Seq(1100),
            trail: Seq(900),
        }),
        Body::Evict(Evict { subscriber, reason: EvictReason::Slow }),
        Body::Bye(Bye { subscriber, reason: ByeReason::Left, next: Seq(1030) }),
    ]
}

fn end() -> Body {
    // SHA-256 of nothing: a value that anyone can look up.
    let sha256 = *b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
                    \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55";
    Body::End(End { lead: Seq(1100), bytes: 1_400_000, sha256: Some(sha256), aborted: true })
}

fn manifest() -> Body {
    Body::Manifest(Manifest {
        first: Seq(1024),
        started_us: 1_790_000_000_000_000,
        hashes: list(vec![PacketHash([0x11; 16]), PacketHash([0x22; 16])]),
        signature: std::array::from_fn(|place| u8::try_from(place).unwrap()),
    })
}

fn key_request() -> Body {
    Body::KeyRequest(KeyRequest { subscriber: SUBSCRIBER, have_epoch: 2, nonce: NONCE })
}

fn key_update() -> Body {
    let wrapped = list(vec![0xde, 0xad, 0xbe, 0xef]);
    Body::KeyUpdate(KeyUpdate { epoch: 3, from_number: 5000, node: 1, wrapped })
}
