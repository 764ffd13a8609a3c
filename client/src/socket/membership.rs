//! What the kernel says is joined.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto::endpoint::Group;

/// Whether the kernel lists `group`, and its source, on the interface with this index. The table of
/// sources leaves an interface out whose youngest group has none (`igmp_mcf_get_first`): then the group
/// alone has to do.
pub(super) fn is_joined(group: &Group, index: u32) -> io::Result<bool> {
    match (group.address, group.source) {
        (IpAddr::V4(address), None) => Ok(igmp_lists(&read("igmp")?, index, address)),
        (IpAddr::V6(address), None) => Ok(igmp6_lists(&read("igmp6")?, index, address)),
        (IpAddr::V4(address), Some(IpAddr::V4(source))) => {
            let sources = read("mcfilter")?;
            Ok(filter_includes(&sources, index, &hex_v4(address), &hex_v4(source))
                || igmp_lists(&read("igmp")?, index, address))
        }
        (IpAddr::V6(address), Some(IpAddr::V6(source))) => {
            let sources = read("mcfilter6")?;
            Ok(filter_includes(&sources, index, &hex_v6(address), &hex_v6(source))
                || igmp6_lists(&read("igmp6")?, index, address))
        }
        (IpAddr::V4(_), Some(IpAddr::V6(_))) | (IpAddr::V6(_), Some(IpAddr::V4(_))) => Ok(false),
    }
}

/// The thread's own namespace: `/proc/net` is that of the process's first thread.
fn read(table: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/thread-self/net/{table}"))
}

/// A line for each interface, then an indented line for each of its groups; an address is the
/// number that its four bytes are in memory.
fn igmp_lists(table: &str, index: u32, group: Ipv4Addr) -> bool {
    let wanted = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let mut here = false;
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        if line.starts_with(char::is_whitespace) {
            if here && words.next() == Some(&wanted) {
                return true;
            }
        } else {
            here = words.next().and_then(|word| word.parse().ok()) == Some(index);
        }
    }
    false
}

/// `index device group users flags timer`
fn igmp6_lists(table: &str, index: u32, group: Ipv6Addr) -> bool {
    let wanted = hex_v6(group);
    table.lines().any(|line| {
        let mut words = line.split_whitespace();
        let here = words.next().and_then(|word| word.parse().ok()) == Some(index);
        here && words.nth(1) == Some(&wanted)
    })
}

/// `index device group source included excluded`
fn filter_includes(table: &str, index: u32, group: &str, source: &str) -> bool {
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [at, _, listed, from, included, ..] = words.as_slice() else { return false };
        at.parse() == Ok(index)
            && listed.trim_start_matches("0x") == group
            && from.trim_start_matches("0x") == source
            && *included != "0"
    })
}

fn hex_v4(address: Ipv4Addr) -> String {
    format!("{:08x}", address.to_bits())
}

fn hex_v6(address: Ipv6Addr) -> String {
    format!("{:032x}", address.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
        1\tlo        :     2      V3\n\
        \t\t\t\t030201EF     1 0:00000000\t\t0\n\
        \t\t\t\t010000E0     1 0:00000000\t\t0\n\
        2\teth0      :     1      V3\n\
        \t\t\t\t010000E0     1 0:00000000\t\t0\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv4_group_is_found_on_its_interface_only() {
        let group = Ipv4Addr::new(239, 1, 2, 3);
        assert!(igmp_lists(IGMP, 1, group));
        assert!(!igmp_lists(IGMP, 2, group));
        assert!(igmp_lists(IGMP, 2, Ipv4Addr::new(224, 0, 0, 1)));
    }

    #[test]
    fn an_ipv6_group_is_found_on_its_interface_only() {
        let table = "4    eth0            ff150000000000000000000000000007     1 00000004 0\n";
        let group: Ipv6Addr = "ff15::7".parse().unwrap();
        assert!(igmp6_lists(table, 4, group));
        assert!(!igmp6_lists(table, 1, group));
    }

    #[test]
    fn a_source_counts_only_where_it_is_included() {
        let table = "Idx Device        MCA        SRC    INC    EXC\n\
            \x20 4   eth0 0xe8010203 0x0a000001      1      0\n\
            \x20 4   eth0 0xe8010203 0x0a000002      0      1\n";
        assert!(filter_includes(table, 4, "e8010203", "0a000001"));
        assert!(!filter_includes(table, 4, "e8010203", "0a000002"));
        assert!(!filter_includes(table, 4, "e8010203", "0a000003"));
        assert!(!filter_includes(table, 5, "e8010203", "0a000001"));
    }
}
