//! How a lab is built: what was asked for, step by step.

use std::sync::Arc;

use super::{
    Error, Host, Lab, Path, ROUTER, Snooping,
    host::Wiring,
    names,
    node::Node,
    plan::{Seat, Segment},
    process::Spawner,
    switch::Switch,
};

/// What a lab shall be like.
#[derive(Clone, Debug)]
pub struct Builder {
    hosts: usize,
    routed: usize,
    ipv6: bool,
    path: Path,
    mtu: u32,
    snooping: Snooping,
    prefix: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            hosts: 2,
            routed: 0,
            ipv6: true,
            path: Path::Wire,
            mtu: 1500,
            snooping: Snooping::default(),
            prefix: None,
        }
    }
}

impl Builder {
    /// How many hosts the first segment has: `pub`, then `s1`, `s2`, …; 1 to 300, 2 unless said.
    #[must_use]
    pub fn hosts(mut self, hosts: usize) -> Self {
        self.hosts = hosts;
        self
    }

    /// Adds a second segment behind a `router`, with hosts `r1`, `r2`, …. Who wants multicast to
    /// cross it runs a multicast routing daemon at [`Lab::router`].
    #[must_use]
    pub fn routed(mut self, hosts: usize) -> Self {
        self.routed = hosts;
        self
    }

    /// Whether hosts have IPv6 addresses as well; they do unless said.
    #[must_use]
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// What a burst looks like on the wire; [`Path::Wire`] unless said.
    #[must_use]
    pub fn path(mut self, path: Path) -> Self {
        self.path = path;
        self
    }

    /// The largest IP packet of every cable, in bytes; 1500 unless said.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// How the switches find out who wants what.
    #[must_use]
    pub fn snooping(mut self, snooping: Snooping) -> Self {
        self.snooping = snooping;
        self
    }

    /// Makes the namespaces visible to other programs, as `ip netns exec PREFIXs1 …` wants it.
    /// Needs the right to write `/run/netns`. From then on SIGINT and SIGTERM remove the names before
    /// they end the process; a signal that the process handles already is left to it.
    #[must_use]
    pub fn named(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Builds it. It works at once, but its switches flood until
    /// [`Lab::wait_until_settled`] returns.
    ///
    /// # Errors
    ///
    /// This process may not make networks, the numbers or the prefix cannot be, a name is taken,
    /// or the kernel refuses a step. What was built until then is gone again.
    pub fn build(&self) -> Result<Lab, Error> {
        if let Some(prefix) = &self.prefix {
            names::remove_stale(prefix)?;
        }
        let near = Segment::near(self.hosts, self.ipv6, self.routed > 0)?;
        let site = Site { plan: self, spawner: Arc::new(Spawner::start()?) };
        let switch = site.switch("sw")?;
        let mut hosts = site.hosts(near.with_publisher(), &switch)?;
        let mut switches = vec![switch];
        let mut router = None;
        if self.routed > 0 {
            let far = Segment::far(self.routed, self.ipv6)?;
            let switch = site.switch("sw2")?;
            hosts.extend(site.hosts(far.subscribers(), &switch)?);
            switches.push(switch);
            let seats = [near.router(), far.router()].into_iter().zip(switches.iter().cloned());
            router = Some(site.host(ROUTER, seats.collect())?);
        }
        for switch in &switches {
            switch.switch_on()?;
        }
        Ok(Lab { hosts, router, switches })
    }
}

/// A lab that is being built.
struct Site<'a> {
    plan: &'a Builder,
    spawner: Arc<Spawner>,
}

impl Site<'_> {
    fn switch(&self, name: &str) -> Result<Arc<Switch>, Error> {
        Switch::create(self.node(name)?, &self.plan.snooping).map(Arc::new)
    }

    fn hosts(&self, seats: Vec<(String, Seat)>, at: &Arc<Switch>) -> Result<Vec<Host>, Error> {
        let hosts = seats.into_iter();
        hosts.map(|(name, seat)| self.host(&name, vec![(seat, Arc::clone(at))])).collect()
    }

    fn host(&self, name: &str, seats: Vec<(Seat, Arc<Switch>)>) -> Result<Host, Error> {
        let Builder { ipv6, mtu, path, .. } = *self.plan;
        Host::connect(self.node(name)?, seats, &Wiring { ipv6, mtu, path })
    }

    fn node(&self, name: &str) -> Result<Node, Error> {
        Node::create(name, self.plan.prefix.as_deref(), &self.spawner)
    }
}
