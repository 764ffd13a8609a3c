//! What is encoded is recovered, whatever is missing.

use fastrand::Rng;
use proptest::prelude::*;

use super::{choose, padded, random_symbols, without};
use crate::fec::encode::{accumulate_with, encode_with};
use crate::fec::recover::recover_with;
use crate::fec::simd::Kernel;
use crate::fec::{MAX_SYMBOLS, Recovered, accumulate, encode, gf, matrix, recover};

/// A block: the lengths of its data symbols, how much parity, what is missing, the seed of the rest.
fn block() -> impl Strategy<Value = (Vec<usize>, usize, usize, u64)> {
    let lengths = prop::collection::vec(0..400_usize, 1..=128);
    (lengths, 0..=24_usize, any::<usize>(), any::<u64>()).prop_map(
        |(lengths, parity, some, seed)| {
            let missing = some % (parity.min(lengths.len()) + 1);
            (lengths, parity, missing, seed)
        },
    )
}

fn parity_of(
    kernel: Kernel,
    data: &[Vec<u8>],
    first: u8,
    count: usize,
    len: usize,
) -> Vec<Vec<u8>> {
    let mut parity = vec![vec![0xaa; len]; count];
    encode_with(kernel, data, first, &mut parity).unwrap();
    parity
}

/// By definition, without any kernel.
fn parity_by_definition(data: &[Vec<u8>], parity: u8, len: usize) -> Vec<u8> {
    let mut sum = vec![0; len];
    for (index, symbol) in (0..).zip(data) {
        for (sum, &byte) in sum.iter_mut().zip(symbol) {
            *sum ^= gf::product(matrix::unchecked(index, parity), byte);
        }
    }
    sum
}

fn assert_recovered(recovered: &[Recovered], data: &[Vec<u8>], missing: &[u8], len: usize) {
    let mut missing = missing.to_vec();
    missing.sort_unstable();
    let indices: Vec<u8> = recovered.iter().map(|recovered| recovered.index).collect();
    assert_eq!(indices, missing);
    for Recovered { index, symbol } in recovered {
        assert_eq!(*symbol, padded(&data[usize::from(*index)], len), "symbol {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_parity_fills_any_gaps((lengths, parity, missing, seed) in block()) {
        let mut rng = Rng::with_seed(seed);
        let data = random_symbols(&mut rng, lengths.iter().copied());
        let len = lengths.iter().max().unwrap() + rng.usize(0..3);
        // Parity from the whole range, not the first only, and more than needed.
        let places = choose(&mut rng, parity, MAX_SYMBOLS - data.len());
        let missing = choose(&mut rng, missing, data.len());
        for kernel in Kernel::available() {
            let parity: Vec<(u8, Vec<u8>)> = places
                .iter()
                .map(|&place| (place, parity_of(kernel, &data, place, 1, len).remove(0)))
                .collect();
            let recovered = recover_with(kernel, &without(&data, &missing), &parity, len).unwrap();
            assert_recovered(&recovered, &data, &missing, len);
        }
    }

    #[test]
    fn parity_is_what_its_definition_says((lengths, count, _, seed) in block()) {
        let mut rng = Rng::with_seed(seed);
        let data = random_symbols(&mut rng, lengths.iter().copied());
        let len = *lengths.iter().max().unwrap();
        let first = u8::try_from(rng.usize(0..=MAX_SYMBOLS - data.len() - count)).unwrap();
        for kernel in Kernel::available() {
            let parity = parity_of(kernel, &data, first, count, len);
            for (n, parity) in (first..).zip(parity) {
                prop_assert_eq!(parity, parity_by_definition(&data, n, len));
            }
        }
    }

    #[test]
    fn packet_by_packet_in_any_order_is_the_whole_block((lengths, count, _, seed) in block()) {
        let mut rng = Rng::with_seed(seed);
        let data = random_symbols(&mut rng, lengths.iter().copied());
        let len = *lengths.iter().max().unwrap();
        let order = choose(&mut rng, data.len(), data.len());
        for kernel in Kernel::available() {
            let mut parity = vec![vec![0; len]; count];
            for &index in &order {
                accumulate_with(kernel, index, &data[usize::from(index)], 0, &mut parity).unwrap();
            }
            prop_assert_eq!(parity, parity_of(kernel, &data, 0, count, len));
        }
    }

    #[test]
    fn the_code_is_linear((lengths, count, _, seed) in block()) {
        let mut rng = Rng::with_seed(seed);
        let add = |a: &[Vec<u8>], b: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let bytes = |(a, b): (&Vec<u8>, &Vec<u8>)| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
            a.iter().zip(b).map(bytes).collect()
        };
        let (a, b) = (
            random_symbols(&mut rng, lengths.iter().copied()),
            random_symbols(&mut rng, lengths.iter().copied()),
        );
        let len = *lengths.iter().max().unwrap();
        let parity = |data: &[Vec<u8>]| parity_of(Kernel::best(), data, 0, count, len);
        prop_assert_eq!(parity(&add(&a, &b)), add(&parity(&a), &parity(&b)));
    }
}

