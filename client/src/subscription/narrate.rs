//! What happened to the session, for people and machines.

use host::clock::Clock;
use proto::Timestamp;
use proto::receiver::{Event, SessionInfo};
use proto::seal::Cause;

use super::{NOTICE_INTERVAL, Subscription};
use crate::record::{Record, Records};

impl Subscription {
    /// Tells what the receiver saw.
    pub(super) fn narrate(&mut self, now: Timestamp, records: &Records) {
        while let Some(event) = self.receiver.poll_event() {
            self.tell(&event, now, records);
        }
    }

    fn tell(&mut self, event: &Event, now: Timestamp, records: &Records) {
        let group = &self.group;
        match event {
            Event::Adopted(session) => self.on_adopted(session, records),
            Event::Silent { session, after } => {
                tracing::warn!(group, %session, after = ?after, "the publisher is silent");
                self.silent_since = Some(now.before(*after));
                records.write(&Record::Silent { group, session: session.to_string() });
            }
            Event::HeardAgain { session } => {
                tracing::info!(group, %session, "the publisher is heard again");
                self.silent_since = None;
            }
            Event::CatchUp { range } => {
                tracing::info!(group, packets = %range, "catching up on what was sent before");
            }
            Event::CaughtUp => tracing::info!(group, "caught up"),
            // The output is told in order, and so is the log.
            Event::GaveUp(gap) => tracing::debug!(group, packets = %gap.range, "given up"),
            Event::Evicted { reason } if reason.may_return() => tracing::warn!(
                group,
                reason = reason.name(),
                "the publisher let this subscriber go: it comes back as a late joiner"
            ),
            Event::Evicted { reason } => tracing::warn!(
                group,
                reason = reason.name(),
                "the publisher let this subscriber go, and does not want it back"
            ),
            // Who was admitted asks for the key.
            Event::NotBelieved { cause: Cause::Epoch, .. } if self.config.admitted().is_some() => {}
            Event::NotBelieved { cause, from } => {
                self.on_not_believed(*cause, *from, now, records);
            }
            Event::MtuSuspected { datagram_len } => tracing::warn!(
                group,
                datagram_len,
                "heartbeats are heard and data is not: a link on the way may carry no packets of \
                 this size; start the publisher with a smaller --mtu"
            ),
            Event::KeyWanted { epoch, .. } => {
                tracing::debug!(group, epoch, "a key is missing");
                self.wants_key = true;
            }
            other => tracing::debug!(group, event = ?other, "event"),
        }
    }

    fn on_adopted(&mut self, session: &SessionInfo, records: &Records) {
        self.silent_since = None;
        let age_ms = Clock::unix_us().saturating_sub(session.started_us) / 1_000;
        let kind = if session.restart { "the publisher restarted" } else { "a session begins" };
        tracing::info!(
            group = self.group,
            stream = session.name.as_str(),
            session = %session.session,
            age_ms,
            first = session.first.0,
            "{kind}"
        );
        records.write(&Record::Session {
            group: &self.group,
            stream: session.name.as_str(),
            session: session.session.to_string(),
            restart: session.restart,
            first: session.first.0,
        });
        // The output hears of it in order; what feedback is for, this says at once.
        self.session = Some(session.clone());
    }

    /// Says now and then that nothing was heard at all.
    pub(super) fn notice_silence(&mut self, now: Timestamp) {
        if self.session.is_some() || now < self.notice_at {
            return;
        }
        self.notice_at = now.after(NOTICE_INTERVAL);
        let waited = now.since(self.joined_at).as_secs();
        let (group, interface) = (&self.group, &self.interface);
        if self.doubt.is_some() {
            tracing::warn!(group, waited_s = waited, "nothing is heard that can be believed");
        } else if self.tally.join_to_first.is_some() {
            tracing::warn!(
                group,
                waited_s = waited,
                "datagrams come, but no session is announced: another program may use this \
                 group, or --stream names another stream"
            );
        } else {
            tracing::warn!(
                group,
                %interface,
                waited_s = waited,
                "nothing is heard: is the publisher running, on this network, with a --ttl that \
                 reaches here?"
            );
        }
    }
}
