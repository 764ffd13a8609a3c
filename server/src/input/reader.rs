//! A file, a pipe or a terminal, read in large pieces.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use host::poller::Waker;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::outbox::{Closed, Outbox};

/// Reads what is not live: only as fast as it is taken.
#[derive(Debug)]
pub(super) struct Reader {
    descriptor: OwnedFd,
    /// Never has to be waited for.
    is_file: bool,
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

    /// Reads to the end, or until `stopped` rings.
    pub(super) fn run(&self, outbox: &mut Outbox, stopped: &Waker) -> io::Result<()> {
        let mut piece = Vec::with_capacity(PIECE_LEN);
        loop {
            let sent = match self.wait(stopped, !piece.is_empty())? {
                Wait::Stopped => return Ok(()),
                Wait::Quiet => outbox.send(taken(&mut piece), true),
                Wait::Readable => match self.read(&mut piece)? {
                    0 => {
                        // Nobody takes the rest: then nobody misses it, either.
                        return outbox.send(taken(&mut piece), false).or(Ok(()));
                    }
                    _ if piece.len() == piece.capacity() => outbox.send(taken(&mut piece), false),
                    _ => Ok(()),
                },
            };
            if let Err(Closed) = sent {
                return Ok(());
            }
        }
    }

    fn read(&self, piece: &mut Vec<u8>) -> io::Result<usize> {
        match rustix::io::retry_on_intr(|| {
            rustix::io::read(&self.descriptor, spare_capacity(piece))
        }) {
            Err(rustix::io::Errno::AGAIN) => Ok(1),
            read => Ok(read?),
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

fn taken(piece: &mut Vec<u8>) -> Bytes {
    Bytes::from(std::mem::replace(piece, Vec::with_capacity(PIECE_LEN)))
}

/// What a sender takes in one push, and a disk gives in one read.
const PIECE_LEN: usize = 256 << 10;

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

    fn outbox() -> (Outbox, Receiver<Item>) {
        let (sender, receiver) = sync_channel(64);
        let counters = Arc::new(InputCounters::default());
        (Outbox::new(sender, Waker::new().unwrap(), counters), receiver)
    }

    fn bytes_of(items: &Receiver<Item>) -> Vec<u8> {
        let payloads = items.try_iter().flat_map(|item| match item {
            Item::Payload { payloads, .. } => payloads,
            Item::Row(_) | Item::Flush | Item::End { .. } | Item::Failed(_) => Vec::new(),
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
        Reader::new(file.into(), true).run(&mut outbox, &Waker::new().unwrap()).unwrap();
        assert_eq!(bytes_of(&items), whole);
    }

    #[test]
    fn a_quiet_pipe_lets_a_short_piece_go_and_a_ring_ends_it() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (mut outbox, items) = outbox();
        let stopped = Waker::new().unwrap();
        let ring = stopped.clone();
        let reader =
            std::thread::spawn(move || Reader::new(read, false).run(&mut outbox, &stopped));
        let mut write = File::from(write);
        write.write_all(b"hello").unwrap();
        let item = items.recv().unwrap();
        assert!(matches!(item, Item::Payload { is_pause: true, .. }), "{item:?}");
        ring.wake();
        reader.join().unwrap().unwrap();
    }
}
