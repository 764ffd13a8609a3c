//! Talking to a running subscriber: a Unix socket, a line of JSON each way.
//!
//! `{"command":"join","endpoint":"udp://239.1.2.3:5000","output":"/tmp/x"}` is answered by
//! `{"ok":true}` or `{"ok":false,"error":"…"}`; `status` also has `streams`.

pub(crate) mod client;
pub(crate) mod listener;

use serde::{Deserialize, Serialize};

use crate::output::OnFull;
use crate::snapshot::Status;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Subscribe to a group.
    Join {
        endpoint: String,
        output: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_full: Option<OnFull>,
    },
    /// Leave one.
    Leave { endpoint: String },
    /// Tell how each fares.
    Status,
}

/// What is answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) streams: Option<Vec<Status>>,
}

impl Reply {
    fn done() -> Self {
        Self { ok: true, ..Self::default() }
    }

    fn refused(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

impl From<Result<(), String>> for Reply {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::done(),
            Err(error) => Self::refused(error),
        }
    }
}

/// Which program this is, as the names of its sockets begin.
const ROLE: &str = "subscriber";
