//! Accepting: how many at a time, from whom, and for how long.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use host::tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::{Admission, AdmissionConfig};
use crate::tcp;

/// Where subscribers ask to be let in; open, and nobody is served yet.
pub(crate) struct Listener {
    listener: StdListener,
    acceptor: TlsAcceptor,
}

/// What connections share.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) admission: Admission,
    pub(super) acceptor: TlsAcceptor,
    /// Those who have not been let in yet, by their numbers: the oldest first.
    waiting: Arc<Mutex<BTreeMap<u64, AbortHandle>>>,
    /// Handshakes of each address.
    handshakes: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

impl Listener {
    /// Listens where `config` says.
    ///
    /// # Errors
    ///
    /// When the address is in use, or not of this machine.
    pub(crate) fn bind(config: &AdmissionConfig) -> anyhow::Result<Self> {
        let address = config.address;
        let listener = tcp::try_listen(address)
            .with_context(|| format!("cannot listen for admission at {address}"))?;
        let acceptor = TlsAcceptor::from(tls::server(&config.identity)?);
        Ok(Self { listener, acceptor })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not know.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Lets in who may. Never returns, but when the listener cannot be used.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub(crate) async fn serve(self, admission: Admission) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let door = Door {
            admission,
            acceptor: self.acceptor,
            waiting: Arc::default(),
            handshakes: Arc::default(),
        };
        for number in 1.. {
            match listener.accept().await {
                Ok((stream, peer)) => door.open(stream, peer, number),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    // Out of descriptors, most likely: others may be closed in the meantime.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }
}

impl Door {
    fn open(&self, stream: TcpStream, peer: SocketAddr, number: u64) {
        let mut waiting = lock(&self.waiting);
        let serve = connection::serve(stream, peer, number, self.clone());
        waiting.insert(number, tokio::spawn(serve).abort_handle());
        // Strangers take places from strangers, never from those who were let in.
        if waiting.len() > MOST_WAITING
            && let Some((_, oldest)) = waiting.pop_first()
        {
            oldest.abort();
        }
    }

    /// It was let in, or its connection has ended.
    pub(super) fn on_settled(&self, number: u64) {
        lock(&self.waiting).remove(&number);
    }

    /// A place among the handshakes of an address: while others stand there it has to wait, so that one
    /// host cannot keep all others out.
    pub(super) fn handshakes_of(&self, peer: SocketAddr) -> Arc<Semaphore> {
        let mut handshakes = lock(&self.handshakes);
        if handshakes.len() >= MOST_WAITING {
            handshakes.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = handshakes.entry(neighbourhood(peer.ip()));
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(HANDSHAKES))))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A host of IPv6 has all addresses of its network.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Of one address at a time.
const HANDSHAKES: usize = 16;

/// Connections that have not been let in.
const MOST_WAITING: usize = 1_024;

const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use host::identity::Identity;
    use host::poller::Poller;
    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;
    use crate::admission::policy::Policy;
    use crate::reload::Commands;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn who_says_nothing_is_cut_off_and_counted() {
        let identity = Identity::of_seed(&[1; 32]);
        let address = "127.0.0.1:0".parse().unwrap();
        let config = AdmissionConfig { address, identity, policy: Policy::default() };
        let listener = Listener::bind(&config).unwrap();
        let address = listener.address().unwrap();
        let (sender, _commands) = std::sync::mpsc::channel();
        let commands = Commands { sender, waker: Poller::new().unwrap().waker() };
        let admission = Admission::new(&config, address, commands, mpsc::channel(1).0);
        tokio::spawn(listener.serve(admission.clone()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let began = Instant::now();
        assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
        assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(admission.view().refused.get("timeout"), Some(&1));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_host() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
