//! Small messages with nothing around them: a blocking send, a blocking receive, and the time between.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{END_LEN, JOINED};

/// What either end is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Pinging {
    /// Where to.
    #[arg(long)]
    pub(crate) group: SocketAddrV4,
    /// By which address.
    #[arg(long)]
    pub(crate) at: std::net::Ipv4Addr,
    /// How many, for the sender.
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u32,
    /// So many in a second.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rate: u32,
    /// To how many subscribers.
    #[arg(long, default_value_t = 0)]
    pub(crate) subscribers: usize,
    /// Looks for the next all the time instead of sleeping until it comes.
    #[arg(long)]
    pub(crate) spin: bool,
    /// By a library: received on the thread that asks.
    #[arg(long)]
    pub(crate) direct: bool,
}

/// One way, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// `None` where a program does not say it.
    pub(crate) p999: Option<f64>,
    pub(crate) largest: f64,
    pub(crate) received: usize,
}

/// Sends messages that carry the time at which they left.
pub(crate) fn send(pinging: &Pinging) -> anyhow::Result<()> {
    let socket = UdpSocket::from(super::send::socket(pinging.at)?);
    each(pinging, |message| {
        socket.send_to(message, pinging.group).context("cannot send")?;
        Ok(())
    })?;
    super::send::end(&socket, pinging.group).context("cannot send the end")
}

/// Makes each message when it is due, and has it sent; the first of them only warm everything up.
pub(crate) fn each(
    pinging: &Pinging,
    mut send: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut message = [0_u8; MESSAGE_LEN];
    let started = monotonic();
    for number in 0..WARM_UP + pinging.count {
        let due = started + Duration::from_secs(1) / pinging.rate * number;
        thread::sleep(due.saturating_sub(monotonic()));
        let nanos = u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX);
        // Zero: not to be counted.
        let stamp = if number < WARM_UP { 0 } else { nanos };
        if let Some(place) = message.first_chunk_mut() {
            *place = stamp.to_be_bytes();
        }
        send(&message)?;
    }
    Ok(())
}

/// Since the message was made, in microseconds; `None` if it is not to be counted.
pub(crate) fn delay_of(message: &[u8]) -> Option<f64> {
    let now = monotonic();
    let sent = u64::from_be_bytes(*message.first_chunk()?);
    let delay = now.saturating_sub(Duration::from_nanos(sent));
    (sent > 0).then_some(delay.as_secs_f64() * 1e6)
}

/// Receives them, and says how long they took.
pub(crate) fn receive(pinging: &Pinging) -> anyhow::Result<()> {
    let socket = super::receive::socket(pinging.group, pinging.at, BUFFER_LEN)?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nonblocking(pinging.spin)?;
    let mut delays = Vec::with_capacity(1 << 20);
    let mut message = [0; MESSAGE_LEN];
    println!("{JOINED}");
    while let Some(len) = next(&socket, pinging.spin, &mut message)? {
        if len == END_LEN {
            break;
        }
        delays.extend(delay_of(&message));
    }
    println!("{}", serde_json::to_string(&Delays::of(delays))?);
    Ok(())
}

impl Delays {
    pub(crate) fn of(mut delays: Vec<f64>) -> Self {
        delays.sort_unstable_by(f64::total_cmp);
        let at = |thousandths: usize| {
            let place = (delays.len() * thousandths / 1_000).min(delays.len().saturating_sub(1));
            delays.get(place).copied().unwrap_or_default()
        };
        let (p50, p99, p999, largest) = (at(500), at(990), at(999), at(1_000));
        Self { p50, p99, p999: Some(p999), largest, received: delays.len() }
    }
}

/// `None` when nothing comes any more.
fn next(socket: &UdpSocket, spin: bool, message: &mut [u8]) -> io::Result<Option<usize>> {
    let late = monotonic() + PATIENCE;
    loop {
        match socket.recv(message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !spin || monotonic() > late {
                    return Ok(None);
                }
                std::hint::spin_loop();
            }
            received => return received.map(Some),
        }
    }
}

/// The same clock in every process of the machine.
fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

const MESSAGE_LEN: usize = 128;

/// A fifth of a second of them: a sender may wait for its subscribers before its first, memory is
/// touched for the first time, and programs such as sockperf leave as much out.
pub(crate) const WARM_UP: u32 = 2_000;

/// A sender starts within seconds, and its end may be lost.
const PATIENCE: Duration = Duration::from_secs(10);

const BUFFER_LEN: usize = 4 << 20;
