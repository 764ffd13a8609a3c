//! The session that is followed: adopted only by an announce, pinned to its source.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::blocks::Blocks;
use super::bursts::Bursts;
use super::clock::SenderClock;
use super::event::SessionInfo;
use super::fresh::Fresh;
use super::gaps::Gaps;
use super::records::Records;
use super::window::Window;
use crate::config::Start;
use crate::grtt::GroupSize;
use crate::poll::Poll;
use crate::wire::{Announce, End, FLAG_NO_DIGEST, Header, Name, StreamMode};
use crate::{Delivery, ReceiverConfig, Seq, SeqRange, SessionId, StreamId, Timestamp};

/// What is known of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) stream: StreamId,
    pub(super) source: SocketAddr,
    pub(super) feedback: SocketAddr,
    pub(super) started_us: u64,
    pub(super) name: Name,
    pub(super) mode: StreamMode,
    pub(super) is_hashed: bool,
    pub(super) delivery: Delivery,
    pub(super) coded_len: u16,
    pub(super) heartbeat_max: Duration,
    pub(super) grtt: Duration,
    pub(super) group_size: GroupSize,
    /// Who of the audience is to speak.
    pub(super) poll: Poll,
    pub(super) heard: Timestamp,
    /// When the socket was last known to have had no room: what was sent then may be lost here.
    pub(super) deaf: Timestamp,
    /// The socket had no room since `deaf`.
    pub(super) was_deaf: bool,
    /// What another host announced last: its session, address and start.
    pub(super) rival: Option<(SessionId, SocketAddr, u64)>,
    pub(super) silent: bool,
    /// Whether it was shown to be no recording: only then it is handed out.
    pub(super) fresh: Fresh,
    /// Another session was followed before.
    pub(super) restart: bool,
    /// The oldest packet that can still be repaired.
    pub(super) trail: Seq,
    /// One past the newest packet that is known to have been sent.
    pub(super) lead: Seq,
    /// One past the newest packet up to which gaps are looked for.
    pub(super) frontier: Seq,
    /// While what was missed is being given: one past its last packet.
    pub(super) catch_up_to: Option<Seq>,
    /// How often it was asked for since the last packet of it came.
    pub(super) catch_up_tries: u32,
    pub(super) window: Window,
    pub(super) gaps: Gaps,
    pub(super) blocks: Blocks,
    pub(super) records: Records,
    pub(super) clock: SenderClock,
    pub(super) numbers: Numbers,
    pub(super) end: Option<End>,
    pub(super) end_handed_out: bool,
    /// Packets of it that were given up, or were sent before it was adopted.
    pub(super) given_up: u64,
    /// Packets that were sent before it was adopted and were not wanted.
    pub(super) skipped: u64,
    /// Heartbeats heard that told of data of which none came.
    pub(super) barren_heartbeats: u32,
}

impl Session {
    pub(super) fn new(
        header: &Header,
        announce: &Announce,
        source: SocketAddr,
        config: &ReceiverConfig,
        now: Timestamp,
    ) -> Self {
        let first = match config.start {
            Start::Live => announce.lead,
            Start::Oldest => announce.trail.min(announce.lead),
        };
        let coded_len = announce.coded_len.max(1);
        let given_up = if config.start == Start::Oldest { first.0 } else { 0 };
        Self {
            id: header.session,
            stream: header.stream,
            source,
            feedback: announce.feedback.unwrap_or(source),
            started_us: announce.started_us,
            name: announce.name.clone(),
            mode: announce.mode,
            // What is signed needs no other proof.
            is_hashed: header.flags & FLAG_NO_DIGEST == 0 && config.verify.is_none(),
            delivery: config.delivery.unwrap_or(delivery(announce)),
            coded_len,
            heartbeat_max: heartbeat_max(announce),
            grtt: believable_grtt(announce.grtt_us),
            group_size: GroupSize(announce.group_size),
            poll: announce.poll,
            heard: now,
            deaf: Timestamp::ZERO,
            was_deaf: false,
            rival: None,
            silent: false,
            fresh: Fresh::Shown,
            restart: false,
            trail: announce.trail,
            lead: announce.lead,
            frontier: first,
            catch_up_to: None,
            catch_up_tries: 0,
            window: Window::new(first, config.window.0 / (u64::from(coded_len) + SLOT_LEN)),
            gaps: Gaps::default(),
            blocks: Blocks::default(),
            records: Records::default(),
            clock: SenderClock::new(now),
            numbers: Numbers::default(),
            end: None,
            end_handed_out: false,
            given_up,
            skipped: first.0 - given_up,
            barren_heartbeats: 0,
        }
    }

