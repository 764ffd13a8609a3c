//! Who is let in, and when keys change: the roll alone, with time as an argument.

use std::sync::mpsc::Receiver;

use host::poller::Poller;
use proto::admission::{
    FromPublisher, Hello, KeyWanted, Refusal, Refused, Removal, Removed, Token,
};
use proto::endpoint::Endpoint;
use proto::seal::Key;
use proto::sign::PublicKey;
use proto::wire::{EvictReason, List, Name};
use proto::{SubscriberId, Timestamp};
use tokio::sync::mpsc;

use super::authorized::Authorized;
use super::offer::Offer;
use super::policy::Policy;
use super::roll::{Caller, Frame, Link, Outlet, Roll};
use crate::config::{Config, StreamConfig};
use crate::flags::StreamFlags;
use crate::publisher::Command;
use crate::reload::Commands;
use crate::report::{News, Talk};

/// A roll, what it tells the data thread, and the connections of subscribers.
struct Scene {
    roll: Roll,
    commands: Receiver<Command>,
    _news: mpsc::Receiver<News>,
    connections: u64,
}

fn stream(name: &str) -> StreamConfig {
    let to = "input = '-'\ninterface = 'lo'\nto = ['udp://239.255.45.1:5045', \
              'unicast://0.0.0.0:6001']";
    let flags: StreamFlags = toml::from_str(&format!("name = '{name}'\n{to}")).unwrap();
    Config::new(vec![flags], None, Talk::Silent).unwrap().streams.remove(0)
}

/// What a subscriber holds of its connection.
struct Peer {
    id: SubscriberId,
    number: u64,
    frames: mpsc::Receiver<Frame>,
}

const TOKEN: &[u8] = b"0123456789abcdef";

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(byte: u8) -> PublicKey {
    PublicKey::new([byte; 32])
}

/// Key 1 may have all streams, key 2 demo alone.
fn policy() -> Policy {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorized");
    std::fs::write(&path, format!("{} one\n{} two demo\n", key(1), key(2))).unwrap();
    let authorized = Authorized::read(&path).unwrap();
    Policy { authorized: Some(authorized), token: Some(Token::of(TOKEN)) }
}

impl Scene {
    fn new() -> Self {
        let (sender, commands) = std::sync::mpsc::channel();
        let waker = Poller::new().unwrap().waker();
        let (tell, news) = mpsc::channel(1_000);
        let outlet = Outlet { commands: Commands { sender, waker }, news: tell };
        let mut roll = Roll::new(policy(), outlet);
        for stream in ["demo", "music"].map(stream) {
            let offer = Offer::new(&stream).unwrap();
            roll.offer(&stream.name, offer);
        }
        Self { roll, commands, _news: news, connections: 0 }
    }

    fn says_hello(
        &mut self,
        (id, key): (u128, Option<PublicKey>),
        token: Option<&[u8]>,
        streams: &[&str],
        now: Timestamp,
    ) -> (Peer, Result<(), Refusal>) {
        self.connections += 1;
        let (frames, told) = mpsc::channel(16);
        let link = Link { number: self.connections, local: [192, 0, 2, 1].into(), frames };
        let id = SubscriberId(id);
        let hello = Hello {
            subscriber: id,
            name: name(&format!("host-{}", id.0)),
            token: token.map(Token::of),
            streams: List::truncated(streams.iter().copied().map(name)),
        };
        let answered = self.roll.hello(Caller { key, link }, &hello, now);
        (Peer { id, number: self.connections, frames: told }, answered)
    }

    /// Lets in one by the token.
    fn by_token(&mut self, id: u128, streams: &[&str], now: Timestamp) -> Peer {
        let (peer, answered) = self.says_hello((id, None), Some(TOKEN), streams, now);
        answered.unwrap();
        peer
    }

