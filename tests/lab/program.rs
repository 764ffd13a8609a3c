//! A program that runs on a host, and what it says: lines of JSON on stdout, a log on stderr.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lab::net::{Child, Node};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use serde_json::Value;

/// A program; it is killed when it is dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
    started: Instant,
}

#[derive(Default)]
struct Said {
    words: Mutex<Words>,
    more: Condvar,
}

#[derive(Default)]
struct Words {
    events: Vec<Event>,
    lines: Vec<String>,
    log: String,
}

/// A line of JSON, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) value: Value,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) code: Option<i32>,
    pub(crate) at: Instant,
    /// Time of a processor that it used.
    pub(crate) cpu: Duration,
    pub(crate) events: Vec<Event>,
    pub(crate) log: String,
}

impl Program {
    pub(crate) fn start_at(node: &Node, name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_with_input(node, name, command)
    }

    /// As [`Self::start_at`], with the stdin that the command has.
    pub(crate) fn start_with_input(node: &Node, name: &str, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = node.spawn(command).expect("start a program");
        let said = Arc::new(Said::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let said = Arc::clone(&said);
            readers.push(thread::spawn(move || said.hear(stdout, Words::on_stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            let said = Arc::clone(&said);
            readers.push(thread::spawn(move || said.hear(stderr, Words::on_stderr)));
        }
        Self { name: name.to_owned(), child, said, readers, started: Instant::now() }
    }

    /// Its stdin, if that is a pipe; once.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// All events of this name so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Event> {
        self.said.words().events.iter().filter(|event| event.is(name)).cloned().collect()
    }

    /// Lines of stdout that are no JSON, so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.words().lines.clone()
    }

    pub(crate) fn log(&self) -> String {
        self.said.words().log.clone()
    }

    /// Waits for an event, and returns the first of its name.
    pub(crate) fn wait_for(&self, name: &str, within: Duration) -> Event {
        self.wait_until(name, within, |_| true)
    }

    /// Waits for an event that is as wanted.
    pub(crate) fn wait_until(
        &self,
        name: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Event {
        self.wait_for_words(&format!("event {name}"), within, |words| {
            words.events.iter().find(|event| event.is(name) && wanted(&event.value)).cloned()
        })
    }

    /// Waits until there are so many events of a name.
    pub(crate) fn wait_for_count(&self, name: &str, count: usize, within: Duration) {
        self.wait_for_words(&format!("{count} events {name}"), within, |words| {
            (words.events.iter().filter(|event| event.is(name)).count() >= count).then_some(())
        });
    }

    /// Waits for a line on stdout or stderr that contains this.
    pub(crate) fn wait_for_text(&self, text: &str, within: Duration) {
        self.wait_for_words(&format!("`{text}`"), within, |words| {
            let said =
                words.log.contains(text) || words.lines.iter().any(|line| line.contains(text));
            said.then_some(())
        });
    }

    fn wait_for_words<T>(
        &self,
        what: &str,
        within: Duration,
        find: impl Fn(&Words) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + within;
        let mut words = self.said.words();
        loop {
            if let Some(found) = find(&words) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}: no {what} within {within:?}: {words}", self.name);
            let waited = self.said.more.wait_timeout(words, left);
            words = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at a program").is_none()
    }

    /// The most memory that it had so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory_as("VmHWM:")
    }

    /// The memory that it has, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory_as("VmRSS:")
    }

    /// Files and sockets that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    fn memory_as(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        1024 * kib.unwrap_or_else(|| panic!("{} has ended: {}", self.name, self.log()))
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(self.pid()), flags) == Ok(WaitStatus::StillAlive) {
            let late = Instant::now() > deadline;
            assert!(!late, "{} has not ended after {within:?}: {}", self.name, self.said.words());
            thread::sleep(Duration::from_millis(2));
        }
        let (at, cpu) = (Instant::now(), cpu_of(self.pid()));
        let status = self.child.wait().expect("wait for a program");
        for reader in self.readers.drain(..) {
            reader.join().expect("read a program");
        }
        let words = self.said.words();
        let (events, log) = (words.events.clone(), words.log.clone());
        Ended { name: self.name.clone(), code: status.code(), at, cpu, events, log }
    }

    /// Ends it as a person would, and waits.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.wait(Duration::from_secs(10))
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }
}

impl Ended {
    pub(crate) fn events(&self, name: &str) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.is(name))
    }

    /// What it says when it ends.
    pub(crate) fn summary(&self) -> &Value {
        let summary = self.events("summary").last();
        &summary.unwrap_or_else(|| panic!("{} without a summary: {}", self.name, self.log)).value
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        let value = &self.summary()[field];
        value.as_u64().unwrap_or_else(|| panic!("{}: no {field}: {}", self.name, self.summary()))
    }

    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}: {:?}\n{}", self.name, self.events.last(), self.log);
        self
    }
}

impl Event {
    fn is(&self, name: &str) -> bool {
        self.value["event"] == name
    }
}

impl Said {
    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, pipe: impl Read, take: fn(&mut Words, String)) {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            take(&mut self.words(), line);
            self.more.notify_all();
        }
    }
}

impl Words {
    fn on_stdout(&mut self, line: String) {
        match serde_json::from_str(&line) {
            Ok(value) => self.events.push(Event { at: Instant::now(), value }),
            Err(_) => self.lines.push(line),
        }
    }

    fn on_stderr(&mut self, line: String) {
        self.log.push_str(&line);
        self.log.push('\n');
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.events.iter().rev().take(5).map(|event| event.value.to_string());
        write!(f, "last events {:#?}\n{}", last.collect::<Vec<_>>(), self.log)
    }
}

/// User and system time of a process that may have ended but was not waited for (`proc(5)`).
fn cpu_of(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    Duration::from_millis(fields.iter().sum::<u64>() * MILLIS_A_TICK)
}

/// The kernel counts in hundredths of a second for user space (`USER_HZ`).
const MILLIS_A_TICK: u64 = 10;
