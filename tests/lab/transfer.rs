//! Files: whole at every subscriber, and sent once whatever their number.

use std::time::Duration;

use lab::net::Lab;

use crate::{
    program::Ended,
    stage::{MIB, Stage, same},
};

#[test]
fn four_that_lose_packets_cost_what_the_worst_of_them_lost() {
    losses_cost(4, 256, [(1, 0.023), (5, 0.084), (20, 0.32)]);
}

#[test]
fn sixteen_that_lose_packets_cost_what_the_worst_of_them_lost() {
    losses_cost(16, 64, [(1, 0.037), (5, 0.11), (20, 0.38)]);
}

/// Sends a file without loss and at each of these percentages. Every run but the first is given the
/// share of the stream that no repair by count can do without, and 3 % of it for all the rest:
/// repair of repair, what was asked for twice, NCFs. Each copy that a busy machine loses besides may
/// cost a repair of its own; where it was busier than that, it is tried again.
///
/// The share is E[packets sent until the worst of N has 64 of them] ÷ 64 − 1.
fn losses_cost(subscribers: usize, mib: u64, shares: [(u32, f64); 3]) {
    let clean = in_three(|| without_loss(subscribers, mib));
    for (percent, share) in shares {
        let lossless = |clean: &Figures| (clean.egress_bytes - clean.repair_bytes) as f64;
        let Some(clean) = &clean else { return };
        in_three(|| {
            let Some(run) = Run::of(subscribers, mib, percent).transfer(GROUP) else {
                return Ok(());
            };
            let more = run.egress_bytes as f64 / lossless(clean) - 1.0;
            let spare = SPARE + run.unplanned * subscribers as f64;
            println!(
                "{subscribers} that lose {percent} %: {:.1} % more egress than without loss, of \
                 which {:.1} % cannot be saved; lost besides: {:.2} %; {:.2} of the speed",
                100.0 * more,
                100.0 * share,
                100.0 * run.unplanned,
                clean.took / run.took,
            );
            assert!(run.repair_bytes > 0, "no repair at {percent} %");
            let cheap = more <= share + spare;
            cheap
                .then_some(())
                .ok_or(format!("{percent} %: {more:.4} more, not {share} and {spare:.4}"))
        });
    }
}

fn without_loss(subscribers: usize, mib: u64) -> Result<Option<Figures>, String> {
    let Some(clean) = Run::of(subscribers, mib, 0).transfer(GROUP) else { return Ok(None) };
    let headers = (clean.egress_bytes - clean.repair_bytes) as f64 / (mib * MIB) as f64;
    assert!((1.0..=1.06).contains(&headers), "egress {headers:.4} of the payload");
    assert!(
        clean.repair_bytes == 0 || clean.switch_drops > 0 || clean.kernel_drops > 0,
        "repair without a loss"
    );
    let drops = clean.kernel_drops;
    if drops == 0 { Ok(Some(clean)) } else { Err(format!("{drops} kernel drops")) }
}

#[test]
fn sixteen_subscribers_cost_no_more_than_one() {
    in_three(|| {
        let Some(one) = Run::of(1, 32, 0).transfer(GROUP) else { return Ok(()) };
        let Some(sixteen) = Run::of(16, 32, 0).transfer(GROUP) else { return Ok(()) };
        let growth = sixteen.egress_bytes as f64 / one.egress_bytes as f64;
        println!("egress to 16 subscribers: {growth:.4} of that to one");
        (growth <= 1.02).then_some(()).ok_or(format!("{growth:.4}"))
    });
}

/// The machine that runs this is a part of what is measured: what it spoils is measured again.
fn in_three<T>(measure: impl Fn() -> Result<T, String>) -> T {
    for _ in 0..2 {
        match measure() {
            Ok(measured) => return measured,
            Err(why) => println!("measured again: {why}"),
        }
    }
    measure().unwrap_or_else(|why| panic!("{why}, three times in a row"))
}

#[test]
fn a_file_arrives_whole_over_ipv6() {
    let Some(run) = Run::of(4, 32, 1).transfer("udp://[ff15::7]:5000") else { return };
    assert!(run.egress_ratio < 1.25, "{:.4}", run.egress_ratio);
}

#[test]
fn a_file_arrives_whole_at_source_specific_subscribers() {
    let run = Run { source: Some("10.77.0.1"), ..Run::of(4, 32, 1) };
    let Some(run) = run.transfer("udp://232.1.2.3:5000") else { return };
    assert!(run.egress_ratio < 1.25, "{:.4}", run.egress_ratio);
}

#[test]
fn a_file_arrives_whole_at_a_mute_subscriber_that_nobody_waits_for() {
    let Some(stage) = Stage::build(&Lab::builder().hosts(2)) else { return };
    let file = stage.file("file", 16 * MIB, 9);
    stage.lose("s1", 1);
    stage.count("pub", "feedback", "udp dport != 5000");
    let subscriber = stage.subscriber_to_file("s1", GROUP, &["--mute"]);
    subscriber.wait_for("joined", Duration::from_secs(10));
    let file_name = file.to_str().unwrap();
    let send = [file_name, "--to", GROUP, "--wait-for", "1s", "--rate", "100M", "--parity", "16"];
    let publisher = stage.publisher(&send).wait(PATIENCE);
    let subscriber = subscriber.wait(PATIENCE);
    publisher.expect_code(0);
    subscriber.expect_code(0);
    assert!(same(&file, &stage.output("s1")), "another file");
    assert!(subscriber.number("repaired_packets") > 0, "nothing was lost");
    assert_eq!(stage.counted("pub", "feedback"), 0, "datagrams that reached the publisher");
    assert_eq!(publisher.summary()["audience"].as_array().map(Vec::len), Some(0));
}

