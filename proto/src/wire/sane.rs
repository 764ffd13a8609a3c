//! What the types cannot say: which values a body may not have.

use super::{
    Announce, Bye, CODED_PREFIX_LEN, CatchUpAccept, CatchUpRequest, CodedFields, CookieChallenge,
    CookieReply, Discard, End, Evict, Heartbeat, KeyRequest, KeyUpdate, Kind, Manifest, Nak, Ncf,
    Need, Range, Refused, Register, Report,
};

/// A body that can be told from nonsense before anyone acts on it.
pub(super) trait Sane {
    /// Whether every field says what it may.
    fn is_sane(&self) -> bool {
        true
    }
}

impl Sane for Heartbeat {}
impl Sane for Report {}
impl Sane for Register {}
impl Sane for CookieChallenge {}
impl Sane for CookieReply {}
impl Sane for CatchUpRequest {}
impl Sane for CatchUpAccept {}
impl Sane for Evict {}
impl Sane for Bye {}
impl Sane for End {}
impl Sane for KeyRequest {}
impl Sane for KeyUpdate {}

impl Sane for Nak {
    fn is_sane(&self) -> bool {
        let asked = ranges_are_sane(&self.ranges) && needs_are_sane(&self.needs);
        asked && ranges_are_sane(&self.manifests)
    }
}

impl Sane for Ncf {
    fn is_sane(&self) -> bool {
        ranges_are_sane(&self.ranges) && needs_are_sane(&self.needs)
    }
}

impl Sane for Refused {
    fn is_sane(&self) -> bool {
        ranges_are_sane(&self.ranges)
    }
}

impl Sane for Announce {
    fn is_sane(&self) -> bool {
        self.k > 0 && usize::from(self.coded_len) >= CODED_PREFIX_LEN
    }
}

impl Sane for Manifest {
    fn is_sane(&self) -> bool {
        let len = self.hashes.len() as u64;
        len > 0 && self.first.0.checked_add(len).is_some()
    }
}

fn ranges_are_sane(ranges: &[Range]) -> bool {
    let fits = |range: &Range| range.first.0.checked_add(u64::from(range.count)).is_some();
    ranges.iter().all(|range| range.count > 0 && fits(range))
}

fn needs_are_sane(needs: &[Need]) -> bool {
    needs.iter().all(|need| need.count > 0)
}

impl CodedFields {
    /// Whether a packet of this kind has such a place; an error if that kind has no place at all.
    pub(super) fn can_be(self, kind: Kind) -> Result<bool, Discard> {
        match kind {
            Kind::Data | Kind::Repair => Ok(self.k == 0 || self.index < self.k),
            Kind::Parity => Ok(self.k > 0 && self.index >= self.k),
            Kind::Nak
            | Kind::Ncf
            | Kind::Refused
            | Kind::Heartbeat
            | Kind::Announce
            | Kind::Report
            | Kind::Register
            | Kind::CookieChallenge
            | Kind::CookieReply
            | Kind::CatchUpRequest
            | Kind::CatchUpAccept
            | Kind::Evict
            | Kind::Bye
            | Kind::End
            | Kind::Manifest
            | Kind::KeyRequest
            | Kind::KeyUpdate => Err(Discard::Kind),
        }
    }
}
