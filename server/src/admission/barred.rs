//! Who was removed, and is not to come back before the operator says so.

use std::collections::BTreeSet;

use proto::SubscriberId;
use proto::wire::Name;

use super::policy::Credential;

/// Whoever was removed.
#[derive(Debug, Default)]
pub(super) struct Barred(Vec<Bar>);

#[derive(Debug)]
struct Bar {
    whom: Whom,
    from: From,
}

/// Who is meant: its key if it has one of its own, for that is all that it cannot change at will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whom {
    pub(super) id: SubscriberId,
    pub(super) name: Name,
    pub(super) credential: Credential,
}

#[derive(Debug)]
enum From {
    /// Everything but these.
    All {
        but: BTreeSet<Name>,
    },
    These(BTreeSet<Name>),
}

impl Barred {
    /// Keeps it out of a stream; without one out of all.
    pub(super) fn add(&mut self, whom: Whom, stream: Option<Name>) {
        let at = self.0.iter().position(|bar| bar.is_of(&whom));
        let before = at.map(|place| self.0.swap_remove(place).from);
        let from = match (before, stream) {
            (_, None) => From::All { but: BTreeSet::new() },
            (None, Some(stream)) => From::These(BTreeSet::from([stream])),
            (Some(From::These(mut these)), Some(stream)) => {
                these.insert(stream);
                From::These(these)
            }
            (Some(From::All { mut but }), Some(stream)) => {
                but.remove(&stream);
                From::All { but }
            }
        };
        self.0.push(Bar { whom, from });
        // The operator's hand adds them: so many are a mistake of a script.
        let over = self.0.len().saturating_sub(MOST);
        self.0.drain(..over);
    }

    /// Whether it is kept out of a stream; without one, out of all there are.
    pub(super) fn is_out(&self, whom: &Whom, stream: Option<&Name>) -> bool {
        self.0.iter().filter(|bar| bar.is_of(whom)).any(|bar| match (&bar.from, stream) {
            (From::All { but }, None) => but.is_empty(),
            (From::All { but }, Some(stream)) => !but.contains(stream),
            (From::These(_), None) => false,
            (From::These(these), Some(stream)) => these.contains(stream),
        })
    }

    /// Lets those that `is_meant` come back to a stream; without one to all. Gives back whom.
    pub(super) fn lift(
        &mut self,
        is_meant: impl Fn(&Whom) -> bool,
        stream: Option<&Name>,
    ) -> Vec<Whom> {
        let mut lifted = Vec::new();
        self.0.retain_mut(|bar| {
            if !is_meant(&bar.whom) {
                return true;
            }
            lifted.push(bar.whom.clone());
            match (&mut bar.from, stream) {
                (_, None) => false,
                (From::All { but }, Some(stream)) => {
                    but.insert(stream.clone());
                    true
                }
                (From::These(these), Some(stream)) => {
                    these.remove(stream);
                    !these.is_empty()
                }
            }
        });
        lifted
    }
}

impl Bar {
    /// Who shares a token is told by its id, and by its name when it was started anew.
    fn is_of(&self, whom: &Whom) -> bool {
        match (self.whom.credential, whom.credential) {
            (Credential::Key(key), Credential::Key(other)) => key == other,
            (Credential::Token, Credential::Token) => {
                self.whom.id == whom.id || self.whom.name == whom.name
            }
            _ => false,
        }
    }
}

const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use proto::sign::PublicKey;

    use super::*;

    fn by_token(id: u128, name: &str) -> Whom {
        let (id, name) = (SubscriberId(id), name.parse().unwrap());
        Whom { id, name, credential: Credential::Token }
    }

    fn by_key(id: u128, key: u8) -> Whom {
        let credential = Credential::Key(PublicKey::new([key; 32]));
        Whom { credential, ..by_token(id, "x") }
    }

    fn stream(name: &str) -> Name {
        name.parse().unwrap()
    }

    #[test]
    fn a_key_is_kept_out_whatever_its_owner_calls_itself() {
        let mut barred = Barred::default();
        barred.add(by_key(1, 1), None);
        assert!(barred.is_out(&by_key(2, 1), None));
        assert!(!barred.is_out(&by_key(1, 2), None));
        assert!(!barred.is_out(&by_token(1, "x"), None));
    }

    #[test]
    fn who_shares_a_token_is_told_by_id_and_name() {
        let mut barred = Barred::default();
        barred.add(by_token(1, "a"), None);
        assert!(barred.is_out(&by_token(1, "b"), None) && barred.is_out(&by_token(2, "a"), None));
        assert!(!barred.is_out(&by_token(2, "b"), None));
    }

    #[test]
    fn streams_are_closed_and_opened_one_by_one() {
        let (demo, music) = (stream("demo"), stream("music"));
        let (mut barred, whom) = (Barred::default(), by_key(1, 1));
        barred.add(whom.clone(), Some(demo.clone()));
        assert!(barred.is_out(&whom, Some(&demo)) && !barred.is_out(&whom, Some(&music)));
        assert!(!barred.is_out(&whom, None), "it may come for another");
        barred.add(whom.clone(), None);
        assert!(barred.is_out(&whom, Some(&music)) && barred.is_out(&whom, None));
        assert_eq!(barred.lift(|_| true, Some(&demo)), [whom.clone()].as_slice());
        assert!(!barred.is_out(&whom, Some(&demo)) && barred.is_out(&whom, Some(&music)));
        assert!(!barred.is_out(&whom, None));
        barred.add(whom.clone(), Some(demo.clone()));
        assert!(barred.is_out(&whom, Some(&demo)));
        assert_eq!(barred.lift(|_| true, None).len(), 1);
        assert!(!barred.is_out(&whom, Some(&music)));
        assert!(barred.lift(|_| true, None).is_empty());
    }
}
