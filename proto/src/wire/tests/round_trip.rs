//! What is written is read again as what it was, whatever it was.

use std::net::SocketAddr;

use bytes::Bytes;
use proptest::array::{uniform5, uniform16, uniform32};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::encoded;
use crate::poll::Poll;
use crate::wire::*;
use crate::{Seq, SessionId, StreamId, SubscriberId, WireTime};

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Seq)
}

fn subscriber() -> impl Strategy<Value = SubscriberId> {
    any::<u128>().prop_map(SubscriberId)
}

fn name() -> impl Strategy<Value = Name> {
    "\\PC{0,21}".prop_filter_map("too long", |text| text.parse().ok())
}

fn list<T: std::fmt::Debug, const MAX: usize>(
    element: impl Strategy<Value = T>,
    least: usize,
) -> impl Strategy<Value = List<T, MAX>> {
    vec(element, least..=MAX).prop_map(List::truncated)
}

fn ranges() -> impl Strategy<Value = List<Range, 64>> {
    let range = (0..u64::MAX - u64::from(u32::MAX), 1..=u32::MAX)
        .prop_map(|(first, count)| Range { first: Seq(first), count });
    list(range, 0)
}

fn needs() -> impl Strategy<Value = List<Need, 64>> {
    list((seq(), 1..=u8::MAX).prop_map(|(block, count)| Need { block, count }), 0)
}

fn coded(parity: bool) -> impl Strategy<Value = Coded> {
    let place = if parity {
        (1_u8..=128).prop_flat_map(|k| (Just(k), k..=u8::MAX)).boxed()
    } else {
        prop_oneof![(Just(0), any::<u8>()), (1..=u8::MAX).prop_flat_map(|k| (Just(k), 0..k)),]
            .boxed()
    };
    (any::<u32>(), place, 0_u8..=7, vec(any::<u8>(), 9..1500)).prop_map(
        |(block, (k, index), depth_log2, body)| Coded {
            block,
            index,
            k,
            depth_log2,
            body: Bytes::from(body),
        },
    )
}

fn repair_bodies() -> impl Strategy<Value = Body> {
    let reason = prop_oneof![Just(RefusedReason::TooLate), Just(RefusedReason::OverBudget)];
    prop_oneof![
        coded(false).prop_map(Body::Data),
        coded(true).prop_map(Body::Parity),
        coded(false).prop_map(Body::Repair),
        (subscriber(), ranges(), needs(), ranges()).prop_map(
            |(subscriber, ranges, needs, manifests)| {
                let manifests = List::truncated(manifests.to_vec());
                Body::Nak(Nak { subscriber, ranges, needs, manifests })
            }
        ),
        (ranges(), needs()).prop_map(|(ranges, needs)| Body::Ncf(Ncf { ranges, needs })),
        (reason, seq(), ranges()).prop_map(|(reason, trail, ranges)| Body::Refused(Refused {
            reason,
            trail,
            ranges
        })),
    ]
}

fn poll() -> impl Strategy<Value = Poll> {
    any::<(u8, u8, u16, u16, u8)>().prop_map(|(enrol, sample, round, report_ms, alarm)| Poll {
        enrol,
        sample,
        round,
        report_ms,
        alarm,
    })
}

fn heartbeat() -> impl Strategy<Value = Body> {
    let numbers = any::<(u8, u16, u32, u8)>();
    (seq(), seq(), seq(), numbers, poll()).prop_map(
        |(trail, lead, last_block, (last_k, next_ms, grtt_us, group_size), poll)| {
            Body::Heartbeat(Heartbeat {
                trail,
                lead,
                last_block,
                last_k,
                next_ms,
                grtt_us,
                group_size,
                poll,
            })
        },
    )
}

