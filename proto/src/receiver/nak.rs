//! Asking for what is missing: all of it at once, after a back-off that fits the audience.

use std::time::Duration;

use super::event::{Gap, GapCause};
use super::gaps::Missing;
use super::session::Session;
use super::{Event, Receiver};
use crate::backoff::{self, BackOff};
use crate::grtt::AT_ONCE;
use crate::wire::{Body, List, Nak, Ncf, Range, Refused, RefusedReason};
use crate::{Delivery, Seq, SeqRange, Timestamp};

impl Receiver {
    /// `range` was sent and did not come. `deadline` is when it is no longer wanted.
    pub(super) fn miss(&mut self, range: SeqRange, deadline: Option<Timestamp>, now: Timestamp) {
        let Some(session) = &self.session else { return };
        let runs = session.window.missing(range);
        let missing: u64 = runs.iter().map(SeqRange::len).sum();
        if missing == 0 {
            return;
        }
        if session.is_reliable() && missing > CATCH_UP_FROM && !self.config.mute {
            self.start_catch_up(range, now);
            return;
        }
        self.stats.packets_missed = self.stats.packets_missed.saturating_add(missing);
        let backoff = self.backoff();
        let Some(session) = &mut self.session else { return };
        let passed = session.passed(range);
        let (over, open) = match self.config.mute {
            true => (MUTE_WAIT, MUTE_WAIT),
            false => (Duration::ZERO, session.block_wait(range.end)),
        };
        for run in runs {
            // What a block that is over lacks can be counted; of the one that began, the rest is
            // still to come.
            let split = if over == open { run.end } else { passed.clamp(run.first, run.end) };
            for (part, wait) in
                [(SeqRange::new(run.first, split), over), (SeqRange::new(split, run.end), open)]
            {
                session.gaps.open(part, now.after(REORDER_ALLOWANCE + wait), backoff, deadline);
            }
        }
    }

    /// The random wait before asking, so that few of many ask (RFC 5401, as `docs/PROTOCOL.md`
    /// writes it out). With the group size measured, and none for a handful of subscribers.
    fn backoff(&mut self) -> Duration {
        let Some(session) = &self.session else { return Duration::ZERO };
        if self.is_one_of_few() {
            return Duration::ZERO;
        }
        let longest = session.longest_backoff();
        self.draw_backoff(longest)
    }

    /// A wait of at most `longest` that few of the audience draw much shorter than the rest.
    pub(super) fn draw_backoff(&mut self, longest: Duration) -> Duration {
        let Some(session) = &self.session else { return Duration::ZERO };
        let audience = session.group_size.audience();
        BackOff { audience, longest }.wait(self.rng.f64())
    }

    /// Asks for all gaps that are due, in as few NAKs as they fit in.
    pub(super) fn ask_for_missing(&mut self, now: Timestamp) {
        loop {
            let again = self.retry_wait(now);
            let Some(session) = &mut self.session else { return };
            let due = session.take_due(now);
            if due.is_empty() {
                return;
            }
            let mut ranges: Vec<SeqRange> = Vec::new();
            let mut given_up = Vec::new();
            for (range, missing) in due {
                if missing.tries >= self.config.max_tries || self.config.mute {
                    given_up.push(range);
                } else {
                    session.gaps.asked(range, missing, again(missing.tries));
                    ranges.push(range);
                }
            }
            for range in given_up {
                self.give_up(range, GapCause::Unanswered);
            }
            if !ranges.is_empty() {
                self.send_nak(ranges);
            }
        }
    }

