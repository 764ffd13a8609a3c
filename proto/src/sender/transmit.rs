//! Who goes next.

use std::net::SocketAddr;
use std::time::Duration;

use super::burst::{Burst, Leaving};
use super::parity::{Answer, ParityPacket};
use super::{Destination, Sender, Subscriber, Timer, Transmit};
use crate::wire::{self, Body, CODED_HEADER_LEN, Kind};
use crate::{Seq, SeqRange, SubscriberId, Timestamp};

impl Sender {
    /// Writes the next burst into `buf`, which is cleared, with at most `max_segments` datagrams.
    pub fn poll_transmit(
        &mut self,
        now: Timestamp,
        max_segments: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        buf.clear();
        if let Some((destination, body)) = self.control.pop_front() {
            return Some(self.write_control(destination, body, now, buf));
        }
        if self.phase.is_finished() {
            return None;
        }
        if let Some((to, body)) = self.next_manifest(now) {
            return Some(self.write_control(to, body, now, buf));
        }
        if let Some(body) = self.statement(now) {
            return Some(self.write_control(Destination::Group, body, now, buf));
        }
        self.keep_pace(now);
        if !self.pacer.is_ready(now) {
            if self.may_send_data() {
                self.pacer.await_turn();
            }
            return None;
        }
        let transmit = self.transmit_mending(now, max_segments, buf).or_else(|| {
            if self.caught_up_last {
                self.transmit_data(now, max_segments, buf)
                    .or_else(|| self.transmit_catch_up(now, max_segments, buf))
            } else {
                self.transmit_catch_up(now, max_segments, buf)
                    .or_else(|| self.transmit_data(now, max_segments, buf))
            }
        });
        if transmit.is_none() {
            self.advance_phase(now);
        }
        transmit
    }

    /// When something paced may leave, and what.
    pub(super) fn burst_due(&self) -> Option<(Timestamp, Timer)> {
        let pacer = self.pacer.ready_at();
        let repair = self.mending_due().filter(|_| self.has_repairs_turn());
        let repair = repair.map(|due| (due.max(pacer).max(self.surge.due()), Timer::Repair));
        let late = self.next_late().map(|_| (self.late_at.max(pacer), Timer::CatchUp));
        let data = self.may_send_data().then_some((pacer, Timer::Pacer));
        [repair, late, data].into_iter().flatten().min()
    }

    /// When the first of what was asked for is due.
    fn mending_due(&self) -> Option<Timestamp> {
        [self.repair.due(), self.parity.due(), self.few.due()].into_iter().flatten().min()
    }

    /// Whether a new data packet may leave but for the pacer.
    pub(super) fn may_send_data(&self) -> bool {
        !self.phase.is_waiting()
            && !self.breaker.is_stopped()
            && self.window.has_unsent()
            && self.window.lead() < self.limit()
    }

    /// One past the newest packet that the audience has room for.
    pub(super) fn limit(&self) -> Seq {
        let together = self.audience.together();
        match (self.config.rate, together.credit, together.slowest) {
            (None, Some(credit), Some(slowest)) => {
                credit.min(slowest.plus(self.retained_packets()))
            }
            _ => Seq(u64::MAX),
        }
    }

    /// Packets by which the live stream may be ahead of the slowest subscriber.
    pub(super) fn retained_packets(&self) -> u64 {
        (self.config.retain.0 / (self.payload_len() as u64).max(1)).max(LEAST_AHEAD)
    }

    /// What was asked for, and parity ahead of loss, while it is their turn.
    fn transmit_mending(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let is_asked = self.mending_due().is_some_and(|due| due <= now);
        if !is_asked || !self.has_repairs_turn() || !self.surge.admits(now) {
            return None;
        }
        let repair = self.transmit_repairs(now, max, buf);
        let repair = repair.or_else(|| self.transmit_parity(now, max, buf));
        repair.or_else(|| self.transmit_few(now, max, buf))
    }

