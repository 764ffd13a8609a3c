//! What a person can set: by flag, or by environment variable.

mod admission;
mod program;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use host::identity;
use host::interface::InterfaceSpec;
use host::key_file::{self, KeyFileError};
use host::receive_buffer;
use host::reload::Reload;
use host::secret::SecretError;
use proto::config::Start;
use proto::sign::PublicKey;
use proto::units::parse_duration;
use proto::wire::Name;
use proto::{ByteCount, Delivery};

pub(crate) use program::{ControlFlags, ProgramFlags};

use crate::admission::{PATTERN, check_pattern};
use crate::config::{
    Config, Defaults, FALLBACK_AFTER, KeyFile, MAX_AUTH_DELAY, MAX_CLOCK_SKEW, SILENT_TIMEOUT,
    SubscriptionConfig, WINDOW,
};
use crate::endpoint::{self, NotReceivable};
use crate::impair::ImpairSpec;
use crate::output::{Caching, OnFull, OutputSpec, Sessions};

/// `subscriber receive`
#[derive(Args, Clone, Debug)]
pub(crate) struct Receive {
    /// Groups to join: udp://239.1.2.3:5000, udp://[ff15::7%eth0]:5000, and source-specific
    /// udp://10.0.0.1@232.1.2.3:5000; a broadcast address; or a publisher to ask: unicast://HOST:PORT,
    /// tcp://HOST:PORT
    #[arg(
        value_name = "ENDPOINT",
        required_unless_present = "admission",
        env = "ONECAST_ENDPOINT",
        value_delimiter = ' '
    )]
    pub(crate) endpoints: Vec<String>,

    /// Where each stream goes, in the order of the endpoints, or with --admission of --stream: -
    /// (stdout, the default), a file (NAME.part until it is proved whole), udp://127.0.0.1:1234 (for
    /// a player); with --admission also a file with {stream} in it, for all others
    #[arg(short, long = "output", value_name = "OUTPUT", env = "ONECAST_OUTPUT")]
    pub(crate) outputs: Vec<OutputSpec>,

    /// What to do when an output is too slow, in the order of the outputs: hold the stream back, or
    /// go on without the oldest that waits [default: drop-oldest for udp:// and for streams with a
    /// deadline, block elsewhere]
    #[arg(long, value_name = "block|drop-oldest", env = "ONECAST_ON_FULL", value_delimiter = ',')]
    on_full: Vec<OnFull>,

    /// Where to ask for each while its group is not heard, in the order of the endpoints:
    /// unicast://HOST:PORT or tcp://HOST:PORT of its publisher
    #[arg(
        long = "fallback",
        value_name = "ENDPOINT",
        env = "ONECAST_FALLBACK",
        value_delimiter = ' '
    )]
    fallbacks: Vec<String>,

    #[command(flatten)]
    stream: StreamFlags,

    #[command(flatten)]
    admission: AdmissionFlags,

    #[command(flatten)]
    pub(crate) program: ProgramFlags,
}

/// How streams are received.
#[derive(Args, Clone, Debug)]
struct StreamFlags {
    /// Join on this interface: its name, index, address or network
    #[arg(long, value_name = "NAME|INDEX|ADDRESS|NETWORK", env = "ONECAST_INTERFACE")]
    interface: Option<InterfaceSpec>,

    /// Where to start in a session that is under way: with what is sent next, or with the oldest
    /// packet that the publisher still has [default: oldest into files, live elsewhere]
    #[arg(long, value_name = "live|oldest", env = "ONECAST_FROM")]
    from: Option<From>,

    /// Ask the fallback after so long without a datagram of the group
    #[arg(long, value_name = "2s", env = "ONECAST_FALLBACK_AFTER", value_parser = parse_duration)]
    fallback_after: Option<Duration>,

    /// Let the publisher try other ways of sending with this subscriber, `publisher compare`: what it
    /// sends for that is counted and thrown away
    #[arg(long, env = "ONECAST_ALLOW_COMPARE", value_parser = FalseyValueParser::new())]
    allow_compare: bool,

    /// What is older than this is not waited for, whatever the publisher says
    #[arg(long, value_name = "200ms", env = "ONECAST_DEADLINE", value_parser = parse_duration)]
    deadline: Option<Duration>,

