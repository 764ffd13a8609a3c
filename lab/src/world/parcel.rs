//! A datagram under way.

use proto::wire::{self, Datagram, Header, Packet};

/// A datagram under way: decoded once for all who are to have it, or sealed, for each to open.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Open(Packet),
    Sealed(Header, Vec<u8>),
}

impl Parcel {
    /// `None` if it cannot be read.
    pub(super) fn of(datagram: &[u8]) -> Option<Self> {
        let (header, _) = wire::decode_header(datagram).ok()?;
        if header.key_epoch > 0 {
            return Some(Self::Sealed(header, datagram.to_vec()));
        }
        wire::decode(Datagram::copy_from_slice(datagram)).ok().map(Self::Open)
    }

    pub(super) fn header(&self) -> &Header {
        match self {
            Self::Open(packet) => &packet.header,
            Self::Sealed(header, _) => header,
        }
    }

    /// The decoded packet; `None` if it is sealed.
    pub(super) fn packet(&self) -> Option<&Packet> {
        match self {
            Self::Open(packet) => Some(packet),
            Self::Sealed(..) => None,
        }
    }

    /// UDP payload, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Open(packet) => {
                let mut datagram = Vec::new();
                wire::encode(packet, &mut datagram);
                datagram.len()
            }
            Self::Sealed(_, datagram) => datagram.len(),
        }
    }
}