    /// What only a few asked for, to one of them.
    fn transmit_few(&mut self, now: Timestamp, max: usize, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.answer_few(now);
        let max = self.burst_limit(max, now);
        let (address, _) = self.few.next()?;
        let leaving = Leaving { kind: Kind::Repair, to: Destination::Unicast(address), at: now };
        let mut burst = Burst::default();
        while let Some((to, seq)) = self.few.next() {
            let Some(len) = self.datagram_len(seq) else {
                self.few.on_sent();
                continue;
            };
            if to != address || !burst.admits(len, max) {
                break;
            }
            self.write_coded(leaving, seq, buf);
            self.few.on_sent();
        }
        self.on_mended(burst.datagrams);
        self.sent(leaving, burst, buf)
    }

    fn transmit_repairs(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let max = self.burst_limit(max, now);
        let hold_down = self.hold_down();
        self.answer_blocks(now);
        let leaving = Leaving { kind: Kind::Repair, to: Destination::Group, at: now };
        let mut burst = Burst::default();
        while let Some(seq) = self.repair.next(now) {
            let Some(len) = self.datagram_len(seq) else {
                self.repair.forget(seq);
                continue;
            };
            if !burst.admits(len, max) {
                break;
            }
            self.write_coded(leaving, seq, buf);
            self.repair.on_sent(seq, hold_down, now);
        }
        self.on_mended(burst.datagrams);
        self.sent(leaving, burst, buf)
    }

    /// Decides for each block that was asked for long enough what it is answered with.
    fn answer_blocks(&mut self, now: Timestamp) {
        let hold_down = self.hold_down();
        let present = self.audience_size();
        let mut has_parity = false;
        while let Some(answer) = self.parity.answer(&self.window, present, hold_down, now) {
            has_parity |= answer == Answer::Parity;
            if let Answer::Named(seqs) = answer {
                for seq in seqs {
                    let range = SeqRange::new(seq, seq.next());
                    let asked = self.repair.on_nak(range, Duration::ZERO, now);
                    self.stats.suppressed_held_down += asked.held_down;
                }
            }
        }
        if has_parity {
            self.parity.spread();
        }
    }

    /// Whoever asks sooner after a repair has not seen it yet.
    pub(super) fn hold_down(&self) -> Duration {
        self.grtt.get().max(SHORTEST_HOLD_DOWN)
    }

    /// Parity, and data behind it if that may go: a burst costs more than what is in it.
    fn transmit_parity(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let most = self.burst_limit(max, now);
        let leaving = Leaving { kind: Kind::Parity, to: Destination::Group, at: now };
        let hold_down = self.hold_down();
        let (mut burst, mut asked) = (Burst::default(), 0);
        while let Some(parity) = self.parity.next().cloned() {
            if !burst.admits(CODED_HEADER_LEN + parity.body.len() + self.tag_len(), most) {
                break;
            }
            let header = self.header(leaving, parity.depth_log2);
            let ParityPacket { block, k, index, body, is_asked, .. } = parity;
            asked += usize::from(is_asked);
            let start = buf.len();
            wire::encode_coded_header(&header, block.low(), index, k, buf);
            buf.extend_from_slice(&body);
            self.seal(start, buf);
            self.parity.on_sent(hold_down, now);
        }
        self.on_mended(asked);
        if burst.datagrams > 0 && self.parity.next().is_none() && self.may_send_data() {
            let mut with_data = burst;
            with_data.carry_parity(buf);
            if let Some(transmit) = self.transmit_data_behind(with_data, now, max, buf) {
                return Some(transmit);
            }
        }
        self.sent(leaving, burst, buf)
    }

    fn transmit_catch_up(
        &mut self,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if self.late_at > now {
            return None;
        }
        let (id, address) = self.next_late()?;
        let max = self.burst_limit(max, now);
        let leaving = Leaving { kind: Kind::Repair, to: Destination::Unicast(address), at: now };
        let (mut burst, mut manifest) = (Burst::default(), None);
        while let Some(seq) = self.audience.get(id).and_then(Subscriber::next_catch_up) {
            let Some(len) = self.datagram_len(seq) else { break };
            if !burst.admits(len, max) {
                break;
            }
            self.write_coded(leaving, seq, buf);
            if let Some(catch_up) = self.audience.catch_up_mut(id) {
                catch_up.on_sent(seq);
            }
            manifest = self.manifest_up_to(seq.next());
            if manifest.is_some() {
                break;
            }
        }
        if burst.datagrams == 0 {
            self.shorten_catch_up(id, now);
            return None;
        }
        self.late_last = Some(id);
        self.late_at = now.after(self.catch_up_wait(burst, buf.len()));
        self.caught_up_last = true;
        let room = burst.room_after(max, buf);
        let transmit = self.sent(leaving, burst, buf)?;
        let Some(manifest) = manifest else { return Some(transmit) };
        if self.len_of(&manifest) > room {
            self.control.push_front((leaving.to, Body::Manifest(manifest)));
            return Some(transmit);
        }
        Some(self.append(transmit, manifest, leaving, buf))
    }

