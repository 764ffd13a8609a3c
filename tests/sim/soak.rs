//! Days and weeks of a stream: everything happens that can happen, all the while.
//!
//! Each minute a few thousand packets are sent and something goes wrong; what was wrong is mended, and
//! another session begins now and then. A session that ends in peace leaves every listener with an
//! exact account, and those that nothing happened to with everything.

#![expect(clippy::indexing_slicing, reason = "a test fails where it is wrong")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use lab::world::{Link, Plan, World};
use proto::seal::{Key, Keyring};
use proto::wire::Kind;
use proto::{Bitrate, ByteCount};

use crate::invariants::Invariants;

#[test]
fn an_hour() {
    let soak = soak(&Length { minutes: 60, packets: 1_000, seed: 1 });
    assert!(soak.faults >= 60 && soak.ended >= 2, "{soak:?}");
}

#[test]
#[ignore = "minutes"]
fn a_week_of_a_hundred_million_packets() {
    let soak = soak(&Length { minutes: 7 * 24 * 60, packets: 9_500, seed: 2 });
    assert!(soak.sent >= 100_000_000 && soak.faults >= 10_000, "{soak:?}");
}

struct Length {
    minutes: u64,
    /// So many are sent for the first time in a minute.
    packets: usize,
    seed: u64,
}

/// What happened.
#[derive(Debug, Default)]
struct Soak {
    sent: u64,
    faults: u64,
    /// Sessions that came to their end, those that did not, and who came and went.
    ended: u64,
    crashed: u64,
    churned: u64,
    /// Keys that took the place of others.
    rotated: u64,
    /// Listeners at the end of a session, and those that had all of it.
    listeners: u64,
    whole: u64,
}

fn soak(length: &Length) -> Soak {
    let start = Instant::now();
    let mut week = Week::new(length.seed);
    for minute in 0..length.minutes {
        week.minute(length.packets);
        if minute % 1_440 == 1_439 {
            println!("day {}: {:?} after {:.0?}", (minute + 1) / 1_440, week.soak, start.elapsed());
        }
    }
    week.end_session();
    week.soak.sent = week.world.packets_sent();
    let took = start.elapsed();
    println!(
        "{:?}: {took:.1?}, {:.0} ns for each datagram sent",
        week.soak,
        took.as_secs_f64() * 1e9 / week.soak.sent as f64
    );
    week.soak
}

struct Week {
    world: World,
    invariants: Invariants,
    /// Of the newest key.
    epoch: u8,
    rng: fastrand::Rng,
    /// Listeners that nothing happened to since the session began.
    well: [bool; LISTENERS],
    /// Listeners that something is wrong with now.
    hurt: [bool; LISTENERS],
    soak: Soak,
}

impl Week {
    fn new(seed: u64) -> Self {
        let link = Link { loss: 0.005, ..crate::rough() };
        let rate = Some(Bitrate(100_000_000));
        let retain = ByteCount(8 << 20);
        let plan = Plan { seed, rate, retain, ..crate::plan(LISTENERS, link) };
        let mut world = World::with_sender(plan, |config| {
            config.datagram_len = 160;
            config.retain_for = Some(Duration::from_secs(3_600));
            config.keys = Some(Keyring::of_epoch(1, Key::new([1; 32])));
        });
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut content = vec![0; 1 << 20];
        rng.fill(&mut content);
        world.publish_on(Bytes::from(content));
        let invariants = Invariants::new(&world);
        Self {
            world,
            invariants,
            epoch: 1,
            rng,
            well: [true; LISTENERS],
            hurt: [false; LISTENERS],
            soak: Soak::default(),
        }
    }

    /// Something is sent, something happens, it is mended, and then there is silence.
    fn minute(&mut self, packets: usize) {
        self.world.supply(packets);
        let faults = 1 + u64::from(self.rng.u8(0..3) == 0);
        for _ in 0..faults {
            self.run_about(0..120);
            self.fault();
        }
        self.run_about(100..8_000);
        self.mend();
        self.run(Duration::from_secs(10));
        if self.rng.u8(0..30) == 0 {
            self.end_session();
        }
        // Nothing new is sent: heartbeats, reports, and what is still to be repaired.
        self.run_in_steps(Duration::from_secs(45), Duration::from_secs(5));
        self.soak.faults += faults;
        self.world.forget();
    }

