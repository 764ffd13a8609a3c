//! A key file that has changed: what is new in it is the key of the next epoch.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use host::key_file::{self, Change};
use host::poller::Waker;
use proto::seal::Keyring;

use crate::config::KeyFile;
use crate::control::listener::Answering;
use crate::subscriber::Command;

/// The keys that a subscription begins with: those that were read last.
#[derive(Clone, Debug)]
pub(crate) struct SharedKeys(Arc<Mutex<Option<Keyring>>>);

impl SharedKeys {
    pub(crate) fn new(keys: Option<Keyring>) -> Self {
        Self(Arc::new(Mutex::new(keys)))
    }

    pub(crate) fn get(&self) -> Option<Keyring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, keys: Keyring) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}

/// Reads a key file again, and hands on what is new in it.
pub(crate) struct NewKeys {
    known: SharedKeys,
    commands: Sender<Command>,
    waker: Waker,
}

impl NewKeys {
    /// For whoever joins by `answering`, and those that have joined.
    pub(crate) fn of(answering: &Answering) -> Self {
        let (commands, waker) = (answering.commands.clone(), answering.crew.waker.clone());
        Self { known: answering.keys.clone(), commands, waker }
    }

    /// Reads `file` whenever it is asked for; never ends.
    pub(crate) async fn follow(self, file: KeyFile) {
        loop {
            file.requests.requested().await;
            match key_file::read(&file.path) {
                Ok(keys) => self.take(keys),
                Err(error) => tracing::error!("the key was not read again: {error}"),
            }
        }
    }

    fn take(&self, keys: Keyring) {
        match Change::between(&self.known.get().unwrap_or_default(), &keys) {
            Ok(change) => {
                let epochs: Vec<u8> = change.added.iter().map(|(epoch, _)| *epoch).collect();
                for (epoch, key) in change.added {
                    // A receive thread that has ended wants no keys.
                    drop(self.commands.send(Command::Key(None, epoch, key)));
                }
                self.waker.wake();
                self.known.set(keys);
                tracing::info!(?epochs, "the key file was read again; these epochs are new");
            }
            Err(error) => tracing::error!("the key file was not followed: {error}"),
        }
    }
}
