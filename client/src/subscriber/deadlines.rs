//! Which subscription is due when.

use std::collections::{BTreeMap, BTreeSet};

use proto::Timestamp;

/// One deadline for each subscription: setting one again moves it.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    in_order: BTreeSet<(Timestamp, u32)>,
    of: BTreeMap<u32, Timestamp>,
}

impl Deadlines {
    /// Moves the deadline of `id`.
    pub(super) fn set(&mut self, id: u32, at: Timestamp) {
        let before = self.of.insert(id, at);
        if before == Some(at) && self.in_order.contains(&(at, id)) {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&(before, id));
        }
        self.in_order.insert((at, id));
    }

    /// Forgets `id`.
    pub(super) fn remove(&mut self, id: u32) {
        if let Some(at) = self.of.remove(&id) {
            self.in_order.remove(&(at, id));
        }
    }

    /// The first one.
    pub(super) fn next(&self) -> Timestamp {
        self.in_order.first().map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    /// Appends those that are due to `due`; each has no deadline until one is set again.
    pub(super) fn take_due(&mut self, now: Timestamp, due: &mut Vec<u32>) {
        while let Some(&(at, id)) = self.in_order.first()
            && at <= now
        {
            self.in_order.pop_first();
            self.of.remove(&id);
            due.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at(deadlines: &mut Deadlines, now: Timestamp) -> Vec<u32> {
        let mut due = Vec::new();
        deadlines.take_due(now, &mut due);
        due
    }

    #[test]
    fn each_is_due_once_at_its_last_deadline() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, Timestamp(10));
        deadlines.set(2, Timestamp(20));
        deadlines.set(1, Timestamp(30));
        deadlines.set(3, Timestamp(20));
        assert_eq!(deadlines.next(), Timestamp(20));
        assert_eq!(due_at(&mut deadlines, Timestamp(20)), [2, 3]);
        assert_eq!(deadlines.next(), Timestamp(30));
        deadlines.remove(1);
        assert_eq!(deadlines.next(), Timestamp::NEVER);
        assert!(due_at(&mut deadlines, Timestamp::NEVER).is_empty());
    }
}
