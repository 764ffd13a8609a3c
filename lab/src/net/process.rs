//! Programs inside the lab. They never outlive it.

use std::{
    io::{self, Read},
    ops::{Deref, DerefMut},
    process::{self, Command, Output},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use super::{
    error::{Error, refused},
    fork,
    namespace::Namespace,
};

/// A program that runs inside the lab; it is killed when this value, the lab, or this process ends.
#[derive(Debug)]
pub struct Child(process::Child);

impl Child {
    /// Waits for its end and takes what it wrote to the pipes that it was given.
    ///
    /// # Errors
    ///
    /// A pipe broke.
    pub fn output(mut self) -> io::Result<Output> {
        drop(self.0.stdin.take());
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (stdout, stderr) = thread::scope(|scope| {
            let reader = scope.spawn(|| drain(stderr));
            (drain(stdout), reader.join())
        });
        let stderr = stderr.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Output { status: self.0.wait()?, stdout: stdout?, stderr })
    }
}

impl Deref for Child {
    type Target = process::Child;

    fn deref(&self) -> &process::Child {
        &self.0
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut process::Child {
        &mut self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has been waited for already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn drain(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The one thread that starts programs. The kernel kills them when it ends.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Spawner {
    pub(super) fn start() -> Result<Self, Error> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let thread = thread::Builder::new()
            .name("lab spawner".to_owned())
            .spawn(move || inbox.into_iter().for_each(Order::carry_out))
            .map_err(refused("start the thread", "that starts programs"))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Starts a program in a namespace.
    pub(super) fn spawn(
        &self,
        namespace: &Arc<Namespace>,
        command: Command,
    ) -> Result<Child, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let (reply, answer) = mpsc::sync_channel(1);
        let order = Order { namespace: Arc::clone(namespace), command, reply };
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        let started =
            if sent { answer.recv().unwrap_or_else(|_| Err(gone())) } else { Err(gone()) };
        started.map(Child).map_err(refused("start", program))
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // a panic of its own has been printed
        }
    }
}

#[derive(Debug)]
struct Order {
    namespace: Arc<Namespace>,
    command: Command,
    reply: mpsc::SyncSender<io::Result<process::Child>>,
}

impl Order {
    fn carry_out(mut self) {
        fork::die_with_thread(&mut self.command);
        let started = self.namespace.enter().and_then(|()| self.command.spawn());
        self.reply.send(started).ok(); // whoever asked has gone, and the child's handle with it
    }
}
