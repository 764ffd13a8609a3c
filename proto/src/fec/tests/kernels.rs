//! Every kernel that this machine has against one byte at a time.

use fastrand::Rng;
use proptest::prelude::*;

use super::random_bytes;
use crate::fec::gf;
use crate::fec::simd::{GROUP, Kernel, Term};

/// What a kernel is given: symbols and rows are slices at odd places of one buffer.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    row_len: usize,
    offset: usize,
    symbol_lengths: Vec<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    (any::<u64>(), 0..700_usize, 0..70_usize).prop_flat_map(|(seed, row_len, offset)| {
        prop::collection::vec(0..=row_len, 0..70).prop_map(move |symbol_lengths| Case {
            seed,
            row_len,
            offset,
            symbol_lengths,
        })
    })
}

/// The rows that a kernel leaves, and the bytes around them.
fn run(kernel: Kernel, case: &Case, rows: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let Case { offset, row_len, .. } = *case;
    let mut rng = Rng::with_seed(case.seed);
    let symbols: Vec<Vec<u8>> =
        case.symbol_lengths.iter().map(|len| random_bytes(&mut rng, offset + len)).collect();
    let mut factors = [0; GROUP];
    let terms: Vec<Term<'_>> = symbols
        .iter()
        .map(|symbol| {
            rng.fill(&mut factors);
            Term { symbol: &symbol[offset..], factors }
        })
        .collect();
    let mut buffers: Vec<Vec<u8>> =
        (0..rows).map(|_| random_bytes(&mut rng, offset + row_len + 64)).collect();
    let mut expected = buffers.clone();
    for (n, row) in expected.iter_mut().enumerate() {
        for term in &terms {
            for (sum, &byte) in row[offset..].iter_mut().zip(term.symbol) {
                *sum ^= gf::product(term.factors[n], byte);
            }
        }
    }
    let mut slices: Vec<&mut [u8]> =
        buffers.iter_mut().map(|buffer| &mut buffer[offset..offset + row_len]).collect();
    kernel.add(&terms, &mut slices);
    (buffers, expected)
}

proptest! {
    #[test]
    fn kernels_agree_with_one_byte_at_a_time(case in case()) {
        for kernel in Kernel::available() {
            for rows in 0..=kernel.group() {
                let (rows, expected) = run(kernel, &case, rows);
                prop_assert_eq!(rows, expected, "{:?}", kernel);
            }
        }
    }
}

#[test]
fn kernels_agree_at_every_length() {
    for kernel in Kernel::available() {
        for row_len in 0..=300_usize {
            let symbol_lengths = vec![row_len, row_len / 2, row_len.saturating_sub(1)];
            let case = Case { seed: row_len as u64, row_len, offset: row_len % 67, symbol_lengths };
            let (rows, expected) = run(kernel, &case, kernel.group());
            assert_eq!(rows, expected, "{kernel:?}, {row_len} bytes");
        }
    }
}

#[test]
fn what_would_stand_behind_a_row_is_left_out() {
    for kernel in Kernel::available() {
        for (row_len, len) in [(0, 1), (1, 200), (63, 64), (100, 129)] {
            let case = Case { seed: 5, row_len, offset: 3, symbol_lengths: vec![len] };
            let (rows, expected) = run(kernel, &case, 1);
            assert_eq!(rows[0][..3 + row_len], expected[0][..3 + row_len], "{kernel:?}");
        }
    }
}

#[test]
fn every_machine_has_a_kernel() {
    assert_eq!(Kernel::available().next(), Some(Kernel::best()));
}
