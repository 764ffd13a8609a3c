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
#[derive(Default)]
pub struct Live {
    inputs: Vec<Ear>,
}

/// One of them.
struct Ear {
    listener: Listener,
    outbox: Outbox,
    /// Ends it.
    stop: Shutdown,
}

/// The thread that hears them.
struct Ears {
    poller: Poller,
    /// `None` once it has ended.
    inputs: Vec<Option<Ear>>,
}

impl Live {
    /// One more, until `stop` is requested.
    pub(super) fn add(&mut self, listener: Listener, outbox: Outbox, stop: Shutdown) {
        self.inputs.push(Ear { listener, outbox, stop });
    }

    /// Begins to hear all of them, until each has failed, is wanted no longer, or is to stop.
    ///
    /// # Errors
    ///
    /// When no thread can be started, or the kernel has no room for what it is to wait for.
    pub fn start(self) -> io::Result<()> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let poller = Poller::new()?;
        for (ear, token) in self.inputs.iter().zip(0..) {
            poller.add(&ear.listener, Token(token), Interest::Read)?;
            ear.stop.wakes(poller.waker());
        }
        let inputs = self.inputs.into_iter().map(Some).collect();
        let ears = Ears { poller, inputs };
        thread::Builder::new().name("input".to_owned()).spawn(move || ears.run())?;
        Ok(())
    }
}

impl Ears {
    fn run(mut self) {
        let (clock, mut memory) = (Clock::start(), Memory::new());
        let mut events = Events::with_capacity(EVENTS);
        let mut result = Ok(());
        while result.is_ok() && self.inputs.iter().any(Option::is_some) {
            result = self.poller.wait(&mut events, &clock, None);
            for event in events.iter() {
                self.hear(event.token, &mut memory);
            }
            if events.woken() {
                self.end_stopped();
            }
        }
        let failure = result.err().map(Arc::new);
        for ear in self.inputs.into_iter().flatten() {
            let failure = failure.clone();
            ear.outbox.finish_aside(failure.map_or(Ok(()), |error| Err(io::Error::other(error))));
        }
    }

    fn hear(&mut self, token: Token, memory: &mut Memory) {
        let place = usize::try_from(token.0).ok();
        let Some(slot) = place.and_then(|place| self.inputs.get_mut(place)) else { return };
        let Some(ear) = slot else { return };
        let received = ear.listener.receive(memory, &mut ear.outbox);
        if let Ok(Ok(())) = received {
            return;
        }
        if let Some(ear) = slot.take() {
            ear.end(&self.poller, received.map(drop));
        }
    }

    fn end_stopped(&mut self) {
        for slot in &mut self.inputs {
            if let Some(ear) = slot.take_if(|ear| ear.stop.is_requested()) {
                ear.end(&self.poller, Ok(()));
            }
        }
    }
}

impl Ear {
    /// Its port is free before anybody hears that it ended.
    fn end(self, poller: &Poller, result: io::Result<()>) {
        if let Err(error) = poller.remove(&self.listener) {
            tracing::debug!(%error, "an input is waited for although it ended");
        }
        drop(self.listener);
        self.outbox.finish_aside(result);
    }
}

/// Inputs that are heard in one turn; the others come in the next.
const EVENTS: usize = 64;
