//! The config file: many streams from one process.
//!
//! ```toml
//! metrics = "127.0.0.1:9464"
//!
//! [defaults]
//! interface = "eth0"
//!
//! [[stream]]
//! input = "udp://127.0.0.1:5000"
//! to = "udp://239.1.2.3:5000"
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use host::http::HttpAddress;
use serde::Deserialize;

use super::ConfigError;
use crate::flags::admission::AdmissionAddress;
use crate::flags::{ProgramFlags, StreamFlags, text};

/// The config file as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigFile {
    #[serde(deserialize_with = "text::option")]
    metrics: Option<HttpAddress>,
    spin: bool,
    metrics_token_file: Option<PathBuf>,
    #[serde(deserialize_with = "text::option")]
    admission: Option<AdmissionAddress>,
    identity: Option<PathBuf>,
    authorized: Option<PathBuf>,
    admission_token_file: Option<PathBuf>,
    control: Option<PathBuf>,
    json: bool,
    verbose: u8,
    quiet: bool,
    defaults: StreamFlags,
    stream: Vec<StreamFlags>,
}

impl ConfigFile {
    /// Reads a config file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says what it cannot: then with line and column.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|(line, column, why)| ConfigError::File {
            path: path.to_owned(),
            line,
            column,
            why,
        })
    }

    /// How the program behaves.
    #[must_use]
    pub fn program(&self) -> ProgramFlags {
        ProgramFlags {
            metrics: self.metrics,
            spin: self.spin,
            metrics_token_file: self.metrics_token_file.clone(),
            admission: self.admission,
            identity: self.identity.clone(),
            authorized: self.authorized.clone(),
            admission_token_file: self.admission_token_file.clone(),
            control: self.control.clone(),
            json: self.json,
            verbose: self.verbose,
            quiet: self.quiet,
        }
    }

    /// The streams: what `above` says wins over a stream's table, that over the defaults.
    #[must_use]
    pub fn streams(self, above: &StreamFlags) -> Vec<StreamFlags> {
        let defaults = self.defaults;
        let streams = self.stream.into_iter();
        streams.map(|stream| above.clone().or(stream).or(defaults.clone())).collect()
    }

    /// Reads the text of a config file; opens none of the files that it names.
    ///
    /// # Errors
    ///
    /// Line and column, counted from one, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, (usize, usize, String)> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            (line, column, error.message().replace('\n', ", "))
        })?;
        if file.stream.is_empty() {
            return Err((1, 1, "no stream: write at least one [[stream]] table".to_owned()));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flags::value::Rate;

    #[test]
    fn what_is_nearer_wins() {
        let file = ConfigFile::parse(
            "metrics = ':9464'\n[defaults]\nttl = 3\nrate = '1M'\nlinger = '50us'\n\
             [[stream]]\ninput = '-'\nto = 'udp://239.1.2.3:5000'\nrate = 'auto'\n",
        );
        let file = file.unwrap();
        assert!(file.program().metrics.is_some());
        let above = StreamFlags { ttl: Some(7), ..StreamFlags::default() };
        let streams = file.streams(&above);
        let [stream] = streams.as_slice() else { panic!("one stream") };
        assert_eq!(stream.ttl, Some(7));
        assert_eq!(stream.rate, Some(Rate::Auto));
        assert_eq!(stream.linger, Some(Duration::from_micros(50)));
        assert_eq!(stream.to.len(), 1);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let place = |text: &str| ConfigFile::parse(text).map(|_| ()).unwrap_err();
        let (line, column, why) = place("[[stream]]\ninput = '-'\n  ratte = '1M'\n");
        assert_eq!((line, column), (3, 3), "{why}");
        assert!(why.contains("ratte"), "{why}");
        let (line, column, why) = place("[[stream]]\nttl = 256\n");
        assert_eq!((line, column), (2, 7), "{why}");
        let (line, _, why) =
            place("[[stream]]\nto = ['udp://239.1.2.3:5000', 'udp://1.2.3.4:5']\n");
        assert_eq!(line, 2, "{why}");
        let (line, _, why) = place("[[stream]\n");
        assert_eq!(line, 1, "{why}");
        assert_eq!(place("").2, "no stream: write at least one [[stream]] table");
    }
}
