//! One machine of the lab: a namespace in which threads and programs run.

use std::{
    io,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    error::{Error, refused},
    names::Name,
    namespace::Namespace,
    netlink::Netlink,
    process::{Child, Spawner},
};

/// A machine of the lab: a host, a router or a switch.
#[derive(Debug)]
pub struct Node {
    namespace: Arc<Namespace>,
    spawner: Arc<Spawner>,
    visible: Option<Name>,
}

impl Node {
    /// Creates it, with a name for other programs if there is a prefix.
    pub(super) fn create(
        name: &str,
        prefix: Option<&str>,
        spawner: &Arc<Spawner>,
    ) -> Result<Self, Error> {
        let namespace = Namespace::create(name)?;
        let visible = prefix.map(|prefix| Name::publish(prefix, &namespace)).transpose()?;
        Ok(Self { namespace: Arc::new(namespace), spawner: Arc::clone(spawner), visible })
    }

    /// Its name in the lab: `pub`, `s1`, `sw`, ….
    #[must_use]
    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Its name for `ip netns exec`, if the lab was built with one.
    #[must_use]
    pub fn visible_name(&self) -> Option<&str> {
        self.visible.as_ref().map(Name::as_str)
    }

    /// A file that stands for its network namespace while the lab lives, as `nsenter --net=` takes it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// Runs the closure on a thread of this machine and waits for it. Sockets that it opens stay
    /// on this machine wherever they are used. A panic goes on in the caller.
    ///
    /// # Errors
    ///
    /// No thread could be started there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.namespace.run(work)
    }

    /// Starts a thread on this machine; threads that it starts are there as well.
    ///
    /// # Errors
    ///
    /// No thread could be started; the handle's own error is that it could not enter.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, Error> {
        self.namespace.start(work)
    }

    /// Starts a program on this machine. It is killed when the handle is dropped, when the lab is,
    /// and when this process ends, however it ends.
    ///
    /// # Errors
    ///
    /// The program could not be started.
    pub fn spawn(&self, command: Command) -> Result<Child, Error> {
        self.spawner.spawn(&self.namespace, command)
    }

    /// Runs a program on this machine to its end and takes what it wrote.
    ///
    /// # Errors
    ///
    /// The program could not be started. That it failed is in its status.
    pub fn output(&self, mut command: Command) -> Result<Output, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(command)?.output().map_err(refused("read the output of", program))
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs what fails as the lab does on a thread of this machine.
    pub(super) fn try_run<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.namespace.try_run(work)
    }

    /// As [`Self::try_run`], with a socket to this machine's part of the kernel.
    pub(super) fn with_netlink<T: Send>(
        &self,
        work: impl FnOnce(&Netlink) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.try_run(|| work(&open(self.name())?))
    }
}

/// Opens a socket to the kernel in the namespace of the calling thread.
pub(super) fn open(name: &str) -> Result<Netlink, Error> {
    Netlink::route().map_err(refused("open a netlink socket in", name))
}
