//! The subscriber's side: what is missing, out of what is there.

use super::matrix::Inverse;
use super::simd::Kernel;
use super::sum::add_products;
use super::{CodeError, check_block, matrix};

/// A data symbol that was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its place in the block.
    pub index: u8,
    /// Its bytes, padded with zeros to the length of the block's symbols.
    pub symbol: Vec<u8>,
}

/// Gives the data symbols of a block that are missing, in their order.
///
/// `data` has a place for each of the k data symbols, `None` where it is missing; `parity` are
/// parity symbols with their places, in any order, each `len` bytes long. If there are more than
/// needed, the first ones are used: then it is worth the while to have the lowest index first
/// (parity 0 is a plain XOR). A block without gaps gives nothing, whatever the parity.
///
/// What is recovered is as good as what it is made of: nothing here notices a forged symbol.
///
/// # Errors
/// There is less parity than is missing ([`CodeError::NotEnough`]), or the symbols cannot be of
/// one block: lengths or indices that do not fit, parity given twice.
pub fn recover<S, P>(
    data: &[Option<S>],
    parity: &[(u8, P)],
    len: usize,
) -> Result<Vec<Recovered>, CodeError>
where
    S: AsRef<[u8]>,
    P: AsRef<[u8]>,
{
    recover_with(Kernel::best(), data, parity, len)
}

pub(super) fn recover_with<S, P>(
    kernel: Kernel,
    data: &[Option<S>],
    parity: &[(u8, P)],
    len: usize,
) -> Result<Vec<Recovered>, CodeError>
where
    S: AsRef<[u8]>,
    P: AsRef<[u8]>,
{
    check_data(data, len)?;
    check_parity(data.len(), parity, len)?;
    let missing: Vec<u8> = (0..=u8::MAX)
        .zip(data)
        .filter(|(_, symbol)| symbol.is_none())
        .map(|(index, _)| index)
        .collect();
    let Some(parity) = parity.get(..missing.len()) else {
        return Err(CodeError::NotEnough { missing: missing.len(), parity: parity.len() });
    };
    let indices: Vec<u8> = parity.iter().map(|&(index, _)| index).collect();
    let sums = sums_of_missing(kernel, data, parity, &indices);
    Ok(solve(kernel, &missing, &indices, &sums, len))
}

/// Takes what is there out of the parity: what remains is made of the missing symbols alone.
fn sums_of_missing<S, P>(
    kernel: Kernel,
    data: &[Option<S>],
    parity: &[(u8, P)],
    indices: &[u8],
) -> Vec<Vec<u8>>
where
    S: AsRef<[u8]>,
    P: AsRef<[u8]>,
{
    let mut sums: Vec<Vec<u8>> =
        parity.iter().map(|(_, symbol)| symbol.as_ref().to_vec()).collect();
    let present = (0..=u8::MAX)
        .zip(data)
        .filter_map(|(index, symbol)| symbol.as_ref().map(|symbol| (index, symbol.as_ref())));
    add_products(kernel, present, &mut sums, |data, row| {
        indices.get(row).map_or(0, |&parity| matrix::unchecked(data, parity))
    });
    sums
}

/// Undoes the matrix by which the missing symbols became these sums.
fn solve(
    kernel: Kernel,
    missing: &[u8],
    indices: &[u8],
    sums: &[Vec<u8>],
    len: usize,
) -> Vec<Recovered> {
    let inverse = Inverse::new(missing, indices);
    let mut symbols = vec![vec![0; len]; missing.len()];
    let columns = sums.iter().map(Vec::as_slice).enumerate();
    add_products(kernel, columns, &mut symbols, |column, row| inverse.factor(row, column));
    missing.iter().zip(symbols).map(|(&index, symbol)| Recovered { index, symbol }).collect()
}

fn check_data<S: AsRef<[u8]>>(data: &[Option<S>], limit: usize) -> Result<(), CodeError> {
    check_block(data.len(), 0)?;
    let lengths = data.iter().flatten().map(|symbol| symbol.as_ref().len());
    match lengths.max() {
        Some(len) if len > limit => Err(CodeError::SymbolTooLong { len, limit }),
        _ => Ok(()),
    }
}

fn check_parity<P: AsRef<[u8]>>(
    k: usize,
    parity: &[(u8, P)],
    expected: usize,
) -> Result<(), CodeError> {
    let mut seen = [false; 256];
    for (index, symbol) in parity {
        check_block(k, usize::from(*index) + 1)?;
        let len = symbol.as_ref().len();
        if len != expected {
            return Err(CodeError::ParityLength { len, expected });
        }
        if seen.get_mut(usize::from(*index)).is_some_and(|seen| std::mem::replace(seen, true)) {
            return Err(CodeError::DuplicateParity { index: *index });
        }
    }
    Ok(())
}
