//! Payload in blocks that go to the disk past the page cache (`O_DIRECT`, open(2)): that takes a fraction
//! of the processor's time, and leaves the cache to others.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

use bytes::Bytes;
use host::memory::{HUGE_PAGE_LEN, in_huge_pages};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Memory for one write at a time.
#[derive(Debug)]
pub(super) struct Blocks {
    memory: Vec<u8>,
    /// Where in it the block lies: at a huge page, so that few pieces are to be held while the device reads
    /// it. Devices want a sector's round address at least.
    start: usize,
    /// Bytes that wait in the block.
    len: usize,
}

impl Blocks {
    /// Writes to `file`, which is empty, past the cache from now on.
    ///
    /// # Errors
    ///
    /// When its file system cannot.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        set_direct(file, true)?;
        let mut memory = vec![0; BLOCK_LEN + HUGE_PAGE_LEN];
        if let Err(error) = in_huge_pages(&mut memory) {
            tracing::debug!(%error, "no huge pages");
        }
        let start = memory.as_ptr().align_offset(HUGE_PAGE_LEN).min(HUGE_PAGE_LEN);
        Ok(Self { memory, start, len: 0 })
    }

    /// Takes payloads, and writes the blocks that they fill; `written` is moved on by what was written.
    pub(super) fn write(
        &mut self,
        file: &mut File,
        payloads: &[Bytes],
        written: &mut u64,
    ) -> io::Result<()> {
        for payload in payloads {
            let mut left = &payload[..];
            while !left.is_empty() {
                let (start, end) = (self.start + self.len, self.start + BLOCK_LEN);
                let room = self.memory.get_mut(start..end).unwrap_or_default();
                let (now, later) = left.split_at(left.len().min(room.len()));
                if let Some(room) = room.get_mut(..now.len()) {
                    room.copy_from_slice(now);
                }
                self.len += now.len();
                left = later;
                if self.len == BLOCK_LEN {
                    self.write_block(file, written)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what waits, which is the end of the file: only whole sectors can go past the cache.
    pub(super) fn finish(mut self, file: &mut File, written: &mut u64) -> io::Result<()> {
        set_direct(file, false)?;
        self.write_block(file, written)
    }

    fn write_block(&mut self, file: &mut File, written: &mut u64) -> io::Result<()> {
        let block = self.memory.get(self.start..self.start + self.len).unwrap_or_default();
        let mut left = block;
        while !left.is_empty() {
            match file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => {
                    *written += len as u64;
                    left = left.get(len..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Said only now by some, and by others of what is left of a short write.
                Err(error) if error.kind() == ErrorKind::InvalidInput && is_direct(file) => {
                    tracing::debug!(%error, "not past the page cache");
                    set_direct(file, false)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.len = 0;
        Ok(())
    }
}

fn set_direct(file: &File, is_direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, is_direct);
    Ok(fcntl_setfl(file, flags)?)
}

fn is_direct(file: &File) -> bool {
    fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::DIRECT))
}

/// To hand a write to the device takes as long as to copy a mebibyte; larger blocks would only be held
/// back for longer.
const BLOCK_LEN: usize = 4 << 20;
