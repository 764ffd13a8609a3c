//! RTP (RFC 3550): its header is taken off, its sequence numbers are watched.

use std::sync::atomic::Ordering;

use super::InputCounters;

/// What is done with a datagram that may be RTP.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rtp {
    /// `None`: it is RTP if it looks like MPEG-TS in RTP.
    wanted: Option<bool>,
    newest: Option<u16>,
}

impl Rtp {
    pub(super) fn new(wanted: Option<bool>) -> Self {
        Self { wanted, newest: None }
    }

    /// The part of `datagram` that is payload. What is no RTP although it should be is taken as
    /// it is: an encoder that changed its mind is better seen than silenced.
    pub(super) fn payload<'a>(&mut self, datagram: &'a [u8], counters: &InputCounters) -> &'a [u8] {
        if self.wanted == Some(false) {
            return datagram;
        }
        let Some(packet) = Packet::parse(datagram) else {
            return datagram;
        };
        let is_rtp = self.wanted == Some(true) || packet.looks_like_ts();
        if !is_rtp {
            return datagram;
        }
        self.watch(packet.sequence, counters);
        packet.payload
    }

    fn watch(&mut self, sequence: u16, counters: &InputCounters) {
        let ahead = self.newest.map_or(1, |newest| sequence.wrapping_sub(newest));
        if ahead == 0 || ahead >= 1 << 15 {
            counters.rtp_reordered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        counters.rtp_missing.fetch_add(u64::from(ahead - 1), Ordering::Relaxed);
        self.newest = Some(sequence);
    }
}

struct Packet<'a> {
    payload_type: u8,
    sequence: u16,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// RFC 3550 §5.1: twelve bytes, the contributing sources, an extension, the payload, padding.
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (&[first, second, high, low, ..], rest) = datagram.split_first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut payload = rest.get(usize::from(first & 0x0f) * 4..)?;
        if first & 0x10 != 0 {
            let (&[_, _, high, low], rest) = payload.split_first_chunk::<4>()?;
            payload = rest.get(usize::from(u16::from_be_bytes([high, low])) * 4..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            payload = payload.get(..payload.len().checked_sub(padding)?)?;
        }
        let sequence = u16::from_be_bytes([high, low]);
        Some(Self { payload_type: second & 0x7f, sequence, payload })
    }

    /// Payload type 33 (RFC 3551 §6) and whole packets of a transport stream.
    fn looks_like_ts(&self) -> bool {
        self.payload_type == 33
            && !self.payload.is_empty()
            && self.payload.len().is_multiple_of(188)
            && self.payload.first() == Some(&0x47)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts() -> Vec<u8> {
        let mut packet = vec![0x47];
        packet.resize(188, 0xff);
        packet
    }

    fn rtp(first: u8, payload_type: u8, sequence: u16, rest: &[&[u8]]) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        let mut datagram = vec![first, payload_type, high, low];
        datagram.resize(12, 0);
        datagram.extend(rest.concat());
        datagram
    }

    #[test]
    fn the_header_is_taken_off_with_sources_extension_and_padding() {
        let counters = InputCounters::default();
        let mut auto = Rtp::new(None);
        assert_eq!(auto.payload(&rtp(0x80, 33, 1, &[&ts()]), &counters), ts());
        let sources = rtp(0x82, 33, 2, &[&[0; 8], &ts()]);
        assert_eq!(auto.payload(&sources, &counters), ts());
        let extension = rtp(0x90, 33, 3, &[&[0, 0, 0, 1, 9, 9, 9, 9], &ts()]);
        assert_eq!(auto.payload(&extension, &counters), ts());
        let padding = rtp(0xa0, 33, 4, &[&ts(), &[0, 0, 0, 4]]);
        assert_eq!(auto.payload(&padding, &counters), ts());
        assert_eq!(counters.rtp_missing.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_no_rtp_stays_as_it_is() {
        let counters = InputCounters::default();
        let other_type = rtp(0x80, 96, 1, &[&ts()]);
        assert_eq!(Rtp::new(None).payload(&ts(), &counters), ts());
        assert_eq!(Rtp::new(None).payload(&other_type, &counters), other_type);
        assert_eq!(Rtp::new(Some(true)).payload(&other_type, &counters), ts());
        let typical = rtp(0x80, 33, 1, &[&ts()]);
        assert_eq!(Rtp::new(Some(false)).payload(&typical, &counters), typical);
        for cut in 0..typical.len() {
            Rtp::new(Some(true)).payload(typical.get(..cut).unwrap(), &counters);
        }
        let liar = rtp(0xbf, 33, 1, &[&[255]]);
        assert_eq!(Rtp::new(Some(true)).payload(&liar, &counters), liar);
    }

    #[test]
    fn gaps_and_disorder_are_counted_over_the_wrap() {
        let counters = InputCounters::default();
        let mut rtp_stream = Rtp::new(None);
        for sequence in [65_533, 65_534, 1, 0, 2] {
            rtp_stream.payload(&rtp(0x80, 33, sequence, &[&ts()]), &counters);
        }
        assert_eq!(counters.rtp_missing.load(Ordering::Relaxed), 2);
        assert_eq!(counters.rtp_reordered.load(Ordering::Relaxed), 1);
    }
}
