//! What a subscription is told before it begins.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use host::interface::InterfaceSpec;
use host::key_file;
use host::scheduling::run_soon;
use host::shutdown::Shutdown;
use proto::config::Start;
use proto::endpoint::Endpoint;
use proto::sign::PublicKey;
use proto::wire::Name;
use proto::{ByteCount, Delivery};

use super::intake::Intake;
use super::{Direct, Subscriber};
use crate::admission::Admission;
use crate::config::{AdmissionConfig, Config, Defaults, StreamWanted, SubscriptionConfig};
use crate::flags::host_name;
use crate::impair::ImpairSpec;
use crate::output::{Inbox, OnFull, OutputSpec, Reader, Sessions};
use crate::run::Run;
use crate::summary::Summary;

/// Makes a [`Subscriber`]. Every value can be written as on the command line and parsed:
/// `.interface("eth0".parse()?)`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    /// None where it comes with the admission.
    endpoint: Option<Endpoint>,
    admission: Option<Admission>,
    fallback: Option<Endpoint>,
    on_full: Option<OnFull>,
    defaults: Defaults,
    key: Option<PathBuf>,
    run_for: Option<Duration>,
    is_hashed: bool,
    spin: bool,
}

impl Builder {
    pub(super) fn new(endpoint: Option<Endpoint>) -> Self {
        let defaults = Defaults { name: host_name(), ..Defaults::default() };
        Self {
            endpoint,
            admission: None,
            fallback: None,
            on_full: None,
            defaults,
            key: None,
            run_for: None,
            is_hashed: false,
            spin: false,
        }
    }

    /// Joins by this interface; must be said where there are several.
    pub fn interface(mut self, interface: InterfaceSpec) -> Self {
        self.defaults.interface = Some(interface);
        self
    }

    /// What this subscriber is called; otherwise as the host.
    pub fn name(mut self, name: Name) -> Self {
        self.defaults.name = name;
        self
    }

    /// The only stream of the group that is wanted; otherwise the first that is heard.
    pub fn stream(mut self, stream: Name) -> Self {
        self.defaults.stream = Some(stream);
        self
    }

    /// Where to start in a session that is under way; otherwise with what is sent next.
    pub fn start(mut self, start: Start) -> Self {
        self.defaults.start = Some(start);
        self
    }

