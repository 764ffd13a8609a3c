//! Kinds of value that only a publisher takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use proto::Bitrate;
use proto::units::{Ratio, UnitError, parse_duration};
use serde::Deserializer;

use super::text;

/// How fast: `20M`, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// As fast as the slowest kept subscriber takes it.
    #[default]
    Auto,
    /// This fast on the wire, headers included.
    Fixed(Bitrate),
}

/// Why a rate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, or auto")]
pub struct RateError(#[from] UnitError);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "auto" { Ok(Self::Auto) } else { Ok(Self::Fixed(text.parse()?)) }
    }
}

/// What the end of a stream tells of all its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// Its SHA-256 (FIPS 180-4). It costs each end some 0.5 µs for a full packet, beside the data
    /// path.
    #[default]
    Sha256,
    /// Nothing but its length.
    None,
}

/// Why a digest was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: write sha256 or none")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "none" => Ok(Self::None),
            _ => Err(DigestError(text.to_owned())),
        }
    }
}

/// What the first byte waits for: so many subscribers, or so long, whichever is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitFor {
    /// So many subscribers; `None`: as many as come in the time.
    pub subscribers: Option<u32>,
    /// So long; `None`: until they are there.
    pub at_most: Option<Duration>,
}

impl Default for WaitFor {
    /// One subscriber, or two seconds: enough for one that was started by the same script.
    fn default() -> Self {
        Self { subscribers: Some(1), at_most: Some(Duration::from_secs(2)) }
    }
}

/// Why a wait was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: write how many subscribers (3), how long (10s), or both (3,10s)")]
pub struct WaitForError(String);

impl FromStr for WaitFor {
    type Err = WaitForError;

    fn from_str(text: &str) -> Result<Self, WaitForError> {
        let mut wait = Self { subscribers: None, at_most: None };
        for part in text.split(',') {
            let part = part.trim();
            if let Ok(count) = part.parse()
                && wait.subscribers.is_none()
            {
                wait.subscribers = Some(count);
            } else if let Ok(time) = parse_duration(part)
                && wait.at_most.is_none()
            {
                wait.at_most = Some(time);
            } else {
                return Err(WaitForError(text.to_owned()));
            }
        }
        Ok(wait)
    }
}

/// Where the circuit breaker acts: `30%`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Nowhere.
    Off,
    /// Above this loss.
    Above(Ratio),
}

/// Why a threshold was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, or off")]
pub struct ThresholdError(#[from] UnitError);

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        if text == "off" { Ok(Self::Off) } else { Ok(Self::Above(text.parse()?)) }
    }
}

/// Differentiated services code point (RFC 2474): the upper six bits of the traffic class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dscp(u8);

/// Why a code point was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no code point: write 0 to 63, cs0 to cs7, af11 to af43, or ef")]
pub struct DscpError(String);

impl Dscp {
    /// The whole octet, congestion bits zero.
    #[must_use]
    pub fn traffic_class(self) -> u32 {
        u32::from(self.0) << 2
    }
}

impl FromStr for Dscp {
    type Err = DscpError;

    fn from_str(text: &str) -> Result<Self, DscpError> {
        let named = || match text.to_ascii_lowercase().as_bytes() {
            b"ef" => Some(46),
            [b'c', b's', class @ b'0'..=b'7'] => Some((class - b'0') * 8),
            [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
                Some((class - b'0') * 8 + (drop - b'0') * 2)
            }
            _ => None,
        };
        let numbered = text.parse().ok().filter(|number| *number < 64);
        numbered.or_else(named).map(Self).ok_or_else(|| DscpError(text.to_owned()))
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a time to live.
///
/// # Errors
///
/// When it is not 1 to 255.
pub fn ttl(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(0) => Err("a ttl of 0 never leaves this machine: write 1 to 255".to_owned()),
        Ok(ttl) => Ok(ttl),
        Err(_) => Err("a ttl is 1 to 255".to_owned()),
    }
}

struct Ttl(u8);

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ttl(text).map(Self)
    }
}

pub(super) fn ttl_in_file<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u8>, D::Error> {
    Ok(text::option::<_, Ttl>(value)?.map(|ttl| ttl.0))
}

struct Span(Duration);

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_duration(text).map(Self)
    }
}

pub(super) fn duration_in_file<'de, D>(value: D) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(text::option::<_, Span>(value)?.map(|span| span.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_auto() {
        assert_eq!("auto".parse(), Ok(Rate::Auto));
        assert_eq!("20M".parse(), Ok(Rate::Fixed(Bitrate(20_000_000))));
        for wrong in ["0", "0M", "fast", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_threshold_is_a_share_or_off() {
        assert_eq!("off".parse(), Ok(Threshold::Off));
        assert_eq!("30%".parse(), Ok(Threshold::Above(Ratio::percent(30))));
        assert!("30".parse::<Threshold>().is_err() && "on".parse::<Threshold>().is_err());
    }

    #[test]
    fn a_wait_is_a_number_a_time_or_both() {
        let wait = |text: &str| text.parse::<WaitFor>().map(|w| (w.subscribers, w.at_most));
        let ten = Some(Duration::from_secs(10));
        assert_eq!(wait("3"), Ok((Some(3), None)));
        assert_eq!(wait("10s"), Ok((None, ten)));
        assert_eq!(wait("3,10s"), Ok((Some(3), ten)));
        assert_eq!(wait("10s, 3"), Ok((Some(3), ten)));
        for wrong in ["", "soon", "3,4", "1s,2s", "3,10s,4"] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_code_point_has_a_number_and_a_name() {
        let class = |text: &str| text.parse::<Dscp>().map(Dscp::traffic_class);
        assert_eq!(class("ef"), Ok(184));
        assert_eq!(class("46"), Ok(184));
        assert_eq!(class("AF41"), Ok(34 << 2));
        assert_eq!(class("cs5"), Ok(40 << 2));
        assert!(class("64").is_err() && class("af44").is_err() && class("cs8").is_err());
    }

    #[test]
    fn a_ttl_is_a_byte_and_not_zero() {
        assert_eq!(ttl("255"), Ok(255));
        assert!(ttl("0").is_err() && ttl("256").is_err() && ttl("-1").is_err());
    }
}
