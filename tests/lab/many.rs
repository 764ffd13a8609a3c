//! A thousand streams in two processes.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::binaries;
use crate::program::Program;
use crate::stage::Stage;

#[test]
fn a_thousand_streams_cost_neither_threads_nor_much_memory() {
    let Some(stage) = Stage::new(1) else { return };
    let one = Running::start(&stage, 1);
    let few = one.cost();
    one.end();
    let running = Running::start(&stage, STREAMS);
    let many = running.cost();
    println!("one stream: {few:?}; {STREAMS}: {many:?}");
    for ((few, many), side) in few.into_iter().zip(many).zip(["publisher", "subscriber"]) {
        assert!(many.threads <= few.threads + 8, "{side}: {} threads", many.threads);
        let each = many.kib.saturating_sub(few.kib) / (STREAMS as u64 - 1);
        assert!(each <= 64, "{side}: {each} KiB for each stream");
    }
    running.deliver(&stage);
    running.end();
}

/// A publisher of live inputs, and a subscriber to all of them.
struct Running {
    publisher: Program,
    subscriber: Program,
    /// Streams that are written to a file, and that file while they go on.
    kept: Vec<(usize, PathBuf)>,
}

/// What a process takes.
#[derive(Clone, Copy, Debug)]
struct Cost {
    threads: u64,
    kib: u64,
}

impl Running {
    fn start(stage: &Stage, streams: usize) -> Self {
        let config = stage.path("streams.toml");
        fs::write(&config, (0..streams).map(stream).collect::<String>()).expect("write a config");
        let mut command = Command::new(binaries::file("publisher"));
        command.args(["run", "--json", config.to_str().expect("a path")]);
        let publisher = stage.start("pub", "publisher", command);
        let (mut args, mut kept) = (Vec::new(), Vec::new());
        for place in 0..streams {
            let mut output = "/dev/null".to_owned();
            if place % KEPT_EVERY == 0 {
                output = stage.path(&format!("{streams}-{place}")).display().to_string();
                kept.push((place, PathBuf::from(format!("{output}.part"))));
            }
            args.extend([group(place), "-o".to_owned(), output]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let subscriber = stage.subscriber("s1", &args);
        subscriber.wait_for_count("session", streams, PATIENCE);
        publisher.wait_for_count("subscriber_joined", streams, PATIENCE);
        Self { publisher, subscriber, kept }
    }

    fn cost(&self) -> [Cost; 2] {
        [self.publisher.pid(), self.subscriber.pid()].map(Cost::of)
    }

    /// A datagram to each input of those that are kept comes out of the stream that it is for.
    fn deliver(&self, stage: &Stage) {
        let places: Vec<usize> = self.kept.iter().map(|(place, _)| *place).collect();
        let send = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            for place in places {
                let said = format!("this is {place}");
                socket.send_to(said.as_bytes(), ("127.0.0.1", port(place))).expect("send");
            }
        };
        stage.host("pub").run(send).expect("a thread on a host");
        let deadline = Instant::now() + PATIENCE;
        for (place, path) in &self.kept {
            let said = format!("this is {place}");
            while fs::read(path).unwrap_or_default() != said.as_bytes() {
                assert!(Instant::now() < deadline, "{}: not \"{said}\"", path.display());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn end(self) {
        self.publisher.signal(Signal::SIGTERM);
        self.publisher.wait(PATIENCE).expect_code(0);
        self.subscriber.wait(PATIENCE).expect_code(0);
    }
}

impl Cost {
    fn of(process: Pid) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            let first = line.split_whitespace().next().expect("a number");
            first.parse().expect("a number")
        };
        Self { threads: number("Threads:"), kib: number("VmRSS:") }
    }
}

fn stream(place: usize) -> String {
    let (port, group) = (port(place), group(place));
    format!(
        "[[stream]]\nname = \"s{place}\"\ninput = \"udp://127.0.0.1:{port}\"\nto = \"{group}\"\n"
    )
}

fn port(place: usize) -> u16 {
    20_000 + u16::try_from(place).expect("a port")
}

fn group(place: usize) -> String {
    format!("udp://239.7.{}.{}:5000", place / 250, place % 250 + 1)
}

const STREAMS: usize = 1_000;

/// One stream in so many is written to a file.
const KEPT_EVERY: usize = 100;

const PATIENCE: Duration = Duration::from_secs(60);
