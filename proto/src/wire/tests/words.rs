//! The packets there are most of are read and written by words: as bincode would.

use proptest::prelude::*;

use super::super::{
    CODED_PREFIX_LEN, CodedPrefix, DEPTH_MASK, Header, Kind, decode_coded, decode_header,
    encode_coded_header,
};
use crate::{SessionId, StreamId, WireTime};

fn coded_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Data), Just(Kind::Repair)]
}

prop_compose! {
    fn header()(
        kind in coded_kind(), flags: u8, key_epoch: u8, stream: u16, session: u64, number: u64,
        sent_at: u32,
    ) -> Header {
        let (stream, session) = (StreamId(stream), SessionId(session));
        Header { kind, flags, key_epoch, stream, session, number, sent_at: WireTime(sent_at) }
    }
}

proptest! {
    #[test]
    fn a_header_in_words_is_bincodes(header in header(), block: u32, k in 1_u8..=128) {
        let index = k - 1;
        let mut datagram = Vec::new();
        encode_coded_header(&header, block, index, k, &mut datagram);
        let prefix = CodedPrefix { len: 3, first_sent: WireTime(9), ..CodedPrefix::default() };
        prefix.write(&mut datagram);
        datagram.extend_from_slice(b"abc");
        // Every header is read by bincode there.
        let (by_bincode, rest) = decode_header(&datagram).unwrap();
        prop_assert_eq!(by_bincode, header);
        let place = [block.to_be_bytes().as_slice(), &[index, k]].concat();
        prop_assert_eq!(rest.get(..6).unwrap(), place);
        let (by_words, fields, body) = decode_coded(&datagram).unwrap();
        prop_assert_eq!(by_words, header);
        prop_assert_eq!((fields.block, fields.index, fields.k), (block, index, k));
        prop_assert_eq!(fields.depth_log2, header.flags & DEPTH_MASK);
        prop_assert_eq!(body.len(), CODED_PREFIX_LEN + 3);
        prop_assert_eq!(CodedPrefix::read(body), Ok(prefix));
    }
}
