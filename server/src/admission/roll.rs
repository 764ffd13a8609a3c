//! Who is let in, and to which streams: what is decided when somebody says something, time passes, or
//! the operator wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::admission::{FromPublisher, Hello, KeyWanted, Refusal, Refused, Removal, Removed};
use proto::sign::PublicKey;
use proto::wire::{EvictReason, Name};
use proto::{SubscriberId, Timestamp};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::barred::{Barred, Whom};
use super::offer::Offer;
use super::policy::{Credential, Policy, Verdict};
use super::tally::{Tally, Turned};
use crate::publisher::Command;
use crate::reload::Commands;
use crate::report::{News, Who};

/// Everybody who was let in, and what there is to be let in to.
pub(super) struct Roll {
    pub(super) policy: Policy,
    pub(super) offers: BTreeMap<Name, Offer>,
    /// Streams with a key of their own, which nobody is admitted to.
    pub(super) closed: BTreeSet<Name>,
    pub(super) entries: BTreeMap<SubscriberId, Entry>,
    pub(super) barred: Barred,
    pub(super) tally: Tally,
    outlet: Outlet,
}

/// Where what was decided goes.
pub(super) struct Outlet {
    pub(super) commands: Commands,
    pub(super) news: mpsc::Sender<News>,
}

/// Somebody who was let in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) credential: Credential,
    /// What it may have; `None`: all of them.
    granted: Option<BTreeSet<Name>>,
    /// What it asked for, and did not leave.
    wanted: BTreeSet<Name>,
    /// What the operator put it into.
    placed: BTreeSet<Name>,
    /// What it has.
    pub(super) streams: BTreeSet<Name>,
    pub(super) link: Option<Link>,
    /// When it has left, if it does not come back.
    gone_at: Option<Timestamp>,
    /// When it last asked for a key.
    asked: BTreeMap<Name, Timestamp>,
}

/// A connection. When it is dropped, what is queued is written, and the connection closed.
#[derive(Debug)]
pub(super) struct Link {
    /// Which one of all.
    pub(super) number: u64,
    /// The address of this host that it reached.
    pub(super) local: IpAddr,
    pub(super) frames: mpsc::Sender<Frame>,
}

/// A frame, shared by all that it goes to.
pub(super) type Frame = Arc<Zeroizing<Vec<u8>>>;

/// Somebody who asks to be let in.
pub(super) struct Caller {
    /// The key that it proved to have.
    pub(super) key: Option<PublicKey>,
    pub(super) link: Link,
}

impl Roll {
    pub(super) fn new(policy: Policy, outlet: Outlet) -> Self {
        Self {
            policy,
            outlet,
            offers: BTreeMap::new(),
            closed: BTreeSet::new(),
            entries: BTreeMap::new(),
            barred: Barred::default(),
            tally: Tally::default(),
        }
    }

    /// Lets it in, or tells it why not.
    ///
    /// # Errors
    ///
    /// Why it was not let in.
    pub(super) fn hello(
        &mut self,
        caller: Caller,
        hello: &Hello,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Caller { key, link } = caller;
        let verdict = self.judge(key, hello).inspect_err(|reason| {
            let refused = Refused { stream: None, reason: *reason };
            tell(&link, &frame(&FromPublisher::Refused(refused)));
        })?;
        self.let_in(verdict, link, hello, now);
        Ok(())
    }

    fn judge(&self, key: Option<PublicKey>, hello: &Hello) -> Result<Verdict, Refusal> {
        let verdict = self.policy.judge(key, hello.token.as_ref());
        let verdict = verdict.ok_or(Refusal::NotAuthorized)?;
        let name = verdict.name.as_ref().unwrap_or(&hello.name);
        if self.barred.is_out(&whom(hello.subscriber, name, verdict.credential), None) {
            return Err(Refusal::Removed);
        }
        match self.entries.get(&hello.subscriber) {
            // An id is no secret: nobody takes the place of another by saying it.
            Some(entry) if entry.credential != verdict.credential => Err(Refusal::NotAuthorized),
            None if self.entries.len() >= MOST => Err(Refusal::Full),
            _ => Ok(verdict),
        }
    }

    /// A connection that it has already is closed: this one is newer.
    fn let_in(&mut self, verdict: Verdict, link: Link, hello: &Hello, now: Timestamp) {
        let id = hello.subscriber;
        let before = self.entries.remove(&id);
        let (had, placed) = before.map(|it| (it.streams, it.placed)).unwrap_or_default();
        self.entries.insert(
            id,
            Entry {
                name: verdict.name.unwrap_or_else(|| hello.name.clone()),
                credential: verdict.credential,
                granted: verdict.streams,
                wanted: hello.streams.iter().cloned().collect(),
                placed: placed.clone(),
                streams: BTreeSet::new(),
                link: Some(link),
                gone_at: None,
                asked: BTreeMap::new(),
            },
        );
        let kept = had.intersection(&placed);
        let wanted: BTreeSet<Name> = hello.streams.iter().chain(kept).cloned().collect();
        for stream in &wanted {
            if let Err(reason) = self.admit_to(id, stream, had.contains(stream)) {
                let why = Turned::Refused(reason);
                self.tally.turn_away(why);
                if self.tally.is_news(why, now) {
                    let (reason, stream) = (reason.name(), stream.as_str());
                    tracing::warn!(subscriber = %id, stream, reason, "a stream was refused");
                }
                let stream = Some(stream.clone());
                self.tell(id, &FromPublisher::Refused(Refused { stream, reason }), now);
            }
        }
        for stream in &had {
            if self.has(id, stream) {
                continue;
            }
            want_rotation(&mut self.offers, stream, now.after(GATHER));
        }
        self.expect_back(now);
    }

