//! Streams that a publisher admits this subscriber to.

use std::collections::BTreeSet;

use proto::Timestamp;
use proto::seal::Key;
use proto::wire::Name;
use tokio::sync::mpsc::UnboundedSender;

use super::ReceiveThread;
use crate::admission::Notice;
use crate::record::Record;
use crate::subscription::Prepared;
use crate::summary::{Ended, StreamSummary};

/// What is to come by admission.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// Streams that were asked for, and neither given nor refused yet.
    pub(crate) streams: BTreeSet<Name>,
    /// Whether the publisher may choose others at any time.
    pub(crate) is_open: bool,
    /// Who asks it is told what happens here.
    pub(crate) notices: Option<UnboundedSender<Notice>>,
}

impl Awaited {
    /// Whether there is something to wait for.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_open || !self.streams.is_empty()
    }

    pub(super) fn tell(&self, notice: Notice) {
        if let Some(notices) = &self.notices {
            // Who asks has ended: so does all else.
            drop(notices.send(notice));
        }
    }
}

impl ReceiveThread {
    /// The publisher gives a stream.
    pub(super) fn on_admitted(&mut self, stream: &Name, prepared: Prepared, now: Timestamp) {
        match self.join(prepared, now) {
            Ok(()) => {
                self.awaited.streams.remove(stream);
            }
            Err(error) => {
                self.on_shut(Some(stream), &error.to_string(), now);
                self.awaited.tell(Notice::Left(stream.clone()));
            }
        }
    }

    /// A key came, for one stream or for all that have a key file.
    pub(super) fn on_key(&mut self, stream: Option<&Name>, epoch: u8, key: &Key) {
        for subscription in self.subscriptions.values_mut() {
            if subscription.config().admitted() == stream {
                subscription.add_key(epoch, key.clone());
            }
        }
    }

    /// A stream is refused or taken away, or all are.
    pub(super) fn on_shut(&mut self, stream: Option<&Name>, why: &str, now: Timestamp) {
        tracing::error!(stream = stream.map(Name::as_str), "{why}");
        self.records.write(&Record::NotAdmitted { stream: stream.map(Name::as_str), reason: why });
        let is_meant = |of: &Name| stream.is_none_or(|stream| stream == of);
        let open = self
            .subscriptions
            .iter()
            .filter(|(_, it)| it.config().admitted().is_some_and(is_meant));
        let open: Vec<u32> = open.map(|(id, _)| *id).collect();
        let refused = self.awaited.streams.extract_if(.., |of| is_meant(of)).collect::<Vec<_>>();
        let is_any = !open.is_empty();
        let is_nothing = open.is_empty() && refused.is_empty() && self.streams.is_empty();
        for id in open {
            self.leave(id, Ended::Failed(why.to_owned()), now);
        }
        self.streams.extend(refused.iter().map(|stream| StreamSummary::refused(stream, why)));
        if is_nothing && stream.is_none() {
            self.streams.push(StreamSummary::refused(&Name::default(), why));
        }
        let has_any = self.subscriptions.values().any(|it| it.config().admitted().is_some());
        if stream.is_none() || is_any && !has_any {
            // Nothing is left that could be waited for.
            self.awaited.is_open = false;
        }
        self.is_news = true;
    }

    /// A subscription that ended is none of the publisher's any more.
    pub(super) fn tell_left(&self, stream: Option<&Name>) {
        if let Some(stream) = stream {
            self.awaited.tell(Notice::Left(stream.clone()));
        }
    }
}
