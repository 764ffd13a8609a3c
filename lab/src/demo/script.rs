//! Who does what when.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Demo;
use super::program::Program;
use super::report::{HostReport, Report, Role};
use super::source::Source;
use super::stage::Stage;
use crate::net::LinkCounters;

/// The publisher, five subscribers, a bystander.
pub(super) const HOSTS: usize = 7;

/// The subscribers, in the order of joining, and what becomes of them.
const CAST: [(&str, Role); 5] = [
    ("s1", Role::Subscriber),
    ("s2", Role::Subscriber),
    ("s3", Role::Subscriber),
    ("s4", Role::Leaver),
    ("s5", Role::Late),
];
const BYSTANDER: &str = "s6";

/// The whole play.
pub(super) struct Script<'a> {
    demo: &'a Demo,
    stage: &'a Stage,
    source: &'a Source,
    started: Instant,
    bar: ProgressBar,
    publisher: Option<Program>,
    subscribers: Vec<Actor>,
}

/// A subscriber on the stage.
struct Actor {
    host: &'static str,
    role: Role,
    joined_at: Duration,
    program: Program,
    has_left: bool,
}

impl<'a> Script<'a> {
    pub(super) fn new(
        demo: &'a Demo,
        stage: &'a Stage,
        source: &'a Source,
    ) -> anyhow::Result<Self> {
        let bar = if demo.json { ProgressBar::hidden() } else { ProgressBar::new(source.len()) };
        let style = "{elapsed:>4} [{bar:30}] {bytes} of {total_bytes}  {msg}";
        bar.set_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
        if !demo.json {
            eprintln!("Where: {}.", stage.describe());
        }
        let started = Instant::now();
        Ok(Self { demo, stage, source, started, bar, publisher: None, subscribers: Vec::new() })
    }

    pub(super) fn play(mut self) -> anyhow::Result<Report> {
        for &(host, role) in CAST.iter().filter(|(_, role)| *role != Role::Late) {
            self.enter(host, role)?;
        }
        self.wait_for("the subscribers to join", |script| {
            Ok(script.subscribers.iter().all(|actor| actor.program.has_joined()))
        })?;
        let before = self.all_counters()?;
        self.publisher = Some(self.start_publisher()?);
        self.wait_for("half of it to be sent", |script| {
            Ok(script.sent_since(&before)? >= script.source.len() / 2)
        })?;
        self.leave()?;
        self.wait_for("more of it to be sent", |script| {
            Ok(script.sent_since(&before)? >= script.source.len() * 6 / 10)
        })?;
        self.late_joiner()?;
        self.wait_for("everyone to have everything", Self::all_ended)?;
        self.bar.finish_and_clear();
        let after = self.all_counters()?;
        self.report(&before, &after)
    }

    fn enter(&mut self, host: &'static str, role: Role) -> anyhow::Result<()> {
        let program = Program::start(self.stage, host, "subscriber", &self.receive_args(host))?;
        let joined_at = self.started.elapsed();
        self.subscribers.push(Actor { host, role, joined_at, program, has_left: false });
        Ok(())
    }

    fn receive_args(&self, host: &str) -> Vec<String> {
        let output = self.source.output(host);
        // Each its own chance, and the same again with every run.
        let seed = host.bytes().fold(0_u32, |seed, byte| seed * 31 + u32::from(byte));
        let impair = format!("loss={},seed={seed}", self.demo.loss);
        let args = [
            "receive",
            ENDPOINT,
            "--interface",
            self.stage.interface(),
            "--name",
            host,
            "--from",
            "oldest",
            "--window",
            WINDOW,
            "--impair",
            &impair,
            "--json",
            "-o",
        ];
        let args = args.into_iter().map(str::to_owned);
        args.chain([output.display().to_string()]).collect()
    }

    fn start_publisher(&self) -> anyhow::Result<Program> {
        let input = self.source.path().display().to_string();
        let retain = format!("{}", self.source.len().max(1 << 20));
        let args = [
            "send",
            &input,
            "--to",
            ENDPOINT,
            "--interface",
            self.stage.interface(),
            "--rate",
            RATE,
            "--retain",
            &retain,
            "--wait-for",
            "4",
            "--json",
        ];
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        Program::start(self.stage, "pub", "publisher", &args)
    }

