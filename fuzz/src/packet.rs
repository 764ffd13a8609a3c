//! Packets that are well-formed, and say anything.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use proto::poll::Poll;
use proto::wire::{
    Announce, Body, Bye, ByeReason, CatchUpAccept, CatchUpRequest, Coded, CodedPrefix,
    CookieChallenge, CookieReply, End, Evict, EvictReason, Heartbeat, KeyRequest, KeyUpdate, Kind,
    List, Losses, Manifest, Nak, Name, Ncf, Need, PacketHash, Range, Refused, RefusedReason,
    Register, Report, ReportState, StreamMode,
};
use proto::{Seq, SubscriberId, WireTime};

/// What numbers lie near more often than not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    /// The newest packet, or thereabouts.
    pub(crate) seq: Seq,
    /// Now.
    pub(crate) time: WireTime,
}

/// A body of this kind.
pub(crate) fn body(kind: Kind, near: Near, u: &mut Unstructured<'_>) -> Result<Body> {
    Ok(match kind {
        Kind::Data => Body::Data(coded(near, u)?),
        Kind::Parity => Body::Parity(coded(near, u)?),
        Kind::Repair => Body::Repair(coded(near, u)?),
        Kind::Nak => Body::Nak(Nak {
            subscriber: who(u)?,
            ranges: ranges(near, u)?,
            needs: needs(near, u)?,
            manifests: List::truncated(ranges(near, u)?.iter().copied()),
        }),
        Kind::Ncf => Body::Ncf(Ncf { ranges: ranges(near, u)?, needs: needs(near, u)? }),
        Kind::Refused => Body::Refused(Refused {
            reason: *u.choose(&[RefusedReason::TooLate, RefusedReason::OverBudget])?,
            trail: seq(near, u)?,
            ranges: ranges(near, u)?,
        }),
        Kind::Heartbeat => Body::Heartbeat(heartbeat(near, u)?),
        Kind::Announce => Body::Announce(announce(near, u)?),
        Kind::Report => Body::Report(report(near, u)?),
        Kind::End => Body::End(End {
            lead: seq(near, u)?,
            bytes: u.arbitrary()?,
            sha256: u.arbitrary()?,
            aborted: u.arbitrary()?,
        }),
        Kind::Register
        | Kind::CookieChallenge
        | Kind::CookieReply
        | Kind::CatchUpRequest
        | Kind::CatchUpAccept
        | Kind::Evict
        | Kind::Bye => membership(kind, near, u)?,
        Kind::Manifest | Kind::KeyRequest | Kind::KeyUpdate => protection(kind, near, u)?,
    })
}

fn membership(kind: Kind, near: Near, u: &mut Unstructured<'_>) -> Result<Body> {
    let subscriber = who(u)?;
    Ok(match kind {
        Kind::Register => {
            Body::Register(Register { subscriber, name: name(u)?, nonce: u.arbitrary()? })
        }
        Kind::CookieChallenge => {
            Body::CookieChallenge(CookieChallenge { subscriber, cookie: u.arbitrary()? })
        }
        Kind::CookieReply => {
            Body::CookieReply(CookieReply { subscriber, cookie: u.arbitrary()?, name: name(u)? })
        }
        Kind::CatchUpRequest => {
            let (from, to) = (seq(near, u)?, seq(near, u)?);
            Body::CatchUpRequest(CatchUpRequest { subscriber, from, to })
        }
        Kind::CatchUpAccept => {
            let (from, to, trail) = (seq(near, u)?, seq(near, u)?, seq(near, u)?);
            Body::CatchUpAccept(CatchUpAccept { subscriber, from, to, trail })
        }
        Kind::Evict => {
            let reasons = [EvictReason::Slow, EvictReason::Kicked, EvictReason::Full];
            Body::Evict(Evict { subscriber, reason: *u.choose(&reasons)? })
        }
        _ => {
            let reasons = [ByeReason::Done, ByeReason::Left, ByeReason::Failed];
            Body::Bye(Bye { subscriber, reason: *u.choose(&reasons)?, next: seq(near, u)? })
        }
    })
}

