//! A network namespace: a network stack of its own, entered by threads.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    panic,
    path::PathBuf,
    process, thread,
    thread::JoinHandle,
};

use nix::sched::{CloneFlags, setns, unshare};

use super::{
    error::{Error, refused},
    privilege,
};

/// A network namespace, which lives as long as this value, a thread, a process or a socket in it.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    fd: OwnedFd,
}

impl Namespace {
    /// Creates one with nothing in it but a loopback interface that is down.
    pub(super) fn create(name: &str) -> Result<Self, Error> {
        let fd = thread::scope(|scope| join(builder(name).spawn_scoped(scope, new_namespace)?))
            .map_err(|error| {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    privilege::why_refused(error).into()
                } else {
                    refused("create network namespace", name)(error)
                }
            })?;
        Ok(Self { name: name.to_owned(), fd })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where other programs find it while this process lives.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", process::id(), self.fd.as_raw_fd()))
    }

    /// Moves the calling thread into it, for good.
    pub(super) fn enter(&self) -> io::Result<()> {
        enter(self.fd.as_fd())
    }

    /// Runs the closure on a thread inside and waits for it; a panic goes on in the caller.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let inside = || self.enter().map(|()| work());
        thread::scope(|scope| join(builder(&self.name).spawn_scoped(scope, inside)?))
            .map_err(refused("run a thread in", &self.name))
    }

    /// As [`Self::run`], for work that fails as the lab does.
    pub(super) fn try_run<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.run(work)?
    }

    /// Starts a thread inside.
    pub(super) fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, Error> {
        let start = || {
            let fd = self.fd.try_clone()?;
            builder(&self.name).spawn(move || {
                enter(fd.as_fd())?;
                drop(fd); // the thread itself keeps the namespace alive
                Ok(work())
            })
        };
        start().map_err(refused("start a thread in", &self.name))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Leaves the calling thread in a new namespace and returns the handle that keeps it.
fn new_namespace() -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

fn enter(fd: BorrowedFd<'_>) -> io::Result<()> {
    setns(fd, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// Threads are named after their host: `ps -L` and panics then say where.
fn builder(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}
