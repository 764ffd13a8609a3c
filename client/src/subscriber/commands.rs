//! Joining and leaving at run time, and keys.

use proto::Timestamp;
use proto::endpoint::Endpoint;
use proto::seal::Key;
use proto::wire::Name;
use tokio::sync::oneshot;

use super::ReceiveThread;
use crate::subscription::Prepared;
use crate::summary::Ended;

/// What another thread asks of the receive thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Subscribe to what was prepared.
    Join(Box<Prepared>, Answer),
    /// Leave a group.
    Leave(Endpoint, Answer),
    /// Subscribe to a stream that this subscriber was admitted to.
    Admit(Name, Box<Prepared>),
    /// The key of the next epoch: of the stream that this subscriber was admitted to, or of all
    /// those that have a key file.
    Key(Option<Name>, u8, Key),
    /// This subscriber is not admitted to a stream, or to any: why, as a person is told.
    Shut(Option<Name>, String),
}

/// Where the answer goes: an error says why not.
pub(crate) type Answer = oneshot::Sender<Result<(), String>>;

impl ReceiveThread {
    pub(super) fn take_commands(&mut self, now: Timestamp) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Join(prepared, answer) => {
                    let joined = self.join(*prepared, now).map_err(|error| error.to_string());
                    // Whoever asked may have gone.
                    drop(answer.send(joined));
                }
                Command::Leave(endpoint, answer) => {
                    drop(answer.send(self.leave_endpoint(&endpoint, now)));
                }
                Command::Admit(stream, prepared) => self.on_admitted(&stream, *prepared, now),
                Command::Key(stream, epoch, key) => self.on_key(stream.as_ref(), epoch, &key),
                Command::Shut(stream, why) => self.on_shut(stream.as_ref(), &why, now),
            }
        }
    }

    fn leave_endpoint(&mut self, endpoint: &Endpoint, now: Timestamp) -> Result<(), String> {
        let found = self.subscriptions.iter().find(|(_, it)| it.config().endpoint == *endpoint);
        let Some((&id, _)) = found else {
            return Err(format!("{endpoint} is not subscribed to"));
        };
        self.leave(id, Ended::Left, now);
        Ok(())
    }
}
