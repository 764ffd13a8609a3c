//! Data, parity and repair: what the block code covers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Seq, WireTime};

/// Length of the prefix of a coded body, in bytes.
pub const CODED_PREFIX_LEN: usize = 9;

/// In [`CodedPrefix::first_record`]: no record starts in this packet.
pub const NO_RECORD: u16 = u16::MAX;

/// In [`CodedPrefix::flags`]: the payload is records, each a 32-bit length and that many bytes.
pub const PREFIX_RECORDS: u8 = 0b0000_0001;

/// A data, parity or repair packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded {
    /// The low 32 bits of the seq of the block's first packet.
    pub block: u32,
    /// Place in the block: data below `k`, parity from `k` on.
    pub index: u8,
    /// Data packets of the block; 0 while the block is open.
    pub k: u8,
    /// log2 of the interleaving depth: packet `index` of the block has
    /// seq = first seq + (`index` << `depth_log2`). At most 7.
    pub depth_log2: u8,
    /// The coded body: prefix and payload, or parity over those of the block.
    pub body: Bytes,
}

/// Where a data, parity or repair packet stands in its block: what [`Coded`] says beside its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodedFields {
    /// As [`Coded::block`].
    pub block: u32,
    /// As [`Coded::index`].
    pub index: u8,
    /// As [`Coded::k`].
    pub k: u8,
    /// As [`Coded::depth_log2`].
    pub depth_log2: u8,
}

impl CodedFields {
    /// The first seq of the block, near `here`.
    #[must_use]
    pub fn block_start(&self, here: Seq) -> Seq {
        here.nearest(self.block)
    }

    /// The seq of this data packet, near `here`.
    #[must_use]
    pub fn seq(&self, here: Seq) -> Seq {
        self.block_start(here).plus(u64::from(self.index) << self.depth_log2)
    }
}

impl Coded {
    /// What its header says beside what every header says.
    #[must_use]
    pub fn fields(&self) -> CodedFields {
        let Self { block, index, k, depth_log2, .. } = *self;
        CodedFields { block, index, k, depth_log2 }
    }

    /// The first seq of the block, near `here`.
    #[must_use]
    pub fn block_start(&self, here: Seq) -> Seq {
        here.nearest(self.block)
    }

    /// The seq of this data packet, near `here`.
    #[must_use]
    pub fn seq(&self, here: Seq) -> Seq {
        self.block_start(here).plus(u64::from(self.index) << self.depth_log2)
    }
}

/// What stands before the payload in a coded body; the block code covers it, so it survives
/// recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodedPrefix {
    /// Length of the payload, in bytes.
    pub len: u16,
    /// [`PREFIX_RECORDS`].
    pub flags: u8,
    /// Offset in the payload at which the first record starts; [`NO_RECORD`] if none does.
    pub first_record: u16,
    /// When the packet was first sent.
    pub first_sent: WireTime,
}
