//! What is hashed of a packet, wherever its parts lie.

use aws_lc_rs::digest::{SHA256, digest};

use crate::wire::{CODED_PREFIX_LEN, CodedPrefix, PacketHash};
use crate::{Seq, SessionId};

/// Session, seq and coded body of a data packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed<'a> {
    head: [u8; HEAD_LEN],
    payload: &'a [u8],
}

impl<'a> Hashed<'a> {
    pub(crate) fn new(
        session: SessionId,
        seq: Seq,
        prefix: &CodedPrefix,
        payload: &'a [u8],
    ) -> Self {
        let mut head = [0; HEAD_LEN];
        let (of_session, rest) = head.split_at_mut(8);
        let (of_seq, of_prefix) = rest.split_at_mut(8);
        of_session.copy_from_slice(&session.0.to_be_bytes());
        of_seq.copy_from_slice(&seq.0.to_be_bytes());
        of_prefix.copy_from_slice(&prefix.to_bytes());
        Self { head, payload }
    }

    /// Its hash alone; `scratch` is memory to put it together in.
    pub(crate) fn hash(&self, scratch: &mut Vec<u8>) -> PacketHash {
        scratch.clear();
        scratch.extend_from_slice(&self.head);
        scratch.extend_from_slice(self.payload);
        let hash = digest(&SHA256, scratch);
        PacketHash(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }

    fn len(&self) -> usize {
        HEAD_LEN + self.payload.len()
    }

    /// How many blocks it has, padded as FIPS 180-4 §5.1.1 has it.
    pub(super) fn blocks(&self) -> usize {
        (self.len() + PADDING_LEN).div_ceil(BLOCK_LEN)
    }

    /// One of its blocks: where it lies, or put together in `room`.
    pub(super) fn block<'b>(
        &'b self,
        index: usize,
        room: &'b mut [u8; BLOCK_LEN],
    ) -> &'b [u8; BLOCK_LEN] {
        let start = index * BLOCK_LEN;
        let rest = start.checked_sub(HEAD_LEN).and_then(|at| self.payload.get(at..));
        if let Some(block) = rest.and_then(<[u8]>::first_chunk) {
            return block;
        }
        self.put_together(start, room);
        room
    }

    /// The first block, or one of the last.
    fn put_together(&self, start: usize, room: &mut [u8; BLOCK_LEN]) {
        room.fill(0);
        let head = self.head.get(start..).unwrap_or_default();
        let payload = self.payload.get(start.saturating_sub(HEAD_LEN)..).unwrap_or_default();
        let (of_head, of_payload) = room.split_at_mut(head.len());
        of_head.copy_from_slice(head);
        let len = payload.len().min(of_payload.len());
        of_payload.iter_mut().zip(payload.iter().take(len)).for_each(|(to, from)| *to = *from);
        let end = self.len().checked_sub(start).and_then(|end| room.get_mut(end));
        if let Some(end) = end {
            *end = 0x80;
        }
        if start + BLOCK_LEN == self.blocks() * BLOCK_LEN
            && let Some(bits) = room.last_chunk_mut()
        {
            *bits = (self.len() as u64 * 8).to_be_bytes();
        }
    }
}

/// Session, seq and the prefix of the coded body.
const HEAD_LEN: usize = 16 + CODED_PREFIX_LEN;

/// What SHA-256 takes at once, in bytes.
pub(super) const BLOCK_LEN: usize = 64;

/// A bit, and the length of what is hashed.
const PADDING_LEN: usize = 9;
