//! A network of the test's own, in which a publisher runs.

use std::process::{Command, Output};

/// Runs the publisher in a fresh network namespace, after `script` has prepared it with lo up.
/// `None`, and a loud word, where none can be made.
pub(crate) fn publisher(script: &str, args: &[&str]) -> Option<Output> {
    let script = format!("set -e; (ip link set lo up; {script}) || exit 99; exec \"$0\" \"$@\"");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_publisher"))
        .args(args)
        .env("NO_COLOR", "1")
        .output();
    let why = match output {
        Ok(output) if output.status.code() == Some(99) => {
            String::from_utf8_lossy(&output.stderr).into_owned()
        }
        Ok(output) if output.stderr.starts_with(b"unshare:") => {
            String::from_utf8_lossy(&output.stderr).into_owned()
        }
        Ok(output) => return Some(output),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("CI").is_none(), "no network namespace can be made: {why}");
    eprintln!("SKIPPED: no network namespace can be made here: {why}");
    None
}
