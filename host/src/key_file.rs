//! Files that hold keys: read only if nobody else can, written so that nobody else can.
//!
//! A line is a key, or an epoch and its key; the last line is what is sent under. So the next key can
//! be laid down at all ends before it is used.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proto::seal::{Key, KeyError, Keyring};
use zeroize::Zeroizing;

use crate::secret;

/// Why there is no key. It never says what stands in the file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("the key cannot be read from {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read it, or change it.
    #[error(
        "the key in {} is no secret: others may read or write the file (mode {mode:03o}); make it \
         yours alone, chmod 600 {}, and change the key if somebody may have seen it",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("{} holds {error}; publisher keygen FILE makes one", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is expected.
        error: KeyError,
    },
    /// A line is no key, and no epoch and key.
    #[error(
        "line {line} of {} is no key: a line is {} hexadecimal digits, or an epoch, 1 to 255, a \
         space and these", path.display(), 2 * KEY_LEN
    )]
    NoLine {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
    },
    /// Two lines are of one epoch.
    #[error("{} has two keys of epoch {epoch}: the next key is of another epoch", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// Of which.
        epoch: u8,
    },
    /// The file cannot be written.
    #[error("the key cannot be written to {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Reads keys: a line each, 64 hexadecimal digits, with the epoch and a space before them where it is
/// not 1. What follows a `#`, and empty lines, are passed over.
///
/// # Errors
///
/// When it cannot be read, others may read it or write it, or it holds something else.
pub fn read(path: &Path) -> Result<Keyring, KeyFileError> {
    let text = read_private(path)?;
    let mut keys = Keyring::empty();
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let path = || path.to_owned();
        let (epoch, key) = entry(line).ok_or_else(|| match (place, text.lines().count()) {
            (0, 1) => KeyFileError::NoKey { path: path(), error: KeyError },
            _ => KeyFileError::NoLine { path: path(), line: place + 1 },
        })?;
        if keys.iter().any(|(of, _)| of == epoch) {
            return Err(KeyFileError::Twice { path: path(), epoch });
        }
        keys.add(epoch, key);
    }
    if keys.is_empty() {
        return Err(KeyFileError::NoKey { path: path.to_owned(), error: KeyError });
    }
    Ok(keys)
}

fn entry(line: &str) -> Option<(u8, Key)> {
    let (epoch, key) = match line.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((epoch, key)) => (epoch.parse().ok()?, key.trim_ascii_start()),
        None => (FIRST_EPOCH, line),
    };
    (epoch != 0).then_some((epoch, key.parse().ok()?))
}

/// What is new in a key file that was read again.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// The keys of the next epochs, the newest last.
    pub added: Vec<(u8, Key)>,
}

/// Why a key file cannot be followed that was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An epoch has another key than before.
    #[error(
        "the key of epoch {epoch} is another one: leave it as it is, and write the next key below \
         it, as `{} KEY`", next(*epoch)
    )]
    Changed {
        /// Which.
        epoch: u8,
    },
    /// What is new is not last.
    #[error(
        "the key of epoch {epoch} is new and not in the last line, which is what is sent under"
    )]
    NotLast {
        /// Which.
        epoch: u8,
    },
}

impl Change {
    /// From what was read before to what was read now. Keys that are gone are no change: they are
    /// forgotten when the next one is in use.
    ///
    /// # Errors
    ///
    /// When an epoch has another key, or a new one is above one that is known.
    pub fn between(before: &Keyring, after: &Keyring) -> Result<Self, ChangeError> {
        let mut added: Vec<(u8, Key)> = Vec::new();
        for (epoch, key) in after.iter() {
            match before.iter().find(|(of, _)| *of == epoch) {
                Some((_, known)) if known != key => return Err(ChangeError::Changed { epoch }),
                Some(_) => {
                    if let Some((epoch, _)) = added.first() {
                        return Err(ChangeError::NotLast { epoch: *epoch });
                    }
                }
                None => added.push((epoch, key.clone())),
            }
        }
        Ok(Self { added })
    }
}

/// The epoch after this one.
fn next(epoch: u8) -> u8 {
    epoch.checked_add(1).unwrap_or(FIRST_EPOCH)
}