    /// Receive this stream of the group only [default: the first that is announced]; with
    /// --admission the stream to ask for, which may be said several times [default: those that the
    /// publisher chooses]
    #[arg(long = "stream", value_name = "NAME", env = "ONECAST_STREAM")]
    streams: Vec<Name>,

    /// What the publisher calls this subscriber [default: the host's name]
    #[arg(long, value_name = "NAME", env = "ONECAST_NAME")]
    name: Option<Name>,

    /// Payload that may wait for a gap to close, or for the output
    #[arg(long, value_name = "SIZE", env = "ONECAST_WINDOW", default_value_t = WINDOW)]
    window: ByteCount,

    /// Write files past the page cache, in blocks of 4 MiB, where the file system can: takes less of the
    /// processor, and leaves the cache to what else runs here. What is slower than the stream holds it
    /// back at once
    #[arg(long, env = "ONECAST_DIRECT_IO", value_parser = FalseyValueParser::new())]
    direct_io: bool,

    /// Receive buffer to ask the kernel for, for each group [default: 8MiB; less where more than 32
    /// endpoints are named, so that all together are 256MiB]
    #[arg(long, value_name = "SIZE", env = "ONECAST_RCVBUF")]
    rcvbuf: Option<ByteCount>,

    /// Lose, reorder and double what the sockets receive, on purpose:
    /// loss=1%,burst=8,reorder=3,duplicate=0.1%,seed=7. It takes all that comes, of the group and
    /// of feedback: confirmations, cookies and unicast repairs too
    #[arg(long, value_name = "SPEC", env = "ONECAST_IMPAIR")]
    impair: Option<ImpairSpec>,

    /// Never send anything: lost packets come back from parity that the publisher sends ahead
    /// (`publisher send --parity 16`), and what does not is missing at the end
    #[arg(long, env = "ONECAST_MUTE", value_parser = FalseyValueParser::new())]
    mute: bool,

    /// Hear only what is sealed with the keys in this file, the publisher's; SIGHUP has it read again
    #[arg(long, value_name = "FILE", env = "ONECAST_KEY", conflicts_with = "allow_compare")]
    key: Option<PathBuf>,

    /// Hand out only what is signed with the secret half of this key, the publisher's: 64 digits, or a
    /// file that holds them, as `publisher keygen --identity` writes it
    #[arg(
        long,
        value_name = "PUBKEY|FILE",
        env = "ONECAST_VERIFY",
        conflicts_with = "allow_compare",
        value_parser = identity::public_key
    )]
    verify: Option<PublicKey>,

    /// With --verify: give up packets whose signature has not come after so long, on a stream with a
    /// deadline after that if it is shorter
    #[arg(long, value_name = "10s", env = "ONECAST_MAX_AUTH_DELAY", value_parser = parse_duration,
        requires = "verify")]
    max_auth_delay: Option<Duration>,

    /// With --key and --mute: believe a session only if its start is no further from now than this
    /// [default: 60s]
    #[arg(long, value_name = "60s", env = "ONECAST_MAX_CLOCK_SKEW", value_parser = parse_duration)]
    max_clock_skew: Option<Duration>,

    /// End with the first session that ends [default for files and stdout]
    #[arg(long, env = "ONECAST_ONCE", conflicts_with = "follow",
        value_parser = FalseyValueParser::new())]
    once: bool,

    /// Stay for the next session; files are NAME, NAME.2, NAME.3 and so on [default for udp://]
    #[arg(long, env = "ONECAST_FOLLOW", value_parser = FalseyValueParser::new())]
    follow: bool,

    /// Give a session up, with exit code 3, that is silent for this long before its end
    #[arg(long, value_name = "30s", env = "ONECAST_SILENT_TIMEOUT", value_parser = parse_duration)]
    silent_timeout: Option<Duration>,
}

