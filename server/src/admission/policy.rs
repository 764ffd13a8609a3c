//! Who may be let in: by its own key, or by a token that it shares with others.

use std::collections::BTreeSet;

use proto::admission::Token;
use proto::sign::PublicKey;
use proto::wire::Name;

use super::authorized::Authorized;

/// Who may be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Those whose keys are known.
    pub authorized: Option<Authorized>,
    /// Those who show this.
    pub token: Option<Token>,
}

/// What somebody was let in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Credential {
    /// A key that nobody else has.
    Key(PublicKey),
    /// A token that others have, too.
    Token,
}

/// What somebody may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) credential: Credential,
    /// What its owner is called, where that does not rest on its own word.
    pub(super) name: Option<Name>,
    /// The streams; `None`: all of them.
    pub(super) streams: Option<BTreeSet<Name>>,
}

impl Policy {
    /// What who proved to have `key`, and shows `token`, may have; `None`: nothing.
    pub(super) fn judge(&self, key: Option<PublicKey>, token: Option<&Token>) -> Option<Verdict> {
        self.by_key(key).or_else(|| {
            let is_right = self.token.is_some() && self.token.as_ref() == token;
            let verdict = Verdict { credential: Credential::Token, name: None, streams: None };
            is_right.then_some(verdict)
        })
    }

    pub(super) fn by_key(&self, key: Option<PublicKey>) -> Option<Verdict> {
        let key = key?;
        let grant = self.authorized.as_ref()?.grant(&key)?.clone();
        Some(Verdict {
            credential: Credential::Key(key),
            name: Some(grant.name),
            streams: grant.streams,
        })
    }
}