    fn has(&self, id: SubscriberId, stream: &Name) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.streams.contains(stream))
    }

    /// Admits one that was let in to a stream, if it may have it.
    fn admit_to(&mut self, id: SubscriberId, stream: &Name, again: bool) -> Result<(), Refusal> {
        let offer = self.offers.get(stream).ok_or(Refusal::UnknownStream)?;
        let entry = self.entries.get_mut(&id).ok_or(Refusal::NotAuthorized)?;
        if self.barred.is_out(&entry.whom(id), Some(stream)) {
            return Err(Refusal::Removed);
        }
        let is_granted = entry.granted.as_ref().is_none_or(|granted| granted.contains(stream));
        if !is_granted && !entry.placed.contains(stream) {
            return Err(Refusal::NotAuthorized);
        }
        entry.streams.insert(stream.clone());
        if let Some(link) = &entry.link {
            tell(link, &frame(&offer.admitted(link.local)));
            if let Some(next) = offer.rekey_ahead() {
                tell(link, &frame(&next));
            }
        }
        if !again {
            self.outlet.tell(News::SubscriberAdmitted(entry.who(id, stream)));
        }
        Ok(())
    }

    /// Offers one more stream; those who have asked for it, and are still there, are admitted to it.
    pub(super) fn offer(&mut self, name: &Name, offer: Offer) {
        self.offers.insert(name.clone(), offer);
        let wants = self.entries.iter().filter(|(_, entry)| entry.wanted.contains(name));
        for id in wants.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Err(reason) = self.admit_to(id, name, false) {
                self.tally.turn_away(Turned::Refused(reason));
            }
        }
    }

    /// Puts one that was let in into a stream, whatever it may have by itself.
    pub(super) fn place(&mut self, id: SubscriberId, stream: &Name) -> Result<(), Refusal> {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.placed.insert(stream.clone());
        }
        self.readmit(id, stream);
        let again = self.has(id, stream);
        self.admit_to(id, stream, again)
    }

    /// What it says is heard again.
    pub(super) fn readmit(&self, id: SubscriberId, stream: &Name) {
        self.outlet.commands.send(Command::Readmit(stream.clone(), id));
    }

    /// It missed a rotation.
    pub(super) fn key_wanted(&mut self, id: SubscriberId, wanted: &KeyWanted, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let stream = &wanted.stream;
        let (true, Some(offer)) = (entry.streams.contains(stream), self.offers.get(stream)) else {
            return;
        };
        if entry.asked.get(stream).is_some_and(|before| now.since(*before) < ANSWER_EVERY) {
            return;
        }
        entry.asked.insert(stream.clone(), now);
        let now_under = (wanted.have_epoch != offer.epoch()).then(|| offer.rekey_now());
        let Some(link) = &entry.link else { return };
        for told in now_under.into_iter().chain(offer.rekey_ahead()) {
            tell(link, &frame(&told));
        }
    }

    /// It wants no more of a stream.
    pub(super) fn leave(&mut self, id: SubscriberId, stream: &Name, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.wanted.remove(stream);
        if entry.streams.remove(stream) {
            entry.placed.remove(stream);
            want_rotation(&mut self.offers, stream, now.after(GATHER));
        }
    }

    /// A connection has ended. Whoever was there has some time to come back.
    pub(super) fn closed(&mut self, id: SubscriberId, number: u64, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.link.as_ref().is_some_and(|link| link.number == number)
        {
            entry.link = None;
            entry.gone_at = Some(now.after(COME_BACK));
        }
    }

    /// Takes a stream from somebody, and has the key changed.
    pub(super) fn remove(
        &mut self,
        id: SubscriberId,
        stream: &Name,
        reason: Removal,
        now: Timestamp,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.streams.remove(stream);
        entry.placed.remove(stream);
        let who = entry.who(id, stream);
        self.tell(id, &FromPublisher::Removed(Removed { stream: stream.clone(), reason }), now);
        let evict = match reason {
            Removal::Kicked => EvictReason::Kicked,
            Removal::NotAuthorized => EvictReason::Refused,
        };
        self.outlet.commands.send(Command::Evict(stream.clone(), id, evict));
        self.outlet.tell(News::SubscriberRemoved { who, reason: reason.name() });
        want_rotation(&mut self.offers, stream, now);
        self.expect_back(now);
    }

    /// From now on this is who may: whoever may no longer is removed.
    pub(super) fn follow(&mut self, policy: Policy, now: Timestamp) {
        self.policy = policy;
        let mut taken = Vec::new();
        for (id, entry) in &mut self.entries {
            let Credential::Key(key) = entry.credential else { continue };
            let verdict = self.policy.by_key(Some(key));
            entry.granted = match verdict {
                Some(verdict) => verdict.streams,
                None => {
                    entry.placed.clear();
                    Some(BTreeSet::new())
                }
            };
            let may = |stream: &Name| {
                let is_granted = entry.granted.as_ref().is_none_or(|them| them.contains(stream));
                is_granted || entry.placed.contains(stream)
            };
            let gone = entry.streams.iter().filter(|stream| !may(stream));
            taken.extend(gone.map(|stream| (*id, stream.clone())));
        }
        for (id, stream) in taken {
            self.remove(id, &stream, Removal::NotAuthorized, now);
        }
        // Nobody stays connected whose key lets it in no longer.
        let policy = &self.policy;
        self.entries.retain(|_, entry| match entry.credential {
            Credential::Key(key) => policy.by_key(Some(key)).is_some(),
            Credential::Token => true,
        });
        self.rotate(now);
    }

    /// When time has something to do.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let offers = self.offers.values().filter_map(Offer::deadline);
        offers.chain(self.entries.values().filter_map(|entry| entry.gone_at)).min()
    }

    /// Does what time has come for.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        let is_gone = |entry: &Entry| entry.gone_at.is_some_and(|at| at <= now);
        for (_, entry) in self.entries.extract_if(.., |_, entry| is_gone(entry)) {
            for stream in &entry.streams {
                want_rotation(&mut self.offers, stream, now.after(GATHER));
            }
        }
        self.rotate(now);
    }

    /// Has the next key used, or hands it out.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        for (name, offer) in &mut self.offers {
            if let Some(epoch) = offer.turn(now) {
                let command = Command::Rekey(name.clone(), epoch.number, epoch.key);
                self.outlet.commands.send(command);
            }
            match offer.begin_rotation(now) {
                Ok(true) => {
                    let Some(next) = offer.rekey_ahead().map(|next| frame(&next)) else { continue };
                    let told = self.entries.values_mut().filter(|it| it.streams.contains(name));
                    let told = told.map(|entry| u64::from(entry.is_told(&next))).sum();
                    self.outlet
                        .tell(News::KeyChanged { stream: name.to_string(), subscribers: told });
                }
                Ok(false) => {}
                Err(error) => tracing::error!(%error, stream = %name, "the key was not changed"),
            }
        }
        self.expect_back(now);
    }

    fn tell(&mut self, id: SubscriberId, message: &FromPublisher, now: Timestamp) {
        let message = frame(message);
        if let Some(entry) = self.entries.get_mut(&id)
            && !entry.is_told(&message)
        {
            self.expect_back(now);
        }
    }

    /// Gives those whose connection was closed here the time to come back that others have.
    fn expect_back(&mut self, now: Timestamp) {
        let lost = self.entries.values_mut().filter(|entry| entry.link.is_none());
        lost.for_each(|entry| {
            entry.gone_at.get_or_insert(now.after(COME_BACK));
        });
    }
}

