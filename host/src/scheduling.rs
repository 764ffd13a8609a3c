//! When the scheduler lets a thread run.
#![expect(unsafe_code, reason = "sched_setattr: no crate wraps it")]

use std::io;

/// Has this thread run as soon as something wakes it, in the place of one that has used more of the
/// processor: it asks for short slices of 0.1 ms, which needs no privilege. Linux 6.12 and later do as asked
/// (`sched_attr::sched_runtime` of `SCHED_OTHER`, sched_setattr(2)); older ones change nothing.
///
/// # Errors
///
/// When the kernel refuses; nothing is changed then.
pub fn run_soon() -> io::Result<()> {
    let mut attributes = attributes()?;
    let is_fair = [libc::SCHED_OTHER, libc::SCHED_BATCH];
    // Real-time threads run first anyway.
    if !is_fair.iter().any(|policy| u32::try_from(*policy) == Ok(attributes.sched_policy)) {
        return Ok(());
    }
    attributes.sched_runtime = SLICE_NS;
    // SAFETY: the pointer is to a whole `sched_attr` that says its own size and outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attributes), 0) };
    done(result)
}

/// Those of this thread.
fn attributes() -> io::Result<libc::sched_attr> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(u32::MAX);
    // SAFETY: the kernel writes at most `size` bytes to where as many are.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, std::ptr::from_mut(&mut attributes), size, 0)
    };
    done(result)?;
    Ok(attributes)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The shortest that the kernel takes.
const SLICE_NS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slice_is_asked_for_and_nothing_else_changes() {
        let before = attributes().unwrap();
        run_soon().unwrap();
        let after = attributes().unwrap();
        assert_eq!(after.sched_policy, before.sched_policy);
        assert_eq!(after.sched_nice, before.sched_nice);
        assert!([SLICE_NS, before.sched_runtime].contains(&after.sched_runtime));
    }
}
