//! Whether a querier is heard: without one, switches forget who joined after some minutes.
//!
//! MLD's queries are counted for each interface in `/proc/net/dev_snmp6`, which everyone may read.
//! IGMP's are counted nowhere: to hear them takes a raw socket, and that the right to have one
//! (`CAP_NET_RAW`). `/proc/net/igmp` tells no more than that a querier of version 1 or 2 spoke.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::snapshot::Snapshot;

/// What asks for membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asking {
    /// For IPv4 (RFC 3376).
    Igmp,
    /// For IPv6 (RFC 3810).
    Mld,
}

/// The queriers of the interfaces on which groups are joined.
#[derive(Debug, Default)]
pub(crate) struct Queriers {
    watches: BTreeMap<(String, Asking), Watch>,
}

/// When a querier was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The interface.
    pub(crate) interface: String,
    /// Which protocol.
    pub(crate) asking: Asking,
    /// The last query, or the moment since which none came; none if queries cannot be heard.
    pub(crate) since: Option<Instant>,
}

#[derive(Debug)]
struct Watch {
    /// The interface may go and come back as another of the same name.
    index: u32,
    ear: Ear,
    since: Instant,
}

#[derive(Debug)]
enum Ear {
    Socket(Socket),
    Counter(u64),
    Deaf,
}

impl Queriers {
    /// Listens a while: to be called about once a second.
    pub(crate) fn listen(&mut self, open: &[Snapshot], now: Instant) -> Vec<Heard> {
        let wanted = open.iter().map(|it| (it.interface.clone(), Asking::of(it.is_ipv6)));
        let mut watches = BTreeMap::new();
        for (interface, asking) in wanted {
            let index = if_nametoindex(interface.as_str()).unwrap_or(0);
            let old = self.watches.remove(&(interface.clone(), asking));
            let old = old.filter(|watch| watch.index == index);
            watches.entry((interface.clone(), asking)).or_insert_with(|| {
                old.unwrap_or_else(|| Watch::new(&interface, index, asking, now))
            });
        }
        self.watches = watches;
        let heard = self.watches.iter_mut().map(|((interface, asking), watch)| Heard {
            interface: interface.clone(),
            asking: *asking,
            since: watch.listen(interface, now),
        });
        heard.collect()
    }
}

impl Watch {
    fn new(interface: &str, index: u32, asking: Asking, now: Instant) -> Self {
        let ear = match asking {
            Asking::Igmp => igmp_socket(interface).map(Ear::Socket),
            Asking::Mld => mld_queries(interface).map(Ear::Counter),
        };
        if let Err(error) = &ear {
            tracing::debug!(interface, ?asking, %error, "queries cannot be heard");
        }
        Self { index, ear: ear.unwrap_or(Ear::Deaf), since: now }
    }

    fn listen(&mut self, interface: &str, now: Instant) -> Option<Instant> {
        let is_heard = match &mut self.ear {
            Ear::Socket(socket) => hears_query(socket),
            Ear::Counter(before) => {
                mld_queries(interface).is_ok_and(|count| std::mem::replace(before, count) != count)
            }
            Ear::Deaf => return None,
        };
        if is_heard {
            self.since = now;
        }
        Some(self.since)
    }
}

impl Asking {
    fn of(is_ipv6: bool) -> Self {
        if is_ipv6 { Self::Mld } else { Self::Igmp }
    }

    /// As metrics spell it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Igmp => "igmp",
            Self::Mld => "mld",
        }
    }
}

/// A socket that hears all IGMP of an interface.
fn igmp_socket(interface: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_IGMP)))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes what came since the last time; whether a query was among it.
fn hears_query(mut socket: &Socket) -> bool {
    let (mut packet, mut is_heard) = ([0; 2_048], false);
    for _ in 0..PACKETS_AT_A_TIME {
        match socket.read(&mut packet) {
            Ok(len) => is_heard |= packet.get(..len).is_some_and(is_query),
            Err(_) => break,
        }
    }
    is_heard
}

/// RFC 3376 §4: the type is the first byte behind the IP header.
fn is_query(packet: &[u8]) -> bool {
    let header_len = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(header_len) == Some(&MEMBERSHIP_QUERY)
}

/// MLD queries that the interface received since it is there.
fn mld_queries(interface: &str) -> io::Result<u64> {
    let table = fs::read_to_string(format!("/proc/thread-self/net/dev_snmp6/{interface}"))?;
    counted(&table).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn counted(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("Icmp6InGroupMembQueries"))?;
    line.trim().parse().ok()
}

/// How often [`Queriers::listen`] is to be called.
pub(crate) const LISTEN_EVERY: Duration = Duration::from_secs(1);

const IPPROTO_IGMP: i32 = 2;

const MEMBERSHIP_QUERY: u8 = 0x11;

/// Whoever floods the link with IGMP does not keep this thread busy.
const PACKETS_AT_A_TIME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_known_behind_a_header_with_options() {
        let mut query = vec![0; 24];
        query[0] = 0x46;
        query.extend([MEMBERSHIP_QUERY, 100, 0, 0, 0, 0, 0, 0]);
        assert!(is_query(&query));
        query[24] = 0x22;
        assert!(!is_query(&query), "a report");
        assert!(!is_query(&[]) && !is_query(&[0x4f, 0x11]));
    }

    #[test]
    fn queries_are_counted_by_the_kernel() {
        let table = "ifIndex                         \t4\n\
            Icmp6InGroupMembQueries         \t17\nIcmp6InGroupMembResponses       \t3\n";
        assert_eq!(counted(table), Some(17));
        assert_eq!(counted("ifIndex \t4\n"), None);
    }

    #[test]
    fn silence_is_counted_from_the_moment_one_listens() {
        let (mut queriers, now) = (Queriers::default(), Instant::now());
        let open = [Snapshot { interface: "lo".to_owned(), is_ipv6: true, ..Snapshot::default() }];
        let heard = queriers.listen(&open, now);
        let later = queriers.listen(&open, now + Duration::from_secs(9));
        assert_eq!(heard, later, "nobody asks on loopback");
        assert_eq!(queriers.listen(&[], now), []);
    }
}
