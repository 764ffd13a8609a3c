//! Whether what was delivered is the whole stream.

use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;
use proto::SessionId;
use proto::receiver::{Ending, SessionInfo};

/// Counts and hashes one session as it is delivered.
pub(super) struct Verdict {
    session: SessionId,
    bytes: u64,
    /// Whether it is to be checked where it can be.
    is_wanted: bool,
    /// None where nobody wants to know, or could tell whether it is right.
    sha256: Option<digest::Context>,
    lost: u64,
    began_late: bool,
}

/// How a session ended at an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Which.
    pub(crate) session: SessionId,
    /// Bytes delivered.
    pub(crate) bytes: u64,
    /// SHA-256 of them, if they were hashed.
    pub(crate) sha256: Option<[u8; 32]>,
    /// The publisher stopped before its input ended.
    pub(crate) is_aborted: bool,
    /// Why it is not the whole stream, if it is not.
    pub(crate) flaw: Option<Flaw>,
}

/// Why what was delivered is not the whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Packets were given up.
    Lost(u64),
    /// It was joined after its beginning, which is not to be had.
    BeganLate,
    /// The publisher stopped before its input ended.
    Aborted,
    /// The publisher counted another number of bytes.
    Length(u64),
    /// The publisher's hash is another.
    Hash,
}

impl Verdict {
    /// Nothing delivered yet.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            session: SessionId::default(),
            bytes: 0,
            is_wanted,
            sha256: None,
            lost: 0,
            began_late: false,
        }
    }

    /// A session begins.
    pub(super) fn begin(&mut self, session: &SessionInfo) {
        *self = Self::new(self.is_wanted);
        let is_hashed = self.is_wanted && session.is_hashed;
        self.sha256 = is_hashed.then(|| digest::Context::new(&digest::SHA256));
        self.session = session.session;
        self.began_late = session.first.0 > 0;
    }

    /// Whether what is written is hashed: that takes longer than all else.
    pub(super) fn hashes(&self) -> bool {
        self.sha256.is_some()
    }

    /// Payload was written.
    pub(super) fn add(&mut self, payloads: &[Bytes]) {
        payloads.iter().for_each(|payload| self.add_one(payload));
    }

    /// A payload was handed out.
    pub(super) fn add_one(&mut self, payload: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(payload);
        }
        self.bytes += payload.len() as u64;
    }

    /// Packets were given up.
    pub(super) fn lose(&mut self, packets: u64) {
        self.lost = self.lost.saturating_add(packets);
    }

    /// The session ended.
    pub(super) fn end(&self, ending: &Ending) -> Finished {
        let digest = self.sha256.clone().map(digest::Context::finish);
        let sha256 = digest.map(|digest| digest.as_ref().try_into().unwrap_or_default());
        Finished {
            session: self.session,
            bytes: self.bytes,
            sha256,
            is_aborted: ending.aborted,
            flaw: self.flaw(ending, sha256),
        }
    }

    fn flaw(&self, ending: &Ending, sha256: Option<[u8; 32]>) -> Option<Flaw> {
        if self.lost > 0 {
            Some(Flaw::Lost(self.lost))
        } else if self.began_late {
            Some(Flaw::BeganLate)
        } else if ending.aborted {
            Some(Flaw::Aborted)
        } else if ending.bytes != self.bytes {
            Some(Flaw::Length(ending.bytes))
        } else if ending.sha256.zip(sha256).is_some_and(|(stated, found)| stated != found) {
            Some(Flaw::Hash)
        } else {
            None
        }
    }
}

impl Finished {
    /// Whether it is the whole stream.
    pub(crate) fn is_whole(&self) -> bool {
        self.flaw.is_none()
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(packets) => write!(f, "{packets} packets are missing"),
            Self::BeganLate => write!(f, "it was joined after its beginning"),
            Self::Aborted => write!(f, "the publisher was stopped before its input ended"),
            Self::Length(bytes) => write!(f, "the publisher counted {bytes} bytes"),
            Self::Hash => write!(f, "its SHA-256 is not the publisher's"),
        }
    }
}