    fn send_nak(&mut self, mut ranges: Vec<SeqRange>) {
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let follows = last.end == next.first;
            if follows {
                last.end = next.end;
            }
            follows
        });
        for ranges in ranges.chunks(RANGES) {
            let needs = self.needs(ranges);
            let named = self.named_beside(&needs, ranges);
            self.stats.naks_sent += 1;
            self.say(Body::Nak(Nak {
                subscriber: self.config.subscriber,
                ranges: List::truncated(named.into_iter().map(Range::from_seqs)),
                needs: List::truncated(needs),
                manifests: List::new(),
            }));
        }
    }

    /// When to ask again after having asked `tries` times: the first time as soon as an answer
    /// could be here, later ever more rarely. Of a handful of subscribers none floods anybody: what one
    /// of them waits for holds the stream back for all, and most often the NAK or its answer was lost.
    fn retry_wait(&self, now: Timestamp) -> impl Fn(u32) -> Timestamp + use<> {
        let first = self.answer_time();
        let spared = if self.is_one_of_few() { FEW_SPARED } else { 0 };
        move |tries| {
            let doublings = tries.saturating_sub(spared).min(8);
            let wait = first.saturating_mul(1 << doublings).min(LONGEST_RETRY);
            now.after(wait.max(first))
        }
    }

    /// Whether so few listen that each may ask at once.
    pub(super) fn is_one_of_few(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.group_size.audience() <= AT_ONCE as f64 + 0.5)
    }

    /// How long an answer may take: there and back, the merging of askers, the pacer's queue.
    pub(super) fn answer_time(&self) -> Duration {
        let grtt = self.session.as_ref().map_or(Duration::ZERO, |session| session.grtt);
        grtt * 2 + SHORTEST_RETRY
    }

    /// Others were faster: hold back.
    pub(super) fn on_ncf(&mut self, ncf: &Ncf, now: Timestamp) {
        let until = now.after(self.answer_time());
        let Some(session) = &mut self.session else { return };
        for range in ncf.ranges.iter() {
            let range = range.to_seqs();
            self.stats.naks_suppressed += session.gaps.hold_back(range, until);
        }
        for need in ncf.needs.iter() {
            self.hold_back_block(need, until);
        }
    }

    pub(super) fn on_refused(&mut self, refused: &Refused, now: Timestamp) {
        if refused.reason == RefusedReason::OverBudget {
            return self.wait_for_budget(refused, now);
        }
        let Some(session) = &mut self.session else { return };
        session.move_trail(refused.trail);
        let all = SeqRange::new(Seq::ZERO, session.last());
        for range in refused.ranges.iter() {
            self.give_up(range.to_seqs().clamp_to(all), GapCause::LeftWindow);
        }
        self.pass_trail();
    }

    /// The sender has other things to repair first: to have asked counts for nothing, and to ask
    /// again soon would only be refused again.
    fn wait_for_budget(&mut self, refused: &Refused, now: Timestamp) {
        let is_one_of_few = self.is_one_of_few();
        let Some(session) = &mut self.session else { return };
        let first = (session.grtt * 2).max(SHORTEST_RETRY);
        let longest = if is_one_of_few { LONGEST_RETRY.min(first * 4) } else { LONGEST_RETRY };
        for range in refused.ranges.iter() {
            session.gaps.postpone(range.to_seqs(), first, longest, now);
        }
    }

    /// What the sender no longer keeps, and is not here, will not come.
    pub(super) fn pass_trail(&mut self) {
        let Some(session) = &self.session else { return };
        let next = session.window.next();
        let trail = session.trail;
        if trail <= next {
            return;
        }
        if trail > session.window.limit() && session.window.is_empty() {
            self.jump(trail);
        } else {
            // What lies beyond the window is passed once the window was handed out.
            let room = SeqRange::new(next, session.window.limit());
            self.give_up(SeqRange::new(next, trail).clamp_to(room), GapCause::LeftWindow);
        }
        let Some(session) = &mut self.session else { return };
        session.frontier = session.frontier.max(trail);
    }

    /// The sender is a whole window ahead, and nothing is left to hand out: all of that is one gap.
    fn jump(&mut self, trail: Seq) {
        let Some(session) = &mut self.session else { return };
        let gap = SeqRange::new(session.window.next(), trail);
        session.gaps.clear();
        session.window.jump(trail);
        self.lose(&[gap], GapCause::LeftWindow);
        self.hand_out_gap(Gap { range: gap, cause: GapCause::LeftWindow });
    }

    /// On a timely stream: does not wait past the deadline.
    pub(super) fn pass_deadlines(&mut self, now: Timestamp) {
        while let Some(session) = &mut self.session {
            let Some(range) = session.gaps.take_late(now) else { return };
            self.give_up(range, GapCause::Deadline);
        }
    }

    /// What of `range` is not here will not come.
    pub(super) fn give_up(&mut self, range: SeqRange, cause: GapCause) {
        let Some(session) = &mut self.session else { return };
        session.gaps.close(range);
        let lost = session.window.give_up(range, cause);
        self.lose(&lost, cause);
    }

    fn lose(&mut self, runs: &[SeqRange], cause: GapCause) {
        let Some(session) = &mut self.session else { return };
        let lost = match cause {
            GapCause::Unanswered => &mut self.stats.lost_unanswered,
            GapCause::LeftWindow => &mut self.stats.lost_left_window,
            GapCause::Deadline => &mut self.stats.lost_deadline,
            GapCause::Unverified => &mut self.stats.lost_unverified,
            GapCause::Ring => &mut self.stats.lost_ring,
        };
        for &range in runs {
            session.given_up = session.given_up.saturating_add(range.len());
            *lost = lost.saturating_add(range.len());
            self.events.push_back(Event::GaveUp(Gap { range, cause }));
        }
    }

    /// Sees what was sent up to `lead` and did not come, as far as there is room for it.
    pub(super) fn look_ahead(&mut self, deadline: Option<Timestamp>, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        if session.catch_up_to.is_some() {
            return;
        }
        let to = session.lead.min(session.window.limit());
        if to > session.frontier {
            let range = SeqRange::new(session.frontier, to);
            session.frontier = to;
            self.miss(range, deadline, now);
        }
    }
}

