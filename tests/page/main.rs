//! The status page in a real browser: Chromium, without a window.
//!
//! Needs Chromium (Debian's `chromium`), or says loudly that it was skipped; with `CI` set it never
//! skips. `ONECAST_SHOTS=docs/img` has the pictures of the documents taken anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod browser;
mod leak;
mod live;
