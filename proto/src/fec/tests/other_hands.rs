//! The same code by an implementation that shares nothing with this one: `rusty_erasure`, which
//! takes any matrix over the same field.

use fastrand::Rng;
use rusty_erasure::isal;

use super::{choose, random_symbols, without};
use crate::fec::{MAX_SYMBOLS, encode, gf, recover};

/// The coefficient as the document says, by their arithmetic.
fn their_coefficient(data: u8, parity: u8) -> u8 {
    isal::gf_mul(255 ^ data, isal::gf_inv(255 ^ data ^ parity))
}

/// Their product of a matrix with symbols of one length.
fn their_products(matrix: &[u8], symbols: &[&[u8]], rows: usize, len: usize) -> Vec<Vec<u8>> {
    let mut tables = vec![0; matrix.len() * 32];
    isal::ec_init_tables(symbols.len(), rows, matrix, &mut tables).unwrap();
    let mut sums = vec![vec![0; len]; rows];
    let mut slices: Vec<&mut [u8]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
    isal::ec_encode_data(len, symbols.len(), rows, &tables, symbols, &mut slices).unwrap();
    sums
}

#[test]
fn the_field_is_the_same() {
    for a in 0..=255 {
        for b in 0..=255 {
            assert_eq!(gf::product(a, b), isal::gf_mul(a, b));
        }
    }
}

/// Parity by both; then what is missing by both, theirs by elimination on the rows of what
/// arrived.
#[test]
fn parity_and_recovery_are_the_same() {
    let mut rng = Rng::with_seed(2);
    for _ in 0..60 {
        let (k, len) = (rng.usize(1..=128), rng.usize(1..300));
        let data = random_symbols(&mut rng, vec![len; k]);
        let count = rng.usize(1..=(MAX_SYMBOLS - k).min(24));
        let symbols: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let matrix: Vec<u8> = (0..count as u8)
            .flat_map(|parity| (0..k as u8).map(move |data| their_coefficient(data, parity)))
            .collect();
        let theirs = their_products(&matrix, &symbols, count, len);
        let mut ours = vec![vec![0; len]; count];
        encode(&data, 0, &mut ours).unwrap();
        assert_eq!(ours, theirs, "{k} + {count}");

        let gaps = rng.usize(1..=count.min(k));
        let missing = choose(&mut rng, gaps, k);
        let used = choose(&mut rng, gaps, count);
        let parity: Vec<(u8, &[u8])> =
            used.iter().map(|&place| (place, &theirs[usize::from(place)][..])).collect();
        let recovered = recover(&without(&data, &missing), &parity, len).unwrap();
        let by_them = their_recovery(&matrix, &data, &theirs, &missing, &used);
        for recovered in recovered {
            assert_eq!(recovered.symbol, by_them[usize::from(recovered.index)]);
        }
    }
}

fn their_recovery(
    matrix: &[u8],
    data: &[Vec<u8>],
    parity: &[Vec<u8>],
    missing: &[u8],
    used: &[u8],
) -> Vec<Vec<u8>> {
    let k = data.len();
    let present = (0..k).filter(|&n| !missing.contains(&(n as u8)));
    let mut rows = Vec::new();
    let mut arrived: Vec<&[u8]> = Vec::new();
    for n in present {
        rows.extend((0..k).map(|column| u8::from(column == n)));
        arrived.push(&data[n]);
    }
    for &place in used {
        let place = usize::from(place);
        rows.extend(&matrix[place * k..(place + 1) * k]);
        arrived.push(&parity[place]);
    }
    let mut inverse = vec![0; k * k];
    isal::gf_invert_matrix(&mut rows, &mut inverse, k).unwrap();
    their_products(&inverse, &arrived, k, data[0].len())
}
