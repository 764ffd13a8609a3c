//! What cannot be is refused with its reason, and changes nothing.

use proptest::prelude::*;

use crate::fec::{CodeError, MAX_SYMBOLS, accumulate, coefficient, encode, recover};

const NONE: [&[u8]; 0] = [];

fn parity(indices: &[u8], len: usize) -> Vec<(u8, Vec<u8>)> {
    indices.iter().map(|&index| (index, vec![7; len])).collect()
}

#[test]
fn a_block_without_data_is_refused() {
    assert_eq!(encode(&NONE, 0, &mut [[0; 4]]), Err(CodeError::EmptyBlock));
    assert_eq!(recover::<&[u8], _>(&[], &parity(&[0], 4), 4), Err(CodeError::EmptyBlock));
}

#[test]
fn indices_beyond_a_block_are_refused() {
    let too_many = |symbols| CodeError::TooManySymbols { symbols };
    let mut sums = [[1; 4]; 2];
    assert_eq!(accumulate(253, &[1], 0, &mut sums), Err(too_many(256)));
    assert_eq!(accumulate(0, &[1], 253, &mut sums), Err(too_many(256)));
    assert_eq!(accumulate(255, &[1], 255, &mut sums), Err(too_many(513)));
    assert_eq!(encode(&[[1]; 254], 0, &mut sums), Err(too_many(256)));
    assert_eq!(encode(&[[1]; 1000], 255, &mut sums), Err(too_many(1257)));
    assert_eq!(sums, [[1; 4]; 2]);
    assert_eq!(coefficient(127, 127), Err(too_many(256)));
    assert_eq!(recover(&[None::<&[u8]>; 300], &parity(&[], 4), 4), Err(too_many(300)));
    assert_eq!(recover(&[None::<&[u8]>; 2], &parity(&[253], 4), 4), Err(too_many(256)));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let mut sums = [vec![1; 4], vec![1; 3]];
    let too_long = |len, limit| Err(CodeError::SymbolTooLong { len, limit });
    assert_eq!(accumulate(0, &[1; 4], 0, &mut sums), too_long(4, 3));
    assert_eq!(encode(&[vec![1; 2], vec![1; 9]], 0, &mut sums), too_long(9, 3));
    assert_eq!(sums, [vec![1; 4], vec![1; 3]]);
    let data = [Some(vec![1; 5]), None];
    let refused = recover(&data, &parity(&[0], 4), 4);
    assert_eq!(refused, Err(CodeError::SymbolTooLong { len: 5, limit: 4 }));
    let refused = recover(&data, &[(0, vec![1; 6]), (1, vec![1; 5])], 6);
    assert_eq!(refused, Err(CodeError::ParityLength { len: 5, expected: 6 }));
}

#[test]
fn parity_given_twice_is_refused() {
    let data = [Some([1; 4]), None, None];
    let refused = recover(&data, &parity(&[3, 5, 3], 4), 4);
    assert_eq!(refused, Err(CodeError::DuplicateParity { index: 3 }));
}

#[test]
fn more_gaps_than_parity_are_refused() {
    let data = [Some([1; 4]), None, None];
    let refused = recover(&data, &parity(&[9], 4), 4);
    assert_eq!(refused, Err(CodeError::NotEnough { missing: 2, parity: 1 }));
}

#[test]
fn nothing_missing_is_nothing_to_do() {
    let data = [Some([1; 4]), Some([2; 4])];
    assert_eq!(recover(&data, &parity(&[0, 1], 4), 4), Ok(vec![]));
    assert_eq!(recover::<_, Vec<u8>>(&data, &[], 4), Ok(vec![]));
}

#[test]
fn the_largest_block_can_be_all_data() {
    assert_eq!(recover::<_, Vec<u8>>(&[Some([1; 4]); MAX_SYMBOLS], &[], 4), Ok(vec![]));
    let refused = recover::<[u8; 4], Vec<u8>>(&[None; MAX_SYMBOLS], &[], 4);
    assert_eq!(refused, Err(CodeError::NotEnough { missing: MAX_SYMBOLS, parity: 0 }));
    assert_eq!(encode::<_, Vec<u8>>(&[[1; 4]; MAX_SYMBOLS], 0, &mut []), Ok(()));
}

#[test]
fn empty_symbols_are_symbols() {
    let recovered = recover(&[Some([]), None], &parity(&[1], 0), 0).unwrap();
    assert_eq!((recovered[0].index, recovered[0].symbol.len()), (1, 0));
    assert_eq!(encode(&[[], []], 0, &mut [[]]), Ok(()));
    assert_eq!(accumulate(0, &[], 0, &mut [[]]), Ok(()));
    assert_eq!(accumulate::<Vec<u8>>(0, &[1], 0, &mut []), Ok(()));
}

/// Gives another length each time it is asked.
struct Shifty(Vec<u8>, usize);

impl AsMut<[u8]> for Shifty {
    fn as_mut(&mut self) -> &mut [u8] {
        self.1 += 1;
        let len = if self.1.is_multiple_of(2) { 1 } else { self.0.len() };
        &mut self.0[..len]
    }
}

#[test]
fn rows_that_shrink_are_harmless() {
    let mut rows: Vec<Shifty> = (0..5).map(|n| Shifty(vec![0; 500], n)).collect();
    for round in 0..8 {
        let refused = accumulate(round, &[3; 400], 0, &mut rows);
        assert!(matches!(refused, Ok(()) | Err(CodeError::SymbolTooLong { .. })));
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_there_is_an_answer(
        data in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..300),
        parity in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 30..33)), 0..20),
        len in 28..40_usize,
    ) {
        let missing = data.iter().filter(|symbol| symbol.is_none()).count();
        if let Ok(recovered) = recover(&data, &parity, len) {
            prop_assert!(missing <= parity.len() && data.len() <= MAX_SYMBOLS);
            prop_assert_eq!(recovered.len(), missing);
        }
    }

    #[test]
    fn whatever_is_encoded_there_is_an_answer(
        index in any::<u8>(),
        first in any::<u8>(),
        symbol in prop::collection::vec(any::<u8>(), 0..80),
        rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
    ) {
        let before = rows.clone();
        let mut rows = rows;
        if accumulate(index, &symbol, first, &mut rows).is_err() {
            prop_assert_eq!(&rows, &before);
        } else {
            accumulate(index, &symbol, first, &mut rows).unwrap();
            prop_assert_eq!(&rows, &before, "added twice is not added");
        }
        let symbols = vec![symbol; usize::from(index)];
        if encode(&symbols, first, &mut rows).is_err() {
            prop_assert_eq!(&rows, &before);
        }
    }
}
