//! What blocks owe: asked for by count, answered by name where all miss the same, by parity where
//! they do not (docs/PROTOCOL.md, "Repair and hold-down").

mod ready;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) use self::ready::ParityPacket;
use self::ready::Ready;
use super::window::Window;
use crate::fec::{self, MAX_SYMBOLS};
use crate::wire::{CODED_PREFIX_LEN, CodedPrefix, Need};
use crate::{Seq, Timestamp};

/// What was asked of a block and not answered yet.
#[derive(Debug, Default)]
struct Owed {
    named: BTreeSet<Seq>,
    /// Somebody lacks more than was named: only parity helps.
    is_counted: bool,
    count: u8,
    /// What the block was promised beyond that, because blocks usually need it.
    expected: u8,
    askers: u32,
    since: Timestamp,
    due: Timestamp,
}

impl Owed {
    fn promised(&self) -> u8 {
        self.count.max(self.expected)
    }
}

/// What a block was given already.
#[derive(Debug, Default)]
struct Given {
    /// The next symbol that was never sent.
    next_place: u8,
    /// Symbols sent since `until` was set.
    sent: u8,
    /// Packets sent again since then.
    named: BTreeSet<Seq>,
    /// Symbols that wait to be sent.
    queued: u8,
    /// Until then, whoever asks has not seen them.
    until: Timestamp,
    /// When the group was last told what is promised.
    confirmed: Timestamp,
}

impl Given {
    /// Of the packets that somebody lacks, how many it has not seen yet: parity helps with any,
    /// a packet sent again with itself.
    fn on_its_way(&self, named: &BTreeSet<Seq>, now: Timestamp) -> u8 {
        if !self.is_on_its_way(now) {
            return 0;
        }
        let again = u8::try_from(self.named.intersection(named).count()).unwrap_or(u8::MAX);
        self.sent.saturating_add(again)
    }

    /// Something is sent now, and on its way until then.
    fn hold(&mut self, until: Timestamp, now: Timestamp) {
        if !self.is_on_its_way(now) {
            self.sent = 0;
            self.named.clear();
        }
        self.until = until;
    }

    fn is_on_its_way(&self, now: Timestamp) -> bool {
        self.queued > 0 || self.until > now
    }
}

/// What a block is answered with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These packets again.
    Named(Vec<Seq>),
    /// Parity, which waits in [`Parity::next`].
    Parity,
}

/// The parity of all blocks in the window.
#[derive(Debug, Default)]
pub(super) struct Parity {
    owed: BTreeMap<Seq, Owed>,
    queue: BTreeSet<(Timestamp, Seq)>,
    given: BTreeMap<Seq, Given>,
    ready: Ready,
    /// What the worst off of a large audience lacks of a block in seven of ten cases.
    usual: f64,
}

impl Parity {
    /// Somebody lacks so many packets of a block, among them `named`. Says how many more are now
    /// promised than before; none while what was just sent is still on its way. `due` is when it is
    /// answered. Where many may ask, what blocks usually need is promised with the first who does:
    /// otherwise all who lack more than others would ask, one after the other.
    pub(super) fn on_need(
        &mut self,
        Need { block, count: wanted }: Need,
        named: impl Iterator<Item = Seq>,
        (due, many): (Timestamp, bool),
        now: Timestamp,
    ) -> Option<u8> {
        let named: BTreeSet<Seq> = named.collect();
        let on_its_way = self.given.get(&block).map_or(0, |given| given.on_its_way(&named, now));
        let count = wanted.saturating_sub(on_its_way);
        if count == 0 {
            return None;
        }
        let usual = if many && on_its_way == 0 { whole(self.usual) } else { 0 };
        let expected = if self.given.contains_key(&block) { 0 } else { usual };
        let mut promised = 0;
        let owed = match self.owed.entry(block) {
            Entry::Occupied(owed) => {
                promised = owed.get().promised();
                owed.into_mut()
            }
            Entry::Vacant(place) => {
                self.queue.insert((due, block));
                place.insert(Owed { since: now, due, expected, ..Owed::default() })
            }
        };
        owed.is_counted |= named.len() < usize::from(wanted);
        owed.named.extend(named);
        owed.askers += 1;
        owed.count = owed.count.max(count);
        (owed.promised() > promised).then_some(owed.promised())
    }