/// Where keys are handed out.
#[derive(Args, Clone, Debug)]
struct AdmissionFlags {
    /// Ask here, a publisher's --admission, to be let in: streams, endpoints and keys come from it
    #[arg(long, value_name = "HOST:PORT", env = "ONECAST_ADMISSION",
        requires = "publisher", conflicts_with_all = ["key", "allow_compare"])]
    admission: Option<String>,

    /// Show there who this is: a file that `subscriber keygen` wrote
    #[arg(long, value_name = "FILE", env = "ONECAST_IDENTITY", requires = "admission")]
    identity: Option<PathBuf>,

    /// Show there the token in this file, which nobody else may read
    #[arg(long, value_name = "FILE", env = "ONECAST_ADMISSION_TOKEN_FILE", requires = "admission")]
    admission_token_file: Option<PathBuf>,

    /// The publisher's public key, or the file that holds it: nobody else is believed
    #[arg(long, value_name = "KEY|FILE", env = "ONECAST_PUBLISHER", requires = "admission")]
    publisher: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Live,
    Oldest,
}

/// What was typed is understood and cannot be meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Endpoint(#[from] NotReceivable),
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error("{outputs} outputs for {endpoints} endpoints: each endpoint has one")]
    TooManyOutputs { outputs: usize, endpoints: usize },
    #[error("{policies} of --on-full for {endpoints} endpoints: each output has one")]
    TooManyPolicies { policies: usize, endpoints: usize },
    #[error("{fallbacks} fallbacks for {endpoints} endpoints: each endpoint has one")]
    TooManyFallbacks { fallbacks: usize, endpoints: usize },
    #[error("{0} is asked for by unicast already: a fallback is for groups and broadcast")]
    NothingToFallBackFrom(String),
    #[error("--mute: {0} has to be asked for, and nothing is ever sent")]
    MuteAsks(String),
    #[error("two endpoints would write to {0}: give each an -o of its own")]
    SharedOutput(String),
    #[error("--metrics-token-file: {0}")]
    Token(#[from] SecretError),
    #[error("{0} is named twice")]
    Twice(String),
    #[error(
        "--stream names one stream of the endpoints; several can be asked for with --admission"
    )]
    SeveralStreams,
    #[error("{0:#}")]
    Admission(anyhow::Error),
    #[error("--admission needs something to show there: --identity or --admission-token-file")]
    NothingToShow,
    #[error(
        "without --stream the publisher chooses the streams: name a file with {PATTERN} in it, such as \
         -o '{PATTERN}.ts'"
    )]
    NoPattern,
    #[error("{0} has {PATTERN} in it: only one output may, and only with --admission")]
    Pattern(String),
    #[error(
        "{what} for {streams} streams: with --admission outputs, endpoints and the rest are in the \
         order of --stream"
    )]
    NotOfStreams { what: String, streams: usize },
    #[error("--json writes events to stdout, so that payload cannot go there: name a file with -o")]
    JsonAndPayload,
}

impl Receive {
    /// What these flags mean.
    pub(crate) fn into_config(self) -> Result<Config, UsageError> {
        if self.admission.admission.is_some() {
            return self.into_admission();
        }
        if let Some(pattern) =
            self.outputs.iter().map(OutputSpec::to_string).find(|it| check_pattern(it))
        {
            return Err(UsageError::Pattern(pattern));
        }
        if self.stream.streams.len() > 1 {
            return Err(UsageError::SeveralStreams);
        }
        let (endpoints, given) = (self.endpoints.len(), self.outputs.len());
        if given > endpoints {
            return Err(UsageError::TooManyOutputs { outputs: given, endpoints });
        }
        let policies = self.on_full.len();
        if policies > endpoints {
            return Err(UsageError::TooManyPolicies { policies, endpoints });
        }
        let mut policies = self.on_full.into_iter();
        if self.fallbacks.len() > endpoints {
            return Err(UsageError::TooManyFallbacks {
                fallbacks: self.fallbacks.len(),
                endpoints,
            });
        }
        let fallbacks: Vec<_> = self
            .fallbacks
            .iter()
            .map(|text| endpoint::parse_fallback(text))
            .collect::<Result<_, _>>()?;
        let mut fallbacks = fallbacks.into_iter();
        let key_file = self.stream.key.clone();
        let key_file = key_file.map(|path| KeyFile { path, requests: Reload::new() });
        let defaults = self.stream.into_defaults(endpoints)?;
        let outputs = self.outputs.into_iter().chain(std::iter::repeat(OutputSpec::Stdout));
        let mut subscriptions = Vec::new();
        for (endpoint, output) in self.endpoints.iter().zip(outputs) {
            let (endpoint, interface) = endpoint::parse(endpoint)?;
            let mut of_this = defaults.clone();
            of_this.interface = interface.or(of_this.interface);
            let subscription = of_this.subscription(endpoint, output);
            let (on_full, fallback) = (policies.next(), fallbacks.next());
            let subscription = SubscriptionConfig { on_full, fallback, ..subscription };
            if subscription.fallback.is_some() && endpoint::heard(&subscription.endpoint).is_none()
            {
                return Err(UsageError::NothingToFallBackFrom(subscription.endpoint.to_string()));
            }
            let asks = subscription.fallback.as_ref().or(Some(&subscription.endpoint));
            let asked = asks.filter(|endpoint| endpoint::heard(endpoint).is_none());
            if let Some(asked) = asked.filter(|_| subscription.defaults.mute) {
                return Err(UsageError::MuteAsks(asked.to_string()));
            }
            subscriptions.push(subscription);
        }
        let config = Config { subscriptions, key_file, ..self.program.config(defaults)? };
        check(&config)?;
        Ok(config)
    }
}

