//! When a switch has settled: measured, because the kernel does not tell.
//!
//! A bridge sends every group to every port until its querier has been asking for one response
//! interval. So probes to groups that nobody joined are sent until they reach no port any more;
//! probes to all hosts, which reach every port always, show that the ports are open at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    MdbEntry,
    error::{Error, refused},
    host::Host,
    switch::Switch,
};

/// Waits until the switch sends groups only where they are wanted, seen from this sender.
pub(super) fn wait(switch: &Switch, sender: &Host) -> Result<(), Error> {
    let probe = Probe::open(switch, sender)?;
    let start = Instant::now();
    loop {
        let state = probe.look()?;
        if state == State::Settled {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let switch = switch.node().name().to_owned();
            return Err(Error::NotSettled {
                switch,
                waited: PATIENCE,
                state: format!("{state:?}"),
            });
        }
        thread::sleep(PAUSE);
    }
}

/// What the probes showed.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// These hosts cannot be reached yet, not even by the group of all hosts.
    Closed(IpAddr, Vec<String>),
    /// These hosts still get this group, which nobody joined.
    Flooding(IpAddr, Vec<String>),
    /// These hosts have not told the switch yet by which groups their neighbours find them.
    Silent(Vec<String>),
    Settled,
}

struct Probe<'a> {
    switch: &'a Switch,
    sender: &'a str,
    sockets: Vec<(Socket, SocketAddr, SocketAddr)>,
    /// Whether the switch is meant to hold back what nobody joined.
    holds_back: bool,
}

impl<'a> Probe<'a> {
    fn open(switch: &'a Switch, sender: &'a Host) -> Result<Self, Error> {
        let interface = sender.interface_at(switch).unwrap_or_default().to_owned();
        let mut pairs = vec![(IpAddr::from(ALL_HOSTS_4), IpAddr::from(NOBODY_4))];
        if sender.addr6().is_some() {
            pairs.push((ALL_HOSTS_6.into(), NOBODY_6.into()));
        }
        let open = || {
            let sockets = pairs.into_iter().map(|(all, nobody)| {
                let to = |address| SocketAddr::new(address, DISCARD);
                Ok((socket(&interface, all)?, to(all), to(nobody)))
            });
            sockets.collect::<io::Result<Vec<_>>>()
        };
        let sockets = sender.run(open)?.map_err(refused("open probe sockets at", sender.name()))?;
        let snooping = switch.snooping();
        let holds_back = snooping.enabled && snooping.querier;
        Ok(Self { switch, sender: sender.name(), sockets, holds_back })
    }

    fn look(&self) -> Result<State, Error> {
        for (socket, all, nobody) in &self.sockets {
            let closed = self.reached(socket, *all, false)?;
            if !closed.is_empty() {
                return Ok(State::Closed(all.ip(), closed));
            }
            let flooded =
                if self.holds_back { self.reached(socket, *nobody, true)? } else { vec![] };
            if !flooded.is_empty() {
                return Ok(State::Flooding(nobody.ip(), flooded));
            }
        }
        let silent = self.silent()?;
        Ok(if silent.is_empty() { State::Settled } else { State::Silent(silent) })
    }

    /// Hosts of which the switch knows no group: with IPv6 each has one for each of its addresses,
    /// and is not found by its neighbours before the switch knows.
    fn silent(&self) -> Result<Vec<String>, Error> {
        if !self.holds_back || self.sockets.len() < 2 {
            return Ok(Vec::new());
        }
        let mdb = self.switch.mdb()?;
        let heard: BTreeSet<&str> = mdb.iter().map(MdbEntry::host).collect();
        let hosts = self.sent_to_hosts()?.into_keys();
        Ok(hosts.filter(|host| !heard.contains(host.as_str())).collect())
    }

    /// Sends a burst and names the hosts that got it, or those that did not.
    fn reached(&self, socket: &Socket, to: SocketAddr, got_it: bool) -> Result<Vec<String>, Error> {
        let before = self.sent_to_hosts()?;
        for _ in 0..BURST {
            if socket.send_to(PROBE, &to.into()).is_err() {
                // The sender's own interface is not open yet.
                return Ok(vec![self.sender.to_owned()]);
            }
        }
        thread::sleep(CROSSING);
        let after = self.sent_to_hosts()?;
        let hosts = after.into_iter().filter(|(host, sent)| {
            let arrived = sent.saturating_sub(*before.get(host).unwrap_or(sent)) >= BURST;
            host != self.sender && arrived == got_it
        });
        Ok(hosts.map(|(host, _)| host).collect())
    }

    /// Packets sent to each host. A router is sent everything, always, so that it shows nothing.
    fn sent_to_hosts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let ports = self.switch.port_counters()?.into_iter();
        let ports = ports.map(|(host, counters)| (host, counters.tx_packets));
        Ok(ports.filter(|(host, _)| host != super::ROUTER).collect())
    }
}

fn socket(interface: &str, group: IpAddr) -> io::Result<Socket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    Ok(socket)
}

/// Longer than any querier needs; with the defaults it takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(10);
/// Time for a burst to reach the last port; the kernel does it while it is sent.
const CROSSING: Duration = Duration::from_millis(2);
/// Packets of a probe: more than the hosts have to say among themselves meanwhile.
const BURST: u64 = 32;
const PROBE: &[u8] = b"is anybody there";
/// RFC 863: whoever gets it throws it away.
const DISCARD: u16 = 9;
/// Groups of a switch's own link are sent to every port (RFC 4541 §2.1.2).
const ALL_HOSTS_4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_HOSTS_6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Groups that no program of ours joins, of the site's own (RFC 2365 §6.1, RFC 7346).
const NOBODY_4: Ipv4Addr = Ipv4Addr::new(239, 255, 254, 253);
const NOBODY_6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x1ab0, 0xfefd);
