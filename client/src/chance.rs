//! Random numbers from the system, for what must not be guessed.

use aws_lc_rs::rand;

/// 128 random bits.
pub(crate) fn number() -> u128 {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    u128::from_ne_bytes(bytes)
}

/// 32 random bytes.
pub(crate) fn seed() -> [u8; 32] {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    bytes
}

fn fill(bytes: &mut [u8]) {
    // It fails only where the system has no source of chance; aws-lc aborts there by itself.
    let filled = rand::fill(bytes);
    debug_assert!(filled.is_ok(), "the system has random numbers");
}
