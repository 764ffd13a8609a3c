//! What was measured: a table for people, JSON and CSV for programs.

use std::fmt::Write;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::Way;

/// What one trial measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) way: Way,
    pub(super) row: Row,
    /// What the publisher itself counted, beside what its interface did.
    pub(super) counted_bytes: u64,
}

/// The same, as programs read it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) mode: &'static str,
    pub(super) subscribers: u32,
    pub(super) payload_bytes: u64,
    /// By the counters of the publisher's interface.
    pub(super) egress_bytes: u64,
    pub(super) egress_datagrams: u64,
    pub(super) publisher_cpu_seconds: f64,
    /// From the first byte until the last subscriber had everything.
    pub(super) wall_seconds: f64,
    /// At all subscribers together.
    pub(super) delivered_bytes: u64,
    pub(super) complete: bool,
    /// What one host that did not ask was made to carry.
    pub(super) bystander_rx_bytes: u64,
}

impl Figures {
    pub(super) fn is_complete(&self) -> bool {
        self.row.complete
    }

    /// Bytes on the publisher's wire for each byte of payload.
    fn egress_ratio(&self) -> f64 {
        self.row.egress_bytes as f64 / self.row.payload_bytes.max(1) as f64
    }

    fn cells(&self) -> Vec<String> {
        let row = &self.row;
        let bystander = row.bystander_rx_bytes as f64 / row.payload_bytes.max(1) as f64;
        vec![
            row.mode.to_owned(),
            row.subscribers.to_string(),
            format!("{:.1} MB", row.egress_bytes as f64 / 1e6),
            format!("{:.2}×", self.egress_ratio()),
            row.egress_datagrams.to_string(),
            format!("{:.2} s", row.publisher_cpu_seconds),
            format!("{:.2} s", row.wall_seconds),
            format!("{:.1} MB", row.delivered_bytes as f64 / 1e6),
            if row.complete { "yes" } else { "NO" }.to_owned(),
            format!("{:.1} %", 100.0 * bystander),
        ]
    }
}

/// For people.
pub(super) fn table(all: &[Figures]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(HEADER);
    for figures in all {
        table.add_row(figures.cells());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let payload = all.first().map_or(0, |figures| figures.row.payload_bytes);
    let saved = saving(all).map(|saved| format!("\n{saved}")).unwrap_or_default();
    format!(
        "{table}\npayload {:.1} MB; wire and datagrams are the publisher's interface's own count, \
         bystander is what a host that did not ask received, of the payload{saved}",
        payload as f64 / 1e6
    )
}

/// The headline: the largest audience by multicast and by the others.
pub(super) fn saving(all: &[Figures]) -> Option<String> {
    let largest = all.iter().map(|figures| figures.row.subscribers).max()?;
    let of = |way| {
        let at = |figures: &&Figures| figures.way == way && figures.row.subscribers == largest;
        all.iter().find(at).map(|figures| figures.row.egress_bytes.max(1) as f64)
    };
    let multicast = of(Way::Multicast)?;
    let others = [(Way::Unicast, "unicast"), (Way::Tcp, "TCP")];
    let said = others.into_iter().filter_map(|(way, name)| {
        Some(format!("{name} sends {:.1} times as much", of(way)? / multicast))
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty())
        .then(|| format!("to {largest} subscribers, beside multicast: {}", said.join(", ")))
}

/// An array of objects.
pub(super) fn json(all: &[Figures]) -> serde_json::Result<String> {
    let rows: Vec<&Row> = all.iter().map(|figures| &figures.row).collect();
    serde_json::to_string_pretty(&rows)
}

/// The same with one column more: what the publisher itself counted.
pub(super) fn csv(all: &[Figures]) -> String {
    let mut text = format!("{CSV_HEADER}\n");
    for Figures { row, counted_bytes, .. } in all {
        let written = writeln!(
            text,
            "{},{},{},{},{},{:.6},{:.6},{},{},{},{counted_bytes}",
            row.mode,
            row.subscribers,
            row.payload_bytes,
            row.egress_bytes,
            row.egress_datagrams,
            row.publisher_cpu_seconds,
            row.wall_seconds,
            row.delivered_bytes,
            row.complete,
            row.bystander_rx_bytes,
        );
        debug_assert!(written.is_ok(), "writing into a string cannot fail");
    }
    text
}

const HEADER: [&str; 10] = [
    "way",
    "subscribers",
    "wire",
    "of payload",
    "datagrams",
    "publisher CPU",
    "time",
    "delivered",
    "complete",
    "bystander",
];

const CSV_HEADER: &str = "mode,subscribers,payload_bytes,egress_bytes,egress_datagrams,\
    publisher_cpu_seconds,wall_seconds,delivered_bytes,complete,bystander_rx_bytes,counted_bytes";
