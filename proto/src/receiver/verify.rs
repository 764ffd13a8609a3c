//! Signed streams: nothing is handed out that the publisher did not sign (docs/PROTOCOL.md §4.19).
//!
//! Packets wait in the window until a manifest has their hashes. One that fails is as if it had never
//! come: it is missing, and asked for by name. So is a manifest, when packets have waited for it. Only
//! what is signed says how far the stream has come: whoever could seal a packet could else have the
//! publisher asked for what was never sent.

use std::net::SocketAddr;
use std::time::Duration;

use super::Receiver;
use super::arrival::Arrived;
use super::event::GapCause;
use super::proofs::Proofs;
use super::window::Check;
use crate::seal::Cause;
use crate::sign::{self, Hashed, Verifying};
use crate::wire::{
    self, Body, CODED_PREFIX_LEN, CodedPrefix, Discard, Header, Kind, List, Manifest, Nak, Range,
};
use crate::{Delivery, ReceiverConfig, Seq, SeqRange, SessionId, Timestamp, WireTime};

/// What a receiver that verifies needs, over all sessions.
#[derive(Debug)]
pub(super) struct Verifier {
    key: Verifying,
    /// Of the session that is followed.
    proofs: Proofs,
    scratch: Vec<u8>,
}

impl Verifier {
    /// `None` if whatever is sealed is believed.
    pub(super) fn new(config: &ReceiverConfig) -> Option<Self> {
        let key = Verifying::new(config.verify?);
        Some(Self { key, proofs: Proofs::default(), scratch: Vec::new() })
    }

    /// Another session is followed.
    fn begin(&mut self) {
        self.proofs = Proofs::default();
    }

    /// Whether a packet is what the publisher sent; `None` while its hash is not known.
    fn check(
        &mut self,
        session: SessionId,
        seq: Seq,
        prefix: &CodedPrefix,
        payload: &[u8],
    ) -> Option<bool> {
        let wanted = self.proofs.hash_of(seq)?;
        let hashed = Hashed::new(session, seq, prefix, payload);
        Some(hashed.hash(&mut self.scratch) == wanted)
    }
}

impl Receiver {
    /// Whether only what is signed is believed.
    pub(super) fn is_verified(&self) -> bool {
        self.verifier.is_some()
    }

    /// Another session is followed, which `header` brought.
    pub(super) fn verifier_follows(&mut self, header: &Header) {
        if let Some(verifier) = &mut self.verifier {
            verifier.begin();
            verifier.proofs.take(header);
        }
    }

    /// Whether what a publisher says is signed; `datagram` is as it was before it was sealed.
    ///
    /// # Errors
    /// Why it is to be discarded.
    pub(super) fn check_signed(
        &mut self,
        kind: Option<Kind>,
        datagram: &[u8],
        from: SocketAddr,
    ) -> Result<(), Discard> {
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        if !kind.is_some_and(sign::is_statement) {
            return Ok(());
        }
        match sign::is_signed(&verifier.key, datagram) {
            None => return Err(self.disbelieve(Cause::Unsigned, from)),
            Some(false) => return Err(self.disbelieve(Cause::WrongSignature, from)),
            Some(true) => {}
        }
        let (header, _) = wire::decode_header(datagram)?;
        let is_ours = self.session.as_ref().is_some_and(|session| session.id == header.session);
        if is_ours && !verifier.proofs.take(&header) {
            return Err(self.disbelieve(Cause::Replayed, from));
        }
        Ok(())
    }

    /// What can be said of a packet before it has a place.
    ///
    /// # Errors
    /// That it is not what the publisher sent, or so far ahead that nobody need believe it.
    pub(super) fn check_coded(
        &mut self,
        seq: Seq,
        prefix: CodedPrefix,
        body: Arrived<'_>,
    ) -> Result<Check, Discard> {
        if seq >= self.believable() {
            return Err(Discard::OutOfWindow);
        }
        let (Some(verifier), Some(session)) = (&mut self.verifier, &self.session) else {
            return Ok(Check::Passed);
        };
        let len = (CODED_PREFIX_LEN + usize::from(prefix.len)).min(body.len());
        let payload = body.get(CODED_PREFIX_LEN..len).unwrap_or_default();
        match verifier.check(session.id, seq, &prefix, payload) {
            Some(true) => Ok(Check::Passed),
            Some(false) => {
                self.poison(seq);
                Err(Discard::Forged)
            }
            None => Ok(Check::Waits),
        }
    }

    /// A packet has a place.
    pub(super) fn wait_for_hash(&mut self, check: Check, seq: Seq, now: Timestamp) {
        if check == Check::Passed {
            return;
        }
        let ask_after = self.ask_after();
        if let Some(verifier) = &mut self.verifier {
            verifier.proofs.wait_for(seq, ask_after, now);
        }
    }