fn announce() -> impl Strategy<Value = Body> {
    let mode = prop_oneof![Just(StreamMode::Bytes), Just(StreamMode::Messages)];
    let numbers = any::<(u64, u32, u64, u16, u32, u8)>();
    // The zone of an IPv6 address does not travel: `SocketAddr::new` sets none.
    let feedback = option::of(any::<(std::net::IpAddr, u16)>())
        .prop_map(|address| address.map(|(ip, port)| SocketAddr::new(ip, port)));
    let optional = (feedback, option::of(any::<u128>()), poll());
    (name(), mode, (9..=u16::MAX, 1..=u8::MAX), (seq(), seq()), numbers, optional).prop_map(
        |(name, mode, (coded_len, k), (trail, lead), numbers, (feedback, nonce_echo, poll))| {
            let (started_us, deadline_ms, rate_bps, heartbeat_max_ms, grtt_us, group_size) =
                numbers;
            Body::Announce(Announce {
                started_us,
                name,
                mode,
                deadline_ms,
                coded_len,
                k,
                trail,
                lead,
                rate_bps,
                heartbeat_max_ms,
                grtt_us,
                group_size,
                poll,
                feedback,
                nonce_echo,
            })
        },
    )
}

fn report() -> impl Strategy<Value = Body> {
    let state = (0_u8..=3).prop_map(|state| ReportState::try_from(state).unwrap());
    let losses =
        any::<(u64, u64, u64, u64, u64)>().prop_map(|(wire, kernel, ring, late, unauthentic)| {
            Losses { wire, kernel, ring, late, unauthentic }
        });
    let counts = any::<(u64, u64, u64, u64)>();
    let numbers = any::<(u32, u32, u32, u32)>();
    let places = (seq(), seq(), seq());
    (subscriber(), state, places, counts, losses, uniform5(any::<u32>()), numbers).prop_map(
        |(subscriber, state, (limit, highest, next), counts, losses, bursts, numbers)| {
            let (received, repaired, recovered, given_up) = counts;
            let (ce, jitter_us, echo, hold_us) = numbers;
            Body::Report(Report {
                subscriber,
                state,
                limit,
                highest,
                next,
                received,
                repaired,
                recovered,
                given_up,
                losses,
                bursts,
                ce,
                jitter_us,
                echo: WireTime(echo),
                hold_us,
            })
        },
    )
}

fn membership() -> impl Strategy<Value = Body> {
    let evicted = (1_u8..=5).prop_map(|reason| EvictReason::try_from(reason).unwrap());
    let left = (1_u8..=3).prop_map(|reason| ByeReason::try_from(reason).unwrap());
    prop_oneof![
        (subscriber(), name(), any::<u128>()).prop_map(|(subscriber, name, nonce)| {
            Body::Register(Register { subscriber, name, nonce })
        }),
        (subscriber(), any::<u128>()).prop_map(|(subscriber, cookie)| {
            Body::CookieChallenge(CookieChallenge { subscriber, cookie })
        }),
        (subscriber(), any::<u128>(), name()).prop_map(|(subscriber, cookie, name)| {
            Body::CookieReply(CookieReply { subscriber, cookie, name })
        }),
        (subscriber(), seq(), seq()).prop_map(|(subscriber, from, to)| {
            Body::CatchUpRequest(CatchUpRequest { subscriber, from, to })
        }),
        (subscriber(), seq(), seq(), seq()).prop_map(|(subscriber, from, to, trail)| {
            Body::CatchUpAccept(CatchUpAccept { subscriber, from, to, trail })
        }),
        (subscriber(), evicted)
            .prop_map(|(subscriber, reason)| Body::Evict(Evict { subscriber, reason })),
        (subscriber(), left, seq()).prop_map(|(subscriber, reason, next)| Body::Bye(Bye {
            subscriber,
            reason,
            next
        })),
    ]
}

