//! Tests of the whole: what several of them share is here, the tests are beside it.

pub mod forger;
pub mod member;
