//! Admission by the real program: who is let in, removed, and told the next key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "shared/caller.rs"]
mod caller;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use host::identity::Identity;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::admission::{
    FromPublisher, FromSubscriber, KeyWanted, Refusal, Refused, Removal, Removed,
};
use proto::sign::PublicKey;

use socket2::{Domain, Socket, Type};

use self::caller::Caller;

const PUBLISHER: &str = env!("CARGO_BIN_EXE_publisher");
const TOKEN: &[u8] = b"0123456789abcdef";

/// A publisher of streams without end, and the files it was started with.
struct Publisher {
    child: Child,
    folder: tempfile::TempDir,
    address: SocketAddr,
    metrics: SocketAddr,
    key: PublicKey,
    /// Reads its log to the end, so that it never waits for a reader.
    _log: JoinHandle<()>,
}

/// Another value of each, for each test.
fn start(number: u8, more: &[&str], prepare: impl FnOnce(&Path)) -> Publisher {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = Identity::create(Path::new(&path("identity"))).unwrap().public();
    write_secret(Path::new(&path("token")), TOKEN);
    prepare(folder.path());
    let to = format!("udp://239.255.78.{number}:5{number:03}");
    let args = ["send", "-", "--name", "demo", "--to", &to, "--interface", "lo"];
    let mut command = Command::new(PUBLISHER);
    command.args(args).args(["--admission", "127.0.0.1:0", "--identity", &path("identity")]);
    command.args(["--admission-token-file", &path("token"), "--metrics", "127.0.0.1:0"]);
    command.args(["--control", &path("control"), "--wait-for", "0"]);
    command.args(more.iter().map(|arg| arg.replace("FOLDER", folder.path().to_str().unwrap())));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = address_after(&mut log, "subscribers are let in here");
    let metrics = address_after(&mut log, "serving metrics");
    let log = thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
    Publisher { child, folder, address, metrics, key, _log: log }
}

fn address_after(log: &mut BufReader<ChildStderr>, wanted: &str) -> SocketAddr {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "{wanted} is never told");
    }
    let (_, after) = line.split_once("address=").unwrap();
    after.split_whitespace().next().unwrap().parse().unwrap()
}

fn write_secret(path: &Path, secret: &[u8]) {
    let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    options.unwrap().write_all(secret).unwrap();
}

impl Publisher {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn call(&self, identity: Option<&Identity>) -> Caller {
        Caller::connect(self.address, identity, self.key).unwrap()
    }

    /// One that is let in by the token, and has been told its key.
    fn member(&self, id: u128) -> Caller {
        let mut caller = self.call(None);
        caller.say_hello(id, Some(TOKEN), &["demo"]);
        assert_eq!(key_of(caller.hear()).0, 1);
        caller
    }

