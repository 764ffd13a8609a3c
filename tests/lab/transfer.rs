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
/// repair of repair, what was asked for twice, NCFs.
///
/// The share is E[packets sent until the worst of N has 64 of them] ÷ 64 − 1.
fn losses_cost(subscribers: usize, mib: u64, shares: [(u32, f64); 3]) {
    let Some(clean) = Run::of(subscribers, mib, 0).transfer(GROUP) else { return };
    assert!((1.0..=1.06).contains(&clean.egress_ratio), "egress {:.4}", clean.egress_ratio);
    assert_eq!(clean.repair_bytes, 0, "repair without a loss");
    for subscriber in &clean.subscribers {
        assert_eq!(subscriber.number("kernel_drops"), 0, "{}", subscriber.name);
    }
    for (percent, share) in shares {
        let Some(run) = Run::of(subscribers, mib, percent).transfer(GROUP) else { return };
        let more = run.egress_bytes as f64 / clean.egress_bytes as f64 - 1.0;
        println!(
            "{subscribers} that lose {percent} %: {:.1} % more egress than without loss, of which \
             {:.1} % cannot be saved; {:.2} of the speed",
            100.0 * more,
            100.0 * share,
            clean.took / run.took,
        );
        assert!(run.repair_bytes > 0, "no repair at {percent} %");
        assert!(more <= share + SPARE, "{percent} %: {more:.4} more, not {share} and {SPARE}");
    }
}

#[test]
fn sixteen_subscribers_cost_no_more_than_one() {
    let Some(one) = Run::of(1, 32, 0).transfer(GROUP) else { return };
    let Some(sixteen) = Run::of(16, 32, 0).transfer(GROUP) else { return };
    let growth = sixteen.egress_bytes as f64 / one.egress_bytes as f64;
    println!("egress to 16 subscribers: {growth:.4} of that to one");
    assert!(growth <= 1.02, "{growth:.4}");
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
    subscribers: Vec<Ended>,
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
        Some(self.figures(&publisher, subscribers, egress, took))
    }

    fn figures(
        &self,
        publisher: &Ended,
        subscribers: Vec<Ended>,
        egress_bytes: u64,
        took: f64,
    ) -> Figures {
        let payload = (self.mib * MIB) as f64;
        let repair_bytes = publisher.number("repair_bytes");
        let egress_ratio = egress_bytes as f64 / payload;
        let busiest = subscribers.iter().map(|it| it.cpu).max().unwrap_or_default();
        let drops: u64 = subscribers.iter().map(|it| it.number("kernel_drops")).sum();
        println!(
            "{} MiB to {} at {} % loss: {:.1} MB/s each in {took:.1} s; egress {egress_ratio:.4} of \
             the payload, repairs {:.2} % of it; CPU publisher {:.2} s, busiest subscriber {:.2} s; \
             kernel drops {drops}",
            self.mib,
            self.subscribers,
            self.loss_percent,
            payload / took / 1e6,
            100.0 * repair_bytes as f64 / egress_bytes as f64,
            publisher.cpu.as_secs_f64(),
            busiest.as_secs_f64(),
        );
        Figures { egress_bytes, egress_ratio, repair_bytes, took, subscribers }
    }
}

const GROUP: &str = "udp://239.1.2.3:5000";

/// What repair may cost beyond what theory asks for.
const SPARE: f64 = 0.03;

/// Many times what it takes.
const PATIENCE: Duration = Duration::from_secs(180);
