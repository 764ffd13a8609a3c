//! How the program behaves, as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use host::http::HttpAddress;
use host::secret::SecretError;
use host::token::Token;
use proto::units::parse_duration;

use crate::config::{Config, ControlConfig, Defaults};

/// How the program behaves.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProgramFlags {
    /// Leave everything after this long
    #[arg(long = "for", value_name = "30s", env = "ONECAST_FOR", value_parser = parse_duration)]
    run_for: Option<Duration>,

    #[command(flatten)]
    control: ControlFlags,

    /// Serve Prometheus metrics here; `:9464` means loopback
    #[arg(long, value_name = "ADDRESS", env = "ONECAST_METRICS")]
    metrics: Option<HttpAddress>,

    /// Never sleep: what comes is handed out some 20 µs sooner, for a processor of its own
    #[arg(long, env = "ONECAST_SPIN", value_parser = FalseyValueParser::new())]
    spin: bool,

    /// Answer only those who show the token in this file, which nobody else may read
    #[arg(long, value_name = "FILE", env = "ONECAST_METRICS_TOKEN_FILE")]
    metrics_token_file: Option<PathBuf>,

    /// Write events and a summary to stdout, one JSON object a line; the log becomes JSON, too
    #[arg(long, env = "ONECAST_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,

    /// Say more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count, env = "ONECAST_VERBOSE")]
    verbose: u8,

    /// Say only what went wrong
    #[arg(short, long, env = "ONECAST_QUIET", conflicts_with = "verbose",
        value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}

/// Which running subscriber is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct ControlFlags {
    /// Path of the control socket
    #[arg(long, value_name = "PATH", env = "ONECAST_CONTROL", conflicts_with = "control_name")]
    control: Option<PathBuf>,

    /// Name of the control socket in the runtime directory [default: by process]
    #[arg(long, value_name = "NAME", env = "ONECAST_CONTROL_NAME", value_parser = control_name)]
    control_name: Option<String>,
}

impl ProgramFlags {
    /// A config of nothing yet.
    pub(super) fn config(self, defaults: Defaults) -> Result<Config, SecretError> {
        let token = self.metrics_token_file.as_deref();
        Ok(Config {
            subscriptions: Vec::new(),
            admission: None,
            key_file: None,
            defaults,
            run_for: self.run_for,
            control: Some(self.control.config().unwrap_or(ControlConfig::Process)),
            metrics: self.metrics,
            metrics_token: token.map(Token::read).transpose()?,
            json: self.json,
            spin: self.spin,
            progress: !self.quiet && !self.json,
        })
    }

    /// How much is said: above 0 more, below less.
    pub(crate) fn verbosity(&self) -> i8 {
        let louder = i8::try_from(self.verbose).unwrap_or(i8::MAX);
        if self.quiet { -1 } else { louder }
    }
}

impl ControlFlags {
    /// The socket that is named, if one is.
    pub(crate) fn config(self) -> Option<ControlConfig> {
        let path = self.control.map(ControlConfig::Path);
        path.or_else(|| self.control_name.map(ControlConfig::Name))
    }
}

/// A file name, and nothing that leads elsewhere.
fn control_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > CONTROL_NAME_LIMIT || !text.chars().all(fits) {
        return Err("a name has letters, digits, `-`, `_` and `.`, at most 64".to_owned());
    }
    Ok(text.to_owned())
}

/// `sun_path` has 108 bytes, and the directory takes some.
const CONTROL_NAME_LIMIT: usize = 64;
