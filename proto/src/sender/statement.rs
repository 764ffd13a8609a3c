//! What is said of the session: announce, heartbeat, End, each at its time.

use std::time::Duration;

use super::Sender;
use crate::wire::{Announce, Body, Heartbeat};
use crate::{Delivery, Timestamp};

impl Sender {
    pub(super) fn heartbeat_due(&self) -> Option<Timestamp> {
        // While parity goes out the end of the block is heard, and what it lacks may be on its way.
        let is_silent = self.parity.next().is_none() && !self.phase.is_ending();
        is_silent.then(|| self.heartbeat.due())
    }

    /// What is said of the session, if it is time.
    pub(super) fn statement(&mut self, now: Timestamp) -> Option<Body> {
        if self.announce_due <= now {
            let announcement = self.announcement(now);
            self.announce_due = now.after(self.announce_interval(now));
            return Some(Body::Announce(announcement));
        }
        if let Some(end) = self.end(now) {
            return Some(Body::End(end));
        }
        if self.heartbeat_due().is_some_and(|due| due <= now) {
            self.heartbeat.on_heartbeat(now);
            return Some(Body::Heartbeat(self.heartbeat(now)));
        }
        None
    }

    /// While data flows or is waited for, who tunes in learns of the session soon.
    fn announce_interval(&self, now: Timestamp) -> Duration {
        let idle = self.heartbeat.due().since(now);
        let longest = self.heartbeat.longest().max(ANNOUNCE_INTERVAL);
        if let Some(due) = self.count_due() {
            return due.since(now).min(ANNOUNCE_INTERVAL);
        }
        if self.phase.is_waiting() || self.phase.is_ending() {
            return ANNOUNCE_INTERVAL;
        }
        idle.clamp(ANNOUNCE_INTERVAL, longest)
    }

    pub(super) fn announcement(&mut self, now: Timestamp) -> Announce {
        let poll = self.poll(now);
        let deadline = match self.config.delivery {
            Delivery::Reliable => Duration::ZERO,
            Delivery::Timely(deadline) => deadline.max(Duration::from_millis(1)),
        };
        Announce {
            started_us: self.config.started_us,
            name: self.config.name.clone(),
            mode: self.config.mode,
            deadline_ms: u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX),
            coded_len: self.coded_len,
            k: self.config.k,
            trail: self.window.trail(),
            lead: self.window.lead(),
            rate_bps: self.config.rate.map_or(0, |rate| rate.0),
            heartbeat_max_ms: millis(self.heartbeat.longest()),
            grtt_us: micros(self.grtt.get()),
            group_size: self.cautious_size().0,
            poll,
            feedback: None,
            nonce_echo: None,
        }
    }

    fn heartbeat(&mut self, now: Timestamp) -> Heartbeat {
        let poll = self.poll(now);
        let last = self.window.last_closed();
        Heartbeat {
            trail: self.window.trail(),
            lead: self.window.lead(),
            last_block: last.start,
            last_k: last.k,
            next_ms: millis(self.heartbeat.due().since(now)),
            grtt_us: micros(self.grtt.get()),
            group_size: self.cautious_size().0,
            poll,
        }
    }
}

fn millis(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis()).unwrap_or(u16::MAX)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// A group's switch and who tunes in late learn of the session within this.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(100);
