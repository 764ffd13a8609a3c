//! What a subscriber is told before it starts: flags resolved, defaults chosen.

use std::path::PathBuf;
use std::time::Duration;

use host::http::HttpAddress;
use host::interface::InterfaceSpec;
use host::receive_buffer;
use host::reload::Reload;
use host::token::Token;
use proto::config::Start;
use proto::endpoint::Endpoint;
use proto::seal::Keyring;
use proto::sign::PublicKey;
use proto::wire::Name;
use proto::{ByteCount, Delivery, SubscriberId};

use crate::admission::Admission;
use crate::impair::ImpairSpec;
use crate::output::{Caching, OnFull, OutputSpec, Sessions};

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is subscribed to from the start.
    pub subscriptions: Vec<SubscriptionConfig>,
    /// Who hands out streams and their keys, if somebody does.
    pub admission: Option<AdmissionConfig>,
    /// The file that `defaults.keys` came from, if it is to be read again.
    pub key_file: Option<KeyFile>,
    /// What is joined later is told the rest by this.
    pub defaults: Defaults,
    /// All is left after this.
    pub run_for: Option<Duration>,
    /// Where others of this user join and leave.
    pub control: Option<ControlConfig>,
    /// The receive thread never sleeps.
    pub spin: bool,
    /// Where metrics are served.
    pub metrics: Option<HttpAddress>,
    /// What whoever asks for them must show.
    pub metrics_token: Option<Token>,
    /// Events and the summary go to stdout, a JSON object a line.
    pub json: bool,
    /// A live line is drawn, if there is a terminal.
    pub progress: bool,
}

/// What is asked of a publisher's admission.
#[derive(Clone, Debug)]
pub struct AdmissionConfig {
    /// Where it is, and what is shown there.
    pub admission: Admission,
    /// The streams that are wanted; none: those that the publisher chooses.
    pub streams: Vec<StreamWanted>,
    /// Where any other stream goes: a path with `{stream}` in it. Without, none is taken.
    pub pattern: Option<String>,
}

/// A stream that is asked for.
#[derive(Clone, Debug)]
pub struct StreamWanted {
    /// Its name.
    pub name: Name,
    /// Where its payload goes.
    pub output: OutputSpec,
    /// Where it is received, in the place of what the publisher says.
    pub endpoint: Option<Endpoint>,
    /// Where it is asked for while nothing is heard, in the place of what the publisher says.
    pub fallback: Option<Endpoint>,
    /// The interface that was named with the endpoint.
    pub interface: Option<InterfaceSpec>,
    /// What happens when the output is too slow; without, it depends on output and stream.
    pub on_full: Option<OnFull>,
}

/// A key file that is read again on request: what is new in it is taken.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// When to.
    pub requests: Reload,
}

/// Where the control socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlConfig {
    /// At this path.
    Path(PathBuf),
    /// In the runtime directory, under this name.
    Name(String),
    /// In the runtime directory, named after the process; nothing is lost if it cannot be.
    Process,
}

