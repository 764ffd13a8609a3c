//! Groups: who joined receives, who did not receives nothing, and the switch's database says so.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
};

use lab::net::{FilterMode, Lab, Snooping};

use crate::site::{PORT, alone, joined, received, send, sender, wait_for_mdb};

#[test]
fn two_hosts_talk_by_unicast() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(3).build().unwrap();
    lab.wait_until_settled().unwrap();
    let (to, from) = (lab.host("s2").unwrap(), lab.host("pub").unwrap());
    let (from4, from6) = sender(from);
    for (socket, address) in [(from4, to.addr4().into()), (from6, to.addr6().unwrap().into())] {
        let address = SocketAddr::new(address, PORT);
        let receiver = to.run(|| std::net::UdpSocket::bind(address)).unwrap().unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        send(&socket, address, 10);
        assert_eq!(received(&receiver, 10), 10, "{address}");
    }
}

#[test]
fn only_the_host_that_joined_receives_ipv4() {
    only_the_host_that_joined_receives("239.1.2.3".parse().unwrap());
}

#[test]
fn only_the_host_that_joined_receives_ipv6() {
    only_the_host_that_joined_receives("ff15::1:2:3".parse().unwrap());
}

fn only_the_host_that_joined_receives(group: IpAddr) {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(3).build().unwrap();
    lab.wait_until_settled().unwrap();
    let (member, bystander) = (lab.host("s1").unwrap(), lab.host("s2").unwrap());
    let socket = joined(member, group, None);
    wait_for_mdb(&lab, |mdb| mdb.iter().any(|entry| entry.group == group));
    let (before, outside) = (member.counters().unwrap(), bystander.counters().unwrap());

    let (v4, v6) = sender(lab.host("pub").unwrap());
    send(if group.is_ipv4() { &v4 } else { &v6 }, SocketAddr::new(group, PORT), COUNT);

    assert_eq!(received(&socket, COUNT), COUNT);
    let bytes = bystander.counters().unwrap().since(&outside).rx_bytes;
    assert!(bytes < 1000, "{bytes} bytes reached a host that did not join");
    let headers = if group.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let frame = 14 + headers + 1000;
    let bytes = member.counters().unwrap().since(&before).rx_bytes;
    assert!((50 * frame..50 * frame + 1000).contains(&bytes), "{bytes}");
}

#[test]
fn the_database_is_the_one_that_iproute_prints() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(4).build().unwrap();
    lab.wait_until_settled().unwrap();
    let source = lab.host("pub").unwrap().addr4();
    let any: IpAddr = "239.1.2.3".parse().unwrap();
    let specific: IpAddr = "232.1.2.3".parse().unwrap();
    let v6: IpAddr = "ff15::77".parse().unwrap();
    let _any = joined(lab.host("s1").unwrap(), any, None);
    let _specific = joined(lab.host("s2").unwrap(), specific, Some(source));
    let _v6 = joined(lab.host("s3").unwrap(), v6, None);
    let mdb = wait_for_mdb(&lab, |mdb| {
        [any, specific, v6].iter().all(|group| mdb.iter().any(|entry| entry.group == *group))
    });

    let line = |host, group| mdb.iter().find(move |e| e.host() == host && e.group == group);
    assert_eq!(line("s1", any).unwrap().mode, FilterMode::Exclude);
    assert_eq!(line("s1", any).unwrap().source, None);
    assert_eq!(line("s3", v6).unwrap().mode, FilterMode::Exclude);
    assert!(mdb.iter().any(|e| e.host() == "s2" && e.source == Some(source.into())), "{mdb:#?}");
    let list = mdb.iter().find(|e| e.host() == "s2" && e.source.is_none()).unwrap();
    assert_eq!((list.mode, list.sources.as_slice()), (FilterMode::Include, &[source.into()][..]));

    let ours: BTreeSet<Line> = mdb
        .iter()
        .map(|e| {
            let mode = if e.mode == FilterMode::Include { "include" } else { "exclude" };
            let sources = e.sources.iter().map(ToString::to_string).collect();
            let source = e.source.map(|source| source.to_string()).unwrap_or_default();
            (e.port.clone(), e.group.to_string(), source, mode.to_owned(), sources)
        })
        .collect();
    assert_eq!(ours, printed_by_iproute(&lab));
}