    /// The late joiner whose turn it is.
    fn next_late(&self) -> Option<(SubscriberId, SocketAddr)> {
        if !self.audience.together().late {
            return None;
        }
        let waits = |row: &&Subscriber| row.is_present() && row.next_catch_up().is_some();
        let after_last = self.audience.rows_after(self.late_last).find(waits);
        let row = after_last.or_else(|| self.audience.rows().find(waits))?;
        Some((row.id, row.address))
    }

    /// All late joiners together get a share of a fixed rate, and all of it once everything was sent
    /// live; with an automatic rate they take turns with the live stream.
    fn catch_up_wait(&self, burst: Burst, bytes: usize) -> Duration {
        let Some(rate) = self.config.rate else { return Duration::ZERO };
        let wire = bytes + burst.datagrams * usize::from(self.config.overhead_len);
        let share = if self.phase.is_ending() { 1 } else { CATCH_UP_SHARE };
        rate.duration_of(wire as u64).saturating_mul(share)
    }

    fn transmit_data(&mut self, now: Timestamp, max: usize, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.transmit_data_behind(Burst::default(), now, max, buf)
    }

    /// Data, behind what is in the burst; `None` if there is none to send.
    fn transmit_data_behind(
        &mut self,
        mut burst: Burst,
        now: Timestamp,
        max: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        self.end_linger(now);
        if !self.may_send_data() {
            return None;
        }
        let before = burst.datagrams;
        // A manifest may follow, as the last and shorter one.
        let most = self.burst_limit(max, now).min(self.unsigned_room().saturating_add(before));
        let limit = self.limit();
        let leaving = Leaving { kind: Kind::Data, to: Destination::Group, at: now };
        let first = self.window.lead();
        while self.window.lead() < limit && self.window.next_unsent().is_some() {
            let seq = self.window.lead();
            let Some(len) = self.datagram_len(seq) else { break };
            if !burst.admits(len, most) {
                break;
            }
            self.window.on_sent(now);
            self.write_coded(leaving, seq, buf);
            if burst.datagrams < most {
                self.end_linger(now);
            }
        }
        if burst.datagrams == before {
            return None;
        }
        self.on_data_sent(SeqRange::new(first, self.window.lead()), burst.own(buf), now);
        let room = burst.room_after(max, buf);
        let transmit = self.sent(leaving, burst, buf)?;
        let manifest = self.manifest_of_burst(room, now);
        Some(match manifest {
            Some(manifest) => self.append(transmit, manifest, leaving, buf),
            None => transmit,
        })
    }

    /// These packets left for the first time, in so many datagrams and bytes.
    pub(super) fn on_data_sent(
        &mut self,
        packets: SeqRange,
        (datagrams, bytes): (usize, usize),
        now: Timestamp,
    ) {
        self.caught_up_last = false;
        self.hash(packets, now);
        self.send_ahead(now);
        self.interleave(now);
        let wire = bytes + datagrams * usize::from(self.config.overhead_len);
        let present = self.audience_size();
        self.stats.packets_sent += datagrams as u64;
        self.stats.unicast_equivalent_bytes += present * wire as u64;
        self.heartbeat.on_data(now);
        self.budget.on_live(wire as u64);
        self.window.evict(self.config.retain.0, self.config.retain_for, now);
    }
}

/// A repair crosses a NAK that was already on its way at least this long.
const SHORTEST_HOLD_DOWN: Duration = Duration::from_millis(2);

/// However little is kept, the slowest subscriber lets this many packets go ahead of it.
const LEAST_AHEAD: u64 = 64;

/// 1 / 4 of a fixed rate may go to late joiners.
const CATCH_UP_SHARE: u32 = 4;
