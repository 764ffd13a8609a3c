//! Any bytes to every decoder of the wire: what one of them reads, all read alike, and what was
//! read means the same when it is written and read again.

use bytes::Bytes;
use proto::wire::{self, CodedPrefix, Discard, Kind, Packet};

/// Decodes `datagram` in every way there is.
pub fn check(datagram: &[u8]) {
    let decoded = wire::decode(Bytes::copy_from_slice(datagram));
    assert_eq!(wire::decode_said(datagram), decoded);
    check_header(datagram, &decoded);
    check_coded(datagram, &decoded);
    match decoded {
        Ok(packet) => check_again(datagram, &packet),
        Err(reason) => assert!(
            matches!(
                reason,
                Discard::Truncated | Discard::Version | Discard::Kind | Discard::Malformed
            ),
            "{reason}: nothing else can be told from bytes"
        ),
    }
}

fn check_header(datagram: &[u8], decoded: &Result<Packet, Discard>) {
    let header = wire::decode_header(datagram).map(|(header, _)| header);
    if let Ok(packet) = decoded {
        assert_eq!(header, Ok(packet.header));
    }
    for kind in Kind::ALL {
        let sent_at = wire::sent_at_of(kind, datagram);
        if let Ok(header) = header {
            assert_eq!(sent_at, (header.kind == kind).then_some(header.sent_at));
        }
    }
}

fn check_coded(datagram: &[u8], decoded: &Result<Packet, Discard>) {
    let coded = wire::decode_coded(datagram);
    match decoded.as_ref().ok().and_then(|packet| packet.body.coded().map(|it| (packet, it))) {
        Some((packet, expected)) => {
            assert_eq!(coded, Ok((packet.header, expected.fields(), &expected.body[..])));
        }
        None => assert!(coded.is_err()),
    }
    if let Ok((.., body)) = coded
        && let Ok(prefix) = CodedPrefix::read(body)
    {
        assert!(body.starts_with(&prefix.to_bytes()));
        assert!(body.len() >= prefix.to_bytes().len() + usize::from(prefix.len));
    }
}

fn check_again(datagram: &[u8], packet: &Packet) {
    let mut encoded = Vec::new();
    wire::encode(packet, &mut encoded);
    assert!(encoded.len() <= datagram.len(), "{packet:?} grew");
    let again = wire::decode(Bytes::from(encoded));
    assert_eq!(again.as_ref(), Ok(packet));
}
