//! Receivers that are too many to be simulated one by one, taken together.
//!
//! What is aggregated: of each block only how many of the crowd lack 1, 2, 3… packets is kept, drawn
//! from the binomial distribution, and those who ask are drawn in the order of their back-offs
//! (order statistics of the distribution that a receiver draws from), for as long as nothing tells
//! them to hold back. Which packets they name is drawn when they ask. Those who are sampled in a
//! round are that many, with losses of their class. Nobody of the crowd registers: whoever the
//! publisher asks to is a receiver of its own beside the crowd.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::backoff::{self, BackOff};
use proto::grtt::GroupSize;
use proto::poll::Poll;
use proto::wire::{
    Body, Coded, Header, Kind, List, Losses, Nak, Need, Packet, Range, Report, ReportState,
};
use proto::{Seq, SubscriberId, Timestamp};

use super::lacking::Lacking;

/// The many, beside the few that are simulated one by one.
#[derive(Debug)]
pub(super) struct Crowd {
    size: u64,
    loss: f64,
    rng: fastrand::Rng,
    header: Option<Header>,
    grtt: Duration,
    group_size: GroupSize,
    poll: Poll,
    /// Data packets heard of.
    heard: u64,
    /// The block that data comes for, and its packets so far.
    open: Option<(u32, u8)>,
    blocks: BTreeMap<u32, Lacking>,
    /// When those who are sampled report.
    sampled: Vec<Timestamp>,
    number: u64,
}

impl Crowd {
    pub(super) fn new(size: u64, loss: f64, seed: u64) -> Self {
        Self {
            size,
            loss,
            rng: fastrand::Rng::with_seed(seed),
            header: None,
            grtt: Duration::from_millis(10),
            group_size: GroupSize::default(),
            poll: Poll::default(),
            heard: 0,
            open: None,
            blocks: BTreeMap::new(),
            sampled: Vec::new(),
            number: 0,
        }
    }

    /// Packets that somebody of them lacks.
    pub(super) fn lacking(&self) -> u64 {
        self.blocks.values().map(Lacking::members).sum()
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Hears what was sent to the group.
    pub(super) fn hear(&mut self, packet: &Packet, now: Timestamp) {
        self.header = Some(packet.header);
        let until = now.after(self.answer_time());
        match &packet.body {
            Body::Data(coded) => self.on_data(coded, now),
            Body::Parity(coded) => {
                if let Some(block) = self.blocks.get_mut(&coded.block) {
                    block.on_parity(1.0 - self.loss, &mut self.rng);
                    block.wait(until, &mut self.rng);
                }
            }
            Body::Repair(coded) => {
                // One packet again helps those who lack it: as parity does, but only them.
                let helped = self.blocks.get_mut(&coded.block);
                if let Some(block) = helped {
                    block.on_repair(1.0 - self.loss, &mut self.rng);
                    block.wait(until, &mut self.rng);
                }
            }
            Body::Ncf(ncf) => self.on_ncf(&ncf.needs, now),
            Body::Announce(announce) => {
                self.on_sizes(announce.grtt_us, announce.group_size, announce.poll, now);
            }
            Body::Heartbeat(heartbeat) => {
                self.on_sizes(heartbeat.grtt_us, heartbeat.group_size, heartbeat.poll, now);
            }
            Body::End(_) => self.close(now),
            // What is for one subscriber, or from one.
            Body::Nak(_)
            | Body::Refused(_)
            | Body::Report(_)
            | Body::Register(_)
            | Body::CookieChallenge(_)
            | Body::CookieReply(_)
            | Body::CatchUpRequest(_)
            | Body::CatchUpAccept(_)
            | Body::Evict(_)
            | Body::Bye(_)
            | Body::Manifest(_)
            | Body::KeyRequest(_)
            | Body::KeyUpdate(_) => {}
        }
        self.blocks.retain(|_, block| block.members() > 0);
    }

    fn on_sizes(&mut self, grtt_us: u32, group_size: u8, poll: Poll, now: Timestamp) {
        self.grtt = Duration::from_micros(grtt_us.into());
        self.group_size = GroupSize(group_size);
        let is_new = poll.round != self.poll.round && poll.sample > 0;
        self.poll = poll;
        if is_new {
            let share = 0.5_f64.powi(i32::from(poll.sample));
            for _ in 0..super::lacking::binomial(self.size, share, &mut self.rng) {
                let wait = SAMPLE_SPREAD.mul_f64(self.rng.f64());
                self.sampled.push(now.after(wait));
            }
        }
    }

    fn on_data(&mut self, coded: &Coded, now: Timestamp) {
        self.heard += 1;
        match &mut self.open {
            Some((block, k)) if *block == coded.block => *k = coded.index + 1,
            _ => {
                self.close(now);
                self.open = Some((coded.block, coded.index + 1));
            }
        }
    }

    /// The block is over: who lacks how much of it is drawn.
    fn close(&mut self, now: Timestamp) {
        let Some((block, k)) = self.open.take() else { return };
        let mut lacking = Lacking::draw(self.size, k, self.loss, &mut self.rng);
        lacking.wait(now.after(REORDER_ALLOWANCE), &mut self.rng);
        self.blocks.insert(block, lacking);
    }

    fn on_ncf(&mut self, needs: &[Need], now: Timestamp) {
        let until = now.after(self.answer_time());
        for need in needs {
            if let Some(block) = self.blocks.get_mut(&need.block.low()) {
                block.hold_back(need.count, until, &mut self.rng);
            }
        }
    }

    fn answer_time(&self) -> Duration {
        self.grtt * 2 + Duration::from_millis(5)
    }

    fn back_off(&self) -> BackOff {
        let longest = self.grtt.mul_f64(backoff::factor(self.group_size));
        BackOff { audience: self.group_size.audience(), longest }
    }

    /// When somebody of them speaks next.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let back_off = self.back_off();
        let asks = self.blocks.values().filter_map(|block| block.due(back_off)).min();
        [asks, self.sampled.iter().min().copied()].into_iter().flatten().min()
    }

