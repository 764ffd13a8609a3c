//! Many products at once, by what the processor can do.
//!
//! All kernels compute the same: to each of some rows they add the sum of products of constants
//! and symbols. They go over the rows in tiles of a few vectors: the sums of a tile stay in
//! registers while every symbol passes by, so that a row is read and written once.
//!
//! With GFNI a product is one instruction: multiplying by a constant is linear over bits, so it is
//! an 8 × 8 matrix (GF2P8MULB itself is of no use, its polynomial is another). Without, the
//! products of both halves of a byte are looked up by a shuffle of 16 bytes. What the processor
//! can do is asked at run time; the answer is kept by the standard library.
#![expect(unsafe_code, reason = "vector loads and stores, and the call of what was detected")]

use super::gf;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[macro_use]
mod kernel;

/// How many rows a kernel takes at once, at most.
pub(super) const GROUP: usize = 8;

/// Bytes of a line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// A symbol, and by what it is multiplied on its way into each row.
#[derive(Clone, Copy, Default)]
pub(super) struct Term<'a> {
    /// Its bytes; what is not there counts as zeros.
    pub(super) symbol: &'a [u8],
    /// For each row a constant.
    pub(super) factors: [u8; GROUP],
}

/// A way to compute that this processor has: there is no other way to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernel(Instructions);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512Gfni,
    #[cfg(target_arch = "x86_64")]
    Avx2Gfni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Scalar,
}