impl Session {
    /// A few round trips; before a deadline no longer than leaves time for an answer.
    fn longest_backoff(&self) -> Duration {
        let longest = self.grtt.mul_f64(backoff::factor(self.group_size));
        let Delivery::Timely(deadline) = self.delivery else { return longest };
        longest.min((deadline.saturating_sub(self.grtt * 2) / 2).max(self.grtt / 2))
    }
}

impl Session {
    /// The gaps that are due, and with each of them all that its block lacks: a count means little
    /// without the names.
    fn take_due(&mut self, now: Timestamp) -> Vec<(SeqRange, Missing)> {
        let mut due = self.gaps.take_due(now, RANGES / 4);
        let ranges: Vec<SeqRange> = due.iter().map(|(range, _)| *range).collect();
        for range in ranges {
            for start in self.blocks.closed_in(range) {
                let Some(block) = self.blocks.get(start) else { continue };
                if block.reach() == 0 {
                    if due.len() < RANGES {
                        due.extend(self.gaps.take_in(SeqRange::new(start, block.end(start))));
                    }
                    continue;
                }
                for seq in block.seqs(start) {
                    due.extend(self.gaps.take_in(SeqRange::new(seq, seq.next())));
                }
            }
        }
        due
    }

    /// Up to where the blocks are over that `range` is of: what is missing there can be counted.
    /// Where nothing follows `range`, nothing is waited for.
    fn passed(&self, range: SeqRange) -> Seq {
        if self.frontier <= range.end {
            return range.end;
        }
        let block = self.blocks.containing(range.end);
        block.map_or(range.first, |(start, block)| start.minus(block.reach()))
    }

    /// How long to wait for the end of a block, so that all it lacks is asked for at once. Alone
    /// there is nobody to share parity with, and nothing to wait for.
    fn block_wait(&self, seq: Seq) -> Duration {
        if self.group_size.audience() < 1.5 {
            return Duration::ZERO;
        }
        let is_interleaved =
            self.blocks.containing(seq).is_some_and(|(_, block)| block.reach() > 0);
        match (self.delivery, is_interleaved) {
            (Delivery::Reliable, false) => BLOCK_WAIT,
            (Delivery::Reliable, true) => INTERLEAVED_WAIT,
            (Delivery::Timely(deadline), false) => BLOCK_WAIT.min(deadline / 8),
            (Delivery::Timely(deadline), true) => INTERLEAVED_WAIT.min(deadline / 4),
        }
    }
}

/// A packet that took another way is not lost yet.
pub(super) const REORDER_ALLOWANCE: Duration = Duration::from_millis(1);

/// Who cannot ask waits so long for parity, and for what others ask for.
const MUTE_WAIT: Duration = Duration::from_millis(500);

/// A sender closes a block that stays open after this.
const BLOCK_WAIT: Duration = Duration::from_millis(20);

/// Blocks that are interleaved take no longer than this together.
const INTERLEAVED_WAIT: Duration = Duration::from_millis(250);

/// Below this a busy sender has not had its turn yet.
const SHORTEST_RETRY: Duration = Duration::from_millis(5);

/// Who asks in vain asks rarely, but does not stop before its tries are over.
const LONGEST_RETRY: Duration = Duration::from_millis(500);

/// So many times one of few asks again after no more than the wait for an answer.
const FEW_SPARED: u32 = 3;

/// Ranges that one NAK holds.
const RANGES: usize = 64;

/// A larger gap is no loss: this subscriber was away. It is given by unicast, so that the others
/// do not pay for it.
pub(super) const CATCH_UP_FROM: u64 = 1_024;