impl Entry {
    pub(super) fn whom(&self, id: SubscriberId) -> Whom {
        whom(id, &self.name, self.credential)
    }

    fn who(&self, id: SubscriberId, stream: &Name) -> Who {
        Who { stream: stream.to_string(), subscriber: self.name.to_string(), id: id.to_string() }
    }

    /// Tells it; one that does not take what it is told has to connect again.
    fn is_told(&mut self, message: &Frame) -> bool {
        let is_told = self.link.as_ref().is_some_and(|link| tell(link, message));
        if !is_told {
            self.link = None;
        }
        is_told
    }
}

impl Outlet {
    /// News are for people: when nobody keeps up with them, some are left out.
    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::debug!("too much happens at once: an event was left out");
        }
    }
}

fn whom(id: SubscriberId, name: &Name, credential: Credential) -> Whom {
    Whom { id, name: name.clone(), credential }
}

fn frame(message: &FromPublisher) -> Frame {
    Arc::new(message.to_frame())
}

fn tell(link: &Link, message: &Frame) -> bool {
    link.frames.try_send(Arc::clone(message)).is_ok()
}

fn want_rotation(offers: &mut BTreeMap<Name, Offer>, stream: &Name, at: Timestamp) {
    if let Some(offer) = offers.get_mut(stream) {
        offer.want_rotation(at);
    }
}

/// Subscribers that are let in at a time.
pub(super) const MOST: usize = 4_096;

/// Those who leave within this share one rotation.
const GATHER: Duration = Duration::from_millis(500);

/// Who was cut off, and does not connect again within this, has left.
const COME_BACK: Duration = Duration::from_secs(10);

/// A key is told no more often than this to who asks.
const ANSWER_EVERY: Duration = Duration::from_secs(1);
