//! Sums of products for any number of rows and symbols: what encoding and recovery are made of.

use super::simd::{GROUP, Kernel, Term};

/// How many symbols pass by before the sums are written back: what fits on the stack and, at
/// 1400 bytes each, well into the second cache.
const BATCH: usize = 64;

/// Adds to each of `rows` the sum of `factor(key, row)` · symbol over all `(key, symbol)`.
pub(super) fn add_products<'a, K, P>(
    kernel: Kernel,
    symbols: impl Iterator<Item = (K, &'a [u8])> + Clone,
    rows: &mut [P],
    factor: impl Fn(K, usize) -> u8,
) where
    K: Copy,
    P: AsMut<[u8]>,
{
    let size = kernel.group().min(GROUP);
    for (n, group) in rows.chunks_mut(size).enumerate() {
        let count = group.len();
        let mut slots: [&mut [u8]; GROUP] = Default::default();
        for (slot, row) in slots.iter_mut().zip(group) {
            *slot = row.as_mut();
        }
        let rows = slots.get_mut(..count).unwrap_or_default();
        add_group(kernel, symbols.clone(), rows, |key, row| factor(key, n * size + row));
    }
}

/// The same for as many rows as the kernel takes at once.
fn add_group<'a, K: Copy>(
    kernel: Kernel,
    mut symbols: impl Iterator<Item = (K, &'a [u8])>,
    rows: &mut [&mut [u8]],
    factor: impl Fn(K, usize) -> u8,
) {
    let mut batch = [Term::default(); BATCH];
    loop {
        let mut filled = 0;
        for (term, (key, symbol)) in batch.iter_mut().zip(symbols.by_ref()) {
            kernel.fetch(symbol);
            term.symbol = symbol;
            for (row, place) in term.factors.iter_mut().take(rows.len()).enumerate() {
                *place = factor(key, row);
            }
            filled += 1;
        }
        kernel.add(batch.get(..filled).unwrap_or_default(), rows);
        if filled < BATCH {
            return;
        }
    }
}
