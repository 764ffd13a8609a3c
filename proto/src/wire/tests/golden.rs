//! The bytes of one packet of each kind, written out field by field (docs/PROTOCOL.md §7).
//!
//! They were laid out by hand, not by the code. If one changes, older peers no longer understand
//! newer ones: that is a new [`VERSION`](crate::wire::VERSION).

use bytes::Bytes;

use super::{bytes_of, encoded, samples};
use crate::wire::{Kind, decode};

#[test]
fn packets_are_written_as_the_golden_bytes() {
    for (packet, (kind, hex)) in samples::all().iter().zip(ALL) {
        assert_eq!(packet.body.kind(), kind);
        assert_eq!(encoded(packet), bytes_of(hex), "{}", kind.name());
    }
}

#[test]
fn golden_bytes_are_read_as_the_packets() {
    for (packet, (kind, hex)) in samples::all().into_iter().zip(ALL) {
        assert_eq!(decode(Bytes::from(bytes_of(hex))), Ok(packet), "{}", kind.name());
    }
}

pub(super) const ALL: [(Kind, &str); 20] = [
    (Kind::Data, DATA),
    (Kind::Parity, PARITY),
    (Kind::Repair, REPAIR),
    (Kind::Nak, NAK),
    (Kind::Ncf, NCF),
    (Kind::Refused, REFUSED),
    (Kind::Heartbeat, HEARTBEAT),
    (Kind::Announce, ANNOUNCE),
    (Kind::Report, REPORT),
    (Kind::Register, REGISTER),
    (Kind::CookieChallenge, COOKIE_CHALLENGE),
    (Kind::CookieReply, COOKIE_REPLY),
    (Kind::CatchUpRequest, CATCH_UP_REQUEST),
    (Kind::CatchUpAccept, CATCH_UP_ACCEPT),
    (Kind::Evict, EVICT),
    (Kind::Bye, BYE),
    (Kind::End, END),
    (Kind::Manifest, MANIFEST),
    (Kind::KeyRequest, KEY_REQUEST),
    (Kind::KeyUpdate, KEY_UPDATE),
];

const DATA: &str = r#"
01 01 02 00  version 1, kind 1 (data), depth 2^2, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 04 00  block starts at seq 1024
05 00  index 5, k 0: the block is open
00 05  payload of 5 bytes
01  payload is records
00 00  a record starts at offset 0
00 0f 42 40  first sent at 1 s
00 00 00 01 41  one record of one byte, "A"
"#;

const PARITY: &str = r#"
01 02 02 00  version 1, kind 2 (parity), depth 2^2, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 04 00  block starts at seq 1024
40 40  index 64, k 64: the first parity packet
00 05 01 00 00 00 00 00 00 11 22 33 44  parity over the coded bodies
"#;

const REPAIR: &str = r#"
01 03 02 00  version 1, kind 3 (repair), depth 2^2, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 04 00  block starts at seq 1024
05 40  index 5, k 64: the block is closed
00 05  payload of 5 bytes
01  payload is records
00 00  a record starts at offset 0
00 07 a1 20  first sent at 0.5 s
00 00 00 01 41  one record of one byte, "A"
"#;

const NAK: &str = r#"
01 04 00 00  version 1, kind 4 (nak), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
00 02  2 ranges
00 00 00 00 00 00 04 06 00 00 00 01  from seq 1030, 1 packet
00 00 00 00 00 00 04 10 00 00 00 03  from seq 1040, 3 packets
00 01  1 need
00 00 00 00 00 00 04 00 04  block at seq 1024, 4 more
00 01  hashes of 1 range are missing
00 00 00 00 00 00 04 08 00 00 00 02  from seq 1032, 2 packets
"#;

const NCF: &str = r#"
01 05 00 00  version 1, kind 5 (ncf), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 01  1 range
00 00 00 00 00 00 04 06 00 00 00 01  from seq 1030, 1 packet
00 01  1 need
00 00 00 00 00 00 04 00 04  block at seq 1024, 4 more
"#;

const REFUSED: &str = r#"
01 06 00 00  version 1, kind 6 (refused), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
01  reason 1: too late
00 00 00 00 00 00 03 84  trail 900
00 01  1 range
00 00 00 00 00 00 03 20 00 00 00 64  from seq 800, 100 packets
"#;

const HEARTBEAT: &str = r#"
01 07 80 00  version 1, kind 7 (heartbeat), a report is wanted, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 00 00 00 00 03 84  trail 900
00 00 00 00 00 00 04 4c  lead 1100
00 00 00 00 00 00 04 00  last closed block at seq 1024
40  its k, 64
00 14  next in 20 ms
00 00 3a 98  GRTT 15 ms
21  group size
03  one in 8 registers
0a  one in 1024 of the others reports in this round
00 07  round 7
01 90  a report every 400 ms
0c  above 12 / 256 of loss unasked
"#;

