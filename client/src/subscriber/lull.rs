//! Waiting a little before the sockets are looked at again, so that more comes at once.
//!
//! At full speed a burst comes every 100 µs or so, and to be woken for each costs as much as to
//! read it. Where nobody looks at what is written while it comes, several are let come first: what a
//! network card does with its interrupts. Only where the kernel joins what comes, though: hundreds of
//! packets that wait each on its own leave the processor's cache before they are read, which costs more
//! than is won.

use std::time::Duration;

use proto::Timestamp;

use crate::socket::Received;

/// How fast the sockets fill.
#[derive(Debug, Default)]
pub(super) struct Lull {
    /// Bytes that were read since.
    bytes: u64,
    since: Timestamp,
    /// What the smallest buffer of those that were read holds, in bytes.
    room: u64,
}

impl Lull {
    /// A buffer was read from a socket which holds `room`.
    pub(super) fn on_read(&mut self, received: &Received<'_>, room: u64) {
        self.on_bytes(received.bytes.len() as u64, room);
    }

    fn on_bytes(&mut self, bytes: u64, room: u64) {
        if bytes < BURST {
            return;
        }
        self.bytes += bytes;
        self.room = if self.room == 0 { room } else { self.room.min(room) };
    }

    /// Whether to wait for [`LULL`], going by what was read since the last call: not where more than an
    /// eighth of the buffer would fill.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let Self { bytes, since, room } =
            std::mem::replace(self, Self { since: now, ..Self::default() });
        let filled = bytes as f64 * LULL.as_secs_f64() / now.since(since).as_secs_f64();
        bytes > 0 && filled < room as f64 / 8.0
    }
}

/// Less than this was not joined, or is no full speed.
const BURST: u64 = 16 << 10;

/// Several bursts of half a gigabyte a second; a repair that comes so much later holds nobody up.
pub(super) const LULL: Duration = Duration::from_micros(400);

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a burst of so many bytes every so many microseconds.
    fn waits(bytes: u64, every_us: u64, room: u64) -> bool {
        let mut lull = Lull::default();
        lull.take(Timestamp::ZERO);
        lull.on_bytes(bytes, room);
        lull.take(Timestamp(every_us * 1_000))
    }

    #[test]
    fn more_may_come_if_there_is_room_for_it() {
        let room = 4 << 20;
        assert!(waits(64 << 10, 100, room), "600 MB/s");
        assert!(!waits(64 << 10, 25, room), "2.6 GB/s");
        assert!(!waits(64 << 10, 100, 200 << 10), "a small buffer is read at once");
        assert!(!waits(1_472, 100, room), "a packet is no burst");
        assert!(!waits(64 << 10, 0, room), "nobody knows how fast it comes");
    }

    #[test]
    fn nothing_read_is_nothing_to_wait_for() {
        assert!(!Lull::default().take(Timestamp::from_secs(1)));
    }
}
