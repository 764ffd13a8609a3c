//! Signed streams: what is sent is hashed as it leaves, and the hashes follow, signed
//! (docs/PROTOCOL.md §4.19).
//!
//! Manifests ride at the end of bursts. Each is kept as long as a packet of its own is, and given again
//! to who asks for it: to one alone by unicast, to the group where several ask.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::burst::prefix_of;
use super::{Destination, Sender};
use crate::sign::{self, Hashed, SigningKey, is_statement};
use crate::wire::{Body, HEADER_LEN, Kind, MANIFEST_HASH_LEN, MANIFEST_LEN, Manifest, PacketHash};
use crate::{Delivery, SenderConfig, Seq, SeqRange, Timestamp};

/// What a sender that signs needs.
#[derive(Debug)]
pub(super) struct Signer {
    key: SigningKey,
    /// Packets of a full manifest.
    most: usize,
    /// Whether each is sent twice, because there may be somebody who cannot ask.
    is_doubled: bool,
    run: Run,
    /// When the last manifest left.
    last: Timestamp,
    /// Those of packets in the window, in order.
    kept: VecDeque<Kept>,
    again: VecDeque<(Timestamp, Seq)>,
    asked: BTreeMap<Seq, Asked>,
    /// Memory to put together in what is hashed.
    scratch: Vec<u8>,
}

/// Packets that left and are in no manifest yet.
#[derive(Debug, Default)]
struct Run {
    first: Seq,
    hashes: Vec<PacketHash>,
    since: Timestamp,
}

#[derive(Debug)]
struct Kept {
    manifest: Manifest,
    /// Until then, whoever asks for it has not seen it yet.
    held: Timestamp,
}

/// Who asked for a manifest.
#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Timestamp,
    /// Where its address is proven, and nobody else asked.
    alone: Option<SocketAddr>,
}

impl Signer {
    /// `None` without a key to sign with.
    pub(super) fn new(config: &SenderConfig, tag_len: usize) -> Option<Self> {
        let key = config.sign.clone()?;
        let room = usize::from(config.datagram_len).saturating_sub(len_of(0) + tag_len);
        let most = (room / MANIFEST_HASH_LEN).clamp(1, MOST);
        let has_parity = matches!(config.ahead, crate::config::Ahead::Fixed(1..));
        Some(Self {
            key,
            most,
            is_doubled: has_parity || config.delivery != Delivery::Reliable,
            run: Run::default(),
            last: Timestamp::ZERO,
            kept: VecDeque::new(),
            again: VecDeque::new(),
            asked: BTreeMap::new(),
            scratch: Vec::new(),
        })
    }

    /// Packets from `first` on leave for the first time.
    fn add(&mut self, first: Seq, packets: &[Hashed<'_>], now: Timestamp) {
        if self.run.hashes.is_empty() {
            (self.run.first, self.run.since) = (first, now);
        }
        self.run.hashes.extend(sign::hash_all(packets, &mut self.scratch));
    }

    /// When what left is to be signed; `has_more`: something else is about to leave.
    fn due(&self, has_more: bool) -> Option<Timestamp> {
        if self.run.hashes.is_empty() {
            return None;
        }
        Some(if self.run.hashes.len() >= self.most {
            Timestamp::ZERO
        } else if has_more {
            self.run.since.after(LONGEST_WAIT)
        } else {
            self.last.after(SPACING)
        })
    }

    /// Signs what left since the last manifest.
    fn close(&mut self, config: &SenderConfig, now: Timestamp) -> Manifest {
        let of = (config.stream, config.session, config.started_us);
        let manifest = Manifest::sign(&self.key, of, self.run.first, self.run.hashes.drain(..));
        self.last = now;
        if self.is_doubled {
            self.again.push_back((now.after(DOUBLED_AFTER), manifest.first));
        }
        self.kept.push_back(Kept { manifest: manifest.clone(), held: now });
        manifest
    }

    /// The place of the first manifest that ends after `seq`.
    fn place(&self, seq: Seq) -> usize {
        self.kept.partition_point(|kept| kept.manifest.range().end <= seq)
    }

    fn get_mut(&mut self, first: Seq) -> Option<&mut Kept> {
        let place = self.place(first);
        self.kept.get_mut(place).filter(|kept| kept.manifest.first == first)
    }

    /// Somebody lacks what tells of `range`; takes no more than `most`. Says how many are asked for.
    fn ask(
        &mut self,
        range: SeqRange,
        most: u64,
        (by, due): (Option<SocketAddr>, Timestamp),
        now: Timestamp,
    ) -> u64 {
        let mut count = 0;
        for kept in self.kept.range(self.place(range.first).min(self.kept.len())..) {
            if kept.manifest.first >= range.end || count >= most {
                break;
            }
            if kept.held > now {
                continue;
            }
            count += 1;
            let new = Asked { due, alone: by };
            let asked = self.asked.entry(kept.manifest.first).or_insert(new);
            asked.alone = asked.alone.filter(|alone| Some(*alone) == by);
        }
        count
    }

    fn asked_due(&self) -> Option<Timestamp> {
        self.asked.values().map(|asked| asked.due).min()
    }

    /// What is to be given again now, and to whom.
    fn next_asked(
        &mut self,
        hold_down: Duration,
        now: Timestamp,
    ) -> Option<(Destination, Manifest)> {
        while let Some((&first, _)) = self.asked.iter().find(|(_, asked)| asked.due <= now) {
            let asked = self.asked.remove(&first)?;
            let to = asked.alone.map_or(Destination::Group, Destination::Unicast);
            if let Some(kept) = self.get_mut(first) {
                kept.held = now.after(hold_down);
                return Some((to, kept.manifest.clone()));
            }
        }
        None
    }

    /// What is due to be sent a second time.
    fn next_doubled(&mut self, now: Timestamp) -> Option<Manifest> {
        while let Some(&(_, first)) = self.again.front().filter(|(due, _)| *due <= now) {
            self.again.pop_front();
            if let Some(kept) = self.get_mut(first) {
                return Some(kept.manifest.clone());
            }
        }
        None
    }

    /// Forgets what left the window.
    pub(super) fn expire(&mut self, trail: Seq) {
        while self.kept.front().is_some_and(|kept| kept.manifest.range().end <= trail) {
            self.kept.pop_front();
        }
    }
}

impl Sender {
    /// Whether what is sent is signed.
    pub(super) fn is_signed(&self) -> bool {
        self.signer.is_some()
    }