type Line = (String, String, String, String, Vec<String>);

fn printed_by_iproute(lab: &Lab) -> BTreeSet<Line> {
    let mut command = Command::new("bridge");
    command.args(["-d", "-j", "mdb", "show"]);
    let output = lab.switches().next().unwrap().node().output(command).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let lines = json[0]["mdb"].as_array().unwrap().iter().map(|entry| {
        let sources = entry["source_list"].as_array().into_iter().flatten();
        let sources = sources.map(|source| text(&source["address"])).collect();
        let mode = entry["filter_mode"].as_str().unwrap_or("exclude").to_owned(); // none: the switch's own
        (text(&entry["port"]), text(&entry["grp"]), text(&entry["src"]), mode, sources)
    });
    lines.collect()
}

#[test]
fn the_switch_keeps_other_sources_from_a_source_specific_member() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(4).build().unwrap();
    lab.wait_until_settled().unwrap();
    let group = Ipv4Addr::new(232, 1, 2, 3);
    let member = lab.host("s1").unwrap();
    let (wanted, other) = (lab.host("pub").unwrap(), lab.host("s2").unwrap());
    let socket = joined(member, group.into(), Some(wanted.addr4()));
    wait_for_mdb(&lab, |mdb| mdb.iter().any(|e| e.source == Some(wanted.addr4().into())));
    let before = member.counters().unwrap();

    let to = SocketAddr::from((group, PORT));
    send(&sender(other).0, to, COUNT);
    send(&sender(wanted).0, to, COUNT);

    assert_eq!(received(&socket, COUNT), COUNT);
    let bytes = member.counters().unwrap().since(&before).rx_bytes;
    assert!(bytes < 51 * 1042, "{bytes} bytes: the other source reached the member's port");
}

#[test]
fn a_host_that_leaves_is_taken_off_as_fast_as_told() {
    let Some(_alone) = alone() else { return };
    let snooping = Snooping { fast_leave: true, ..Snooping::default() };
    let lab = Lab::builder().hosts(3).ipv6(false).snooping(snooping).build().unwrap();
    lab.wait_until_settled().unwrap();
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    let socket = joined(lab.host("s1").unwrap(), group, None);
    wait_for_mdb(&lab, |mdb| mdb.iter().any(|entry| entry.group == group));
    let start = std::time::Instant::now();
    drop(socket);
    wait_for_mdb(&lab, |mdb| !mdb.iter().any(|entry| entry.group == group));
    println!("left after {:?} (fast leave)", start.elapsed());
}

#[test]
fn a_switch_that_nobody_asks_floods() {
    let Some(_alone) = alone() else { return };
    let lab = Lab::builder().hosts(3).ipv6(false).build().unwrap();
    lab.wait_until_settled().unwrap();
    let bystander = lab.host("s2").unwrap();
    let group = SocketAddr::from((Ipv4Addr::new(239, 1, 2, 3), PORT));
    let (socket, _) = sender_v4(&lab);
    let bytes = || {
        let before = bystander.counters().unwrap();
        send(&socket, group, COUNT);
        std::thread::sleep(std::time::Duration::from_millis(5));
        bystander.counters().unwrap().since(&before).rx_bytes
    };
    assert!(bytes() < 1000);
    lab.switches().next().unwrap().set_querier(false).unwrap();
    assert!(bytes() >= 50 * 1000, "without a querier a group is sent to everybody");
}

/// Datagrams of a test: a socket's buffer holds them all (208 KiB: about 90 of them).
const COUNT: usize = 50;

fn sender_v4(lab: &Lab) -> (std::net::UdpSocket, Ipv4Addr) {
    let host = lab.host("pub").unwrap();
    (host.run(|| std::net::UdpSocket::bind((host.addr4(), 0))).unwrap().unwrap(), host.addr4())
}
