//! The block code: k data symbols give parity, and any k of them all give the data back.
//!
//! A symbol is a coded body (`docs/PROTOCOL.md`): prefix and payload, so that lengths survive.
//! The code is systematic (data is sent as it is), linear over GF(2^8) with the polynomial 0x11d,
//! and byte by byte: byte n of every parity symbol depends on byte n of the data symbols only.
//! Symbols may differ in length; a short one counts as padded with zeros.
//!
//! ```text
//! parity j = Σ coefficient(i, j) · data i       coefficient(i, j) = (255 ⊕ i) / (255 ⊕ i ⊕ j)
//! ```
//!
//! The coefficients are a Cauchy matrix (x = 255 ⊕ j, y = i) whose columns are scaled such that
//! parity 0 is the plain XOR of the data. Every square part of a Cauchy matrix can be inverted,
//! and scaling does not change that: hence *any* k of the symbols. A coefficient depends neither on
//! k nor on how much parity there is, so parity grows while a block is still open
//! ([`accumulate`]), a block that is closed short is a block like any other, and more parity of
//! the same block can be made later ([`encode()`] with another first index).
//!
//! `i` is the place of a data symbol in its block and `j` that of a parity symbol among the
//! parity of the block, both from 0; on the wire parity has the index k + j. A block has at most
//! [`MAX_SYMBOLS`] symbols, data and parity together.
//!
//! | you look for | open |
//! |---|---|
//! | the field, and arithmetic without tricks | `fec/gf.rs` |
//! | coefficients, and the inverse for what is missing | `fec/matrix.rs` |
//! | the publisher's side | `fec/encode.rs` |
//! | the subscriber's side | `fec/recover.rs` |
//! | sums of products, for both | `fec/sum.rs` |
//! | many products at once, by what the processor can do | `fec/simd.rs` |

mod encode;
mod gf;
mod matrix;
mod recover;
mod simd;
mod sum;

#[cfg(test)]
mod tests;

pub use encode::{accumulate, encode};
pub use matrix::coefficient;
pub use recover::{Recovered, recover};

/// Data and parity symbols of one block, together at most.
///
/// The field has room for 256 of them; 255 keeps every count in a byte.
pub const MAX_SYMBOLS: usize = 255;

/// Why the block code does not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// A block without data.
    #[error("a block without data symbols")]
    EmptyBlock,
    /// Data and parity together are more than [`MAX_SYMBOLS`].
    #[error("a block of {symbols} symbols, at most {MAX_SYMBOLS} are possible")]
    TooManySymbols {
        /// How many the block would have: the highest index asked for, and one.
        symbols: usize,
    },
    /// A data symbol longer than the parity that it goes into or comes from.
    #[error("a symbol of {len} bytes in a block of {limit}")]
    SymbolTooLong {
        /// Length of the symbol, in bytes.
        len: usize,
        /// Length of the parity, in bytes.
        limit: usize,
    },
    /// A parity symbol that has not the length of the others.
    #[error("a parity symbol of {len} bytes in a block of {expected}")]
    ParityLength {
        /// Length of the symbol, in bytes.
        len: usize,
        /// Length that it should have, in bytes.
        expected: usize,
    },
    /// The same parity symbol twice.
    #[error("parity symbol {index} twice")]
    DuplicateParity {
        /// Its place among the parity.
        index: u8,
    },
    /// More data symbols are missing than there is parity.
    #[error("{missing} data symbols missing, {parity} parity symbols at hand")]
    NotEnough {
        /// Data symbols that are missing.
        missing: usize,
        /// Parity symbols at hand.
        parity: usize,
    },
}

/// Whether a block can have so much data and the parity up to this index.
fn check_block(data: usize, parity: usize) -> Result<(), CodeError> {
    let symbols = data.saturating_add(parity);
    match data {
        0 => Err(CodeError::EmptyBlock),
        _ if symbols > MAX_SYMBOLS => Err(CodeError::TooManySymbols { symbols }),
        _ => Ok(()),
    }
}
