//! The asking side: `subscriber join`, `leave`, `status`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::{LINE_LEN_LIMIT, Reply, Request, directory};
use crate::config::ControlConfig;

/// Asks the subscriber that is meant; an error says what it refused.
pub(crate) fn ask(whom: Option<&ControlConfig>, request: &Request) -> anyhow::Result<Reply> {
    let path = find(whom)?;
    let mut stream = UnixStream::connect(&path)
        .with_context(|| format!("no subscriber answers at {}", path.display()))?;
    let reply = exchange(&mut stream, request)
        .with_context(|| format!("the subscriber at {} did not answer", path.display()))?;
    match &reply.error {
        Some(error) if !reply.ok => Err(anyhow!("{error}")),
        _ => Ok(reply),
    }
}

fn exchange(stream: &mut UnixStream, request: &Request) -> anyhow::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_LEN_LIMIT)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn find(whom: Option<&ControlConfig>) -> anyhow::Result<PathBuf> {
    match whom {
        Some(ControlConfig::Path(path)) => Ok(path.clone()),
        Some(ControlConfig::Name(name)) => Ok(directory::socket(&directory::path(), name)),
        Some(ControlConfig::Process) | None => the_only_one(&directory::path()),
    }
}

fn the_only_one(directory: &Path) -> anyhow::Result<PathBuf> {
    let place = directory.display();
    let sockets = match directory::sockets(directory) {
        Ok(sockets) => sockets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("{place} cannot be read")),
    };
    // A subscriber that was killed leaves its socket behind.
    let mut running: Vec<(String, PathBuf)> =
        sockets.into_iter().filter(|(_, path)| UnixStream::connect(path).is_ok()).collect();
    if running.len() > 1 {
        let names: Vec<String> = running.into_iter().map(|(name, _)| name).collect();
        bail!("several subscribers run: {}; name one with --control-name", names.join(", "));
    }
    match running.pop() {
        Some((_, path)) => Ok(path),
        None => bail!("no subscriber of this user runs (looked in {place})"),
    }
}

/// A running one answers within a turn.
const PATIENCE: Duration = Duration::from_secs(10);