    fn by_key(&mut self, id: u128, byte: u8, streams: &[&str], now: Timestamp) -> Peer {
        let (peer, answered) = self.says_hello((id, Some(key(byte))), None, streams, now);
        answered.unwrap();
        peer
    }

    fn obeyed(&self) -> Vec<Command> {
        self.commands.try_iter().collect()
    }

    /// Lets time pass as the driver does; gives back every key that was used, with its time.
    fn run_until(&mut self, end: Timestamp) -> Vec<(Timestamp, Name, u8, Key)> {
        let mut used = Vec::new();
        while let Some(due) = self.roll.deadline().filter(|due| *due <= end) {
            self.roll.handle_timeout(due);
            used.extend(self.obeyed().into_iter().filter_map(|command| match command {
                Command::Rekey(stream, epoch, key) => Some((due, stream, epoch, key)),
                Command::Add(_)
                | Command::Remove(_)
                | Command::Retune(..)
                | Command::Evict(..)
                | Command::Readmit(..) => None,
            }));
        }
        used
    }
}

impl Peer {
    fn heard(&mut self) -> Vec<FromPublisher> {
        let mut heard = Vec::new();
        while let Ok(frame) = self.frames.try_recv() {
            heard.push(FromPublisher::decode(&frame[2..]).unwrap());
        }
        heard
    }

    /// The keys that it was given, with their epochs.
    fn keys(&mut self) -> Vec<(u8, Key)> {
        let keys = self.heard().into_iter().filter_map(|heard| match heard {
            FromPublisher::Admitted(admitted) => Some((admitted.epoch, admitted.key)),
            FromPublisher::Rekey(rekey) => Some((rekey.epoch, rekey.key)),
            FromPublisher::Refused(_) | FromPublisher::Removed(_) | FromPublisher::Alive => None,
        });
        keys.collect()
    }

    fn is_cut_off(&mut self) -> bool {
        self.heard();
        self.frames.is_closed()
    }
}

#[test]
fn who_is_let_in_is_told_where_a_stream_is_and_its_key() {
    let mut scene = Scene::new();
    let mut peer = scene.by_token(1, &["demo", "nothing"], at(0));
    let heard = peer.heard();
    let FromPublisher::Admitted(admitted) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!((admitted.stream.as_str(), admitted.epoch), ("demo", 1));
    let endpoints = admitted.endpoints.iter().map(|text| text.endpoint().unwrap().to_string());
    let endpoints: Vec<String> = endpoints.collect();
    assert_eq!(endpoints, ["udp://239.255.45.1:5045", "unicast://192.0.2.1:6001"]);
    let refused = Refused { stream: Some(name("nothing")), reason: Refusal::UnknownStream };
    assert_eq!(heard[1], FromPublisher::Refused(refused));
}

#[test]
fn a_key_or_the_token_lets_in_and_nothing_else() {
    let mut scene = Scene::new();
    assert!(scene.says_hello((1, Some(key(1))), None, &[], at(0)).1.is_ok());
    assert!(scene.says_hello((2, Some(key(9))), Some(TOKEN), &[], at(0)).1.is_ok());
    for (key, token) in [
        (Some(key(9)), None),
        (None, None),
        (None, Some(&b"0123456789abcdeg"[..])),
        (Some(key(9)), Some(&b""[..])),
    ] {
        let (mut peer, answered) = scene.says_hello((3, key), token, &["demo"], at(0));
        assert_eq!(answered, Err(Refusal::NotAuthorized));
        let refused = Refused { stream: None, reason: Refusal::NotAuthorized };
        assert_eq!(peer.heard(), [FromPublisher::Refused(refused)]);
        assert!(peer.is_cut_off());
    }
    scene.roll.policy.token = None;
    let (_, answered) = scene.says_hello((3, None), None, &[], at(0));
    assert_eq!(answered, Err(Refusal::NotAuthorized), "no token is not the right one");
}

