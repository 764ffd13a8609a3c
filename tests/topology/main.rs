//! The lab itself: that its networks are what they say they are, and that nothing of them stays.
//!
//! Needs root, or says loudly that it was skipped; with `CI` set it never skips. What needs a
//! process of its own (no root, a kill) is in `processes.rs`.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod cables;
mod cleanup;
mod groups;
mod paths;
mod routed;
mod site;
