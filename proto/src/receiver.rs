//! The subscriber's half of the protocol.
//!
//! A packet's way in: [`Receiver::handle_datagram`] decodes it, the session says whether it is
//! meant, the window places it and sees the gaps, the gaps wait their time and are asked for, and
//! [`Receiver::pull`] hands everything out in order, or passes on at the deadline.
//!
//! | you look for | open |
//! |---|---|
//! | which session is followed | `receiver/session.rs`, `receiver/adopt.rs` |
//! | what happens when a packet comes | `receiver/arrival.rs`, of many in one buffer `receiver/joined.rs` |
//! | places by number | `receiver/window.rs`, and memory for them `receiver/store.rs` |
//! | what is missing, and when it is asked for | `receiver/gaps.rs`, `receiver/nak.rs` |
//! | packets back out of parity | `receiver/blocks.rs`, `receiver/recovery.rs`; memory for it `receiver/arena.rs` |
//! | what was sent before we came | `receiver/catch_up.rs` |
//! | out in order, or on | `receiver/delivery.rs`; messages: `receiver/records.rs`, `receiver/row.rs` |
//! | asking for it by unicast | `receiver/knock.rs` |
//! | the sender lets go of us | `receiver/evicted.rs` |
//! | what the sender is told | `receiver/report.rs`, `receiver/bursts.rs`, `receiver/enrol.rs` |
//! | whether this one is to speak at all | `receiver/lots.rs` |
//! | the sender's clock | `receiver/clock.rs` |
//! | with a key: opening, sealing, replays, recordings | `receiver/guard.rs`, `receiver/fresh.rs` |
//! | the next key | `receiver/rekey.rs` |
//! | whether it is the publisher's, if that signs | `receiver/verify.rs`, `receiver/proofs.rs` |
//! | counters, events | `receiver/stats.rs`, `receiver/event.rs` |

mod adopt;
mod arena;
mod arrival;
mod blocks;
mod bursts;
mod catch_up;
mod clock;
mod delivery;
mod enrol;
mod event;
mod evicted;
mod fresh;
mod gaps;
mod guard;
mod joined;
mod knock;
mod lots;
mod nak;
mod proofs;
mod records;
mod recovery;
mod rekey;
mod report;
mod row;
mod session;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod window;

use std::collections::VecDeque;
use std::net::SocketAddr;

pub use event::{Delivered, Ending, Event, Gap, GapCause, Payload, SessionInfo};
pub use joined::Joined;
pub use row::Row;
pub use stats::ReceiverStats;

use crate::seal::{Cause, Causes};
use crate::sign;
use crate::wire::{self, Body, ByeReason, Discard, Name, Packet, ReportState};
use crate::{ReceiverConfig, Seq, SessionId, Timestamp};
use arena::Arena;
use arrival::{Arrived, CodedPacket};
use enrol::Enrolment;
use guard::Guard;
use knock::Knock;
use lots::Plight;
use report::Reporter;
use session::Session;
use verify::Verifier;

/// By which socket a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The one that is bound to the group.
    Group,
    /// The one that feedback is sent from.
    Feedback,
}

/// What a receiver waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Something is to be sent at once.
    Control,
    /// A back-off ends, or a NAK went unanswered.
    Nak,
    /// The oldest gap is not worth waiting for any longer.
    Deadline,
    /// The sender is to be told how this subscriber fares.
    Report,
    /// The sender is to be told that this subscriber is there, or that it leaves.
    Enrol,
    /// The publisher is to be asked whether the session is no recording.
    Proof,
    /// Packets wait for their hashes.
    Manifest,
    /// What was missed does not come: it is asked for again.
    CatchUp,
    /// Nothing was heard for long.
    Silence,
}

/// Where a receiver stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The session, if one is followed.
    pub session: Option<SessionId>,
    /// Where it comes from.
    pub source: Option<SocketAddr>,
    /// The stream's name.
    pub name: Option<Name>,
    /// Live, catching up, or at the end.
    pub state: ReportState,
    /// The first packet that was not handed out.
    pub next: Seq,
    /// One past the newest packet that is known to have been sent.
    pub lead: Seq,
    /// Packets that wait in the window.
    pub held: u64,
    /// Whether nothing is heard of the session.
    pub silent: bool,
}

