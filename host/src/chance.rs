//! Random numbers from the system, for what must not be guessed.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// So many random bytes.
///
/// They come from getrandom(2): a generator of the program's own would gather entropy for 40 ms at
/// its start, and is worth that only to who needs more than some dozens of bytes.
///
/// # Errors
///
/// When the system gives none.
pub fn bytes<const LEN: usize>() -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let mut left = bytes.as_mut_slice();
    while !left.is_empty() {
        let filled = match getrandom(&mut *left, GetRandomFlags::empty()) {
            Err(rustix::io::Errno::INTR) => 0,
            filled => filled?,
        };
        left = left.get_mut(filled..).unwrap_or_default();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }
}