/// What is to be sent, and to whom.
struct Run {
    subscribers: usize,
    mib: u64,
    loss_percent: u32,
    source: Option<&'static str>,
}

/// What it took.
struct Figures {
    egress_bytes: u64,
    egress_ratio: f64,
    repair_bytes: u64,
    /// Seconds, to the end of the last subscriber.
    took: f64,
    kernel_drops: u64,
    /// Packets that the kernel had no room for between the hosts: a burst to 16 of them is 700.
    switch_drops: u64,
    /// Share of what was to come to the subscribers that such drops took.
    unplanned: f64,
}

impl Run {
    fn of(subscribers: usize, mib: u64, loss_percent: u32) -> Self {
        Self { subscribers, mib, loss_percent, source: None }
    }

    /// Sends a file to a group; every subscriber ends with 0 and has the file.
    fn transfer(&self, endpoint: &str) -> Option<Figures> {
        let stage = Stage::build(&Lab::builder().hosts(1 + self.subscribers))?;
        let file = stage.file("file", self.mib * MIB, self.mib);
        let joined = self.source.map_or(endpoint.to_owned(), |source| {
            endpoint.replace("udp://", &format!("udp://{source}@"))
        });
        let hosts: Vec<String> = (1..=self.subscribers).map(|i| format!("s{i}")).collect();
        let start = |host: &String| {
            stage.lose(host, self.loss_percent);
            stage.subscriber_to_file(host, &joined, &[])
        };
        let programs: Vec<_> = hosts.iter().map(start).collect();
        for program in &programs {
            program.wait_for("joined", Duration::from_secs(10));
        }
        let before = stage.host("pub").counters().unwrap();
        let dropped = backlog_drops();
        let count = self.subscribers.to_string();
        let publisher =
            stage.publisher(&[file.to_str().unwrap(), "--to", endpoint, "--wait-for", &count]);
        let started = publisher.wait_for("started", Duration::from_secs(20)).at;
        let subscribers: Vec<Ended> = programs.into_iter().map(|it| it.wait(PATIENCE)).collect();
        let publisher = publisher.wait(PATIENCE);
        let egress = stage.host("pub").counters().unwrap().since(&before).tx_bytes;

        publisher.expect_code(0);
        for (host, subscriber) in hosts.iter().zip(&subscribers) {
            subscriber.expect_code(0);
            assert!(same(&file, &stage.output(host)), "{host} has another file");
            assert_eq!(subscriber.summary()["sha256"], publisher.summary()["source_sha256"]);
        }
        let last = subscribers.iter().map(|subscriber| subscriber.at).max().unwrap();
        let took = last.duration_since(started).as_secs_f64();
        let switch_drops = backlog_drops() - dropped;
        Some(self.figures(&publisher, &subscribers, (egress, switch_drops), took))
    }

    fn figures(
        &self,
        publisher: &Ended,
        subscribers: &[Ended],
        (egress_bytes, switch_drops): (u64, u64),
        took: f64,
    ) -> Figures {
        let payload = (self.mib * MIB) as f64;
        let repair_bytes = publisher.number("repair_bytes");
        let egress_ratio = egress_bytes as f64 / payload;
        let busiest = subscribers.iter().map(|it| it.cpu).max().unwrap_or_default();
        let kernel_drops: u64 = subscribers.iter().map(|it| it.number("kernel_drops")).sum();
        let copies = publisher.number("egress_datagrams") * self.subscribers as u64;
        println!(
            "{} MiB to {} at {} % loss: {:.1} MB/s each in {took:.1} s; egress {egress_ratio:.4} of \
             the payload, repairs {:.2} % of it; CPU publisher {:.2} s, busiest subscriber {:.2} s; \
             kernel drops {kernel_drops}, dropped by the switch {switch_drops}",
            self.mib,
            self.subscribers,
            self.loss_percent,
            payload / took / 1e6,
            100.0 * repair_bytes as f64 / egress_bytes as f64,
            publisher.cpu.as_secs_f64(),
            busiest.as_secs_f64(),
        );
        let unplanned = (kernel_drops + switch_drops) as f64 / copies as f64;
        Figures {
            egress_bytes,
            egress_ratio,
            repair_bytes,
            took,
            kernel_drops,
            switch_drops,
            unplanned,
        }
    }
}

/// Packets that found the queue of a processor full on their way through the lab
/// (`/proc/net/softnet_stat`, second column): all networks of the machine share it.
fn backlog_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    let drops = text.lines().filter_map(|line| line.split_whitespace().nth(1));
    drops.map(|drops| u64::from_str_radix(drops, 16).unwrap_or_default()).sum()
}

const GROUP: &str = "udp://239.1.2.3:5000";

/// What repair may cost beyond what theory asks for.
const SPARE: f64 = 0.03;

/// Many times what it takes.
const PATIENCE: Duration = Duration::from_secs(180);