    /// Beyond this nothing is believed to have been sent that is not signed.
    pub(super) fn believable(&self) -> Seq {
        let lead = self.session.as_ref().filter(|_| self.is_verified()).map(|session| session.lead);
        lead.map_or(Seq(u64::MAX), |lead| lead.plus(AHEAD))
    }

    /// The stream ends before `end`: what waits for its hash beyond was never sent.
    pub(super) fn forget_beyond(&mut self, end: Seq) {
        let (Some(verifier), Some(session)) = (&mut self.verifier, &mut self.session) else {
            return;
        };
        let beyond = SeqRange::new(end, session.window.end().max(end));
        for seq in session.window.unproved_in(beyond).iter().flat_map(SeqRange::iter) {
            session.window.reject(seq);
            self.stats.packets_forged += 1;
        }
        verifier.proofs.forget_beyond(beyond);
    }

    /// What is not signed tells that packets up to `lead` were sent.
    pub(super) fn on_unsigned_lead(
        &mut self,
        lead: Seq,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) {
        if self.is_verified() {
            return;
        }
        if let Some(session) = &mut self.session {
            session.lead = session.lead.max(lead);
        }
        self.look_ahead(deadline, now);
    }

    pub(super) fn on_manifest(
        &mut self,
        manifest: &Manifest,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let range = manifest.range();
        let (Some(verifier), Some(session)) = (&mut self.verifier, &mut self.session) else {
            return Ok(());
        };
        if manifest.started_us != session.started_us || range.end > session.last() {
            return Err(Discard::Malformed);
        }
        let is_covered = range.clamp_to(verifier.proofs.covered) == range;
        if range.end <= session.window.next() || is_covered {
            return Ok(());
        }
        if !manifest.is_of(&verifier.key, session.stream, session.id) {
            return Err(self.disbelieve(Cause::WrongSignature, from));
        }
        session.lead = session.lead.max(range.end);
        if range.first >= session.window.limit() {
            // Once there is room for the packets it is asked for.
            return Err(Discard::OutOfWindow);
        }
        verifier.proofs.cover(range, now.after(super::nak::REORDER_ALLOWANCE));
        let due = self.prove(manifest, now);
        self.look_ahead(due.or(self.due_from(now)), now);
        self.forget_proofs();
        Ok(())
    }

