//! What a person can set, the same by flag, by environment variable and in a config file.
//!
//! A value that was not given is `None`, so that what is nearer to the person can win: flag, then
//! environment, then the stream's table of the config file, then its `[defaults]`.

pub mod admission;
pub mod input;
pub mod target;
pub mod text;
pub mod value;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use host::http::HttpAddress;
use host::interface::InterfaceSpec;
use proto::ByteCount;
use proto::config::{Ahead, Interleave, SlowPolicy};
use proto::units::{Ratio, SizeOrDuration, parse_duration};
use proto::wire::Name;
use serde::Deserialize;

use self::admission::AdmissionAddress;
use self::input::InputSpec;
use self::target::Target;
use self::value::{Digest, Dscp, Rate, Threshold, WaitFor};

/// One stream: what it is, where it goes and how.
///
/// Flat, because a table of the config file that refuses unknown keys cannot be in parts.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct StreamFlags {
    /// What to send.
    #[arg(skip)]
    #[serde(deserialize_with = "text::option")]
    pub input: Option<InputSpec>,

    /// Where to.
    #[arg(skip)]
    #[serde(deserialize_with = "text::list")]
    pub to: Vec<Target>,

    /// What subscribers call the stream.
    #[arg(skip)]
    #[serde(deserialize_with = "text::option")]
    pub name: Option<Name>,

    /// Send by this interface: its name, index or address
    #[arg(long, value_name = "NAME|INDEX|ADDRESS", env = "ONECAST_INTERFACE")]
    #[serde(deserialize_with = "text::option")]
    pub interface: Option<InterfaceSpec>,

    /// Routers that a datagram may pass, plus one [default: 1, this network only]
    #[arg(long, value_name = "1..255", env = "ONECAST_TTL", value_parser = value::ttl)]
    #[serde(deserialize_with = "value::ttl_in_file")]
    pub ttl: Option<u8>,

    /// Seal the stream with the key in this file, which `publisher keygen` makes: who has it not reads
    /// nothing and is not believed [default: not sealed]
    #[arg(long, value_name = "FILE", env = "ONECAST_KEY")]
    pub key: Option<PathBuf>,

    /// Sign the stream with the identity in this file, which `publisher keygen --identity` makes: who has
    /// the key to seal still cannot speak as the publisher to subscribers with --verify [default: not
    /// signed]
    #[arg(long, value_name = "FILE", env = "ONECAST_SIGN")]
    pub sign: Option<PathBuf>,

    /// Whether subscribers on this machine hear the stream [default: true]
    #[arg(
        long = "loop",
        env = "ONECAST_LOOP",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(rename = "loop")]
    pub looped: Option<bool>,

    /// The same as --loop=false
    #[arg(long, conflicts_with = "looped")]
    #[serde(skip)]
    pub no_loop: bool,

    /// Differentiated services code point: 0 to 63, or a name such as ef, af41, cs5 [default: 0]
    #[arg(long, env = "ONECAST_DSCP")]
    #[serde(deserialize_with = "text::option")]
    pub dscp: Option<Dscp>,

    /// Bits per second on the wire for each endpoint, or `auto`: as fast as the slowest subscriber
    /// [default: auto]
    #[arg(long, value_name = "20M|auto", env = "ONECAST_RATE")]
    #[serde(deserialize_with = "text::option")]
    pub rate: Option<Rate>,

    /// What is older than this is not wanted any more [default: everything is wanted]
    #[arg(long, value_name = "200ms", env = "ONECAST_DEADLINE", value_parser = parse_duration)]
    #[serde(deserialize_with = "value::duration_in_file")]
    pub deadline: Option<Duration>,

    /// The longest IP packet to send, in bytes [default: the interface's MTU, at most 1500]
    #[arg(long, value_name = "BYTES", env = "ONECAST_MTU")]
    pub mtu: Option<u16>,

    /// Keep each datagram of the input as a message [default: true for udp:// input]
    #[arg(
        long,
        env = "ONECAST_MESSAGES",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub messages: Option<bool>,

    /// The input is RTP: take its header off [default: found out]
    #[arg(
        long,
        env = "ONECAST_RTP",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub rtp: Option<bool>,

    /// Payload kept for repair and late joiners [default: 64MiB]
    #[arg(long, value_name = "64MiB|10s", env = "ONECAST_RETAIN")]
    #[serde(deserialize_with = "text::option")]
    pub retain: Option<SizeOrDuration>,

    /// Before the first byte, wait for so many subscribers, or so long, or both [default: 1,2s]
    #[arg(long, value_name = "N|10s|N,10s", env = "ONECAST_WAIT_FOR")]
    #[serde(deserialize_with = "text::option")]
    pub wait_for: Option<WaitFor>,

    /// At the end, wait so long for those who have not everything [default: 10s]
    #[arg(long, value_name = "10s", env = "ONECAST_FINISH_TIMEOUT", value_parser = parse_duration)]
    #[serde(deserialize_with = "value::duration_in_file")]
    pub finish_timeout: Option<Duration>,

    /// The longest burst, as time on a wire of the stream's rate [default: 450us]
    #[arg(long, value_name = "450us", env = "ONECAST_BURST", value_parser = parse_duration)]
    #[serde(deserialize_with = "value::duration_in_file")]
    pub burst: Option<Duration>,

    /// How long a message may wait for others to share its packet [default: 0, not at all]
    #[arg(long, value_name = "50us", env = "ONECAST_LINGER", value_parser = parse_duration)]
    #[serde(deserialize_with = "value::duration_in_file")]
    pub linger: Option<Duration>,

    /// What the end of the stream tells of all payload, so that subscribers can prove that they have
    /// it: `sha256`, or `none`, which spares both ends the time for it [default: sha256; with --sign none]
    #[arg(long, value_name = "sha256|none", env = "ONECAST_DIGEST")]
    #[serde(deserialize_with = "text::option")]
    pub digest: Option<Digest>,

    /// Data packets in a block, 1 to 128 [default: 64]
    #[arg(long, value_name = "K", env = "ONECAST_BLOCK")]
    pub block: Option<u8>,

    /// Parity packets for each block before anyone asks; `auto`: as the reported loss needs on a
    /// timely stream, none on a reliable one [default: auto]
    #[arg(long, value_name = "N|auto", env = "ONECAST_PARITY")]
    #[serde(deserialize_with = "text::option")]
    pub parity: Option<Ahead>,

    /// Blocks that are interleaved, 1, 2, 4, 8, 16 or 32; `auto`: as the reported bursts of loss
    /// need [default: auto]
    #[arg(long, value_name = "DEPTH|auto", env = "ONECAST_INTERLEAVE")]
    #[serde(deserialize_with = "text::option")]
    pub interleave: Option<Interleave>,

    /// Share of what is sent that repair may take while data waits [default: 25%]
    #[arg(long, value_name = "25%", env = "ONECAST_REPAIR_BUDGET")]
    #[serde(deserialize_with = "text::option")]
    pub repair_budget: Option<Ratio>,

    /// What fewer subscribers than this ask for goes to each of them by unicast [default: 0, never]
    #[arg(long, value_name = "N", env = "ONECAST_REPAIR_UNICAST_BELOW")]
    pub repair_unicast_below: Option<u32>,

    /// A subscriber that holds the stream back or says nothing: `warn` names it, `evict` lets it go,
    /// too [default: evict with --rate auto, warn with a fixed rate]
    #[arg(long, value_name = "warn|evict", env = "ONECAST_SLOW")]
    #[serde(deserialize_with = "text::option")]
    pub slow: Option<SlowPolicy>,

    /// How long it may do so; it is named after half of it [default: 2s]
    #[arg(long, value_name = "2s", env = "ONECAST_SLOW_AFTER", value_parser = parse_duration)]
    #[serde(deserialize_with = "value::duration_in_file")]
    pub slow_after: Option<Duration>,

    /// Who takes at least this share of what the others could have is not slow [default: 5%]
    #[arg(long, value_name = "5%", env = "ONECAST_SLOW_FLOOR")]
    #[serde(deserialize_with = "text::option")]
    pub slow_floor: Option<Ratio>,

    /// Loss that lasts above this lowers the rate, then stops repair, then the stream
    /// [default: 30%]
    #[arg(long, value_name = "30%|off", env = "ONECAST_BREAKER")]
    #[serde(deserialize_with = "text::option")]
    pub breaker: Option<Threshold>,
}