#[test]
fn a_key_has_the_streams_of_its_line() {
    let mut scene = Scene::new();
    let mut peer = scene.by_key(1, 2, &["demo", "music"], at(0));
    let heard = peer.heard();
    assert!(matches!(&heard[0], FromPublisher::Admitted(it) if it.stream.as_str() == "demo"));
    let refused = Refused { stream: Some(name("music")), reason: Refusal::NotAuthorized };
    assert_eq!(heard[1], FromPublisher::Refused(refused));
}

#[test]
fn a_newer_connection_replaces_the_older_and_nobody_takes_the_place_of_another() {
    let mut scene = Scene::new();
    let mut old = scene.by_key(1, 1, &["demo"], at(0));
    let (_, answered) = scene.says_hello((1, None), Some(TOKEN), &["demo"], at(1));
    assert_eq!(answered, Err(Refusal::NotAuthorized), "it only says that it is 1");
    assert!(!old.is_cut_off());
    let mut new = scene.by_key(1, 1, &["demo"], at(2));
    assert!(old.is_cut_off() && !new.is_cut_off());
    scene.roll.closed(old.id, old.number, at(3));
    assert!(scene.run_until(at(60_000)).is_empty(), "the older one's end is no leaving");
}

#[test]
fn who_is_kicked_is_told_and_is_not_told_the_next_key() {
    let mut scene = Scene::new();
    let mut peers: Vec<Peer> = (1..=4).map(|id| scene.by_token(id, &["demo"], at(0))).collect();
    peers.iter_mut().for_each(|peer| assert_eq!(peer.keys().len(), 1));
    scene.roll.kick("host-2", None, at(100)).unwrap();
    let obeyed = scene.obeyed();
    let [Command::Evict(stream, id, reason)] = obeyed.as_slice() else { panic!("one command") };
    assert_eq!((stream.as_str(), id.0, *reason), ("demo", 2, EvictReason::Kicked));
    let removed = Removed { stream: name("demo"), reason: Removal::Kicked };
    assert_eq!(peers[1].heard(), [FromPublisher::Removed(removed)]);
    let [(when, _, epoch, used)] = &*scene.run_until(at(60_000)) else { panic!("one rotation") };
    assert_eq!((*when, *epoch), (at(300), 2), "told at once, used 200 ms later");
    for (place, peer) in peers.iter_mut().enumerate() {
        let expected = if place == 1 { vec![] } else { vec![(2, used.clone())] };
        assert_eq!(peer.keys(), expected, "{place}");
    }
    let (_, answered) = scene.says_hello((2, None), Some(TOKEN), &["demo"], at(2_000));
    assert_eq!(answered, Err(Refusal::Removed));
}

#[test]
fn who_is_kicked_while_a_key_is_handed_out_does_not_keep_that_one() {
    let mut scene = Scene::new();
    let [mut first, mut second, mut third] =
        [1, 2, 3].map(|id| scene.by_token(id, &["demo"], at(0)));
    scene.roll.kick("host-1", None, at(100)).unwrap();
    scene.roll.kick("host-2", None, at(150)).unwrap();
    scene.obeyed();
    let used = scene.run_until(at(60_000));
    let times: Vec<_> = used.iter().map(|(when, ..)| *when).collect();
    assert_eq!(times, [at(300), at(500)]);
    let last = &used[1].3;
    let knows = |peer: &mut Peer| peer.keys().iter().any(|(_, key)| key == last);
    assert!(!knows(&mut first) && !knows(&mut second) && knows(&mut third));
}

#[test]
fn who_comes_while_a_key_is_handed_out_is_told_both() {
    let mut scene = Scene::new();
    let _stays = scene.by_token(1, &["demo"], at(0));
    let _goes = scene.by_token(2, &["demo"], at(0));
    scene.roll.kick("host-2", None, at(100)).unwrap();
    let mut late = scene.by_token(3, &["demo"], at(200));
    let epochs: Vec<u8> = late.keys().iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(epochs, [1, 2]);
}

