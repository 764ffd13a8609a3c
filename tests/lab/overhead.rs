//! What it costs to be watched.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Pid;

use crate::{
    program::Program,
    scrape::{ADDRESS, scrape},
    stage::Stage,
};

/// Prints it; a machine that is busy with other things proves nothing.
#[test]
fn what_scrapes_and_an_open_page_cost_at_full_rate() {
    let Some(stage) = Stage::new(1) else { return };
    // More than can be sent in that time, without a block on the disk.
    let file = stage.path("file");
    File::create(&file).and_then(|file| file.set_len(64 << 30)).expect("make a file");
    let subscriber = stage.subscriber("s1", &[GROUP, "-o", "/dev/null", "--metrics", ADDRESS]);
    subscriber.wait_for("joined", PATIENCE);
    let publisher = stage.publisher(&[file.to_str().unwrap(), "--to", GROUP, "--metrics", ADDRESS]);
    publisher.wait_for("started", PATIENCE);
    let watch = |host: &str| {
        let end = Instant::now() + WATCHED;
        stage.host(host).start(move || listen(end)).expect("open a page")
    };
    let pages = [watch("pub"), watch("s1")];
    let (publisher_before, subscriber_before) = (cpu(&publisher), cpu(&subscriber));
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        scrape(stage.host("pub"));
        scrape(stage.host("s1"));
        thread::sleep(Duration::from_secs(1));
    }
    for (name, program, before) in [
        ("publisher", &publisher, publisher_before),
        ("subscriber", &subscriber, subscriber_before),
    ] {
        tell(name, &before, &cpu(program));
    }
    let received = scrape(stage.host("s1")).sum("payload_bytes_delivered_total");
    println!("delivered until then: {:.0} MB", received / 1e6);
    for page in pages {
        let events = page.join().expect("a page").expect("a thread of the host");
        assert!(events > 2, "the page was told {events} times");
    }
}

/// Keeps a page open; gives the number of events that it had.
fn listen(end: Instant) -> usize {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    let mut stream = TcpStream::connect(address).expect("open a page");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("set a timeout");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").expect("ask for events");
    let (mut events, mut buffer) = (0, [0; 65_536]);
    while Instant::now() < end {
        let Ok(len) = stream.read(&mut buffer) else { break };
        events += buffer[..len].windows(6).filter(|window| *window == b"data: ").count();
    }
    events
}

fn tell(program: &str, before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) {
    let spent = |name: &String| after[name] - before.get(name).copied().unwrap_or(0.0);
    let all: f64 = after.keys().map(spent).sum();
    for name in after.keys() {
        let share = 100.0 * spent(name) / all;
        println!("{program}: thread {name}: {:.0} ms, {share:.2} %", spent(name) * 1e3);
    }
}

/// Seconds of a processor that each thread used, by its name; in nanoseconds, not in ticks
/// (`/proc/PID/task/TID/schedstat`).
fn cpu(program: &Program) -> BTreeMap<String, f64> {
    let pid: Pid = program.pid();
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos =
            read("schedstat").split_whitespace().next().map_or(0.0, |it| it.parse().unwrap());
        *threads.entry(read("comm").trim().to_owned()).or_default() += nanos / 1e9;
    }
    threads
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const WATCHED: Duration = Duration::from_secs(6);
