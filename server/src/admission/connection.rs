//! One connection: handshake, hello, then frames both ways.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use host::tls;
use proto::SubscriberId;
use proto::admission::{Frames, FromPublisher, FromSubscriber, Hello, Refusal, Refused};
use proto::sign::PublicKey;
use proto::wire::Discard;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::listener::Door;
use super::roll::{Caller, Frame, Link};
use super::tally::Turned;

/// Carries a connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, number: u64, door: Door) {
    let _settled = Settled { door: &door, number };
    let local = stream.local_addr().map_or(IpAddr::from([0; 4]), |address| address.ip());
    let (talk, hello) = match begin(stream, peer, &door).await {
        Ok(begun) => begun,
        Err(why) => return door.turn_away(why, peer),
    };
    let (frames, told) = mpsc::channel(FRAMES_WAITING);
    let link = Link { number, local: local.to_canonical(), frames };
    let caller = Caller { key: talk.key, link };
    let id = hello.subscriber;
    let answered = door.admission.with(|roll, now| roll.hello(caller, &hello, now));
    drop(hello);
    match answered {
        Ok(()) => door.on_settled(number),
        Err(reason) => door.turn_away(Turned::Refused(reason), peer),
    }
    if let Err(error) = talk.go_on(id, told, &door).await {
        tracing::debug!(%error, %peer, "a connection for admission has ended");
    }
    door.admission.with(|roll, now| roll.closed(id, number, now));
}

/// Handshake and hello, within their time.
async fn begin(stream: TcpStream, peer: SocketAddr, door: &Door) -> Result<(Talk, Hello), Turned> {
    let places = door.handshakes_of(peer);
    let place = timeout(WAIT_FOR_PLACE, places.acquire()).await.map_err(|_| Turned::Timeout)?;
    let begin = async {
        stream.set_nodelay(true).map_err(|_| Turned::Handshake)?;
        let stream = door.acceptor.accept(stream).await.map_err(|_| Turned::Handshake)?;
        drop(place);
        let mut talk = Talk::new(stream);
        let hello = talk.hello().await?;
        Ok((talk, hello))
    };
    timeout(BEGIN_WITHIN, begin).await.map_err(|_| Turned::Timeout)?
}

/// What is said, both ways.
struct Talk {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    frames: Frames,
    key: Option<PublicKey>,
}

impl Talk {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        let key = tls::peer(stream.get_ref().1);
        let (read, write) = split(stream);
        Self { read, write, frames: Frames::new(), key }
    }

    async fn hello(&mut self) -> Result<Hello, Turned> {
        loop {
            match take(&mut self.frames) {
                Ok(Some(FromSubscriber::Hello(hello))) => return Ok(hello),
                Ok(None) => {}
                Err(Discard::Version) => {
                    let reason = Refusal::Version;
                    let refused = FromPublisher::Refused(Refused { stream: None, reason });
                    // It may be gone already.
                    drop(say(&mut self.write, &refused.to_frame()).await);
                    return Err(Turned::Refused(reason));
                }
                Ok(Some(_)) | Err(_) => return Err(Turned::Malformed),
            }
            if fill(&mut self.read, &mut self.frames).await.unwrap_or(0) == 0 {
                return Err(Turned::Malformed);
            }
        }
    }

    /// Until one side ends it, or the other is silent for too long.
    async fn go_on(
        self,
        id: SubscriberId,
        mut told: mpsc::Receiver<Frame>,
        door: &Door,
    ) -> io::Result<()> {
        let Self { mut read, mut write, mut frames, key: _ } = self;
        let hear = async {
            let mut heard = Instant::now();
            loop {
                let read = tokio::select! {
                    read = fill(&mut read, &mut frames) => read?,
                    () = sleep_until(heard + SILENCE) => {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                };
                if read == 0 {
                    return Ok(());
                }
                heard = Instant::now();
                while let Some(said) = take(&mut frames).map_err(unreadable)? {
                    door.on_said(id, said)?;
                }
            }
        };
        let speak = async {
            let alive = FromPublisher::Alive.to_frame();
            let mut every = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
            loop {
                tokio::select! {
                    frame = told.recv() => match frame {
                        Some(frame) => say(&mut write, &frame).await?,
                        None => break,
                    },
                    _ = every.tick() => say(&mut write, &alive).await?,
                }
            }
            timeout(WRITE_WITHIN, write.shutdown()).await.map_err(|_| io::ErrorKind::TimedOut)?
        };
        tokio::select! {
            heard = hear => heard,
            spoken = speak => spoken,
        }
    }
}

impl Door {
    fn on_said(&self, id: SubscriberId, said: FromSubscriber) -> io::Result<()> {
        match said {
            FromSubscriber::KeyWanted(wanted) => {
                self.admission.with(|roll, now| roll.key_wanted(id, &wanted, now));
            }
            FromSubscriber::Leave(leave) => {
                self.admission.with(|roll, now| roll.leave(id, &leave.stream, now));
            }
            FromSubscriber::Alive => {}
            FromSubscriber::Hello(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "hello is said once"));
            }
        }
        Ok(())
    }

    fn turn_away(&self, why: Turned, peer: SocketAddr) {
        let is_news = self.admission.with(|roll, now| {
            roll.tally.turn_away(why);
            roll.tally.is_news(why, now)
        });
        if is_news {
            tracing::warn!(reason = why.name(), from = %peer, "somebody was not let in");
        }
    }
}

/// A connection that has ended waits for nothing.
struct Settled<'a> {
    door: &'a Door,
    number: u64,
}

impl Drop for Settled<'_> {
    fn drop(&mut self) {
        self.door.on_settled(self.number);
    }
}

fn take(frames: &mut Frames) -> Result<Option<FromSubscriber>, Discard> {
    frames.take()?.map(FromSubscriber::decode).transpose()
}

async fn fill(read: &mut (impl AsyncRead + Unpin), frames: &mut Frames) -> io::Result<usize> {
    let len = read.read(frames.room()).await?;
    frames.advance(len);
    Ok(len)
}

async fn say(write: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let written = async {
        write.write_all(frame).await?;
        write.flush().await
    };
    timeout(WRITE_WITHIN, written).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn unreadable(why: Discard) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what it said cannot be read: {why}"))
}

/// From the handshake's turn to the end of the hello.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

/// Until it is its turn among those of its address.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(30);

const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Three times what the other side waits between two signs of life.
const SILENCE: Duration = Duration::from_secs(30);

/// Who takes nothing for so long is cut off.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// More than is ever told at once: each of its streams twice.
const FRAMES_WAITING: usize = 128;
