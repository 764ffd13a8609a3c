//! Memory that is given back to the system, and memory in huge pages.
#![expect(unsafe_code, reason = "mallopt and madvise: no crate wraps them safely")]

use std::io;

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

/// Has the kernel make huge pages of memory that was not touched yet, where whole ones lie in it and it has
/// some (`MADV_HUGEPAGE`, madvise(2)): a device that reads the memory is told of few pieces.
///
/// # Errors
///
/// When the kernel knows no huge pages; the memory is what it was.
pub fn in_huge_pages(memory: &mut [u8]) -> io::Result<()> {
    let inner = memory.as_ptr().align_offset(SMALL_PAGE_LEN);
    let Some(memory) = memory.get_mut(inner..) else { return Ok(()) };
    // SAFETY: the range is memory of ours, and advice on it changes nothing that is in it.
    let result =
        unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_HUGEPAGE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Of huge pages, of the processors that most have, in bytes: where one begins.
pub const HUGE_PAGE_LEN: usize = 2 << 20;

/// Advice is for whole pages.
const SMALL_PAGE_LEN: usize = 4 << 10;

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
    fn memory_in_huge_pages_is_memory() {
        let mut memory = vec![0_u8; 2 * HUGE_PAGE_LEN];
        if let Err(error) = in_huge_pages(&mut memory) {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "no huge pages here");
        }
        memory.fill(7);
        assert!(memory.iter().all(|byte| *byte == 7));
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
