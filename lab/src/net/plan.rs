//! Who sits where: names and addresses of the hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::Error;

/// A host's place on a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) v4: Ipv4Addr,
    pub(super) v4_length: u8,
    pub(super) v6: Option<Ipv6Addr>,
    pub(super) gateway4: Option<Ipv4Addr>,
    pub(super) gateway6: Option<Ipv6Addr>,
}

impl Default for Seat {
    fn default() -> Self {
        let v4 = Ipv4Addr::UNSPECIFIED;
        Self { v4, v4_length: 32, v6: None, gateway4: None, gateway6: None }
    }
}

/// A segment: 10.77.0.0 and fd77::, or another that is numbered alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    v4: [u8; 2],
    v6: u16,
    hosts: usize,
    ipv6: bool,
    routed: bool,
}

impl Segment {
    /// The segment of the publisher.
    pub(super) fn near(hosts: usize, ipv6: bool, routed: bool) -> Result<Self, Error> {
        Self { v4: [10, 77], v6: 0xfd77, hosts, ipv6, routed }.checked()
    }

    /// The segment behind the router.
    pub(super) fn far(hosts: usize, ipv6: bool) -> Result<Self, Error> {
        Self { v4: [10, 78], v6: 0xfd78, hosts, ipv6, routed: true }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        match self.hosts {
            1..=LIMIT => Ok(self),
            asked => Err(Error::HostCount { asked, limit: LIMIT }),
        }
    }

    /// The publisher and the subscribers `s1`, `s2`, … of the near segment.
    pub(super) fn with_publisher(&self) -> Vec<(String, Seat)> {
        let publisher = ("pub".to_owned(), self.seat(0, PUBLISHER));
        let subscribers = (1..self.hosts).map(|i| (format!("s{i}"), self.subscriber(i)));
        std::iter::once(publisher).chain(subscribers).collect()
    }

    /// The subscribers `r1`, `r2`, … of the far segment.
    pub(super) fn subscribers(&self) -> Vec<(String, Seat)> {
        (1..=self.hosts).map(|i| (format!("r{i}"), self.subscriber(i))).collect()
    }

    /// The router's place; it is its own way out.
    pub(super) fn router(&self) -> Seat {
        Seat { gateway4: None, gateway6: None, ..self.seat(0, ROUTER) }
    }

    fn subscriber(&self, number: usize) -> Seat {
        let low = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        match number.checked_sub(FIRST_BLOCK + 1) {
            None => self.seat(0, low(number + 10)),
            Some(beyond) => self.seat(1, low(beyond + 1)),
        }
    }

    fn seat(&self, third: u8, fourth: u8) -> Seat {
        let [a, b] = self.v4;
        let v4 = |third, fourth| Ipv4Addr::new(a, b, third, fourth);
        let v6 = |third: u8, fourth: u8| {
            let (third, fourth) = (third.into(), fourth.into());
            self.ipv6.then(|| Ipv6Addr::new(self.v6, 0, 0, 0, 0, 0, third, fourth))
        };
        Seat {
            v4: v4(third, fourth),
            v4_length: if self.hosts > FIRST_BLOCK { 16 } else { 24 },
            v6: v6(third, fourth),
            gateway4: self.routed.then(|| v4(0, ROUTER)),
            gateway6: if self.routed { v6(0, ROUTER) } else { None },
        }
    }
}

/// As many as fit into two blocks, .0.11 to .0.210 and .1.1 to .1.100.
const LIMIT: usize = 300;
/// Subscriber i has address .0.(10 + i) up to here, then .1.(i − 200).
const FIRST_BLOCK: usize = 200;
const PUBLISHER: u8 = 1;
const ROUTER: u8 = 254;
/// Bits of an IPv6 address that all hosts of a segment share.
pub(super) const V6_LENGTH: u8 = 64;

#[cfg(test)]
mod tests;
