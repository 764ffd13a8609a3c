//! Talking to a running program: a Unix socket of its user's, a line each way.
//!
//! | you look for | open |
//! |---|---|
//! | where sockets are, and whose they must be | [`directory`] |
//! | the answering side | `control/socket.rs` |
//! | the asking side | `control/asking.rs` |

mod asking;
pub mod directory;
mod socket;

pub use self::asking::{AskError, ask, the_only_one};
pub use self::socket::ControlSocket;

/// The longest line that is read, in bytes: a path and an endpoint fit many times.
const LINE_LEN_LIMIT: u64 = 64 * 1024;
