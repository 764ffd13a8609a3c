//! Who asks, by address of the host: how often, and how much of it still waits.
//!
//! A host, not a subscriber: ids are free, addresses less so.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::Timestamp;

/// One host that asks.
#[derive(Clone, Copy, Debug)]
struct Asker {
    /// NAKs it may still send now.
    naks: f64,
    /// When it last sent one.
    asked: Timestamp,
    /// Bytes on the wire that it asked for and that were not sent since, by and large.
    debt: u64,
    /// When it was last told that the budget is spent.
    refused: Timestamp,
}

/// The hosts that asked last; bounded, the one that has been idle for longest makes room.
#[derive(Debug, Default)]
pub(in crate::sender) struct Askers {
    hosts: BTreeMap<IpAddr, Asker>,
}

impl Askers {
    /// A NAK comes; says whether the host sends so many that this one is not looked at.
    pub(in crate::sender) fn floods(&mut self, host: IpAddr, now: Timestamp) -> bool {
        self.make_room_for(host);
        let asker = self.hosts.entry(host).or_insert(Asker {
            naks: NAK_BURST,
            asked: now,
            debt: 0,
            refused: Timestamp::ZERO,
        });
        let earned = now.since(asker.asked).as_secs_f64() * NAKS_PER_SECOND;
        asker.asked = now;
        asker.naks = (asker.naks + earned).min(NAK_BURST);
        let floods = asker.naks < 1.0;
        if !floods {
            asker.naks -= 1.0;
        }
        floods
    }

    #[cfg(test)]
    pub(in crate::sender) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Hosts that asked a moment ago, at least one and at most [`MOST_SHARES`].
    pub(in crate::sender) fn active(&self, now: Timestamp) -> u64 {
        let active = self.hosts.values().filter(|asker| now.since(asker.asked) < ACTIVE);
        (active.take(MOST_SHARES).count() as u64).max(1)
    }

    /// Bytes that this host asked for and that still wait.
    pub(in crate::sender) fn debt(&self, host: IpAddr) -> u64 {
        self.hosts.get(&host).map_or(0, |asker| asker.debt)
    }

    /// Bytes that wait for others than the host that asked for most.
    pub(in crate::sender) fn debt_beside_largest(&self) -> u64 {
        let debts = || self.hosts.values().map(|asker| asker.debt);
        debts().fold(0, u64::saturating_add).saturating_sub(debts().max().unwrap_or(0))
    }

    pub(in crate::sender) fn charge(&mut self, host: IpAddr, bytes: u64) {
        if let Some(asker) = self.hosts.get_mut(&host) {
            asker.debt = asker.debt.saturating_add(bytes);
        }
    }

    /// So many bytes of repair left: who waits for more has more of them. So all debts together are
    /// what still waits, and nobody is refused for what it was given.
    pub(in crate::sender) fn relieve(&mut self, bytes: u64) {
        let all = self.hosts.values().map(|asker| u128::from(asker.debt)).sum::<u128>().max(1);
        for asker in self.hosts.values_mut() {
            let given = (u128::from(bytes) * u128::from(asker.debt)).div_ceil(all);
            asker.debt = asker.debt.saturating_sub(u64::try_from(given).unwrap_or(u64::MAX));
        }
    }

    /// Nothing waits any more.
    pub(in crate::sender) fn forgive(&mut self) {
        for asker in self.hosts.values_mut() {
            asker.debt = 0;
        }
    }

    /// Whether a host is to be told that the budget is spent; if so it is taken as told.
    pub(in crate::sender) fn tells_refusal(
        &mut self,
        host: IpAddr,
        again: Duration,
        now: Timestamp,
    ) -> bool {
        let Some(asker) = self.hosts.get_mut(&host) else { return false };
        let tells = now.since(asker.refused) >= again;
        if tells {
            asker.refused = now;
        }
        tells
    }

    fn make_room_for(&mut self, host: IpAddr) {
        if self.hosts.len() < MOST_HOSTS || self.hosts.contains_key(&host) {
            return;
        }
        let idle = self.hosts.iter().min_by_key(|(_, asker)| asker.asked);
        if let Some(idle) = idle.map(|(host, _)| *host) {
            self.hosts.remove(&idle);
        }
    }
}

/// A receiver that loses every second packet of a gigabit asks less often than this.
const NAKS_PER_SECOND: f64 = 2_000.0;

/// NAKs that may come at once.
const NAK_BURST: f64 = 200.0;

/// Hosts that are remembered: looking through all of them costs less than answering one.
const MOST_HOSTS: usize = 256;

/// The budget is never shared by more than this: what one asks for often mends others, too.
const MOST_SHARES: usize = 8;

/// Who asked within this is one of those who share.
const ACTIVE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_million_naks_a_second_are_two_thousand() {
        let mut askers = Askers::default();
        let heard =
            (0..1_000_000_u64).filter(|n| !askers.floods(host(1), Timestamp(n * 1_000))).count();
        assert!((2_150..2_250).contains(&heard), "{heard}");
        assert!(!askers.floods(host(2), Timestamp::from_secs(1)), "another host is heard");
    }

    #[test]
    fn the_table_is_bounded_and_the_idle_make_room() {
        let mut askers = Askers::default();
        for number in 0..100_000 {
            askers.floods(host(number), Timestamp(u64::from(number)));
            askers.floods(host(7), Timestamp(u64::from(number)));
            askers.charge(host(7), 1);
        }
        assert_eq!(askers.hosts.len(), MOST_HOSTS);
        assert!(askers.debt(host(7)) > 99_000, "who goes on asking is remembered");
        assert_eq!(askers.debt(host(3)), 0);
    }

    #[test]
    fn what_leaves_relieves_each_of_its_share_so_that_nobody_owes_what_was_sent() {
        let mut askers = Askers::default();
        let now = Timestamp::from_secs(9);
        for number in 0..20 {
            askers.floods(host(number), now);
        }
        askers.charge(host(3), 3_000);
        askers.charge(host(4), 1_000);
        assert_eq!(askers.debt_beside_largest(), 1_000);
        askers.relieve(800);
        assert_eq!([3, 4, 5].map(|number| askers.debt(host(number))), [2_400, 800, 0]);
        (0..4).for_each(|_| askers.relieve(800));
        assert_eq!([3, 4].map(|number| askers.debt(host(number))), [0, 0]);
        askers.charge(host(3), 10);
        askers.forgive();
        assert_eq!(askers.debt(host(3)), 0);
        assert_eq!((askers.active(now), askers.active(now.after(ACTIVE))), (8, 1));
    }

    #[test]
    fn a_refusal_is_told_once_in_a_while() {
        let mut askers = Askers::default();
        let now = Timestamp::from_secs(9);
        let again = Duration::from_millis(10);
        assert!(!askers.tells_refusal(host(1), again, now), "a stranger");
        askers.floods(host(1), now);
        assert!(askers.tells_refusal(host(1), again, now));
        assert!(!askers.tells_refusal(host(1), again, now.after(again / 2)));
        assert!(askers.tells_refusal(host(1), again, now.after(again)));
    }
}
