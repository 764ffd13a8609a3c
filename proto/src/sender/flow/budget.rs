//! What repair may take of the rate.
//!
//! While live data waits, every byte of it that leaves earns repair its share; what is earned is
//! spent by repairs and by parity that was asked for. When no live data can go, repair is limited
//! by the pacer alone: a reliable stream is to be completed. Nor does live data of an automatic rate
//! go on while many wait for more than it earns: they would wait until it ends. What is asked for
//! beyond that is refused, so that the queue stays short and one host that asks for everything takes its own share
//! of it and not that of the others.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::askers::Askers;
use crate::sender::{Destination, Sender};
use crate::units::Ratio;
use crate::wire::{Body, Discard, List, Nak, Range, Refused, RefusedReason};
use crate::{Bitrate, Delivery, SeqRange, Timestamp};

/// The budget and those who draw on it.
#[derive(Debug)]
pub(in crate::sender) struct Budget {
    /// Bytes of repair that a byte of live data earns.
    earns: f64,
    share: f64,
    /// Bytes that repair may take while live data waits; below zero after a burst.
    tokens: f64,
    /// What repair is given in 50 ms: the measure of how much may be saved up and wait.
    quantum: u64,
    /// Live data waits for what was asked for.
    is_behind: bool,
    pub(in crate::sender) askers: Askers,
}

impl Budget {
    pub(in crate::sender) fn new(share: Ratio, rate: Bitrate, full_len: u64) -> Self {
        let share = share.value();
        let earns = if share < 1.0 { share / (1.0 - share) } else { f64::INFINITY };
        let askers = Askers::default();
        let mut budget = Self { earns, share, tokens: 0.0, quantum: 0, is_behind: false, askers };
        budget.set_rate(rate, full_len);
        budget.tokens = if share > 0.0 { budget.quantum as f64 } else { 0.0 };
        budget
    }

    pub(in crate::sender) fn set_rate(&mut self, rate: Bitrate, full_len: u64) {
        let given = rate.bytes_in(MEASURE) as f64 * self.share;
        self.quantum = whole(given).clamp(full_len * LEAST, MOST);
    }

    /// Live data left.
    pub(in crate::sender) fn on_live(&mut self, wire_bytes: u64) {
        let earned = self.earns * wire_bytes as f64;
        self.tokens = (self.tokens + earned).min(self.quantum as f64);
    }

    /// Repair left; `waits` says whether live data waited for it.
    pub(in crate::sender) fn on_repair(&mut self, wire_bytes: u64, waits: bool) {
        if waits {
            self.tokens -= wire_bytes as f64;
        }
        self.askers.relieve(wire_bytes);
    }

    /// Whether repair may go before live data.
    pub(in crate::sender) fn admits(&self) -> bool {
        self.tokens > 0.0 || self.is_behind
    }

    /// Takes how many bytes wait that live data could wait for. One host alone holds nothing up; what
    /// several wait for holds them up, and with them the stream, the longer it waits.
    pub(in crate::sender) fn on_pending(&mut self, bytes: u64, now: Timestamp) {
        let is_much = bytes > self.quantum * 2 && self.askers.active(now) > 1;
        let is_shared = bytes.min(self.askers.debt_beside_largest()) > self.quantum / 2;
        self.is_behind = self.share > 0.0 && (is_much || is_shared);
    }

    /// Bytes that `host` may ask for while `pending` bytes wait to be sent.
    fn room_for(&self, host: IpAddr, pending: u64, waits: bool, now: Timestamp) -> u64 {
        let (active, debt) = (self.askers.active(now), self.askers.debt(host));
        let saved = whole(self.tokens);
        let all = if waits { saved + self.quantum * 4 } else { self.quantum * 16 };
        let all = all.saturating_sub(pending);
        if active < 2 {
            return all;
        }
        // Its own share waits for nobody else's.
        let own = (self.quantum * 2).saturating_sub(debt);
        let least = (self.quantum / active).saturating_sub(debt);
        all.min(own).max(least)
    }
}

/// A whole number of bytes; none below zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

impl Sender {
    /// Packets that `host` may ask for now.
    pub(in crate::sender) fn packets_for(&mut self, host: IpAddr, now: Timestamp) -> u64 {
        if self.is_without_repair() {
            return 0;
        }
        let pending = self.pending_repairs();
        if pending == 0 {
            self.budget.askers.forgive();
        }
        let len = self.full_wire_len();
        let room = self.budget.room_for(host, pending * len, self.may_send_data(), now);
        room.div_ceil(len)
    }

    /// Packets that were asked for and wait to be sent.
    pub(in crate::sender) fn pending_repairs(&self) -> u64 {
        self.repair.len() as u64 + self.parity.pending() + self.few.pending()
    }