    /// The packets of a burst leave for the first time: they are hashed side by side.
    pub(super) fn hash(&mut self, burst: SeqRange, now: Timestamp) {
        let Some(signer) = self.signer.as_mut().filter(|_| !burst.is_empty()) else { return };
        let (session, window) = (self.config.session, &self.window);
        let hashed = burst.iter().filter_map(|seq| {
            let slot = window.get(seq)?;
            Some(Hashed::new(session, seq, &prefix_of(slot, now), &slot.payload))
        });
        signer.add(burst.first, &hashed.collect::<Vec<_>>(), now);
    }

    /// Packets that may leave before they are to be signed; there is always room for one.
    pub(super) fn unsigned_room(&self) -> usize {
        let Some(signer) = &self.signer else { return usize::MAX };
        signer.most.saturating_sub(signer.run.hashes.len()).max(1)
    }

    /// Signs what left, if it is time to: in a manifest that is `room` bytes long at most.
    pub(super) fn manifest_of_burst(&mut self, room: usize, now: Timestamp) -> Option<Manifest> {
        let has_more = self.window.has_unsent();
        let tag = self.tag_len();
        let signer = self.signer.as_mut()?;
        let count = signer.run.hashes.len();
        let is_due = signer.due(has_more).is_some_and(|due| due <= now);
        (is_due && len_of(count) + tag <= room).then(|| signer.close(&self.config, now))
    }

    /// Length of a manifest's datagram, in bytes.
    pub(super) fn len_of(&self, manifest: &Manifest) -> usize {
        len_of(manifest.hashes.len()) + self.tag_len()
    }

    /// Signs what was written from `start` on, if what is sent is signed and this has no signature of
    /// its own. Who answers a challenge of somebody else's has lost nothing.
    pub(super) fn sign(&self, kind: Kind, start: usize, buf: &mut Vec<u8>) {
        if let Some(signer) = self.signer.as_ref().filter(|_| is_statement(kind)) {
            sign::sign_statement(&signer.key, start, buf);
        }
    }

    /// What is to be said of packets that left.
    pub(super) fn next_manifest(&mut self, now: Timestamp) -> Option<(Destination, Body)> {
        let has_more = self.window.has_unsent();
        let hold_down = self.hold_down();
        let signer = self.signer.as_mut()?;
        let (to, manifest) = if signer.due(has_more).is_some_and(|due| due <= now) {
            (Destination::Group, signer.close(&self.config, now))
        } else if let Some(manifest) = signer.next_doubled(now) {
            (Destination::Group, manifest)
        } else {
            signer.next_asked(hold_down, now)?
        };
        Some((to, Body::Manifest(manifest)))
    }

    /// When a manifest is to be sent.
    pub(super) fn manifest_due(&self) -> Option<Timestamp> {
        let signer = self.signer.as_ref()?;
        let doubled = signer.again.front().map(|(due, _)| *due);
        let due = [signer.due(self.window.has_unsent()), doubled, signer.asked_due()];
        due.into_iter().flatten().min()
    }

    /// Somebody lacks manifests, at `by` where that is proven: at most so many are given again.
    pub(super) fn ask_for_manifests(
        &mut self,
        ranges: impl Iterator<Item = SeqRange>,
        most: u64,
        by: Option<SocketAddr>,
        now: Timestamp,
    ) {
        let due = now.after(self.merge_window());
        let Some(signer) = &mut self.signer else { return };
        let mut room = most;
        for range in ranges {
            room -= signer.ask(range, room, (by, due), now);
        }
    }

    /// The manifest whose last packet is the one before `end`: a late joiner who was given that
    /// packet is given it, too.
    pub(super) fn manifest_up_to(&self, end: Seq) -> Option<Manifest> {
        let signer = self.signer.as_ref()?;
        let place = signer.place(end).checked_sub(1)?;
        let manifest = &signer.kept.get(place)?.manifest;
        (manifest.range().end == end).then(|| manifest.clone())
    }
}

/// Length of a manifest of so many packets, in bytes; what seals it not counted.
fn len_of(hashes: usize) -> usize {
    HEADER_LEN + MANIFEST_LEN + hashes * MANIFEST_HASH_LEN
}

/// More packets than two full bursts have are not waited for.
const MOST: usize = 88;

/// While more is about to leave, what left is signed after this at the latest.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// When nothing more is about to leave, manifests are no closer than this.
const SPACING: Duration = Duration::from_millis(1);

/// A burst of loss that takes the first is over by then.
const DOUBLED_AFTER: Duration = Duration::from_millis(10);
