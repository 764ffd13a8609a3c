//! What outlives a killed process is its names in `/run/netns`: SIGINT and SIGTERM remove them.

use std::{fs, io, process, sync::Once, thread};

use tokio::signal::unix::{SignalKind, signal};

use super::names;

/// From now on SIGINT and SIGTERM remove this process's names before they end it.
///
/// A signal that the program handles already is left to it: it will drop its labs.
pub(super) fn clean_up_at_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handled = handled_signals();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            if handled & (1 << (kind.as_raw_value() - 1)) == 0 {
                // Without a thread the names stay until the next lab of their prefix removes them.
                thread::Builder::new()
                    .name("lab signals".to_owned())
                    .spawn(move || wait(kind))
                    .ok();
            }
        }
    });
}

fn wait(kind: SignalKind) {
    if wait_for(kind).is_ok() {
        names::remove_ours();
        process::exit(128 + kind.as_raw_value()); // as a shell reports a program killed by it
    }
}

fn wait_for(kind: SignalKind) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { signal(kind)?.recv().await.ok_or(io::ErrorKind::BrokenPipe.into()) })
}

/// The mask of `SigCgt` in `/proc/self/status`: bit n−1 stands for signal n.
fn handled_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
