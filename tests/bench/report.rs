//! What is said: tables for people, or a line of JSON for each contestant.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::json;

/// Where figures go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    is_json: bool,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Says what every round of one contestant measured.
    pub(crate) fn json(self, part: &str, contestant: &str, rounds: &impl Serialize) {
        if self.is_json {
            println!("{}", json!({ "part": part, "contestant": contestant, "rounds": rounds }));
        }
    }

    /// Prints a table; every column but the first is of figures.
    pub(crate) fn table(self, title: &str, header: &[&str], rows: Vec<Vec<String>>) {
        if self.is_json || rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(header);
        table.add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("\n{title}\n{table}");
    }

    /// Says on stderr what goes on: a run takes minutes.
    pub(crate) fn progress(self, what: &str) {
        eprintln!("bench: {what}");
    }
}
