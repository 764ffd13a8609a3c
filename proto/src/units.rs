//! Rates, sizes and durations as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Why a rate, size, duration or ratio was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It does not start with a number.
    #[error("`{text}` does not start with a number: write {examples}")]
    Number {
        /// What was written.
        text: String,
        /// What could be.
        examples: &'static str,
    },
    /// The unit is not known, or missing where one is needed.
    #[error("`{unit}` in `{text}` is no unit here: write {examples}")]
    Unit {
        /// What was written after the number.
        unit: String,
        /// What was written.
        text: String,
        /// What could be.
        examples: &'static str,
    },
    /// It does not fit.
    #[error("`{text}` is out of range: write {examples}")]
    Range {
        /// What was written.
        text: String,
        /// What could be.
        examples: &'static str,
    },
}

/// A quantity as written: decimal digits with at most one point, then a unit.
///
/// Integers only, so that `0.1` is a tenth and not nearly one.
struct Quantity<'a> {
    text: &'a str,
    examples: &'static str,
    digits: u128,
    decimals: u32,
    unit: &'a str,
}

impl<'a> Quantity<'a> {
    fn parse(text: &'a str, examples: &'static str) -> Result<Self, UnitError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let refused = || UnitError::Number { text: text.to_owned(), examples };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') {
            return Err(refused());
        }
        // Nine decimals and fifteen digits before them are more than any unit here can tell.
        let decimals = u32::try_from(fraction.len()).map_err(|_| refused())?;
        if decimals > 9 || whole.len() > 20 {
            return Err(UnitError::Range { text: text.to_owned(), examples });
        }
        let digits = format!("{whole}{fraction}").parse().map_err(|_| refused())?;
        Ok(Self { text, examples, digits, decimals, unit: unit.trim_start() })
    }

    /// The quantity in units of which `per_unit` make one of the unit written; rounded down.
    fn times(&self, per_unit: u128) -> Result<u64, UnitError> {
        let scaled = self.digits.saturating_mul(per_unit) / 10_u128.pow(self.decimals);
        u64::try_from(scaled).map_err(|_| self.out_of_range())
    }

    fn out_of_range(&self) -> UnitError {
        UnitError::Range { text: self.text.to_owned(), examples: self.examples }
    }

    fn no_unit(&self) -> UnitError {
        let unit = if self.unit.is_empty() { "no unit" } else { self.unit };
        UnitError::Unit {
            unit: unit.to_owned(),
            text: self.text.to_owned(),
            examples: self.examples,
        }
    }
}

/// A rate, in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(pub u64);

impl Bitrate {
    const EXAMPLES: &str = "20M, 1.5G, 800k or 8mbit (bits per second)";

    /// How long `bytes` take at this rate; for ever at rate 0.
    #[must_use]
    pub fn duration_of(self, bytes: u64) -> Duration {
        let bit_nanos = u128::from(bytes).saturating_mul(8).saturating_mul(NANOS_PER_SECOND);
        bit_nanos.checked_div(u128::from(self.0)).map_or(Duration::MAX, from_nanos)
    }

    /// How many whole bytes go in `duration` at this rate.
    #[must_use]
    pub fn bytes_in(self, duration: Duration) -> u64 {
        let bits = u128::from(self.0).saturating_mul(duration.as_nanos()) / NANOS_PER_SECOND;
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
    }
}

fn from_nanos(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

impl FromStr for Bitrate {
    type Err = UnitError;

    /// Decimal units, as networks have them: `k`, `M`, `G`, `T`, in either case, alone or before
    /// `bit`, `bps` or `bit/s`. A plain number is bits per second. Zero is no rate.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let quantity = Quantity::parse(text, Self::EXAMPLES)?;
        let unit = quantity.unit.to_ascii_lowercase();
        let prefix = ["bit/s", "bps", "bit"]
            .iter()
            .find_map(|suffix| unit.strip_suffix(suffix))
            .unwrap_or(&unit);
        let per_unit = decimal(prefix).ok_or_else(|| quantity.no_unit())?;
        match quantity.times(per_unit)? {
            0 => Err(quantity.out_of_range()),
            bits => Ok(Self(bits)),
        }
    }
}