    /// What they say by `now`.
    pub(super) fn speak(&mut self, now: Timestamp) -> Vec<Packet> {
        let Some(header) = self.header else { return Vec::new() };
        let mut bodies = Vec::new();
        let back_off = self.back_off();
        let again = now.after(self.answer_time());
        for (&start, block) in &mut self.blocks {
            while block.due(back_off).is_some_and(|due| due <= now) {
                let (count, k) = block.ask(back_off, again, &mut self.rng);
                bodies.push(nak(start, count, k, &mut self.rng));
            }
        }
        let due = self.sampled.iter().filter(|due| **due <= now).count();
        self.sampled.retain(|due| *due > now);
        for _ in 0..due {
            bodies.push(self.report());
        }
        let mut packets = Vec::new();
        for body in bodies {
            self.number += 1;
            let (kind, number) = (body.kind(), self.number);
            let header = Header { kind, flags: 0, number, sent_at: now.to_wire(), ..header };
            packets.push(Packet { header, body });
        }
        packets
    }

    /// One of those that the present round means.
    fn report(&mut self) -> Body {
        let mut id = SubscriberId(self.rng.u128(..));
        while !self.poll.samples(id) {
            id = SubscriberId(self.rng.u128(..));
        }
        let lost = super::lacking::binomial(self.heard, self.loss, &mut self.rng);
        let next = Seq(self.heard);
        Body::Report(Report {
            subscriber: id,
            state: ReportState::Live,
            limit: next.plus(1_000),
            highest: next,
            next,
            received: self.heard - lost,
            repaired: 0,
            recovered: lost,
            given_up: 0,
            losses: Losses { wire: lost, ..Losses::default() },
            bursts: [0; 5],
            ce: 0,
            jitter_us: 0,
            echo: self.header.map(|header| header.sent_at).unwrap_or_default(),
            hold_us: 0,
        })
    }
}

/// Somebody that lacks `count` packets of a block asks for them.
fn nak(start: u32, count: u8, k: u8, rng: &mut fastrand::Rng) -> Body {
    let block = Seq(u64::from(start));
    let mut places: Vec<u8> = (0..k).collect();
    rng.shuffle(&mut places);
    // Whoever lacks two and more names one of them.
    places.truncate(1);
    let ranges =
        places.iter().map(|place| Range { first: block.plus(u64::from(*place)), count: 1 });
    Body::Nak(Nak {
        subscriber: SubscriberId(rng.u128(..)),
        ranges: List::truncated(ranges),
        needs: List::truncated([Need { block, count }]),
        manifests: List::new(),
    })
}

/// Whether a packet of this kind means anything to them.
pub(super) fn is_heard(kind: Kind) -> bool {
    !matches!(kind, Kind::CookieChallenge | Kind::CatchUpAccept | Kind::Evict | Kind::Refused)
}

/// As a receiver waits for a packet that took another way.
const REORDER_ALLOWANCE: Duration = Duration::from_millis(1);

/// Those who are sampled report within this.
const SAMPLE_SPREAD: Duration = Duration::from_millis(500);