fn ends_and_keys() -> impl Strategy<Value = Body> {
    let hashes = list(uniform16(any::<u8>()).prop_map(PacketHash), 1);
    let signature = (uniform32(any::<u8>()), uniform32(any::<u8>())).prop_map(|halves| {
        std::array::from_fn(|i| if i < 32 { halves.0[i] } else { halves.1[i - 32] })
    });
    prop_oneof![
        (seq(), any::<u64>(), option::of(uniform32(any::<u8>())), any::<bool>()).prop_map(
            |(lead, bytes, sha256, aborted)| Body::End(End { lead, bytes, sha256, aborted })
        ),
        (0..u64::MAX / 2, any::<u64>(), hashes, signature).prop_map(
            |(first, started_us, hashes, signature)| {
                Body::Manifest(Manifest { first: Seq(first), started_us, hashes, signature })
            }
        ),
        (subscriber(), any::<u8>(), any::<u128>()).prop_map(|(subscriber, have_epoch, nonce)| {
            Body::KeyRequest(KeyRequest { subscriber, have_epoch, nonce })
        }),
        (any::<(u8, u64, u32)>(), list(any::<u8>(), 0)).prop_map(
            |((epoch, from_number, node), wrapped)| {
                Body::KeyUpdate(KeyUpdate { epoch, from_number, node, wrapped })
            }
        ),
    ]
}

pub(super) fn packet() -> impl Strategy<Value = Packet> {
    let body = prop_oneof![
        6 => repair_bodies(),
        1 => heartbeat(),
        1 => announce(),
        1 => report(),
        7 => membership(),
        4 => ends_and_keys(),
    ];
    (any::<(u8, u8, u16, u64, u64, u32)>(), body).prop_map(|(fields, body)| {
        let (flags, key_epoch, stream, session, number, sent_at) = fields;
        let flags = body.coded().map_or(flags, |coded| flags & !7 | coded.depth_log2);
        let header = Header {
            kind: body.kind(),
            flags,
            key_epoch,
            stream: StreamId(stream),
            session: SessionId(session),
            number,
            sent_at: WireTime(sent_at),
        };
        Packet { header, body }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_packet_is_read_as_it_was_written(packet in packet()) {
        let datagram = encoded(&packet);
        prop_assert!(datagram.len() <= MAX_DATAGRAM_LEN);
        prop_assert_eq!(decode(Bytes::from(datagram)).unwrap(), packet);
    }

    #[test]
    fn the_header_alone_is_read_the_same(packet in packet()) {
        let datagram = encoded(&packet);
        let (header, rest) = decode_header(&datagram).unwrap();
        prop_assert_eq!(header, packet.header);
        prop_assert_eq!(rest.len(), datagram.len() - HEADER_LEN);
    }

    #[test]
    fn the_short_way_and_the_long_way_agree_on_coded_packets(packet in packet()) {
        let datagram = encoded(&packet);
        let short = decode_coded(&datagram);
        let Some(coded) = packet.body.coded().cloned() else {
            prop_assert!(short.is_err());
            return Ok(());
        };
        let (header, fields, body) = short.unwrap();
        prop_assert_eq!(header, packet.header);
        let Coded { block, index, k, depth_log2, body: expected } = coded;
        prop_assert_eq!(fields, CodedFields { block, index, k, depth_log2 });
        prop_assert_eq!(body, expected);
        let mut head = Vec::new();
        encode_coded_header(&header, block, index, k, &mut head);
        prop_assert_eq!(&head[..], &datagram[..CODED_HEADER_LEN]);
    }

    #[test]
    fn a_prefix_is_read_as_it_was_written(len in 0_u16..1400, flags in any::<u8>(), time in any::<u32>()) {
        let first_sent = WireTime(time);
        let prefix = CodedPrefix { len, flags, first_record: NO_RECORD, first_sent };
        let mut body = Vec::new();
        prefix.write(&mut body);
        prop_assert_eq!(body.len(), CODED_PREFIX_LEN);
        body.resize(CODED_PREFIX_LEN + 1400, 0);
        prop_assert_eq!(CodedPrefix::read(&body).unwrap(), prefix);
    }
}
