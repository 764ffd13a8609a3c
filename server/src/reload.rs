//! The config file, read again while streams run: what can follow it does, what cannot is refused
//! by name and stays as it was.

mod plan;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::mpsc::Sender;
use std::time::Duration;

use host::key_file::Change;
use host::poller::Waker;
use host::reload::Reload;
use host::supervisor::Supervisor;
use proto::seal::Keyring;
use proto::wire::Name;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use self::plan::{Plan, Rekeyed};
use crate::admission::Admission;
use crate::config::{Config, ConfigError, StreamConfig};
use crate::input::Input;
use crate::publisher::{Addition, Command};
use crate::report::News;

/// When the config is to be read again, and how.
pub struct Reloader {
    requests: Reload,
    read: Box<dyn Fn() -> Result<Config, ConfigError> + Send>,
}

impl Reloader {
    /// Whenever `requests` are made, what `read` gives is followed.
    pub fn new(
        requests: Reload,
        read: impl Fn() -> Result<Config, ConfigError> + Send + 'static,
    ) -> Self {
        Self { requests, read: Box::new(read) }
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

/// Commands to the data thread.
#[derive(Clone)]
pub(crate) struct Commands {
    pub(crate) sender: Sender<Command>,
    pub(crate) waker: Waker,
}

impl Commands {
    pub(crate) fn send(&self, command: Command) {
        // A data thread that has ended has nothing to change.
        drop(self.sender.send(command));
        self.waker.wake();
    }
}

/// Has the data thread follow the config.
pub(crate) struct Follower {
    /// As it is in force.
    pub(crate) current: Config,
    pub(crate) commands: Commands,
    pub(crate) supervisor: Supervisor,
    pub(crate) reloader: Option<Reloader>,
    pub(crate) admission: Option<Admission>,
}

impl Follower {
    /// Waits until the config is to be read again.
    pub(crate) async fn requested(&self) {
        match &self.reloader {
            Some(reloader) => reloader.requests.requested().await,
            None => std::future::pending().await,
        }
    }

    /// Reads it, and changes what can be changed; gives back what there is to tell.
    pub(crate) async fn reload(&mut self) -> Option<News> {
        let reloader = self.reloader.as_ref()?;
        self.supervisor.reloading();
        let news = match (reloader.read)() {
            Ok(next) => self.follow(next).await,
            Err(error) => Err(error.into()),
        };
        self.supervisor.reloaded();
        news.inspect_err(|error| {
            tracing::error!("the config was not reloaded, all goes on as before: {error:#}");
        })
        .ok()
    }

    async fn follow(&mut self, next: Config) -> anyhow::Result<News> {
        let policy = next.admission.as_ref().map(|admission| admission.policy.clone());
        let Plan { added, removed, retuned, rekeyed, refused, warnings } =
            Plan::of(&self.current, next);
        // What cannot be read is found before anything is changed.
        let streams = self.current.streams.len() + added.len();
        let opened = open(&added, streams, !removed.is_empty())?;
        for line in &refused {
            tracing::error!("not reloaded: {line}");
        }
        for warning in warnings.iter().filter(|it| !self.current.warnings.contains(it)) {
            tracing::warn!("{warning}");
        }
        self.current.warnings = warnings;
        if let (Some(admission), Some(policy)) = (&self.admission, policy) {
            admission.follow(&policy);
        }
        for stream in &removed {
            self.commands.send(Command::Remove(stream.name.clone()));
            self.admission.iter().for_each(|admission| admission.withdraw(&stream.name));
            self.current.streams.retain(|other| other.name != stream.name);
        }
        for stream in &retuned {
            self.commands.send(Command::Retune(stream.name.clone(), stream.tuning()));
            let same = self.current.streams.iter_mut().find(|other| other.name == stream.name);
            if let Some(same) = same {
                *same = stream.clone();
            }
        }
        let mut changed: BTreeSet<String> =
            retuned.iter().map(|stream| stream.name.to_string()).collect();
        for Rekeyed { stream, keys, change } in rekeyed {
            changed.insert(stream.to_string());
            self.rekey(&stream, keys, change);
        }
        let mut started = Vec::new();
        for (stream, input) in added.into_iter().zip(opened) {
            let name = stream.name.to_string();
            match self.add(stream, input, streams).await {
                Ok(()) => started.push(name),
                Err(error) => tracing::error!("stream {name} was not added: {error:#}"),
            }
        }
        let news = News::Reloaded {
            added: started,
            removed: removed.iter().map(|stream| stream.name.to_string()).collect(),
            changed: changed.into_iter().collect(),
            refused,
        };
        Ok(news)
    }

    /// Goes on under the newest of the keys that a file has.
    fn rekey(&mut self, name: &Name, keys: Keyring, change: Change) {
        for (epoch, key) in change.added {
            tracing::info!(stream = name.as_str(), epoch, "sealed under the next key of its file");
            self.commands.send(Command::Rekey(name.clone(), epoch, key));
        }
        if let Some(stream) = self.current.streams.iter_mut().find(|other| other.name == *name) {
            stream.keys = Some(keys);
        }
    }

    /// Starts a stream; without `input`, as soon as its address is free.
    async fn add(
        &mut self,
        config: StreamConfig,
        input: Option<Input>,
        streams: usize,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + PORT_FREE_WITHIN;
        let input = match input {
            Some(input) => input,
            None => loop {
                match config.input.open(streams) {
                    Err(error) if is_in_use(&error) && Instant::now() < until => {
                        sleep(PORT_TRIED_EVERY).await;
                    }
                    opened => break opened?,
                }
            },
        };
        let (answer, answered) = oneshot::channel();
        let sealed = match &self.admission {
            Some(admission) => admission.seal(config.clone())?,
            None => config.clone(),
        };
        let addition = Addition { config: sealed, input, answer };
        self.commands.send(Command::Add(Box::new(addition)));
        answered.await??;
        self.current.streams.push(config);
        Ok(())
    }
}

/// Opens all inputs; none of one whose address may be that of a stream that `is_leaving`.
fn open(
    added: &[StreamConfig],
    streams: usize,
    is_leaving: bool,
) -> anyhow::Result<Vec<Option<Input>>> {
    let open = |stream: &StreamConfig| match stream.input.open(streams) {
        Ok(input) => Ok(Some(input)),
        Err(error) if is_leaving && is_in_use(&error) => Ok(None),
        Err(error) => Err(error.context(format!("stream {}", stream.name))),
    };
    added.iter().map(open).collect()
}

fn is_in_use(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// A stream that ends gives its input's port back within this, on a machine that has much to do.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(2);

const PORT_TRIED_EVERY: Duration = Duration::from_millis(20);
