//! What the demo found out: a table for people, one object for programs.

use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::Value;

use super::source::Source;
use crate::net::LinkCounters;

/// What a host was there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Joined before the first byte and stayed.
    Subscriber,
    /// Never joined.
    Bystander,
    /// Left half-way.
    Leaver,
    /// Joined when more than half was sent.
    Late,
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    source_bytes: u64,
    source_sha256: String,
    publisher: PublisherReport,
    unicast_equivalent_bytes: u64,
    /// What unicast would have cost, divided by what crossed the wire.
    ratio: f64,
    elapsed_seconds: f64,
    hosts: Vec<HostReport>,
}

/// What left the publisher; bytes on the wire are its interface's own count.
#[derive(Debug, Serialize)]
struct PublisherReport {
    egress_bytes: u64,
    egress_datagrams: u64,
    payload_bytes: u64,
    repair_bytes: u64,
}

/// How one host fared.
#[derive(Debug, Serialize)]
pub(super) struct HostReport {
    name: &'static str,
    role: Role,
    joined_at_seconds: Option<f64>,
    /// Bytes of the stream's datagrams that its sockets received.
    received_bytes: u64,
    delivered_bytes: u64,
    /// Packets that did not come the first time.
    lost_packets: u64,
    /// Of those, packets that came by repair.
    repaired_packets: u64,
    complete: bool,
    sha256: Option<String>,
    join_to_first_packet_ms: Option<f64>,
    /// All that its interface received; none where it has no interface of its own.
    interface_rx_bytes: Option<u64>,
}

impl HostReport {
    pub(super) fn new(
        name: &'static str,
        role: Role,
        joined_at: Option<Duration>,
        summary: &Value,
        crossed: Option<LinkCounters>,
    ) -> Self {
        Self {
            name,
            role,
            joined_at_seconds: joined_at.map(|at| at.as_secs_f64()),
            received_bytes: number(summary, "received_bytes"),
            delivered_bytes: number(summary, "delivered_bytes"),
            lost_packets: number(summary, "missed_packets"),
            repaired_packets: number(summary, "repaired_packets"),
            complete: summary.get("complete").and_then(Value::as_bool).unwrap_or(false),
            sha256: summary.get("sha256").and_then(Value::as_str).map(str::to_owned),
            join_to_first_packet_ms: summary.get("join_to_first_packet_ms").and_then(Value::as_f64),
            interface_rx_bytes: crossed.map(|counters| counters.rx_bytes),
        }
    }

    fn row(&self, source_sha256: &str) -> Vec<String> {
        let same = self.sha256.as_deref() == Some(source_sha256);
        let is_bystander = self.role == Role::Bystander;
        let or_dash = |text: String| if is_bystander { "–".to_owned() } else { text };
        vec![
            self.name.to_owned(),
            role_name(self.role).to_owned(),
            self.joined_at_seconds.map_or("never".to_owned(), |at| format!("{at:.1} s")),
            self.join_to_first_packet_ms.map_or("–".to_owned(), |ms| format!("{ms:.0} ms")),
            or_dash(bytes(self.delivered_bytes)),
            or_dash(self.lost_packets.to_string()),
            or_dash(self.repaired_packets.to_string()),
            or_dash(if self.complete { "yes" } else { "no" }.to_owned()),
            or_dash(if same { "the source's" } else { "–" }.to_owned()),
            self.interface_rx_bytes.map_or("–".to_owned(), bytes),
        ]
    }
}

impl Report {
    pub(super) fn new(
        source: &Source,
        publisher: &Value,
        crossed: Option<LinkCounters>,
        hosts: Vec<HostReport>,
        elapsed: Duration,
    ) -> Self {
        let egress_bytes = crossed.map_or(number(publisher, "egress_bytes"), |c| c.tx_bytes);
        let egress_datagrams =
            crossed.map_or(number(publisher, "egress_datagrams"), |c| c.tx_packets);
        let unicast_equivalent_bytes = number(publisher, "unicast_equivalent_bytes");
        Self {
            source_bytes: source.len(),
            source_sha256: source.sha256().to_owned(),
            publisher: PublisherReport {
                egress_bytes,
                egress_datagrams,
                payload_bytes: number(publisher, "payload_bytes"),
                repair_bytes: number(publisher, "repair_bytes"),
            },
            unicast_equivalent_bytes,
            ratio: unicast_equivalent_bytes as f64 / egress_bytes.max(1) as f64,
            elapsed_seconds: elapsed.as_secs_f64(),
            hosts,
        }
    }

    /// Whether everyone who should have everything has it, byte for byte.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.hosts.iter().all(|host| match host.role {
            Role::Subscriber | Role::Late => {
                host.complete && host.sha256.as_deref() == Some(&self.source_sha256)
            }
            Role::Leaver => !host.complete,
            Role::Bystander => true,
        })
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(HEADER);
        for host in &self.hosts {
            table.add_row(host.row(&self.source_sha256));
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n{}", self.summary())
    }

    fn summary(&self) -> String {
        let publisher = &self.publisher;
        format!(
            "sent {} (SHA-256 {}…) in {:.1} s\n\
             crossed the publisher's wire: {} in {} packets, {} of it repair\n\
             unicast to the same audience: {}, {:.1} times as much",
            bytes(self.source_bytes),
            self.source_sha256.get(..16).unwrap_or_default(),
            self.elapsed_seconds,
            bytes(publisher.egress_bytes),
            publisher.egress_datagrams,
            bytes(publisher.repair_bytes),
            bytes(self.unicast_equivalent_bytes),
            self.ratio,
        )
    }
}

fn number(line: &Value, field: &str) -> u64 {
    line.get(field).and_then(Value::as_u64).unwrap_or(0)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Subscriber => "subscriber",
        Role::Bystander => "did not join",
        Role::Leaver => "left half-way",
        Role::Late => "joined late",
    }
}

fn bytes(count: u64) -> String {
    format!("{:.1} MB", count as f64 / 1e6)
}

const HEADER: [&str; 10] = [
    "host",
    "role",
    "joined",
    "first packet",
    "delivered",
    "lost",
    "repaired",
    "complete",
    "SHA-256",
    "wire in",
];
