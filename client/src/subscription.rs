//! One group that is subscribed to: its socket, its receiver, its output.

mod account;
mod deliver;
mod doubt;
mod invitation;
mod link;
mod narrate;
mod prepared;
mod switch;
mod ways;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use host::clock::Clock;
use host::interface::{Family, Interface};
use host::poller::Waker;
use proto::endpoint::Endpoint;
use proto::receiver::{Delivered, SessionInfo, Via};
use proto::seal::Key;
use proto::wire::ByeReason;
use proto::{ByteCount, Receiver, ReceiverConfig, SessionId, SubscriberId, Timestamp};

use crate::chance;
use crate::config::SubscriptionConfig;
use crate::endpoint::{self, Publisher};
use crate::impair::Impairment;
use crate::output::{Output, OutputSpec};
use crate::record::{Record, Records};
use crate::socket::feedback::FeedbackSocket;
use crate::socket::{GroupSocket, Received};
use crate::summary::Ended;
use crate::tally::{MissingList, Tally};
use crate::tcp::TcpLink;
use doubt::Doubt;
pub(crate) use prepared::{Prepared, SubscribeError};
pub(crate) use ways::Switches;
use ways::Ways;

/// A group that is subscribed to.
#[derive(Debug)]
pub(crate) struct Subscription {
    config: SubscriptionConfig,
    /// The endpoint, as a person writes it.
    group: String,
    interface: Interface,
    /// None while the interface is down, and where there is no group.
    socket: Option<GroupSocket>,
    ways: Ways,
    waker: Waker,
    /// Drops of sockets that are closed.
    drops_before: u64,
    /// The way changed, and nobody was told yet.
    has_switched: bool,
    /// Where the publisher wants to compare ways of sending, and the sessions that said so.
    invitation: Option<Endpoint>,
    accepted: BTreeSet<SessionId>,
    /// Drops of the socket that feedback is sent from, while a stream comes there.
    direct_drops: u64,
    receiver: Receiver,
    output: Output,
    impairment: Option<Impairment<Held>>,
    held_since: Option<Timestamp>,
    /// What goes to the output next.
    batch: Vec<Delivered>,
    /// What is said to the publisher: made once, used again.
    said: Vec<u8>,
    session: Option<SessionInfo>,
    is_timely: bool,
    /// The session's end was handed out, and no other is wanted.
    is_over: bool,
    /// Sessions whose end the output has written, as far as it was told.
    sessions_written: u64,
    flaw: Option<String>,
    missing: MissingList,
    joined_at: Timestamp,
    /// When the next notice is due that nothing is heard.
    notice_at: Timestamp,
    silent_since: Option<Timestamp>,
    doubt: Option<Doubt>,
    /// A key is missing, and nobody was told yet.
    wants_key: bool,
    tally: Tally,
}

/// A datagram that impairment may hold back.
#[derive(Clone, Debug)]
struct Held {
    bytes: Vec<u8>,
    via: Via,
    from: SocketAddr,
}

impl Subscription {
    /// Joins the group, or begins to ask the publisher.
    pub(crate) fn join(
        prepared: Prepared,
        records: &Records,
        now: Timestamp,
    ) -> Result<Self, SubscribeError> {
        let Prepared { mut config, interface, publisher, output, waker } = prepared;
        let heard = endpoint::heard(&config.endpoint);
        let buffer = config.defaults.receive_buffer;
        let socket =
            heard.as_ref().map(|group| GroupSocket::open(group, &interface, buffer)).transpose()?;
        let room = room(socket.as_ref(), publisher).map_err(SubscribeError::Feedback)?;
        let ways = Ways::new(heard, publisher, config.defaults.fallback_after, now);
        let group = config.endpoint.to_string();
        tracing::info!(group, interface = %interface, output = %config.output, "joined");
        records.write(&Record::Joined {
            group: &group,
            interface: &interface.name,
            output: &config.output.to_string(),
        });
        let receiver = Receiver::new(receiver_config(&config, room), now);
        // The receiver forgets them when they are over.
        config.defaults.keys = None;
        let mut subscription = Self {
            receiver,
            impairment: config.defaults.impair.map(Impairment::new),
            group,
            interface,
            socket,
            ways,
            waker,
            drops_before: 0,
            invitation: None,
            accepted: BTreeSet::new(),
            direct_drops: 0,
            has_switched: false,
            output,
            held_since: None,
            batch: Vec::new(),
            said: Vec::new(),
            session: None,
            is_timely: false,
            is_over: false,
            sessions_written: 0,
            flaw: None,
            missing: MissingList::default(),
            joined_at: now,
            notice_at: now.after(NOTICE_INTERVAL),
            silent_since: None,
            doubt: None,
            wants_key: false,
            tally: Tally::default(),
            config,
        };
        if subscription.ways.group().is_none() {
            subscription.ask_publisher(now);
        }
        Ok(subscription)
    }

