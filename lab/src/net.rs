//! A real network on one machine, made of the kernel and nothing else.
//!
//! A [`Lab`] is a switch that listens to IGMP and MLD, as those do that one buys, and hosts that
//! are plugged into it, each in a network namespace of its own; if wished, a router with a second
//! switch behind it. All of it lives in this process: it is gone when the [`Lab`] is dropped and
//! when the process ends, however it ends.
//!
//! ```no_run
//! use lab::net::{self, Lab, Path};
//!
//! net::enter_user_namespace()?; // first thing in `main`; not needed as root
//! let lab = Lab::builder().hosts(5).path(Path::Wire).build()?; // pub, s1 … s4
//! lab.wait_until_settled()?;
//! let host = lab.host("s1")?;
//! let socket = host.run(|| std::net::UdpSocket::bind((host.addr4(), 5000)))??;
//! println!("{:?} {:?} {:?}", socket, host.counters()?, lab.mdb()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `builder` | what was asked for, and the order of the steps |
//! | `plan` | names and addresses |
//! | `node`, `host`, `switch` | the machines: what runs there, what they can be told |
//! | `settle` | when a switch has stopped flooding |
//! | `privilege` | whether networks may be made here; user namespaces |
//! | `namespace`, `names`, `signals` | namespaces, their names for other programs, and who removes these |
//! | `process`, `fork` | programs inside, which never outlive the lab |
//! | `netlink` | messages to the kernel and back |
//! | `link`, `route`, `bridge`, `mdb`, `ethtool`, `sysctl` | what is said in them |

mod bridge;
mod builder;
mod error;
mod ethtool;
mod fork;
mod host;
mod link;
mod mdb;
mod names;
mod namespace;
mod netlink;
mod node;
mod plan;
mod privilege;
mod process;
mod route;
mod settle;
mod signals;
mod switch;
mod sysctl;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use bridge::Snooping;
pub use builder::Builder;
pub use error::{Error, Unavailable};
pub use host::Host;
pub use link::LinkCounters;
pub use mdb::{FilterMode, MdbEntry};
pub use node::Node;
pub use privilege::{Privilege, available, enter_user_namespace};
pub use process::Child;
pub use switch::Switch;

/// What a burst that is sent in one piece (GSO) looks like between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// It stays one packet of up to 64 KiB, as virtual cables allow. Fast, and like no real wire:
    /// counters and losses are of bursts, and the headers of all packets but the first are missing.
    Whole,
    /// Every packet crosses alone, as from a card without segmentation offload
    /// (`tx-udp-segmentation`, `tso` and `gso` off): bytes and losses are those of a wire.
    #[default]
    Wire,
    /// As [`Self::Wire`], and the receiver joins packets into bursts again (`gro`), as cards do.
    WireGro,
}

/// A network of namespaces. See the [module](self).
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<Host>,
    router: Option<Host>,
    switches: Vec<Arc<Switch>>,
}

impl Lab {
    /// Starts to say what the lab shall be like.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Removes the names that labs of this prefix left in `/run/netns` when they were killed, and
    /// returns them. Names of labs that live are kept. Building a named lab does this first.
    ///
    /// # Errors
    ///
    /// The prefix cannot be one, or the directory cannot be changed.
    pub fn remove_stale(prefix: &str) -> Result<Vec<String>, Error> {
        names::remove_stale(prefix)
    }

    /// The hosts: `pub`, `s1`, …, then those behind the router. The router is not one of them.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        self.machines().find(|host| host.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.machines().map(Host::name).collect();
            Error::NoSuchHost { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The router, if the lab has a second segment.
    #[must_use]
    pub fn router(&self) -> Option<&Host> {
        self.router.as_ref()
    }

    /// The switches: `sw`, and `sw2` behind the router.
    pub fn switches(&self) -> impl Iterator<Item = &Switch> {
        self.switches.iter().map(AsRef::as_ref)
    }

    /// Who wants which group at this moment, at all switches.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn mdb(&self) -> Result<Vec<MdbEntry>, Error> {
        let entries: Vec<_> = self.switches().map(Switch::mdb).collect::<Result<_, _>>()?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// Waits until every host can be reached and the switches send groups only where they are
    /// wanted, and says how long that took. Both are measured by probes to port 9 (discard).
    ///
    /// A lab whose switches do not listen or do not ask floods for ever; then only reachability is
    /// waited for.
    ///
    /// # Errors
    ///
    /// After 15 s a switch still floods, or a host cannot be reached.
    pub fn wait_until_settled(&self) -> Result<Duration, Error> {
        let start = Instant::now();
        for switch in self.switches() {
            let mut senders = self.hosts.first().into_iter().chain(&self.router);
            let sender = senders.find(|host| host.is_at(switch));
            sender.map_or(Ok(()), |sender| settle::wait(switch, sender))?;
        }
        Ok(start.elapsed())
    }

    fn machines(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().chain(&self.router)
    }
}

/// How the switch's ports are called, before the name of the host.
const PORT: &str = "port-";
/// How the router is called.
const ROUTER: &str = "router";