/// How the program behaves.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProgramFlags {
    /// Serve Prometheus metrics here; `:9464` means loopback
    #[arg(long, value_name = "ADDRESS", env = "ONECAST_METRICS")]
    #[serde(deserialize_with = "text::option")]
    pub metrics: Option<HttpAddress>,

    /// Never sleep: what is due leaves, and what comes is heard, some 20 µs sooner, for a processor of
    /// its own
    #[arg(long, env = "ONECAST_SPIN", value_parser = FalseyValueParser::new())]
    pub spin: bool,

    /// Answer only those who show the token in this file, which nobody else may read
    #[arg(long, value_name = "FILE", env = "ONECAST_METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,

    /// Let subscribers in here, and hand them keys that change whenever one leaves; `:9500` means
    /// loopback. Needs --identity, and --authorized or --admission-token-file
    #[arg(long, value_name = "ADDRESS:PORT", env = "ONECAST_ADMISSION")]
    #[serde(deserialize_with = "text::option")]
    pub admission: Option<AdmissionAddress>,

    /// What subscribers know this publisher by: a file that `publisher keygen --identity` makes
    #[arg(long, value_name = "FILE", env = "ONECAST_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Let in whose public keys stand in this file: a line each, PUBLICKEY NAME [STREAM...]
    #[arg(long, value_name = "FILE", env = "ONECAST_AUTHORIZED")]
    pub authorized: Option<PathBuf>,

    /// Let in those who show the token in this file, which nobody else may read
    #[arg(long, value_name = "FILE", env = "ONECAST_ADMISSION_TOKEN_FILE")]
    pub admission_token_file: Option<PathBuf>,

    /// Path of the socket at which `publisher kick` and `admit` ask [default: by process, in the runtime
    /// directory]
    #[arg(long, value_name = "PATH", env = "ONECAST_CONTROL")]
    pub control: Option<PathBuf>,

    /// Write events and a summary to stdout, one JSON object a line; the log becomes JSON, too
    #[arg(long, env = "ONECAST_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// Say more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count, env = "ONECAST_VERBOSE")]
    pub verbose: u8,

    /// Say only what went wrong
    #[arg(short, long, env = "ONECAST_QUIET", conflicts_with = "verbose",
        value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

