//! The answering side, in a running subscriber.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{LINE_LEN_LIMIT, Reply, Request, directory};
use crate::config::{ControlConfig, Defaults, SubscriptionConfig};
use crate::endpoint;
use crate::output::{Crew, OnFull, OutputSpec};
use crate::snapshot::Published;
use crate::subscriber::Command;
use crate::subscription::Prepared;

/// A socket that others of this user ask at; its path goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    socket: Socket,
    path: PathBuf,
}

/// What it takes to answer.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) defaults: Defaults,
    /// Stdout carries events, so that no payload may go there.
    pub(crate) is_stdout_taken: bool,
    pub(crate) published: Arc<Published>,
    pub(crate) commands: Sender<Command>,
    pub(crate) crew: Crew,
}

impl ControlSocket {
    /// Opens it where `config` says.
    pub(crate) fn open(config: &ControlConfig) -> io::Result<Self> {
        let path = match config {
            ControlConfig::Path(path) => path.clone(),
            ControlConfig::Name(name) => directory::socket(&directory::open()?, name),
            ControlConfig::Process => {
                directory::socket(&directory::open()?, &std::process::id().to_string())
            }
        };
        remove_dead(&path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        // Before it is bound, so that it never stands there open to others.
        rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket, path })
    }

    /// Answers until `end` is ready.
    pub(crate) async fn serve(
        self,
        answering: Answering,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = self.socket.try_clone()?;
        let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(
            std::os::fd::OwnedFd::from(listener),
        ))?;
        tokio::pin!(end);
        loop {
            let stream = tokio::select! {
                () = &mut end => return Ok(()),
                accepted = listener.accept() => accepted?.0,
            };
            // One after the other: each takes a moment, and none may take longer.
            if let Ok(Err(error)) = timeout(PATIENCE, answering.answer(stream)).await {
                tracing::debug!(%error, "a control connection failed");
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // It may be gone with its directory.
        drop(fs::remove_file(&self.path));
    }
}

impl Answering {
    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        BufReader::new(read.take(LINE_LEN_LIMIT)).read_line(&mut line).await?;
        if line.is_empty() {
            // Someone looked whether anyone is here.
            return Ok(());
        }
        let reply = match serde_json::from_str(&line) {
            Ok(request) => self.reply_to(request).await,
            Err(error) => Reply::refused(format!("no such request: {error}")),
        };
        let mut answer = serde_json::to_vec(&reply)?;
        answer.push(b'\n');
        write.write_all(&answer).await
    }

    async fn reply_to(&self, request: Request) -> Reply {
        match request {
            Request::Join { endpoint, output, on_full } => {
                self.join(&endpoint, &output, on_full).await.into()
            }
            Request::Leave { endpoint } => self.leave(&endpoint).await.into(),
            Request::Status => Reply { streams: Some(self.published.status()), ..Reply::done() },
        }
    }

    async fn join(
        &self,
        endpoint: &str,
        output: &str,
        on_full: Option<OnFull>,
    ) -> Result<(), String> {
        let output: OutputSpec = output.parse().map_err(|error| format!("{error}"))?;
        if output == OutputSpec::Stdout && self.is_stdout_taken {
            return Err("stdout carries the events of --json: name a file with -o".to_owned());
        }
        let taken = |status: &crate::snapshot::Status| status.output == output.to_string();
        if !output.is_nowhere() && self.published.status().iter().any(taken) {
            return Err(format!("another subscription writes to {output} already"));
        }
        let (endpoint, interface) = endpoint::parse(endpoint).map_err(|error| error.to_string())?;
        let mut defaults = self.defaults.clone();
        defaults.interface = interface.or(defaults.interface);
        let config = SubscriptionConfig { on_full, ..defaults.subscription(endpoint, output) };
        let prepared =
            Prepared::new(config, self.crew.clone()).map_err(|error| error.to_string())?;
        self.command(|answer| Command::Join(Box::new(prepared), answer)).await
    }

    async fn leave(&self, endpoint: &str) -> Result<(), String> {
        let (endpoint, _) = endpoint::parse(endpoint).map_err(|error| error.to_string())?;
        self.command(|answer| Command::Leave(endpoint, answer)).await
    }

    async fn command(
        &self,
        make: impl FnOnce(crate::subscriber::Answer) -> Command,
    ) -> Result<(), String> {
        let ending = || "the subscriber is ending".to_owned();
        let (answer, answered) = oneshot::channel();
        self.commands.send(make(answer)).map_err(|_| ending())?;
        self.crew.waker.wake();
        answered.await.map_err(|_| ending())?
    }
}

/// What a subscriber that was killed left behind.
fn remove_dead(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let in_use =
        |what: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{} {what}", path.display()));
    if !found.file_type().is_socket() {
        return Err(in_use("is there already and is no socket"));
    }
    if StdStream::connect(path).is_ok() {
        return Err(in_use("is in use by a running subscriber"));
    }
    fs::remove_file(path)
}

/// Those who ask are few.
const BACKLOG: i32 = 16;

/// Whoever connects and says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
