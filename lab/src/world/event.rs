//! What is under way.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::Timestamp;
use proto::receiver::Via;

use super::parcel::Parcel;

/// Something that arrives.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    pub(super) order: u64,
    pub(super) what: Arrival,
}

/// What arrives, and where.
#[derive(Debug)]
pub(super) enum Arrival {
    /// At every listener of a class of delay.
    Group { packet: Arc<Parcel>, class: usize },
    /// At one listener.
    One { packet: Arc<Parcel>, listener: usize, via: Via },
    /// At the link of one listener.
    Unicast { packet: Arc<Parcel>, listener: usize },
    /// At the crowd.
    Crowd { packet: Arc<Parcel> },
    /// At the sender.
    Feedback { packet: Box<Parcel>, from: SocketAddr },
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