    /// More is asked for than there is room for: who is known is told, once in a round trip.
    pub(in crate::sender) fn refuse_over_budget(
        &mut self,
        nak: &Nak,
        over: Vec<SeqRange>,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        if over.is_empty() {
            return Ok(());
        }
        self.stats.suppressed_over_budget += over.iter().map(SeqRange::len).sum::<u64>();
        let again = self.hold_down();
        let is_known = self.audience.get(nak.subscriber).is_some_and(|row| row.address == from);
        if !is_known || !self.budget.askers.tells_refusal(from.ip(), again, now) {
            return Ok(());
        }
        let refused = Refused {
            reason: RefusedReason::OverBudget,
            trail: self.window.trail(),
            ranges: List::truncated(over.into_iter().map(Range::from_seqs)),
        };
        self.say(Destination::Unicast(from), Body::Refused(refused))
    }

    /// Looks whether live data is to wait for repair: at an automatic rate nothing else makes it.
    pub(in crate::sender) fn weigh_repairs(&mut self, now: Timestamp) {
        if self.config.rate.is_none() && self.config.delivery == Delivery::Reliable {
            let waiting = self.pending_repairs() * self.full_wire_len();
            self.budget.on_pending(waiting, now);
        }
    }

    /// Whether repairs go before live data.
    pub(in crate::sender) fn has_repairs_turn(&self) -> bool {
        self.budget.admits() || !self.may_send_data()
    }

    /// So many packets leave because somebody asked.
    pub(in crate::sender) fn on_mended(&mut self, packets: usize) {
        if packets == 0 {
            return;
        }
        let packets = packets as u64;
        let waits = self.may_send_data();
        self.budget.on_repair(packets * self.full_wire_len(), waits);
        self.surge.on_sent(packets);
    }
}

/// How long what is asked for at once may take to be answered, by and large.
const MEASURE: Duration = Duration::from_millis(50);

/// However slow a stream is, so many packets may be saved up for.
const LEAST: u64 = 64;

/// However fast, no more than these bytes: an answer that waits longer than a round trip or two
/// is asked for again.
const MOST: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 1_500;

    fn budget() -> Budget {
        Budget::new(Ratio::percent(25), Bitrate(800_000_000), LEN)
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn repair_takes_its_share_of_what_leaves_and_no_more() {
        let mut budget = budget();
        let (mut live, mut repair) = (0, 0);
        for _ in 0..1_000_000 {
            if budget.admits() {
                budget.on_repair(LEN, true);
                repair += LEN;
            } else {
                budget.on_live(LEN);
                live += LEN;
            }
        }
        let share = repair as f64 / (repair + live) as f64;
        assert!((0.249..0.251).contains(&share), "{share}");
    }

    #[test]
    fn what_no_live_data_waits_for_costs_nothing() {
        let mut budget = budget();
        for _ in 0..10_000 {
            budget.on_repair(LEN, false);
        }
        assert!(budget.admits());
    }

    #[test]
    fn alone_a_host_may_have_it_all_and_of_two_each_its_own() {
        let mut budget = budget();
        let now = Timestamp::from_secs(1);
        let quantum = 800_000_000 / 8 / 20 / 4;
        budget.askers.floods(host(1), now);
        assert_eq!(budget.room_for(host(1), 0, true, now), quantum * 5);
        assert_eq!(budget.room_for(host(1), quantum, true, now), quantum * 4);
        assert_eq!(budget.room_for(host(1), 0, false, now), quantum * 16);
        budget.askers.charge(host(1), quantum * 5);
        budget.askers.floods(host(2), now);
        assert_eq!(budget.room_for(host(1), quantum * 5, true, now), 0);
        assert_eq!(budget.room_for(host(2), quantum * 5, true, now), quantum / 2);
    }

    #[test]
    fn what_many_wait_for_goes_first_and_what_one_does_not() {
        let mut budget = budget();
        let (now, much) = (Timestamp::from_secs(1), 2 * 800_000_000 / 8 / 20 / 4 + 1);
        budget.on_repair(1 << 30, true);
        budget.askers.floods(host(1), now);
        budget.on_pending(much, now);
        assert!(!budget.admits());
        budget.askers.floods(host(2), now);
        budget.on_pending(much, now);
        assert!(budget.admits());
        budget.on_pending(much - 1, now);
        assert!(!budget.admits());
    }

    #[test]
    fn what_others_than_the_greediest_wait_for_goes_first_though_it_is_little() {
        let mut budget = budget();
        let (now, quantum) = (Timestamp::from_secs(1), 800_000_000 / 8 / 20 / 4);
        budget.on_repair(1 << 30, true);
        for (asker, debt) in [(1, 2 * quantum), (2, quantum / 2)] {
            budget.askers.floods(host(asker), now);
            budget.askers.charge(host(asker), debt);
        }
        budget.on_pending(2 * quantum, now);
        assert!(!budget.admits());
        budget.askers.charge(host(2), 1);
        budget.on_pending(2 * quantum, now);
        assert!(budget.admits());
        budget.on_pending(0, now);
        assert!(!budget.admits());
    }

    #[test]
    fn no_budget_and_all_of_it_are_budgets() {
        let none = Budget::new(Ratio::ZERO, Bitrate(8_000), LEN);
        assert!(!none.admits());
        let mut all = Budget::new(Ratio::ONE, Bitrate(8_000), LEN);
        all.on_repair(1 << 30, true);
        all.on_live(1);
        assert!(all.admits());
    }
}