/// Writes a key to a new file that only its owner may read.
///
/// # Errors
///
/// When there is such a file, or it cannot be written.
pub fn create(path: &Path, key: &Key) -> Result<(), KeyFileError> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = new.and_then(|mut file| {
        file.write_all(key.to_hex().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|error| KeyFileError::Unwritable { path: path.to_owned(), error })
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |error| KeyFileError::Unreadable { path: path.to_owned(), error };
    let open = |mode| KeyFileError::Open { path: path.to_owned(), mode: mode & 0o777 };
    let file = secret::open(path).map_err(failed)?.map_err(open)?;
    // Memory that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    file.take(LONGEST as u64).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// More than all keys that are kept, with what is said of them, in bytes.
const LONGEST: usize = 4_096;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// The epoch of a key that has none beside it.
const FIRST_EPOCH: u8 = 1;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    /// The epochs of what is read, and the first byte of each key.
    fn epochs(keys: &Keyring) -> Vec<(u8, u8)> {
        keys.iter().map(|(epoch, key)| (epoch, key.bytes()[0])).collect()
    }

    fn keyring(epochs: &[(u8, u8)]) -> Keyring {
        let mut keys = Keyring::empty();
        epochs.iter().for_each(|(epoch, byte)| keys.add(*epoch, Key::new([*byte; 32])));
        keys
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_key_that_was_written_is_read_and_never_written_over() {
        let folder = Folder::new("onecast-key-written");
        let path = folder.0.join("key");
        create(&path, &Key::new([0xa5; 32])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(epochs(&read(&path).unwrap()), [(1, 0xa5)]);
        let again = create(&path, &Key::new([1; 32])).unwrap_err().to_string();
        assert!(again.contains("File exists"), "{again}");
        assert_eq!(epochs(&read(&path).unwrap()), [(1, 0xa5)]);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_mode_to_set() {
        let folder = Folder::new("onecast-key-open");
        let path = folder.0.join("key");
        create(&path, &Key::new([7; 32])).unwrap();
        for mode in [0o644, 0o604, 0o602, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = read(&path).unwrap_err().to_string();
            assert!(refused.contains(&format!("mode {mode:03o}")), "{refused}");
            assert!(refused.contains("chmod 600"), "{refused}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        let folder = Folder::new("onecast-key-wrong");
        let path = folder.0.join("key");
        let missing = read(&path).unwrap_err().to_string();
        assert!(missing.contains("No such file"), "{missing}");
        for text in ["", "hunter2", &"ab".repeat(33), &"ab".repeat(400)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let refused = read(&path).unwrap_err().to_string();
            assert!(refused.contains("64 hexadecimal digits"), "{refused}");
            assert!(text.is_empty() || !refused.contains(text), "{refused}");
        }
    }
    #[test]
    fn a_file_may_hold_the_keys_of_several_epochs() {
        let folder = Folder::new("onecast-key-epochs");
        let path = folder.0.join("key");
        let read_of = |text: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            read(&path)
        };
        let [a, b] = ["aa".repeat(32), "bb".repeat(32)];
        let keys = read_of(&format!("# of spring\n{a}\n\n  7 \t {b} # of summer\n")).unwrap();
        assert_eq!(epochs(&keys), [(1, 0xaa), (7, 0xbb)]);
        assert_eq!(epochs(&read_of(&format!("255 {a}\n1 {b}")).unwrap()), [(255, 0xaa), (1, 0xbb)]);
        for (wrong, told) in [
            (format!("{a}\n0 {b}"), "line 2 of"),
            (format!("{a}\n256 {b}"), "line 2 of"),
            (format!("{a}\n2 {b} {b}"), "line 2 of"),
            (format!("1 {a}\n{b}"), "two keys of epoch 1"),
            ("# nothing\n".to_owned(), "64 hexadecimal digits"),
        ] {
            let refused = read_of(&wrong).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
            assert!(!refused.contains(&b), "{refused}");
        }
    }

    #[test]
    fn what_is_new_is_found_and_what_is_another_is_refused() {
        let before = keyring(&[(1, 1), (2, 2)]);
        let added = |after: &[(u8, u8)]| {
            let change = Change::between(&before, &keyring(after))?;
            Ok(change.added.into_iter().map(|(epoch, key)| (epoch, key.bytes()[0])).collect())
        };
        assert_eq!(added(&[(1, 1), (2, 2), (3, 3)]), Ok(vec![(3, 3)]));
        assert_eq!(added(&[(2, 2), (4, 4), (5, 5)]), Ok(vec![(4, 4), (5, 5)]));
        assert_eq!(added(&[(2, 2)]), Ok(vec![]));
        assert_eq!(added(&[(1, 1), (2, 9)]), Err(ChangeError::Changed { epoch: 2 }));
        assert_eq!(added(&[(1, 1), (3, 3), (2, 2)]), Err(ChangeError::NotLast { epoch: 3 }));
        let told = ChangeError::Changed { epoch: 255 }.to_string();
        assert!(told.contains("as `1 KEY`"), "{told}");
    }
}
