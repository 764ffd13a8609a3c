//! The asking side: `subscriber join`, `leave`, `status`.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use host::control::{AskError, ask as ask_at, directory, the_only_one};

use super::{ROLE, Reply, Request};
use crate::config::ControlConfig;

/// Asks the subscriber that is meant; an error says what it refused.
pub(crate) fn ask(whom: Option<&ControlConfig>, request: &Request) -> anyhow::Result<Reply> {
    let path = find(whom)?;
    let answer = ask_at(&path, &serde_json::to_vec(request)?)
        .with_context(|| format!("no subscriber answers at {}", path.display()))?;
    let reply: Reply = serde_json::from_str(&answer)
        .with_context(|| format!("the subscriber at {} did not answer", path.display()))?;
    match &reply.error {
        Some(error) if !reply.ok => Err(anyhow!("{error}")),
        _ => Ok(reply),
    }
}

fn find(whom: Option<&ControlConfig>) -> Result<PathBuf, AskError> {
    match whom {
        Some(ControlConfig::Path(path)) => Ok(path.clone()),
        Some(ControlConfig::Name(name)) => Ok(directory::socket(&directory::path(), ROLE, name)),
        Some(ControlConfig::Process) | None => the_only_one(ROLE, "--control-name"),
    }
}