impl Kernel {
    /// The fastest.
    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self(Instructions::Scalar))
    }

    /// All that this processor has, the fastest first.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn available() -> impl Iterator<Item = Self> {
        use std::arch::is_x86_feature_detected as has;
        let checks: [(Instructions, fn() -> bool); 5] = [
            (Instructions::Avx512Gfni, || has!("avx512f") && has!("gfni")),
            (Instructions::Avx2Gfni, || has!("avx2") && has!("gfni")),
            (Instructions::Avx2, || has!("avx2")),
            (Instructions::Ssse3, || has!("ssse3")),
            (Instructions::Scalar, || true),
        ];
        checks.into_iter().filter(|(_, has)| has()).map(|(instructions, _)| Self(instructions))
    }

    /// All that this processor has, the fastest first.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let neon = std::arch::is_aarch64_feature_detected!("neon").then_some(Instructions::Neon);
        neon.into_iter().chain([Instructions::Scalar]).map(Self)
    }

    /// All that this processor has, the fastest first.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [Self(Instructions::Scalar)].into_iter()
    }

    /// How many rows it takes at once: as many as it has registers for.
    pub(super) fn group(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Gfni => GROUP,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2Gfni | Instructions::Avx2 | Instructions::Ssse3 => GROUP / 2,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => GROUP / 2,
            Instructions::Scalar => GROUP,
        }
    }

    /// Asks for the bytes of a symbol that is about to be added. The kernels go over many symbols side
    /// by side, which no processor foresees: where symbols are no longer in its caches, that costs
    /// several times as much as to have them brought one after the other.
    #[inline]
    pub(super) fn fetch(self, symbol: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        for line in symbol.chunks(LINE) {
            // SAFETY: a hint that reads nothing and fails nowhere; every x86-64 has SSE.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = symbol;
    }

    /// Adds to each row its factor times the symbol, for each of the terms.
    ///
    /// Up to [`group`](Self::group) rows. No symbol should be longer than a row: what would stand
    /// behind the row is left out.
    pub(super) fn add(self, terms: &[Term<'_>], rows: &mut [&mut [u8]]) {
        debug_assert!(rows.len() <= self.group());
        // A plain XOR: for that the compiler's own vectors do, and no product is faster.
        if rows.len() == 1 && terms.iter().all(|term| term.factors.first() == Some(&1)) {
            return add_scalar(terms, rows);
        }
        match self.0 {
            // SAFETY: `available` gives it only if the processor has AVX-512F and GFNI.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Gfni => unsafe { avx512_gfni::add(terms, rows) },
            // SAFETY: `available` gives it only if the processor has AVX2 and GFNI.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2Gfni => unsafe { avx2_gfni::add(terms, rows) },
            // SAFETY: `available` gives it only if the processor has AVX2.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2::add(terms, rows) },
            // SAFETY: `available` gives it only if the processor has SSSE3.
            #[cfg(target_arch = "x86_64")]
            Instructions::Ssse3 => unsafe { ssse3::add(terms, rows) },
            // SAFETY: `available` gives it only if the processor has NEON.
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => unsafe { neon::add(terms, rows) },
            Instructions::Scalar => add_scalar(terms, rows),
        }
    }
}

fn add_scalar(terms: &[Term<'_>], rows: &mut [&mut [u8]]) {
    for term in terms {
        for (row, &factor) in rows.iter_mut().zip(&term.factors) {
            gf::add_product(factor, term.symbol, row);
        }
    }
}

/// The vectors of an instruction set: how they are loaded, stored and added.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vectors {
    (
        features $features:literal, bytes $width:literal, vector $vector:ty, zero $zero:expr,
        load $load:ident, store $store:ident, xor $xor:ident
    ) => {
        type Vector = $vector;

        #[target_feature(enable = $features)]
        #[inline]
        fn zero() -> Vector {
            $zero
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn load(bytes: &[u8; $width]) -> Vector {
            // SAFETY: as many bytes as the instruction reads; it asks for no alignment.
            unsafe { $load(bytes.as_ptr().cast()) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn store(bytes: &mut [u8; $width], vector: Vector) {
            // SAFETY: as many bytes as the instruction writes; it asks for no alignment.
            unsafe { $store(bytes.as_mut_ptr().cast(), vector) }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn xor(a: Vector, b: Vector) -> Vector {
            $xor(a, b)
        }
    };
}

/// Products by a matrix of bits.
#[cfg(target_arch = "x86_64")]
macro_rules! matrix_products {
    (features $features:literal, broadcast $broadcast:ident, affine $affine:ident) => {
        type Constant = Vector;
        type Operand = Vector;

        #[target_feature(enable = $features)]
        #[inline]
        fn constant(factor: u8) -> Constant {
            $broadcast(gf::entry(&gf::BIT_MATRICES, factor).cast_signed())
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn operand(vector: Vector) -> Operand {
            vector
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn product(operand: Operand, constant: Constant) -> Vector {
            $affine::<0>(operand, constant)
        }
    };
}

/// Products by looking up both halves of each byte: `$repeat` fills a vector with 16 bytes,
/// `$halves` gives the halves, `$look_up` looks up.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! nibble_products {
    (features $features:literal, repeat $repeat:expr, halves $halves:expr, look_up $look_up:ident) => {
        type Constant = [Vector; 2];
        type Operand = [Vector; 2];

        #[target_feature(enable = $features)]
        #[inline]
        fn constant(factor: u8) -> Constant {
            let tables = gf::entry(&gf::NIBBLES, factor);
            [$repeat(&tables.low), $repeat(&tables.high)]
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn operand(vector: Vector) -> Operand {
            $halves(vector)
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn product([low, high]: Operand, [of_low, of_high]: Constant) -> Vector {
            xor($look_up(of_low, low), $look_up(of_high, high))
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512_gfni {
    use super::gf;
    use std::arch::x86_64::*;

    kernel!(features "avx512f,gfni", bytes 64, vectors 2, rows 1 2 3 4 5 6 7 8);
    vectors!(
        features "avx512f,gfni", bytes 64, vector __m512i, zero _mm512_setzero_si512(),
        load _mm512_loadu_si512, store _mm512_storeu_si512, xor _mm512_xor_si512
    );
    matrix_products!(
        features "avx512f,gfni",
        broadcast _mm512_set1_epi64, affine _mm512_gf2p8affine_epi64_epi8
    );
}

#[cfg(target_arch = "x86_64")]
mod avx2_gfni {
    use super::gf;
    use std::arch::x86_64::*;

    kernel!(features "avx2,gfni", bytes 32, vectors 2, rows 1 2 3 4);
    vectors!(
        features "avx2,gfni", bytes 32, vector __m256i, zero _mm256_setzero_si256(),
        load _mm256_loadu_si256, store _mm256_storeu_si256, xor _mm256_xor_si256
    );
    matrix_products!(
        features "avx2,gfni",
        broadcast _mm256_set1_epi64x, affine _mm256_gf2p8affine_epi64_epi8
    );
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::gf;
    use std::arch::x86_64::*;

    kernel!(features "avx2", bytes 32, vectors 2, rows 1 2 3 4);
    vectors!(
        features "avx2", bytes 32, vector __m256i, zero _mm256_setzero_si256(),
        load _mm256_loadu_si256, store _mm256_storeu_si256, xor _mm256_xor_si256
    );
    nibble_products!(
        features "avx2",
        // SAFETY: 16 bytes are read, 16 are there; the instruction asks for no alignment.
        repeat |table: &[u8; 16]| unsafe {
            _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()))
        },
        halves |vector| {
            let low = _mm256_set1_epi8(15);
            let shifted = _mm256_srli_epi64::<4>(vector);
            [_mm256_and_si256(vector, low), _mm256_and_si256(shifted, low)]
        },
        look_up _mm256_shuffle_epi8
    );
}

#[cfg(target_arch = "x86_64")]
mod ssse3 {
    use super::gf;
    use std::arch::x86_64::*;

    kernel!(features "ssse3", bytes 16, vectors 2, rows 1 2 3 4);
    vectors!(
        features "ssse3", bytes 16, vector __m128i, zero _mm_setzero_si128(),
        load _mm_loadu_si128, store _mm_storeu_si128, xor _mm_xor_si128
    );
    nibble_products!(
        features "ssse3",
        repeat load,
        halves |vector| {
            let low = _mm_set1_epi8(15);
            let shifted = _mm_srli_epi64::<4>(vector);
            [_mm_and_si128(vector, low), _mm_and_si128(shifted, low)]
        },
        look_up _mm_shuffle_epi8
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::gf;
    use std::arch::aarch64::*;

    kernel!(features "neon", bytes 16, vectors 2, rows 1 2 3 4);
    vectors!(
        features "neon", bytes 16, vector uint8x16_t, zero vdupq_n_u8(0),
        load vld1q_u8, store vst1q_u8, xor veorq_u8
    );
    nibble_products!(
        features "neon",
        repeat load,
        halves |vector| [vandq_u8(vector, vdupq_n_u8(15)), vshrq_n_u8::<4>(vector)],
        look_up vqtbl1q_u8
    );
}
