//! Who of the audience speaks: the publisher asks a share of it, and everybody can tell from its
//! own id whether it is meant (docs/PROTOCOL.md §4.12).
//!
//! A publisher that let everybody register would be told of a million subscribers in a million
//! datagrams. So it draws lots: an id has a place between 0 and 2^64, and whoever's place lies
//! below 2^64 / 2^n is meant. Whoever is meant at n is meant at every smaller n too, so the share
//! can grow without anybody being asked twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SubscriberId;

/// What a publisher says of who is to speak, in every heartbeat and announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// One in 2^n subscribers registers; 0: all do.
    pub enrol: u8,
    /// One in 2^n of those that did not register sends one report in this round; 0: none does.
    pub sample: u8,
    /// Counts rounds: who is meant by `sample` changes with each.
    pub round: u16,
    /// The mean time between two reports of who is registered, in milliseconds; 0: 100.
    pub report_ms: u16,
    /// Who loses more than this of what is sent, in 256ths, registers although it was not meant;
    /// 0: nobody does.
    pub alarm: u8,
}

impl Poll {
    /// Whether this subscriber is to register.
    #[must_use]
    pub fn enrols(&self, id: SubscriberId) -> bool {
        is_within(place(id, ENROL), self.enrol)
    }

    /// Whether this subscriber, if it is not registered, is to report in this round.
    #[must_use]
    pub fn samples(&self, id: SubscriberId) -> bool {
        self.sample > 0 && is_within(place(id, u64::from(self.round)), self.sample)
    }

    /// The mean time between two reports of one subscriber.
    #[must_use]
    pub fn report_interval(&self) -> Duration {
        let told = Duration::from_millis(u64::from(self.report_ms));
        told.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    }

    /// Whether losing this share is worth speaking up for.
    #[must_use]
    pub fn alarms(&self, loss: f64) -> bool {
        self.alarm > 0 && loss * 256.0 > f64::from(self.alarm)
    }
}

/// Where an id stands between 0 and 2^64, anew for every `salt`: the two halves of the id through
/// the finalizer of SplitMix64 (Steele, Lea, Flood, 2014), one after the other.
fn place(id: SubscriberId, salt: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, rest @ ..] = id.0.to_be_bytes();
    let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    mix(u64::from_be_bytes(rest) ^ mix(high ^ salt))
}

fn is_within(place: u64, halvings: u8) -> bool {
    place.leading_zeros() >= u32::from(halvings)
}

fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// The salt of the lots that decide who registers: no round has it.
const ENROL: u64 = 1 << 16;

/// A few subscribers report this often, so that their credit opens in time.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// However large the audience and slow the stream: who is registered says so much.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(poll: Poll, test: impl Fn(&Poll, SubscriberId) -> bool) -> Vec<u128> {
        (0..100_000).filter(|id| test(&poll, SubscriberId(*id))).collect()
    }

    #[test]
    fn a_share_of_the_ids_is_meant_and_a_larger_share_holds_the_smaller() {
        let eighth = meant(Poll { enrol: 3, ..Poll::default() }, Poll::enrols);
        let quarter = meant(Poll { enrol: 2, ..Poll::default() }, Poll::enrols);
        assert!((12_000..13_000).contains(&eighth.len()), "{}", eighth.len());
        assert!((24_500..25_500).contains(&quarter.len()), "{}", quarter.len());
        assert!(eighth.iter().all(|id| quarter.binary_search(id).is_ok()));
        assert_eq!(meant(Poll::default(), Poll::enrols).len(), 100_000);
        assert!(meant(Poll { enrol: 255, ..Poll::default() }, Poll::enrols).is_empty());
    }

    #[test]
    fn each_round_means_others() {
        let round = |round| meant(Poll { sample: 5, round, ..Poll::default() }, Poll::samples);
        let both = round(1).iter().filter(|id| round(2).binary_search(id).is_ok()).count();
        assert!((60..140).contains(&both), "{both} of 100,000 ÷ 32²");
        assert!(meant(Poll::default(), Poll::samples).is_empty(), "nobody is asked");
    }

    #[test]
    fn the_place_of_an_id_is_the_same_on_every_machine() {
        let id = SubscriberId(0xa0a1_a2a3_a4a5_a6a7_a8a9_aaab_acad_aeaf);
        assert_eq!([place(id, ENROL), place(id, 1)], PLACES);
    }

    /// The same as in docs/PROTOCOL.md §4.12.
    const PLACES: [u64; 2] = [0xa3f3_99ff_1c20_d011, 0x937d_20ba_3b28_c25f];
}
