//! What the operator may do to those who were let in.

use std::collections::BTreeSet;

use proto::admission::Removal;
use proto::wire::Name;
use proto::{SubscriberId, Timestamp};

use super::barred::Whom;
use super::roll::Roll;

impl Roll {
    /// Removes those of this name or id from a stream, or from all; tells what came of it.
    ///
    /// # Errors
    ///
    /// When there is nobody of that name, or no such stream.
    pub(super) fn kick(
        &mut self,
        subscriber: &str,
        stream: Option<&Name>,
        now: Timestamp,
    ) -> Result<String, String> {
        self.check_offered(stream)?;
        let found = self.find(subscriber);
        if found.is_empty() {
            return Err(format!("nobody called {subscriber} is let in"));
        }
        let mut streams = BTreeSet::new();
        for whom in &found {
            self.barred.add(whom.clone(), stream.cloned());
            let Some(entry) = self.entries.get(&whom.id) else { continue };
            let has = entry.streams.iter().filter(|it| stream.is_none_or(|meant| meant == *it));
            for stream in has.cloned().collect::<Vec<_>>() {
                self.remove(whom.id, &stream, Removal::Kicked, now);
                streams.insert(stream);
            }
        }
        self.rotate(now);
        Ok(format!("removed {}", told(subscriber, found.len(), &streams, "from")))
    }

    /// Lets those of this name or id come back, and puts those who are connected into the stream.
    ///
    /// # Errors
    ///
    /// When there is nobody of that name, or no such stream.
    pub(super) fn admit(
        &mut self,
        subscriber: &str,
        stream: Option<&Name>,
        now: Timestamp,
    ) -> Result<String, String> {
        self.check_offered(stream)?;
        let lifted = self.barred.lift(|whom| is_called(whom, subscriber), stream);
        for whom in &lifted {
            let streams: Vec<Name> = match stream {
                Some(stream) => vec![stream.clone()],
                None => self.offers.keys().cloned().collect(),
            };
            streams.iter().for_each(|stream| self.readmit(whom.id, stream));
        }
        let found = self.find(subscriber);
        if found.is_empty() && lifted.is_empty() {
            return Err(format!("nobody called {subscriber} is let in, or was removed"));
        }
        let Some(stream) = stream else {
            return Ok(format!("{subscriber} may come back"));
        };
        for whom in &found {
            self.place(whom.id, stream).map_err(|reason| reason.name().to_owned())?;
        }
        self.rotate(now);
        if found.is_empty() {
            return Ok(format!("{subscriber} may come back to {stream}: it is not connected now"));
        }
        let streams = BTreeSet::from([stream.clone()]);
        Ok(format!("admitted {}", told(subscriber, found.len(), &streams, "to")))
    }

    fn check_offered(&self, stream: Option<&Name>) -> Result<(), String> {
        if stream.is_some_and(|stream| self.closed.contains(stream)) {
            return Err(CLOSED_GROUP.to_owned());
        }
        match stream.filter(|stream| !self.offers.contains_key(*stream)) {
            None => Ok(()),
            Some(stream) => {
                let offered: Vec<&str> = self.offers.keys().map(Name::as_str).collect();
                Err(format!("there is no stream called {stream}: {}", offered.join(", ")))
            }
        }
    }

    fn find(&self, subscriber: &str) -> Vec<Whom> {
        let all = self.entries.iter().map(|(id, entry)| entry.whom(*id));
        all.filter(|whom| is_called(whom, subscriber)).collect()
    }
}

/// By its name, or by its id as logs write it.
fn is_called(whom: &Whom, subscriber: &str) -> bool {
    whom.name.as_str() == subscriber || id_of(subscriber) == Some(whom.id)
}

fn id_of(text: &str) -> Option<SubscriberId> {
    let is_id = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_id).map(SubscriberId)
}

fn told(subscriber: &str, count: usize, streams: &BTreeSet<Name>, verb: &str) -> String {
    let streams: Vec<&str> = streams.iter().map(Name::as_str).collect();
    let who = match count {
        1 => subscriber.to_owned(),
        count => format!("{count} called {subscriber}"),
    };
    if streams.is_empty() { who } else { format!("{who} {verb} {}", streams.join(", ")) }
}

/// What is told of a stream that everybody has the same key of.
pub(crate) const CLOSED_GROUP: &str = "a closed group with one key for all (--key) cannot remove \
    anybody: give the others another key, or publish with --admission";