    /// What is older than this is not waited for, whatever the publisher says.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.defaults.delivery = Some(Delivery::Timely(deadline));
        self
    }

    /// Where the stream is asked for while the group is not heard: `unicast://…` or `tcp://…`.
    pub fn fallback(mut self, publisher: Endpoint) -> Self {
        self.fallback = Some(publisher);
        self
    }

    /// What follows the end of a session; otherwise nothing.
    pub fn sessions(mut self, sessions: Sessions) -> Self {
        self.defaults.sessions = Some(sessions);
        self
    }

    /// What happens when it is read too slowly.
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = Some(on_full);
        self
    }

    /// Payload that may wait for a gap to close, or to be read.
    pub fn window(mut self, window: ByteCount) -> Self {
        self.defaults.window = window;
        self
    }

    /// Sends nothing, ever: there is no way back.
    pub fn mute(mut self, is_mute: bool) -> Self {
        self.defaults.mute = is_mute;
        self
    }

    /// Hears only what is sealed with the key in this file, the publisher's; otherwise only what is
    /// not sealed.
    pub fn key(mut self, file: impl Into<PathBuf>) -> Self {
        self.key = Some(file.into());
        self
    }

    /// Hands out only what is signed with the secret half of this key, the publisher's.
    pub fn verify(mut self, key: PublicKey) -> Self {
        self.defaults.verify = Some(key);
        self
    }

    /// Packets whose signature does not come are given up after this, on a stream with a deadline
    /// after that if it is shorter; otherwise 10 s.
    pub fn max_auth_delay(mut self, delay: Duration) -> Self {
        self.defaults.max_auth_delay = delay;
        self
    }

    /// Asks a publisher's admission to be let in, and for the keys of the stream that
    /// [`Builder::stream`] names; to join then waits until it is. Excludes [`Builder::key`].
    pub fn admission(mut self, admission: Admission) -> Self {
        self.admission = Some(admission);
        self
    }

    /// With a key, and where nothing is sent: how far from now the start of a session may be;
    /// otherwise a minute.
    pub fn max_clock_skew(mut self, skew: Duration) -> Self {
        self.defaults.max_clock_skew = skew;
        self
    }

    /// A session that ends in silence is given up after this; otherwise after 30 s.
    pub fn silent_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.silent_timeout = timeout;
        self
    }

    /// Leaves after this, whatever comes.
    pub fn run_for(mut self, time: Duration) -> Self {
        self.run_for = Some(time);
        self
    }

    /// Whether to compute the SHA-256 of what is handed out, and to compare it with the
    /// publisher's: see `Builder::hashed` there.
    pub fn hashed(mut self, is_hashed: bool) -> Self {
        self.is_hashed = is_hashed;
        self
    }

    /// The thread that receives never sleeps: what comes is handed out some 20 µs sooner, for a
    /// processor of its own.
    pub fn spin(mut self, spin: bool) -> Self {
        self.spin = spin;
        self
    }

    /// Loses, doubles and reorders datagrams on purpose.
    pub fn impair(mut self, impair: ImpairSpec) -> Self {
        self.defaults.impair = Some(impair);
        self
    }

    /// Joins; what is sent from now on is heard.
    ///
    /// # Errors
    ///
    /// When it cannot be done as said, or the system refuses; the error says which, and what to
    /// say instead.
    pub fn join(self) -> anyhow::Result<Subscriber> {
        let (config, inbox, is_hashed) = self.into_config()?;
        let shutdown = Shutdown::new();
        let thread = receive(config, shutdown.clone())?;
        let mut reader = None;
        while reader.is_none() && !thread.is_finished() {
            reader = inbox.take_within(LOOK_EVERY);
        }
        let Some(reader) = reader.or_else(|| inbox.take()) else {
            let ended =
                thread.join().map_err(|_| anyhow!("the receive thread ended unexpectedly"))?;
            return Err(not_joined(&ended?));
        };
        let reader = hashing(reader, is_hashed);
        Ok(Subscriber { intake: Intake::new(reader), shutdown, thread: Some(thread) })
    }

    /// Joins for a program that receives on a thread of its own: see [`Direct`].
    ///
    /// # Errors
    ///
    /// As [`Builder::join`].
    pub fn join_direct(self) -> anyhow::Result<Direct> {
        let (config, inbox, is_hashed) = self.into_config()?;
        let shutdown = Shutdown::new();
        // A kernel that refuses lets it run later: no reason to end.
        drop(run_soon());
        let mut run = Run::start(&config, shutdown.clone())?.directly();
        match Direct::wait(&mut run, &inbox)? {
            Some(reader) => Ok(Direct::new(run, hashing(reader, is_hashed), shutdown)),
            None => Err(not_joined(&run.conclude())),
        }
    }

    /// What is to be received, and where it can be read then.
    fn into_config(mut self) -> anyhow::Result<(Config, Inbox, bool)> {
        if let Some(group) = self.endpoint.as_ref().and_then(Endpoint::group) {
            group.check_joinable()?;
        }
        self.defaults.keys = self.key.as_deref().map(key_file::read).transpose()?;
        let inbox = Inbox::default();
        let output = OutputSpec::Program(inbox.clone());
        let (mut subscriptions, mut admission) = (Vec::new(), None);
        match (self.admission, self.endpoint) {
            (Some(_), _) if self.key.is_some() => {
                bail!("keys come from a file or from an admission: say one of them")
            }
            (Some(asked), endpoint) => {
                let name = self.defaults.stream.take();
                let name = name.context("an admission is asked for a stream: name it")?;
                let (fallback, on_full) = (self.fallback, self.on_full);
                let wanted =
                    StreamWanted { name, output, endpoint, fallback, interface: None, on_full };
                let streams = vec![wanted];
                admission = Some(AdmissionConfig { admission: asked, streams, pattern: None });
            }
            (None, Some(endpoint)) => {
                let (fallback, on_full) = (self.fallback, self.on_full);
                let subscription = self.defaults.subscription(endpoint, output);
                subscriptions.push(SubscriptionConfig { fallback, on_full, ..subscription });
            }
            (None, None) => bail!("nothing to join"),
        }
        let config = Config {
            subscriptions,
            admission,
            key_file: None,
            defaults: self.defaults,
            run_for: self.run_for,
            control: None,
            metrics: None,
            metrics_token: None,
            json: false,
            spin: self.spin,
            progress: false,
        };
        Ok((config, inbox, self.is_hashed))
    }
}

fn hashing(mut reader: Reader, is_hashed: bool) -> Reader {
    if is_hashed {
        reader.hash();
    }
    reader
}

/// Why there is nothing to read.
fn not_joined(summary: &Summary) -> anyhow::Error {
    match summary.streams.first() {
        Some(stream) => anyhow!("{}", stream.ended),
        None => anyhow!("nothing was joined"),
    }
}

/// Joins on a thread that receives from then on: what waits for sockets cannot change threads.
fn receive(config: Config, shutdown: Shutdown) -> anyhow::Result<Receiving> {
    let (tell, joined) = mpsc::channel();
    let run = move || {
        let run = Run::start(&config, shutdown)?;
        tell.send(()).context("nobody waits for it any longer")?;
        run.finish()
    };
    let thread = thread::Builder::new().name("receive".to_owned()).spawn(run);
    let thread = thread.context("no thread to receive with")?;
    if joined.recv().is_err() {
        let why = thread.join().map_err(|_| anyhow!("the receive thread ended unexpectedly"))?;
        bail!(why.err().context("nothing was joined")?);
    }
    Ok(thread)
}

/// How often it is seen whether the receive thread has ended before anything was joined.
const LOOK_EVERY: Duration = Duration::from_millis(50);

type Receiving = JoinHandle<anyhow::Result<Summary>>;
