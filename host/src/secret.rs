//! A secret in a file that nobody else may read: never in an argument, a log or a metric.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a secret was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read it.
    #[error(
        "{} can be read by others (mode {mode:04o}), so that it is no secret: chmod 600 {}",
        path.display(),
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is none.
    #[error(
        "{} holds no token: write one line of 16 to 256 printable characters into it, such as \
         `openssl rand -hex 32` gives",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

/// The bytes of `path`, at most `longest` and one more.
///
/// # Errors
///
/// When it cannot be read, or others than its owner may.
pub fn read(path: &Path, longest: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |error| SecretError::Unreadable { path: path.to_owned(), error };
    let file = open(path).map_err(unreadable)?;
    let file = file.map_err(|mode| SecretError::Open { path: path.to_owned(), mode })?;
    // Memory that grows leaves copies behind, and reading to the end asks for some room at it.
    let mut secret = Zeroizing::new(Vec::with_capacity(longest + ROOM));
    file.take(longest as u64 + 1).read_to_end(&mut secret).map_err(unreadable)?;
    Ok(secret)
}

/// Opens `path`; gives its permissions instead if others than its owner may read or change it.
pub(crate) fn open(path: &Path) -> io::Result<Result<File, u32>> {
    let file = File::open(path)?;
    // Of the file that is open: another could be in its place by now.
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    Ok(if is_open(mode, metadata.gid()) { Err(mode) } else { Ok(file) })
}

/// The group of root is root: and where systemd hands out a credential by an access list, the bits of
/// the group show its mask.
fn is_open(mode: u32, group: u32) -> bool {
    mode & 0o007 != 0 || mode & 0o070 != 0 && group != 0
}

/// Reading looks for the end with this many bytes of room.
const ROOM: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_may_read_is_no_secret() {
        let folder = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        fs::write(&folder, "x").unwrap();
        for mode in [0o644, 0o604, 0o602] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let told = read(&folder, 9).unwrap_err().to_string();
            assert!(told.contains(&format!("mode {mode:04o}")), "{told}");
            assert!(told.ends_with(&format!("chmod 600 {}", folder.display())), "{told}");
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(**read(&folder, 9).unwrap(), *b"x");
        fs::remove_file(&folder).unwrap();
        assert!(read(&folder, 9).unwrap_err().to_string().starts_with("cannot read "));
    }

    #[test]
    fn only_the_group_of_root_may_have_a_look() {
        assert!(is_open(0o640, 1_000) && !is_open(0o640, 0));
        assert!(is_open(0o604, 0) && !is_open(0o400, 1_000));
    }
}
