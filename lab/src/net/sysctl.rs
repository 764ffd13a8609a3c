//! Settings of the kernel that each network namespace has for itself.

use std::{fs, io, path::Path};

use super::error::{Error, file};

/// Sets one, in the namespace of the calling thread: `set("net/ipv4/ip_forward", "1")`.
pub(super) fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(name);
    fs::write(&path, value).map_err(file("set", path))
}

/// Sets one that not every kernel has; where it is absent there is nothing to set.
pub(super) fn set_if_present(name: &str, value: &str) -> Result<(), Error> {
    match set(name, value) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether this kernel has the setting, or the directory of settings.
pub(super) fn exists(name: &str) -> bool {
    Path::new("/proc/sys").join(name).exists()
}
