//! Payload to a file that has its name only once it is whole.
//!
//! While it comes, it is `NAME.part` beside it; what has the name was proved whole by the
//! publisher's SHA-256, or by its byte count where there is none.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proto::receiver::SessionInfo;

use super::blocks::Blocks;
use super::sink::{Sink, SinkError, write_all};
use super::{Caching, OutputError, Sessions};

/// Opens `path`: as a file that is written whole, or, where a device or pipe stands, as that.
pub(super) fn open(
    path: &Path,
    sessions: Sessions,
    caching: Caching,
) -> Result<Box<dyn Sink>, OutputError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(OutputError::Directory(path.to_owned())),
        Ok(found) if !found.is_file() => Ok(Box::new(Device::open(path)?)),
        _ => Ok(Box::new(Part::open(path, sessions, caching)?)),
    }
}

/// A file on its way to its name.
#[derive(Debug)]
struct Part {
    /// The name that was asked for.
    path: PathBuf,
    sessions: Sessions,
    /// Sessions that were written whole or not, before this one.
    past: u64,
    state: State,
    caching: Caching,
    /// What is written past the page cache.
    blocks: Option<Blocks>,
}

#[derive(Debug)]
enum State {
    /// Open, with nothing of a session in it.
    Fresh(File),
    /// A session is being written.
    Open(File),
    /// The session ended; the next one opens another file.
    Ended,
}

impl Part {
    fn open(path: &Path, sessions: Sessions, caching: Caching) -> Result<Self, OutputError> {
        let part = part_of(path);
        let file = create(&part).map_err(|source| OutputError::Open { path: part, source })?;
        let (path, state) = (path.to_owned(), State::Fresh(file));
        Ok(Self { path, sessions, past: 0, state, caching, blocks: None })
    }

    /// The blocks in which the file is written that was just begun, if that is wanted and can be.
    fn begin_blocks(&mut self) {
        self.blocks = None;
        if self.caching == Caching::Cached {
            return;
        }
        match self.file().map(|file| Blocks::of(file)) {
            Some(Ok(blocks)) => self.blocks = Some(blocks),
            Some(Err(error)) => {
                let file = self.place();
                tracing::warn!(file, %error, "cannot be written past the page cache: by it, then");
            }
            None => {}
        }
    }

    /// The name of the file of the session that is followed: `NAME`, then `NAME.2`, `NAME.3`…
    fn name(&self) -> PathBuf {
        match self.past {
            0 => self.path.clone(),
            past => with_suffix(&self.path, &format!(".{}", past + 1)),
        }
    }

    /// What came of the session before stays under its own name if sessions are followed.
    fn next_file(&mut self, from: State) -> io::Result<File> {
        match (from, self.sessions) {
            (State::Fresh(file), _) => Ok(file),
            (State::Open(mut file), Sessions::Once) => {
                let part = part_of(&self.name());
                tracing::warn!(file = %part.display(), "the publisher restarted: beginning anew");
                file.set_len(0)?;
                file.rewind()?;
                Ok(file)
            }
            (State::Open(_) | State::Ended, _) => {
                self.past += 1;
                create(&part_of(&self.name()))
            }
        }
    }

    fn file(&mut self) -> Option<&mut File> {
        match &mut self.state {
            State::Fresh(file) | State::Open(file) => Some(file),
            State::Ended => None,
        }
    }
}

impl Sink for Part {
    fn begin(&mut self, _session: &SessionInfo) -> Result<(), SinkError> {
        let before = std::mem::replace(&mut self.state, State::Ended);
        self.state = State::Open(self.next_file(before)?);
        self.begin_blocks();
        Ok(())
    }

    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError> {
        let (State::Fresh(file) | State::Open(file)) = &mut self.state else { return Ok(()) };
        match &mut self.blocks {
            Some(blocks) => Ok(blocks.write(file, payloads, written)?),
            None => Ok(write_all(file, payloads, written)?),
        }
    }

    fn flush(&mut self, written: &mut u64) -> Result<(), SinkError> {
        match (&mut self.state, self.blocks.take()) {
            (State::Open(file), Some(blocks)) => Ok(blocks.finish(file, written)?),
            _ => Ok(()),
        }
    }

    fn end(&mut self, is_whole: bool) -> Result<(), SinkError> {
        let (State::Fresh(file) | State::Open(file)) =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return Ok(());
        };
        file.sync_all()?;
        let (name, part) = (self.name(), part_of(&self.name()));
        if is_whole {
            fs::rename(&part, &name)?;
            sync_directory(&name)?;
            tracing::info!(file = %name.display(), "whole");
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), SinkError> {
        let part = part_of(&self.name());
        match std::mem::replace(&mut self.state, State::Ended) {
            // Nothing came: nothing is left behind.
            State::Fresh(_) => fs::remove_file(&part)?,
            State::Open(file) => file.sync_all()?,
            State::Ended => {}
        }
        Ok(())
    }

    fn place(&self) -> String {
        part_of(&self.name()).display().to_string()
    }
}

/// `/dev/null`, a named pipe: nothing to rename.
#[derive(Debug)]
struct Device {
    path: PathBuf,
    file: File,
}

impl Device {
    fn open(path: &Path) -> Result<Self, OutputError> {
        let opened = OpenOptions::new().write(true).open(path);
        let file = opened.map_err(|source| OutputError::Open { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Sink for Device {
    fn begin(&mut self, _session: &SessionInfo) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, payloads: &[Bytes], written: &mut u64) -> Result<(), SinkError> {
        write_all(&mut self.file, payloads, written).map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                SinkError::ReaderGone
            } else {
                SinkError::Io(error)
            }
        })
    }

    fn end(&mut self, _is_whole: bool) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

fn create(part: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(part)
}

fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The rename is on the disk only when the directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
