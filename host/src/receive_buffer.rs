//! How large the receive buffers of a process are.

use proto::ByteCount;

/// What each of so many sockets asks for: what is read at once by one thread needs less of a buffer
/// each the more of them there are, and the kernel's memory is not endless.
#[must_use]
pub fn of_each(sockets: usize) -> ByteCount {
    let share = ALL / u64::try_from(sockets.max(1)).unwrap_or(u64::MAX);
    ByteCount(share.clamp(LEAST, LARGEST.0))
}

/// What a kernel with the usual limit of 4 MiB grants is 8 MiB of its own accounting: a second of
/// 60 Mbit/s, more than an encoder sends while a thread is held up.
pub const LARGEST: ByteCount = ByteCount(8 << 20);

/// Of all sockets together.
const ALL: u64 = 256 << 20;

/// Two bursts of the longest kind, or a quarter of a second of 8 Mbit/s: less would lose what one turn
/// of the thread leaves waiting.
const LEAST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_share_what_few_have_alone() {
        assert_eq!([0, 1, 32].map(of_each), [LARGEST; 3]);
        assert_eq!(of_each(64), ByteCount(4 << 20));
        assert_eq!(of_each(100_000), ByteCount(256 << 10));
    }
}