#[test]
fn those_who_leave_together_share_a_rotation() {
    let mut scene = Scene::new();
    let mut stays = scene.by_token(1, &["demo", "music"], at(0));
    for id in 2..=9 {
        let peer = scene.by_token(id, &["demo"], at(0));
        scene.roll.leave(peer.id, &name("demo"), at(1_000 + 10 * u64::try_from(id).unwrap()));
    }
    stays.keys();
    let used = scene.run_until(at(60_000));
    let [(when, stream, ..)] = used.as_slice() else { panic!("{} rotations", used.len()) };
    assert_eq!((*when, stream.as_str()), (at(1_720), "demo"));
    assert_eq!(stays.keys().len(), 1);
}

#[test]
fn who_is_cut_off_has_ten_seconds_to_come_back() {
    let mut scene = Scene::new();
    let peer = scene.by_token(1, &["demo"], at(0));
    scene.roll.closed(peer.id, peer.number, at(1_000));
    let back = scene.by_token(1, &["demo"], at(10_900));
    assert!(scene.run_until(at(60_000)).is_empty(), "it came back");
    scene.roll.closed(back.id, back.number, at(60_000));
    let used = scene.run_until(at(90_000));
    let [(when, ..)] = used.as_slice() else { panic!("{} rotations", used.len()) };
    assert_eq!(*when, at(70_700));
    assert!(scene.roll.entries.is_empty());
}

#[test]
fn who_missed_a_rotation_asks_and_is_told_the_newest_once_a_second() {
    let mut scene = Scene::new();
    let mut peer = scene.by_token(1, &["demo"], at(0));
    let _goes = scene.by_token(2, &["demo"], at(0));
    scene.roll.kick("host-2", None, at(0)).unwrap();
    scene.run_until(at(1_000));
    peer.keys();
    let wanted = KeyWanted { stream: name("demo"), have_epoch: 1 };
    for (when, answers) in [(1_000, 1), (1_500, 0), (2_000, 1)] {
        scene.roll.key_wanted(peer.id, &wanted, at(when));
        let keys = peer.keys();
        assert_eq!(keys.len(), answers, "{when}");
        assert!(keys.iter().all(|(epoch, _)| *epoch == 2));
    }
    let other = KeyWanted { stream: name("music"), have_epoch: 0 };
    scene.roll.key_wanted(peer.id, &other, at(3_000));
    assert!(peer.keys().is_empty(), "it was not admitted to that one");
}

#[test]
fn an_operator_admits_whom_it_has_removed_and_whoever_waits() {
    let mut scene = Scene::new();
    let mut peer = scene.by_key(1, 2, &[], at(0));
    assert!(peer.keys().is_empty());
    scene.roll.admit("two", Some(&name("music")), at(1)).unwrap();
    assert_eq!(peer.keys().len(), 1, "whatever its line says");
    scene.roll.kick("two", Some(&name("music")), at(2)).unwrap();
    assert!(matches!(&*peer.heard(), [FromPublisher::Removed(_), ..]));
    scene.obeyed();
    scene.roll.admit(&format!("{:032x}", 1), Some(&name("music")), at(3)).unwrap();
    assert!(matches!(&*scene.obeyed(), [Command::Readmit(..), ..]));
    assert!(matches!(&*peer.heard(), [FromPublisher::Admitted(_), ..]));
    scene.roll.kick("two", None, at(4)).unwrap();
    assert_eq!(scene.says_hello((9, Some(key(2))), None, &[], at(5)).1, Err(Refusal::Removed));
    scene.roll.admit("two", None, at(6)).unwrap();
    assert!(scene.says_hello((9, Some(key(2))), None, &[], at(7)).1.is_ok());
    let wrong = scene.roll.kick("nobody", None, at(8)).unwrap_err();
    assert_eq!(wrong, "nobody called nobody is let in");
    let wrong = scene.roll.kick("two", Some(&name("x")), at(8)).unwrap_err();
    assert_eq!(wrong, "there is no stream called x: demo, music");
}

