//! Signed streams over real sockets, and a member turned bad.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use host::identity::Identity;
use proto::seal::{Key, Keyring};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tests::forger::{EVIL, Forger};
use tests::member::Member;

use super::*;

const KEY: [u8; 32] = [1; 32];

/// Who verifies what the owner of `seed` signed.
fn verifying(seed: u8, is_sealed: bool, impair: Option<&str>) -> Defaults {
    let keys = is_sealed.then(|| Keyring::of_group(Key::new(KEY)));
    let verify = Some(Identity::of_seed(&[seed; 32]).public());
    Defaults { keys, verify, ..defaults(impair) }
}

/// A stream that is signed with the identity of a file, and sealed if that is wanted.
fn signed(desk: &Desk, is_sealed: bool, endpoint: &str) -> StreamFlags {
    let (identity, key) = (desk.path("identity"), desk.path("key"));
    if !identity.exists() {
        host::key_file::create(&identity, &Key::new([7; 32])).unwrap();
        host::key_file::create(&key, &Key::new(KEY)).unwrap();
    }
    let source = stream(text(&desk.path("source")), endpoint);
    StreamFlags { sign: Some(identity), key: is_sealed.then_some(key), ..source }
}

#[test]
fn a_signed_stream_arrives_whole_whichever_way_it_goes_and_whatever_is_lost() {
    for is_sealed in [true, false] {
        let (desk, stop) = (Desk::new(2_000_003), Shutdown::new());
        let ways = ["udp://239.255.41.30:5090", "unicast://127.0.0.1:5091", "tcp://127.0.0.1:5092"];
        let names = ["group", "unicast", "tcp"];
        let losses = [Some("loss=3%,seed=3"), Some("loss=3%,seed=4"), None];
        let mut subscribers = Vec::new();
        for ((way, name), loss) in ways.iter().zip(names).zip(losses) {
            let defaults = verifying(7, is_sealed, loss);
            let of = subscription(way, text(&desk.path(name)), &defaults);
            subscribers.push(subscribe(vec![of], &stop));
        }
        let flags = StreamFlags {
            to: ways.map(|way| way.parse().unwrap()).to_vec(),
            wait_for: Some("3,20s".parse().unwrap()),
            ..signed(&desk, is_sealed, ways[0])
        };
        let sent = publish(vec![flags], &stop).join().unwrap();
        for (subscriber, name) in subscribers.into_iter().zip(names) {
            let received = subscriber.join().unwrap();
            assert!(received.is_complete() && received.exit_code() == 0, "{name}: {received:?}");
            assert_eq!(desk.read(name).as_ref(), Some(&desk.source), "{name}");
        }
        assert!(sent.is_complete(), "{sent:?}");
    }
}

#[test]
fn who_verifies_another_publisher_hears_nothing_and_ends_with_the_reason() {
    let (desk, stop) = (Desk::new(100_000), Shutdown::new());
    let endpoint = "udp://239.255.41.31:5093";
    let silent_timeout = Duration::from_millis(500);
    let defaults = Defaults { silent_timeout, ..verifying(8, true, None) };
    let of = subscription(endpoint, text(&desk.path("out")), &defaults);
    let received = subscribe(vec![of], &stop);
    let flags = signed(&desk, true, endpoint);
    let flags = StreamFlags { wait_for: Some("1,2s".parse().unwrap()), ..flags };
    publish(vec![flags], &stop).join().unwrap();
    let received = received.join().unwrap();
    let ended = received.streams[0].ended.to_string();
    assert!(ended.contains("the publisher's key did not sign it"), "{received:?}");
    assert_eq!((received.exit_code(), received.totals().delivered_bytes), (1, 0), "{received:?}");
    assert_eq!(desk.read("out"), None);
}

/// Hears all that a group is sent and, with the group's key, speaks as its publisher. Gives how much
/// it sent.
fn turn_bad(group: SocketAddrV4, mut forger: Forger, stop: &Arc<AtomicBool>) -> Arc<AtomicU64> {
    let out = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    SockRef::from(&out).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let own = out.local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&std::net::SocketAddr::V4(group).into()).unwrap();
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let socket = UdpSocket::from(socket);
    let (sent, is_over) = (Arc::<AtomicU64>::default(), Arc::clone(stop));
    let count = Arc::clone(&sent);
    thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while !is_over.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
            if from == own {
                continue;
            }
            for forged in forger.forge(&datagram[..len]) {
                // One that finds no room is no harm: there are others.
                let is_sent = out.send_to(&forged, group).is_ok();
                count.fetch_add(u64::from(is_sent), Ordering::Relaxed);
            }
        }
    });
    sent
}

#[test]
fn a_member_turned_bad_has_nothing_delivered_and_nothing_left_out() {
    let group: SocketAddrV4 = "239.255.41.32:5094".parse().unwrap();
    let endpoint = format!("udp://{group}");
    let (desk, stop, over) = (Desk::new(600_000), Shutdown::new(), Arc::default());
    let forger = Forger::new(Member::new(1, KEY), "source".parse().unwrap(), 3);
    let forged = turn_bad(group, forger, &over);
    let mut subscribers = Vec::new();
    for name in ["one", "two"] {
        let of = subscription(&endpoint, text(&desk.path(name)), &verifying(7, true, None));
        subscribers.push((name, subscribe(vec![of], &stop)));
    }
    let flags = StreamFlags {
        rate: Some("8M".parse().unwrap()),
        wait_for: Some("2,20s".parse().unwrap()),
        ..signed(&desk, true, &endpoint)
    };
    let sent = publish(vec![flags], &stop).join().unwrap();
    for (name, subscriber) in subscribers {
        let received = subscriber.join().unwrap();
        assert!(received.is_complete(), "{name}: {received:?}");
        let copy = desk.read(name).unwrap();
        assert!(!copy.windows(EVIL.len() * 2).any(|window| window == EVIL.repeat(2)));
        assert_eq!(copy, desk.source, "{name}");
        let discarded = &received.totals().discarded;
        assert!(discarded.get("forged").is_some_and(|count| *count > 100), "{discarded:?}");
    }
    over.store(true, Ordering::Relaxed);
    assert!(sent.is_complete(), "{sent:?}");
    assert!(forged.load(Ordering::Relaxed) > 1_000);
}
