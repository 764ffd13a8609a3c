//! What must hold after every step, whatever the network did.

use std::time::Duration;

use lab::world::{Listener, World};
use proto::counts::KindCounts;
use proto::receiver::ReceiverStats;
use proto::sender::SenderStats;

/// What was seen last, to see that no counter falls.
pub(crate) struct Invariants {
    sender: Vec<u64>,
    listeners: Vec<Vec<u64>>,
    session: proto::SessionId,
}

impl Invariants {
    pub(crate) fn new(world: &World) -> Self {
        let listeners = world.listeners().iter().map(|one| received(one.receiver().stats()));
        Self {
            sender: sent(world.sender().stats()),
            listeners: listeners.collect(),
            session: world.sender().session(),
        }
    }

    pub(crate) fn check(&mut self, world: &World) {
        let now = Self::new(world);
        if self.session == now.session {
            none_fell(&self.sender, &now.sender, "the sender");
        }
        for (number, (old, new)) in self.listeners.iter().zip(&now.listeners).enumerate() {
            none_fell(old, new, &format!("listener {number}"));
        }
        sender_is_bounded(world);
        for (number, listener) in world.listeners().iter().enumerate() {
            assert_eq!(listener.fault(), None, "listener {number}");
            adds_up(number, listener);
            is_bounded(number, listener, world);
        }
        *self = now;
    }
}

fn none_fell(old: &[u64], new: &[u64], who: &str) {
    assert!(old.iter().zip(new).all(|(old, new)| old <= new), "{who}: {old:?} became {new:?}");
}

/// No datagram is counted twice or not at all, no packet either.
fn adds_up(number: usize, listener: &Listener) {
    let stats = listener.receiver().stats();
    let counted = stats.received.total().datagrams + stats.discarded.total();
    assert_eq!(counted, listener.given(), "listener {number}: datagrams");
    let held = listener.receiver().status().held;
    let placed = stats.packets_delivered + stats.packets_abandoned + held;
    let here = stats.packets_placed + stats.packets_recovered;
    assert_eq!(here, placed, "listener {number}: packets");
    let coded = [proto::wire::Kind::Data, proto::wire::Kind::Repair];
    let coded: u64 = coded.iter().map(|kind| stats.received.get(*kind).datagrams).sum();
    assert_eq!(coded, stats.packets_placed + stats.packets_duplicate, "listener {number}: coded");
}

fn sender_is_bounded(world: &World) {
    let (sender, now) = (world.sender(), world.now());
    let kept = sender.window_len();
    let payload_len = sender.payload_len() as u64;
    assert!(kept * payload_len <= 65 << 20, "the sender keeps {kept} packets");
    assert!(sender.interleave_depth() <= 32);
    match sender.poll_timeout() {
        Some((due, timer)) => assert!(due < now.after(Duration::from_secs(60)), "{timer:?}"),
        None => assert!(sender.is_finished(), "the sender waits for nothing"),
    }
}

fn is_bounded(number: usize, listener: &Listener, world: &World) {
    let held = listener.receiver().status().held;
    let payload_len = world.sender().payload_len() as u64;
    assert!(held * payload_len <= 32 << 20, "listener {number} holds {held} packets");
    if let Some((due, timer)) = listener.receiver().poll_timeout() {
        assert!(due < world.now().after(Duration::from_secs(60)), "listener {number}: {timer:?}");
    }
}

fn sent(stats: &SenderStats) -> Vec<u64> {
    let mut all = kinds(&stats.group);
    all.extend(kinds(&stats.unicast));
    all.extend(kinds(&stats.received));
    all.extend(stats.discarded.iter().map(|(_, count)| count));
    all.extend([
        stats.payload_bytes,
        stats.packets_sent,
        stats.packets_asked,
        stats.suppressed_held_down,
        stats.suppressed_too_late,
        stats.joins,
        stats.leaves,
        stats.unicast_equivalent_bytes,
    ]);
    all
}

fn received(stats: &ReceiverStats) -> Vec<u64> {
    let mut all = kinds(&stats.received);
    all.extend(stats.discarded.iter().map(|(_, count)| count));
    all.extend([
        stats.packets_duplicate,
        stats.packets_placed,
        stats.packets_recovered,
        stats.parity_used,
        stats.parity_unused,
        stats.packets_delivered,
        stats.packets_abandoned,
        stats.bytes_delivered,
        stats.packets_missed,
        stats.packets_repaired,
        stats.packets_lost(),
        stats.wire_lost,
        stats.kernel_drops,
        stats.naks_sent,
        stats.naks_suppressed,
        stats.reports_sent,
        stats.sessions,
        stats.catch_ups,
    ]);
    all
}

fn kinds(counts: &KindCounts) -> Vec<u64> {
    counts.iter().flat_map(|(_, count)| [count.datagrams, count.bytes]).collect()
}
