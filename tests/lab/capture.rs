//! What hosts tell the switch about groups, as tshark understands it.

use std::{net::IpAddr, process::Command, time::Duration};

use crate::{program::Program, stage::Stage};

/// Membership reports that come in by a port of the switch.
pub(crate) struct Capture(Program);

/// One record of a report (RFC 3376 §4.2.4, RFC 3810 §5.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) group: IpAddr,
    pub(crate) sources: Vec<IpAddr>,
}

impl Capture {
    /// Starts to listen, and returns when it does.
    pub(crate) fn start(stage: &Stage, host: &str) -> Self {
        let mut command = Command::new("tshark");
        command.args(["-i", &format!("port-{host}"), "-l", "-n", "-f", "igmp or ip6"]);
        command.args(["-Y", "igmp.type == 0x22 or icmpv6.type == 143"]);
        command.args(["-T", "fields", "-E", "separator=|"]);
        for field in ["record_type", "num_src", "maddr", "saddr"] {
            command.args(["-e", &format!("igmp.{field}")]);
        }
        for field in ["record_type", "nb_sources", "multicast_address", "source_address"] {
            command.args(["-e", &format!("icmpv6.mldr.mar.{field}")]);
        }
        let switch = stage.lab.switches().next().expect("a switch").node();
        let program = Program::start_at(switch, "tshark", command);
        program.wait_for_text("Capturing on", Duration::from_secs(20));
        // It says so a moment before the socket is open.
        std::thread::sleep(Duration::from_millis(500));
        Self(program)
    }

    /// All records so far, but for groups of the link itself, which IPv6 makes for every address.
    pub(crate) fn records(&self) -> Vec<Record> {
        let records = self.0.lines().iter().flat_map(|line| records(line)).collect::<Vec<_>>();
        records.into_iter().filter(|record| !is_of_link(record.group)).collect()
    }

    /// Waits for a record.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Record) -> bool) -> Record {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let records = self.records();
            if let Some(found) = records.iter().find(|record| wanted(record)) {
                return found.clone();
            }
            assert!(std::time::Instant::now() < deadline, "only {records:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The records of one report: fields with a list each.
fn records(line: &str) -> Vec<Record> {
    let fields: Vec<&str> = line.split('|').collect();
    let lists = if fields.first().is_some_and(|first| !first.is_empty()) { 0 } else { 4 };
    let list = |field: usize| {
        let text = fields.get(lists + field).copied().unwrap_or_default();
        text.split(',').filter(|part| !part.is_empty())
    };
    let mut sources = list(3).map(|source| source.parse::<IpAddr>().expect("a source"));
    let heads = list(0).zip(list(1)).zip(list(2));
    let heads = heads.map(|((kind, count), group)| Record {
        kind: kind.parse().expect("a record type"),
        group: group.parse().expect("a group"),
        sources: sources.by_ref().take(count.parse().expect("a count")).collect(),
    });
    heads.collect()
}

fn is_of_link(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group.segments()[0] & 0xf == 2,
    }
}

pub(crate) const CHANGE_TO_INCLUDE: u8 = 3;
pub(crate) const CHANGE_TO_EXCLUDE: u8 = 4;
pub(crate) const ALLOW_NEW_SOURCES: u8 = 5;
pub(crate) const BLOCK_OLD_SOURCES: u8 = 6;
