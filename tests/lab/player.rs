//! What a player would see: datagrams of a transport stream, and when they came.

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lab::net::Host;

/// Listens at a port of a host's loopback.
pub(crate) struct Player {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<Vec<Played>>>>,
}

/// A datagram.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) at: Instant,
    pub(crate) bytes: Vec<u8>,
}

/// What was found in a transport stream (ISO/IEC 13818-1 §2.4.3).
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    pub(crate) packets: u64,
    /// Packets that do not follow the one before them.
    pub(crate) errors: u64,
    pub(crate) pids: usize,
}

impl Player {
    pub(crate) fn start(host: &Host, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let socket = host.run(|| UdpSocket::bind(("127.0.0.1", port)));
        let socket = socket.expect("run in the host").expect("bind a player's port");
        let sock = socket2::SockRef::from(&socket);
        sock.set_recv_buffer_size(4 << 20).expect("set the buffer");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("set a timeout");
        let until = Arc::clone(&stop);
        let thread = host.start(move || listen(&socket, &until)).expect("start a player");
        Self { stop, thread: Some(thread) }
    }

    /// All that came.
    pub(crate) fn stop(mut self) -> Vec<Played> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a thread");
        thread.join().expect("a player").expect("a player in its host")
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn listen(socket: &UdpSocket, stop: &AtomicBool) -> Vec<Played> {
    let mut played = Vec::new();
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        if let Ok(len) = socket.recv(&mut buffer) {
            played.push(Played { at: Instant::now(), bytes: buffer[..len].to_vec() });
        }
    }
    played
}

/// The longest time between two datagrams.
pub(crate) fn longest_pause(played: &[Played]) -> Duration {
    played.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default()
}

/// Counts packets that do not follow the one before them, for each stream of the multiplex.
pub(crate) fn continuity<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> Continuity {
    let mut found = Continuity::default();
    let mut last: BTreeMap<u16, u8> = BTreeMap::new();
    for datagram in datagrams {
        assert_eq!(datagram.len() % PACKET, 0, "a datagram of whole packets");
        for packet in datagram.chunks_exact(PACKET) {
            assert_eq!(packet[0], SYNC, "a packet of a transport stream");
            found.packets += 1;
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
            let counter = packet[3] & 0xf;
            let is_marked = has_adaptation && packet[4] > 0 && packet[5] & 0x80 != 0;
            let before = last.insert(pid, counter);
            let expected = before.map(|before| (before + u8::from(has_payload)) & 0xf);
            let is_wrong = expected.is_some_and(|expected| expected != counter);
            found.errors += u64::from(is_wrong && !is_marked && pid != NULL_PID);
        }
    }
    found.pids = last.len();
    found
}

const PACKET: usize = 188;
const SYNC: u8 = 0x47;
const NULL_PID: u16 = 0x1fff;
