//! One of sixteen is removed: it reads nothing that is sent under the next key, whatever it keeps, and the
//! others lose nothing.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use client::{Event, Subscriber};
use host::clock::Clock;
use host::identity::Identity;
use proto::admission::{FromPublisher, FromSubscriber, KeyWanted, Token};
use proto::config::Start;
use proto::receiver::{Delivered, Via};
use proto::seal::Keyring;
use proto::{ByteCount, Receiver, ReceiverConfig, SubscriberId, Timestamp};
use server::Publisher;
use server::admission::AdmissionConfig;
use server::admission::policy::Policy;
use socket2::{Domain, Protocol, Socket, Type};

use super::caller::Caller;
use super::*;

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 41, 60), 5_160);
const TOKEN: &[u8] = b"0123456789abcdef";

/// Messages of each half: before somebody is removed, and after that.
const HALF: u32 = 1_000;

fn message(number: u32) -> Vec<u8> {
    let mut message = vec![0; 300];
    fastrand::Rng::with_seed(u64::from(number)).fill(&mut message);
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

fn number_of(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[..4].try_into().unwrap())
}

/// A datagram, where it came from, and when.
type Heard = (Vec<u8>, SocketAddr, Timestamp);

/// All that the group is sent, as it came: sealed.
struct Recording {
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Recording {
    fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_recv_buffer_size(4 << 20).unwrap();
        socket.bind(&SocketAddr::V4(GROUP).into()).unwrap();
        socket.join_multicast_v4(GROUP.ip(), &Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let socket = UdpSocket::from(socket);
        let (heard, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (kept, is_over, clock) = (Arc::clone(&heard), Arc::clone(&stop), Clock::start());
        let thread = thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
                kept.lock().unwrap().push((datagram[..len].to_vec(), from, clock.now()));
            }
        });
        Self { heard, stop, thread }
    }

    /// Whether something came under this epoch.
    fn has_epoch(&self, epoch: u8) -> bool {
        self.heard.lock().unwrap().iter().any(|(datagram, ..)| datagram[3] == epoch)
    }

    fn end(self) -> Vec<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// What a receiver that has these keys makes of a recording.
fn read(recording: &[Heard], keys: Keyring) -> Vec<u32> {
    let config = ReceiverConfig {
        subscriber: SubscriberId(77),
        first_number: 0,
        name: "patched".parse().unwrap(),
        stream: None,
        start: Start::Oldest,
        delivery: None,
        window: ByteCount(32 << 20),
        socket_buffer: ByteCount(1 << 20),
        // It asks nobody, so that nobody need answer.
        mute: true,
        max_tries: 1,
        silent_after: Duration::from_secs(60),
        keys: Some(keys),
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: Clock::unix_us(),
        max_clock_skew: Duration::from_secs(600),
        seed: [7; 32],
    };
    let mut receiver = Receiver::new(config, Timestamp::ZERO);
    let mut read = Vec::new();
    for (datagram, from, at) in recording {
        receiver.handle_datagram(&mut datagram.clone(), Via::Group, *from, *at);
        receiver.handle_timeout(*at);
        while let Some(delivered) = receiver.pull(*at) {
            if let Delivered::Row(row) = delivered {
                read.extend(row.map(|message| number_of(&message)));
            }
        }
    }
    read
}

/// Takes messages to the end; gives back their numbers.
fn take(mut subscriber: Subscriber) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(event) = subscriber.recv().unwrap() {
        match event {
            Event::Message(message) => numbers.push(number_of(&message)),
            Event::Gap { first, end, cause } => panic!("{first:?} to {end:?}: {cause:?}"),
            Event::Session(_) => {}
            Event::End(end) => assert!(end.is_whole(), "{end:?}"),
        }
    }
    numbers
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn start_publisher(identity: &Identity) -> Publisher {
    let admission = AdmissionConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        identity: identity.clone(),
        policy: Policy { authorized: None, token: Some(Token::of(TOKEN)) },
    };
    let endpoint = format!("udp://{GROUP}");
    let builder = Publisher::builder(endpoint.parse().unwrap()).admission(admission);
    let builder = builder.interface("lo".parse().unwrap()).name("demo".parse().unwrap());
    builder.wait_for("15,30s".parse().unwrap()).start().unwrap()
}

/// The numbers that a subscriber of the library takes.
fn start_subscriber(
    name: &str,
    address: SocketAddr,
    identity: &Identity,
    token: &Path,
) -> JoinHandle<Vec<u32>> {
    let admission = client::Admission::at(address.to_string(), &identity.public().to_string());
    let admission = admission.unwrap().token_file(token).unwrap();
    let builder = Subscriber::admitted("demo".parse().unwrap(), admission);
    let builder = builder.interface("lo".parse().unwrap()).name(name.parse().unwrap());
    thread::spawn(move || take(builder.join().unwrap()))
}

#[test]
fn who_is_removed_reads_nothing_more_and_nobody_else_loses_anything() {
    let desk = Desk::new(1);
    let token = desk.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, only_ours).unwrap();
    let identity = Identity::of_seed(&[1; 32]);
    let recording = Recording::start();
    let publisher = start_publisher(&identity);
    let admission = publisher.admission().unwrap().clone();
    let address = admission.view().address;

    let mut victim = Caller::connect(address, None, identity.public()).unwrap();
    victim.say_hello(16, Some(TOKEN), &["demo"]);
    let Some(FromPublisher::Admitted(admitted)) = victim.hear() else { panic!("not admitted") };
    let others: Vec<_> = (0..15)
        .map(|number| start_subscriber(&format!("s{number}"), address, &identity, &token))
        .collect();

    (0..HALF).for_each(|number| publisher.send(&message(number)).unwrap());
    let first = || Keyring::of_epoch(admitted.epoch, admitted.key.clone());
    wait_until("the first half is not sent", || {
        read(&recording.heard.lock().unwrap(), first()).len() == HALF as usize
    });
    admission.kick("host-16", None).unwrap();
    assert!(matches!(victim.hear(), Some(FromPublisher::Removed(_))));
    wait_until("the next key is not used", || recording.has_epoch(2));
    let stream = admitted.stream.clone();
    victim.say(&FromSubscriber::KeyWanted(KeyWanted { stream, have_epoch: 1 }));
    (HALF..2 * HALF).for_each(|number| publisher.send(&message(number)).unwrap());
    let summary = publisher.close().unwrap();

    assert!(summary.is_complete(), "{summary:?}");
    let all: Vec<u32> = (0..2 * HALF).collect();
    for (number, other) in others.into_iter().enumerate() {
        assert!(other.join().unwrap() == all, "s{number} has not all of it");
    }
    while let Some(told) = victim.hear() {
        assert_eq!(told, FromPublisher::Alive, "it is told no other key");
    }
    let recording = recording.end();
    let kept = read(&recording, first());
    let first_half: Vec<u32> = (0..HALF).collect();
    assert_eq!(
        kept, first_half,
        "what it had the key of it reads, and nothing that was sent later"
    );
    let after = recording.iter().skip_while(|(datagram, ..)| datagram[3] != 2);
    let later: Vec<_> = after.cloned().collect();
    let mut both = first();
    both.add(2, admitted.key.clone());
    assert_eq!(read(&later, both), [0; 0], "the key of one epoch opens no other");
}
