//! What is handed out, whoever receives it.

use std::task::{Context, Poll};

use proto::receiver::Delivered;

use super::{Event, RecvError};
use crate::output::{Handed, Reader};
use crate::summary::Ended;

/// Makes events of what a reader has.
#[derive(Debug)]
pub(super) struct Intake {
    reader: Reader,
    is_over: bool,
}

/// What comes next; `None`: nothing more.
pub(super) type Next = Option<Result<Event, RecvError>>;

impl Intake {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, is_over: false }
    }

    /// Takes what is next, where it is not in the ring.
    pub(super) fn take_over(&mut self, delivered: Delivered) {
        self.reader.take_over(delivered);
    }

    /// Waits for what comes next.
    pub(super) fn next(&mut self) -> Next {
        let next = self.reader.next();
        self.take(next)
    }

    /// The same for a task.
    pub(super) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Next> {
        self.reader.poll_next(context).map(|next| self.take(next))
    }

    /// What there is now.
    pub(super) fn try_next(&mut self) -> Poll<Next> {
        self.reader.try_next().map(|next| self.take(next))
    }

    fn take(&mut self, next: Option<Handed>) -> Next {
        match next {
            Some(handed) => Some(Ok(Event::new(handed, || self.reader.finished()))),
            None if std::mem::replace(&mut self.is_over, true) => None,
            None => why(self.reader.ended()).map(Err),
        }
    }
}

/// What of the reasons to end is an error.
fn why(ended: Option<Ended>) -> Option<RecvError> {
    match ended {
        Some(Ended::Silent) => Some(RecvError::Silent),
        Some(Ended::Failed(why)) => Some(RecvError::Failed(why)),
        Some(
            Ended::Complete
            | Ended::Flawed(_)
            | Ended::Left
            | Ended::TimeUp
            | Ended::Interrupted
            | Ended::ReaderGone,
        ) => None,
        None => Some(RecvError::Failed("its thread ended".to_owned())),
    }
}
