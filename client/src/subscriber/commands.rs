//! Joining and leaving at run time.

use proto::Timestamp;
use proto::endpoint::Endpoint;
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
}

/// Where the answer goes: an error says why not.
pub(crate) type Answer = oneshot::Sender<Result<(), String>>;

impl ReceiveThread {
    pub(super) fn take_commands(&mut self, now: Timestamp) {
        while let Ok(command) = self.commands.try_recv() {
            let (result, answer) = match command {
                Command::Join(prepared, answer) => {
                    (self.join(*prepared, now).map_err(|error| error.to_string()), answer)
                }
                Command::Leave(endpoint, answer) => (self.leave_endpoint(&endpoint, now), answer),
            };
            // Whoever asked may have gone.
            drop(answer.send(result));
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
