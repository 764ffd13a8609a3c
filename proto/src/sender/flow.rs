//! How fast, and for whom: what rules the pace of a stream (docs/PROTOCOL.md, "Pace").
//!
//! | you look for | open |
//! |---|---|
//! | when the next burst may leave | `flow/pacer.rs` |
//! | which rate that is, and how much repair may be under way | `flow/pace.rs` |
//! | the ceiling that loss puts on an automatic rate | `flow/cap.rs` |
//! | the share of the rate that repair may take, and who of the askers | `flow/budget.rs`, `flow/askers.rs` |
//! | who holds the others back, and is let go | `flow/slow.rs` |
//! | loss that lasts | `flow/breaker.rs` |

mod askers;
mod breaker;
mod budget;
mod cap;
mod pace;
mod pacer;
mod slow;

pub use breaker::BreakerState;

pub(super) use breaker::Breaker;
pub(super) use budget::Budget;
pub(super) use cap::Cap;
pub(super) use pace::Surge;
pub use pacer::Lateness;
pub(super) use pacer::Pacer;
pub(super) use slow::{Progress, Standing};
