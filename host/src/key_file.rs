//! Files that hold a key: read only if nobody else can, written so that nobody else can.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proto::seal::{Key, KeyError};
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
    /// The file cannot be written.
    #[error("the key cannot be written to {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Reads a key: 64 hexadecimal digits, and space around them.
///
/// # Errors
///
/// When it cannot be read, others may read it or write it, or it is none.
pub fn read(path: &Path) -> Result<Key, KeyFileError> {
    let text = read_private(path)?;
    let key = text.trim_ascii().parse();
    key.map_err(|error| KeyFileError::NoKey { path: path.to_owned(), error })
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

/// More than a key and the space around it, in bytes.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

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
        assert_eq!(*read(&path).unwrap().to_hex(), "a5".repeat(32));
        let again = create(&path, &Key::new([1; 32])).unwrap_err().to_string();
        assert!(again.contains("File exists"), "{again}");
        assert_eq!(*read(&path).unwrap().to_hex(), "a5".repeat(32));
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
}
