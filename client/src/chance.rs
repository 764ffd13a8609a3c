//! Random numbers from the system, for what must not be guessed.

use host::chance;

/// 128 random bits.
pub(crate) fn number() -> u128 {
    u128::from_ne_bytes(bytes())
}

/// 32 random bytes.
pub(crate) fn seed() -> [u8; 32] {
    bytes()
}

fn bytes<const LEN: usize>() -> [u8; LEN] {
    // It fails only where the kernel is older than the call, from before 2014.
    chance::bytes().unwrap_or_else(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        std::process::abort();
    })
}