/// One stream of one group.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    rng: fastrand::Rng,
    session: Option<Session>,
    enrolment: Enrolment,
    knock: Knock,
    reporter: Reporter,
    plight: Plight,
    guard: Option<Guard>,
    verifier: Option<Verifier>,
    causes_told: Causes,
    started: Timestamp,
    /// What is handed out before the session's window is looked at.
    ready: VecDeque<Delivered>,
    /// While it is not known whether the session is a recording: so much of `ready` is not of it.
    may_hand_out: Option<usize>,
    control: VecDeque<(SocketAddr, Body)>,
    /// Numbers the datagrams that leave here.
    number: u64,
    /// Memory that the bodies of packets are cut from.
    arena: Arena,
    /// When memory was last given back that was of no use.
    gave_back: Timestamp,
    /// Since when a catch-up has not got on.
    catch_up_stalled: Timestamp,
    events: VecDeque<Event>,
    stats: ReceiverStats,
    /// Wire losses of the sessions before this one.
    lost_before: u64,
    /// Bursts of loss in the sessions before this one.
    bursts_before: [u32; 5],
}

impl Receiver {
    /// A receiver that waits for an announce.
    #[must_use]
    pub fn new(mut config: ReceiverConfig, now: Timestamp) -> Self {
        let (seed, _) = config.seed.split_at(8);
        let seed = u64::from_be_bytes(seed.try_into().unwrap_or_default());
        Self {
            rng: fastrand::Rng::with_seed(seed),
            session: None,
            enrolment: Enrolment::Outside,
            knock: Knock::default(),
            reporter: Reporter::new(now),
            plight: Plight::default(),
            guard: Guard::new(&mut config),
            verifier: Verifier::new(&config),
            causes_told: Causes::default(),
            started: now,
            ready: VecDeque::new(),
            may_hand_out: None,
            control: VecDeque::new(),
            number: config.first_number,
            arena: Arena::default(),
            gave_back: now,
            catch_up_stalled: now,
            events: VecDeque::new(),
            stats: ReceiverStats::default(),
            lost_before: 0,
            bursts_before: [0; 5],
            config,
        }
    }

    /// Takes what came in by a socket; copies what it keeps.
    pub fn handle_datagram(
        &mut self,
        datagram: &mut [u8],
        via: Via,
        from: SocketAddr,
        now: Timestamp,
    ) {
        let datagram = match self.open(datagram, from, now) {
            Ok(datagram) => &*datagram,
            Err(reason) => return self.stats.discarded.add(reason),
        };
        // Most datagrams are of these kinds, and only their bodies are kept.
        let kind = datagram.get(1).and_then(|number| wire::Kind::from_number(*number));
        if let Err(reason) = self.check_signed(kind, datagram, from) {
            return self.stats.discarded.add(reason);
        }
        let taken = if kind.is_some_and(wire::Kind::is_coded) {
            wire::decode_coded(datagram).and_then(|(header, fields, body)| {
                let packet = CodedPacket { header, fields, body: Arrived::Datagram(body) };
                self.take_coded(&packet, via, from, now).map(|()| header.kind)
            })
        } else {
            wire::decode_said(datagram)
                .and_then(|packet| self.take(&packet, via, from, now).map(|()| packet.header.kind))
        };
        self.count(taken);
    }

    /// Takes a decoded packet: the simulator's door. It bears no signature.
    pub fn handle_packet(&mut self, packet: &Packet, via: Via, from: SocketAddr, now: Timestamp) {
        let taken = if self.is_verified() && sign::is_statement(packet.body.kind()) {
            Err(self.disbelieve(Cause::Unsigned, from))
        } else {
            self.take(packet, via, from, now).map(|()| packet.header.kind)
        };
        self.count(taken);
    }

    fn count(&mut self, taken: Result<wire::Kind, Discard>) {
        match taken {
            Ok(kind) => self.stats.received.add(kind, 1, 0),
            Err(reason) => self.stats.discarded.add(reason),
        }
    }

    /// Takes the group socket's count of datagrams it had no room for, as the kernel gives it.
    pub fn on_kernel_drops(&mut self, total: u64) {
        if let Some(session) = self.session.as_mut().filter(|_| total > self.stats.kernel_drops) {
            session.was_deaf = true;
        }
        self.stats.kernel_drops = self.stats.kernel_drops.max(total);
        self.count_wire_losses();
    }

