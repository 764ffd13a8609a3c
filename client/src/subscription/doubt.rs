//! What is heard and not believed: told once for each cause, and a reason to give up if nothing else
//! comes.

use std::net::SocketAddr;

use proto::Timestamp;
use proto::seal::Cause;

use super::Subscription;
use crate::output::Sessions;
use crate::record::{Record, Records};
use crate::summary::Ended;

/// Why no session began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    cause: Cause,
    since: Timestamp,
}

impl Subscription {
    /// Tells why something was not believed.
    pub(super) fn on_not_believed(
        &mut self,
        cause: Cause,
        from: SocketAddr,
        now: Timestamp,
        records: &Records,
    ) {
        let group = &self.group;
        tracing::warn!(group, %from, "what is heard is not believed: {}", self.remedy(cause));
        records.write(&Record::NotBelieved { group, cause: cause.to_string(), from });
        // What comes of itself, or from anybody, is the weaker reason.
        let is_weak = |doubt: Doubt| {
            matches!(doubt.cause, Cause::Unsealed | Cause::Unsigned | Cause::Replayed)
        };
        if self.session.is_none() && self.doubt.is_none_or(is_weak) {
            let since = self.doubt.map_or(now, |doubt| doubt.since);
            self.doubt = Some(Doubt { cause, since });
        }
    }

    /// When nothing is waited for any longer: what there is to hear was not to be believed.
    pub(super) fn doubt_due(&self) -> Option<Timestamp> {
        let waits = self.session.is_none() && self.config.sessions == Sessions::Once;
        let doubt = self.doubt.filter(|_| waits)?;
        let heard = self.receiver.stats().discarded.get(doubt.cause.reason());
        let is_noise = doubt.cause != Cause::Unanswered && heard < NO_NOISE;
        (!is_noise).then(|| doubt.since.after(self.config.defaults.silent_timeout))
    }

    /// Whether that time has come.
    pub(super) fn gives_up(&self, now: Timestamp) -> Option<Ended> {
        let doubt = self.doubt.filter(|_| self.doubt_due().is_some_and(|due| due <= now))?;
        Some(Ended::Failed(format!("no session was believed: {}", self.remedy(doubt.cause))))
    }

    /// What happened, and what to do.
    fn remedy(&self, cause: Cause) -> String {
        if self.config.admitted().is_some() && cause == Cause::WrongKey {
            return format!(
                "{cause}: the publisher was restarted, and its admission is asked for the new key; \
                 or somebody else sends to this group"
            );
        }
        remedy(cause)
    }
}

/// What happened, and what to do.
fn remedy(cause: Cause) -> String {
    let what = match cause {
        Cause::NoKey => "start with the publisher's key, --key FILE",
        Cause::Unsealed => {
            "the publisher has no --key, or somebody else sends to this group; leave --key out \
             only if the stream is not meant to be sealed"
        }
        Cause::WrongKey => {
            "the publisher has another key, or somebody else sends to this group; compare the \
             files that --key names"
        }
        Cause::Epoch => "the publisher has a newer key, or an older one; compare the files",
        Cause::Unsigned => {
            "the publisher does not sign, start it with --sign FILE; or somebody else speaks in its \
             name"
        }
        Cause::WrongSignature => {
            "it is signed with another key than --verify names: look which the publisher has, or \
             somebody else speaks in its name"
        }
        Cause::Replayed => "a network that doubles datagrams, or somebody who replays them",
        Cause::Old => {
            "it may be a recording, which without a way to ask only the clock can tell; set the \
             clocks, or --max-clock-skew above the age of the session"
        }
        Cause::Unanswered => {
            "it may be a recording; if it is not, what this subscriber sends does not reach the \
             publisher, or its answer is lost: look at firewalls, or use --mute"
        }
    };
    format!("{cause}: {what}")
}

/// A session is announced again and again; what came less often may be noise.
const NO_NOISE: u64 = 3;
