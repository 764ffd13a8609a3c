//! The publisher's side: parity out of data.

use super::simd::Kernel;
use super::sum::add_products;
use super::{CodeError, check_block, matrix};

/// Adds one data symbol to parity symbols: for parity that is made while the block is open, packet
/// by packet.
///
/// `parity` are the parity symbols `first_parity` and following of the block; before the first
/// data symbol they are zeros. All data symbols of the block added, in any order, each once, they
/// are what [`encode`] gives. Nothing is allocated.
///
/// # Errors
/// The indices do not fit in one block, or the symbol is longer than the parity. Then nothing is
/// changed.
pub fn accumulate<P: AsMut<[u8]>>(
    index: u8,
    symbol: &[u8],
    first_parity: u8,
    parity: &mut [P],
) -> Result<(), CodeError> {
    accumulate_with(Kernel::best(), index, symbol, first_parity, parity)
}

/// Makes parity of a whole block: the parity symbols `first_parity` and following.
///
/// `parity` is overwritten; its symbols are as long as the longest of the data, or longer, and the
/// bytes beyond become zeros. Nothing is allocated.
///
/// # Errors
/// There is no data, the indices do not fit in one block, or a symbol is longer than the parity.
/// Then nothing is changed.
pub fn encode<S, P>(symbols: &[S], first_parity: u8, parity: &mut [P]) -> Result<(), CodeError>
where
    S: AsRef<[u8]>,
    P: AsMut<[u8]>,
{
    encode_with(Kernel::best(), symbols, first_parity, parity)
}

pub(super) fn accumulate_with<P: AsMut<[u8]>>(
    kernel: Kernel,
    index: u8,
    symbol: &[u8],
    first_parity: u8,
    parity: &mut [P],
) -> Result<(), CodeError> {
    check_block(usize::from(index) + 1, usize::from(first_parity) + parity.len())?;
    check_lengths([symbol.len()].into_iter(), parity)?;
    let one = [(index, symbol)].into_iter();
    add_products(kernel, one, parity, |data, row| factor(data, first_parity, row));
    Ok(())
}

pub(super) fn encode_with<S, P>(
    kernel: Kernel,
    symbols: &[S],
    first_parity: u8,
    parity: &mut [P],
) -> Result<(), CodeError>
where
    S: AsRef<[u8]>,
    P: AsMut<[u8]>,
{
    check_block(symbols.len(), usize::from(first_parity) + parity.len())?;
    check_lengths(symbols.iter().map(|symbol| symbol.as_ref().len()), parity)?;
    for parity in parity.iter_mut() {
        parity.as_mut().fill(0);
    }
    let data = (0..=u8::MAX).zip(symbols.iter().map(AsRef::as_ref));
    add_products(kernel, data, parity, |data, row| factor(data, first_parity, row));
    Ok(())
}

/// The coefficient for a row of `parity`, which has been checked to fit in the block.
#[expect(clippy::cast_possible_truncation, reason = "the parity of a block is below 255")]
fn factor(data: u8, first_parity: u8, row: usize) -> u8 {
    matrix::unchecked(data, first_parity + row as u8)
}

/// Whether every symbol fits in every parity symbol.
fn check_lengths<P: AsMut<[u8]>>(
    symbols: impl Iterator<Item = usize>,
    parity: &mut [P],
) -> Result<(), CodeError> {
    let len = symbols.max().unwrap_or(0);
    let limit = parity.iter_mut().map(|parity| parity.as_mut().len()).min().unwrap_or(len);
    if len > limit { Err(CodeError::SymbolTooLong { len, limit }) } else { Ok(()) }
}
