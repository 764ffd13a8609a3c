//! The document and the code say the same: docs/PROTOCOL.md §7 holds the golden bytes.

use super::{bytes_of, golden, samples};
use crate::wire::Kind;

const DOCUMENT: &str = include_str!("../../../../docs/PROTOCOL.md");

/// The block of hex under the heading of a test vector.
fn vector(kind: Kind) -> &'static str {
    let heading = format!("### Vector: {}\n", kind.name());
    let (_, after) = DOCUMENT.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) = after.split_once("```hex\n").unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_documents_vectors_are_the_golden_bytes() {
    for (kind, hex) in golden::ALL {
        assert_eq!(bytes_of(vector(kind)), bytes_of(hex), "{}", kind.name());
    }
    assert_eq!(DOCUMENT.matches("```hex\n").count(), Kind::ALL.len());
}

#[test]
fn every_kind_has_a_row_and_a_section() {
    for packet in samples::all() {
        let kind = packet.body.kind();
        let row = format!("| {} | `{}` |", kind.number(), kind.name());
        assert!(DOCUMENT.contains(&row), "no row `{row}`");
        let section = format!("`{}` ({})\n", kind.name(), kind.number());
        assert!(DOCUMENT.contains(&section), "no section `{section}`");
    }
}
