//! What a publisher does, as it is used: addresses resolved, interfaces found, units converted.

pub mod admission;
pub mod error;
pub mod file;
mod listen;
pub mod route;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use host::http::HttpAddress;
use host::identity::Identity;
use host::key_file;
use host::token::Token;
use proto::config::{Ahead, Flow, Interleave, Tuning};
use proto::endpoint::{Endpoint, same_ethernet_mac};
use proto::seal::{Keyring, TAG_LEN};
use proto::sign::SigningKey;
use proto::units::SizeOrDuration;
use proto::wire::{CODED_HEADER_LEN, CODED_PREFIX_LEN, Name, StreamMode};
use proto::{Bitrate, ByteCount, Delivery, StreamId};

pub use self::error::ConfigError;
use self::route::{Outlet, Route};
use crate::admission::AdmissionConfig;
use crate::flags::input::InputSpec;
use crate::flags::value::{Digest, Rate, Threshold, WaitFor};
use crate::flags::{DEFAULT_RETAIN, StreamFlags};
use crate::input::InputConfig;
use crate::operator::OperatorSocket;
use crate::report::Talk;

/// What a publisher does.
#[derive(Clone, Debug)]
pub struct Config {
    /// The streams; never none, no two with one name.
    pub streams: Vec<StreamConfig>,
    /// Where metrics are served.
    pub metrics: Option<HttpAddress>,
    /// The data thread never sleeps.
    pub spin: bool,
    /// What whoever asks for them must show.
    pub metrics_token: Option<Token>,
    /// How subscribers are let in; `None`: whoever hears a stream is a subscriber.
    pub admission: Option<AdmissionConfig>,
    /// Where `publisher kick` and `admit` ask.
    pub operator: OperatorSocket,
    /// How progress is told.
    pub talk: Talk,
    /// What works but is unwise, a sentence each.
    pub warnings: Vec<String>,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// What subscribers call it.
    pub name: Name,
    /// Where it comes from.
    pub input: InputConfig,
    /// Where it goes; never nowhere.
    pub routes: Vec<Route>,
    /// How the payload is to be read.
    pub mode: StreamMode,
    /// Whether a late packet is still wanted.
    pub delivery: Delivery,
    /// Length of a full datagram, in bytes of UDP payload.
    pub datagram_len: u16,
    /// What Ethernet, IP and UDP add to it, in bytes: the most of all routes.
    pub overhead_len: u16,
    /// Seals it; `None`: it is not sealed.
    pub keys: Option<Keyring>,
    /// Signs it; `None`: it is not signed.
    pub sign: Option<SigningKey>,
    /// Data packets in a full block.
    pub k: u8,
    /// Parity that is sent before anyone asks.
    pub ahead: Ahead,
    /// How many blocks are interleaved.
    pub interleave: Interleave,
    /// `None`: as fast as the slowest kept subscriber takes it.
    pub rate: Option<Bitrate>,
    /// How the rate is shared, and when who cannot follow is let go.
    pub flow: Flow,
    /// No burst takes longer than this at the stream's rate.
    pub burst: Duration,
    /// A message waits no longer than this for others to share its packet.
    pub linger: Duration,
    /// What the end of the stream tells, so that subscribers can check what they have.
    pub digest: Digest,
    /// Payload that is kept.
    pub retain: ByteCount,
    /// Payload older than this is not kept.
    pub retain_for: Option<Duration>,
    /// What the first byte waits for.
    pub wait_for: WaitFor,
    /// How long End is repeated for those who have not all.
    pub finish_timeout: Duration,
}

impl Config {
    /// Resolves what was written.
    ///
    /// # Errors
    ///
    /// When it cannot be done as written; the error says what to write instead.
    pub fn new(
        streams: Vec<StreamFlags>,
        metrics: Option<HttpAddress>,
        talk: Talk,
    ) -> Result<Self, ConfigError> {
        let streams = streams.into_iter().map(StreamConfig::new);
        Self::of(streams.collect::<Result<Vec<_>, _>>()?, metrics, talk)
    }

