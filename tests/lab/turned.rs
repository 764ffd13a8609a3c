//! A member turned bad, on the switch: it has the group's key, hears all, and speaks as the publisher, in
//! its own name and under the publisher's address. Who verifies has nothing of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use host::key_file;
use proto::seal::Key;
use tests::forger::{EVIL, Forger};
use tests::member::Member;

use crate::attacker::{self, Recording, Voice};
use crate::garbage::the_counters_add_up;
use crate::scrape::{self, scrape};
use crate::stage::{MIB, Stage, same};

#[test]
fn a_member_turned_bad_has_nothing_delivered_to_who_verifies_and_nothing_left_out() {
    let Some(stage) = Stage::new(3) else { return };
    let file = stage.file("file", 12 * MIB, 1);
    let [key, identity] = ["group.key", "publisher.id"].map(|name| stage.path(name));
    key_file::create(&key, &Key::new(KEY)).unwrap();
    let made = host::identity::Identity::create(&identity).unwrap();
    let (key, identity) = (key.display().to_string(), identity.display().to_string());
    let public = made.public().to_string();
    let args = ["--key", &key, "--verify", &public, "--metrics", scrape::ADDRESS];
    let subscribers = ["s1", "s2"].map(|host| stage.subscriber_to_file(host, GROUP, &args));
    subscribers.iter().for_each(|subscriber| _ = subscriber.wait_for("joined", PATIENCE));
    stage.lose("s2", 1); // so that there are repairs
    let ear = stage.host("s3").run(|| attacker::listen(attacker::address(GROUP))).unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let own = attacker::own(stage.host("s3"));
    let turned = stage.host("s3").start(move || {
        let mut forger = Forger::new(Member::new(1, KEY), "file".parse().unwrap(), 1);
        let voice = Voice::new();
        let (group, mut thrown) = (attacker::address(GROUP), 0_u64);
        while !is_over.load(Ordering::Relaxed) {
            let Some(heard) = Recording::within(&ear, Duration::from_millis(100)) else { continue };
            let overheard = heard.datagrams.last().unwrap();
            for forged in forger.forge(overheard) {
                for name in [own, heard.source] {
                    thrown += u64::from(voice.say(&forged, name, group));
                }
            }
        }
        thrown
    });
    let to = [file.to_str().unwrap(), "--to", GROUP, "--rate", "8M", "--wait-for", "2,10s"];
    let with = ["--key", &key, "--sign", &identity];
    let publisher = stage.publisher(&[&to[..], &with].concat());
    publisher.wait_for("started", PATIENCE);
    std::thread::sleep(Duration::from_secs(6));
    let counted = scrape(stage.host("s1"));
    let forged = counted.of("datagrams_discarded_total", "reason=\"forged\"");
    println!(
        "discarded: {:?}; forged and held for a while: {}",
        counted.all("datagrams_discarded_total"),
        counted.sum("packets_forged_total"),
    );
    the_counters_add_up(&counted);
    assert!(forged > 1_000.0, "{forged}");
    publisher.wait(LONG).expect_code(0);
    over.store(true, Ordering::Relaxed);
    let thrown = turned.unwrap().join().unwrap().unwrap();
    println!("{thrown} datagrams were forged");
    for (host, program) in ["s1", "s2"].iter().zip(subscribers) {
        let ended = program.wait(PATIENCE);
        ended.expect_code(0);
        assert_eq!(ended.number("delivered_bytes"), 12 * MIB, "{host}");
        assert_eq!(ended.events("session").count(), 1, "{host}");
        assert!(same(&file, &stage.output(host)), "{host} has another file");
        let copy = std::fs::read(stage.output(host)).unwrap();
        assert!(!copy.windows(2 * EVIL.len()).any(|window| window == EVIL.repeat(2)), "{host}");
    }
}

const KEY: [u8; 32] = [1; 32];
const GROUP: &str = "udp://239.77.9.2:5000";
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(90);