fn check(config: &Config) -> Result<(), UsageError> {
    let all = &config.subscriptions;
    for (place, this) in all.iter().enumerate() {
        let before = all.get(..place).unwrap_or_default();
        let is_shared = before.iter().any(|other| other.output == this.output);
        if is_shared && !this.output.is_nowhere() {
            return Err(UsageError::SharedOutput(this.output.spoken()));
        }
        if before.iter().any(|other| other.endpoint == this.endpoint) {
            return Err(UsageError::Twice(this.endpoint.to_string()));
        }
        if config.json && this.output == OutputSpec::Stdout {
            return Err(UsageError::JsonAndPayload);
        }
    }
    Ok(())
}

impl StreamFlags {
    /// What holds for each of so many `endpoints`.
    fn into_defaults(self, endpoints: usize) -> Result<Defaults, KeyFileError> {
        let keys = self.key.as_deref().map(key_file::read).transpose()?;
        let sessions = match (self.once, self.follow) {
            (true, _) => Some(Sessions::Once),
            (false, true) => Some(Sessions::Follow),
            (false, false) => None,
        };
        Ok(Defaults {
            interface: self.interface,
            start: self.from.map(|from| match from {
                From::Live => Start::Live,
                From::Oldest => Start::Oldest,
            }),
            sessions,
            delivery: self.deadline.map(Delivery::Timely),
            stream: self.streams.into_iter().next(),
            name: self.name.unwrap_or_else(host_name),
            window: self.window,
            caching: if self.direct_io { Caching::Direct } else { Caching::Cached },
            receive_buffer: self.rcvbuf.unwrap_or_else(|| receive_buffer::of_each(endpoints)),
            fallback_after: self.fallback_after.unwrap_or(FALLBACK_AFTER),
            allow_compare: self.allow_compare,
            impair: self.impair,
            mute: self.mute,
            keys,
            speaker: None,
            verify: self.verify,
            max_auth_delay: self.max_auth_delay.unwrap_or(MAX_AUTH_DELAY),
            max_clock_skew: self.max_clock_skew.unwrap_or(MAX_CLOCK_SKEW),
            silent_timeout: self.silent_timeout.unwrap_or(SILENT_TIMEOUT),
        })
    }
}

/// What a subscriber is called if nobody says.
pub(crate) fn host_name() -> Name {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().parse().unwrap_or_default()
}

/// An output that the running subscriber writes: relative to where the command was typed.
pub(crate) fn absolute(output: &OutputSpec, here: Option<PathBuf>) -> OsString {
    match (output, here) {
        (OutputSpec::File(path), Some(here)) => here.join(path).into_os_string(),
        (
            OutputSpec::Stdout
            | OutputSpec::Player(_)
            | OutputSpec::File(_)
            | OutputSpec::Program(_),
            _,
        ) => output.to_string().into(),
    }
}