    /// One stream of what the program pushes into `queue`.
    pub(crate) fn of_program(
        flags: StreamFlags,
        metrics: Option<HttpAddress>,
        input: (InputConfig, StreamMode),
    ) -> Result<Self, ConfigError> {
        Self::of(vec![StreamConfig::of_program(flags, input)?], metrics, Talk::Silent)
    }

    fn of(
        streams: Vec<StreamConfig>,
        metrics: Option<HttpAddress>,
        talk: Talk,
    ) -> Result<Self, ConfigError> {
        refuse_same_names(&streams)?;
        refuse_meetings(&streams)?;
        let warnings = warnings(&streams);
        let config = Self {
            streams,
            metrics,
            metrics_token: None,
            spin: false,
            admission: None,
            operator: OperatorSocket::None,
            talk,
            warnings,
        };
        Ok(config.with_token(None))
    }

    /// Metrics are for those who show `token`.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.metrics_token = token;
        let open = self.metrics.filter(HttpAddress::is_open);
        self.warnings.retain(|warning| !warning.starts_with(OPEN_METRICS));
        if let (Some(address), None) = (open, &self.metrics_token) {
            self.warnings.push(format!(
                "{OPEN_METRICS} {address} can be read by others than this machine: give a \
                 --metrics-token-file"
            ));
        }
        self
    }
}

impl Config {
    /// Only those who are let in have the streams.
    ///
    /// # Errors
    ///
    /// When there is no stream that they could be let in to.
    pub fn with_admission(
        mut self,
        admission: Option<AdmissionConfig>,
    ) -> Result<Self, ConfigError> {
        let has_key = |stream: &StreamConfig| stream.keys.is_some();
        if admission.is_some() && self.streams.iter().all(has_key) {
            return Err(ConfigError::KeyAndAdmission);
        }
        self.admission = admission;
        Ok(self)
    }

    /// Where subscribers connect, each address once.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> =
            self.streams.iter().flat_map(StreamConfig::tcp_addresses).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl StreamConfig {
    /// Payload that a full packet carries, in bytes.
    pub(crate) fn payload_len(&self) -> usize {
        let tag_len = if self.keys.is_some() { TAG_LEN } else { 0 };
        let around = CODED_HEADER_LEN + CODED_PREFIX_LEN + tag_len;
        usize::from(self.datagram_len).saturating_sub(around)
    }

    fn new(flags: StreamFlags) -> Result<Self, ConfigError> {
        let spec = flags.input.clone().ok_or(ConfigError::NoInput)?;
        let name = match &flags.name {
            Some(name) => name.clone(),
            None => spec.default_name().parse()?,
        };
        let input = InputConfig::new(&spec, &flags)?;
        let mode = mode(&spec, flags.messages)?;
        Self::of(flags, name, input, mode)
    }

    fn of_program(
        flags: StreamFlags,
        (input, mode): (InputConfig, StreamMode),
    ) -> Result<Self, ConfigError> {
        let unnamed = if mode == StreamMode::Messages { QUEUE_NAME } else { MEMORY_NAME };
        let name = match &flags.name {
            Some(name) => name.clone(),
            None => unnamed.parse()?,
        };
        Self::of(flags, name, input, mode)
    }

    fn of(
        flags: StreamFlags,
        name: Name,
        input: InputConfig,
        mode: StreamMode,
    ) -> Result<Self, ConfigError> {
        if flags.to.is_empty() {
            return Err(ConfigError::NoEndpoint { stream: name });
        }
        let routes = route::resolve(&flags)?;
        let (datagram_len, overhead_len) = lengths(&routes, flags.mtu)?;
        let rate = match flags.rate.unwrap_or_default() {
            Rate::Auto => None,
            Rate::Fixed(rate) => Some(rate),
        };
        let (retain, retain_for) = retention(flags.retain, rate);
        Ok(Self {
            name,
            input,
            routes,
            mode,
            delivery: delivery(flags.deadline)?,
            datagram_len,
            overhead_len,
            keys: keys(flags.key.as_deref())?,
            sign: signing_key(flags.sign.as_deref())?,
            k: block(flags.block)?,
            ahead: flags.parity.unwrap_or_default(),
            interleave: flags.interleave.unwrap_or_default(),
            rate,
            flow: flow(&flags)?,
            burst: flags.burst.unwrap_or(DEFAULT_BURST),
            linger: flags.linger.unwrap_or_default(),
            digest: flags.digest.unwrap_or(match flags.sign {
                // Each packet is proved by itself, and the end of the stream as well.
                Some(_) => Digest::None,
                None => Digest::Sha256,
            }),
            retain,
            retain_for,
            wait_for: flags.wait_for.unwrap_or_default(),
            finish_timeout: flags.finish_timeout.unwrap_or(DEFAULT_FINISH_TIMEOUT),
        })
    }

    /// The interfaces that it leaves by, each once.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let names = self.routes.iter().map(|route| route.outlet.interface.clone());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Where its subscribers connect.
    pub(crate) fn tcp_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let tcp = |route: &&Route| matches!(route.endpoint, Endpoint::Tcp { .. });
        self.routes.iter().filter(tcp).map(|route| route.destination)
    }

