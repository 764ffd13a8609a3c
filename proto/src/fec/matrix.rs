//! The matrix of the code, and the inverse of the part that recovery needs.

use super::{CodeError, check_block, gf};

/// The factor of data symbol `data` in parity symbol `parity`.
///
/// It is (255 ⊕ `data`) / (255 ⊕ `data` ⊕ `parity`) in GF(2^8) with the polynomial 0x11d; that
/// of parity 0 is 1 for all data.
///
/// # Errors
/// There is no block in which both can be: `data` + `parity` is more than [`MAX_SYMBOLS`] − 2.
///
/// [`MAX_SYMBOLS`]: super::MAX_SYMBOLS
pub fn coefficient(data: u8, parity: u8) -> Result<u8, CodeError> {
    check_block(usize::from(data) + 1, usize::from(parity) + 1)?;
    Ok(unchecked(data, parity))
}

/// The same for indices that fit in a block, which makes `data` ⊕ `parity` less than 255.
#[inline]
pub(super) fn unchecked(data: u8, parity: u8) -> u8 {
    gf::quotient(y_scale(data), x(parity) ^ data)
}

/// What stands for a parity symbol in the Cauchy matrix; for data it is the index itself.
fn x(parity: u8) -> u8 {
    !parity
}

/// By what the column of a data symbol is multiplied, so that parity 0 has ones only.
fn y_scale(data: u8) -> u8 {
    x(0) ^ data
}

/// The inverse of the coefficients of these data symbols in that parity.
///
/// For a Cauchy matrix it is known in closed form: with a = x + y of a row and a column,
///
/// ```text
///                 Π a(j, all data) · Π a(all parity, i)
/// inverse(i, j) = ─────────────────────────────────────────────────────────────
///                 a(j, i) · Π (x_j + x of the others) · Π (y_i + y of the others)
/// ```
///
/// which takes e² steps instead of the e³ of elimination, and no case in which it fails.
pub(super) struct Inverse<'a> {
    data: &'a [u8],
    parity: &'a [u8],
    /// For each data symbol the logarithm of what depends on it alone.
    of_data: Vec<usize>,
    /// For each parity symbol the logarithm of what depends on it alone.
    of_parity: Vec<usize>,
}

impl<'a> Inverse<'a> {
    /// For as many data as parity indices, of one block, none of them twice.
    pub(super) fn new(data: &'a [u8], parity: &'a [u8]) -> Self {
        debug_assert_eq!(data.len(), parity.len());
        let of_data = data
            .iter()
            .map(|&y| {
                let rows = log_product(parity.iter().map(|&j| x(j) ^ y));
                let others = log_product(data.iter().map(|&other| other ^ y));
                ratio(rows, others + gf::log(y_scale(y)))
            })
            .collect();
        let of_parity = parity
            .iter()
            .map(|&j| {
                let columns = log_product(data.iter().map(|&y| x(j) ^ y));
                let others = log_product(parity.iter().map(|&other| x(other) ^ x(j)));
                ratio(columns, others)
            })
            .collect();
        Self { data, parity, of_data, of_parity }
    }

    /// The factor of one of the sums (by its place) in one of the data symbols (by its place).
    pub(super) fn factor(&self, data: usize, parity: usize) -> u8 {
        let of_data = self.data.get(data).zip(self.of_data.get(data));
        let of_parity = self.parity.get(parity).zip(self.of_parity.get(parity));
        let Some(((&y, of_data), (&j, of_parity))) = of_data.zip(of_parity) else { return 0 };
        gf::exp_reduced(ratio(of_data + of_parity, gf::log(x(j) ^ y)))
    }
}

/// The logarithm of the product of these, 0 left out: that is the element itself among the others.
fn log_product(factors: impl Iterator<Item = u8>) -> usize {
    factors.filter(|&factor| factor != 0).map(gf::log).sum()
}

/// The logarithm of a quotient, below 255.
fn ratio(dividend: usize, divisor: usize) -> usize {
    (dividend % 255 + 255 - divisor % 255) % 255
}
