//! A program, and what it says of itself: lines of JSON on its stdout.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

use super::stage::{Running, Stage};

/// A publisher or a subscriber that runs on a host.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    running: Running,
    said: Arc<Mutex<Said>>,
    readers: Vec<JoinHandle<()>>,
}

/// What a program has said so far.
#[derive(Debug, Default)]
struct Said {
    /// The newest line of each kind of event.
    progress: Option<Value>,
    joined: bool,
    started: Option<Instant>,
    summary: Option<Value>,
    /// The last lines of its stderr.
    complaints: String,
}

impl Program {
    /// Starts `lab ROLE …` on a host.
    pub(crate) fn start(
        stage: &Stage,
        host: &str,
        role: &str,
        args: &[String],
    ) -> anyhow::Result<Self> {
        let lab = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(lab);
        command.arg(role).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = stage.spawn(host, command)?;
        let said = Arc::new(Mutex::new(Said::default()));
        let child = running.child();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let said = Arc::clone(&said);
            readers.push(thread::spawn(move || read_lines(stdout, &said)));
        }
        if let Some(stderr) = child.stderr.take() {
            let said = Arc::clone(&said);
            readers.push(thread::spawn(move || read_complaints(stderr, &said)));
        }
        Ok(Self { name: format!("{role} on {host}"), running, said, readers })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a subscriber has joined its group.
    pub(crate) fn has_joined(&self) -> bool {
        self.said().joined
    }

    /// When the first byte of a publisher was on its way.
    pub(crate) fn started_at(&self) -> Option<Instant> {
        self.said().started
    }

    /// A number of the newest progress line.
    pub(crate) fn progress(&self, field: &str) -> u64 {
        self.said().progress.as_ref().and_then(|line| line.get(field)?.as_u64()).unwrap_or(0)
    }

    /// Asks it to end, as a person would.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.running.child().id()).context("a process id")?;
        let process = nix::unistd::Pid::from_raw(id);
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM)
            .with_context(|| format!("cannot end {}", self.name))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let ended = self.running.child().try_wait();
        ended.with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Its summary; it must have ended.
    pub(crate) fn summary(mut self) -> anyhow::Result<Value> {
        for reader in std::mem::take(&mut self.readers) {
            drop(reader.join());
        }
        let summary = self.said().summary.take();
        let Some(summary) = summary else {
            bail!("{} ended without a summary: {}", self.name, self.said().complaints.trim())
        };
        Ok(summary)
    }

    /// What it complained of, for a message of our own.
    pub(crate) fn complaints(&self) -> String {
        format!("{}: {}", self.name, self.said().complaints.trim())
    }
}

fn read_lines(stdout: impl Read, said: &Mutex<Said>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        match value.get("event").and_then(Value::as_str) {
            Some("progress") => said.progress = Some(value),
            Some("joined") => said.joined = true,
            Some("started") => said.started = Some(Instant::now()),
            Some("summary") => said.summary = Some(value),
            _ => {}
        }
    }
}

fn read_complaints(stderr: impl Read, said: &Mutex<Said>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.complaints.push_str(&line);
        said.complaints.push('\n');
        let excess = said.complaints.len().saturating_sub(COMPLAINTS_KEPT);
        if excess > 0 {
            let cut = said.complaints.ceil_char_boundary(excess);
            said.complaints.drain(..cut);
        }
    }
}

/// Enough for the last message of a program that failed.
const COMPLAINTS_KEPT: usize = 2_000;
