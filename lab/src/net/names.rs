//! Names under which other programs find a lab's namespaces: `ip netns exec lab-s1 tshark …`.
//!
//! A name is a symbolic link in `/run/netns` to the owner's descriptor in `/proc`, not a mount as
//! `ip netns add` makes it: it keeps nothing alive, so that a lab whose process was killed leaves
//! no network behind, only links that lead nowhere and say whose they were.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    error::{Error, file},
    namespace::Namespace,
    signals,
};

/// A name; it goes when this value does, or at SIGINT or SIGTERM.
#[derive(Debug)]
pub(super) struct Name(PathBuf);

impl Name {
    /// Makes a namespace visible as `PREFIXname`.
    pub(super) fn publish(prefix: &str, namespace: &Namespace) -> Result<Self, Error> {
        let path = Path::new(DIRECTORY).join(format!("{prefix}{}", namespace.name()));
        fs::create_dir_all(DIRECTORY).map_err(file("create", DIRECTORY))?;
        signals::clean_up_at_signals();
        symlink(namespace.path(), &path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                taken(path.clone())
            } else {
                file("create", path.clone())(error)
            }
        })?;
        ours(|names| names.insert(path.clone()));
        Ok(Self(path))
    }

    /// The name itself, as `ip netns` takes it.
    pub(super) fn as_str(&self) -> &str {
        self.0.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        ours(|names| names.remove(&self.0));
        fs::remove_file(&self.0).ok(); // somebody else removed it: then it is gone, too
    }
}

/// Checks that names can begin like this.
pub(super) fn check_prefix(prefix: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && prefix.len() <= PREFIX_LIMIT && prefix.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::Prefix(prefix.to_owned()))
}

/// Removes the names with this prefix whose owner is dead, and returns them.
pub(super) fn remove_stale(prefix: &str) -> Result<Vec<String>, Error> {
    check_prefix(prefix)?;
    let entries = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(file("list", DIRECTORY))?,
    };
    let mut removed = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) && is_stale(&entry.path()) {
            fs::remove_file(entry.path()).map_err(file("remove", entry.path()))?;
            removed.push(name);
        }
    }
    removed.sort_unstable();
    Ok(removed)
}

/// Removes all names that this process made.
pub(super) fn remove_ours() {
    ours(|names| {
        for path in std::mem::take(names) {
            fs::remove_file(path).ok(); // nothing more can be done on the way out
        }
    });
}

/// A link to a process's descriptor that no longer is a network namespace. What is no link, as a
/// name by `ip netns add`, is not ours to judge.
fn is_stale(path: &Path) -> bool {
    let Ok(target) = fs::read_link(path) else {
        return false;
    };
    let to_descriptor = target.starts_with("/proc") && target.iter().any(|part| part == "fd");
    let alive = fs::read_link(&target).is_ok_and(|to| to.to_string_lossy().starts_with("net:["));
    to_descriptor && !alive
}

fn taken(path: PathBuf) -> Error {
    let target = fs::read_link(&path);
    let owner =
        target.map_or_else(|_| "made by `ip netns`".to_owned(), |to| to.display().to_string());
    Error::NameTaken { path, owner }
}

fn ours<T>(change: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    change(&mut OURS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Where `ip netns` looks.
const DIRECTORY: &str = "/run/netns";
/// With the longest name of a host it is still a file name.
const PREFIX_LIMIT: usize = 64;
