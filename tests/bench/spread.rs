//! Figures of several rounds.

use std::fmt;

use serde::Serialize;

/// The median, the smallest and the largest of some figures; all zero if there are none.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().filter(|it| it.is_finite()).collect();
        figures.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or_default();
        let last = figures.len().saturating_sub(1);
        let median = (at(last / 2) + at(figures.len() / 2)) / 2.0;
        Self { median, min: at(0), max: at(last) }
    }

    /// With the unit of each figure made larger, and so the figure smaller.
    pub(crate) fn per(self, unit: f64) -> Self {
        Self { median: self.median / unit, min: self.min / unit, max: self.max / unit }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let Self { median, min, max } = self;
        write!(f, "{median:.places$} ({min:.places$}–{max:.places$})")
    }
}