const ANNOUNCE: &str = r#"
01 08 00 00  version 1, kind 8 (announce), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 06 5b fe da 25 e0 00  started, µs of Unix time
04 64 65 6d 6f  name of 4 bytes, "demo"
01  mode 1: messages
00 00 00 c8  deadline 200 ms
05 78  coded body of 1400 bytes
40  k 64
00 00 00 00 00 00 03 84  trail 900
00 00 00 00 00 00 04 4c  lead 1100
00 00 00 00 01 31 2d 00  20 Mbit/s
03 e8  heartbeat at least every 1000 ms
00 00 3a 98  GRTT 15 ms
21  group size
03  one in 8 registers
0a  one in 1024 of the others reports in this round
00 07  round 7
01 90  a report every 400 ms
0c  above 12 / 256 of loss unasked
04  feedback to an IPv4 address
c0 00 02 01 00 00 00 00 00 00 00 00 00 00 00 00  192.0.2.1
13 89  port 5001
01  a nonce follows
c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf  nonce echo
"#;

const REPORT: &str = r#"
01 09 00 00  version 1, kind 9 (report), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
01  state 1: catching up
00 00 00 00 00 00 07 d0  limit 2000
00 00 00 00 00 00 04 4c  highest 1100
00 00 00 00 00 00 04 06  next 1030
00 00 00 00 00 00 04 24  received 1060
00 00 00 00 00 00 00 14  repaired 20
00 00 00 00 00 00 00 0f  recovered 15
00 00 00 00 00 00 00 01  given up 1
00 00 00 00 00 00 00 1e  lost on the wire 30
00 00 00 00 00 00 00 04  lost in the kernel 4
00 00 00 00 00 00 00 00  lost in the ring 0
00 00 00 00 00 00 00 01  late 1
00 00 00 00 00 00 00 02  not authentic 2
00 00 00 0a 00 00 00 04 00 00 00 02 00 00 00 01  bursts of 1, 2, 3-4, 5-8, 9+
00 00 00 00
00 00 00 03  congestion experienced 3
00 00 00 fa  jitter 250 µs
00 0f 42 40  echo of 1 s
00 00 04 b0  held for 1200 µs
"#;

const REGISTER: &str = r#"
01 0a 00 00  version 1, kind 10 (register), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
06 68 61 6c 6c 2d 33  name of 6 bytes, "hall-3"
c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf  nonce
"#;

const COOKIE_CHALLENGE: &str = r#"
01 0b 00 00  version 1, kind 11 (cookie_challenge), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df  cookie
"#;

const COOKIE_REPLY: &str = r#"
01 0c 00 00  version 1, kind 12 (cookie_reply), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df  cookie
06 68 61 6c 6c 2d 33  name of 6 bytes, "hall-3"
"#;

const CATCH_UP_REQUEST: &str = r#"
01 0d 00 00  version 1, kind 13 (catch_up_request), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
00 00 00 00 00 00 00 00  from seq 0
00 00 00 00 00 00 04 4c  to seq 1100, not with it
00  extension: padding
00 05  of 5 bytes
00 00 00 00 00  zero
"#;

const CATCH_UP_ACCEPT: &str = r#"
01 0e 00 00  version 1, kind 14 (catch_up_accept), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
00 00 00 00 00 00 03 84  from seq 900
00 00 00 00 00 00 04 4c  to seq 1100, not with it
00 00 00 00 00 00 03 84  trail 900
"#;

const EVICT: &str = r#"
01 0f 00 00  version 1, kind 15 (evict), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
01  reason 1: slow
"#;

const BYE: &str = r#"
01 10 00 00  version 1, kind 16 (bye), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
02  reason 2: left
00 00 00 00 00 00 04 06  next 1030
"#;

const END: &str = r#"
01 11 00 00  version 1, kind 17 (end), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 00 00 00 00 04 4c  lead 1100
00 00 00 00 00 15 5c c0  1400000 bytes in all
01  a hash follows
e3 b0 c4 42 98 fc 1c 14 9a fb f4 c8 99 6f b9 24  SHA-256
27 ae 41 e4 64 9b 93 4c a4 95 99 1b 78 52 b8 55
01  aborted
"#;

const MANIFEST: &str = r#"
01 12 00 03  version 1, kind 18 (manifest), no flags, key epoch 3
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
00 00 00 00 00 00 04 00  the first packet is seq 1024
00 06 5b fe da 25 e0 00  started, µs of Unix time
00 02  2 hashes
11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11  of seq 1024
22 22 22 22 22 22 22 22 22 22 22 22 22 22 22 22  of seq 1025
00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  Ed25519 signature
10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f
20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f
30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f
"#;

const KEY_REQUEST: &str = r#"
01 13 00 00  version 1, kind 19 (key_request), no flags, no key
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af  subscriber id
02  has epoch 2
c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf  nonce
"#;

const KEY_UPDATE: &str = r#"
01 14 00 02  version 1, kind 20 (key_update), no flags, key epoch 2
12 34  stream 4660
01 02 03 04 05 06 07 08  session
00 00 00 00 00 00 03 e8  number 1000
00 0f 42 40  sent at 1 s
03  epoch 3
00 00 00 00 00 00 13 88  from number 5000
00 00 00 01  node 1
00 04  4 bytes
de ad be ef  wrapped key
"#;
