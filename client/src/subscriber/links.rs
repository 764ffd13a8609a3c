//! Interfaces that go and come back while something is joined on them.

use std::io;
use std::time::Duration;

use host::interface::Interface;
use host::link_watch::LinkWatch;
use host::poller::{Interest, Poller, Token};
use proto::Timestamp;

use super::{ReceiveThread, group_token};

/// When to look at the interfaces again.
#[derive(Debug)]
pub(super) struct Links {
    watch: LinkWatch,
    has_news: bool,
    look_at: Option<Timestamp>,
}

/// The token of the link watch.
pub(super) const LINKS: Token = Token(u32::MAX);

impl Links {
    pub(super) fn watch(poller: &Poller) -> io::Result<Self> {
        let watch = LinkWatch::new()?;
        poller.add(&watch, LINKS, Interest::Read)?;
        Ok(Self { watch, has_news: false, look_at: None })
    }

    pub(super) fn on_change(&mut self) {
        match self.watch.drain() {
            Ok(changed) => self.has_news |= changed,
            Err(error) => tracing::warn!(%error, "interfaces cannot be watched"),
        }
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.look_at.unwrap_or(Timestamp::NEVER)
    }

    /// Whether to look now, and whether all is settled.
    ///
    /// Each change is looked at when it comes, so that an outage is not missed because it was
    /// short; what came back is joined when nothing has changed for a moment.
    fn due(&mut self, now: Timestamp) -> Option<Settled> {
        if std::mem::take(&mut self.has_news) {
            self.look_at = Some(now.after(SETTLE_TIME));
            return Some(Settled(false));
        }
        self.look_at.take_if(|at| *at <= now).map(|_| Settled(true))
    }
}

struct Settled(bool);

impl ReceiveThread {
    pub(super) fn look_at_links(&mut self, now: Timestamp) {
        let Some(Settled(is_settled)) = self.links.due(now) else { return };
        let interfaces = match Interface::all() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "interfaces cannot be listed");
                return;
            }
        };
        let mut is_retried = false;
        let ids: Vec<u32> = self.subscriptions.keys().copied().collect();
        for id in ids {
            is_retried |= !self.look(id, &interfaces, is_settled);
        }
        if is_retried {
            self.links.look_at = Some(now.after(RETRY_INTERVAL));
        }
    }

    /// Looks at the link of one subscription; false if it is to be tried again.
    fn look(&mut self, id: u32, interfaces: &[Interface], is_settled: bool) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return true };
        if !subscription.look_at_link(interfaces) || !is_settled {
            return true;
        }
        self.touched.push(id);
        if let Err(error) = subscription.rejoin(interfaces, &self.records) {
            tracing::warn!(%error, "not joined again yet");
            return false;
        }
        let token = group_token(id);
        let waited_for = subscription
            .socket()
            .map_or(Ok(()), |socket| self.poller.add(socket, token, Interest::Read));
        if let Err(error) = waited_for.and_then(|()| self.feedback.add(subscription, &self.poller))
        {
            tracing::warn!(%error, "no socket after joining again");
        }
        true
    }
}

/// One change of a link makes several messages.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// An interface may be up before it takes a join.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
