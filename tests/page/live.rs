//! The pages of programs that run.

use std::{
    env,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use client::config::Defaults;
use client::output::OutputSpec;
use host::shutdown::Shutdown;
use proto::endpoint::Endpoint;
use serde_json::Value;
use server::flags::StreamFlags;
use server::report::Talk;
use tempfile::TempDir;

use crate::browser::Browser;

/// A publisher that takes its time, and subscribers that lose some.
struct Broadcast {
    folder: TempDir,
    publisher: Option<(JoinHandle<server::Summary>, Shutdown)>,
    subscribers: Vec<JoinHandle<client::Summary>>,
    leave: Shutdown,
    /// Nobody watches.
    player: UdpSocket,
    ports: Ports,
}

/// Each test has its own.
#[derive(Clone, Copy)]
struct Ports {
    stream: u16,
    publisher: u16,
    subscriber: u16,
}

#[test]
fn the_publishers_page_shows_what_its_metrics_say_and_goes_on_after_a_restart() {
    let Some(mut browser) = Browser::start(1200, 900) else { return };
    let ports = Ports { stream: 5061, publisher: 21_464, subscriber: 21_465 };
    let mut broadcast = Broadcast::start(ports, 3);
    browser.open(&format!("http://127.0.0.1:{}/", ports.publisher));
    browser.wait_until(&tile("Audience", "text === '3'"));
    browser.wait_until(&tile("By unicast", "!text.startsWith('0 ')"));
    // What the page shows lies between what was counted before and after.
    let before = metrics(ports.publisher);
    thread::sleep(Duration::from_secs(2));
    let sent = browser.text("#streams-body td:nth-of-type(4)");
    let asked: u64 = number(&browser.text("#repair-body tr:nth-child(2) td"));
    let wire_losses: u64 = number(&browser.text("#loss-body td"));
    thread::sleep(Duration::from_millis(300));
    let after = metrics(ports.publisher);
    println!("the page: {sent} sent, {asked} asked for, {wire_losses} lost on the way");
    for (name, shown) in [("packets_asked_total", asked), ("reported_losses_total", wire_losses)] {
        let between = sum(&before, name)..=sum(&after, name);
        assert!(between.contains(&(shown as f64)), "{name}: {shown} is not in {between:?}");
        assert!(shown > 0, "{name}");
    }
    let between =
        sum(&before, "bytes_sent_total") - 0.06e6..=sum(&after, "bytes_sent_total") + 0.06e6;
    let shown =
        sent.strip_suffix(" MB").unwrap_or_else(|| panic!("{sent}")).parse::<f64>().unwrap();
    assert!(between.contains(&(shown * 1e6)), "{shown} MB is not in {between:?}");

    let session = session_of(ports.publisher);
    let note = "document.querySelector('#chosen-note').textContent";
    browser.wait_until(&format!("{note}.includes({session:?})"));
    broadcast.stop_publisher();
    browser.wait_until("document.querySelector('#connection').className === 'gone'");
    browser.evaluate("window.isTheSamePage = true");
    broadcast.start_publisher();
    browser.wait_until("document.querySelector('#connection').className === 'live'");
    browser.wait_until(&format!("!{note}.includes({session:?})"));
    assert_ne!(session_of(ports.publisher), session);
    browser.wait_until(&tile("Audience", "text === '3'"));
    assert_eq!(browser.evaluate("window.isTheSamePage"), Value::Bool(true), "nobody reloaded it");

    let base = format!("http://127.0.0.1:{}/", ports.publisher);
    let strays: Vec<_> = browser.requested().iter().filter(|it| !it.starts_with(&base)).collect();
    assert!(strays.is_empty(), "{strays:?}");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn the_subscribers_page_is_for_everyone() {
    let Some(mut browser) = Browser::start(390, 844) else { return };
    let ports = Ports { stream: 5062, publisher: 21_466, subscriber: 21_467 };
    let _broadcast = Broadcast::start(ports, 1);
    browser.open(&format!("http://127.0.0.1:{}/", ports.subscriber));
    browser.wait_until(&tile("Received", "!text.startsWith('0 ')"));
    // On a phone nothing sticks out but tables, which scroll by themselves.
    let width = browser.evaluate("document.documentElement.scrollWidth");
    assert_eq!(width, 390, "the page is wider than the phone");
    // By keyboard: the link past the header is first, then the button.
    browser.press("Tab", 9);
    assert_eq!(browser.evaluate("document.activeElement.className"), "skip");
    browser.press("Tab", 9);
    assert_eq!(browser.evaluate("document.activeElement.id"), "pause");
    browser.press("Enter", 13);
    browser.wait_until("document.querySelector('#connection').textContent === 'paused'");
    let paused = browser.text("#streams-body");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(browser.text("#streams-body"), paused);
    browser.press("Enter", 13);
    browser.wait_until("document.querySelector('#connection').textContent === 'live'");
    // By ear.
    let tree = browser.accessible();
    let has = |role: &str, name: &str| {
        tree.iter().any(|(its, named)| its == role && named.contains(name))
    };
    for (role, name) in [
        ("main", ""),
        ("banner", ""),
        ("contentinfo", ""),
        ("heading", "onecast subscriber"),
        ("region", "Streams"),
        ("columnheader", "Received"),
        ("rowheader", "udp://239.255.61.1"),
        ("image", "Received from the network"),
        ("status", ""),
        ("button", "Pause"),
    ] {
        assert!(has(role, name), "no {role} {name}: {tree:?}");
    }
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn pictures_for_the_documents() {
    let Some(folder) = env::var_os("ONECAST_SHOTS").map(PathBuf::from) else { return };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(folder);
    let ports = Ports { stream: 5063, publisher: 21_468, subscriber: 21_469 };
    let mut broadcast = Broadcast::start(ports, 2);
    let mut wide = Browser::start(1100, 1000).expect("chromium");
    let mut phone = Browser::start(390, 1150).expect("chromium");
    wide.open(&format!("http://127.0.0.1:{}/", ports.publisher));
    phone.open(&format!("http://127.0.0.1:{}/", ports.subscriber));
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(12));
        broadcast.join();
    }
    thread::sleep(Duration::from_secs(14));
    wide.prefer("light");
    wide.screenshot(&folder.join("page-publisher.png"));
    wide.prefer("dark");
    thread::sleep(Duration::from_secs(2));
    wide.screenshot(&folder.join("page-publisher-dark.png"));
    phone.prefer("light");
    phone.screenshot(&folder.join("page-subscriber.png"));
}

impl Broadcast {
    fn start(ports: Ports, subscribers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut source = vec![0; 100_000_000];
        fastrand::Rng::with_seed(61).fill(&mut source);
        std::fs::write(folder.path().join("source.ts"), source).unwrap();
        let leave = Shutdown::new();
        let player = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut broadcast =
            Self { folder, publisher: None, subscribers: Vec::new(), leave, player, ports };
        for _ in 0..subscribers {
            broadcast.join();
        }
        broadcast.start_publisher();
        for port in [ports.publisher, ports.subscriber] {
            wait_until_served(port);
        }
        broadcast
    }

    fn endpoint(&self) -> String {
        format!("udp://239.255.61.1:{}", self.ports.stream)
    }

    fn start_publisher(&mut self) {
        let source = self.folder.path().join("source.ts");
        let flags = StreamFlags {
            input: Some(source.to_str().unwrap().parse().unwrap()),
            to: vec![self.endpoint().parse().unwrap()],
            interface: Some("lo".parse().unwrap()),
            wait_for: Some("1,10s".parse().unwrap()),
            rate: Some("10M".parse().unwrap()),
            finish_timeout: Some(Duration::from_millis(100)),
            ..StreamFlags::default()
        };
        let address = format!("127.0.0.1:{}", self.ports.publisher).parse().unwrap();
        let config = server::Config::new(vec![flags], Some(address), Talk::Silent).unwrap();
        let stop = Shutdown::new();
        let asked = stop.clone();
        self.publisher = Some((thread::spawn(move || server::run(config, asked).unwrap()), stop));
    }

    fn stop_publisher(&mut self) {
        if let Some((publisher, stop)) = self.publisher.take() {
            stop.request();
            publisher.join().unwrap();
        }
    }

    /// One more subscriber; the first one serves its page.
    fn join(&mut self) {
        let number = self.subscribers.len();
        let defaults = Defaults {
            interface: Some("lo".parse().unwrap()),
            name: format!("host-{number}").parse().unwrap(),
            impair: Some(format!("loss={}%,seed={number}", 1 + number % 3).parse().unwrap()),
            ..Defaults::default()
        };
        let endpoint: Endpoint = self.endpoint().parse().unwrap();
        let output: OutputSpec =
            format!("udp://{}", self.player.local_addr().unwrap()).parse().unwrap();
        let serves = format!("127.0.0.1:{}", self.ports.subscriber).parse().unwrap();
        let config = client::Config {
            subscriptions: vec![defaults.subscription(endpoint, output)],
            admission: None,
            key_file: None,
            defaults,
            run_for: None,
            control: None,
            metrics: (number == 0).then_some(serves),
            metrics_token: None,
            spin: false,
            json: false,
            progress: false,
        };
        let leave = self.leave.clone();
        self.subscribers.push(thread::spawn(move || client::run(config, leave).unwrap()));
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.leave.request();
        for subscriber in self.subscribers.drain(..) {
            drop(subscriber.join());
        }
        if let Some((publisher, stop)) = self.publisher.take() {
            stop.request();
            drop(publisher.join());
        }
    }
}

fn wait_until_served(port: u16) {
    let late = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < late, "nobody serves port {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A script that says whether the value of a tile is as wanted.
fn tile(name: &str, wanted: &str) -> String {
    format!(
        "[...document.querySelectorAll('#tiles > div')].some((tile) => {{ \
         const text = tile.lastElementChild.textContent; \
         return tile.firstElementChild.textContent === {name:?} && {wanted}; }})"
    )
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

fn session_of(port: u16) -> String {
    let status: Value = serde_json::from_str(&get(port, "/status.json")).unwrap();
    status["streams"][0]["session"].as_str().expect("a session").to_owned()
}

fn metrics(port: u16) -> String {
    get(port, "/metrics")
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Over all labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let name = format!("onecast_{name}");
    let samples = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    let its = samples.filter(|(series, _)| series.split('{').next() == Some(&name));
    its.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}
