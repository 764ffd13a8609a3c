//! All live inputs of a process, on one thread.

use std::io;
use std::sync::Arc;
use std::thread;

use host::clock::Clock;
use host::poller::{Events, Interest, Poller, Token};
use host::shutdown::Shutdown;

use super::outbox::Outbox;
use super::udp::{Listener, Memory};

/// Inputs that go on whether or not they are read, not heard yet.
pub struct Live {
    inputs: Vec<(Listener, Outbox)>,
    /// Ends all inputs, those that are not live as well.
    pub(super) stop: Shutdown,
}

/// The thread that hears them.
struct Ears {
    poller: Poller,
    /// `None` once it has ended.
    inputs: Vec<Option<(Listener, Outbox)>>,
    stop: Shutdown,
}

impl Live {
    /// None yet; `stop` will end them.
    #[must_use]
    pub fn new(stop: &Shutdown) -> Self {
        Self { inputs: Vec::new(), stop: stop.clone() }
    }

    pub(super) fn add(&mut self, listener: Listener, outbox: Outbox) {
        self.inputs.push((listener, outbox));
    }

    /// Begins to hear all of them, until each has failed or is wanted no longer, or is to stop.
    ///
    /// # Errors
    ///
    /// When no thread can be started, or the kernel has no room for what it is to wait for.
    pub fn start(self) -> io::Result<()> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let poller = Poller::new()?;
        for ((listener, _), token) in self.inputs.iter().zip(0..) {
            poller.add(listener, Token(token), Interest::Read)?;
        }
        self.stop.wakes(poller.waker());
        let inputs = self.inputs.into_iter().map(Some).collect();
        let ears = Ears { poller, inputs, stop: self.stop };
        thread::Builder::new().name("input".to_owned()).spawn(move || ears.run())?;
        Ok(())
    }
}

impl Ears {
    fn run(mut self) {
        let (clock, mut memory) = (Clock::start(), Memory::new());
        let mut events = Events::with_capacity(EVENTS);
        let mut result = Ok(());
        while result.is_ok() && !self.stop.is_requested() && self.inputs.iter().any(Option::is_some)
        {
            result = self.poller.wait(&mut events, &clock, None);
            for event in events.iter() {
                self.hear(event.token, &mut memory);
            }
        }
        let failure = result.err().map(Arc::new);
        for (_, outbox) in self.inputs.into_iter().flatten() {
            let failure = failure.clone();
            outbox.finish_aside(failure.map_or(Ok(()), |error| Err(io::Error::other(error))));
        }
    }

    fn hear(&mut self, token: Token, memory: &mut Memory) {
        let place = usize::try_from(token.0).ok();
        let Some(slot) = place.and_then(|place| self.inputs.get_mut(place)) else { return };
        let Some((listener, outbox)) = slot else { return };
        let received = listener.receive(memory, outbox);
        if let Ok(Ok(())) = received {
            return;
        }
        let Some((listener, outbox)) = slot.take() else { return };
        if let Err(error) = self.poller.remove(&listener) {
            tracing::debug!(%error, "an input is waited for although it ended");
        }
        outbox.finish_aside(received.map(drop));
    }
}

/// Inputs that are heard in one turn; the others come in the next.
const EVENTS: usize = 64;
