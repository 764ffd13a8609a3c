//! What a sender has done since it started.

use super::BreakerState;
use crate::counts::{DiscardCounts, KindCounts};

/// What a [`super::Sender`] has done since it started. Every field only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderStats {
    /// Datagrams made for the group, by kind.
    pub group: KindCounts,
    /// Datagrams made for single subscribers, by kind.
    pub unicast: KindCounts,
    /// All of them with everything around them on the wire, in bytes.
    pub wire_bytes: u64,
    /// Datagrams received, by kind, those that were discarded not counted.
    pub received: KindCounts,
    /// Datagrams discarded on arrival, by reason.
    pub discarded: DiscardCounts,
    /// Payload taken by `push`, in bytes, without the lengths of records.
    pub payload_bytes: u64,
    /// Data packets sent for the first time.
    pub packets_sent: u64,
    /// Packets asked for by NAKs, each NAK counted anew.
    pub packets_asked: u64,
    /// Packets not repaired because they had just been.
    pub suppressed_held_down: u64,
    /// Packets not repaired because they had left the window.
    pub suppressed_too_late: u64,
    /// Packets not repaired because the share of the rate that repair may use was spent.
    pub suppressed_over_budget: u64,
    /// Times that a subscriber was named because it was slow or quiet.
    pub slow_warned: u64,
    /// Subscribers let go because they held the others back.
    pub evicted_slow: u64,
    /// Subscribers let go because they said nothing.
    pub evicted_silent: u64,
    /// Subscribers removed: kicked, or not admitted any more.
    pub removed: u64,
    /// Steps of the circuit breaker, by the state they led to.
    pub breaker_steps: [u64; BreakerState::ALL.len()],
    /// Payload not taken because the circuit breaker had stopped a stream with a deadline, in
    /// bytes.
    pub payload_dropped: u64,
    /// Subscribers that proved their address.
    pub joins: u64,
    /// Subscribers that left, fell silent or were let go.
    pub leaves: u64,
    /// What unicast would have cost, in bytes on the wire: for each first transmission of a data
    /// packet the audience of that moment times its size with all headers, and each
    /// subscriber's reported wire losses times the size of a full one.
    pub unicast_equivalent_bytes: u64,
}