    /// The group, as a person writes it.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// What was told it.
    pub(crate) fn config(&self) -> &SubscriptionConfig {
        &self.config
    }

    /// The version of IP that feedback is sent by.
    pub(crate) fn family(&self) -> Family {
        let group = self.ways.group().map(|group| group.address);
        let source = group.or_else(|| self.ways.publisher().map(|home| home.address().ip()));
        source.map_or(Family::V4, Family::of)
    }

    /// The interface that it was joined on.
    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The socket, unless the interface is down.
    pub(crate) fn socket(&self) -> Option<&GroupSocket> {
        self.socket.as_ref()
    }

    /// The same, to receive from.
    pub(crate) fn socket_mut(&mut self) -> Option<&mut GroupSocket> {
        self.socket.as_mut()
    }

    /// Payload that the group's socket holds, in bytes.
    pub(crate) fn room(&self) -> u64 {
        self.socket.as_ref().map_or(0, |socket| socket.buffer().payload().0)
    }

    /// Whether nobody waits for what is handed out: it goes to a file, and has no deadline.
    pub(crate) fn is_patient(&self) -> bool {
        matches!(self.config.output, OutputSpec::File(_)) && !self.is_timely
    }

    /// Whether the program reads what is handed out itself.
    pub(crate) fn is_read_by_program(&self) -> bool {
        matches!(self.config.output, OutputSpec::Program(_))
    }

    /// The session that is followed.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.session)
    }

    /// What was counted, as of now.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.stats = *self.receiver.stats();
        tally.bytes_written = self.output.progress().bytes;
        tally.switches = self.ways.switches;
        if let Some(impairment) = &self.impairment {
            tally.impaired = impairment.impaired();
        }
        tally
    }

    /// Takes a datagram, whichever way it came.
    fn take(&mut self, bytes: &mut [u8], via: Via, from: SocketAddr, now: Timestamp) {
        if via == Via::Group {
            self.tally.on_group_datagram(bytes, self.joined_at, now);
        }
        let (receiver, received_bytes) = (&mut self.receiver, &mut self.tally.received_bytes);
        let Some(impairment) = &mut self.impairment else {
            *received_bytes += bytes.len() as u64;
            receiver.handle_datagram(bytes, via, from, now);
            return;
        };
        impairment.take(Held { bytes: bytes.to_vec(), via, from }, |mut held| {
            *received_bytes += held.bytes.len() as u64;
            receiver.handle_datagram(&mut held.bytes, held.via, held.from, now);
        });
        self.held_since = impairment.holds().then_some(now);
    }

    /// Whether datagrams are not of this group or interface.
    pub(crate) fn is_foreign(&mut self, received: &Received<'_>) -> bool {
        let group = self.ways.group().map(|group| group.address);
        if received.to.is_some_and(|to| group.is_some_and(|group| to != group)) {
            self.tally.foreign_group += received.count() as u64;
            return true;
        }
        if received.interface.is_some_and(|by| by != self.interface.index) {
            self.tally.foreign_interface += received.count() as u64;
            return true;
        }
        false
    }

    /// Reads the kernel's drop counter.
    pub(crate) fn read_drops(&mut self) {
        let drops = match self.socket.as_ref().map(GroupSocket::kernel_drops) {
            Some(Ok(drops)) => drops,
            Some(Err(_)) => return,
            None => 0,
        };
        let total = self.drops_before + drops + self.direct_drops;
        if total != self.tally.kernel_drops {
            self.tally.kernel_drops = total;
            self.receiver.on_kernel_drops(total);
        }
    }

    /// Takes the key of the newest epoch.
    pub(crate) fn add_key(&mut self, epoch: u8, key: Key) {
        self.receiver.add_key(epoch, key);
    }

    /// Whether a key is missing since the last call: the newest epoch whose key is here; 0: none.
    pub(crate) fn take_key_wanted(&mut self) -> Option<u8> {
        std::mem::take(&mut self.wants_key).then(|| self.receiver.key_epoch())
    }

    /// Does all that is due; gives the reason if the subscription is at its end.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp,
        feedback: &FeedbackSocket,
        records: &Records,
    ) -> Option<Ended> {
        self.read_link(now);
        self.choose_way(now, records);
        self.release_held(now);
        if self.receiver.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.receiver.handle_timeout(now);
        }
        self.hand_out(now, records);
        self.transmit(now, feedback);
        self.notice_silence(now);
        self.ended(now, records)
    }

    /// Hands out what is in order, and nothing else that a turn does; says whether there was something.
    pub(crate) fn hand_out(&mut self, now: Timestamp, records: &Records) -> bool {
        self.narrate(now, records);
        self.deliver(now, records)
    }

    /// Whether a turn would find nothing to do but what is due at some time.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.is_over && !self.wants_key && !self.has_switched && self.invitation.is_none()
    }

    /// When something is due again.
    pub(crate) fn deadline(&self) -> Timestamp {
        let timer = self.receiver.poll_timeout().map(|(due, _)| due);
        let held = self.held_since.map(|since| since.after(HOLD_LIMIT));
        let silent =
            self.silent_since.map(|since| since.after(self.config.defaults.silent_timeout));
        let notice = self.session.is_none().then_some(self.notice_at);
        let all = [timer, held, silent, notice, self.doubt_due(), self.ways.fallback_due()];
        all.into_iter().flatten().min().unwrap_or(Timestamp::NEVER)
    }

    /// Tells whoever reads the output why nothing more will come.
    pub(crate) fn tell_output(&self, ended: &Ended) {
        self.output.tell(ended);
    }

    /// Leaves the group and begins to say good-bye; what the output has yet to write, it writes.
    pub(crate) fn leave(&mut self, reason: ByeReason, now: Timestamp, feedback: &FeedbackSocket) {
        self.receiver.leave(reason, now);
        self.say_goodbye(now, feedback);
        self.read_drops();
        // The kernel leaves the group as the socket is closed.
        self.socket = None;
        self.output.close();
    }

    /// Says good-bye once more, if it is time: nobody confirms it.
    pub(crate) fn say_goodbye(&mut self, now: Timestamp, feedback: &FeedbackSocket) {
        if self.receiver.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.receiver.handle_timeout(now);
        }
        self.transmit(now, feedback);
    }

    /// Whether good-bye was said often enough, and the output has written all it was given.
    pub(crate) fn is_done(&self) -> bool {
        self.receiver.has_left() && self.output.is_finished()
    }

    fn transmit(&mut self, now: Timestamp, feedback: &FeedbackSocket) {
        while let Some(to) = self.receiver.poll_transmit(now, &mut self.said) {
            if let Some(link) = self.ways.link() {
                link.send(&self.said);
                continue;
            }
            if let Err(error) = feedback.send(&self.said, self.ways.feedback_address(to)) {
                self.tally.send_errors += 1;
                tracing::debug!(group = self.group, %error, "feedback was not sent");
            }
        }
    }

    fn release_held(&mut self, now: Timestamp) {
        let is_due = self.held_since.is_some_and(|since| since.after(HOLD_LIMIT) <= now);
        if let Some(impairment) = self.impairment.as_mut().filter(|_| is_due) {
            let (receiver, received_bytes) = (&mut self.receiver, &mut self.tally.received_bytes);
            impairment.flush(|mut held| {
                *received_bytes += held.bytes.len() as u64;
                receiver.handle_datagram(&mut held.bytes, held.via, held.from, now);
            });
            self.held_since = None;
        }
    }
}

