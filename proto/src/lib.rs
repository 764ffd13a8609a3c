//! The protocol of onecast: what crosses the wire, and the two state machines at its ends.
//!
//! Nothing here does I/O, reads a clock, owns chance or logs. Bytes and time go in; bytes,
//! deadlines and facts come out, by six calls: `push`, `handle_datagram`, `handle_timeout`,
//! `poll_transmit`, `poll_timeout` and `poll_event`.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | the layout of a packet | [`wire`] |
//! | the one place that names bincode | `wire/codec.rs` |
//! | what a publisher does | [`sender`], [`Sender`] |
//! | what a subscriber does | [`receiver`], [`Receiver`] |
//! | how an address is written | [`endpoint`] |
//! | numbers, names, time and units | [`seq`], [`id`], [`time`], [`units`] |
//! | parity: block code, recovery | [`fec`] |
//! | the cookie before any unicast answer | [`cookie`] |
//! | keys, sealing and opening | [`seal`] |
//! | signing, and checking it | [`sign`] |
//! | who is let in, and handed keys | [`admission`] |
//! | memory that is used again | `chunks.rs` |
//! | tables of counters | [`counts`] |
//! | group round-trip time and group size | [`grtt`] |
//! | who of the audience speaks | [`poll`] |
//! | how long to wait before asking | [`backoff`] |
//!
//! `docs/PROTOCOL.md` gives every packet field by field, with the rules and test vectors.
// Not `forbid`: `fec/simd.rs` and `sign/lanes.rs` expect it, where vectors compute, and nothing else does.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
pub mod backoff;
mod chunks;
pub mod comparison;
pub mod config;
pub mod cookie;
pub mod counts;
pub mod endpoint;
pub mod fec;
pub mod grtt;
pub mod id;
pub mod poll;
pub mod receiver;
pub mod seal;
pub mod sender;
pub mod seq;
pub mod sign;
pub mod time;
pub mod units;
pub mod wire;

pub use config::{Delivery, ReceiverConfig, SenderConfig};
pub use endpoint::Endpoint;
pub use id::{SessionId, StreamId, SubscriberId};
pub use receiver::Receiver;
pub use sender::Sender;
pub use seq::{Seq, SeqRange};
pub use time::{Timestamp, WireTime};
pub use units::{Bitrate, ByteCount};
