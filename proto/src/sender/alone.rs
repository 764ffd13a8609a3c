//! A message that nothing goes before: its datagram is written first, and whatever else follows from it
//! is done once that has left. What must run before it leaves is mostly not in the processor's cache when
//! a message comes after a while, and takes as long as to fetch it.

use super::burst::{Burst, Leaving};
use super::{Destination, Sender, Transmit};
use crate::wire::{Kind, StreamMode};
use crate::{SeqRange, Timestamp};

/// A datagram that [`Sender::write_alone`] wrote.
#[derive(Debug)]
#[must_use = "it is to be told to the sender that it left"]
pub struct Alone {
    /// Where it goes, and what it is.
    pub transmit: Transmit,
    burst: Burst,
    at: Timestamp,
    payload_bytes: u64,
}

impl Sender {
    /// Writes a message into `buf`, which is cleared, as a datagram of its own that may leave at once:
    /// where nothing waits to be sent, there is no linger, and neither pacer nor audience hold the
    /// stream back. It is taken, and is to leave before anything else is asked of the sender;
    /// [`Sender::on_left_alone`] is called then.
    ///
    /// `None`: it was not taken, and is to be pushed. That goes for signed streams, too.
    pub fn write_alone(
        &mut self,
        message: &[u8],
        now: Timestamp,
        buf: &mut Vec<u8>,
    ) -> Option<Alone> {
        if !self.may_leave_alone(now) || !self.packetizer.holds_alone(message.len()) {
            return None;
        }
        self.row.add(message).ok()?;
        let records = self.row.take().into_records();
        let (seq, cut) = (self.window.end(), self.packetizer.cut_alone(records));
        self.window.add(cut, now);
        let leaving = Leaving { kind: Kind::Data, to: Destination::Group, at: now };
        buf.clear();
        self.write_coded(leaving, seq, buf);
        let mut burst = Burst::default();
        burst.admits(buf.len(), 1);
        let payload_bytes = message.len() as u64;
        Some(Alone { transmit: burst.transmit(leaving), burst, at: now, payload_bytes })
    }

    /// What was written alone has left, in `buf`: it is counted, and what follows from it is done.
    pub fn on_left_alone(&mut self, alone: Alone, buf: &[u8]) {
        let Alone { burst, at, payload_bytes, .. } = alone;
        self.stats.payload_bytes += payload_bytes;
        let first = self.window.lead();
        self.window.on_sent(at);
        // As it does before each burst, the pacer looks at how much one may hold.
        self.burst_limit(usize::MAX, at);
        self.on_data_sent(SeqRange::new(first, self.window.lead()), burst.own(buf), at);
        let leaving = Leaving { kind: Kind::Data, to: Destination::Group, at };
        self.sent(leaving, burst, buf);
    }

    fn may_leave_alone(&self, now: Timestamp) -> bool {
        self.config.mode == StreamMode::Messages
            && self.config.linger.is_zero()
            && self.signer.is_none()
            && self.control.is_empty()
            && self.announce_due > now
            && self.phase.takes_payload()
            && !self.phase.is_waiting()
            && !self.breaker.is_stopped()
            && !self.window.has_unsent()
            && self.window.lead() < self.limit()
            && self.pacer.is_ready(now)
    }
}
