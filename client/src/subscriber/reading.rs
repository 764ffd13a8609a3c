//! From the sockets to the receivers.

use std::io;

use host::poller::Token;
use proto::SessionId;
use proto::wire::decode_header;

use super::ReceiveThread;
use super::links::LINKS;

/// How the socket of a group is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Others were ready, too.
    OneOfSeveral,
    /// It is the only one.
    Only,
    /// It is the only one, and what comes to it is waited for.
    Waiting,
}

impl ReceiveThread {
    /// Reads what became ready.
    pub(super) fn read_ready(&mut self) {
        if self.events.woken() {
            // An output made room, ended or failed: it does not say which.
            self.touched.extend(self.subscriptions.keys());
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.extend(self.events.iter().map(|event| event.token));
        let is_only = ready.len() == 1 && !self.events.woken();
        let reading = if is_only { Reading::Only } else { Reading::OneOfSeveral };
        for token in ready.drain(..) {
            match token {
                LINKS => self.links.on_change(),
                Token(number) if number % 2 == 0 => {
                    self.read_group(number / 2, reading);
                }
                token => self.read_feedback(token),
            }
        }
        self.ready = ready;
    }

    /// Reads what came to a group, and says whether anything did.
    pub(super) fn read_group(&mut self, id: u32, reading: Reading) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return false };
        let may_be_alone = reading != Reading::OneOfSeveral;
        self.batch.offer_one(may_be_alone && self.trickle.asks_for_one());
        for nth in 0..BATCHES_LIMIT {
            let Some(socket) = subscription.socket_mut() else { return nth > 0 };
            let received = if reading == Reading::Waiting && nth == 0 {
                socket.wait(&mut self.batch)
            } else {
                socket.receive(&mut self.batch)
            };
            if let Err(error) = received {
                trace_error(&error);
                return nth > 0;
            }
            let now = self.clock.now();
            let is_alone = may_be_alone && nth == 0 && self.trickle.on_read(&self.batch, now);
            if !is_alone {
                // The drops come first: what is missing in the batch may be explained by them.
                subscription.read_drops();
            }
            if nth == 0 {
                self.touched.push(id);
            }
            let room = subscription.room();
            for mut received in self.batch.buffers() {
                self.lull.on_read(&received, room);
                if subscription.is_foreign(&received)
                    || !subscription.take_heard(&mut received, now)
                {
                    continue;
                }
                if is_alone {
                    self.uncounted = Some(id);
                } else {
                    subscription.count_heard(&received, now);
                }
            }
            if is_alone || !self.batch.is_full() {
                break;
            }
        }
        true
    }

    fn read_feedback(&mut self, token: Token) {
        self.batch.offer_one(false);
        for _ in 0..BATCHES_LIMIT {
            let Some(socket) = self.feedback.by_token(token) else { return };
            if let Err(error) = socket.receive(&mut self.batch) {
                trace_error(&error);
                return;
            }
            let drops = socket.kernel_drops().unwrap_or_default();
            self.hand_out(drops);
            if !self.batch.is_full() {
                return;
            }
        }
    }

    /// Gives each datagram to the subscriptions that follow its session.
    fn hand_out(&mut self, drops: u64) {
        let now = self.clock.now();
        let is_only = self.subscriptions.len() == 1;
        for mut received in self.batch.buffers() {
            let from = received.from;
            for datagram in received.datagrams() {
                let session = decode_header(datagram).map(|(header, _)| header.session).ok();
                let mut is_wanted = false;
                for (id, subscription) in &mut self.subscriptions {
                    // Where there is only one, it counts what is foreign to it.
                    let is_asked = subscription.asks_at(from);
                    if is_only || is_asked || follows(subscription.session(), session) {
                        subscription.note_direct_drops(drops);
                        // Opened in place: the next one needs it as it came.
                        let mut copy = datagram.to_vec();
                        subscription.take_direct(&mut copy, from, now);
                        self.touched.push(*id);
                        is_wanted = true;
                    }
                }
                if !is_wanted {
                    self.published.on_foreign_feedback();
                }
            }
        }
    }
}

fn follows(followed: Option<SessionId>, session: Option<SessionId>) -> bool {
    followed.is_some() && followed == session
}

fn trace_error(error: &io::Error) {
    // An interface that went says so here, and by netlink.
    if error.kind() != io::ErrorKind::WouldBlock {
        tracing::debug!(%error, "a socket could not be read");
    }
}

/// Then the other sockets have their turn.
const BATCHES_LIMIT: usize = 4;