impl StreamFlags {
    /// These, with `below` where nothing was given.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        let looped = if self.no_loop { Some(false) } else { self.looped };
        Self {
            input: self.input.or(below.input),
            to: if self.to.is_empty() { below.to } else { self.to },
            name: self.name.or(below.name),
            interface: self.interface.or(below.interface),
            ttl: self.ttl.or(below.ttl),
            looped: looped.or(below.looped),
            no_loop: false,
            dscp: self.dscp.or(below.dscp),
            key: self.key.or(below.key),
            sign: self.sign.or(below.sign),
            rate: self.rate.or(below.rate),
            deadline: self.deadline.or(below.deadline),
            mtu: self.mtu.or(below.mtu),
            messages: self.messages.or(below.messages),
            rtp: self.rtp.or(below.rtp),
            retain: self.retain.or(below.retain),
            wait_for: self.wait_for.or(below.wait_for),
            finish_timeout: self.finish_timeout.or(below.finish_timeout),
            burst: self.burst.or(below.burst),
            linger: self.linger.or(below.linger),
            digest: self.digest.or(below.digest),
            block: self.block.or(below.block),
            parity: self.parity.or(below.parity),
            interleave: self.interleave.or(below.interleave),
            repair_budget: self.repair_budget.or(below.repair_budget),
            repair_unicast_below: self.repair_unicast_below.or(below.repair_unicast_below),
            slow: self.slow.or(below.slow),
            slow_after: self.slow_after.or(below.slow_after),
            slow_floor: self.slow_floor.or(below.slow_floor),
            breaker: self.breaker.or(below.breaker),
        }
    }
}

impl ProgramFlags {
    /// These, with `below` where nothing was given.
    #[must_use]
    pub fn or(self, below: &Self) -> Self {
        let is_loudness_given = self.quiet || self.verbose > 0;
        Self {
            metrics: self.metrics.or(below.metrics),
            spin: self.spin || below.spin,
            metrics_token_file: self.metrics_token_file.or(below.metrics_token_file.clone()),
            admission: self.admission.or(below.admission),
            identity: self.identity.or(below.identity.clone()),
            authorized: self.authorized.or(below.authorized.clone()),
            admission_token_file: self.admission_token_file.or(below.admission_token_file.clone()),
            control: self.control.or(below.control.clone()),
            json: self.json || below.json,
            verbose: if is_loudness_given { self.verbose } else { below.verbose },
            quiet: if is_loudness_given { self.quiet } else { below.quiet },
        }
    }

    /// As [`host::logging::init`] takes it.
    #[must_use]
    pub fn verbosity(&self) -> i8 {
        if self.quiet { -1 } else { i8::try_from(self.verbose).unwrap_or(i8::MAX) }
    }
}

/// Payload kept unless told otherwise.
pub const DEFAULT_RETAIN: ByteCount = ByteCount(64 << 20);