#[test]
fn a_placement_outlives_a_connection() {
    let mut scene = Scene::new();
    let peer = scene.by_key(1, 2, &[], at(0));
    scene.roll.admit("two", Some(&name("music")), at(1)).unwrap();
    scene.roll.closed(peer.id, peer.number, at(2));
    let mut back = scene.by_key(1, 2, &[], at(3));
    assert_eq!(back.keys().len(), 1);
}

#[test]
fn who_waits_for_a_stream_is_admitted_when_there_is_one() {
    let mut scene = Scene::new();
    let mut may = scene.by_token(1, &["news"], at(0));
    let mut may_not = scene.by_key(2, 2, &["news"], at(0));
    assert!(may.keys().is_empty() && may_not.keys().is_empty());
    scene.roll.offer(&name("news"), Offer::new(&stream("news")).unwrap());
    assert_eq!((may.keys().len(), may_not.keys().len()), (1, 0));
    scene.roll.leave(may.id, &name("news"), at(1));
    scene.roll.offer(&name("news"), Offer::new(&stream("news")).unwrap());
    assert!(may.keys().is_empty(), "it wants it no more");
}

#[test]
fn whose_key_is_taken_off_the_file_is_removed() {
    let mut scene = Scene::new();
    let mut one = scene.by_key(1, 1, &["demo"], at(0));
    let mut two = scene.by_key(2, 2, &["demo"], at(0));
    let mut shares = scene.by_token(3, &["demo"], at(0));
    for peer in [&mut one, &mut two, &mut shares] {
        peer.keys();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authorized");
    std::fs::write(&path, format!("{} one\n", key(1))).unwrap();
    let policy = Policy { authorized: Some(Authorized::read(&path).unwrap()), ..policy() };
    scene.roll.follow(policy, at(100));
    let removed = Removed { stream: name("demo"), reason: Removal::NotAuthorized };
    assert_eq!(two.heard(), [FromPublisher::Removed(removed)]);
    assert!(two.is_cut_off());
    assert_eq!((one.keys().len(), shares.keys().len()), (1, 1));
}

#[test]
fn an_epoch_has_a_number_of_one_byte_that_is_never_0() {
    let mut scene = Scene::new();
    let _peer = scene.by_token(1, &["demo"], at(0));
    let mut epochs = Vec::new();
    for round in 0..600_u64 {
        let goes = scene.by_token(2, &["demo"], at(round * 2_000));
        scene.roll.leave(goes.id, &name("demo"), at(round * 2_000));
        let used = scene.run_until(at((round + 1) * 2_000));
        epochs.extend(used.iter().map(|(_, _, epoch, _)| *epoch));
    }
    assert_eq!(epochs.len(), 600);
    assert_eq!((epochs[253], epochs[254], epochs[255]), (255, 1, 2));
    assert!(!epochs.contains(&0));
}

#[test]
fn what_is_local_to_a_host_is_not_told() {
    let mut flags: StreamFlags =
        toml::from_str("name = 'x'\ninput = '-'\nto = 'udp://239.255.45.1:5045'\ninterface = 'lo'")
            .unwrap();
    flags.ttl = Some(1);
    let mut config = Config::new(vec![flags], None, Talk::Silent).unwrap().streams.remove(0);
    config.routes[0].endpoint = "udp://[ff15::7%lo]:5000".parse::<Endpoint>().unwrap();
    let told = Offer::new(&config).unwrap().admitted([127, 0, 0, 1].into());
    let FromPublisher::Admitted(admitted) = told else { panic!("{told:?}") };
    let endpoint = admitted.endpoints[0].endpoint().unwrap();
    assert_eq!(endpoint.to_string(), "udp://[ff15::7]:5000");
}
