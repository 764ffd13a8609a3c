use super::*;

fn interface(name: &str, index: u32, address: Ipv4Addr) -> Interface {
    Interface {
        name: name.to_owned(),
        index,
        up: true,
        running: true,
        multicast: true,
        mtu: 1_500,
        v4: vec![(address, 24)],
        ..Interface::default()
    }
}

fn loopback() -> Interface {
    Interface { multicast: false, loopback: true, ..interface("lo", 1, Ipv4Addr::LOCALHOST) }
}

fn eth0() -> Interface {
    interface("eth0", 2, Ipv4Addr::new(192, 0, 2, 7))
}

fn eth1() -> Interface {
    interface("eth1", 3, Ipv4Addr::new(198, 51, 100, 7))
}

#[test]
fn the_only_one_is_taken() {
    let chosen = choose_from(vec![loopback(), eth0()], None, Family::V4).unwrap();
    assert_eq!(chosen.name, "eth0");
}

#[test]
fn several_are_listed_and_none_is_taken() {
    let error = choose_from(vec![loopback(), eth0(), eth1()], None, Family::V4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "several interfaces could be meant: eth0 (2, 192.0.2.7), eth1 (3, 198.51.100.7); \
         name one with --interface"
    );
}

#[test]
fn loopback_is_the_last_resort_and_says_that_it_is_loopback() {
    let down = Interface { up: false, ..eth0() };
    let chosen = choose_from(vec![loopback(), down], None, Family::V4).unwrap();
    assert!(chosen.loopback);
}

#[test]
fn one_without_an_address_of_the_family_is_not_meant() {
    let v6_only = Interface { v4: vec![], v6: vec![(Ipv6Addr::LOCALHOST, 64)], ..eth1() };
    let chosen = choose_from(vec![eth0(), v6_only], None, Family::V6).unwrap();
    assert_eq!(chosen.name, "eth1");
}

#[test]
fn each_way_to_name_one_finds_it() {
    for spec in ["eth1", "3", "198.51.100.7", "198.51.100.0/24"] {
        let spec: InterfaceSpec = spec.parse().unwrap();
        let chosen = choose_from(vec![eth0(), eth1()], Some(&spec), Family::V4).unwrap();
        assert_eq!(chosen.name, "eth1", "{spec}");
    }
}

#[test]
fn an_unknown_one_lists_those_there_are() {
    let spec: InterfaceSpec = "eth9".parse().unwrap();
    let error = choose_from(vec![loopback(), eth0()], Some(&spec), Family::V4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no interface eth9; there are: lo (1, 127.0.0.1), eth0 (2, 192.0.2.7)"
    );
}

#[test]
fn one_that_is_down_is_refused() {
    let spec: InterfaceSpec = "eth0".parse().unwrap();
    let down = Interface { up: false, ..eth0() };
    let error = choose_from(vec![down], Some(&spec), Family::V4).unwrap_err();
    assert_eq!(error, InterfaceError::Down { name: "eth0".to_owned() });
}

#[test]
fn a_network_that_several_are_in_is_refused() {
    let spec: InterfaceSpec = "0.0.0.0/0".parse().unwrap();
    let error = choose_from(vec![eth0(), eth1()], Some(&spec), Family::V4).unwrap_err();
    assert!(error.to_string().starts_with("0.0.0.0/0 fits several interfaces"), "{error}");
}

#[test]
fn what_cannot_name_one_is_refused() {
    for text in ["", "a b", "10.0.0.0/33", "x/8", "a-name-that-is-too-long", "eth0:1"] {
        assert!(text.parse::<InterfaceSpec>().is_err(), "{text}");
    }
}

#[test]
fn this_machine_has_loopback_with_its_mtu() {
    let all = Interface::all().unwrap();
    let loopback = all.iter().find(|interface| interface.loopback).unwrap();
    assert_eq!(loopback.name, "lo");
    assert!(loopback.index > 0);
    let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap();
    assert_eq!(loopback.mtu.to_string(), mtu.trim());
}