impl fmt::Display for Bitrate {
    /// The largest unit that needs no more than three decimals: `20M`, `1.5G`, `999`. Exact, so
    /// that it reads back as itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units =
            [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
        let fits = |unit: u64| self.0 >= unit && self.0.is_multiple_of(unit / 1_000);
        match units.into_iter().find(|(unit, _)| fits(*unit)) {
            Some((unit, name)) => f.pad(&format!("{}{name}", with_decimals(self.0, unit))),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// `value` / `unit`, where a thousandth of the unit divides it.
fn with_decimals(value: u64, unit: u64) -> String {
    let thousandths = value % unit / (unit / 1_000);
    let text = format!("{}.{thousandths:03}", value / unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

impl ByteCount {
    const EXAMPLES: &str = "64MiB (2^20), 64MB or 64M (10^6), or plain bytes";
}

impl FromStr for ByteCount {
    type Err = UnitError;

    /// `KiB`, `MiB`, `GiB`, `TiB`, with or without the `B`, are powers of 1024; `k`, `M`, `G`,
    /// `T`, alone or before `B`, are powers of 1000; in either case. A plain number is bytes.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let quantity = Quantity::parse(text, Self::EXAMPLES)?;
        let unit = quantity.unit.to_ascii_lowercase();
        let prefix = unit.strip_suffix('b').unwrap_or(&unit);
        let per_unit = match prefix.strip_suffix('i') {
            Some(prefix) => binary(prefix),
            None => decimal(prefix),
        };
        Ok(Self(quantity.times(per_unit.ok_or_else(|| quantity.no_unit())?)?))
    }
}

impl fmt::Display for ByteCount {
    /// The shortest whole number of any unit: `64MiB`, `20MB`, `1500B`. Exact, so that it reads
    /// back as itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shortest = BYTE_UNITS
            .iter()
            .filter(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .map(|(unit, name)| format!("{}{name}", self.0 / unit))
            .min_by_key(String::len);
        f.pad(&shortest.unwrap_or_else(|| "0B".to_owned()))
    }
}

const BYTE_UNITS: [(u64, &str); 9] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
    (1_000_000_000_000, "TB"),
    (1_000_000_000, "GB"),
    (1_000_000, "MB"),
    (1_000, "kB"),
    (1, "B"),
];

fn decimal(prefix: &str) -> Option<u128> {
    Some(match prefix {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return None,
    })
}

fn binary(prefix: &str) -> Option<u128> {
    Some(match prefix {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    })
}

const DURATION_EXAMPLES: &str = "200ms, 10s, 50us or 2m";

/// Reads a duration: a number and `ns`, `us`, `ms`, `s`, `m` or `h`. A plain `0` needs no unit.
///
/// # Errors
/// What is wrong, and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let quantity = Quantity::parse(text, DURATION_EXAMPLES)?;
    let nanos_per_unit = match quantity.unit {
        "" if quantity.digits == 0 => 1,
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" | "min" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        _ => return Err(quantity.no_unit()),
    };
    quantity.times(nanos_per_unit).map(Duration::from_nanos)
}

/// How much is kept: so many bytes, or what is younger than a duration (`64MiB`, `10s`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeOrDuration {
    /// So many bytes.
    Size(ByteCount),
    /// What is younger.
    Duration(Duration),
}

impl FromStr for SizeOrDuration {
    type Err = UnitError;

    /// Lower-case `m` is a minute here and `M` a megabyte; every other spelling means one thing.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        const EXAMPLES: &str = "64MiB, 64M or 10s";
        let quantity = Quantity::parse(text, EXAMPLES)?;
        if !quantity.unit.is_empty()
            && let Ok(duration) = parse_duration(text)
        {
            return Ok(Self::Duration(duration));
        }
        match text.parse() {
            Ok(size) => Ok(Self::Size(size)),
            Err(UnitError::Range { .. }) => Err(quantity.out_of_range()),
            Err(UnitError::Unit { .. } | UnitError::Number { .. }) => Err(quantity.no_unit()),
        }
    }
}

impl fmt::Display for SizeOrDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Duration(duration) => write!(f, "{duration:?}"),
        }
    }
}

/// A share: 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing of it.
    pub const ZERO: Self = Self(0.0);
    /// All of it.
    pub const ONE: Self = Self(1.0);

    /// `value` if it lies between 0 and 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// So many hundredths; all of it from 100 on.
    #[must_use]
    pub const fn percent(hundredths: u8) -> Self {
        if hundredths < 100 { Self(hundredths as f64 / 100.0) } else { Self::ONE }
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    /// `1%`, `0.5%`, or a plain number from 0 to 1.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let quantity = Quantity::parse(text, "1% or 0.01 (at most 100% or 1)")?;
        let hundredths = match quantity.unit {
            "%" => true,
            "" => false,
            _ => return Err(quantity.no_unit()),
        };
        let number = text.trim().trim_end_matches('%').trim_end();
        let value: f64 = number.parse().map_err(|_| quantity.out_of_range())?;
        let value = if hundredths { value / 100.0 } else { value };
        Self::new(value).ok_or_else(|| quantity.out_of_range())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded to what was meant: 0.07 × 100 is 7.000000000000001.
        let percent = (self.0 * 1e9).round() / 1e7;
        write!(f, "{percent}%")
    }
}

#[cfg(test)]
mod tests;
