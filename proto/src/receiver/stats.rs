//! What a receiver has done since it started.

use crate::sender::{DiscardCounts, KindCounts};

/// What a [`super::Receiver`] has done since it started, over all sessions. Every field only
/// grows.
///
/// The counters add up: datagrams received = discarded + control + coded, and coded packets =
/// packets of the window (delivered, or held until they are) + duplicates.
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
    /// Payload handed out, in bytes.
    pub bytes_delivered: u64,
    /// Data packets that were missing when a later one came.
    pub packets_missed: u64,
    /// Of those, packets that came by repair.
    pub packets_repaired: u64,
    /// Packets given up because nobody answered.
    pub lost_unanswered: u64,
    /// Packets given up because they had left the publisher's window.
    pub lost_left_window: u64,
    /// Packets given up because their deadline passed.
    pub lost_deadline: u64,
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
    /// Times that something missed was asked for by catch-up.
    pub catch_ups: u64,
}

impl ReceiverStats {
    /// Packets given up, whatever the cause.
    #[must_use]
    pub fn packets_lost(&self) -> u64 {
        let lost = self.lost_unanswered.saturating_add(self.lost_left_window);
        lost.saturating_add(self.lost_deadline)
    }
}