    /// What of it may change while it runs.
    pub(crate) fn tuning(&self) -> Tuning {
        Tuning {
            rate: self.rate,
            linger: self.linger,
            retain: self.retain,
            retain_for: self.retain_for,
            finish_timeout: self.finish_timeout,
        }
    }

    /// This, with what may change while it runs as `other` has it.
    pub(crate) fn tuned(self, other: &Self) -> Self {
        let Tuning { rate, linger, retain, retain_for, finish_timeout } = other.tuning();
        Self { rate, linger, retain, retain_for, finish_timeout, ..self }
    }

    /// Its id on the wire.
    #[must_use]
    pub fn id(&self) -> StreamId {
        StreamId::of_name(self.name.as_str())
    }
}

fn mode(input: &InputSpec, messages: Option<bool>) -> Result<StreamMode, ConfigError> {
    match (input.is_live(), messages) {
        (true, None | Some(true)) => Ok(StreamMode::Messages),
        (_, None | Some(false)) => Ok(StreamMode::Bytes),
        (false, Some(true)) => Err(ConfigError::NoMessages),
    }
}

fn signing_key(path: Option<&Path>) -> Result<Option<SigningKey>, ConfigError> {
    Ok(path.map(Identity::read).transpose()?.map(|identity| identity.signing_key()))
}

fn keys(path: Option<&Path>) -> Result<Option<Keyring>, ConfigError> {
    Ok(path.map(key_file::read).transpose()?)
}

fn delivery(deadline: Option<Duration>) -> Result<Delivery, ConfigError> {
    match deadline {
        None => Ok(Delivery::Reliable),
        // The announce carries whole milliseconds, and 0 there means none.
        Some(deadline) if deadline < Duration::from_millis(1) => Err(ConfigError::Deadline),
        Some(deadline) => Ok(Delivery::Timely(deadline)),
    }
}

fn flow(flags: &StreamFlags) -> Result<Flow, ConfigError> {
    let default = Flow::default();
    let slow_after = flags.slow_after.unwrap_or(default.slow_after);
    if slow_after < SHORTEST_SLOW {
        return Err(ConfigError::SlowAfter);
    }
    let breaker = match flags.breaker {
        None => default.breaker,
        Some(Threshold::Off) => None,
        Some(Threshold::Above(loss)) => Some(loss),
    };
    Ok(Flow {
        repair_budget: flags.repair_budget.unwrap_or(default.repair_budget),
        repair_unicast_below: flags.repair_unicast_below.unwrap_or(default.repair_unicast_below),
        slow: flags.slow,
        slow_after,
        slow_floor: flags.slow_floor.unwrap_or(default.slow_floor),
        breaker,
    })
}

fn block(block: Option<u8>) -> Result<u8, ConfigError> {
    match block.unwrap_or(DEFAULT_BLOCK) {
        k @ 1..=128 => Ok(k),
        k => Err(ConfigError::Block(k)),
    }
}

