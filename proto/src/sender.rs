//! The publisher's half of the protocol.
//!
//! A packet's way out: [`Sender::push`] hands payload to the packetizer, the window numbers and
//! keeps it, [`Sender::poll_transmit`] says who goes next, the pacer when, and a burst is written.
//! The way back: a NAK reaches [`Sender::handle_datagram`], repair merges it with what is already
//! asked for, and the same road leads out again.
//!
//! | you look for | open |
//! |---|---|
//! | messages side by side, payload into packets | `sender/row.rs`, `sender/packetizer.rs` |
//! | what can still be repaired | `sender/window.rs` |
//! | who goes next, and how a burst is written | `sender/transmit.rs` |
//! | how fast, and for whom: pace, budget, slow ones, breaker | `sender/flow.rs`, `sender/flow/` |
//! | what subscribers say | `sender/feedback.rs` |
//! | NAKs in, repairs out | `sender/repair.rs` by name, `sender/parity.rs` by count, `sender/few.rs` by unicast |
//! | parity ahead of loss | `sender/ahead.rs` |
//! | how many blocks are interleaved | `sender/interleave.rs` |
//! | late joiners | `sender/catch_up.rs` |
//! | who listens, and how they fare | `sender/audience.rs` |
//! | how many they are, and who of them speaks | `sender/census.rs` |
//! | who is sent by unicast what goes to the group | `sender/members.rs` |
//! | what is said of the session, and when | `sender/statement.rs`, `sender/heartbeat.rs` |
//! | waiting for the first subscriber, End, finish | `sender/phase.rs` |
//! | with a key: sealing, opening, replays | `sender/guard.rs` |
//! | counters, events | `sender/stats.rs`, `sender/event.rs` |

mod ahead;
mod audience;
mod catch_up;
mod census;
mod event;
mod feedback;
mod few;
mod flow;
mod guard;
mod heartbeat;
mod interleave;
mod members;
mod packetizer;
mod parity;
mod phase;
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

use bytes::Bytes;

pub use audience::{Audience, Subscriber};
pub use event::{Event, Outcome, Unfinished};
pub use flow::{BreakerState, Lateness};
pub use members::Members;
pub use row::{MessageTooLong, Row};
pub use stats::SenderStats;
pub use transmit::{Destination, Transmit};

use crate::config::Tuning;
use crate::cookie::CookieJar;
use crate::grtt::{GroupSize, Grtt};
use crate::seal::{Causes, TAG_LEN};
use crate::wire::{
    self, Body, CODED_HEADER_LEN, CODED_PREFIX_LEN, MAX_DATAGRAM_LEN, MAX_MESSAGE_LEN, StreamMode,
};
use crate::{Bitrate, Delivery, SenderConfig, Seq, SessionId, StreamId, SubscriberId, Timestamp};
use catch_up::CatchUp;
use census::Census;
use few::Few;
use flow::{Breaker, Budget, Cap, Pacer, Progress, Surge};
use guard::Guard;
use heartbeat::Heartbeat;
use interleave::Interleaving;
use packetizer::Packetizer;
use parity::Parity;
use phase::Phase;
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

/// Why payload was not taken; it comes back untouched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Too much waits to be sent already, or the stream was closed: later there may be room.
    #[error("the transmit window is full")]
    WindowFull(Bytes),
    /// No subscriber would put it together.
    #[error("a message of {} bytes: the longest that subscribers take has {MAX_MESSAGE_LEN}", .0.len())]
    TooLong(Bytes),
}

/// Why a sender cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The datagram has no room for headers and a useful payload, or is longer than the protocol
    /// allows.
    #[error("a datagram of {0} bytes: it must have 128 to {MAX_DATAGRAM_LEN}")]
    DatagramLen(u16),
    /// A block is 1 to 128 packets.
    #[error("a block of {0} packets: it must have 1 to 128")]
    BlockLen(u8),
    /// A rate of nothing sends nothing.
    #[error("a rate of 0 bit/s sends nothing")]
    Rate,
}

