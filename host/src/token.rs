//! The token that whoever asks over HTTP must show.

use std::fmt;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use proto::admission::Token as Shown;

use crate::secret::{self, SecretError};

/// A token, and the ways to show it: `Authorization: Bearer TOKEN`, or as the password of the user
/// `onecast`, which is how browsers ask for one.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    bearer: Vec<u8>,
    basic: Vec<u8>,
}

impl Token {
    /// The one in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may read it, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = secret::read(path, LONGEST + 1)?;
        Self::new(text.trim_ascii()).ok_or_else(|| SecretError::NoToken { path: path.to_owned() })
    }

    fn new(token: &[u8]) -> Option<Self> {
        let is_fit =
            (SHORTEST..=LONGEST).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
        let password = [USER, token].concat();
        is_fit.then(|| Self {
            bearer: [BEARER, token].concat(),
            basic: format!("Basic {}", base64(&password)).into_bytes(),
        })
    }

    /// As the value of `Authorization`.
    #[must_use]
    pub fn bearer(&self) -> String {
        String::from_utf8_lossy(&self.bearer).into_owned()
    }

    /// As a subscriber shows it to be let in.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown::of(self.bearer.get(BEARER.len()..).unwrap_or_default())
    }

    /// Whether this value of `Authorization` shows it; how long that takes says nothing of how much of
    /// it is right.
    pub(crate) fn admits(&self, shown: &[u8]) -> bool {
        let is = |wanted: &[u8]| verify_slices_are_equal(wanted, shown).is_ok();
        is(&self.bearer) | is(&self.basic)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|place| group.get(place).copied().unwrap_or_default());
        let bits = u32::from_be_bytes([0, a, b, c]);
        for place in 0..4 {
            let sextet = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            let is_there = place <= group.len();
            text.push(ALPHABET.get(sextet).filter(|_| is_there).map_or('=', |it| char::from(*it)));
        }
    }
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const BEARER: &[u8] = b"Bearer ";

/// Whom a browser is to name.
const USER: &[u8] = b"onecast:";

/// 96 bits, if it is of the letters of base64: nobody guesses that over a network.
const SHORTEST: usize = 16;

const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (len, expected) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..len]), *expected);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn only_the_whole_token_admits() {
        let token = Token::new(b"0123456789abcdef").unwrap();
        assert!(token.admits(b"Bearer 0123456789abcdef"));
        assert!(token.admits(format!("Basic {}", base64(b"onecast:0123456789abcdef")).as_bytes()));
        for wrong in [
            &b""[..],
            b"Bearer ",
            b"Bearer 0123456789abcde",
            b"Bearer 0123456789abcdeg",
            b"Bearer 0123456789abcdef ",
            b"bearer 0123456789abcdef",
            b"0123456789abcdef",
        ] {
            assert!(!token.admits(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_is_short_or_unprintable_is_no_token() {
        for wrong in [&b"0123456789abcde"[..], b"0123456789 abcdef", b"", &[b'x'; 257]] {
            assert!(Token::new(wrong).is_none(), "{wrong:?}");
        }
    }
}
