//! What the kernel counted at interfaces, to be shown beside what a program counts itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use crate::metrics::{Definition, Samples, counter};

/// What crossed an interface since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received, Ethernet headers included.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received and thrown away.
    pub rx_dropped: u64,
    /// Bytes sent, Ethernet headers included.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that were to be sent and were thrown away.
    pub tx_dropped: u64,
}

/// The counters of every interface of this process's network namespace, with its name.
///
/// # Errors
///
/// When there is no `/proc`.
pub fn all() -> io::Result<Vec<(String, Counters)>> {
    // `/sys` shows the namespace that it was mounted in, `/proc/net` that of the first thread.
    Ok(parse(&fs::read_to_string("/proc/thread-self/net/dev")?))
}

/// Adds the counters of these interfaces to a scrape; without `/proc` there are none.
pub fn add<'a>(interfaces: impl IntoIterator<Item = &'a str>, samples: &mut Samples) {
    let wanted: BTreeSet<&str> = interfaces.into_iter().collect();
    for (name, counted) in all().unwrap_or_default() {
        if !wanted.contains(name.as_str()) {
            continue;
        }
        for (metric, value) in [
            ("interface_receive_bytes_total", counted.rx_bytes),
            ("interface_receive_packets_total", counted.rx_packets),
            ("interface_receive_dropped_total", counted.rx_dropped),
            ("interface_transmit_bytes_total", counted.tx_bytes),
            ("interface_transmit_packets_total", counted.tx_packets),
            ("interface_transmit_dropped_total", counted.tx_dropped),
        ] {
            samples.count(metric, &[&name], value);
        }
    }
}

/// The metrics that [`add`] fills.
pub const DEFINITIONS: [Definition; 6] = [
    counter(
        "interface_receive_bytes_total",
        INTERFACE,
        "Bytes that the kernel counted in at an interface in use, of whatever program.",
    ),
    counter("interface_receive_packets_total", INTERFACE, "Packets that it counted in."),
    counter("interface_receive_dropped_total", INTERFACE, "Packets in that it threw away."),
    counter(
        "interface_transmit_bytes_total",
        INTERFACE,
        "Bytes that the kernel counted out at an interface in use, of whatever program.",
    ),
    counter("interface_transmit_packets_total", INTERFACE, "Packets that it counted out."),
    counter("interface_transmit_dropped_total", INTERFACE, "Packets out that it threw away."),
];

const INTERFACE: &[&str] = &["interface"];

/// Two lines of headings; then a line for each: `name: rx_bytes packets errs drop fifo frame
/// compressed multicast tx_bytes packets errs drop …`
fn parse(table: &str) -> Vec<(String, Counters)> {
    let lines = table.lines().skip(2);
    lines
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, rest)| {
            let numbers: Vec<u64> =
                rest.split_whitespace().filter_map(|it| it.parse().ok()).collect();
            let [
                rx_bytes,
                rx_packets,
                _,
                rx_dropped,
                _,
                _,
                _,
                _,
                tx_bytes,
                tx_packets,
                _,
                tx_dropped,
                ..,
            ] = numbers.as_slice()
            else {
                return None;
            };
            let counters = Counters {
                rx_bytes: *rx_bytes,
                rx_packets: *rx_packets,
                rx_dropped: *rx_dropped,
                tx_bytes: *tx_bytes,
                tx_packets: *tx_packets,
                tx_dropped: *tx_dropped,
            };
            Some((name.trim().to_owned(), counters))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_a_line() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes packets errs\n    lo: 1 2 3 4 5 6 7 8 9 \
                     10 11 12 13 14 15 16\neth0:21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36\n";
        let found = parse(table);
        assert_eq!(found.len(), 2);
        let (name, eth0) = &found[1];
        assert_eq!((name.as_str(), eth0.rx_bytes, eth0.rx_dropped), ("eth0", 21, 24));
        assert_eq!((eth0.tx_bytes, eth0.tx_packets, eth0.tx_dropped), (29, 30, 32));
        assert!(all().unwrap().iter().any(|(name, _)| name == "lo"));
    }
}