    /// What is promised of a block, if the group was not told for `again`: whoever still asks has
    /// not heard it.
    pub(super) fn confirm_again(
        &mut self,
        block: Seq,
        again: Duration,
        now: Timestamp,
    ) -> Option<u8> {
        let owed = self.owed.get(&block).map_or(0, Owed::promised);
        let given = self.given.entry(block).or_default();
        let on_its_way = if given.is_on_its_way(now) { given.sent } else { 0 };
        let promised = owed.saturating_add(on_its_way);
        if promised == 0 || now < given.confirmed.after(again) {
            return None;
        }
        given.confirmed = now;
        Some(promised)
    }

    /// When the first block is to be answered.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if self.ready.first().is_some() {
            return Some(Timestamp::ZERO);
        }
        self.queue.first().map(|(due, _)| *due)
    }

    /// Answers the first block that has been waited for long enough.
    pub(super) fn answer(
        &mut self,
        window: &Window,
        audience: u64,
        hold_down: Duration,
        now: Timestamp,
    ) -> Option<Answer> {
        let (block, owed) = self.take_due(window, audience, now)?;
        // What only one has asked for by now others may lack as well, each something else: parity
        // helps them all.
        let is_shared = owed.askers > 1 || audience <= 1;
        let is_same = is_shared && !owed.is_counted && owed.named.len() <= usize::from(owed.count);
        if is_same || !window.has_whole(block) {
            let given = self.given.entry(block).or_default();
            given.hold(now.after(hold_down), now);
            given.named.extend(&owed.named);
            return Some(Answer::Named(owed.named.into_iter().collect()));
        }
        self.learn(block, &owed);
        let made = self.make(block, owed.promised(), true, window);
        let given = self.given.entry(block).or_default();
        given.hold(now.after(hold_down), now);
        given.queued = given.queued.saturating_add(made);
        given.sent = given.sent.saturating_add(owed.promised());
        Some(Answer::Parity)
    }

    /// The first block whose askers were waited for. One that is still being sent is put off until
    /// it was: by then others lack something of it too, and parity helps them all.
    fn take_due(&mut self, window: &Window, audience: u64, now: Timestamp) -> Option<(Seq, Owed)> {
        loop {
            let &(due, block) = self.queue.first().filter(|(due, _)| *due <= now)?;
            self.queue.remove(&(due, block));
            let Entry::Occupied(mut owed) = self.owed.entry(block) else { continue };
            let is_over = audience <= 1 || now >= owed.get().since.after(LONGEST_PUT_OFF);
            if is_over || window.has_whole(block) {
                return Some((block, owed.remove()));
            }
            owed.get_mut().due = now.after(PUT_OFF);
            self.queue.insert((now.after(PUT_OFF), block));
        }
    }

    /// Takes what a block was asked for at first: a quantile is followed by small steps, up where it
    /// was passed and down where it was not. What is asked for later was lost again.
    fn learn(&mut self, block: Seq, owed: &Owed) {
        if self.given.get(&block).is_some_and(|given| given.next_place > 0) {
            return;
        }
        let step = if owed.count > owed.expected { QUANTILE } else { QUANTILE - 1.0 };
        self.usual = (self.usual + step).max(0.0);
    }

    /// Makes the next `count` symbols of a block that were never sent; when all were, the first
    /// ones again. Says how many there are.
    fn make(&mut self, block: Seq, count: u8, is_asked: bool, window: &Window) -> u8 {
        let Some(first) = window.get(block).filter(|slot| slot.k > 0) else { return 0 };
        let (k, depth_log2) = (first.k, first.depth_log2);
        let places = u8::try_from(MAX_SYMBOLS - usize::from(k)).unwrap_or(u8::MAX);
        let count = count.min(places);
        let given = self.given.entry(block).or_default();
        if given.next_place > places - count {
            given.next_place = 0;
        }
        let first = given.next_place;
        let Some(bodies) = encode(block, first, count, window) else { return 0 };
        given.next_place += count;
        self.ready.add(bodies.into_iter().zip(k + first..).map(|(body, index)| ParityPacket {
            block,
            k,
            index,
            depth_log2,
            body: body.into(),
            is_asked,
        }));
        count
    }

    /// Makes parity that nobody asked for.
    pub(super) fn make_ahead(&mut self, block: Seq, count: u8, window: &Window) {
        self.make(block, count, false, window);
    }

    /// Has the parity of interleaved blocks leave in turns.
    pub(super) fn spread(&mut self) {
        self.ready.spread();
    }

    /// Blocks that anything is kept of, and packets that are ready.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.owed.len().max(self.given.len()).max(self.queue.len()).max(self.ready.len())
    }

    /// Packets that were asked for and not sent yet.
    pub(super) fn pending(&self) -> u64 {
        self.ready.asked() + self.owed.values().map(|owed| u64::from(owed.promised())).sum::<u64>()
    }

    /// Forgets what was asked for.
    pub(super) fn forget_asked(&mut self) {
        self.owed.clear();
        self.queue.clear();
        self.ready.forget_asked();
        self.given.values_mut().for_each(|given| given.queued = 0);
    }

    pub(super) fn next(&self) -> Option<&ParityPacket> {
        self.ready.first()
    }

    /// The next packet leaves: it is on its way from now on.
    pub(super) fn on_sent(&mut self, hold_down: Duration, now: Timestamp) {
        let Some(packet) = self.ready.pop().filter(|packet| packet.is_asked) else { return };
        if let Some(given) = self.given.get_mut(&packet.block) {
            given.queued = given.queued.saturating_sub(1);
            given.until = given.until.max(now.after(hold_down));
        }
    }

    /// Forgets what left the window.
    pub(super) fn expire(&mut self, trail: Seq) {
        self.given = self.given.split_off(&trail);
        while let Some((&block, owed)) = self.owed.first_key_value() {
            if block >= trail {
                return;
            }
            self.queue.remove(&(owed.due, block));
            self.owed.pop_first();
        }
    }
}