/// Payload that may be under way without being lost in a buffer, whichever way it comes.
fn room(socket: Option<&GroupSocket>, publisher: Option<Publisher>) -> io::Result<ByteCount> {
    let direct = match publisher {
        None => ByteCount(u64::MAX),
        Some(Publisher::Udp(_)) => FeedbackSocket::room()?,
        Some(Publisher::Tcp(_)) => TCP_ROOM,
    };
    Ok(socket.map_or(direct, |socket| socket.buffer().payload().min(direct)))
}

fn receiver_config(config: &SubscriptionConfig, room: ByteCount) -> ReceiverConfig {
    let defaults = &config.defaults;
    let somebody_new = || (SubscriberId(chance::number()), 0);
    let (subscriber, first_number) = defaults.speaker.unwrap_or_else(somebody_new);
    ReceiverConfig {
        subscriber,
        first_number,
        name: defaults.name.clone(),
        stream: defaults.stream.clone(),
        start: config.start,
        delivery: defaults.delivery,
        window: defaults.window,
        socket_buffer: room,
        mute: defaults.mute,
        max_tries: MAX_TRIES,
        silent_after: SILENT_AFTER.min(defaults.silent_timeout),
        keys: defaults.keys.clone(),
        verify: defaults.verify,
        max_auth_delay: defaults.max_auth_delay,
        unix_us: Clock::unix_us(),
        max_clock_skew: defaults.max_clock_skew,
        seed: chance::seed(),
    }
}

/// A gap that nobody closed after so many questions stays open.
const MAX_TRIES: u32 = 32;

/// Four times the longest time between two heartbeats, less than a person's patience.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// Less than what a publisher queues for a connection before it lets it go.
const TCP_ROOM: ByteCount = ByteCount(2 << 20);

/// Nothing is held back for longer, even if nothing follows.
const HOLD_LIMIT: Duration = Duration::from_millis(10);

/// How often it is said that nothing is heard.
const NOTICE_INTERVAL: Duration = Duration::from_secs(10);