/// Every choice of what arrives, for every small block: any k of the symbols are enough.
#[test]
fn any_k_symbols_of_a_small_block_are_enough() {
    let mut rng = Rng::with_seed(3);
    for (k, r) in (1..=5_usize).flat_map(|k| (1..=5_usize).map(move |r| (k, r))) {
        let data = random_symbols(&mut rng, vec![3; k]);
        let parity = parity_of(Kernel::best(), &data, 0, r, 3);
        for arrived in 0..1_u32 << (k + r) {
            let here = |n: &usize| arrived >> n & 1 == 1;
            let missing: Vec<u8> = (0..k).filter(|n| !here(n)).map(|n| n as u8).collect();
            let parity: Vec<(u8, &[u8])> =
                (0..r).filter(|n| here(&(k + n))).map(|n| (n as u8, &parity[n][..])).collect();
            let result = recover(&without(&data, &missing), &parity, 3);
            match result {
                Ok(recovered) => assert_recovered(&recovered, &data, &missing, 3),
                Err(_) => assert!(parity.len() < missing.len()),
            }
        }
    }
}

#[test]
fn the_largest_blocks_work() {
    let mut rng = Rng::with_seed(4);
    for (k, r) in [(128, 127), (127, 128), (254, 1), (1, 254)] {
        let data = random_symbols(&mut rng, vec![257; k]);
        let parity = parity_of(Kernel::best(), &data, 0, r, 257);
        let missing = choose(&mut rng, k.min(r), k);
        let parity: Vec<(u8, Vec<u8>)> = (0..).zip(parity).collect();
        let recovered = recover(&without(&data, &missing), &parity, 257).unwrap();
        assert_recovered(&recovered, &data, &missing, 257);
    }
}

#[test]
fn a_block_closed_short_has_the_parity_made_so_far() {
    let mut rng = Rng::with_seed(6);
    let data = random_symbols(&mut rng, [1400, 30, 9]);
    let mut growing = vec![vec![0; 1400]; 4];
    for (index, symbol) in (0..).zip(&data) {
        accumulate(index, symbol, 0, &mut growing).unwrap();
        let mut whole = vec![vec![0; 1400]; 4];
        encode(&data[..=usize::from(index)], 0, &mut whole).unwrap();
        assert_eq!(growing, whole);
    }
}

#[test]
fn the_first_parity_is_plain_xor() {
    let mut rng = Rng::with_seed(8);
    let data = random_symbols(&mut rng, vec![100; 128]);
    let parity = parity_of(Kernel::best(), &data, 0, 1, 100);
    let xor = (0..100).map(|n| data.iter().fold(0, |sum, symbol| sum ^ symbol[n])).collect();
    assert_eq!(parity, [Vec::<u8>::clone(&xor)]);
}