    /// Looks at what is here of a manifest's packets, and keeps it if some have yet to come. On a timely
    /// stream gives when the newest of those that are genuine is no longer wanted.
    fn prove(&mut self, manifest: &Manifest, now: Timestamp) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        let mut is_whole = session.window.missing(manifest.range()).is_empty();
        let mut newest = None;
        for (seq, first_sent, is_genuine) in self.compare(manifest) {
            if !is_genuine {
                self.disprove(seq, now);
                is_whole = false;
            } else if let Some(session) = &mut self.session {
                session.window.prove(seq);
                newest = Some((seq, first_sent));
            }
        }
        if let Some(verifier) = self.verifier.as_mut().filter(|_| !is_whole) {
            verifier.proofs.keep(manifest);
        }
        let (seq, first_sent) = newest?;
        let due = self.due_at(first_sent)?;
        if let Some(session) = &mut self.session {
            session.gaps.hurry(seq, due);
        }
        Some(due)
    }

    /// Of the packets that wait for a manifest: when each was first sent, and whether it is genuine.
    fn compare(&mut self, manifest: &Manifest) -> Vec<(Seq, WireTime, bool)> {
        let (Some(verifier), Some(session)) = (&mut self.verifier, &self.session) else {
            return Vec::new();
        };
        let unproved = |seq| Some((seq, session.window.unproved(seq)?));
        let here: Vec<_> = manifest.range().iter().filter_map(unproved).collect();
        let hashed = here
            .iter()
            .map(|(seq, (prefix, payload))| Hashed::new(session.id, *seq, prefix, payload));
        let hashes = sign::hash_all(&hashed.collect::<Vec<_>>(), &mut verifier.scratch);
        let compared = here.into_iter().zip(hashes).map(|((seq, (prefix, _)), hash)| {
            (seq, prefix.first_sent, manifest.hash_of(seq) == Some(hash))
        });
        compared.collect()
    }

    /// A packet that has a place is not what the publisher sent: it is missing.
    fn disprove(&mut self, seq: Seq, now: Timestamp) {
        self.poison(seq);
        let deadline = self.due_from(now);
        let Some(session) = &mut self.session else { return };
        session.window.reject(seq);
        self.stats.packets_forged += 1;
        if seq < session.frontier {
            let range = SeqRange::new(seq, seq.next());
            session.gaps.open(range, now, Duration::ZERO, deadline);
            self.stats.packets_missed = self.stats.packets_missed.saturating_add(1);
        }
    }

    /// Somebody sends what the publisher did not: the block of `seq` is mended by name alone.
    pub(super) fn poison(&mut self, seq: Seq) {
        if let Some(session) = &mut self.session {
            session.blocks.poison_around(seq);
        }
    }

    /// Asks for what has been waited for long enough, and passes on after the longest wait.
    pub(super) fn ask_for_proofs(&mut self, now: Timestamp) {
        let longest = self.longest_wait();
        let answer = now.after(self.answer_time());
        let Some(verifier) = &mut self.verifier else { return };
        while let Some(place) = verifier
            .proofs
            .waiting
            .iter()
            .position(|waiting| waiting.ask_at.min(waiting.since.after(longest)) <= now)
        {
            let Some(waiting) = verifier.proofs.waiting.remove(place) else { break };
            let deadline = waiting.since.after(longest);
            let unproved = self
                .session
                .as_ref()
                .map_or(Vec::new(), |session| session.window.unproved_in(waiting.range));
            for range in unproved {
                verifier.proofs.wanted.open(range, now, Duration::ZERO, Some(deadline));
            }
        }
        let mut late = Vec::new();
        while let Some(range) = verifier.proofs.wanted.take_late(now) {
            late.push(range);
        }
        let due = verifier.proofs.wanted.take_due(now, RANGES);
        let mut ranges = Vec::with_capacity(due.len());
        for (range, missing) in due {
            let wait = self.session.as_ref().map_or(Duration::ZERO, |session| session.grtt);
            let again = answer.after(wait.saturating_mul(missing.tries).min(LONGEST_RETRY));
            verifier.proofs.wanted.asked(range, missing, again);
            ranges.push(Range::from_seqs(range));
        }
        late.into_iter().for_each(|range| self.pass(range));
        if !ranges.is_empty() {
            self.stats.naks_sent += 1;
            self.say(Body::Nak(Nak {
                subscriber: self.config.subscriber,
                ranges: List::new(),
                needs: List::new(),
                manifests: List::truncated(ranges),
            }));
        }
    }

    /// What of `range` waits for its hash is given up. What nobody signed to have been sent makes room
    /// for what may come.
    fn pass(&mut self, range: SeqRange) {
        let Some(session) = &mut self.session else { return };
        let unproved = session.window.unproved_in(range);
        for seq in unproved.iter().flat_map(SeqRange::iter) {
            session.window.reject(seq);
            self.stats.packets_unverified += 1;
        }
        let sent = SeqRange::new(Seq::ZERO, session.frontier.min(session.lead));
        for range in unproved {
            self.give_up(range.clamp_to(sent), GapCause::Unverified);
        }
    }

    /// When [`Receiver::ask_for_proofs`] has something to do.
    pub(super) fn proofs_due(&self) -> Option<Timestamp> {
        self.verifier.as_ref()?.proofs.due(self.longest_wait())
    }

    /// Forgets hashes of what was handed out.
    pub(super) fn forget_proofs(&mut self) {
        let (Some(verifier), Some(session)) = (&mut self.verifier, &self.session) else { return };
        verifier.proofs.forget_before(session.window.next());
    }

    /// How long a packet waits for its hash.
    fn longest_wait(&self) -> Duration {
        let delivery = self.session.as_ref().map(|session| session.delivery);
        match delivery {
            Some(Delivery::Timely(deadline)) => self.config.max_auth_delay.min(deadline),
            _ => self.config.max_auth_delay,
        }
    }

    /// How long a manifest may take that was not lost.
    fn ask_after(&self) -> Duration {
        let grtt = self.session.as_ref().map_or(Duration::ZERO, |session| session.grtt);
        (MANIFEST_WAIT + grtt).min(self.longest_wait() / 4)
    }

    /// When what is missing now is no longer wanted, if nothing tells when it was sent.
    fn due_from(&self, now: Timestamp) -> Option<Timestamp> {
        let Delivery::Timely(deadline) = self.session.as_ref()?.delivery else { return None };
        Some(now.after(deadline))
    }
}

/// Packets by which what is not signed may be ahead of what is: several manifests, and fewer than make a
/// late joiner.
const AHEAD: u64 = 1_000;

/// A publisher signs what it sent within 20 ms.
const MANIFEST_WAIT: Duration = Duration::from_millis(30);

/// Who asks in vain asks rarely.
const LONGEST_RETRY: Duration = Duration::from_millis(500);

/// Ranges that one NAK holds.
const RANGES: usize = 32;
