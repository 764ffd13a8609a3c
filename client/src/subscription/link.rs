//! An interface that goes, and comes back.

use host::interface::Interface;

use super::Subscription;
use crate::record::{Record, Records};
use crate::socket::{GroupSocket, SocketError};

impl Subscription {
    /// Looks at what the interfaces are now; true if the group is to be joined again.
    ///
    /// The kernel forgets a membership with its interface, and a switch forgets it with the
    /// cable: neither says so.
    pub(crate) fn look_at_link(&mut self, interfaces: &[Interface]) -> bool {
        if self.ways.group().is_none() {
            return false;
        }
        let Some(found) = self.find(interfaces) else {
            self.on_link_lost();
            return false;
        };
        if !found.up || !found.running {
            self.on_link_lost();
            return false;
        }
        self.socket.is_none() || found.index != self.interface.index
    }

    /// Joins again, on a socket of its own.
    pub(crate) fn rejoin(
        &mut self,
        interfaces: &[Interface],
        records: &Records,
    ) -> Result<(), SocketError> {
        let Some(found) = self.find(interfaces).cloned() else { return Ok(()) };
        let reason = if found.index == self.interface.index { "link" } else { "recreated" };
        // Left before it is joined: only the first join on a host is told to the switch.
        self.close_socket();
        let buffer = self.config.defaults.receive_buffer;
        let Some(heard) = self.ways.group() else { return Ok(()) };
        let socket = GroupSocket::open(heard, &found, buffer)?;
        self.socket = Some(socket);
        self.interface = found;
        self.tally.on_rejoin(reason);
        let (group, interface) = (&self.group, &self.interface);
        tracing::info!(group, %interface, reason, "joined again");
        records.write(&Record::Rejoined { group, interface: &interface.name, reason });
        Ok(())
    }

    /// By index, or by name if it was made anew.
    fn find<'a>(&self, interfaces: &'a [Interface]) -> Option<&'a Interface> {
        let same = |interface: &&Interface| {
            interface.index == self.interface.index && interface.name == self.interface.name
        };
        let named = |interface: &&Interface| interface.name == self.interface.name;
        interfaces.iter().find(same).or_else(|| interfaces.iter().find(named))
    }

    fn on_link_lost(&mut self) {
        if self.socket.is_some() {
            tracing::warn!(
                group = self.group,
                interface = %self.interface,
                "the interface is down: the group is joined again when it comes back"
            );
            self.close_socket();
        }
    }

    fn close_socket(&mut self) {
        self.read_drops();
        self.drops_before = self.tally.kernel_drops;
        self.socket = None;
    }
}
