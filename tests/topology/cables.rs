//! Interfaces that go down and come back, and their size.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use lab::net::{Host, Lab};

use crate::site::{PORT, alone, joined, received, send, sender, wait_for_mdb};

#[test]
fn an_interface_that_comes_back_has_its_addresses_and_routes() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).routed(1).build().unwrap();
    lab.wait_until_settled().unwrap();
    let host = lab.host("s1").unwrap();
    host.set_link(false).unwrap();
    assert!(!host.is_connected().unwrap());
    host.set_link(true).unwrap();
    wait_until_connected(host);
    lab.wait_until_settled().unwrap();
    let far = lab.host("r1").unwrap();
    for address in [IpAddr::from(far.addr4()), far.addr6().unwrap().into()] {
        let address = SocketAddr::new(address, PORT);
        let receiver = far.run(|| UdpSocket::bind(address)).unwrap().unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (v4, v6) = sender(host);
        send(if address.is_ipv4() { &v4 } else { &v6 }, address, 1);
        assert_eq!(received(&receiver, 1), 1, "{address} through the router");
    }
}

#[test]
fn a_member_whose_cable_was_pulled_receives_again_when_it_is_back() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(3).ipv6(false).build().unwrap();
    lab.wait_until_settled().unwrap();
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    let host = lab.host("s1").unwrap();
    let socket = joined(host, group, None);
    let member = |mdb: &[lab::net::MdbEntry]| mdb.iter().any(|entry| entry.group == group);
    wait_for_mdb(&lab, member);
    host.set_cable(false).unwrap();
    wait_for_mdb(&lab, |mdb| !member(mdb));
    host.set_cable(true).unwrap();
    wait_until_connected(host);
    let start = Instant::now();
    wait_for_mdb(&lab, member);
    println!("a member again {:?} after its cable was back", start.elapsed());
    let out = lab.host("pub").unwrap();
    let from = out.run(|| UdpSocket::bind((out.addr4(), 0))).unwrap().unwrap();
    send(&from, SocketAddr::new(group, PORT), 10);
    assert_eq!(received(&socket, 10), 10);
}

#[test]
fn a_smaller_mtu_is_refused_at_the_sender() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).ipv6(false).mtu(9000).build().unwrap();
    lab.wait_until_settled().unwrap();
    let (host, to) = (lab.host("pub").unwrap(), lab.host("s1").unwrap());
    let socket = host.run(|| UdpSocket::bind((host.addr4(), 0))).unwrap().unwrap();
    let receiver = to.run(|| UdpSocket::bind((to.addr4(), PORT))).unwrap().unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let address = SocketAddr::from((to.addr4(), PORT));
    let before = to.counters().unwrap();
    socket.send_to(&[7; 8900], address).unwrap();
    assert_eq!(received(&receiver, 1), 1);
    host.set_mtu(1400).unwrap();
    socket.send_to(&[7; 8900], address).unwrap();
    receiver.recv(&mut [0; 9000]).unwrap();
    let packets = to.counters().unwrap().since(&before).rx_packets;
    assert!(packets > 7, "{packets} packets: 8900 bytes need seven of 1400");
}

#[test]
fn a_name_that_nobody_has_is_an_error_that_lists_those_that_exist() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).routed(1).ipv6(false).build().unwrap();
    let error = lab.host("s9").unwrap_err().to_string();
    assert_eq!(error, "there is no host \"s9\" in this lab: it has pub, s1, r1, router");
}

fn wait_until_connected(host: &Host) {
    let start = Instant::now();
    while !host.is_connected().unwrap() {
        assert!(start.elapsed() < Duration::from_secs(5), "{} has no carrier", host.name());
        std::thread::sleep(Duration::from_millis(1));
    }
}
