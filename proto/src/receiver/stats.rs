//! What a receiver has done since it started.

use crate::counts::{DiscardCounts, KindCounts};

/// What a [`super::Receiver`] has done since it started, over all sessions. Every field only
/// grows.
///
/// The counters add up: datagrams received = discarded + control + coded; data and repair packets
/// = placed + duplicate; placed + recovered = delivered + abandoned + forged + unverified + held in the
/// window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Datagrams received, by kind, those that were discarded not counted.
    pub received: KindCounts,
    /// Datagrams discarded on arrival, by reason.
    pub discarded: DiscardCounts,
    /// Data and repair packets that were there already, or had been given up.
    pub packets_duplicate: u64,
    /// Data packets placed in the window.
    pub packets_placed: u64,
    /// Data packets handed out in order.
    pub packets_delivered: u64,
    /// Data packets placed in the window of a session that ended before they could be handed
    /// out.
    pub packets_abandoned: u64,
    /// Data packets that were taken out of the window again: their signed hash is another.
    pub packets_forged: u64,
    /// Data packets that were taken out of the window again because no signed hash came in time.
    pub packets_unverified: u64,
    /// Payload handed out, in bytes.
    pub bytes_delivered: u64,
    /// Data packets that were missing when a later one came.
    pub packets_missed: u64,
    /// Of those, packets that came by repair.
    pub packets_repaired: u64,
    /// Packets that parity gave back.
    pub packets_recovered: u64,
    /// Parity packets that gave a packet back.
    pub parity_used: u64,
    /// Parity packets that were of no use: nothing was missing any more, or too much.
    pub parity_unused: u64,
    /// Packets given up because nobody answered.
    pub lost_unanswered: u64,
    /// Packets given up because they had left the publisher's window.
    pub lost_left_window: u64,
    /// Packets given up because their deadline passed.
    pub lost_deadline: u64,
    /// Packets given up because no signature came for them.
    pub lost_unverified: u64,
    /// Packets that were handed out and that the output then had no room for.
    pub lost_ring: u64,
    /// Datagrams of the group lost on the wire: gaps in `number` less the kernel's drops.
    pub wire_lost: u64,
    /// Datagrams that the socket's buffer had no room for.
    pub kernel_drops: u64,
    /// NAKs sent.
    pub naks_sent: u64,
    /// NAKs not sent because the sender's confirmation was heard first, in gaps.
    pub naks_suppressed: u64,
    /// Reports sent.
    pub reports_sent: u64,
    /// Sessions adopted.
    pub sessions: u64,
    /// Times that the publisher let go of this subscriber.
    pub evictions: u64,
    /// Times that something missed was asked for by catch-up.
    pub catch_ups: u64,
}

impl ReceiverStats {
    /// Packets that were missing and are here: repaired by the publisher or recovered from parity.
    #[must_use]
    pub fn packets_mended(&self) -> u64 {
        self.packets_repaired + self.packets_recovered
    }

    /// Packets given up, whatever the cause.
    #[must_use]
    pub fn packets_lost(&self) -> u64 {
        let lost = self.lost_unanswered.saturating_add(self.lost_left_window);
        let lost = lost.saturating_add(self.lost_deadline).saturating_add(self.lost_unverified);
        lost.saturating_add(self.lost_ring)
    }
}
