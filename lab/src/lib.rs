//! Networks on one machine: virtual ones for proofs and planning, real ones for seeing it work.
//!
//! # Map
//!
//! | you look for | open |
//! |---|---|
//! | namespaces, a snooping switch, hosts, counters | [`net`] |
//! | one sender and thousands of receivers in virtual time | [`world`] |
//! | `lab demo` | [`demo`] |
//! | `lab compare` | [`compare`] |
//! | `lab sim` | [`sim`] |
//! | the command line | [`cli`] |

pub mod cli;
pub mod compare;
pub mod demo;
pub mod net;
pub mod sim;
pub mod world;
