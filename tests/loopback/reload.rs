//! The config file is read again while streams run.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::{Event, Subscriber};
use host::reload::Reload;
use host::supervisor::Supervisor;
use server::config::file::ConfigFile;
use server::{Config, Reloader, Summary};

use super::*;

/// A publisher that follows a config file.
struct Publisher {
    path: PathBuf,
    reload: Reload,
    stop: Shutdown,
    thread: JoinHandle<Summary>,
}

impl Publisher {
    fn start(path: PathBuf, config: &str) -> Self {
        std::fs::write(&path, config).unwrap();
        let (reload, stop, file) = (Reload::new(), Shutdown::new(), path.clone());
        let read = move || {
            let file = ConfigFile::read(&file)?;
            Config::new(file.streams(&StreamFlags::default()), None, Talk::Silent)
        };
        let config = read().unwrap();
        let (reloader, ended) = (Reloader::new(reload.clone(), read), stop.clone());
        let run = || server::serve(config, ended, Some(reloader), Supervisor::default()).unwrap();
        Self { path, reload, stop, thread: thread::spawn(run) }
    }

    fn reload(&self, config: &str) {
        std::fs::write(&self.path, config).unwrap();
        self.reload.request();
    }

    fn end(self) -> Summary {
        self.stop.request();
        self.thread.join().unwrap()
    }
}

/// A stream that an encoder feeds, of so many bits per second.
fn live(name: &str, input: SocketAddr, group: &str, rate: &str) -> String {
    format!(
        "[[stream]]\nname = '{name}'\ninput = 'udp://{input}'\nto = '{group}'\ninterface = 'lo'\n\
         rate = '{rate}'\nwait-for = '1'\nfinish-timeout = '5s'\n"
    )
}

/// A port that nobody has.
fn free_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Sends numbered messages at a steady rate until it is told to stop; gives back how many.
fn feed(to: SocketAddr, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut next = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let mut message = [0; 600];
            message[..8].copy_from_slice(&next.to_be_bytes());
            // Where nobody listens yet, the first are refused: nobody misses them.
            next += u64::from(socket.send_to(&message, to).is_ok());
            thread::sleep(Duration::from_millis(1));
        }
        next
    })
}

fn join(group: &str) -> Subscriber {
    let builder = Subscriber::builder(group.parse().unwrap());
    builder.interface("lo".parse().unwrap()).join().unwrap()
}

fn number(subscriber: &mut Subscriber) -> Option<u64> {
    loop {
        match subscriber.recv().unwrap()? {
            Event::Message(message) => {
                return Some(u64::from_be_bytes(message[..8].try_into().unwrap()));
            }
            Event::Session(_) => {}
            Event::Gap { first, end, cause } => panic!("{first}..{end} is lost: {cause:?}"),
            Event::End(end) => {
                assert!(end.is_whole(), "{end:?}");
                return None;
            }
        }
    }
}

/// The numbers of the messages up to `until`, which follow each other from `last` on.
fn follow(subscriber: &mut Subscriber, last: &mut Option<u64>, until: u64) {
    while last.is_none_or(|last| last < until) {
        let next = number(subscriber).expect("it ended");
        assert!(last.is_none_or(|last| next == last + 1), "{next} after {last:?}");
        *last = Some(next);
    }
}

#[test]
fn a_live_stream_loses_nothing_while_others_come_and_go_beside_it() {
    let desk = Desk::new(1);
    let (first, second) = ("udp://239.255.45.1:5451", "udp://239.255.45.2:5452");
    let (input, beside, stop) = (free_port(), free_port(), Arc::new(AtomicBool::new(false)));
    let alone = |rate| live("first", input, first, rate);
    let publisher = Publisher::start(desk.path("streams.toml"), &alone("20M"));
    let (mut heard, mut last) = (join(first), None);
    let feeds = [feed(input, &stop), feed(beside, &stop)];
    follow(&mut heard, &mut last, 100);
    let mut both = alone("30M");
    write!(both, "{}", live("second", beside, second, "20M")).unwrap();
    let mut other = join(second);
    publisher.reload(&both);
    number(&mut other).expect("the second stream was added");
    let again = last.unwrap();
    follow(&mut heard, &mut last, again + 100);
    publisher.reload("[[stream]]\nratte = 1\n");
    let again = last.unwrap();
    follow(&mut heard, &mut last, again + 200);
    number(&mut other).expect("a bad file changes nothing");
    publisher.reload(&alone("25M"));
    while number(&mut other).is_some() {}
    let again = last.unwrap();
    follow(&mut heard, &mut last, again + 100);
    // The port of one that was removed is free for another name.
    publisher.reload(&format!("{}{}", alone("25M"), live("third", beside, second, "20M")));
    number(&mut join(second)).expect("the third stream was added");
    stop.store(true, Ordering::Relaxed);
    let [fed, _] = feeds.map(|feed| feed.join().unwrap());
    follow(&mut heard, &mut last, fed - 1);
    drop((heard, other));
    let summary = publisher.end();
    let names: Vec<&str> = summary.streams.iter().map(|stream| stream.stream.as_str()).collect();
    assert_eq!(names, ["second", "first", "third"], "those that were removed come first");
}

#[test]
fn a_file_that_crawls_is_hastened() {
    let desk = Desk::new(2_000_000);
    let group = "udp://239.255.45.3:5453";
    let config = |rate: &str| {
        let source = desk.path("source");
        format!(
            "[[stream]]\nname = 'file'\ninput = '{}'\nto = '{group}'\ninterface = 'lo'\n\
             rate = '{rate}'\nwait-for = '1'\n",
            text(&source)
        )
    };
    // Half an hour, at this rate.
    let publisher = Publisher::start(desk.path("streams.toml"), &config("10k"));
    let output = desk.path("out");
    let received =
        subscribe(vec![subscription(group, text(&output), &defaults(None))], &Shutdown::new());
    thread::sleep(Duration::from_millis(300));
    publisher.reload(&config("100M"));
    assert!(received.join().unwrap().is_complete());
    assert_eq!(desk.read("out").as_ref(), Some(&desk.source));
    assert!(publisher.thread.join().unwrap().is_complete());
}
