//! Where what is for everyone goes: to each group once, and to each member by unicast.

use std::collections::HashMap;
use std::net::SocketAddr;

use proto::sender::Members;

use super::Way;
use crate::snapshot::Mode;
use crate::tcp::is_link;

/// Everywhere that one burst for everyone goes.
#[derive(Debug)]
pub(super) struct Targets {
    /// The groups first.
    ways: Vec<Way>,
    groups: usize,
    /// As of which change of the members.
    as_of: u64,
}

impl Targets {
    pub(super) fn new(ways: &[Way]) -> Self {
        let ways: Vec<Way> = ways.iter().filter(|way| way.mode.is_shared()).copied().collect();
        Self { groups: ways.len(), ways, as_of: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.ways.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<Way> {
        self.ways.get(place).copied()
    }

    /// Takes note of who came and went among `members`.
    pub(super) fn follow(
        &mut self,
        members: &Members,
        ways: &[Way],
        heard_by: &HashMap<SocketAddr, usize>,
    ) {
        if self.as_of == members.changes() {
            return;
        }
        self.as_of = members.changes();
        self.ways.truncate(self.groups);
        let to = |address| way_to(address, ways, heard_by);
        self.ways.extend(members.addresses().filter_map(to));
    }
}

/// The way of a member: by the socket that it speaks to, if the stream is given out there.
fn way_to(address: SocketAddr, ways: &[Way], heard_by: &HashMap<SocketAddr, usize>) -> Option<Way> {
    if is_link(&address) {
        let tcp = ways.iter().find(|way| way.mode == Mode::Tcp);
        return tcp.map(|way| Way { destination: address, ..*way });
    }
    let mut unicast = ways.iter().filter(|way| way.mode == Mode::Unicast);
    let way = match heard_by.get(&address) {
        Some(place) => unicast.find(|way| way.socket == *place),
        None => unicast.find(|way| way.destination.is_ipv4() == address.is_ipv4()),
    };
    way.map(|way| Way { destination: address, ..*way })
}
