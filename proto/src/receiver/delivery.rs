//! Out in order.

use std::time::Duration;

use super::event::{Ending, Gap, Payload};
use super::row::Row;
use super::window::{Popped, Run};
use super::{Delivered, Receiver};
use crate::Timestamp;
use crate::wire::StreamMode;

impl Receiver {
    /// The next thing in order. What is not pulled stays in the window and holds the credit back,
    /// so that a driver pulls only while its output has room.
    pub fn pull(&mut self, now: Timestamp) -> Option<Delivered> {
        if let Some(left) = &mut self.may_hand_out {
            // What follows waits until its session was shown to be no recording.
            *left = left.checked_sub(1)?;
            return self.ready.pop_front();
        }
        loop {
            if let Some(delivered) = self.ready.pop_front() {
                return Some(delivered);
            }
            if !self.hand_out_next(now) {
                return self.hand_out_end(now);
            }
        }
    }

    /// Moves what is next in order to `ready`; false if it is not here.
    fn hand_out_next(&mut self, now: Timestamp) -> bool {
        let Some(session) = &mut self.session else { return false };
        let is_one_piece = session.mode == StreamMode::Bytes || session.records.is_in_step();
        let most = if is_one_piece { RUN_LEN } else { 0 };
        match session.window.pop(most) {
            Some(Popped::Run(run)) => self.hand_out_run(run, now),
            Some(Popped::Gap(gap)) => self.hand_out_gap(gap),
            None => return self.pass_the_rest(),
        }
        true
    }

    /// Goes on where the publisher still has something, if that is beyond what the window held.
    fn pass_the_rest(&mut self) -> bool {
        let Some(session) = &self.session else { return false };
        let passes = session.window.is_empty() && session.trail > session.window.next();
        if passes {
            self.pass_trail();
        }
        passes
    }

    fn hand_out_run(&mut self, run: Run, now: Timestamp) {
        let Run { range, prefix, payload } = run;
        self.stats.packets_delivered += range.len();
        let Some(session) = &mut self.session else { return };
        let arrival = session.clock.arrival_of(prefix.first_sent);
        let delay = arrival.map_or(Duration::ZERO, |arrival| now.since(arrival));
        let delivered = match session.mode {
            StreamMode::Bytes => Delivered::Payload(Payload { range, bytes: payload, delay }),
            StreamMode::Messages => {
                let whole = session.records.push(payload, prefix.first_record);
                if whole.messages == 0 {
                    return;
                }
                Delivered::Row(Row { range, delay, whole })
            }
        };
        self.stats.bytes_delivered += match &delivered {
            Delivered::Payload(payload) => payload.bytes.len() as u64,
            Delivered::Row(row) => row.payload_bytes(),
            Delivered::Session(_) | Delivered::Gap(_) | Delivered::End(_) => 0,
        };
        self.ready.push_back(delivered);
    }

    pub(super) fn hand_out_gap(&mut self, gap: Gap) {
        if let Some(session) = &mut self.session {
            session.records.lose_step();
        }
        self.ready.push_back(Delivered::Gap(gap));
    }

    /// The end, once, when everything before it was handed out.
    fn hand_out_end(&mut self, now: Timestamp) -> Option<Delivered> {
        let session = self.session.as_mut()?;
        let end = session.end?;
        if session.end_handed_out || !session.is_done() {
            return None;
        }
        session.end_handed_out = true;
        let lost_packets = session.given_up.saturating_add(session.skipped);
        self.reporter.on_state();
        self.report_if_due(now);
        Some(Delivered::End(Ending {
            lead: end.lead,
            bytes: end.bytes,
            sha256: end.sha256,
            aborted: end.aborted,
            lost_packets,
        }))
    }

    /// Makes everything that is next in order ready: the window is about to change.
    pub(super) fn drain_in_order(&mut self) {
        // The delay of what waited for the output does not matter any more.
        while self.hand_out_next(Timestamp::ZERO) {}
    }
}

/// What is handed out at once: a burst of the largest send.
const RUN_LEN: usize = 64 << 10;
