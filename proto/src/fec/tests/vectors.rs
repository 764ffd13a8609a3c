//! The test vectors of the document: bytes that another implementation has to give.

use crate::fec::{Recovered, coefficient, encode, recover};

/// Three coded bodies: `hello` as records, `one`, `world`.
const DATA: [&str; 3] =
    ["0005010000000003e868656c6c6f", "000300ffff0000044c6f6e65", "000500ffff000004b0776f726c64"];

/// Parity symbols of that block.
const PARITY: [(u8, &str); 5] = [
    (0, "00030100000000031470647b000b"),
    (1, "001c7f81810000b3ef11c83d6c3a"),
    (2, "0008e21f1f00005f5c5b0fe5adf5"),
    (63, "000aa88e8e000002a18830c25ff6"),
    (251, "00a5f68888000030112a873970cd"),
];

/// Parity symbols of a block of 64 in which byte n of symbol i is 7i + 13n + i·n modulo 256.
const PARITY_OF_64: [(u8, &str); 5] = [
    (0, "c0000080c0"),
    (1, "7cfe02ecee"),
    (7, "116d00d567"),
    (127, "29425396fe"),
    (190, "bb8a1d67a6"),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn assert_parity(data: &[Vec<u8>], len: usize, expected: &[(u8, &str)]) {
    for &(place, hex) in expected {
        let mut parity = [vec![0; len]];
        encode(data, place, &mut parity).unwrap();
        assert_eq!(parity[0], bytes(hex), "parity {place}");
    }
}

#[test]
fn coefficients() {
    let rows = [
        (0, "0101010101010101"),
        (1, "7ffc7efee958af55"),
        (2, "e2ffe6fdb456285e"),
        (3, "801d831bc75ea326"),
        (126, "a1e7fef53445edf1"),
    ];
    for (parity, row) in rows {
        let ours = [0, 1, 2, 3, 4, 63, 64, 127].map(|data| coefficient(data, parity).unwrap());
        assert_eq!(ours[..], bytes(row), "parity {parity}");
    }
}

#[test]
fn a_block_of_three() {
    assert_parity(&DATA.map(bytes), 14, &PARITY);
}

#[test]
fn a_block_of_64() {
    let byte = |i: usize, n: usize| ((7 * i + 13 * n + i * n) % 256) as u8;
    let data: Vec<Vec<u8>> = (0..64).map(|i| (0..5).map(|n| byte(i, n)).collect()).collect();
    assert_parity(&data, 5, &PARITY_OF_64);
}

#[test]
fn recovery_gives_the_length_back() {
    let data = [Some(bytes(DATA[0])), None, None];
    let parity = [(63, bytes(PARITY[3].1)), (2, bytes(PARITY[2].1))];
    let one = Recovered { index: 1, symbol: bytes("000300ffff0000044c6f6e650000") };
    let world = Recovered { index: 2, symbol: bytes(DATA[2]) };
    assert_eq!(recover(&data, &parity, 14), Ok(vec![one, world]));
}
