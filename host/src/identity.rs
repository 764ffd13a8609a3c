//! Who somebody is: an Ed25519 key pair (RFC 8032), the private half of it in a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proto::seal::Key;
use proto::sign::{PublicKey, PublicKeyError, SigningKey};
use zeroize::Zeroizing;

use crate::chance;
use crate::secret::{self, SecretError};

/// A key pair. It shows nobody its private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(SigningKey);

/// Why there is no identity. It never says what stands in the file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read, or others can read it, too.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It holds something else.
    #[error(
        "{} holds no identity: one is {} hexadecimal digits; publisher keygen --identity FILE and \
         subscriber keygen FILE make one", path.display(), 2 * KEY_LEN
    )]
    NoIdentity {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("the identity cannot be written to {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What was given is neither a public key nor a file that holds one.
    #[error("{given} is no public key, and no file that holds one: {error}")]
    NoPublicKey {
        /// What was given.
        given: String,
        /// Why it was not read as a file.
        error: io::Error,
    },
}

impl Identity {
    /// The one in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may read it or write it, or it is none.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let text = secret::read(path, LONGEST)?;
        let none = || IdentityError::NoIdentity { path: path.to_owned() };
        let text = std::str::from_utf8(text.trim_ascii()).map_err(|_| none())?;
        let seed: Key = text.parse().map_err(|_| none())?;
        Ok(Self(SigningKey::of(&seed)))
    }

    /// A new one, written to a new file that only its owner may read; beside it, in `FILE.pub`, the
    /// public half for all to read.
    ///
    /// # Errors
    ///
    /// When there is such a file, or one of them cannot be written.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| IdentityError::Unwritable { path, error }
        };
        let seed = Zeroizing::new(chance::bytes().map_err(failed(path))?);
        let identity = Self::of_seed(&seed);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed(path))?;
        file.write_all(Key::new(*seed).to_hex().as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .map_err(failed(path))?;
        let public = public_path(path);
        fs::write(&public, format!("{}\n", identity.public())).map_err(failed(&public))?;
        Ok(identity)
    }

    /// The one that follows from 32 random bytes.
    #[must_use]
    pub fn of_seed(seed: &[u8; KEY_LEN]) -> Self {
        Self(SigningKey::of(&Key::new(*seed)))
    }

    /// What others know it by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// What it signs streams with.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        self.0.clone()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign_message(message).to_vec()
    }
}

/// The public key that is given as its digits, or by a file that holds them.
///
/// # Errors
///
/// When it is neither.
pub fn public_key(text: &str) -> Result<PublicKey, IdentityError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let failed = |error| IdentityError::NoPublicKey { given: text.to_owned(), error };
    let held = fs::read_to_string(text).map_err(failed)?;
    held.trim().parse().map_err(|error: PublicKeyError| failed(io::Error::other(error)))
}

/// Beside the file of an identity, the one with its public half.
fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Bytes of a key, of either half.
const KEY_LEN: usize = 32;

/// More than an identity and the space around it, in bytes.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    /// RFC 8032 §7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn an_identity_is_that_of_the_standard() {
        let identity = Identity(SigningKey::of(&SEED.parse().unwrap()));
        assert_eq!(identity.public().to_string(), PUBLIC);
        let signature: String =
            identity.sign(&[0x72]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(signature, SIGNATURE);
        assert!(identity.public().has_signed(&[0x72], &identity.sign(&[0x72])));
        assert!(!identity.public().has_signed(&[0x73], &identity.sign(&[0x72])));
    }

    #[test]
    fn an_identity_that_was_written_is_read_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let made = Identity::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Identity::read(&path).unwrap(), made);
        let public = folder.path().join("identity.pub");
        assert_eq!(public_key(public.to_str().unwrap()).unwrap(), made.public());
        assert_eq!(public_key(&made.public().to_string()).unwrap(), made.public());
        assert!(Identity::create(&path).unwrap_err().to_string().contains("File exists"));
        assert_eq!(Identity::read(&path).unwrap(), made);
        let shown = format!("{made:?}");
        assert!(!shown.contains(fs::read_to_string(&path).unwrap().trim()), "{shown}");
    }

    #[test]
    fn what_others_can_read_or_is_none_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Identity::read(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "hunter2", &SEED[1..], &format!("{SEED}0"), &SEED.replace('d', "g")] {
            fs::write(&path, text).unwrap();
            let refused = Identity::read(&path).unwrap_err().to_string();
            assert!(refused.contains("holds no identity"), "{refused}");
            assert!(text.is_empty() || !refused.contains(text), "{refused}");
        }
        let refused = public_key("nowhere").unwrap_err().to_string();
        assert!(refused.contains("nowhere is no public key, and no file"), "{refused}");
    }
}
