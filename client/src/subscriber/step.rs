//! One step after the other: wait, read, hand out, and do what follows.
//!
//! A datagram that comes alone is handed out first, and what else follows from it is done as the next
//! step begins, so that nobody waits for that. To ask the poller takes longest of the calls that a datagram
//! needs. Who spins, or receives on the thread that waits for the messages, is at the socket where they come,
//! if there is only one, and looks at the others now and then.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context;
use host::poller::Interest;
use proto::Timestamp;
use proto::receiver::Delivered;

use super::lull::LULL;
use super::reading::Reading;
use super::{ReceiveThread, group_token};
use crate::socket::PATIENCE;
use crate::subscription::Subscription;

/// What came of looking.
enum Looked {
    /// Nothing was there, and nothing is due.
    Nothing,
    /// Something was read, or is due.
    Something,
    /// It is the poller's turn.
    Elsewhere,
}

impl ReceiveThread {
    /// Waits until something is to be done, and does it; false once nothing is left to receive.
    pub(crate) fn step(&mut self) -> anyhow::Result<bool> {
        if std::mem::take(&mut self.is_behind) {
            let has_more = self.hand_out_rest();
            let now = self.clock.now();
            // What either hands out is read before anything else is waited for.
            if self.make_up(now) {
                self.turn(now);
                return Ok(!self.is_done(now));
            }
            if has_more {
                return Ok(true);
            }
        }
        match self.look_at_socket()? {
            Looked::Nothing => return Ok(true),
            Looked::Something => {}
            Looked::Elsewhere => self.wait()?,
        }
        self.is_behind = self.hand_out_alone();
        if self.is_behind {
            return Ok(true);
        }
        let now = self.clock.now();
        self.turn(now);
        Ok(!self.is_done(now))
    }

    /// Waits until something is ready or due, and reads what came.
    fn wait(&mut self) -> anyhow::Result<()> {
        self.leave_socket();
        self.let_more_come();
        let deadline = if self.spins { Timestamp::ZERO } else { self.deadline() };
        let waited = self.poller.wait(&mut self.events, &self.clock, Some(deadline));
        waited.context("the sockets cannot be waited for")?;
        self.read_ready();
        Ok(())
    }

    /// Sleeps while what comes fast is on its way, if it is all the same to everybody.
    fn let_more_come(&mut self) {
        let is_wanted = self.lull.take(self.clock.now()) && !self.spins;
        if is_wanted && self.subscriptions.values().all(Subscription::is_patient) {
            std::thread::sleep(LULL);
        }
    }

    /// Looks whether something comes to the only group, if this thread is at its socket.
    fn look_at_socket(&mut self) -> anyhow::Result<Looked> {
        if !self.spins && !self.trickle.is_steady() {
            return Ok(Looked::Elsewhere);
        }
        let mut ids = self.subscriptions.keys();
        let (Some(&id), None) = (ids.next(), ids.next()) else { return Ok(Looked::Elsewhere) };
        if self.spins {
            self.stay_at_socket(id);
            if self.read_group(id, Reading::Only) {
                return Ok(Looked::Something);
            }
        }
        let (now, due) = (self.clock.now(), self.deadline());
        if self.looks_elsewhere_at <= now {
            self.looks_elsewhere_at = now.after(ELSEWHERE);
            if self.look_elsewhere()? {
                return Ok(Looked::Something);
            }
        }
        if due <= now {
            return Ok(Looked::Something);
        }
        if self.spins {
            return Ok(Looked::Nothing);
        }
        if !self.is_direct || due <= now.after(PATIENCE) {
            return Ok(Looked::Elsewhere);
        }
        self.stay_at_socket(id);
        if self.read_group(id, Reading::Waiting) {
            return Ok(Looked::Something);
        }
        self.trickle.on_silence();
        Ok(Looked::Nothing)
    }

    /// From now on the poller is not told of what comes to a group: that takes the sender's time on the
    /// same machine, and nobody asks it.
    fn stay_at_socket(&mut self, id: u32) {
        if self.at_socket.is_some() {
            return;
        }
        self.at_socket = Some(id);
        let socket = self.subscriptions.get(&id).and_then(Subscription::socket);
        if let Some(Err(error)) = socket.map(|socket| self.poller.remove(socket)) {
            tracing::debug!(%error, "the poller does not know the socket");
        }
    }

    /// The poller tells of it again.
    fn leave_socket(&mut self) {
        let Some(id) = self.at_socket.take() else { return };
        let socket = self.subscriptions.get(&id).and_then(Subscription::socket);
        let added = socket.map(|socket| self.poller.add(socket, group_token(id), Interest::Read));
        // One that was opened meanwhile is known to it.
        if let Some(Err(error)) = added
            && error.kind() != ErrorKind::AlreadyExists
        {
            tracing::warn!(%error, "the group's socket cannot be waited for");
        }
    }

    /// Reads what is ready, and says whether anything is.
    fn look_elsewhere(&mut self) -> anyhow::Result<bool> {
        let waited = self.poller.wait(&mut self.events, &self.clock, Some(Timestamp::ZERO));
        waited.context("the sockets cannot be waited for")?;
        self.read_ready();
        Ok(self.events.woken() || self.events.iter().next().is_some())
    }

    /// Hands out what was read alone, if it was.
    fn hand_out_alone(&mut self) -> bool {
        if !self.trickle.take_alone() {
            return false;
        }
        let came = self.trickle.last();
        let is_only = self.touched.len() == 1;
        for id in &self.touched {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            if self.is_direct && is_only && subscription.is_read_by_program() {
                let next = subscription.hand_over(came, &self.records);
                self.handed_over = next.map(|next| (*id, next));
            }
            if self.handed_over.is_none() {
                subscription.hand_out(came, &self.records);
            }
        }
        true
    }

    /// What the program is to have before all that it can read.
    pub(crate) fn take_handed_over(&mut self) -> Option<Delivered> {
        self.handed_over.take().map(|(_, next)| next)
    }

    /// Counts what was read alone, and hands out what else is in order; says whether something was.
    fn hand_out_rest(&mut self) -> bool {
        let came = self.trickle.last();
        if let Some(subscription) =
            self.uncounted.take().and_then(|id| self.subscriptions.get_mut(&id))
        {
            // It still lies where it was read.
            self.batch.buffers().for_each(|received| subscription.count_heard(&received, came));
        }
        let mut has_more = false;
        if let Some((id, untaken)) = self.handed_over.take()
            && let Some(subscription) = self.subscriptions.get_mut(&id)
        {
            subscription.take_back(untaken, &self.records);
            has_more = true;
        }
        for id in &self.touched {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            has_more |= subscription.hand_out(came, &self.records);
        }
        has_more
    }

    /// Does what was left when something was handed out alone, which mostly is nothing but to know when
    /// something is due; says whether something is now.
    fn make_up(&mut self, now: Timestamp) -> bool {
        let reads_drops = self.drops_at <= now;
        let mut is_due = false;
        for id in &self.touched {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            if reads_drops {
                subscription.read_drops();
            }
            let due = subscription.deadline();
            is_due |= due <= now || !subscription.is_at_rest();
            self.deadlines.set(*id, due);
        }
        if reads_drops {
            self.drops_at = now.after(ELSEWHERE);
        }
        if !is_due {
            self.touched.clear();
            self.is_news = true;
        }
        is_due
    }
}

/// How often who is at a socket looks at the others, and the drops of one whose datagrams come alone are read.
const ELSEWHERE: Duration = Duration::from_millis(1);
