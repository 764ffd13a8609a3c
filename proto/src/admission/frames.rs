//! Messages in a stream of bytes: a 16-bit length before each.

use std::fmt;

use zeroize::Zeroizing;

use crate::wire::Discard;

/// The longest message, in bytes without its length.
pub const MAX_MESSAGE_LEN: usize = 4096;

/// What was received of a connection and not yet read: never more than a frame. Its memory does not
/// grow, so that keys leave no copies behind, and is cleared when it is dropped.
pub struct Frames {
    bytes: Zeroizing<Vec<u8>>,
    /// Where the first frame that was not taken begins.
    start: usize,
    /// Where what was received ends.
    end: usize,
}

impl Frames {
    /// Of a connection that has said nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; MAX_FRAME_LEN]), start: 0, end: 0 }
    }

    /// Where to put what comes next; never empty once [`take`](Self::take) gave `None`. Say how much
    /// it was with [`advance`](Self::advance).
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the [`room`](Self::room).
    pub fn advance(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.bytes.len());
    }

    /// The next message, if the whole of it is there.
    ///
    /// # Errors
    /// It is too long: nothing that follows can be read either.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Discard> {
        let received = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some((len, rest)) = received.split_first_chunk::<LENGTH_LEN>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes(*len));
        if len > MAX_MESSAGE_LEN {
            return Err(Discard::Malformed);
        }
        let message = rest.get(..len);
        if message.is_some() {
            self.start += LENGTH_LEN + len;
        }
        Ok(message)
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames({} bytes)", self.end - self.start)
    }
}

/// A frame around what `write` appends.
pub(super) fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Zeroizing<Vec<u8>> {
    // Memory that grows leaves copies behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(MAX_FRAME_LEN));
    frame.extend([0; LENGTH_LEN]);
    write(&mut frame);
    let len = frame.len().saturating_sub(LENGTH_LEN);
    debug_assert!(len <= MAX_MESSAGE_LEN, "bounded fields always fit: {len}");
    if let (Some(room), Ok(len)) = (frame.first_chunk_mut::<LENGTH_LEN>(), u16::try_from(len)) {
        *room = len.to_be_bytes();
    }
    frame
}

const LENGTH_LEN: usize = 2;

const MAX_FRAME_LEN: usize = LENGTH_LEN + MAX_MESSAGE_LEN;
