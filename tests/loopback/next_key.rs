//! A key file that is read again while its stream runs.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use client::config::KeyFile;
use host::key_file;
use host::reload::Reload;
use host::supervisor::Supervisor;
use proto::seal::Key;
use server::{Config, Reloader};

use super::admission::{Epochs, wait_until};
use super::*;

/// Writes the keys of the first so many epochs.
fn write_keys(path: &Path, epochs: u8) {
    let mut lines = String::new();
    for epoch in 1..=epochs {
        writeln!(lines, "{epoch} {}", *Key::new([epoch; 32]).to_hex()).unwrap();
    }
    std::fs::write(path, lines).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_stream_goes_on_under_the_next_key_of_its_file() {
    let (desk, stop) = (Desk::new(2_000_003), Shutdown::new());
    let (key, group) = (desk.path("key"), "udp://239.255.41.68:5168");
    write_keys(&key, 1);
    let epochs = Epochs::of("239.255.41.68:5168");
    let keys = key_file::read(&key).unwrap();
    let told = Reload::new();
    let defaults = Defaults { keys: Some(keys), ..defaults(Some("loss=2%,seed=9")) };
    let subscriber = {
        let of = subscription(group, text(&desk.path("out")), &defaults);
        let mut config = config_of(vec![of]);
        config.defaults = defaults;
        config.key_file = Some(KeyFile { path: key.clone(), requests: told.clone() });
        let stop = stop.clone();
        thread::spawn(move || client::run(config, stop).unwrap())
    };
    let reload = Reload::new();
    let flags = StreamFlags {
        key: Some(key.clone()),
        rate: Some("6M".parse().unwrap()),
        ..stream(text(&desk.path("source")), group)
    };
    let read = move || Config::new(vec![flags.clone()], None, Talk::Silent);
    let (config, reloader) = (read().unwrap(), Reloader::new(reload.clone(), read));
    let ended = stop.clone();
    let publisher = thread::spawn(move || {
        server::serve(config, ended, Some(reloader), Supervisor::default()).unwrap()
    });
    for next in 2..=3 {
        wait_until("nothing is sent", || epochs.count() + 1 == usize::from(next));
        write_keys(&key, next);
        // Subscribers first: a key that nobody uses yet does no harm.
        told.request();
        thread::sleep(Duration::from_millis(400));
        reload.request();
    }
    let (sent, received) = (publisher.join().unwrap(), subscriber.join().unwrap());
    assert!(sent.is_complete(), "{sent:?}");
    assert!(received.is_complete() && received.exit_code() == 0, "{received:?}");
    assert_eq!(desk.read("out").as_ref(), Some(&desk.source));
    assert_eq!(epochs.end(), [1, 2, 3]);
    let discarded = received.totals().discarded;
    assert!(!discarded.contains_key("epoch") && !discarded.contains_key("forged"), "{discarded:?}");
}
