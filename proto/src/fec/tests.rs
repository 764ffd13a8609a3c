//! The code against arithmetic without tricks, against other hands' code, and against the hostile.
#![expect(clippy::cast_possible_truncation, reason = "indices of small blocks")]

mod blocks;
mod field;
mod hostile;
mod kernels;
mod other_hands;
mod vectors;

use fastrand::Rng;

/// Symbols of these lengths, by chance.
fn random_symbols(rng: &mut Rng, lengths: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    lengths.into_iter().map(|len| random_bytes(rng, len)).collect()
}

fn random_bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// So many different numbers below `limit`, in the order of chance.
fn choose(rng: &mut Rng, count: usize, limit: usize) -> Vec<u8> {
    let mut all: Vec<u8> = (0..limit).map(|n| u8::try_from(n).unwrap()).collect();
    rng.shuffle(&mut all);
    all.truncate(count);
    all
}

/// The data with these missing.
fn without<'a>(data: &'a [Vec<u8>], missing: &[u8]) -> Vec<Option<&'a [u8]>> {
    let there = |index: usize| !missing.iter().any(|&gone| usize::from(gone) == index);
    data.iter().enumerate().map(|(index, symbol)| there(index).then_some(&symbol[..])).collect()
}

/// Zeros up to this length.
fn padded(symbol: &[u8], len: usize) -> Vec<u8> {
    let mut padded = symbol.to_vec();
    padded.resize(len, 0);
    padded
}
