//! The dashboards and rules, by a Prometheus that scrapes programs that run.

use std::{
    fs::{self, File},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    monitor::{MINUTE, Monitor, SCRAPED, dashboards},
    program::Program,
    stage::Stage,
};

#[test]
fn every_panel_and_rule_answers_and_every_alert_fires_and_clears() {
    let Some(stage) = Stage::new(4) else { return };
    let names = ["s1", "s2", "s3"];
    let Some(monitor) = Monitor::start(&stage, "s4", &names) else { return };
    let before = names.map(|name| stage.host(name).counters().unwrap());
    let publisher_before = stage.host("pub").counters().unwrap();
    let mut subscribers = names.map(|name| subscriber(&stage, name));
    for subscriber in &subscribers {
        subscriber.wait_for("joined", PATIENCE);
    }
    let publisher = publisher(&stage);
    publisher.wait_for("started", PATIENCE);

    // What the dashboard says was saved is what the interfaces say.
    monitor.wait_for("onecast:saved:ratio1m", PATIENCE);
    thread::sleep(Duration::from_secs(12));
    let sent = stage.host("pub").counters().unwrap().since(&publisher_before).tx_bytes;
    let by_unicast: u64 = names
        .iter()
        .zip(&before)
        .map(|(name, before)| stage.host(name).counters().unwrap().since(before).rx_bytes)
        .sum();
    let counted = 1.0 - sent as f64 / by_unicast as f64;
    for rule in ["onecast:saved:ratio", "onecast:saved:ratio1m"] {
        let shown = monitor.query(rule)[0].value;
        println!("saved: {counted:.4} by the interfaces' counters, {shown:.4} by {rule}");
        assert!((shown / counted - 1.0).abs() < 0.02, "{rule}: {shown}, not {counted}");
    }
    // A machine that is busy may drop in the kernel; nothing else has a reason to fire.
    let firing = monitor.firing().into_iter().filter(|alert| !alert.contains("KernelDrops"));
    assert_eq!(firing.collect::<Vec<_>>(), [""; 0]);

    // A little loss everywhere, so that there is something to see in each panel.
    for name in names {
        stage.lose(name, 2);
    }
    thread::sleep(Duration::from_secs(6));
    every_panel_has_data(&monitor);

    loss_and_drops(&stage, &monitor, &subscribers);
    silence(&monitor, &publisher);
    nobody(&stage, &monitor, &mut subscribers);
}

/// s1 hears little, and s2 has no time to listen.
fn loss_and_drops(stage: &Stage, monitor: &Monitor<'_>, subscribers: &[Program; 3]) {
    stage.lose("s1", 70);
    stage.lose("s2", 0);
    stage.lose("s3", 0);
    subscribers[1].signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    subscribers[1].signal(Signal::SIGCONT);
    let (s1, s2) = (stage.host("s1").addr4(), stage.host("s2").addr4());
    monitor.wait_until_fires("OnecastKernelDrops", &format!("instance=\"{s2}:9464\""));
    monitor.wait_until_fires("OnecastWireLoss", &format!("instance=\"{s1}:9464\""));
    monitor.wait_until_fires("OnecastLoss", &format!("instance=\"{s1}:9464\""));
    monitor.wait_until_fires("OnecastBreakerOpen", "");
    stage.lose("s1", 0);
    for alert in ["OnecastLoss", "OnecastWireLoss", "OnecastKernelDrops", "OnecastBreakerOpen"] {
        monitor.wait_until_clear(alert);
    }
}

/// The publisher hangs: neither subscribers nor Prometheus hear of it.
fn silence(monitor: &Monitor<'_>, publisher: &Program) {
    publisher.signal(Signal::SIGSTOP);
    monitor.wait_until_fires("OnecastPublisherSilent", "");
    monitor.wait_until_fires("OnecastDown", "job=\"onecast-publisher\"");
    publisher.signal(Signal::SIGCONT);
    monitor.wait_until_clear("OnecastPublisherSilent");
    monitor.wait_until_clear("OnecastDown");
}

/// Everyone leaves, and comes back.
fn nobody(stage: &Stage, monitor: &Monitor<'_>, subscribers: &mut [Program; 3]) {
    for subscriber in subscribers.iter() {
        subscriber.signal(Signal::SIGTERM);
    }
    monitor.wait_until_fires("OnecastAudienceGone", "");
    for (subscriber, name) in subscribers.iter_mut().zip(["s1", "s2", "s3"]) {
        *subscriber = self::subscriber(stage, name);
    }
    monitor.wait_until_clear("OnecastAudienceGone");
    monitor.wait_until_clear("OnecastDown");
}

#[test]
#[ignore = "takes the 260 s for which a switch remembers: ./tests/run --long"]
fn a_missing_querier_is_told_after_260_seconds() {
    let Some(stage) = Stage::new(2) else { return };
    let Some(monitor) = Monitor::start(&stage, "s2", &["s1"]) else { return };
    let subscriber = subscriber(&stage, "s1");
    subscriber.wait_for("joined", PATIENCE);
    let switch = stage.host("s1").switch().unwrap();
    monitor.wait_for("onecast_querier_silent_seconds < 3", Duration::from_secs(150));
    switch.set_querier(false).unwrap();
    monitor.wait_for("onecast_querier_silent_seconds > 255", Duration::from_secs(280));
    // There is no publisher here, which is told as well.
    let told = monitor.firing().into_iter().find(|alert| alert.contains("OnecastNoQuerier"));
    assert_eq!(told, None, "not yet");
    monitor.wait_until_fires("OnecastNoQuerier", "interface=\"eth0\"");
    switch.set_querier(true).unwrap();
    monitor.wait_until_clear("OnecastNoQuerier");
}

fn subscriber(stage: &Stage, name: &str) -> Program {
    let args = [GROUP, "-o", "/dev/null", "--follow", "--metrics", SCRAPED, "--rcvbuf", "2MiB"];
    stage.subscriber(name, &args)
}

/// 20 Mbit/s for as long as it takes, of a file that has no blocks.
fn publisher(stage: &Stage) -> Program {
    let path = stage.path("stream");
    File::create(&path).and_then(|file| file.set_len(8 << 30)).expect("make a file");
    let args = [path.to_str().unwrap(), "--to", GROUP, "--metrics", SCRAPED, "--rate", "20M"];
    stage.publisher(&[&args[..], &["--deadline", "200ms", "--wait-for", "3,20s"]].concat())
}

fn every_panel_has_data(monitor: &Monitor<'_>) {
    let mut asked = 0;
    for name in ["operators.json", "subscriber.json"] {
        let text = fs::read_to_string(dashboards().join(name)).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = filled(target["expr"].as_str().unwrap());
                let series = monitor.wait_for(&query, Duration::from_secs(20));
                asked += 1;
                println!("{name}: {}: {} series", panel["title"], series.len());
            }
        }
    }
    let rules = fs::read_to_string(dashboards().join("rules.yml")).unwrap();
    for line in rules.lines() {
        if let Some(rule) = line.trim().strip_prefix("- record: ") {
            monitor.wait_for(rule, Duration::from_secs(20));
            asked += 1;
        }
    }
    println!("{asked} queries answered with data");
}

/// A query with the variables of a dashboard filled in, as Grafana does it.
fn filled(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", MINUTE);
    ["$job", "$instance", "$stream"].iter().fold(expr, |expr, name| expr.replace(name, ".*"))
}

const GROUP: &str = "udp://239.1.2.3:5000";
const PATIENCE: Duration = Duration::from_secs(30);