/// Parity of a closed block: `count` symbols from place `first` on. Payloads are used where they lie:
/// as every byte of a symbol is coded by itself, the prefixes before them are coded apart.
fn encode(block: Seq, first: u8, count: u8, window: &Window) -> Option<Vec<Vec<u8>>> {
    let of_block = window.get(block)?;
    let mut prefixes = Vec::with_capacity(usize::from(of_block.k));
    let mut payloads = Vec::with_capacity(usize::from(of_block.k));
    for index in 0..of_block.k {
        let slot = window.get(of_block.seq_of(index))?;
        let prefix = CodedPrefix {
            len: u16::try_from(slot.payload.len()).ok()?,
            flags: slot.flags,
            first_record: slot.first_record,
            first_sent: slot.first_sent?.to_wire(),
        };
        prefixes.push(prefix.to_bytes());
        payloads.push(&slot.payload[..]);
    }
    let len = CODED_PREFIX_LEN + payloads.iter().map(|payload| payload.len()).max()?;
    let mut bodies = vec![vec![0; len]; usize::from(count)];
    let (mut of_prefixes, mut of_payloads): (Vec<_>, Vec<_>) =
        bodies.iter_mut().map(|body| body.split_at_mut(CODED_PREFIX_LEN)).unzip();
    fec::encode(&prefixes, first, &mut of_prefixes).ok()?;
    fec::encode(&payloads, first, &mut of_payloads).ok()?;
    Some(bodies)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn whole(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// A block that is still being sent is looked at again after this.
const PUT_OFF: Duration = Duration::from_millis(5);

/// A block that takes longer to be sent is answered by name.
const LONGEST_PUT_OFF: Duration = Duration::from_millis(250);

/// In three of ten cases the worst off lacks less than what is promised with the first NAK: what that
/// costs is small beside a round of NAKs from everybody who lacks more.
const QUANTILE: f64 = 0.3;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::packetizer::Cut;
    use super::*;

    fn window() -> Window {
        let mut window = Window::new(4, 0);
        for byte in 0..8 {
            let payload = Bytes::from(vec![byte; 10]);
            window.add(Cut { payload, flags: 0, first_record: 0 }, Timestamp::ZERO);
            window.on_sent(Timestamp::ZERO);
        }
        window
    }

    /// Of the third block, the first of its four packets was sent.
    fn in_the_middle_of_a_block(now: Timestamp) -> Window {
        let mut window = window();
        for byte in 8..12 {
            let payload = Bytes::from(vec![byte; 10]);
            window.add(Cut { payload, flags: 0, first_record: 0 }, now);
        }
        window.on_sent(now);
        window
    }

    fn ask(parity: &mut Parity, count: u8, named: &[u64], now: Timestamp) -> Option<u8> {
        let named = named.iter().copied().map(Seq);
        parity.on_need(Need { block: Seq(4), count }, named, (now, false), now)
    }

    fn indices(parity: &mut Parity) -> Vec<u8> {
        let mut indices = Vec::new();
        while let Some(packet) = parity.next() {
            indices.push(packet.index);
            parity.on_sent(HOLD, Timestamp::from_secs(1));
        }
        indices
    }

    const HOLD: Duration = Duration::from_millis(10);

    #[test]
    fn who_miss_the_same_packet_get_that_packet() {
        let (mut parity, now) = (Parity::default(), Timestamp::from_secs(1));
        assert_eq!(ask(&mut parity, 1, &[5], now), Some(1));
        assert_eq!(ask(&mut parity, 1, &[5], now), None, "promised already");
        assert_eq!(parity.answer(&window(), 4, HOLD, now), Some(Answer::Named(vec![Seq(5)])));
    }

    #[test]
    fn who_miss_different_packets_share_as_many_as_the_worst_needs() {
        let (mut parity, now) = (Parity::default(), Timestamp::from_secs(1));
        ask(&mut parity, 1, &[4], now);
        ask(&mut parity, 2, &[5, 6], now);
        ask(&mut parity, 1, &[7], now);
        assert_eq!(parity.answer(&window(), 4, HOLD, now), Some(Answer::Parity));
        assert_eq!(indices(&mut parity), [4, 5]);
    }

    #[test]
    fn what_is_on_its_way_is_not_promised_again_and_more_is_fresh() {
        let (mut parity, now) = (Parity::default(), Timestamp::from_secs(1));
        ask(&mut parity, 1, &[4], now);
        ask(&mut parity, 1, &[5], now);
        parity.answer(&window(), 4, HOLD, now);
        indices(&mut parity);
        let soon = now.after(HOLD / 2);
        assert_eq!(ask(&mut parity, 1, &[6], soon), None);
        assert_eq!(ask(&mut parity, 3, &[4, 5, 6], soon), Some(2), "two more than the one");
        assert_eq!(parity.answer(&window(), 4, HOLD, soon), Some(Answer::Parity));
        assert_eq!(indices(&mut parity), [5, 6]);
    }

    #[test]
    fn what_is_asked_of_a_block_that_is_being_sent_waits_for_its_end() {
        let (mut parity, now) = (Parity::default(), Timestamp::from_secs(1));
        let mut window = in_the_middle_of_a_block(now);
        let need = Need { block: Seq(8), count: 1 };
        parity.on_need(need, [Seq(8)].into_iter(), (now, false), now);
        assert_eq!(parity.answer(&window, 4, HOLD, now), None);
        let later = now.after(PUT_OFF);
        assert_eq!(parity.due(), Some(later));
        (0..3).for_each(|_| window.on_sent(later));
        assert_eq!(parity.answer(&window, 4, HOLD, later), Some(Answer::Parity));
    }

    #[test]
    fn a_block_that_takes_long_to_be_sent_is_answered_by_name() {
        let (mut parity, now) = (Parity::default(), Timestamp::from_secs(1));
        let window = in_the_middle_of_a_block(now);
        let need = Need { block: Seq(8), count: 1 };
        parity.on_need(need, [Seq(8)].into_iter(), (now, false), now);
        let later = now.after(LONGEST_PUT_OFF);
        let named = Some(Answer::Named(vec![Seq(8)]));
        assert_eq!(parity.answer(&window, 4, HOLD, later), named);
    }

    #[test]
    fn the_last_symbol_of_a_block_is_made_like_any_other() {
        let (mut parity, window) = (Parity::default(), window());
        for index in 4..255 {
            parity.make_ahead(Seq(4), 1, &window);
            assert_eq!(indices(&mut parity), [index]);
        }
        parity.make_ahead(Seq(4), 1, &window);
        assert_eq!(indices(&mut parity), [4]);
    }

    #[test]
    fn no_symbol_is_sent_twice_before_all_were() {
        let (mut parity, window) = (Parity::default(), window());
        let mut seen = BTreeSet::new();
        for _ in 0..125 {
            parity.make_ahead(Seq(4), 2, &window);
            assert!(indices(&mut parity).into_iter().all(|index| seen.insert(index)));
        }
        parity.make_ahead(Seq(4), 2, &window);
        assert_eq!(indices(&mut parity), [4, 5]);
    }
}
