//! The publisher's half of the protocol.
//!
//! A packet's way out: [`Sender::push`] hands payload to the packetizer, the window numbers and
//! keeps it, [`Sender::poll_transmit`] says who goes next, the pacer when, and a burst is written.
//! The way back: a NAK reaches [`Sender::handle_datagram`], repair merges it with what is already
//! asked for, and the same road leads out again.
//!
//! | you look for | open |
//! |---|---|
//! | payload in: what is taken, and when it goes | `sender/intake.rs` |
//! | messages side by side, payload into packets | `sender/row.rs`, `sender/packetizer.rs` |
//! | what can still be repaired | `sender/window.rs` |
//! | who goes next | `sender/transmit.rs` |
//! | how a burst is written | `sender/burst.rs` |
//! | a message that nothing goes before | `sender/alone.rs` |
//! | how fast, and for whom: pace, budget, slow ones, breaker | `sender/flow.rs`, `sender/flow/` |
//! | what subscribers say | `sender/feedback.rs` |
//! | NAKs in | `sender/nak.rs` |
//! | repairs out | `sender/repair.rs` by name, `sender/parity.rs` by count, `sender/few.rs` by unicast |
//! | parity ahead of loss | `sender/ahead.rs` |
//! | how many blocks are interleaved | `sender/interleave.rs` |
//! | late joiners | `sender/catch_up.rs` |
//! | who listens, and how they fare | `sender/audience.rs` |
//! | how many they are, and who of them speaks | `sender/census.rs` |
//! | who is sent by unicast what goes to the group | `sender/members.rs` |
//! | what is said of the session, and when | `sender/statement.rs`, `sender/heartbeat.rs` |
//! | waiting for the first subscriber, End, finish | `sender/phase.rs` |
//! | signing what is sent | `sender/manifest.rs` |
//! | with a key: sealing, opening, replays | `sender/guard.rs` |
//! | the next key, and who is not to have it | `sender/rekey.rs` |
//! | what cannot be sent at all | `sender/check.rs` |
//! | counters, events | `sender/stats.rs`, `sender/event.rs` |

mod ahead;
mod alone;
mod audience;
mod burst;
mod catch_up;
mod census;
mod check;
mod event;
mod feedback;
mod few;
mod flow;
mod guard;
mod heartbeat;
mod intake;
mod interleave;
mod manifest;
mod members;
mod nak;
mod packetizer;
mod parity;
mod phase;
mod rekey;
mod repair;
mod row;
mod statement;
mod stats;
#[cfg(test)]
mod tests;
mod transmit;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

pub use alone::Alone;
pub use audience::{Audience, Subscriber};
pub use burst::{Destination, Transmit};
pub use check::ConfigError;
pub use event::{Event, Outcome, Unfinished};
pub use flow::{BreakerState, Lateness};
pub use intake::PushError;
pub use members::Members;
pub use row::{MessageTooLong, Row};
pub use stats::SenderStats;

use crate::config::Tuning;
use crate::cookie::CookieJar;
use crate::grtt::{GroupSize, Grtt};
use crate::seal::{Causes, TAG_LEN};
use crate::wire::{self, Body, CODED_HEADER_LEN, CODED_PREFIX_LEN};
use crate::{Bitrate, SenderConfig, Seq, SessionId, StreamId, SubscriberId, Timestamp};
use catch_up::CatchUp;
use census::Census;
use check::check;
use few::Few;
use flow::{Breaker, Budget, Cap, Pacer, Progress, Surge};
use guard::Guard;
use heartbeat::Heartbeat;
use interleave::Interleaving;
use manifest::Signer;
use packetizer::Packetizer;
use parity::Parity;
use phase::Phase;
use rekey::Removed;
use repair::Repair;
use window::Window;

/// What a sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Something is to be sent at once.
    Control,
    /// The pacer lets the next burst go.
    Pacer,
    /// A message has waited for company long enough.
    Linger,
    /// NAKs for the same packet were waited for long enough.
    Repair,
    /// A late joiner's next burst is due.
    CatchUp,
    /// The session is to be announced again.
    Announce,
    /// Silence is to be explained.
    Heartbeat,
    /// What left is to be signed, or somebody asked for that.
    Manifest,
    /// A short block is to be closed.
    Block,
    /// The first byte has waited for subscribers long enough.
    WaitFor,
    /// End is to be said again, or the wait for the last subscriber is over.
    End,
    /// Somebody is waited for: it is watched.
    Slow,
    /// A stream that the circuit breaker stopped is tried again.
    Breaker,
}

