//! Waiting for sockets, for other threads and for a deadline, to the nanosecond.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use proto::Timestamp;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use crate::clock::Clock;

/// Waits for descriptors, wakers and time. Level-triggered: what is not drained is told again.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    waker: Waker,
}

/// Which descriptor an event is about: the caller's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

/// What of a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Read,
    /// Something to read, or room to write.
    ReadWrite,
}

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The descriptor.
    pub token: Token,
    /// There is something to read, or an error to fetch.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// The events of one wait: made once, used again.
pub struct Events {
    raw: Vec<epoll::Event>,
    ready: Vec<Event>,
    woken: bool,
}

/// Ends another thread's wait. Cheap to clone; waking twice is waking once.
#[derive(Clone, Debug)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

impl Poller {
    /// A poller that waits for nothing but its waker.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let eventfd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &*eventfd, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self { epoll, waker: Waker { eventfd } })
    }

    /// Waits for `descriptor` from now on.
    ///
    /// # Errors
    ///
    /// When it is waited for already, or cannot be.
    pub fn add(&self, descriptor: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        let data = EventData::new_u64(u64::from(token.0));
        Ok(epoll::add(&self.epoll, descriptor, data, flags(interest))?)
    }

    /// Changes what of `descriptor` is waited for.
    ///
    /// # Errors
    ///
    /// When it is not waited for.
    pub fn change(
        &self,
        descriptor: impl AsFd,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let data = EventData::new_u64(u64::from(token.0));
        Ok(epoll::modify(&self.epoll, descriptor, data, flags(interest))?)
    }

    /// Waits for `descriptor` no longer.
    ///
    /// # Errors
    ///
    /// When it was not waited for.
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// A handle by which another thread ends the wait.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until something is ready, someone wakes, or `deadline` has come (never, without
    /// one). A deadline that has passed polls once. A signal ends the wait with no events.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to wait.
    pub fn wait(
        &self,
        events: &mut Events,
        clock: &Clock,
        deadline: Option<Timestamp>,
    ) -> io::Result<()> {
        events.clear();
        let timeout = deadline.filter(|at| *at != Timestamp::NEVER).map(|at| {
            let left = at.since(clock.now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut events.raw), timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        events.sort_out(&self.waker);
        Ok(())
    }
}

impl Waker {
    /// A waker of its own: its descriptor is readable once it rang.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { eventfd: Arc::new(eventfd) })
    }

    /// Ends the wait that is under way, or the next one.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then a wake-up is on its way already.
        if let Err(error) = rustix::io::write(&*self.eventfd, &1_u64.to_ne_bytes()) {
            tracing::trace!(%error, "woken already");
        }
    }

    /// Takes back what was rung: for those who wait for the descriptor themselves.
    pub fn drain(&self) {
        let mut count = [0; 8];
        if let Err(error) = rustix::io::read(&*self.eventfd, &mut count) {
            tracing::trace!(%error, "not woken");
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

impl Events {
    /// Room for `capacity` events of one wait; more are told by the next.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            raw: Vec::with_capacity(capacity),
            ready: Vec::with_capacity(capacity),
            woken: false,
        }
    }

    /// What became ready.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.ready.iter().copied()
    }

    /// Whether a [`Waker`] rang.
    #[must_use]
    pub fn woken(&self) -> bool {
        self.woken
    }

    fn clear(&mut self) {
        self.raw.clear();
        self.ready.clear();
        self.woken = false;
    }

    fn sort_out(&mut self, waker: &Waker) {
        for event in &self.raw {
            let (data, flags) = (event.data.u64(), event.flags);
            let Ok(token) = u32::try_from(data) else {
                waker.drain();
                self.woken = true;
                continue;
            };
            let failed = EventFlags::ERR | EventFlags::HUP;
            self.ready.push(Event {
                token: Token(token),
                readable: flags.intersects(EventFlags::IN | failed),
                writable: flags.intersects(EventFlags::OUT | failed),
            });
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ready", &self.ready).field("woken", &self.woken).finish()
    }
}

/// Makes this thread's timers exact: by default the kernel may be 50 µs late to save power, which
/// is half a pacing quantum.
///
/// # Errors
///
/// When the kernel refuses.
pub fn make_timers_exact() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}

fn flags(interest: Interest) -> EventFlags {
    match interest {
        Interest::Read => EventFlags::IN,
        Interest::ReadWrite => EventFlags::IN | EventFlags::OUT,
    }
}

/// The waker's own event: no [`Token`] has this value.
const WAKE: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_below_a_millisecond_is_kept() {
        make_timers_exact().unwrap();
        let (poller, clock) = (Poller::new().unwrap(), Clock::start());
        let mut events = Events::with_capacity(4);
        let shortest = (0..20)
            .map(|_| {
                let start = clock.now();
                let deadline = start.after(Duration::from_micros(200));
                poller.wait(&mut events, &clock, Some(deadline)).unwrap();
                assert!(clock.now() >= deadline, "woke too early");
                clock.now().since(start)
            })
            .min()
            .unwrap();
        assert!(shortest < Duration::from_millis(1), "{shortest:?}: whole milliseconds only");
        assert_eq!(events.iter().count(), 0);
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let (poller, clock) = (Poller::new().unwrap(), Clock::start());
        let waker = poller.waker();
        let thread = std::thread::spawn(move || waker.wake());
        let mut events = Events::with_capacity(4);
        poller.wait(&mut events, &clock, Some(Timestamp::from_secs(10))).unwrap();
        thread.join().unwrap();
        assert!(events.woken());
        poller.wait(&mut events, &clock, Some(Timestamp::ZERO)).unwrap();
        assert!(!events.woken(), "woken once, told once");
    }

    #[test]
    fn a_socket_is_told_with_its_token() {
        let (poller, clock) = (Poller::new().unwrap(), Clock::start());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        poller.add(&socket, Token(7), Interest::Read).unwrap();
        let mut events = Events::with_capacity(4);
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        poller.wait(&mut events, &clock, Some(Timestamp::from_secs(10))).unwrap();
        let ready: Vec<Event> = events.iter().collect();
        assert_eq!(ready, [Event { token: Token(7), readable: true, writable: false }]);
        poller.change(&socket, Token(7), Interest::ReadWrite).unwrap();
        poller.wait(&mut events, &clock, None).unwrap();
        assert!(events.iter().all(|event| event.writable));
        poller.remove(&socket).unwrap();
        poller.wait(&mut events, &clock, Some(Timestamp::ZERO)).unwrap();
        assert_eq!(events.iter().count(), 0);
    }
}