fn protection(kind: Kind, near: Near, u: &mut Unstructured<'_>) -> Result<Body> {
    Ok(match kind {
        Kind::Manifest => {
            let hashes = (0..u.int_in_range(1..=255_u8)?).map(|place| PacketHash([place; 16]));
            let signature = [u.arbitrary()?; 64];
            Body::Manifest(Manifest {
                first: seq(near, u)?,
                started_us: u.arbitrary()?,
                hashes: List::truncated(hashes),
                signature,
            })
        }
        Kind::KeyRequest => Body::KeyRequest(KeyRequest {
            subscriber: who(u)?,
            have_epoch: u.arbitrary()?,
            nonce: u.arbitrary()?,
        }),
        _ => {
            let len = u.int_in_range(0..=80)?;
            Body::KeyUpdate(KeyUpdate {
                epoch: u.arbitrary()?,
                from_number: u.arbitrary()?,
                node: u.arbitrary()?,
                wrapped: List::truncated(bytes(len, u)?.iter().copied()),
            })
        }
    })
}

/// The payload of the packet with this number, where nobody lies.
pub(crate) fn payload_of(seq: Seq) -> [u8; 10] {
    [seq.0.to_be_bytes()[7]; 10]
}

/// The packet with this number, as an honest sender makes it of blocks of 8.
pub(crate) fn honest(seq: Seq, first_sent: WireTime) -> Coded {
    let prefix = CodedPrefix { len: 10, flags: 0, first_record: 0, first_sent };
    let body = [&prefix.to_bytes()[..], &payload_of(seq)].concat();
    let index = u8::try_from(seq.0 % 8).unwrap_or_default();
    let block = Seq(seq.0 - seq.0 % 8).low();
    Coded { block, index, k: 8, depth_log2: 0, body: Bytes::from(body) }
}

fn coded(near: Near, u: &mut Unstructured<'_>) -> Result<Coded> {
    let at = seq(near, u)?;
    let (k, depth_log2) = (u.int_in_range(0..=128)?, u.int_in_range(0..=5)?);
    let index = u.arbitrary()?;
    let payload = { bytes(u.int_in_range(0..=160)?, u)? };
    let len = u16::try_from(payload.len()).unwrap_or_default();
    let prefix = CodedPrefix {
        len: if u.ratio(1, 8)? { u.arbitrary()? } else { len },
        flags: u.arbitrary()?,
        first_record: *u.choose(&[0, 1, 4, len, u16::MAX])?,
        first_sent: time(near, u)?,
    };
    let body = [&prefix.to_bytes()[..], payload].concat();
    Ok(Coded { block: at.low(), index, k, depth_log2, body: Bytes::from(body) })
}

fn heartbeat(near: Near, u: &mut Unstructured<'_>) -> Result<Heartbeat> {
    Ok(Heartbeat {
        trail: seq(near, u)?,
        lead: seq(near, u)?,
        last_block: seq(near, u)?,
        last_k: u.arbitrary()?,
        next_ms: u.arbitrary()?,
        grtt_us: u.arbitrary()?,
        group_size: u.arbitrary()?,
        poll: poll(u)?,
    })
}

fn announce(near: Near, u: &mut Unstructured<'_>) -> Result<Announce> {
    Ok(Announce {
        started_us: 100 + u64::from(u.arbitrary::<u8>()?),
        name: name(u)?,
        mode: *u.choose(&[StreamMode::Bytes, StreamMode::Messages])?,
        deadline_ms: *u.choose(&[0, 1, 100, u32::MAX])?,
        coded_len: *u.choose(&[152, 9, 10, 48, 1_440, u16::MAX])?,
        k: u.arbitrary()?,
        trail: seq(near, u)?,
        lead: seq(near, u)?,
        rate_bps: u.arbitrary()?,
        heartbeat_max_ms: u.arbitrary()?,
        grtt_us: u.arbitrary()?,
        group_size: u.arbitrary()?,
        poll: poll(u)?,
        feedback: u.arbitrary::<Option<u8>>()?.map(|host| ([10, 0, 0, host], 5_000).into()),
        nonce_echo: u.arbitrary()?,
    })
}