    fn operate(&self, args: &[&str]) -> Output {
        let control = self.path("control");
        Command::new(PUBLISHER).args(args).arg("--control").arg(control).output().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks until the answer has this in it.
    fn ask_until(&self, path: &str, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.ask(path).contains(wanted) {
            assert!(Instant::now() < until, "{wanted} is never told: {}", self.ask(path));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The epoch and the key that somebody was told.
fn key_of(told: Option<FromPublisher>) -> (u8, String) {
    match told {
        Some(FromPublisher::Admitted(it)) => (it.epoch, it.key.to_hex().to_string()),
        Some(FromPublisher::Rekey(it)) => (it.epoch, it.key.to_hex().to_string()),
        other => panic!("no key: {other:?}"),
    }
}

fn refused(reason: Refusal) -> Option<FromPublisher> {
    Some(FromPublisher::Refused(Refused { stream: None, reason }))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn who_shows_the_token_is_let_in_and_others_are_counted() {
    let publisher = start(1, &[], |_| ());
    let mut admitted = publisher.call(None);
    admitted.say_hello(1, Some(TOKEN), &["demo"]);
    let Some(FromPublisher::Admitted(it)) = admitted.hear() else { panic!("not admitted") };
    let endpoint = it.endpoints[0].endpoint().unwrap().to_string();
    assert_eq!((it.stream.as_str(), endpoint.as_str()), ("demo", "udp://239.255.78.1:5001"));

    let stranger = Identity::of_seed(&[9; 32]);
    let mut wrong = publisher.call(Some(&stranger));
    wrong.say_hello(2, Some(b"0123456789abcdeg"), &["demo"]);
    assert_eq!(wrong.hear(), refused(Refusal::NotAuthorized));
    assert_eq!(wrong.hear(), None, "and the connection is closed");

    let other = Caller::connect(publisher.address, None, stranger.public());
    assert!(other.is_err(), "who knows another publisher does not speak to this one");
    let mut garbage = TcpStream::connect(publisher.address).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // It may be reset, for it said more than was read.
    drop(garbage.read_to_end(&mut Vec::new()));
    publisher.ask_until("/metrics", "onecast_admission_refused_total{reason=\"handshake\"} 2");
    let metrics = publisher.ask("/metrics");
    assert!(metrics.contains("onecast_admission_refused_total{reason=\"not_authorized\"} 1"));
    assert!(metrics.contains("onecast_admitted{stream=\"demo\"} 1\n"), "{metrics}");
    let status = publisher.ask("/status.json");
    assert!(status.contains("\"name\":\"host-1\""), "{status}");
    assert!(!status.contains(&it.key.to_hex()[..8]), "a key is shown to nobody");
}

#[test]
fn who_is_kicked_is_told_and_all_others_have_another_key() {
    let publisher = start(2, &[], |_| ());
    let mut members = [1, 2, 3].map(|id| publisher.member(id));
    let kicked = publisher.operate(&["kick", "host-2", "--stream", "demo"]);
    assert!(kicked.status.success(), "{}", told(&kicked));
    assert_eq!(told(&kicked), "publisher: removed host-2 from demo\n");
    let removed = Removed { stream: "demo".parse().unwrap(), reason: Removal::Kicked };
    assert_eq!(members[1].hear(), Some(FromPublisher::Removed(removed)));
    let first = key_of(members[0].hear());
    assert_eq!(first.0, 2);
    assert_eq!(key_of(members[2].hear()), first);
    publisher.ask_until("/metrics", "onecast_key_epoch{stream=\"demo\"} 2");

    let wanted = KeyWanted { stream: "demo".parse().unwrap(), have_epoch: 1 };
    members[0].say(&FromSubscriber::KeyWanted(wanted.clone()));
    assert_eq!(key_of(members[0].hear()), first, "who missed it asks");
    members[1].say(&FromSubscriber::KeyWanted(wanted));

    let admitted = publisher.operate(&["admit", "host-2", "--stream", "demo"]);
    assert_eq!(told(&admitted), "publisher: admitted host-2 to demo\n");
    assert_eq!(key_of(members[1].hear()), first, "it was told nothing in between");

    let nobody = publisher.operate(&["kick", "host-9"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert_eq!(told(&nobody), "publisher: nobody called host-9 is let in\n");
}

#[test]
fn whose_key_is_taken_off_the_file_is_removed_at_sighup() {
    let (one, two) = (Identity::of_seed(&[1; 32]), Identity::of_seed(&[2; 32]));
    let line = |identity: &Identity, name: &str| format!("{} {name}\n", identity.public());
    let both = line(&one, "one") + &line(&two, "two");
    let publisher = start(3, &["--authorized", "FOLDER/authorized"], |folder| {
        fs::write(folder.join("authorized"), both).unwrap();
    });
    let mut callers = [(&one, 1), (&two, 2)].map(|(identity, id)| {
        let mut caller = publisher.call(Some(identity));
        caller.say_hello(id, None, &["demo"]);
        key_of(caller.hear());
        caller
    });
    fs::write(publisher.path("authorized"), line(&one, "one")).unwrap();
    publisher.signal(Signal::SIGHUP);
    let removed = Removed { stream: "demo".parse().unwrap(), reason: Removal::NotAuthorized };
    assert_eq!(callers[1].hear(), Some(FromPublisher::Removed(removed)));
    assert_eq!(callers[1].hear(), None);
    assert_eq!(key_of(callers[0].hear()).0, 2);
    let mut again = publisher.call(Some(&two));
    again.say_hello(3, None, &["demo"]);
    assert_eq!(again.hear(), refused(Refusal::NotAuthorized));
}

#[test]
fn who_leaves_is_not_told_the_next_key() {
    let publisher = start(4, &[], |_| ());
    let (mut stays, mut leaves) = (publisher.member(1), publisher.member(2));
    let stream = "demo".parse().unwrap();
    leaves.say(&FromSubscriber::Leave(proto::admission::Leave { stream }));
    assert_eq!(key_of(stays.hear()).0, 2);
    publisher.ask_until("/metrics", "onecast_admitted{stream=\"demo\"} 1\n");
}

#[test]
fn a_closed_group_with_one_key_removes_nobody_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new(PUBLISHER).args(["keygen", &path("key")]).status().unwrap();
    assert!(made.success());
    let mut command = Command::new(PUBLISHER);
    command.args(["send", "-", "--to", "udp://239.255.78.5:5005", "--interface", "lo"]);
    command.args(["--key", &path("key"), "--control", &path("control")]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while !Path::new(&path("control")).exists() {
        thread::sleep(Duration::from_millis(10));
    }
    let args = ["kick", "hall-3", "--control", &path("control")];
    let kicked = Command::new(PUBLISHER).args(args).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(kicked.status.code(), Some(1));
    let said = told(&kicked);
    assert!(said.contains("a closed group with one key for all (--key) cannot remove"), "{said}");
}

#[test]
fn an_identity_is_made_once_and_its_public_half_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let make = || Command::new(PUBLISHER).arg("keygen").arg("--identity").arg(&path).output();
    let printed = String::from_utf8(make().unwrap().stdout).unwrap();
    let identity = Identity::read(&path).unwrap();
    assert_eq!(printed.trim(), identity.public().to_string());
    assert_eq!(fs::read_to_string(path.with_extension("pub")).unwrap(), printed);
    let again = make().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("File exists"), "{}", told(&again));
}

#[test]
fn strangers_keep_nobody_out() {
    allow_files(4_096);
    let publisher = start(7, &[], |_| ());
    let stranger = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&publisher.address.into()).unwrap();
        TcpStream::from(socket)
    };
    let mut strangers: Vec<TcpStream> = (0..1_100).map(|_| stranger()).collect();
    publisher.member(1);
    // The first had to go for the last.
    assert_eq!(strangers[0].read(&mut [0]).unwrap_or(0), 0);
}

fn allow_files(count: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, count.min(hard), hard).unwrap();
}

/// Prints how long it takes until each of a thousand subscribers has the next key.
/// `cargo test --release -p server --test admission -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: a thousand connections"]
fn a_thousand_are_told_the_next_key() {
    allow_files(8_192);
    let publisher = start(6, &[], |_| ());
    let began = Instant::now();
    let mut members: Vec<Caller> = (0..1_000).map(|id| publisher.member(id)).collect();
    println!("1000 let in, one after the other: {:?}", began.elapsed());
    for round in 0..5_u128 {
        let victim = format!("host-{}", 2_000 + round);
        let _goes = {
            let mut caller = publisher.call(None);
            caller.say_hello(2_000 + round, Some(TOKEN), &["demo"]);
            key_of(caller.hear());
            caller
        };
        let began = Instant::now();
        let kicked = publisher.operate(&["kick", &victim]);
        assert!(kicked.status.success(), "{}", told(&kicked));
        let keys: Vec<_> = members.iter_mut().map(|member| key_of(member.hear())).collect();
        let all_told = began.elapsed();
        assert!(keys.iter().all(|key| *key == keys[0]));
        let wanted = format!("onecast_key_epoch{{stream=\"demo\"}} {}", keys[0].0);
        publisher.ask_until("/metrics", &wanted);
        println!("kick to told: {all_told:?}, to used: {:?} (20 ms coarse)", began.elapsed());
    }
}