/// One stream in one session.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    coded_len: u16,
    /// Where a message that comes alone is made a row of.
    row: Row,
    packetizer: Packetizer,
    window: Window,
    pacer: Pacer,
    cap: Cap,
    breaker: Breaker,
    budget: Budget,
    surge: Surge,
    /// When the audience was last looked at.
    looked: Timestamp,
    progress: Progress,
    heartbeat: Heartbeat,
    announce_due: Timestamp,
    repair: Repair,
    few: Few,
    parity: Parity,
    /// The first packet whose block was given no parity ahead yet.
    ahead_from: Seq,
    /// The loss that parity ahead is meant for, and when it was looked up.
    ahead_loss: (Timestamp, f64),
    interleaving: Interleaving,
    audience: Audience,
    census: Census,
    /// When a NAK was last taken.
    asked_at: Timestamp,
    members: Members,
    grtt: Grtt,
    cookies: CookieJar,
    guard: Option<Guard>,
    removed: Removed,
    signer: Option<Signer>,
    causes_told: Causes,
    /// What goes out ahead of the pacer.
    control: VecDeque<(Destination, Body)>,
    /// Datagrams numbered for the group, and for single subscribers.
    numbers: (u64, u64),
    /// Whether the last burst was for a late joiner: live and late take turns.
    caught_up_last: bool,
    /// The late joiner that was given something last: they take turns.
    late_last: Option<SubscriberId>,
    /// Late joiners are given nothing before this.
    late_at: Timestamp,
    phase: Phase,
    events: VecDeque<Event>,
    stats: SenderStats,
}

impl Sender {
    /// A sender that will announce itself at once.
    ///
    /// # Errors
    /// If the configuration cannot be sent: see [`ConfigError`].
    pub fn new(mut config: SenderConfig, now: Timestamp) -> Result<Self, ConfigError> {
        let len = check(&config)?;
        let is_sealed = config.keys.is_some();
        let guard = Guard::new(&mut config, now);
        if is_sealed && guard.is_none() {
            return Err(ConfigError::Keys);
        }
        let tag_len = if guard.is_some() { TAG_LEN } else { 0 };
        let coded_len = len - CODED_HEADER_LEN - tag_len;
        let [first, second] = halves(config.seed);
        let phase = Phase::waiting(&config, now);
        Ok(Self {
            coded_len: u16::try_from(coded_len).unwrap_or(u16::MAX),
            row: Row::default(),
            packetizer: Packetizer::new(coded_len - CODED_PREFIX_LEN, config.mode, config.delivery),
            window: Window::new(config.k, config.interleave.at_first()),
            pacer: Pacer::new(config.rate, config.burst),
            cap: Cap::new(now),
            breaker: Breaker::new(&config.flow, config.delivery, now),
            budget: Budget::new(
                config.flow.repair_budget,
                config.rate.unwrap_or(UNHEARD_RATE),
                u64::from(config.datagram_len) + u64::from(config.overhead_len),
            ),
            surge: Surge::default(),
            looked: now,
            progress: Progress::default(),
            heartbeat: Heartbeat::new(config.heartbeat, now),
            announce_due: now,
            repair: Repair::default(),
            few: Few::default(),
            parity: Parity::default(),
            ahead_from: ahead::START,
            ahead_loss: (Timestamp::ZERO, 0.0),
            interleaving: Interleaving::new(config.interleave, now),
            audience: Audience::default(),
            census: Census::new(config.rate.map(|rate| rate.0), now),
            asked_at: now,
            members: Members::default(),
            grtt: Grtt::new(INITIAL_GRTT, now),
            cookies: CookieJar::new(xor(first, second)),
            guard,
            removed: Removed::default(),
            signer: Signer::new(&config, tag_len),
            causes_told: Causes::default(),
            control: VecDeque::new(),
            numbers: (0, wire::UNICAST_NUMBERS),
            caught_up_last: false,
            late_last: None,
            late_at: Timestamp::ZERO,
            phase,
            events: VecDeque::new(),
            stats: SenderStats::default(),
            config,
        })
    }

    /// Goes on as `tuning` says; the session stays the same, and is announced anew.
    ///
    /// # Errors
    /// [`ConfigError::Rate`] for a rate of nothing; then all stays as it was.
    pub fn retune(&mut self, tuning: Tuning, now: Timestamp) -> Result<(), ConfigError> {
        let Tuning { rate, linger, retain, retain_for, finish_timeout } = tuning;
        if rate.is_some_and(|rate| rate.0 == 0) {
            return Err(ConfigError::Rate);
        }
        let is_new_rate = rate != self.config.rate;
        self.config = SenderConfig {
            rate,
            linger,
            retain,
            retain_for,
            finish_timeout,
            ..self.config.clone()
        };
        if is_new_rate {
            self.change_rate(now);
        }
        self.announce_due = now;
        Ok(())
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.config.session
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.config.stream
    }