/// Length of a full datagram and what is added to it.
fn lengths(routes: &[Route], mtu: Option<u16>) -> Result<(u16, u16), ConfigError> {
    let mut datagram_len = u16::MAX;
    let mut overhead_len = 0;
    for Route { outlet, .. } in routes {
        let limit = u16::try_from(outlet.interface_mtu).unwrap_or(u16::MAX);
        let mtu = mtu.unwrap_or(limit.min(ETHERNET_MTU));
        if mtu < SMALLEST_MTU {
            return Err(ConfigError::MtuTooSmall { mtu });
        }
        if mtu > limit.min(LARGEST_MTU) {
            let interface = outlet.interface.clone();
            return Err(ConfigError::MtuTooLarge { mtu, interface, limit: limit.min(LARGEST_MTU) });
        }
        datagram_len = datagram_len.min(mtu - outlet.ip_udp_len());
        overhead_len = overhead_len.max(outlet.overhead_len());
    }
    Ok((datagram_len, overhead_len))
}

/// A time is turned into bytes at the stream's rate, where it has one.
fn retention(
    retain: Option<SizeOrDuration>,
    rate: Option<Bitrate>,
) -> (ByteCount, Option<Duration>) {
    match (retain, rate) {
        (None, _) => (DEFAULT_RETAIN, None),
        (Some(SizeOrDuration::Size(size)), _) => (size, None),
        (Some(SizeOrDuration::Duration(time)), None) => (DEFAULT_RETAIN, Some(time)),
        (Some(SizeOrDuration::Duration(time)), Some(rate)) => {
            (ByteCount(rate.bytes_in(time).max(SMALLEST_RETAIN)), Some(time))
        }
    }
}

fn refuse_same_names(streams: &[StreamConfig]) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    match streams.iter().find(|stream| !names.insert(&stream.name)) {
        Some(stream) => Err(ConfigError::SameName { name: stream.name.clone() }),
        None => Ok(()),
    }
}

/// Two streams of one id on one group could not be told apart.
fn refuse_meetings(streams: &[StreamConfig]) -> Result<(), ConfigError> {
    let mut places = BTreeSet::new();
    for stream in streams {
        for route in &stream.routes {
            let place = (route.destination, route.outlet.interface_index, stream.id());
            if !places.insert(place) {
                let name = stream.name.clone();
                return Err(ConfigError::SamePlace { name, endpoint: route.endpoint.to_string() });
            }
        }
    }
    Ok(())
}

fn warnings(streams: &[StreamConfig]) -> Vec<String> {
    let routes = || streams.iter().flat_map(|stream| &stream.routes);
    let mut warnings: Vec<String> = routes().flat_map(|route| route.endpoint.warnings()).collect();
    let groups: Vec<_> = routes().filter_map(|route| route.endpoint.group().cloned()).collect();
    for (first, second) in same_ethernet_mac(&groups) {
        if let (Some(first), Some(second)) = (groups.get(first), groups.get(second)) {
            warnings.push(format!(
                "{} and {} share an Ethernet address: a switch gives subscribers of one both",
                first.address, second.address
            ));
        }
    }
    let lonely = routes().find(|route| route.outlet.is_loopback);
    if let Some(Route { outlet: Outlet { interface, .. }, .. }) = lonely {
        warnings.push(format!("{interface} reaches nobody but this machine"));
    }
    let mut told = BTreeSet::new();
    warnings.retain(|warning| told.insert(warning.clone()));
    warnings
}

/// How a warning begins.
const OPEN_METRICS: &str = "metrics at";

/// What Ethernet carries: longer datagrams get lost on the way unless someone said they do not.
const ETHERNET_MTU: u16 = 1_500;

/// What every IPv4 host must be able to receive (RFC 791 §3.1).
const SMALLEST_MTU: u16 = 576;

/// The longest datagram of the protocol, with the headers of IPv4 and UDP.
const LARGEST_MTU: u16 = 9_000 + 28;

/// Between 100 and 450 µs a pacer's burst is shallow and its wake-ups are few.
const DEFAULT_BURST: Duration = Duration::from_micros(450);

const DEFAULT_FINISH_TIMEOUT: Duration = Duration::from_secs(10);

const DEFAULT_BLOCK: u8 = 64;

/// What a stream of a program's own messages is called if nobody says.
const QUEUE_NAME: &str = "messages";

/// The same of bytes in its memory.
const MEMORY_NAME: &str = "bytes";

/// Subscribers report ten times a second: less silence than this is none.
const SHORTEST_SLOW: Duration = Duration::from_millis(500);

/// Less than this is less than one push of payload.
const SMALLEST_RETAIN: u64 = 1 << 20;
