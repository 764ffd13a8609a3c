//! Memory of publisher and subscribers at full rate: sampled each second, for a minute.
//!
//! The input is a pipe that never runs dry; every subscriber writes to nothing. Once without loss on
//! path A, where most bytes pass, and once at 1 % on path B, where windows are in use.

use std::io::{self, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::pipe::fcntl_setpipe_size;
use serde::Serialize;

use crate::cli::{Wanted, Way};
use crate::ours::Ours;
use crate::program::{Program, wait_for_all};
use crate::report::Report;
use crate::scene::Scene;
use crate::stage::Stage;

/// One program's memory.
#[derive(Clone, Debug, Serialize)]
struct Course {
    scene: String,
    program: String,
    /// What it is told to keep.
    kept_bytes: u64,
    /// Its resident set each second, from the first byte on; of several programs the largest.
    samples_bytes: Vec<u64>,
    megabytes_a_second: f64,
}

/// Each scene once, whatever the number of rounds.
pub(crate) fn measure(wanted: &Wanted, report: &Report) -> anyhow::Result<()> {
    let ours = Ours::new(wanted.programs.clone())?;
    let mut all = Vec::new();
    for (way, loss_percent) in [(Way::A, 0), (Way::B, 1)] {
        let scene = Scene { way, subscribers: SUBSCRIBERS, loss_percent, bytes: 0 };
        report.progress(&format!("memory for {} s, {scene}", wanted.seconds));
        let mut stage = Stage::build(way, SUBSCRIBERS)?;
        stage.set_loss(loss_percent)?;
        match watch(&ours, &stage, &scene, wanted.seconds) {
            Ok(courses) => all.extend(courses),
            Err(error) => report.progress(&format!("left out: {error:#}")),
        }
    }
    for course in &all {
        let name = format!("{}, {}", course.program, course.scene);
        report.json("steady", &name, course);
    }
    report.table(
        "Resident memory at full rate, MiB; 4 subscribers, of which the largest",
        &[
            "path N loss",
            "who",
            "kept",
            "after 1 s",
            "at the end",
            "largest",
            "over what is kept",
            "slope, MiB a minute",
            "MB/s",
            "seconds",
        ],
        all.iter().map(Course::row).collect(),
    );
    Ok(())
}

impl Course {
    fn row(&self) -> Vec<String> {
        let mib = |bytes: f64| format!("{:.1}", bytes / f64::from(1 << 20));
        let sample = |bytes: Option<&u64>| bytes.copied().unwrap_or_default() as f64;
        let largest = sample(self.samples_bytes.iter().max());
        vec![
            self.scene.clone(),
            self.program.clone(),
            mib(self.kept_bytes as f64),
            mib(sample(self.samples_bytes.first())),
            mib(sample(self.samples_bytes.last())),
            mib(largest),
            mib(largest - self.kept_bytes as f64),
            format!("{:.2}", self.slope() * 60.0 / f64::from(1 << 20)),
            format!("{:.0}", self.megabytes_a_second),
            self.samples_bytes.len().to_string(),
        ]
    }

    /// Of the straight line through what comes after the first sixth (10 s of a minute), in bytes a
    /// second.
    fn slope(&self) -> f64 {
        let from = self.samples_bytes.len() / 6;
        let points: Vec<(f64, f64)> = (0_u32..)
            .zip(&self.samples_bytes)
            .skip(from)
            .map(|(second, bytes)| (f64::from(second), *bytes as f64))
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|point| point.0), mean(|point| point.1));
        let rise: f64 = points.iter().map(|(at, bytes)| (at - middle) * (bytes - level)).sum();
        let run: f64 = points.iter().map(|(at, _)| (at - middle).powi(2)).sum();
        if run > 0.0 { rise / run } else { 0.0 }
    }
}

