//! What was seen before.

/// Numbers that were seen, of the last `WORDS` · 64 of them. Older ones count as seen.
///
/// Only numbers of authentic packets belong here: others could move the window.
#[derive(Clone, Debug)]
pub(crate) struct ReplayWindow<const WORDS: usize> {
    highest: Option<u64>,
    /// One bit for each number, at its remainder.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const LEN: u64 = WORDS as u64 * 64;

    /// Takes note of a number; false if it was seen before, or is too old to tell.
    pub(crate) fn take(&mut self, number: u64) -> bool {
        match self.highest {
            Some(highest) if number <= highest => {
                if highest - number >= Self::LEN {
                    return false;
                }
            }
            highest => {
                self.forget(highest, number);
                self.highest = Some(number);
            }
        }
        let (word, bit) = Self::place(number);
        let Some(word) = self.seen.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Makes the places free that the numbers up to `number` will take.
    fn forget(&mut self, highest: Option<u64>, number: u64) {
        let Some(highest) = highest.filter(|highest| number - highest < Self::LEN) else {
            self.seen = [0; WORDS];
            return;
        };
        for passed in highest + 1..=number {
            let (word, bit) = Self::place(passed);
            if let Some(word) = self.seen.get_mut(word) {
                *word &= !bit;
            }
        }
    }

    fn place(number: u64) -> (usize, u64) {
        let remainder = number % Self::LEN;
        (usize::try_from(remainder / 64).unwrap_or(0), 1 << (remainder % 64))
    }
}
