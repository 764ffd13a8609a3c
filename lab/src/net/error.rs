//! What can go wrong with a lab, to what, and what to do about it.

use std::{io, path::PathBuf, time::Duration};

/// Why a lab was not built, or does not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This process may not make networks here.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),

    /// The kernel refused one step.
    #[error("cannot {action} {subject}")]
    Refused {
        /// What was to be done, as in "cannot *create bridge* br0".
        action: &'static str,
        /// To what.
        subject: String,
        /// The kernel's reason.
        source: io::Error,
    },

    /// A file that the lab writes or reads is not as it should be.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// More or fewer hosts than a segment can hold.
    #[error("a segment has 1 to {limit} hosts, not {asked}")]
    HostCount {
        /// As many as were asked for.
        asked: usize,
        /// As many as there are addresses for.
        limit: usize,
    },

    /// Nobody has this name.
    #[error("there is no host {name:?} in this lab: it has {known}")]
    NoSuchHost {
        /// The name that was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },

    /// A living lab, or somebody else, has a namespace of this name.
    #[error(
        "{} exists and is in use: give the lab another prefix, or end its owner ({owner})",
        path.display()
    )]
    NameTaken {
        /// Where the name is.
        path: PathBuf,
        /// What it stands for.
        owner: String,
    },

    /// A prefix that cannot begin a file name.
    #[error(
        "{0:?} cannot begin the name of a namespace: use 1 to 64 letters, digits, '-', '_' or '.'"
    )]
    Prefix(String),

    /// The switch still sends to everybody, or not yet to anybody.
    #[error("the switch {switch} did not settle within {waited:?}: {state}")]
    NotSettled {
        /// Which switch.
        switch: String,
        /// How long was waited.
        waited: Duration,
        /// What was seen last.
        state: String,
    },
}

/// Why this process cannot make networks of its own, in one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// `user.max_user_namespaces` is 0.
    #[error(
        "this process may not make networks by itself, and user namespaces are switched off on this machine: \
         run it as root, or `sysctl -w user.max_user_namespaces=10000`"
    )]
    UserNamespacesOff,

    /// Debian's older switch.
    #[error(
        "this process may not make networks by itself, and only root may create user namespaces on this machine: \
         run it as root, or `sysctl -w kernel.unprivileged_userns_clone=1`"
    )]
    OnlyRoot,

    /// Ubuntu's switch, since 23.10.
    #[error(
        "this process may not make networks by itself, and AppArmor gives unprivileged user namespaces no rights: \
         run it as root, or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    AppArmor,

    /// No switch explains it: a container's filter, or a limit that is used up.
    #[error(
        "the kernel refuses network namespaces to this process ({0}): run it as root, and in a \
         container with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    )]
    Refused(io::Error),

    /// It would work, had it been asked for in time.
    #[error(
        "this process has not entered a user namespace: call `lab::net::enter_user_namespace` \
         first thing in `main`, before any thread is started, or run it as root"
    )]
    NotEntered,

    /// The identity inside the namespace could not be set.
    #[error("this process entered a user namespace but could not become root in it ({0})")]
    Mapping(io::Error),
}

/// Says what failed, for `map_err`.
pub(super) fn refused<S: Into<String>>(
    action: &'static str,
    subject: S,
) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Refused { action, subject: subject.into(), source }
}

/// Says which file failed, for `map_err`.
pub(super) fn file<P: Into<PathBuf>>(
    action: &'static str,
    path: P,
) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { action, path: path.into(), source }
}
