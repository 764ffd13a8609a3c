//! `fuzz::decode`, driven by libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::decode::check(bytes));

#[cfg(not(fuzzing))]
fn main() {}
