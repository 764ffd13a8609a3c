//! The packets of the document, one of each kind.

use std::sync::OnceLock;

use proto::{SessionId, StreamId};

const DOCUMENT: &str = include_str!("../../docs/PROTOCOL.md");

/// The test vectors of docs/PROTOCOL.md §7, which are laid out by hand.
pub(crate) fn all() -> &'static [Vec<u8>] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let blocks = DOCUMENT.split("```hex\n").skip(1);
        blocks.filter_map(|block| block.split_once("```").map(|(hex, _)| bytes_of(hex))).collect()
    })
}

/// Puts a packet into this stream and session.
pub(crate) fn readdress(datagram: &mut [u8], stream: StreamId, session: SessionId) {
    if let [_, _, _, _, rest @ ..] = datagram
        && let [a, b, c, d, e, f, g, h, i, j, ..] = rest
    {
        [*a, *b] = stream.0.to_be_bytes();
        [*c, *d, *e, *f, *g, *h, *i, *j] = session.0.to_be_bytes();
    }
}

/// Bytes from lines of hex, each followed by two spaces and what it means.
fn bytes_of(block: &str) -> Vec<u8> {
    let hex = block.lines().filter_map(|line| line.split("  ").next());
    hex.flat_map(str::split_whitespace)
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read() {
        assert_eq!(all().len(), proto::wire::Kind::ALL.len());
        for packet in all() {
            assert!(proto::wire::decode_said(packet).is_ok(), "{packet:02x?}");
        }
    }
}
