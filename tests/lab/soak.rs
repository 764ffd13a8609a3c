//! Minutes of everything that goes on at a switch: loss, cables pulled, subscribers that come, leave and
//! die, publishers that are started again. Memory and descriptors stay what they were, and every file
//! arrives whole.
//!
//! Twenty minutes unless `ONECAST_SOAK` says how long (`3m`, `90s`).

use std::{
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ChildStdin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use proto::units::SizeOrDuration;

use crate::{
    program::Program,
    stage::{MIB, Stage, same},
};

#[test]
#[ignore = "twenty minutes"]
fn memory_and_descriptors_stay_what_they_were_and_every_file_is_whole() {
    let Some(stage) = Stage::new(4) else { return };
    let length = length();
    let listeners = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, LASTING, &[]));
    listeners.iter().for_each(|one| _ = one.wait_for("joined", PATIENCE));
    let to = ["--to", LASTING, "--rate", "20M", "--retain", "16MiB", "--wait-for", "2,10s"];
    let mut publisher = stage.publisher_of_stdin(&to);
    let feeder = Feeder::start(publisher.input(), stage.path("source"));
    publisher.wait_for("started", PATIENCE);

    let watched = [&publisher, &listeners[0], &listeners[1]];
    let (start, mark) = (Instant::now(), (length / 4).min(Duration::from_secs(120)));
    let (mut settled, mut rounds) = (None, 0);
    while start.elapsed() < length {
        round(&stage, rounds);
        rounds += 1;
        let used = watched.map(Used::of);
        if start.elapsed() >= mark {
            settled.get_or_insert(used);
        }
        println!("{:.0?}, round {rounds}: {used:?}", start.elapsed());
    }
    // What comes and goes has come to rest, as it had at the mark.
    stage.lose("s1", 0);
    thread::sleep(Duration::from_secs(5));
    let (settled, last) = (settled.unwrap(), watched.map(Used::of));
    println!("after {mark:?} {settled:?}, at the end {last:?}");
    let source = feeder.stop();
    for (host, listener) in ["s1", "s2"].into_iter().zip(listeners) {
        listener.wait(LONG).expect_code(0);
        assert!(same(&source, &stage.output(host)), "{host} has another file");
    }
    let publisher = publisher.wait(LONG);
    // Whoever was killed is named, and nobody else.
    let unfinished = publisher.summary()["unfinished"].as_array().cloned().unwrap_or_default();
    assert!(unfinished.iter().all(|name| name == "s3"), "{unfinished:?}");
    for (settled, last) in settled.into_iter().zip(last) {
        assert!(last.descriptors <= settled.descriptors, "{settled:?} became {last:?}");
        let is_flat = last.memory * 100 <= settled.memory * 105;
        assert!(is_flat || length < Duration::from_secs(600), "{settled:?} became {last:?}");
    }
}

fn length() -> Duration {
    let text = env::var("ONECAST_SOAK").unwrap_or_else(|_| "20m".to_owned());
    match text.parse() {
        Ok(SizeOrDuration::Duration(length)) => length,
        other => panic!("ONECAST_SOAK={text}: {other:?}"),
    }
}

/// What a program has at one moment.
#[derive(Clone, Copy, Debug)]
struct Used {
    memory: u64,
    descriptors: usize,
}

impl Used {
    fn of(program: &Program) -> Self {
        Self { memory: program.memory(), descriptors: program.descriptors() }
    }
}

/// A quarter of a minute: a cable is pulled, somebody comes and goes, a file is sent, and the publisher
/// of every other one dies and is started again.
fn round(stage: &Stage, nth: usize) {
    stage.lose("s1", [2, 5, 0, 1][nth % 4]);
    let visitor = stage.subscriber("s3", &[LASTING, "-o", "/dev/null"]);
    visitor.wait_for("session", PATIENCE);
    stage.host("s2").set_cable(false).unwrap();
    thread::sleep(Duration::from_millis([300, 1_000, 2_500][nth % 3]));
    stage.host("s2").set_cable(true).unwrap();
    a_file(stage, nth);
    if nth.is_multiple_of(3) {
        visitor.signal(Signal::SIGKILL);
        visitor.wait(PATIENCE);
    } else {
        visitor.stop();
    }
    thread::sleep(Duration::from_secs(5));
}

fn a_file(stage: &Stage, nth: usize) {
    let file = stage.file("file", 8 * MIB, nth as u64);
    stage.lose("s4", 2);
    let subscriber = stage.subscriber_to_file("s4", PASSING, &[]);
    subscriber.wait_for("joined", PATIENCE);
    let args = [file.to_str().unwrap(), "--to", PASSING, "--rate", "20M"];
    let mut publisher = stage.publisher(&args);
    subscriber.wait_for("session", PATIENCE);
    if nth % 2 == 1 {
        thread::sleep(Duration::from_secs(1));
        publisher.signal(Signal::SIGKILL);
        publisher.wait(PATIENCE);
        publisher = stage.publisher(&args);
    }
    publisher.wait(LONG).expect_code(0);
    subscriber.wait(LONG).expect_code(0);
    assert!(same(&file, &stage.output("s4")), "round {nth}: another file");
}

/// Gives a publisher its input, and keeps what it gave.
struct Feeder {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    source: PathBuf,
}

impl Feeder {
    fn start(input: ChildStdin, source: PathBuf) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (is_over, source) = (Arc::clone(&is_over), source.clone());
            move || feed(input, &source, &is_over)
        });
        Self { is_over, thread, source }
    }

    /// Ends the input.
    fn stop(self) -> PathBuf {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.source
    }
}

fn feed(mut input: ChildStdin, source: &Path, is_over: &AtomicBool) {
    let mut chance = fastrand::Rng::with_seed(1);
    let mut kept = File::create(source).unwrap();
    let mut piece = vec![0; PIECE_LEN];
    while !is_over.load(Ordering::Relaxed) {
        chance.fill(&mut piece);
        kept.write_all(&piece).unwrap();
        input.write_all(&piece).unwrap();
        thread::sleep(PIECE_TIME);
    }
}

const LASTING: &str = "udp://239.1.2.3:5000";
const PASSING: &str = "udp://239.1.2.4:5000";
/// 5 Mbit/s.
const PIECE_LEN: usize = 62_500;
const PIECE_TIME: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(60);
