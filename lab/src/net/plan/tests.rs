use std::collections::BTreeSet;

use super::*;

#[test]
fn a_small_segment_is_numbered_as_documented() {
    let seats = Segment::near(5, true, false).unwrap().with_publisher();
    let names: Vec<&str> = seats.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["pub", "s1", "s2", "s3", "s4"]);
    assert_eq!(seats[0].1.v4, Ipv4Addr::new(10, 77, 0, 1));
    assert_eq!(seats[0].1.v6, Some("fd77::1".parse().unwrap()));
    assert_eq!(seats[4].1.v4, Ipv4Addr::new(10, 77, 0, 14));
    assert_eq!(seats[4].1.v6, Some("fd77::e".parse().unwrap()));
    assert_eq!(seats[4].1.v4_length, 24);
    assert_eq!(seats[4].1.gateway4, None);
}

#[test]
fn every_host_of_the_largest_segment_has_an_address_of_its_own() {
    let near = Segment::near(300, true, true).unwrap();
    let mut seats = near.with_publisher();
    assert_eq!(seats[200].1.v4, Ipv4Addr::new(10, 77, 0, 210));
    assert_eq!(seats[201].1.v4, Ipv4Addr::new(10, 77, 1, 1));
    assert_eq!(seats[201].1.v6, Some("fd77::1:1".parse().unwrap()));
    assert!(seats.iter().all(|(_, seat)| seat.v4_length == 16));
    seats.push(("router".to_owned(), near.router()));
    assert_eq!(seats.iter().map(|(_, seat)| seat.v4).collect::<BTreeSet<_>>().len(), 301);
    assert_eq!(seats.iter().map(|(_, seat)| seat.v6).collect::<BTreeSet<_>>().len(), 301);
}

#[test]
fn the_router_is_the_way_out_of_both_segments() {
    let far = Segment::far(2, true).unwrap();
    let (name, seat) = far.subscribers().swap_remove(0);
    assert_eq!(name, "r1");
    assert_eq!(seat.v4, Ipv4Addr::new(10, 78, 0, 11));
    assert_eq!(seat.gateway4, Some(Ipv4Addr::new(10, 78, 0, 254)));
    assert_eq!(seat.gateway6, Some("fd78::fe".parse().unwrap()));
    assert_eq!(far.router().gateway4, None);
}

#[test]
fn a_segment_without_hosts_or_with_too_many_is_refused() {
    assert!(matches!(Segment::near(0, true, false), Err(Error::HostCount { asked: 0, .. })));
    assert!(matches!(Segment::far(301, true), Err(Error::HostCount { asked: 301, .. })));
}
