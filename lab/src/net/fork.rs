//! What happens between fork and exec, the one place of `unsafe` in the lab.
#![expect(unsafe_code, reason = "std offers code between fork and exec only by an unsafe call")]

use std::{fs, io, os::unix::process::CommandExt, process::Command};

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Has the process killed when the thread that starts it ends, however it ends.
pub(super) fn die_with_thread(command: &mut Command) {
    let arrange = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: one system call (prctl), which is safe after fork; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(arrange) };
}

/// What to write into which file.
pub(super) type FileWrite = (&'static str, String);

/// Tries in a process of its own whether these namespaces may be created, and these files written
/// then; it ends without exec.
///
/// # Errors
///
/// The kernel's refusal.
pub(super) fn try_unshare(flags: CloneFlags, writes: Vec<FileWrite>) -> io::Result<()> {
    let attempt = move || {
        unshare(flags)?;
        writes.iter().try_for_each(|(path, content)| fs::write(path, content))?;
        Err(io::Error::from_raw_os_error(ALLOWED))
    };
    let mut command = Command::new("/");
    // SAFETY: system calls alone (unshare; open, write, close), which are safe after fork. What is
    // written was made before; std keeps a path this short on the stack, so nothing is allocated.
    unsafe { command.pre_exec(attempt) };
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(ALLOWED) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::Other.into()), // cannot be: the attempt never succeeds
    }
}

/// What the attempt fails with when unshare did not: an error that unshare does not have.
const ALLOWED: i32 = libc::ECANCELED;