    /// Payload that a full packet carries, in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        usize::from(self.coded_len) - CODED_PREFIX_LEN
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.end_linger(now);
        if self.block_due().is_some_and(|due| due <= now) {
            self.window.close_block();
        }
        self.send_ahead(now);
        self.make_room(now);
        self.look_at_audience(now);
        self.advance_phase(now);
    }

    /// When to call [`Sender::handle_timeout`] and [`Sender::poll_transmit`] again, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Timestamp, Timer)> {
        if self.phase.is_finished() && self.control.is_empty() {
            return None;
        }
        let mut first = (!self.control.is_empty()).then_some((Timestamp::ZERO, Timer::Control));
        // Asked for after each burst, and no array for the reason that the receiver's is none.
        let mut sees = |due: Option<(Timestamp, Timer)>| {
            if let Some(due) = due
                && first.is_none_or(|first| due < first)
            {
                first = Some(due);
            }
        };
        let named = |due: Option<Timestamp>, timer| due.map(|due| (due, timer));
        sees(Some((self.announce_due, Timer::Announce)));
        sees(named(self.heartbeat_due(), Timer::Heartbeat));
        sees(named(self.manifest_due(), Timer::Manifest));
        sees(named(self.linger_due(), Timer::Linger));
        sees(named(self.block_due(), Timer::Block));
        sees(named(self.look_due(), Timer::Slow));
        sees(named(self.breaker.due().map(|due| due.max(self.next_look())), Timer::Breaker));
        sees(self.phase.due());
        sees(self.burst_due());
        first
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was done since the start.
    #[must_use]
    pub fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// How late bursts left that the rate held back.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        self.pacer.lateness()
    }

    /// Who listens.
    #[must_use]
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// The group round-trip time.
    #[must_use]
    pub fn grtt(&self) -> Duration {
        self.grtt.get()
    }

    /// Packets that can be repaired.
    #[must_use]
    pub fn window_len(&self) -> u64 {
        self.window.sent().len()
    }

    /// Whether the wait for the first subscriber is over.
    #[must_use]
    pub fn is_started(&self) -> bool {
        !self.phase.is_waiting()
    }

    /// Whether all payload was sent once, and End is being said.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.phase.is_ending() || self.phase.is_finished()
    }

    /// How many blocks are interleaved.
    #[must_use]
    pub fn interleave_depth(&self) -> u32 {
        self.interleaving.depth()
    }

    /// How large the audience is taken to be.
    #[must_use]
    pub fn group_size(&self) -> GroupSize {
        GroupSize::of(self.audience_size())
    }

    /// Whether everything that will be sent was sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase.is_finished() && self.control.is_empty()
    }

    /// Who has everything and who does not; final once the sender is finished.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.audience.outcome(self.audience_size())
    }

    /// Forgets what need not be kept any longer, and tells late joiners what that took away.
    fn make_room(&mut self, now: Timestamp) {
        self.window.evict(self.config.retain.0, self.config.retain_for, now);
        let trail = self.window.trail();
        self.repair.expire(trail, now);
        self.parity.expire(trail);
        if let Some(signer) = &mut self.signer {
            signer.expire(trail);
        }
        let mut taken = Vec::new();
        for row in self.audience.rows() {
            let again = self.grtt.get();
            let behind =
                |catch_up: &CatchUp| catch_up.is_behind(trail) || catch_up.is_owed_word(again, now);
            if row.catch_up.as_ref().is_some_and(behind) {
                taken.push(row.id);
            }
        }
        for id in taken {
            self.shorten_catch_up(id, now);
        }
    }

    /// Subscribers report at least as often as [`crate::receiver`] says; several missed in a row
    /// mean that nobody is there.
    fn silent_after(&self) -> Duration {
        self.config.flow.slow_after.max(self.census.report_interval() * 6)
    }
}

fn halves(seed: [u8; 32]) -> [[u8; 16]; 2] {
    let (first, second) = seed.split_at(16);
    [first, second].map(|half| half.try_into().unwrap_or_default())
}

fn xor(first: [u8; 16], second: [u8; 16]) -> [u8; 16] {
    (u128::from_be_bytes(first) ^ u128::from_be_bytes(second)).to_be_bytes()
}

/// NORM starts with 0.25 s for the Internet; a segment is a hundred times nearer, and the first
/// report corrects it.
const INITIAL_GRTT: Duration = Duration::from_millis(10);

/// What is sent while nobody has said what it can take.
const UNHEARD_RATE: Bitrate = Bitrate(100_000_000);