/// What holds for every subscription unless it is said otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The interface that groups are joined on.
    pub interface: Option<InterfaceSpec>,
    /// Where to start; without, it depends on the output.
    pub start: Option<Start>,
    /// What follows the end of a session; without, it depends on the output.
    pub sessions: Option<Sessions>,
    /// Overrides the publisher's deadline.
    pub delivery: Option<Delivery>,
    /// The only stream that is wanted.
    pub stream: Option<Name>,
    /// What this subscriber is called.
    pub name: Name,
    /// Who it is to a publisher that admitted it, and the first number of what it says as that;
    /// otherwise somebody new for each subscription.
    pub speaker: Option<(SubscriberId, u64)>,
    /// Payload that may wait for a gap to close or for the output.
    pub window: ByteCount,
    /// How files are written.
    pub caching: Caching,
    /// What is asked of the kernel for each group's socket.
    pub receive_buffer: ByteCount,
    /// How long nothing is heard of a group before the fallback is asked.
    pub fallback_after: Duration,
    /// Whether the publisher may try other ways of sending with this subscriber.
    pub allow_compare: bool,
    /// What is done to the datagrams on purpose.
    pub impair: Option<ImpairSpec>,
    /// There is no return path: nothing is ever sent.
    pub mute: bool,
    /// Opens sealed streams, and no others are heard; without, only those that are not sealed.
    pub keys: Option<Keyring>,
    /// Hands out only what this key's owner signed; without, whatever the group's key opens.
    pub verify: Option<PublicKey>,
    /// Packets whose signature does not come are given up after this.
    pub max_auth_delay: Duration,
    /// Without a return path: how much older or newer than the clock says a sealed session may be.
    pub max_clock_skew: Duration,
    /// A session that ends in silence is given up after this.
    pub silent_timeout: Duration,
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionConfig {
    /// What is joined, or asked for.
    pub endpoint: Endpoint,
    /// Where it is asked for while nothing is heard.
    pub fallback: Option<Endpoint>,
    /// Where the payload goes.
    pub output: OutputSpec,
    /// What happens when the output is too slow; without, it depends on output and stream.
    pub on_full: Option<OnFull>,
    /// Where in the session to start.
    pub start: Start,
    /// What follows the end of a session.
    pub sessions: Sessions,
    /// It is part of a comparison, and none of what was asked for.
    pub is_trial: bool,
    /// The rest.
    pub defaults: Defaults,
}

impl Defaults {
    /// A subscription of `endpoint` into `output`.
    #[must_use]
    pub fn subscription(&self, endpoint: Endpoint, output: OutputSpec) -> SubscriptionConfig {
        let start = self.start.unwrap_or(match output {
            OutputSpec::File(_) => Start::Oldest,
            OutputSpec::Stdout | OutputSpec::Player(_) | OutputSpec::Program(_) => Start::Live,
        });
        let sessions = self.sessions.unwrap_or_else(|| output.default_sessions());
        SubscriptionConfig {
            endpoint,
            fallback: None,
            output,
            on_full: None,
            start,
            sessions,
            is_trial: false,
            defaults: self.clone(),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            interface: None,
            start: None,
            sessions: None,
            delivery: None,
            stream: None,
            name: Name::default(),
            speaker: None,
            window: WINDOW,
            caching: Caching::Cached,
            receive_buffer: receive_buffer::LARGEST,
            fallback_after: FALLBACK_AFTER,
            allow_compare: false,
            impair: None,
            mute: false,
            keys: None,
            verify: None,
            max_auth_delay: MAX_AUTH_DELAY,
            max_clock_skew: MAX_CLOCK_SKEW,
            silent_timeout: SILENT_TIMEOUT,
        }
    }
}

impl SubscriptionConfig {
    /// The stream that it was admitted to, if it was.
    pub(crate) fn admitted(&self) -> Option<&Name> {
        self.defaults.speaker.and(self.defaults.stream.as_ref())
    }

    /// The interface that was named: with the endpoint, or for all.
    ///
    /// # Errors
    ///
    /// When the zone of an IPv6 group names none.
    pub(crate) fn interface(
        &self,
    ) -> Result<Option<InterfaceSpec>, host::interface::InvalidInterface> {
        match self.endpoint.group().and_then(|group| group.zone.as_ref()) {
            Some(zone) => zone.parse().map(Some),
            None => Ok(self.defaults.interface.clone()),
        }
    }
}

/// A quarter of a second at 1 Gbit/s: several round trips of repair.
pub(crate) const WINDOW: ByteCount = ByteCount(32 * 1024 * 1024);

/// Two of the longest times between heartbeats.
pub(crate) const FALLBACK_AFTER: Duration = Duration::from_secs(2);

/// As long as a publisher waits at the end for those who have not everything.
pub(crate) const MAX_AUTH_DELAY: Duration = Duration::from_secs(10);

/// Clocks that nobody sets go wrong by seconds a day.
pub(crate) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Longer than any restart of a publisher, shorter than a person waits.
pub(crate) const SILENT_TIMEOUT: Duration = Duration::from_secs(30);