/// One stream in one session.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    coded_len: u16,
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
    pub fn new(config: SenderConfig, now: Timestamp) -> Result<Self, ConfigError> {
        let len = usize::from(config.datagram_len);
        if !(128..=MAX_DATAGRAM_LEN).contains(&len) {
            return Err(ConfigError::DatagramLen(config.datagram_len));
        }
        if !(1..=128).contains(&config.k) {
            return Err(ConfigError::BlockLen(config.k));
        }
        if config.rate.is_some_and(|rate| rate.0 == 0) {
            return Err(ConfigError::Rate);
        }
        let guard = Guard::new(&config);
        let tag_len = if guard.is_some() { TAG_LEN } else { 0 };
        let coded_len = len - CODED_HEADER_LEN - tag_len;
        let [first, second] = halves(config.seed);
        let phase = Phase::waiting(&config, now);
        Ok(Self {
            coded_len: u16::try_from(coded_len).unwrap_or(u16::MAX),
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

    /// Takes all of `payload` or nothing: a piece of the stream of bytes, or one message.
    ///
    /// # Errors
    /// [`PushError::WindowFull`] with the payload if too much waits to be sent already, or the
    /// stream was closed; [`PushError::TooLong`] with a message of more than [`MAX_MESSAGE_LEN`].
    pub fn push(&mut self, payload: Bytes, now: Timestamp) -> Result<(), PushError> {
        if self.config.mode == StreamMode::Messages {
            return match Row::of(&payload) {
                Err(MessageTooLong(_)) => Err(PushError::TooLong(payload)),
                Ok(row) => self.push_row(row, now).map_err(|_| PushError::WindowFull(payload)),
            };
        }
        if self.drops_payload(payload.len() as u64) {
            return Ok(());
        }
        if !self.has_room() {
            return Err(PushError::WindowFull(payload));
        }
        self.stats.payload_bytes += payload.len() as u64;
        let window = &mut self.window;
        self.packetizer.push_bytes(payload, now, |cut| window.add(cut, now));
        Ok(())
    }

    /// Takes all messages of `row` or none, in a stream of messages: those that fit share packets.
    /// What does not fill one leaves when it has waited for company for as long as
    /// [`SenderConfig::linger`], or later if the pacer or the audience holds the stream back; by
    /// then more may share it.
    ///
    /// # Errors
    /// The row comes back if too much waits to be sent already, or the stream was closed.
    pub fn push_row(&mut self, row: Row, now: Timestamp) -> Result<(), Row> {
        if self.drops_payload(row.payload_bytes()) {
            return Ok(());
        }
        if !self.has_room() {
            return Err(row);
        }
        self.stats.payload_bytes += row.payload_bytes();
        let window = &mut self.window;
        self.packetizer.push_row(row.into_records(), now, |cut| window.add(cut, now));
        Ok(())
    }

    /// Whether payload is not wanted: by the time that a stopped stream is tried again, nobody
    /// wants it any more.
    fn drops_payload(&mut self, bytes: u64) -> bool {
        let drops = self.breaker.is_stopped() && self.config.delivery != Delivery::Reliable;
        if drops {
            self.stats.payload_dropped += bytes;
        }
        drops
    }

    /// Whether a push would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ahead = self.window.unsent_bytes() + self.packetizer.pending_len() as u64;
        ahead < MAX_UNSENT && self.phase.takes_payload()
    }

    /// The input has paused: of a stream of bytes a packet goes that is not full. Messages have
    /// their linger.
    pub fn pause(&mut self, now: Timestamp) {
        if self.config.mode == StreamMode::Bytes {
            self.flush(now);
        }
    }

    /// Lets a packet go that is not full.
    pub fn flush(&mut self, now: Timestamp) {
        if let Some(cut) = self.packetizer.flush() {
            self.window.add(cut, now);
        }
    }

    /// When messages that wait for company are to go without; `None` while others go before them.
    fn linger_due(&self) -> Option<Timestamp> {
        let since = self.packetizer.waits_since().filter(|_| !self.window.has_unsent());
        since.map(|since| since.after(self.config.linger))
    }

    /// Lets messages go that have waited for company long enough, if they are the next to go.
    fn end_linger(&mut self, now: Timestamp) {
        if self.linger_due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
    }

    /// No more payload will come: what there is is sent, then End.
    ///
    /// `sha256` is that of all payload; `aborted` says that the input had more.
    pub fn close(&mut self, sha256: Option<[u8; 32]>, aborted: bool, now: Timestamp) {
        if aborted {
            // What was pushed and not sent is not waited for: whoever stops a stream wants it to
            // end.
            let dropped = self.window.drop_unsent() + self.packetizer.clear();
            self.stats.payload_bytes -= dropped.min(self.stats.payload_bytes);
        }
        self.flush(now);
        self.window.close_block();
        let is_whole = self.stats.payload_dropped == 0;
        self.phase.close(sha256.filter(|_| is_whole), aborted);
        self.advance_phase(now);
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
        let control = (!self.control.is_empty()).then_some((Timestamp::ZERO, Timer::Control));
        let others = [
            Some((self.announce_due, Timer::Announce)),
            self.heartbeat_due().map(|due| (due, Timer::Heartbeat)),
            self.linger_due().map(|due| (due, Timer::Linger)),
            self.block_due().map(|due| (due, Timer::Block)),
            self.look_due().map(|due| (due, Timer::Slow)),
            self.breaker.due().map(|due| (due.max(self.next_look()), Timer::Breaker)),
            self.phase.due(),
        ];
        others.into_iter().chain([control, self.burst_due()]).flatten().min()
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

/// Payload that may wait to be sent: enough for 10 ms at 3 Gbit/s, and little memory.
const MAX_UNSENT: u64 = 4 << 20;

/// NORM starts with 0.25 s for the Internet; a segment is a hundred times nearer, and the first
/// report corrects it.
const INITIAL_GRTT: Duration = Duration::from_millis(10);

/// What is sent while nobody has said what it can take.
const UNHEARD_RATE: Bitrate = Bitrate(100_000_000);