    /// Packets that were handed out went lost after all: the output had no room for them. The
    /// publisher is told, and does not count this subscriber among those that have everything.
    pub fn on_ring_loss(&mut self, packets: u64) {
        self.stats.lost_ring = self.stats.lost_ring.saturating_add(packets);
        if let Some(session) = &mut self.session {
            session.given_up = session.given_up.saturating_add(packets);
            self.reporter.on_state();
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.pass_deadlines(now);
        self.ask_for_missing(now);
        self.retry_catch_up(now);
        self.notice_silence(now);
        self.enrol(now);
        self.ask_for_proof(now);
        self.ask_for_proofs(now);
        self.knock(now);
        self.report_if_due(now);
        self.count_wire_losses();
        self.give_back(now);
    }

    /// Writes the next datagram into `buf`, which is cleared, and says where it goes.
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<SocketAddr> {
        loop {
            buf.clear();
            let (to, packet) = self.poll_packet(now)?;
            wire::encode(&packet, buf);
            self.seal(&packet.header, buf);
            // The key may have gone meanwhile.
            if !buf.is_empty() {
                return Some(to);
            }
        }
    }

    /// The next packet to send: the simulator's door.
    pub fn poll_packet(&mut self, now: Timestamp) -> Option<(SocketAddr, Packet)> {
        if self.config.mute {
            self.control.clear();
        }
        if let Some(knock) = self.poll_knock(now) {
            return Some(knock);
        }
        let (to, body) = self.control.pop_front()?;
        let session = self.session.as_ref()?;
        let header = wire::Header {
            kind: body.kind(),
            flags: self.knock.flags(&body),
            key_epoch: self.key_epoch(),
            stream: session.stream,
            session: session.id,
            number: self.number,
            sent_at: now.to_wire(),
        };
        self.number += 1;
        Some((to, Packet { header, body }))
    }

    /// When to call [`Receiver::handle_timeout`] again, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Timestamp, Timer)> {
        let is_quiet = self.control.is_empty() && self.knock.is_quiet();
        let mut first = (!is_quiet).then_some((Timestamp::ZERO, Timer::Control));
        // Asked for after each packet: 90 instructions, and 750 to find the least in an array of all.
        let mut sees = |due: Option<Timestamp>, timer| {
            if let Some(due) = due
                && first.is_none_or(|first| (due, timer) < first)
            {
                first = Some((due, timer));
            }
        };
        if let Some(session) = &self.session {
            sees(self.enrolment.due(), Timer::Enrol);
            sees(session.gaps.due(), Timer::Nak);
            sees(session.gaps.deadline(), Timer::Deadline);
        }
        sees(self.knock_due(), Timer::Enrol);
        sees(self.report_due(), Timer::Report);
        sees(self.catch_up_due(), Timer::CatchUp);
        sees(self.proof_due(), Timer::Proof);
        sees(self.proofs_due(), Timer::Manifest);
        sees(self.silence_due(), Timer::Silence);
        first
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says goodbye to the publisher; to be called until [`Receiver::has_left`].
    pub fn leave(&mut self, reason: ByeReason, now: Timestamp) {
        if !self.enrolment.is_leaving() {
            self.report(now);
            self.enrolment = self.enrolment.leaving(reason, self.is_frequent(), now);
            self.enrol(now);
        }
    }

    /// Whether goodbye was said, or there was nobody to say it to.
    #[must_use]
    pub fn has_left(&self) -> bool {
        let nobody = self.session.is_none() || self.config.mute;
        self.control.is_empty() && (matches!(self.enrolment, Enrolment::Gone) || nobody)
    }

    /// What was done since the start.
    #[must_use]
    pub fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// Subscribers of the session that is followed, as its publisher estimates them.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, below 10^7"
    )]
    pub fn audience(&self) -> Option<u64> {
        self.session.as_ref().map(|session| session.group_size.audience().round() as u64)
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let session = self.session.as_ref();
        Status {
            session: session.map(|session| session.id),
            source: session.map(|session| session.source),
            name: session.map(|session| session.name.clone()),
            state: self.state(),
            next: session.map_or(Seq::ZERO, |session| session.window.next()),
            lead: session.map_or(Seq::ZERO, |session| session.lead),
            held: session.map_or(0, |session| session.window.held()),
            silent: session.is_some_and(|session| session.silent),
        }
    }

    fn notice_silence(&mut self, now: Timestamp) {
        let after = self.config.silent_after;
        let Some(session) = &mut self.session else { return };
        if session.may_fall_silent() && now.since(session.heard) >= after {
            session.silent = true;
            let session = session.id;
            self.events.push_back(Event::Silent { session, after });
        }
    }

    fn silence_due(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        session.may_fall_silent().then(|| session.heard.after(self.config.silent_after))
    }

    /// Brings the count of what did not come up to date.
    fn count_wire_losses(&mut self) {
        let lost = self.session.as_ref().map_or(0, |session| session.numbers.lost());
        let lost = self.lost_before.saturating_add(lost);
        let wire = lost.saturating_sub(self.stats.kernel_drops);
        self.stats.wire_lost = self.stats.wire_lost.max(wire);
    }
}
