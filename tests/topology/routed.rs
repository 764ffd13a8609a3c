//! The second segment, behind the router.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lab::net::{Child, Host, Lab};

use crate::site::{PORT, alone, joined, received, send, sender, wait_for_mdb};

#[test]
fn the_router_carries_unicast_both_ways_and_no_multicast_of_its_own() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(3).routed(2).build().unwrap();
    lab.wait_until_settled().unwrap();
    assert_eq!(lab.router().unwrap().addr4().to_string(), "10.77.0.254");
    for (from, to) in [("pub", "r2"), ("r1", "s2"), ("router", "r1")] {
        let (from, to) = (lab.host(from).unwrap(), lab.host(to).unwrap());
        let (v4, v6) = sender(from);
        for address in [IpAddr::from(to.addr4()), to.addr6().unwrap().into()] {
            let address = SocketAddr::new(address, PORT);
            let receiver = to.run(|| UdpSocket::bind(address)).unwrap().unwrap();
            receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            send(if address.is_ipv4() { &v4 } else { &v6 }, address, 3);
            assert_eq!(received(&receiver, 3), 3, "{} to {address}", from.name());
        }
    }
    let far = lab.host("r1").unwrap();
    let before = far.counters().unwrap();
    let out = lab.host("pub").unwrap();
    let (socket, _) = sender(out);
    socket.set_multicast_ttl_v4(8).unwrap();
    send(&socket, "239.1.2.3:5000".parse().unwrap(), 50);
    assert!(far.counters().unwrap().since(&before).rx_bytes < 1000);
}

#[test]
fn a_multicast_router_carries_a_group_across_if_its_ttl_lasts() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(2).routed(2).build().unwrap();
    lab.wait_until_settled().unwrap();
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let _daemon = start_smcrouted(&lab, directory.path());
    let member = joined(lab.host("r1").unwrap(), group, None);
    wait_for_mdb(&lab, |mdb| mdb.iter().any(|e| e.host() == "r1" && e.group == group));
    let bystander = lab.host("r2").unwrap();
    let before = bystander.counters().unwrap();

    let (socket, _) = sender(lab.host("pub").unwrap());
    socket.set_multicast_ttl_v4(1).unwrap();
    send(&socket, SocketAddr::new(group, PORT), 20);
    socket.set_multicast_ttl_v4(2).unwrap();
    send(&socket, SocketAddr::new(group, PORT), 10);

    assert_eq!(received(&member, 30), 10, "those of TTL 2 and no others");
    let stray = bystander.counters().unwrap().since(&before);
    // The daemon announces itself and asks: some 1500 bytes, of the 10,000 that were sent.
    assert!(stray.rx_bytes < 5000, "{stray:?} reached a host that did not join");
}

/// Starts the kernel's multicast routing for one group, and returns when the kernel has the route.
fn start_smcrouted(lab: &Lab, directory: &Path) -> Child {
    let config = directory.join("smcroute.conf");
    let rule = "mgroup from eth0 group 239.1.2.3\nmroute from eth0 source 10.77.0.1 group 239.1.2.3 to eth1\n";
    std::fs::write(&config, rule).unwrap();
    let mut command = Command::new("smcrouted");
    command.args(["-n", "-l", "none", "-f"]).arg(&config);
    command.arg("-P").arg(directory.join("pid")).arg("-u").arg(directory.join("socket"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let router = lab.router().unwrap();
    let mut daemon = router.spawn(command).unwrap();
    let start = Instant::now();
    while !has_route(router) {
        assert!(daemon.try_wait().unwrap().is_none(), "smcrouted ended");
        assert!(start.elapsed() < Duration::from_secs(5), "smcrouted has set no route after 5 s");
        std::thread::sleep(Duration::from_millis(10));
    }
    daemon
}

/// Whether the kernel has a multicast route: a line below the table's head.
fn has_route(router: &Host) -> bool {
    let read = || std::fs::read_to_string("/proc/thread-self/net/ip_mr_cache");
    router.run(read).unwrap().unwrap().lines().count() > 1
}
