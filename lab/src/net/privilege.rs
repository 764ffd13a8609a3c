//! Whether this process may make networks, and how it comes to be allowed.

use std::{fs, io};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

use super::{
    error::Unavailable,
    fork::{self, FileWrite},
};

/// By what right a lab is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The process is root on this machine.
    Root,
    /// The process is root in a user namespace, and nobody outside it.
    UserNamespace,
}

/// Says by what right a lab can be built here, or in one sentence why it cannot.
///
/// Changes nothing: it tries in a process that ends at once. [`Privilege::UserNamespace`] is also
/// the answer of an unprivileged process that has yet to call [`enter_user_namespace`].
///
/// # Errors
///
/// Neither this process nor a user namespace may create networks.
pub fn available() -> Result<Privilege, Unavailable> {
    if allowed_already() {
        return Ok(current());
    }
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET;
    fork::try_unshare(flags, root_inside()).map_err(explain)?;
    Ok(Privilege::UserNamespace)
}

/// Gives an unprivileged process the right to make networks: it becomes root in a user namespace.
///
/// Call it first thing in `main`: the kernel allows it only while there is one thread. A process
/// that has the right already is left as it is. Files are still made in the name of the user who
/// started it, and its own network stays the machine's.
///
/// # Errors
///
/// The machine does not allow it, or there are threads already.
pub fn enter_user_namespace() -> Result<Privilege, Unavailable> {
    if allowed_already() {
        return Ok(current());
    }
    available()?;
    let writes = root_inside(); // who we are must be asked before
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| {
        if errno == Errno::EINVAL {
            Unavailable::NotEntered
        } else {
            Unavailable::Refused(errno.into())
        }
    })?;
    writes
        .iter()
        .try_for_each(|(path, content)| fs::write(path, content))
        .map_err(Unavailable::Mapping)?;
    Ok(Privilege::UserNamespace)
}

/// Says why a namespace that was refused with this error could not be created.
pub(super) fn why_refused(error: io::Error) -> Unavailable {
    match available() {
        Ok(Privilege::UserNamespace) if !allowed_already() => Unavailable::NotEntered,
        Ok(_) => Unavailable::Refused(error),
        Err(reason) => reason,
    }
}

fn allowed_already() -> bool {
    fork::try_unshare(CloneFlags::CLONE_NEWNET, Vec::new()).is_ok()
}

/// Who is root here: in the machine's own user namespace every id stands for itself.
fn current() -> Privilege {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    match map.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["0", "0", "4294967295"] => Privilege::Root,
        _ => Privilege::UserNamespace,
    }
}

/// Maps root inside to the caller outside (`man 7 user_namespaces`); groups must be given up first.
fn root_inside() -> Vec<FileWrite> {
    vec![
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {} 1", geteuid())),
        ("/proc/self/gid_map", format!("0 {} 1", getegid())),
    ]
}

/// Finds the switch that forbids user namespaces.
fn explain(error: io::Error) -> Unavailable {
    if setting("/proc/sys/user/max_user_namespaces") == Some(0) {
        Unavailable::UserNamespacesOff
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        Unavailable::OnlyRoot
    } else if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        Unavailable::AppArmor
    } else {
        Unavailable::Refused(error)
    }
}

fn setting(path: &str) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
