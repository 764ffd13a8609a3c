//! Where control sockets are: a directory that only this user may enter.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory, made if it is not there, and checked to be this user's alone.
///
/// # Errors
///
/// When it cannot be made, or others may enter it.
pub fn open() -> io::Result<PathBuf> {
    let directory = path();
    match DirBuilder::new().mode(0o700).create(&directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    check(&directory)?;
    Ok(directory)
}

/// Where it is, or would be.
#[must_use]
pub fn path() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    let runtime = runtime.map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = PathBuf::from(format!("/run/user/{user}"));
    match runtime.or_else(|| of_user.is_dir().then_some(of_user)) {
        Some(runtime) => runtime.join("onecast"),
        None => PathBuf::from(format!("/tmp/onecast-{user}")),
    }
}

/// The socket of the program of this role (`publisher`, `subscriber`) with this name.
#[must_use]
pub fn socket(directory: &Path, role: &str, name: &str) -> PathBuf {
    directory.join(format!("{role}-{name}{SUFFIX}"))
}

/// The sockets of programs of this role in the directory, with their names.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn sockets(directory: &Path, role: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = file.strip_prefix(role).and_then(|name| name.strip_prefix('-'));
        let name = name.and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(name) = name {
            sockets.push((name.to_owned(), path.clone()));
        }
    }
    sockets.sort();
    Ok(sockets)
}

/// Another user could have made it in `/tmp` first, to hear what is said there.
fn check(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        let path = directory.display();
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{path} is not a directory of this user's alone (mode 0700)"),
        ));
    }
    Ok(())
}

const SUFFIX: &str = ".sock";
