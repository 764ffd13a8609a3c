//! What a burst looks like on the wire.

use std::net::{SocketAddr, UdpSocket};

use lab::net::{Host, Lab, LinkCounters, Path};
use nix::sys::socket::{setsockopt, sockopt};

use crate::site::{PORT, alone};

#[test]
fn on_the_wire_ten_segments_are_ten_packets() {
    let Some(_alone) = alone() else { return };
    let (sent, arrived) = burst(Path::Wire, false);
    assert_eq!((sent.tx_packets, sent.tx_bytes), (10, 10 * (14 + 20 + 8 + 1000)));
    assert_eq!((arrived.datagrams, arrived.largest), (10, 1000));
}

#[test]
fn whole_they_are_one_packet() {
    let Some(_alone) = alone() else { return };
    let (sent, arrived) = burst(Path::Whole, true);
    assert_eq!((sent.tx_packets, sent.tx_bytes), (1, 14 + 20 + 8 + 10 * 1000));
    assert_eq!((arrived.datagrams, arrived.largest), (1, 10_000));
}

#[test]
fn with_gro_the_receiver_joins_what_crossed_alone() {
    let Some(_alone) = alone() else { return };
    let (sent, arrived) = burst(Path::WireGro, true);
    assert_eq!(sent.tx_packets, 10);
    assert!(arrived.largest > 1000, "{arrived:?}: nothing was joined");
    println!("path C: {arrived:?}");
}

#[derive(Debug, Default)]
struct Arrived {
    datagrams: usize,
    largest: usize,
}

/// Sends one GSO burst of ten segments of 1000 bytes to s1.
fn burst(path: Path, receiver_takes_bursts: bool) -> (LinkCounters, Arrived) {
    let lab = Lab::builder().hosts(2).ipv6(false).path(path).build().unwrap();
    lab.wait_until_settled().unwrap();
    let (from, to) = (lab.host("pub").unwrap(), lab.host("s1").unwrap());
    let receiver = bind(to, PORT);
    receiver.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    setsockopt(&receiver, sockopt::UdpGroSegment, &receiver_takes_bursts).unwrap();
    let sender = bind(from, 0);
    let address = SocketAddr::from((to.addr4(), PORT));
    sender.send_to(b"so that the address is known", address).unwrap();
    receiver.recv(&mut [0; 100]).unwrap();
    setsockopt(&sender, sockopt::UdpGsoSegment, &1000).unwrap();

    let before = from.counters().unwrap();
    sender.send_to(&[7; 10_000], address).unwrap();
    let mut arrived = Arrived::default();
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = receiver.recv(&mut buffer) {
        arrived.datagrams += 1;
        arrived.largest = arrived.largest.max(length);
    }
    (from.counters().unwrap().since(&before), arrived)
}

fn bind(host: &Host, port: u16) -> UdpSocket {
    host.run(|| UdpSocket::bind((host.addr4(), port))).unwrap().unwrap()
}