    fn leave(&mut self) -> anyhow::Result<()> {
        for actor in self.subscribers.iter_mut().filter(|actor| actor.role == Role::Leaver) {
            actor.program.terminate()?;
            actor.has_left = true;
        }
        Ok(())
    }

    fn late_joiner(&mut self) -> anyhow::Result<()> {
        for &(host, role) in CAST.iter().filter(|(_, role)| *role == Role::Late) {
            self.enter(host, role)?;
        }
        Ok(())
    }

    /// Bytes that crossed the publisher's wire; on loopback, what it says that it sent.
    fn sent_since(&self, before: &[Counted]) -> anyhow::Result<u64> {
        let sent = match (self.stage.counters("pub")?, before.first()) {
            (Some(now), Some((_, Some(before)))) => now.since(before).tx_bytes,
            _ => self.publisher.as_ref().map_or(0, |publisher| publisher.progress("egress_bytes")),
        };
        self.bar.set_position(sent.min(self.source.len()));
        Ok(sent)
    }

    fn wait_for(
        &mut self,
        what: &'static str,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        self.bar.set_message(format!("waiting for {what}"));
        while !done(self)? {
            if self.started.elapsed() > LONGEST {
                bail!("{what} took too long. {}", self.complaints());
            }
            self.check_publisher()?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A publisher that failed at its start is no reason to wait.
    fn check_publisher(&mut self) -> anyhow::Result<()> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        match publisher.ended()?.and_then(|status| status.code()) {
            Some(1 | 2) => bail!("{}", publisher.complaints()),
            _ => Ok(()),
        }
    }

    fn complaints(&self) -> String {
        let programs = self.subscribers.iter().map(|actor| &actor.program).chain(&self.publisher);
        programs.map(Program::complaints).collect::<Vec<_>>().join("\n")
    }

    fn all_ended(&mut self) -> anyhow::Result<bool> {
        let mut all = true;
        let actors = self.subscribers.iter_mut().map(|actor| &mut actor.program);
        for program in actors.chain(&mut self.publisher) {
            all &= program.ended()?.is_some();
        }
        Ok(all)
    }

    fn all_counters(&self) -> anyhow::Result<Vec<Counted>> {
        let hosts = ["pub"].into_iter().chain(CAST.map(|(host, _)| host)).chain([BYSTANDER]);
        hosts.map(|host| Ok((host, self.stage.counters(host)?))).collect()
    }

    fn report(self, before: &[Counted], after: &[Counted]) -> anyhow::Result<Report> {
        let counted: Vec<Counted> = before.iter().zip(after).map(difference).collect();
        let crossed = |wanted: &str| {
            counted.iter().find(|(host, _)| *host == wanted).and_then(|(_, counters)| *counters)
        };
        let publisher = self.publisher.map_or(Ok(Value::Null), Program::summary)?;
        let mut hosts = Vec::new();
        for actor in self.subscribers {
            let summary = actor.program.summary()?;
            let joined = Some(actor.joined_at);
            hosts.push(HostReport::new(
                actor.host,
                actor.role,
                joined,
                &summary,
                crossed(actor.host),
            ));
        }
        hosts.push(HostReport::new(
            BYSTANDER,
            Role::Bystander,
            None,
            &Value::Null,
            crossed(BYSTANDER),
        ));
        let elapsed = self.started.elapsed();
        Ok(Report::new(self.source, &publisher, crossed("pub"), hosts, elapsed))
    }
}

type Counted = (&'static str, Option<LinkCounters>);

fn difference((before, after): (&Counted, &Counted)) -> Counted {
    let counters = after.1.zip(before.1).map(|(after, before)| after.since(&before));
    (after.0, counters)
}

/// A group of the range that every organisation may use as it likes (RFC 2365).
const ENDPOINT: &str = "udp://239.77.1.1:5000";

/// Slow enough to see who comes and goes, fast enough to end in seconds on two cores.
const RATE: &str = "160M";

/// A late joiner keeps the live stream while it is given the beginning.
const WINDOW: &str = "64MiB";

/// The demo is over in less than this, or something is wrong.
const LONGEST: Duration = Duration::from_secs(60);
