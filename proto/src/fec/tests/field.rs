//! The tables against shifting and adding, the matrix against elimination.

use fastrand::Rng;

use super::choose;
use crate::fec::matrix::{Inverse, unchecked};
use crate::fec::{MAX_SYMBOLS, coefficient, gf};

#[test]
fn products_are_those_of_shifting_and_adding() {
    for a in 0..=255 {
        for b in 0..=255 {
            let expected = gf::slow_product(a, b);
            assert_eq!(gf::product(a, b), expected, "{a} · {b}");
            let tables = gf::entry(&gf::NIBBLES, a);
            let halves = tables.low[usize::from(b & 15)] ^ tables.high[usize::from(b >> 4)];
            assert_eq!(halves, expected, "{a} · {b} by halves");
            if a != 0 && b != 0 {
                assert_eq!(gf::quotient(expected, b), a, "{expected} / {b}");
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn bit_matrices_multiply() {
    for a in 0..=255 {
        let matrix = gf::entry(&gf::BIT_MATRICES, a).to_le_bytes();
        for b in 0..=255_u8 {
            let bit = |n: usize| u8::from((matrix[7 - n] & b).count_ones() % 2 == 1);
            let product = (0..8).fold(0, |product, n| product | bit(n) << n);
            assert_eq!(product, gf::product(a, b), "{a} · {b}");
        }
    }
}

#[test]
fn a_product_is_added_byte_by_byte() {
    let symbol: Vec<u8> = (0..=255).collect();
    for constant in 0..=255 {
        let mut sum: Vec<u8> = (0..=255).rev().collect();
        gf::add_product(constant, &symbol, &mut sum);
        for (&byte, &sum) in symbol.iter().zip(&sum) {
            assert_eq!(sum, !byte ^ gf::product(constant, byte));
        }
    }
}

#[test]
fn coefficients_are_as_documented() {
    let mut possible = 0;
    for data in 0..=255_u8 {
        for parity in 0..=255_u8 {
            let fits = usize::from(data) + usize::from(parity) + 2 <= MAX_SYMBOLS;
            let Ok(coefficient) = coefficient(data, parity) else {
                assert!(!fits);
                continue;
            };
            assert!(fits);
            possible += 1;
            assert_ne!(coefficient, 0);
            assert_eq!(gf::product(coefficient, 255 ^ data ^ parity), 255 ^ data);
            assert!(parity != 0 || coefficient == 1);
        }
    }
    assert_eq!(possible, 254 * 255 / 2);
}

/// The property that recovery stands on, for the smallest parts that could break it.
#[test]
fn no_two_by_two_part_is_singular() {
    let in_row = |a: u8, b: u8| (a, b);
    let pairs = |limit: u8| (0..limit).flat_map(move |b| (0..b).map(move |a| in_row(a, b)));
    for (i, other_i) in pairs(128) {
        for (j, other_j) in pairs(64) {
            let diagonal = gf::product(unchecked(i, j), unchecked(other_i, other_j));
            let other = gf::product(unchecked(i, other_j), unchecked(other_i, j));
            assert_ne!(diagonal, other, "data {i}, {other_i}, parity {j}, {other_j}");
        }
    }
}

#[test]
fn the_inverse_in_closed_form_is_the_inverse() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..200 {
        let k = rng.usize(1..=128);
        let parity = rng.usize(1..=MAX_SYMBOLS - k);
        let size = rng.usize(1..=k.min(parity).min(40));
        let (data, parity) = (choose(&mut rng, size, k), choose(&mut rng, size, parity));
        let inverse = Inverse::new(&data, &parity);
        for row in 0..size {
            for column in 0..size {
                let sum = (0..size).fold(0, |sum, n| {
                    sum ^ gf::product(inverse.factor(row, n), unchecked(data[column], parity[n]))
                });
                assert_eq!(sum, u8::from(row == column), "{data:?} {parity:?}");
            }
        }
    }
}
