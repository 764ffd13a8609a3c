//! The loop that all kernels share: a macro, because no generic function can ask for the
//! instruction set of its parameter.

/// What all kernels share, on top of a vector of `$width` bytes: `Vector`, `zero`, `load`,
/// `store` and `xor`; `Constant` and `constant`, a factor made ready; `Operand` and `operand`, a
/// vector made ready to be multiplied by several; and `product`.
macro_rules! kernel {
    (features $features:literal, bytes $width:literal, vectors $vectors:literal, rows $($rows:literal)+) => {
        use crate::fec::simd::Term;

        #[target_feature(enable = $features)]
        pub(super) fn add(terms: &[Term<'_>], rows: &mut [&mut [u8]]) {
            match rows.len() {
                $($rows => {
                    if let Ok(rows) = rows.try_into() {
                        add_rows::<$rows>(terms, rows);
                    }
                })+
                _ => {}
            }
        }

        #[target_feature(enable = $features)]
        fn add_rows<const ROWS: usize>(terms: &[Term<'_>], rows: &mut [&mut [u8]; ROWS]) {
            let len = terms.iter().map(|term| term.symbol.len()).max().unwrap_or(0);
            let mut at = 0;
            while at + $width < len {
                add_tile::<ROWS, $vectors>(terms, rows, at);
                at += $vectors * $width;
            }
            if at < len {
                add_tile::<ROWS, 1>(terms, rows, at);
            }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn add_tile<const ROWS: usize, const VECTORS: usize>(
            terms: &[Term<'_>],
            rows: &mut [&mut [u8]; ROWS],
            at: usize,
        ) {
            let mut sums = [[zero(); VECTORS]; ROWS];
            for (sum, row) in sums.iter_mut().zip(rows.iter()) {
                *sum = read(row.get(at..).unwrap_or_default());
            }
            for term in terms {
                let symbol = read(term.symbol.get(at..).unwrap_or_default());
                let operands: [Operand; VECTORS] = symbol.map(|vector| operand(vector));
                for (sum, &factor) in sums.iter_mut().zip(&term.factors) {
                    let constant = constant(factor);
                    for (sum, &operand) in sum.iter_mut().zip(&operands) {
                        *sum = xor(*sum, product(operand, constant));
                    }
                }
            }
            for (&sum, row) in sums.iter().zip(rows.iter_mut()) {
                write(row.get_mut(at..).unwrap_or_default(), sum);
            }
        }

        /// The first vectors of these bytes, zeros behind the end.
        #[target_feature(enable = $features)]
        #[inline]
        fn read<const VECTORS: usize>(bytes: &[u8]) -> [Vector; VECTORS] {
            let end;
            let chunks = match bytes.as_chunks().0.first_chunk::<VECTORS>() {
                Some(chunks) => chunks,
                None => {
                    end = padded(bytes);
                    &end
                }
            };
            let mut vectors = [zero(); VECTORS];
            for (vector, chunk) in vectors.iter_mut().zip(chunks) {
                *vector = load(chunk);
            }
            vectors
        }

        /// The other way round: what would stand behind the end is left out.
        #[target_feature(enable = $features)]
        #[inline]
        fn write<const VECTORS: usize>(bytes: &mut [u8], vectors: [Vector; VECTORS]) {
            if let Some(chunks) = bytes.as_chunks_mut().0.first_chunk_mut::<VECTORS>() {
                for (chunk, vector) in chunks.iter_mut().zip(vectors) {
                    store(chunk, vector);
                }
                return;
            }
            let mut end = [[0; $width]; VECTORS];
            for (chunk, vector) in end.iter_mut().zip(vectors) {
                store(chunk, vector);
            }
            cut(bytes, &end);
        }

        // The end of a row or symbol is met once, and kept out of the loops: so these stay short.
        #[cold]
        #[inline(never)]
        fn padded<const VECTORS: usize>(bytes: &[u8]) -> [[u8; $width]; VECTORS] {
            let mut chunks = [[0; $width]; VECTORS];
            chunks.as_flattened_mut().iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
            chunks
        }

        #[cold]
        #[inline(never)]
        fn cut<const VECTORS: usize>(bytes: &mut [u8], chunks: &[[u8; $width]; VECTORS]) {
            bytes.iter_mut().zip(chunks.as_flattened()).for_each(|(to, &from)| *to = from);
        }
    };
}
