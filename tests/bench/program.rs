//! A program on a host of the lab: what it says, and what it used.
#![expect(unsafe_code, reason = "what one child used is told by wait4 alone, which nobody wraps")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lab::net::{Child, Host};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// A program that runs; it is killed when it is dropped.
pub(crate) struct Program {
    name: String,
    child: Option<Child>,
    pid: Pid,
    pub(crate) started: Instant,
    said: Arc<Mutex<Vec<Line>>>,
    readers: Vec<JoinHandle<()>>,
    peak_memory: u64,
    looked: Instant,
    ended: Option<Ended>,
}

/// A line that it wrote, and when.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) at: Instant,
    /// Time of a processor, of its own and in the kernel.
    pub(crate) cpu: Duration,
    /// The most memory that it had, in bytes.
    pub(crate) peak_memory: u64,
}

impl Program {
    pub(crate) fn start(host: &Host, command: Command) -> anyhow::Result<Self> {
        Self::start_reading(host, command, Stdio::null())
    }

    /// The same, with something to read from.
    pub(crate) fn start_reading(
        host: &Host,
        mut command: Command,
        stdin: Stdio,
    ) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = format!("{program} on {}", host.name());
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ONECAST_") {
                command.env_remove(variable);
            }
        }
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = host.spawn(command)?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id")?);
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(listen(stdout, &said));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(listen(stderr, &said));
        }
        let started = Instant::now();
        let child = Some(child);
        let (peak_memory, looked, ended) = (0, started, None);
        Ok(Self { name, child, pid, started, said, readers, peak_memory, looked, ended })
    }

    /// What it wrote so far, of stdout and stderr.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.said().clone()
    }

    /// The first line that contains this, if it came.
    pub(crate) fn line_with(&self, text: &str) -> Option<Line> {
        self.said().iter().find(|line| line.text.contains(text)).cloned()
    }

    /// Waits for a line that contains this.
    pub(crate) fn wait_for(&mut self, text: &str, within: Duration) -> anyhow::Result<Line> {
        let late = Instant::now() + within;
        loop {
            if let Some(line) = self.line_with(text) {
                return Ok(line);
            }
            if Instant::now() > late || self.has_ended()? {
                bail!("{} did not say `{text}`: {}", self.name, self.last_words());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            kill(self.pid, signal).ok(); // it may be at its end already
        }
    }

    /// How it ended, if it has; its account is read then.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        if self.ended.is_some() {
            return Ok(true);
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::Pid(self.pid), flags) == Ok(WaitStatus::StillAlive) {
            self.look_at_memory();
            return Ok(false);
        }
        let at = Instant::now();
        let (code, cpu) = reap(self.pid).with_context(|| format!("no account of {}", self.name))?;
        // Its handle would end another program that got its number.
        std::mem::forget(self.child.take());
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        self.ended = Some(Ended { code, at, cpu, peak_memory: self.peak_memory });
        Ok(true)
    }

    /// How it ended; an error if it runs.
    pub(crate) fn ended(&self) -> anyhow::Result<&Ended> {
        self.ended.as_ref().with_context(|| format!("{} has not ended", self.name))
    }

    /// The last JSON object that it wrote and that has this field.
    pub(crate) fn object_with(&self, field: &str) -> anyhow::Result<serde_json::Value> {
        let said = self.said();
        let objects = said.iter().rev().filter_map(|line| serde_json::from_str(&line.text).ok());
        let mut objects = objects.filter(|object: &serde_json::Value| object.get(field).is_some());
        objects.next().with_context(|| format!("{}: no {field}: {}", self.name, words(&said)))
    }

    pub(crate) fn last_words(&self) -> String {
        words(&self.said())
    }

    /// The kernel keeps the largest it ever was, but only while it runs.
    fn look_at_memory(&mut self) {
        if self.looked.elapsed() < MEMORY_EVERY {
            return;
        }
        self.looked = Instant::now();
        self.peak_memory = self.peak_memory.max(self.status("VmHWM:").unwrap_or_default());
    }

    /// What of its memory is in use now, in bytes; `None` once it has ended.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// What the kernel says of its memory, in bytes.
    fn status(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix(" kB")?.parse().ok().map(|kib: u64| kib << 10)
    }

    fn said(&self) -> MutexGuard<'_, Vec<Line>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until all have ended; kills none that has time left.
pub(crate) fn wait_for_all(programs: &mut [Program], within: Duration) -> anyhow::Result<()> {
    let late = Instant::now() + within;
    loop {
        let mut all = true;
        for program in &mut *programs {
            all &= program.has_ended()?;
        }
        if all {
            return Ok(());
        }
        if Instant::now() > late {
            let running = programs.iter().filter(|program| program.ended.is_none());
            let words: Vec<_> =
                running.map(|it| format!("{}: {}", it.name, it.last_words())).collect();
            bail!("not at the end after {within:?}: {}", words.join("\n"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn words(said: &[Line]) -> String {
    let last = said.iter().rev().take(5).rev();
    last.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" | ")
}

fn listen(pipe: impl Read + Send + 'static, said: &Arc<Mutex<Vec<Line>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        // Some write progress with carriage returns, some in bytes of their own.
        for bytes in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            let line = Line { at: Instant::now(), text };
            said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

/// Takes note of the end of a child, and of what it used.
fn reap(pid: Pid) -> io::Result<(Option<i32>, Duration)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are ours and large enough; the kernel writes them before it returns.
    let reaped = unsafe { libc::wait4(pid.as_raw(), &raw mut status, 0, usage.as_mut_ptr()) };
    if reaped != pid.as_raw() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: of integers alone, zeroed above and filled by the call, which succeeded.
    let usage = unsafe { usage.assume_init() };
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    Ok((code, time(usage.ru_utime) + time(usage.ru_stime)))
}

fn time(time: libc::timeval) -> Duration {
    let micros = time.tv_sec * 1_000_000 + time.tv_usec;
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Often enough to see a transfer of a second; seldom enough not to be seen in it.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
