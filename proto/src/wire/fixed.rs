//! Layouts of fields that serde has none, or no fixed one, for.

/// Sixty-four bytes as they are: serde's own arrays end at 32.
pub(super) mod signature {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeTuple;
    use serde::{Deserializer, Serializer};

    const LEN: usize = 64;

    pub(in crate::wire) fn serialize<S: Serializer>(
        bytes: &[u8; LEN],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(LEN)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; LEN], D::Error> {
        deserializer.deserialize_tuple(LEN, Bytes)
    }

    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = [u8; LEN];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{LEN} bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut bytes = [0; LEN];
            for (have, byte) in bytes.iter_mut().enumerate() {
                *byte = seq.next_element()?.ok_or_else(|| Error::invalid_length(have, &self))?;
            }
            Ok(bytes)
        }
    }
}

/// An address that may be absent, in 19 bytes whatever it is: family (0, 4 or 6), 16 bytes of
/// address (IPv4 in the first four, the rest zero), port.
///
/// An IPv6 zone is the sender's own affair and does not travel.
pub(super) mod address {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Layout = (u8, [u8; 16], u16);

    pub(in crate::wire) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let layout: Layout = match address {
            None => (0, [0; 16], 0),
            Some(SocketAddr::V4(v4)) => (4, widened(*v4.ip()), v4.port()),
            Some(SocketAddr::V6(v6)) => (6, v6.ip().octets(), v6.port()),
        };
        layout.serialize(serializer)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let (family, octets, port) = Layout::deserialize(deserializer)?;
        let ip: IpAddr = match family {
            0 if octets == [0; 16] && port == 0 => return Ok(None),
            4 => narrowed(octets).ok_or_else(|| D::Error::custom("stray bytes"))?.into(),
            6 => Ipv6Addr::from(octets).into(),
            _ => return Err(D::Error::custom("address family")),
        };
        Ok(Some(SocketAddr::new(ip, port)))
    }

    fn widened(v4: Ipv4Addr) -> [u8; 16] {
        let [a, b, c, d] = v4.octets();
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    /// One address has one spelling: bytes that IPv4 does not use must be zero.
    fn narrowed(octets: [u8; 16]) -> Option<Ipv4Addr> {
        match octets {
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Some(Ipv4Addr::new(a, b, c, d)),
            _ => None,
        }
    }
}
