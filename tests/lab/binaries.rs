//! Where the programs are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The file of `publisher`, `subscriber` or `lab`.
pub(crate) fn file(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(directory).join(name)
}

fn directory() -> PathBuf {
    if let Some(directory) = env::var_os("ONECAST_BIN") {
        return directory.into();
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), Into::into);
    let directory = workspace.join(target).join("release");
    if !PROGRAMS.iter().all(|name| directory.join(name).is_file()) {
        eprintln!("building the programs, which takes minutes");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(workspace).args(["build", "--release", "--bins"]);
        assert!(build.status().expect("run cargo").success(), "the programs cannot be built");
    }
    directory
}

const PROGRAMS: [&str; 3] = ["publisher", "subscriber", "lab"];
