//! The corpora, replayed; and what a fuzzer begins with.

use std::fs;
use std::path::{Path, PathBuf};

/// Plays every file that is kept of a target.
fn replay(target: &str, check: fn(&[u8])) {
    let mut played = 0;
    let files = fs::read_dir(folder(target)).expect("a corpus");
    for file in files.map(|file| file.expect("a file").path()) {
        let bytes = fs::read(&file).expect("a file");
        // A panic says what, and this where.
        let played_one = std::panic::catch_unwind(|| check(&bytes));
        assert!(played_one.is_ok(), "fuzz/corpus/{target}/{}", name_of(&file));
        played += 1;
    }
    assert!(played > 0, "no corpus of {target}");
}

fn folder(target: &str) -> PathBuf {
    // This is built as part of two packages that lie side by side.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[test]
fn decode() {
    replay("decode", crate::decode::check);
}

#[test]
fn open() {
    replay("open", crate::open::check);
}

#[test]
fn parsers() {
    replay("parsers", crate::parsers::check);
}

#[test]
fn receiver() {
    replay("receiver", crate::receiver::check);
}

#[test]
fn sender() {
    replay("sender", crate::sender::check);
}

/// Seeds of the corpora: `cargo test -- --ignored`, where one is to be begun anew.
#[test]
#[ignore = "it writes files"]
fn seeds_are_written() {
    for (place, packet) in crate::golden::all().iter().enumerate() {
        write("decode", &format!("golden-{place}"), packet);
        // Raw bytes: 12 with a receiver, 14 with a sender, and how many.
        let len = u8::try_from(packet.len()).unwrap_or(u8::MAX);
        write("receiver", &format!("golden-{place}"), &[&[0, 12, 1, len], &packet[..]].concat());
        write("sender", &format!("golden-{place}"), &[&[0, 1, 14, 1, len], &packet[..]].concat());
    }
    let mut chance = 1_u64;
    for place in 0..20 {
        let mut next = || {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (chance >> 33) as u8
        };
        let program: Vec<u8> = (0..400).map(|_| next()).collect();
        for target in ["open", "receiver", "sender"] {
            write(target, &format!("chance-{place}"), &program);
        }
    }
    for (place, text) in TEXTS.iter().enumerate() {
        write("parsers", &format!("text-{place}"), text.as_bytes());
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder(target)).expect("a folder");
    fs::write(folder(target).join(name), bytes).expect("a file");
}

const TEXTS: [&str; 24] = [
    "udp://239.1.2.3:5000",
    "udp://[ff15::7%eth0]:5000?ttl=4",
    "udp://@239.1.2.3:5000?localaddr=10.0.0.1&sources=10.0.0.9",
    "udp://10.0.0.1@232.1.2.3:5000",
    "udp://[2001:db8::1]@[ff3e::7]:5000",
    "udp://255.255.255.255:5000",
    "unicast://host.example:6000",
    "tcp://[::1]:6000?interface=eth0",
    "239.1.2.3:5000",
    "20M",
    "1.5g",
    "64MiB",
    "250ms",
    "1.25%",
    "0.5",
    "auto",
    "evict",
    "16",
    "loss=1%,burst=8,reorder=3,duplicate=0.1%,seed=7",
    "loss=0.3,burst=1",
    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F",
    "metrics = ':9464'\nspin = true\n[defaults]\nttl = 3\nrate = '1M'\nlinger = '50us'\n\
     [[stream]]\ninput = '-'\nto = 'udp://239.1.2.3:5000'\nrate = 'auto'\n",
    "[[stream]]\ninput = 'udp://127.0.0.1:1'\nto = ['udp://239.1.2.3:5000', 'tcp://:7']\n\
     wait-for = '2,10s'\nretain = '10s'\ninterface = 'eth0'\ndscp = 'cs5'\ndigest = 'off'\n\
     interleave = 'auto'\nparity = 4\nslow = 'warn'\nbreaker = 'off'\nkey = 'group.key'\n",
    "metrics-token-file = '/x'\n[[stream]]\nname = 'a'\nmtu = 9000\nmessages = true\n",
];
