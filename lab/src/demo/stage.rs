//! Where it is shown: a network of this machine's own, or loopback where none may be made.

use std::process::{Child, Command};

use anyhow::Context;

use crate::net::{self, Lab, LinkCounters};

/// What was chosen before anything was built.
#[derive(Debug)]
pub(crate) enum Choice {
    Switch,
    Loopback { why: String },
}

/// Where programs run.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Hosts on a switch.
    Switch(Lab),
    /// One host, and its loopback interface.
    Loopback { why: String },
}

/// A program that is ended with the demo.
#[derive(Debug)]
pub(crate) enum Running {
    OnHost(net::Child),
    Here(Child),
}

impl Stage {
    pub(crate) fn choose(loopback: bool) -> Choice {
        if loopback {
            return Choice::Loopback { why: "it was asked for with --loopback".to_owned() };
        }
        match net::enter_user_namespace() {
            Ok(_) => Choice::Switch,
            Err(error) => Choice::Loopback { why: error.to_string() },
        }
    }

    pub(crate) fn build(choice: Choice, hosts: usize) -> anyhow::Result<Self> {
        match choice {
            Choice::Loopback { why } => Ok(Self::Loopback { why }),
            Choice::Switch => {
                let lab = Lab::builder().hosts(hosts).build().context("cannot build the lab")?;
                lab.wait_until_settled().context("the lab's switch does not settle")?;
                Ok(Self::Switch(lab))
            }
        }
    }

    /// The switch and its hosts, if this is one.
    pub(crate) fn lab(&self) -> Option<&Lab> {
        match self {
            Self::Switch(lab) => Some(lab),
            Self::Loopback { .. } => None,
        }
    }

    /// What a person should know of where it is shown.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Switch(_) => "an IGMP-snooping switch and hosts in network namespaces; \
                every packet crosses the wire alone"
                .to_owned(),
            Self::Loopback { why } => format!(
                "multicast on the loopback interface, because {why}; there is no switch, so nobody \
                 is spared anything and interfaces are not counted"
            ),
        }
    }

    /// The interface that programs are told to use.
    pub(crate) fn interface(&self) -> &'static str {
        match self {
            Self::Switch(_) => "eth0",
            Self::Loopback { .. } => "lo",
        }
    }

    pub(crate) fn spawn(&self, host: &str, mut command: Command) -> anyhow::Result<Running> {
        match self {
            Self::Switch(lab) => Ok(Running::OnHost(lab.host(host)?.spawn(command)?)),
            Self::Loopback { .. } => {
                let child = command.spawn().context("cannot start a program")?;
                Ok(Running::Here(child))
            }
        }
    }

    /// What crossed a host's interface, where it has one of its own.
    pub(crate) fn counters(&self, host: &str) -> anyhow::Result<Option<LinkCounters>> {
        match self {
            Self::Switch(lab) => Ok(Some(lab.host(host)?.counters()?)),
            Self::Loopback { .. } => Ok(None),
        }
    }
}

impl Running {
    pub(crate) fn child(&mut self) -> &mut Child {
        match self {
            Self::OnHost(child) => child,
            Self::Here(child) => child,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Here(child) = self {
            // Both fail only if it has been waited for already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}
