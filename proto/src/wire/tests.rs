//! The wire, pinned: bytes that must never change, and bytes that must never hurt.

mod document;
mod golden;
mod hostile;
mod lists;
mod round_trip;
mod samples;
mod words;

/// One packet of each kind, for the tests of others.
pub(crate) use samples::all as every_kind;

use super::{Packet, encode};

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut datagram = Vec::new();
    encode(packet, &mut datagram);
    datagram
}

/// Bytes from lines of hex, each followed by two spaces and what it means.
pub(crate) fn bytes_of(block: &str) -> Vec<u8> {
    let hex = block.lines().filter_map(|line| line.trim().split("  ").next());
    hex.flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("`{byte}` is no hex")))
        .collect()
}
