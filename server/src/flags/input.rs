//! How a person names what is to be sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proto::endpoint::{EndpointError, UdpAddress};

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSpec {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
    /// What an encoder sends to this address.
    Udp {
        /// Where it is received.
        address: UdpAddress,
        /// Whether `rtp://` was written.
        rtp: bool,
    },
}

/// Why an input was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputSpecError {
    /// Nothing was written.
    #[error("no input: write a file, `-` for stdin, or udp://ADDRESS:PORT")]
    Empty,
    /// Something with `://` that is no input.
    #[error("`{0}` cannot be read from: write a file, `-` for stdin, or udp://ADDRESS:PORT")]
    Scheme(String),
    /// No address.
    #[error(transparent)]
    Address(#[from] EndpointError),
}

impl InputSpec {
    /// What the stream is called if nobody says.
    #[must_use]
    pub fn default_name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let name = name.chars().map(|c| if c.is_control() { '?' } else { c });
                shortened(name.collect())
            }
            Self::Udp { address, .. } => format!("udp-{}", address.port),
        }
    }

    /// Whether it goes on whether or not we read it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Udp { .. })
    }
}

/// As much of `name` as a [`proto::wire::Name`] takes.
fn shortened(mut name: String) -> String {
    while name.len() > proto::wire::Name::MAX_LEN {
        name.pop();
    }
    name
}

impl FromStr for InputSpec {
    type Err = InputSpecError;

    fn from_str(text: &str) -> Result<Self, InputSpecError> {
        match text.split_once("://") {
            None if text.is_empty() => Err(InputSpecError::Empty),
            None if text == "-" => Ok(Self::Stdin),
            None => Ok(Self::File(Path::new(text).to_owned())),
            Some(("udp", _)) => Ok(Self::Udp { address: text.parse()?, rtp: false }),
            Some(("rtp", rest)) => {
                Ok(Self::Udp { address: format!("udp://{rest}").parse()?, rtp: true })
            }
            Some(_) => Err(InputSpecError::Scheme(text.to_owned())),
        }
    }
}

impl fmt::Display for InputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => path.display().fmt(f),
            Self::Udp { address, .. } => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_file_stdin_or_an_address() {
        assert_eq!("-".parse(), Ok(InputSpec::Stdin));
        assert_eq!("a/b.ts".parse(), Ok(InputSpec::File("a/b.ts".into())));
        let live: InputSpec = "udp://@239.1.2.3:5000".parse().unwrap();
        assert!(live.is_live());
        assert!(matches!("rtp://:5004".parse(), Ok(InputSpec::Udp { rtp: true, .. })));
        assert!("http://x".parse::<InputSpec>().is_err());
        assert_eq!("".parse::<InputSpec>(), Err(InputSpecError::Empty));
    }

    #[test]
    fn a_file_lends_its_name() {
        let name = |path: &str| path.parse::<InputSpec>().unwrap().default_name();
        assert_eq!(name("/a/film.ts"), "film.ts");
        assert_eq!(name("x\ny"), "x?y");
        assert!(name(&"é".repeat(60)).len() <= 64);
    }
}