    pub(super) fn info(&self, restart: bool) -> SessionInfo {
        let first = self.window.next();
        SessionInfo {
            session: self.id,
            started_us: self.started_us,
            name: self.name.clone(),
            mode: self.mode,
            is_hashed: self.is_hashed,
            delivery: self.delivery,
            source: self.source,
            restart,
            first,
            missed: (first > Seq::ZERO).then(|| SeqRange::new(Seq::ZERO, first)),
        }
    }

    /// Whether another session may take its place although it is not known to be newer: it has
    /// ended, or been silent for two of its longest heartbeats while our socket had room for them.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let heard = self.heard.max(self.deaf);
        self.end_handed_out || now.since(heard) > self.heartbeat_max * 2
    }

    /// Whether its silence would be news: not of one that may be a recording.
    pub(super) fn may_fall_silent(&self) -> bool {
        !self.silent && !self.end_handed_out && self.fresh.is_shown()
    }

    /// Whether all of it was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.window.next() >= end.lead)
    }

    /// Packets that are gone for good: those before `trail`, but none that never was.
    pub(super) fn move_trail(&mut self, trail: Seq) {
        self.trail = self.trail.max(trail.min(self.last()));
    }

    /// One past the last packet there can be.
    pub(super) fn last(&self) -> Seq {
        self.end.map_or(Seq(u64::MAX), |end| end.lead)
    }

    /// How far away the group is, and how large.
    pub(super) fn hear_size(&mut self, grtt_us: u32, group_size: u8) {
        self.grtt = believable_grtt(grtt_us);
        self.group_size = GroupSize(group_size);
    }

    pub(super) fn is_reliable(&self) -> bool {
        self.delivery == Delivery::Reliable
    }
}

/// A deadline of 0 on the wire is none.
fn delivery(announce: &Announce) -> Delivery {
    match announce.deadline_ms {
        0 => Delivery::Reliable,
        ms => Delivery::Timely(Duration::from_millis(u64::from(ms))),
    }
}

/// Between 10 ms and 1 s, whatever is announced: a stranger must not be able to keep a dead
/// session alive.
fn heartbeat_max(announce: &Announce) -> Duration {
    Duration::from_millis(u64::from(announce.heartbeat_max_ms.clamp(10, 1_000)))
}

/// No round trip is nothing, and none is longer than any window lasts: waits are made of it.
fn believable_grtt(micros: u32) -> Duration {
    Duration::from_micros(u64::from(micros)).clamp(GRTT.0, GRTT.1)
}

/// Which of the group's datagrams came: what did not was lost on the way.
#[derive(Debug)]
pub(super) struct Numbers {
    first: Option<u64>,
    highest: u64,
    /// Different numbers that came.
    received: u64,
    /// One bit for each of the last [`RECENT`] numbers that came, at its remainder.
    recent: [u64; WORDS],
    bursts: Bursts,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { first: None, highest: 0, received: 0, recent: [0; WORDS], bursts: Bursts::default() }
    }
}

impl Numbers {
    pub(super) fn on_datagram(&mut self, number: u64) {
        let first = *self.first.get_or_insert(number);
        if number < first || self.highest.saturating_sub(number) >= RECENT {
            return;
        }
        if number > self.highest {
            self.forget_before(number);
            self.highest = number;
        }
        if self.mark(number) {
            self.received += 1;
        }
    }

    /// Whether a number is so near to those that came that few can have been lost before it.
    pub(super) fn is_near(&self, number: u64) -> bool {
        number <= self.highest.saturating_add(RECENT)
    }

