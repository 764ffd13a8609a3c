//! Whose keys let them in, and to which streams: the file of `--authorized`.
//!
//! A line for each: the public key, a name, and the streams it may have; all of them if none is named.
//! `#` begins a comment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proto::sign::PublicKey;
use proto::wire::Name;

/// Whose keys let them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorized(BTreeMap<PublicKey, Grant>);

/// What a key lets its owner have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What its owner is called.
    pub name: Name,
    /// The streams; `None`: all of them.
    pub streams: Option<BTreeSet<Name>>,
}

/// Why nobody can be authorized by a file.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizedError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may let themselves in.
    #[error(
        "{} can be written by others (mode {mode:04o}), who could let themselves in: chmod go-w {}",
        path.display(), path.display()
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line says what it cannot.
    #[error("{}:{line}: {why}: write PUBLICKEY NAME [STREAM...]", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong there.
        why: String,
    },
}

impl Authorized {
    /// Those of a file, which only its owner may write.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may write it, or a line cannot be understood.
    pub fn read(path: &Path) -> Result<Self, AuthorizedError> {
        let failed = |error| AuthorizedError::Unreadable { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        // Of the file that is open: another could be in its place by now.
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o002 != 0 || mode & 0o020 != 0 && metadata.gid() != 0 {
            return Err(AuthorizedError::Writable { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text).map_err(|(line, why)| AuthorizedError::Line {
            path: path.to_owned(),
            line,
            why,
        })
    }

    /// What this key lets its owner have.
    #[must_use]
    pub fn grant(&self, key: &PublicKey) -> Option<&Grant> {
        self.0.get(key)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    ///
    /// The line, counted from one, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut keys = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let said = line.split('#').next().unwrap_or_default();
            let mut words = said.split_whitespace();
            let Some(key) = words.next() else { continue };
            let wrong = |why: String| (number, why);
            let key: PublicKey = key.parse().map_err(|error| wrong(format!("{error}")))?;
            let name = words.next().ok_or_else(|| wrong("a key without a name".to_owned()))?;
            let name = name.parse().map_err(|error| wrong(format!("{error}")))?;
            let streams = words.map(str::parse).collect::<Result<BTreeSet<Name>, _>>();
            let streams = streams.map_err(|error| wrong(format!("{error}")))?;
            let streams = (!streams.is_empty()).then_some(streams);
            if keys.insert(key, Grant { name, streams }).is_some() {
                return Err(wrong(format!("{key} stands here twice")));
            }
        }
        Ok(Self(keys))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey::new([byte; 32])
    }

    #[test]
    fn a_line_names_a_key_its_owner_and_the_streams() {
        let text = format!(
            "# the halls\n\n{} hall-3 demo music # with streams\n{}\thall-4\n",
            key(1),
            key(2)
        );
        let authorized = Authorized::parse(&text).unwrap();
        let first = authorized.grant(&key(1)).unwrap();
        assert_eq!(first.name.as_str(), "hall-3");
        let streams: Vec<&str> = first.streams.iter().flatten().map(Name::as_str).collect();
        assert_eq!(streams, ["demo", "music"]);
        assert_eq!(authorized.grant(&key(2)).unwrap().streams, None);
        assert_eq!(authorized.grant(&key(3)), None);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let place = |text: &str| Authorized::parse(text).unwrap_err();
        assert_eq!(place("\nhall-3\n").0, 2);
        assert_eq!(place(&key(1).to_string()), (1, "a key without a name".to_owned()));
        assert_eq!(place(&format!("{0} a\n{0} b", key(1))).0, 2);
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authorized");
        fs::write(&path, format!("{} hall-3\n", key(1))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        let refused = Authorized::read(&path).unwrap_err().to_string();
        assert!(refused.contains("mode 0646") && refused.contains("chmod go-w"), "{refused}");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(Authorized::read(&path).unwrap().grant(&key(1)).is_some());
        fs::write(&path, "nonsense\n").unwrap();
        let refused = Authorized::read(&path).unwrap_err().to_string();
        assert!(refused.contains("authorized:1: no public key"), "{refused}");
    }
}
