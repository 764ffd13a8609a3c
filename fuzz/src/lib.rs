//! What strangers may send and people may write, made up by a fuzzer.
//!
//! Each target is a function of bytes that panics where something is wrong. `cargo fuzz run -s none
//! TARGET` drives it by libFuzzer; `cargo test` replays the corpora that are committed, without a
//! fuzzer. `docs/ARCHITECTURE.md` says how they are kept.
//!
//! | you look for | open |
//! |---|---|
//! | any bytes to every decoder | [`decode`] |
//! | sealed datagrams, changed, doubled, of others | [`open`] |
//! | a receiver under any packets and times | [`receiver`] |
//! | a sender under any packets and times | [`sender`] |
//! | what people write | [`parsers`] |
//! | well-formed packets that say anything | `packet.rs` |
//! | the document's packets | `golden.rs` |
//! | the corpora, replayed and seeded | `corpus.rs` |
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "a target that cannot go on has found something"
)]

#[cfg(test)]
mod corpus;
pub mod decode;
mod golden;
pub mod open;
mod packet;
pub mod parsers;
pub mod receiver;
pub mod sender;