    fn fault(&mut self) {
        let one = self.rng.usize(0..LISTENERS);
        match self.rng.u8(0..26) {
            0..=3 => {
                let kind = self.rng.choice(Kind::ALL).unwrap_or(Kind::Data);
                self.world.lose_next(kind, self.rng.u32(1..9));
            }
            4..=6 => self.world.set_loss(self.rng.f64() * 0.3),
            7..=9 => self.hurt(one, |world| world.set_cut(one, true)),
            10..=12 => self.hurt(one, |world| world.set_stuck(one, true)),
            13 => self.world.set_delay(Duration::from_micros(self.rng.u64(50..30_000))),
            14..=16 => self.churn(one, true),
            17..=18 => self.churn(one, false),
            19 => self.crash(),
            20..=22 => self.garbage(),
            _ => self.rotate(),
        }
    }

    fn hurt(&mut self, one: usize, how: impl FnOnce(&mut World)) {
        (self.well[one], self.hurt[one]) = (false, true);
        how(&mut self.world);
    }

    fn mend(&mut self) {
        for one in 0..LISTENERS {
            self.world.set_cut(one, false);
            self.world.set_stuck(one, false);
        }
        self.hurt = [false; LISTENERS];
        self.world.set_loss(0.005);
        self.world.set_delay(Duration::from_millis(5));
        self.check();
    }

    /// One leaves, or dies, and another comes.
    fn churn(&mut self, one: usize, says_goodbye: bool) {
        if says_goodbye {
            self.world.leave(one);
            self.run_about(1..500);
        }
        self.check();
        self.world.replace(one);
        self.well[one] = false;
        self.soak.churned += 1;
        self.invariants = Invariants::new(&self.world);
    }

    /// The publisher dies, and is started again.
    fn crash(&mut self) {
        self.check();
        self.world.restart();
        self.soak.crashed += 1;
        self.begin_session();
        self.world.supply(1_000);
    }

    fn begin_session(&mut self) {
        self.well = self.hurt.map(|hurt| !hurt);
        self.invariants = Invariants::new(&self.world);
    }

    /// Datagrams of a stranger: noise, with a header that may be one of this stream.
    fn garbage(&mut self) {
        let session = self.world.sender().session().0.to_be_bytes();
        for _ in 0..20 {
            let mut datagram = vec![0; self.rng.usize(0..160)];
            self.rng.fill(&mut datagram);
            if let Some(header) = datagram.first_chunk_mut::<14>() {
                let [version, kind, _, epoch, stream @ .., _, _, _, _, _, _, _, _] = header;
                (*version, *kind, *epoch) = (1, self.rng.u8(0..24), self.rng.u8(0..3));
                *stream = [0, 1];
                header[6..].copy_from_slice(&session);
            }
            let from = ([10, 9, 9, 9], 5_000).into();
            self.world.inject(&datagram, from);
        }
    }

    /// The key of the next epoch takes the place of the present one. Half the time one misses it, asks,
    /// and is given it.
    fn rotate(&mut self) {
        self.epoch = self.epoch % 255 + 1;
        let key = Key::new([self.epoch; 32]);
        let without = self.rng.bool().then(|| self.rng.usize(0..LISTENERS));
        self.world.rekey(self.epoch, &key, without);
        self.soak.rotated += 1;
        if let Some(one) = without {
            self.run_about(10..800);
            self.world.hand_key(one, self.epoch, &key);
        }
    }

    /// The stream ends, everybody has its account, and another session begins.
    fn end_session(&mut self) {
        self.world.end_supply();
        self.run(Duration::from_secs(30));
        assert!(self.world.sender().is_finished(), "not finished at {}", self.world.now());
        let (payload_len, total) = (self.world.sender().payload_len(), self.world.supplied());
        for (one, listener) in self.world.listeners().iter().enumerate() {
            let Some(ending) = listener.ending() else {
                assert!(!self.well[one], "listener {one} was not told of the end");
                continue;
            };
            let lost = usize::try_from(ending.lost_packets).unwrap_or(usize::MAX);
            assert_eq!(listener.delivered() + lost * payload_len, total, "listener {one}");
            assert!(lost == 0 || !self.well[one], "listener {one} lacks {lost} packets");
            self.soak.listeners += 1;
            self.soak.whole += u64::from(lost == 0);
        }
        self.soak.ended += 1;
        self.world.restart();
        self.begin_session();
    }

    /// So many milliseconds.
    fn run_about(&mut self, millis: std::ops::Range<u64>) {
        let time = Duration::from_millis(self.rng.u64(millis));
        self.run(time);
    }

    fn run(&mut self, time: Duration) {
        self.run_in_steps(time, Duration::from_millis(250));
    }

    fn run_in_steps(&mut self, time: Duration, step: Duration) {
        let end = self.world.now().after(time);
        while self.world.now() < end {
            self.world.run_for(step.min(end.since(self.world.now())));
            self.check();
        }
    }

    fn check(&mut self) {
        self.invariants.check(&self.world);
    }
}

const LISTENERS: usize = 8;
