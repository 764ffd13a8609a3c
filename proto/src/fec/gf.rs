//! GF(2^8) with the polynomial 0x11d: x^8 + x^4 + x^3 + x^2 + 1, in which 2 generates the others.
//!
//! Addition is XOR. Multiplication goes by logarithms: a·b = 2^(log a + log b).

/// The polynomial, without x^8.
const POLYNOMIAL: u8 = 0x1d;

/// Non-zero elements: the order of 2.
const ORDER: usize = 255;

/// 2^n, for n below twice the order: a sum of two logarithms needs no reduction.
static EXP: [u8; 2 * ORDER] = exp_table();

/// The logarithm to the base 2. That of 0, which has none, is 0: it is asked for nowhere.
static LOG: [u8; 256] = log_table();

/// What multiplying by a constant takes when four bits are looked up at a time.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Nibbles {
    /// The products with 0..16.
    pub(super) low: [u8; 16],
    /// The products with 0, 16, 32 … 240.
    pub(super) high: [u8; 16],
}

/// For each constant the products of both halves of a byte.
pub(super) static NIBBLES: [Nibbles; 256] = nibble_tables();

/// For each constant the multiplication by it as a matrix of bits, as GF2P8AFFINEQB takes it: the
/// byte that gives bit b of the product is byte 7 − b of the number.
#[cfg(target_arch = "x86_64")]
pub(super) static BIT_MATRICES: [u64; 256] = bit_matrices();

/// The entry for this element.
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
#[inline(always)]
pub(super) fn entry<T>(table: &'static [T; 256], of: u8) -> &'static T {
    &table[usize::from(of)]
}

/// The logarithm of an element that is not 0.
pub(super) fn log(a: u8) -> usize {
    usize::from(*entry(&LOG, a))
}

/// 2^`log`, for a logarithm below 510.
pub(super) fn exp(log: usize) -> u8 {
    EXP.get(log).copied().unwrap_or(0)
}

/// 2^`log`, for any logarithm.
pub(super) fn exp_reduced(log: usize) -> u8 {
    exp(log % ORDER)
}

/// `a` / `b`, for elements that are not 0.
pub(super) fn quotient(a: u8, b: u8) -> u8 {
    exp(log(a) + ORDER - log(b))
}

/// `a` · `b`.
#[cfg(test)]
pub(super) fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { exp(log(a) + log(b)) }
}

/// `sum` += `constant` · `symbol`, over the length of the shorter one.
pub(super) fn add_product(constant: u8, symbol: &[u8], sum: &mut [u8]) {
    if constant == 1 {
        for (sum, &byte) in sum.iter_mut().zip(symbol) {
            *sum ^= byte;
        }
        return;
    }
    let Nibbles { low, high } = entry(&NIBBLES, constant);
    for (sum, &byte) in sum.iter_mut().zip(symbol) {
        *sum ^= nibble(low, byte & 15) ^ nibble(high, byte >> 4);
    }
}

#[expect(clippy::indexing_slicing, reason = "masked to four bits")]
#[inline(always)]
fn nibble(table: &[u8; 16], at: u8) -> u8 {
    table[usize::from(at & 15)]
}

const fn times_2(a: u8) -> u8 {
    let carry = if a & 0x80 == 0 { 0 } else { POLYNOMIAL };
    (a << 1) ^ carry
}

/// The product by shifting and adding: for the tables, and as a check on them.
pub(super) const fn slow_product(a: u8, b: u8) -> u8 {
    let (mut power, mut rest, mut sum) = (a, b, 0);
    while rest != 0 {
        if rest & 1 == 1 {
            sum ^= power;
        }
        power = times_2(power);
        rest >>= 1;
    }
    sum
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn exp_table() -> [u8; 2 * ORDER] {
    let mut table = [0; 2 * ORDER];
    let (mut power, mut n) = (1, 0);
    while n < 2 * ORDER {
        table[n] = power;
        power = times_2(power);
        n += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn log_table() -> [u8; 256] {
    let mut table = [0; 256];
    let (mut power, mut n) = (1_u8, 0_u8);
    while n < 255 {
        table[power as usize] = n;
        power = times_2(power);
        n += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
#[expect(clippy::cast_possible_truncation, reason = "below 256")]
const fn nibble_tables() -> [Nibbles; 256] {
    let mut tables = [Nibbles { low: [0; 16], high: [0; 16] }; 256];
    let mut constant = 0;
    while constant < 256 {
        let mut n = 0;
        while n < 16 {
            tables[constant].low[n] = slow_product(constant as u8, n as u8);
            tables[constant].high[n] = slow_product(constant as u8, (n << 4) as u8);
            n += 1;
        }
        constant += 1;
    }
    tables
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
#[expect(clippy::cast_possible_truncation, reason = "below 256")]
const fn bit_matrices() -> [u64; 256] {
    let mut matrices = [0; 256];
    let mut constant = 0;
    while constant < 256 {
        let mut bit = 0;
        while bit < 8 {
            // Column `bit`: the product with 1 << bit. Its bit `row` stands in byte 7 - row.
            let column = slow_product(constant as u8, 1 << bit);
            let mut row = 0;
            while row < 8 {
                let set = (column >> row) as u64 & 1;
                matrices[constant] |= set << (8 * (7 - row) + bit);
                row += 1;
            }
            bit += 1;
        }
        constant += 1;
    }
    matrices
}