    /// Datagrams that did not come, those of them that only come late included.
    pub(super) fn lost(&self) -> u64 {
        let Some(first) = self.first else { return 0 };
        (self.highest - first + 1).saturating_sub(self.received)
    }

    /// Runs of datagrams that did not come, after those of the sessions `before` it.
    pub(super) fn bursts(&self, before: [u32; 5]) -> [u32; 5] {
        self.bursts.after(before)
    }

    /// Makes the places free that the numbers up to `number` will take.
    fn forget_before(&mut self, number: u64) {
        if number - self.highest >= RECENT {
            let settled = self.highest.saturating_sub(SETTLED);
            self.settle(settled + 1..=self.highest);
            self.bursts.on_lost(number - self.highest - SETTLED - 1);
            self.recent = [0; WORDS];
            return;
        }
        for passed in self.highest + 1..=number {
            if let Some(settled) = passed.checked_sub(SETTLED + 1) {
                self.settle(settled..=settled);
            }
            let (word, bit) = place(passed);
            if let Some(word) = self.recent.get_mut(word) {
                *word &= !bit;
            }
        }
    }

    /// Whoever has not come of these by now is lost.
    fn settle(&mut self, numbers: RangeInclusive<u64>) {
        for number in numbers.filter(|number| self.first.is_some_and(|first| *number >= first)) {
            let (word, bit) = place(number);
            let came = self.recent.get(word).is_some_and(|word| word & bit != 0);
            self.bursts.on_settled(came);
        }
    }

    /// Whether `number` comes for the first time.
    fn mark(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        let Some(word) = self.recent.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

fn place(number: u64) -> (usize, u64) {
    let remainder = number % RECENT;
    (usize::try_from(remainder / 64).unwrap_or(0), 1 << (remainder % 64))
}

/// A datagram that is overtaken by this many others is not counted when it comes.
const RECENT: u64 = 1_024;
/// A datagram that this many others have overtaken is taken as lost when bursts are measured.
const SETTLED: u64 = 128;
const WORDS: usize = 16;

/// What a place of the window costs beside the packet, in bytes.
const SLOT_LEN: u64 = 48;

/// As [`crate::grtt::Grtt`] bounds it.
const GRTT: (Duration, Duration) = (Duration::from_micros(200), Duration::from_secs(10));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_comes_twice_does_not_hide_one_that_did_not_come() {
        let mut numbers = Numbers::default();
        for number in [0, 1, 1, 3, 3, 3, 5_000, 5_000, 5_001, 4_999] {
            numbers.on_datagram(number);
        }
        assert_eq!(numbers.lost(), 5_002 - 6);
    }

    #[test]
    fn runs_of_lost_datagrams_are_counted_once_nothing_of_them_can_come_any_more() {
        let mut numbers = Numbers::default();
        let lost = [7..=7, 20..=21, 30..=33, 50..=57, 100..=108];
        for number in (5..=400).filter(|number| !lost.iter().any(|run| run.contains(number))) {
            numbers.on_datagram(number);
            if number == 90 {
                numbers.on_datagram(31);
            }
        }
        assert_eq!(numbers.bursts([0; 5]), [2, 2, 0, 1, 1], "31 came late: 1 and 2 are lost of 4");
        numbers.on_datagram(9_000);
        assert_eq!(numbers.bursts([1; 5]), [3, 3, 1, 2, 2], "that run is not over");
        (9_001..9_200).for_each(|number| numbers.on_datagram(number));
        assert_eq!(numbers.bursts([0; 5]), [2, 2, 0, 1, 2]);
    }

    #[test]
    fn what_did_not_come_was_lost_until_it_does() {
        let mut numbers = Numbers::default();
        for number in [100, 101, 104, 105] {
            numbers.on_datagram(number);
        }
        assert_eq!(numbers.lost(), 2);
        numbers.on_datagram(103);
        assert_eq!(numbers.lost(), 1);
        numbers.on_datagram(3);
        assert_eq!(numbers.lost(), 1, "from before the start");
    }
}