fn report(near: Near, u: &mut Unstructured<'_>) -> Result<Report> {
    let states = [
        ReportState::Live,
        ReportState::CatchingUp,
        ReportState::Complete,
        ReportState::Incomplete,
    ];
    Ok(Report {
        subscriber: who(u)?,
        state: *u.choose(&states)?,
        limit: seq(near, u)?,
        highest: seq(near, u)?,
        next: seq(near, u)?,
        received: u.arbitrary()?,
        repaired: u.arbitrary()?,
        recovered: u.arbitrary()?,
        given_up: u.arbitrary()?,
        losses: Losses {
            wire: count(u)?,
            kernel: count(u)?,
            ring: count(u)?,
            late: count(u)?,
            unauthentic: count(u)?,
        },
        bursts: u.arbitrary()?,
        ce: u.arbitrary()?,
        jitter_us: u.arbitrary()?,
        echo: time(near, u)?,
        hold_us: u.arbitrary()?,
    })
}

fn poll(u: &mut Unstructured<'_>) -> Result<Poll> {
    Ok(Poll {
        enrol: u.arbitrary()?,
        sample: u.arbitrary()?,
        round: u.arbitrary()?,
        report_ms: u.arbitrary()?,
        alarm: u.arbitrary()?,
    })
}

fn ranges(near: Near, u: &mut Unstructured<'_>) -> Result<List<Range, 64>> {
    let mut list = List::new();
    for _ in 0..few(u)? {
        let count = if u.ratio(1, 8)? { u.arbitrary()? } else { u32::from(u.arbitrary::<u8>()?) };
        let range = Range { first: seq(near, u)?, count };
        list.push(range).ok();
    }
    Ok(list)
}

fn needs(near: Near, u: &mut Unstructured<'_>) -> Result<List<Need, 64>> {
    let mut list = List::new();
    for _ in 0..few(u)? {
        let Seq(block) = seq(near, u)?;
        let need = Need { block: Seq(block - block % 8), count: u.arbitrary()? };
        list.push(need).ok();
    }
    Ok(list)
}

/// How many a list has: mostly one.
fn few(u: &mut Unstructured<'_>) -> Result<u8> {
    Ok([0, 1, 1, 1, 1, 2, 3, 64][usize::from(u.arbitrary::<u8>()? % 8)])
}

/// A place in the stream: near, at the start, far, or at the end of all numbers.
pub(crate) fn seq(near: Near, u: &mut Unstructured<'_>) -> Result<Seq> {
    let way: u8 = u.arbitrary()?;
    let near = near.seq.0;
    Ok(Seq(match way {
        0..=95 => near.saturating_add(u64::from(way % 32)),
        96..=159 => near.saturating_sub(u64::from(way % 64)),
        160..=207 => u64::from(way % 16),
        208..=231 => near.saturating_add(u64::from(u.arbitrary::<u16>()?)),
        232..=247 => u.arbitrary()?,
        _ => u64::MAX - u64::from(way % 8),
    }))
}

/// A time on the wire: now, a little before, or any.
pub(crate) fn time(near: Near, u: &mut Unstructured<'_>) -> Result<WireTime> {
    Ok(match u.arbitrary::<u8>()? {
        0..=127 => near.time,
        ago @ 128..=239 => WireTime(near.time.0.wrapping_sub(u32::from(ago) << 8)),
        _ => WireTime(u.arbitrary()?),
    })
}

/// One of few subscribers, or anybody.
fn who(u: &mut Unstructured<'_>) -> Result<SubscriberId> {
    Ok(SubscriberId(match u.arbitrary::<u8>()? {
        few @ 0..=239 => u128::from(few % 8),
        _ => u.arbitrary()?,
    }))
}

fn name(u: &mut Unstructured<'_>) -> Result<Name> {
    Ok(u.choose(&["s", "test", "a rather long name of a subscriber"])?.parse().unwrap_or_default())
}

fn count(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(if u.ratio(1, 16)? { u.arbitrary()? } else { u64::from(u.arbitrary::<u8>()?) })
}

/// So many bytes, or as many as are left.
pub(crate) fn bytes<'a>(len: usize, u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    u.bytes(len.min(u.len()))
}
