use std::net::{Ipv4Addr, UdpSocket};

use host::interface::{Family, InterfaceSpec, choose};
use proto::endpoint::Endpoint;

use super::*;

fn loopback() -> Interface {
    choose(Some(&InterfaceSpec::Name("lo".to_owned())), Family::V4).unwrap()
}

fn group(text: &str) -> Group {
    text.parse::<Endpoint>().unwrap().group().unwrap().clone()
}

fn open(text: &str) -> Result<GroupSocket, SocketError> {
    GroupSocket::open(&group(text), &loopback(), ByteCount(256 * 1024))
}

fn publisher() -> Socket {
    let socket = Socket::from(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket
}

fn send(to: &str, datagram: &[u8]) {
    let to: SocketAddr = to.parse().unwrap();
    publisher().send_to(datagram, &to.into()).unwrap();
}

fn received(socket: &mut GroupSocket) -> Vec<Vec<u8>> {
    let mut batch = Batch::new();
    match socket.receive(&mut batch) {
        Ok(()) => batch.buffers().map(|received| received.bytes.to_vec()).collect(),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            Vec::new()
        }
    }
}

#[test]
fn more_groups_than_one_socket_may_join_are_joined_by_one_process() {
    let mut sockets: Vec<GroupSocket> =
        (1..=50).map(|last| open(&format!("udp://239.78.1.{last}:21001")).unwrap()).collect();
    send("239.78.1.50:21001", b"x");
    let heard: Vec<usize> =
        (0..50).filter(|place| !received(&mut sockets[*place]).is_empty()).collect();
    assert_eq!(heard, [49], "two groups on one port do not mix");
}

#[test]
fn a_datagram_says_where_it_came_from_and_by_which_interface_where_the_kernel_does_not_see_to_it() {
    let mut socket = open("udp://239.78.2.1:21002").unwrap();
    send("239.78.2.1:21002", b"hello");
    let mut batch = Batch::new();
    socket.receive(&mut batch).unwrap();
    let datagram = batch.buffers().next().unwrap();
    assert_eq!(datagram.bytes, b"hello");
    assert_eq!(datagram.from.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!((datagram.to, datagram.interface), (None, None));
    let to: SocketAddr = "127.255.255.255:21002".parse().unwrap();
    let everyone = Group { address: to.ip(), port: to.port(), source: None, zone: None };
    let everyone = GroupSocket::open(&everyone, &loopback(), ByteCount(65_536));
    let (mut everyone, sender) = (everyone.unwrap(), publisher());
    sender.set_broadcast(true).unwrap();
    sender.send_to(b"hello", &to.into()).unwrap();
    everyone.receive(&mut batch).unwrap();
    let datagram = batch.buffers().next().unwrap();
    assert_eq!(datagram.to, Some(Ipv4Addr::new(127, 255, 255, 255).into()));
    assert_eq!(datagram.interface, Some(loopback().index));
}

#[test]
fn another_source_is_kept_out_by_the_kernel() {
    let mut socket = open("udp://127.0.0.2@232.78.3.1:21003").unwrap();
    send("232.78.3.1:21003", b"from 127.0.0.1");
    assert!(received(&mut socket).is_empty());
    let mut other = open("udp://127.0.0.1@232.78.3.2:21003").unwrap();
    send("232.78.3.2:21003", b"wanted");
    assert_eq!(received(&mut other), [b"wanted".to_vec()]);
}

#[test]
fn an_ipv6_group_is_joined_with_and_without_a_source() {
    open("udp://[ff15::78:4]:21004").unwrap();
    open("udp://[::1]@[ff3e::78:4]:21004").unwrap();
}

#[test]
fn a_port_in_use_and_an_interface_that_went_are_told() {
    let _holder = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 21_005)).unwrap();
    let error = open("udp://239.78.5.1:21005").unwrap_err();
    assert!(matches!(error, SocketError::PortInUse { .. }), "{error}");
    let gone = Interface { index: 9_999, name: "gone0".to_owned(), ..loopback() };
    let error = GroupSocket::open(&group("udp://239.78.5.2:21006"), &gone, ByteCount(65_536));
    assert!(matches!(error, Err(SocketError::Join { .. })));
}

#[test]
fn drops_of_a_full_socket_are_counted() {
    let group = group("udp://239.78.6.1:21007");
    let socket = GroupSocket::open(&group, &loopback(), ByteCount(4_096)).unwrap();
    assert_eq!(socket.kernel_drops().unwrap(), 0);
    (0..100).for_each(|_| send("239.78.6.1:21007", &[0; 1_000]));
    assert!(socket.kernel_drops().unwrap() > 0);
}

#[test]
fn a_buffer_that_was_clamped_names_the_remedy() {
    let buffer = Buffer { wanted: ByteCount(8_388_608), granted: ByteCount(8_388_608) };
    assert_eq!(buffer.remedy().as_deref(), Some("sysctl -w net.core.rmem_max=8388608"));
    let buffer = Buffer { wanted: ByteCount(4_096), granted: ByteCount(8_192) };
    assert_eq!(buffer.remedy(), None);
}

#[test]
fn one_that_waits_gets_what_comes_and_does_not_wait_for_long() {
    let mut socket = open("udp://239.78.8.1:21009").unwrap();
    let mut batch = Batch::new();
    let error = socket.wait(&mut batch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    send("239.78.8.1:21009", b"hello");
    socket.wait(&mut batch).unwrap();
    assert!(batch.is_one());
    let error = socket.receive(&mut batch).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "it does not wait any longer");
}

#[test]
fn one_buffer_takes_one_datagram_and_leaves_the_others() {
    let mut socket = open("udp://239.78.9.1:21010").unwrap();
    (0..3).for_each(|_| send("239.78.9.1:21010", b"hello"));
    let mut batch = Batch::new();
    batch.offer_one(true);
    socket.receive(&mut batch).unwrap();
    assert!(batch.is_one() && batch.is_full());
    batch.offer_one(false);
    socket.receive(&mut batch).unwrap();
    assert_eq!(batch.buffers().count(), 2);
    assert!(!batch.is_one() && !batch.is_full());
}