/// Publisher and subscribers for so long.
fn watch(ours: &Ours, stage: &Stage, scene: &Scene, seconds: u32) -> anyhow::Result<[Course; 2]> {
    let endpoint = format!("udp://{}", scene.group(110));
    let mut subscribers = subscribe(ours, stage, scene, &endpoint)?;
    let mut command = ours.command(stage, "publisher", "send", "--to");
    command.args([&endpoint, "--wait-for", &format!("{},20s", scene.subscribers)]);
    command.args(["--rate", "auto", "--retain", &RETAIN.to_string(), "-"]);
    let (input, stdin) = Input::endless()?;
    let mut publisher = [Program::start_reading(stage.publisher()?, command, stdin)?];
    let [first] = &mut publisher;
    let started = first.wait_for("\"started\"", PATIENCE)?.at;
    let (mut of_publisher, mut of_subscribers) = (Vec::new(), Vec::new());
    for second in 1..=seconds {
        thread::sleep(Duration::from_secs(second.into()).saturating_sub(started.elapsed()));
        of_publisher.push(largest(&publisher));
        of_subscribers.push(largest(&subscribers));
    }
    let bytes = input.end();
    let taken = started.elapsed().as_secs_f64();
    wait_for_all(&mut publisher, PATIENCE)?;
    wait_for_all(&mut subscribers, PATIENCE)?;
    for subscriber in &subscribers {
        let ended = subscriber.ended()?;
        ensure!(ended.code == Some(0), "a subscriber has not all: {}", subscriber.last_words());
    }
    let course = |program: &str, kept_bytes, samples_bytes| Course {
        scene: scene.short(),
        program: program.to_owned(),
        kept_bytes,
        samples_bytes,
        megabytes_a_second: bytes as f64 / taken / 1e6,
    };
    Ok([course("publisher", RETAIN, of_publisher), course("subscriber", WINDOW, of_subscribers)])
}

fn subscribe(
    ours: &Ours,
    stage: &Stage,
    scene: &Scene,
    endpoint: &str,
) -> anyhow::Result<Vec<Program>> {
    let mut subscribers = Vec::new();
    for host in stage.subscribers(scene.subscribers)? {
        let mut command = ours.command(stage, "subscriber", "receive", endpoint);
        let control = stage.path(&format!("{}.control", host.name()));
        command.args(["-o", "/dev/null", "--window", &WINDOW.to_string()]);
        command.args(["--name", host.name(), "--control"]).arg(control);
        let mut subscriber = Program::start(host, command)?;
        subscriber.wait_for("\"joined\"", PATIENCE)?;
        subscribers.push(subscriber);
    }
    Ok(subscribers)
}

fn largest(programs: &[Program]) -> u64 {
    programs.iter().filter_map(Program::memory).max().unwrap_or_default()
}

/// A pipe that never runs dry.
struct Input {
    is_over: Arc<AtomicBool>,
    /// Gives the bytes that it wrote.
    writer: JoinHandle<u64>,
}

impl Input {
    /// Itself, and the end to read from.
    fn endless() -> anyhow::Result<(Self, Stdio)> {
        let (reader, mut writer) = io::pipe().context("no pipe")?;
        fcntl_setpipe_size(&writer, PIECE_LEN).context("cannot make a pipe longer")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&is_over);
        let writer = thread::spawn(move || {
            let mut piece = vec![0; PIECE_LEN];
            fastrand::Rng::with_seed(1).fill(&mut piece);
            let mut written = 0;
            while !asked.load(Ordering::Relaxed) && writer.write_all(&piece).is_ok() {
                written += PIECE_LEN as u64;
            }
            written
        });
        Ok((Self { is_over, writer }, Stdio::from(reader)))
    }

    /// Ends it; gives the bytes that it had.
    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.writer.join().unwrap_or_default()
    }
}

const SUBSCRIBERS: usize = 4;

/// As the programs have them where nothing is said.
const RETAIN: u64 = 64 << 20;
const WINDOW: u64 = 32 << 20;

/// What a pipe may hold without a privilege.
const PIECE_LEN: usize = 1 << 20;

const PATIENCE: Duration = Duration::from_secs(60);
