//! Talking to a running publisher: `publisher kick`, `publisher admit`. A line of JSON each way, by a Unix
//! socket.
//!
//! `{"command":"kick","subscriber":"hall-3","stream":"demo"}` is answered by
//! `{"ok":true,"told":"…"}` or `{"ok":false,"error":"…"}`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use host::control::{self, ControlSocket, directory};
use proto::wire::Name;
use serde::{Deserialize, Serialize};

use crate::admission::{Admission, CLOSED_GROUP};
use crate::config::Config;

/// Which running publisher is meant, and whom it is to do something to.
#[derive(Args, Clone, Debug)]
pub struct Whom {
    /// Its name, or its id of 32 hexadecimal digits, as the log and /status.json show them
    #[arg(value_name = "SUBSCRIBER")]
    pub subscriber: String,

    /// Only of this stream [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub stream: Option<Name>,

    /// Path of the publisher's control socket [default: that of the only one that runs]
    #[arg(long, value_name = "PATH", env = "ONECAST_CONTROL")]
    pub control: Option<PathBuf>,
}

/// Where the control socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OperatorSocket {
    /// Nowhere.
    #[default]
    None,
    /// In the runtime directory, named after the process; nothing is lost if it cannot be.
    Process,
    /// At this path.
    Path(PathBuf),
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Remove a subscriber.
    Kick {
        subscriber: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
    },
    /// Let it come back, or put it into a stream.
    Admit {
        subscriber: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
    },
}

/// What is answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Opens the socket where `at` says.
///
/// # Errors
///
/// When a path was named, and it cannot be opened there.
pub(crate) fn open(at: &OperatorSocket) -> anyhow::Result<Option<ControlSocket>> {
    match at {
        OperatorSocket::None => Ok(None),
        OperatorSocket::Path(path) => {
            let socket = ControlSocket::open(path.clone());
            Ok(Some(socket.context("the control socket cannot be opened")?))
        }
        OperatorSocket::Process => {
            let name = std::process::id().to_string();
            let path = directory::open().map(|folder| directory::socket(&folder, ROLE, &name));
            match path.and_then(ControlSocket::open) {
                Ok(socket) => Ok(Some(socket)),
                // Nobody asked for it by name: a machine without a runtime directory goes without.
                Err(error) => {
                    tracing::warn!(%error, "no control socket: nobody can be kicked or admitted");
                    Ok(None)
                }
            }
        }
    }
}

/// What answers the operator.
#[derive(Clone)]
pub(crate) struct Operator {
    admission: Option<Admission>,
    /// Why nobody can be removed where nobody was admitted.
    reason: &'static str,
}

impl Operator {
    pub(crate) fn new(config: &Config, admission: Option<Admission>) -> Self {
        let is_sealed = config.streams.iter().any(|stream| stream.keys.is_some());
        Self { admission, reason: if is_sealed { CLOSED_GROUP } else { OPEN_GROUP } }
    }

    /// What is answered to a line.
    pub(crate) fn answer(&self, line: &str) -> Vec<u8> {
        let done = match serde_json::from_str(line) {
            Ok(request) => self.obey(&request),
            Err(error) => Err(format!("no such request: {error}")),
        };
        let reply = match done {
            Ok(told) => Reply { ok: true, told: Some(told), error: None },
            Err(error) => Reply { ok: false, told: None, error: Some(error) },
        };
        // No map of it has keys that are not text: this cannot fail.
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    fn obey(&self, request: &Request) -> Result<String, String> {
        let Some(admission) = &self.admission else { return Err(self.reason.to_owned()) };
        let (Request::Kick { subscriber, stream } | Request::Admit { subscriber, stream }) =
            request;
        let stream: Option<Name> =
            stream.as_ref().map(|name| name.parse()).transpose().map_err(|it| format!("{it}"))?;
        match request {
            Request::Kick { .. } => admission.kick(subscriber, stream.as_ref()),
            Request::Admit { .. } => admission.admit(subscriber, stream.as_ref()),
        }
    }
}

/// `publisher kick`.
#[must_use]
pub fn kick(whom: Whom) -> ExitCode {
    let (control, subscriber, stream) = (whom.control, whom.subscriber, whom.stream);
    let stream = stream.map(|name| name.to_string());
    done(ask(control.as_deref(), &Request::Kick { subscriber, stream }))
}

/// `publisher admit`.
#[must_use]
pub fn admit(whom: Whom) -> ExitCode {
    let (control, subscriber, stream) = (whom.control, whom.subscriber, whom.stream);
    let stream = stream.map(|name| name.to_string());
    done(ask(control.as_deref(), &Request::Admit { subscriber, stream }))
}

fn done(asked: anyhow::Result<String>) -> ExitCode {
    match asked {
        Ok(told) => {
            eprintln!("publisher: {told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("publisher: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask(path: Option<&Path>, request: &Request) -> anyhow::Result<String> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => control::the_only_one(ROLE, "--control")?,
    };
    let answer = control::ask(&path, &serde_json::to_vec(request)?)
        .with_context(|| format!("no publisher answers at {}", path.display()))?;
    let reply: Reply = serde_json::from_str(&answer)
        .with_context(|| format!("the publisher at {} did not answer", path.display()))?;
    match reply.error {
        Some(error) if !reply.ok => Err(anyhow::anyhow!("{error}")),
        _ => Ok(reply.told.unwrap_or_default()),
    }
}

/// Which program this is, as the names of its sockets begin.
const ROLE: &str = "publisher";

const OPEN_GROUP: &str = "nobody was admitted, so nobody can be removed: the stream is not sealed, and \
    whoever hears it can read it; publish with --admission";
