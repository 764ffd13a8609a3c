//! A file, a pipe or a terminal, read in large pieces.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use host::poller::Waker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::outbox::{Closed, Outbox};
use super::pieces::Pieces;

/// Reads what is not live: only as fast as it is taken.
#[derive(Debug)]
pub(super) struct Reader {
    descriptor: OwnedFd,
    /// Never has to be waited for.
    is_file: bool,
}

enum Read {
    Some,
    End,
}

enum Wait {
    Readable,
    Quiet,
    Stopped,
}

impl Reader {
    pub(super) fn new(descriptor: OwnedFd, is_file: bool) -> Self {
        Self { descriptor, is_file }
    }

    /// Reads to the end, or until `stopped` rings; packets carry `payload_len` bytes.
    pub(super) fn run(
        &self,
        outbox: &mut Outbox,
        payload_len: usize,
        stopped: &Waker,
    ) -> io::Result<()> {
        let mut pieces = Pieces::new(payload_len);
        loop {
            let sent = match self.wait(stopped, !pieces.is_empty())? {
                Wait::Stopped => return Ok(()),
                Wait::Quiet => outbox.send(pieces.take(), true),
                Wait::Readable => match self.read(&mut pieces)? {
                    Read::End => {
                        // Nobody takes the rest: then nobody misses it, either.
                        return outbox.send(pieces.take(), false).or(Ok(()));
                    }
                    Read::Some if pieces.is_full() => outbox.send(pieces.take(), false),
                    Read::Some => Ok(()),
                },
            };
            if let Err(Closed) = sent {
                return Ok(());
            }
        }
    }

    fn read(&self, pieces: &mut Pieces) -> io::Result<Read> {
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.descriptor, pieces.room())) {
            Ok(0) => Ok(Read::End),
            Ok(len) => {
                pieces.on_read(len);
                Ok(Read::Some)
            }
            Err(rustix::io::Errno::AGAIN) => Ok(Read::Some),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for something to read; not long, if something was read that should go.
    fn wait(&self, stopped: &Waker, has_some: bool) -> io::Result<Wait> {
        let timeout = if self.is_file {
            Some(Timespec { tv_sec: 0, tv_nsec: 0 })
        } else {
            has_some.then_some(LINGER)
        };
        let mut waits = [
            PollFd::from_borrowed_fd(self.descriptor.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
        ];
        match poll(&mut waits, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [input, stop] = waits.map(|wait| !wait.revents().is_empty());
        Ok(match (stop, input) {
            (true, _) => Wait::Stopped,
            (false, true) => Wait::Readable,
            (false, false) if has_some => Wait::Quiet,
            // A signal ended the wait: what looks readable is not, and reading will tell.
            (false, false) => Wait::Readable,
        })
    }
}

/// How long a pipe may be quiet before what came through is sent in a short packet: less than
/// anyone sees, more than a writer needs for its next line.
const LINGER: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::super::{InputCounters, Item};
    use super::*;
    use crate::flags::value::Digest;

    fn outbox() -> (Outbox, Receiver<Item>) {
        let (sender, receiver) = sync_channel(64);
        let counters = Arc::new(InputCounters::default());
        (Outbox::new(sender, Waker::new().unwrap(), counters, Digest::Sha256), receiver)
    }

    fn bytes_of(items: &Receiver<Item>) -> Vec<u8> {
        let payloads = items.try_iter().flat_map(|item| match item {
            Item::Piece { piece, .. } => vec![piece],
            Item::Messages(_) | Item::Row(_) | Item::Flush | Item::End { .. } | Item::Failed(_) => {
                Vec::new()
            }
        });
        payloads.flatten().collect()
    }

    #[test]
    fn a_file_is_read_whole_and_in_order() {
        let whole: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&whole).unwrap();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
        let (mut outbox, items) = outbox();
        Reader::new(file.into(), true).run(&mut outbox, 1_431, &Waker::new().unwrap()).unwrap();
        assert_eq!(bytes_of(&items), whole);
    }

    #[test]
    fn a_quiet_pipe_lets_a_short_piece_go_and_a_ring_ends_it() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (mut outbox, items) = outbox();
        let stopped = Waker::new().unwrap();
        let ring = stopped.clone();
        let reader =
            std::thread::spawn(move || Reader::new(read, false).run(&mut outbox, 1_431, &stopped));
        let mut write = File::from(write);
        write.write_all(b"hello").unwrap();
        let item = items.recv().unwrap();
        assert!(matches!(item, Item::Piece { is_pause: true, .. }), "{item:?}");
        ring.wake();
        reader.join().unwrap().unwrap();
    }
}
