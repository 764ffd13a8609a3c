//! Memory that is given back to the system.
#![expect(unsafe_code, reason = "mallopt: no crate wraps it")]

/// Has chunks of memory go back to the system when they are forgotten, also later.
///
/// The C library of GNU begins so, but as soon as one of 256 KiB was forgotten it keeps all that are not
/// longer, so that a process stays as large as it was in its worst second. Elsewhere nothing is to be done.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number, under the allocator's own lock.
    let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LONG) } == 1;
    #[cfg(not(target_env = "gnu"))]
    let is_set = true;
    if !is_set {
        tracing::debug!("the allocator keeps what is forgotten");
    }
}

/// What the C library begins with, in bytes.
#[cfg(target_env = "gnu")]
const LONG: libc::c_int = 128 << 10;

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    fn resident_pages() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_forgotten_is_given_back_also_for_the_second_time() {
        give_back();
        let take = || (0..64).map(|_| black_box(vec![1_u8; 256 << 10])).collect::<Vec<_>>();
        drop(take());
        let before = resident_pages();
        let taken = take();
        let most = resident_pages();
        drop(taken);
        let left = resident_pages().saturating_sub(before);
        assert!(left < (most - before) / 2, "{left} of {} pages are left", most - before);
    }
}
