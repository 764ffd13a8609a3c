//! A Prometheus on a host of the lab, with the rules that are shipped.

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lab::net::Host;
use serde_json::Value;

use crate::{program::Program, stage::Stage};

/// A Prometheus; it ends when this is dropped.
pub(crate) struct Monitor<'a> {
    host: &'a Host,
    _program: Program,
}

/// One series of an answer: its labels and its value.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Value,
    pub(crate) value: f64,
}

impl<'a> Monitor<'a> {
    /// Starts one on `host`, that scrapes the publisher and these subscribers twice a second.
    /// A minute of the rules takes [`MINUTE`]: faults need not last as long as in life. `None`,
    /// said loudly, where there is no Prometheus.
    pub(crate) fn start(stage: &'a Stage, host: &str, subscribers: &[&str]) -> Option<Self> {
        if Command::new("prometheus").arg("--version").output().is_err() {
            assert!(env::var_os("CI").is_none(), "no prometheus: apt-get install prometheus");
            eprintln!("SKIPPED: no prometheus here (apt-get install prometheus)");
            return None;
        }
        let rules = fs::read_to_string(dashboards().join("rules.yml")).expect("the rules");
        fs::write(stage.path("rules.yml"), hastened(&rules)).expect("write rules");
        let targets = |hosts: &[&str]| {
            let all = hosts.iter().map(|name| format!("\"{}:9464\"", stage.host(name).addr4()));
            all.collect::<Vec<_>>().join(", ")
        };
        let config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n\
             - {{job_name: onecast-publisher, static_configs: [{{targets: [{}]}}]}}\n\
             - {{job_name: onecast-subscriber, static_configs: [{{targets: [{}]}}]}}\n",
            targets(&["pub"]),
            targets(subscribers),
        );
        fs::write(stage.path("prometheus.yml"), config).expect("write a configuration");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", stage.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", stage.path("tsdb").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .arg("--log.level=error");
        let program = stage.start(host, "prometheus", command);
        Some(Self { host: stage.host(host), _program: program })
    }

    /// What a query gives now; nothing while Prometheus is not ready.
    pub(crate) fn query(&self, query: &str) -> Vec<Series> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/api/v1/query?query={escaped}");
        let Some(answer) = self.host.run(|| get(&path)).expect("run in the host") else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        let all = answer["data"]["result"].as_array().into_iter().flatten();
        let series = all.map(|series| Series {
            labels: series["metric"].clone(),
            value: series["value"][1].as_str().unwrap_or_default().parse().expect("a value"),
        });
        series.collect()
    }

    /// Waits until a query gives something that is a number.
    #[track_caller]
    pub(crate) fn wait_for(&self, query: &str, within: Duration) -> Vec<Series> {
        let late = Instant::now() + within;
        loop {
            let series = self.query(query);
            if series.iter().any(|series| series.value.is_finite()) {
                return series;
            }
            assert!(Instant::now() < late, "no data within {within:?}: {query}: {series:?}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until an alert fires.
    #[track_caller]
    pub(crate) fn wait_until_fires(&self, alert: &str, selector: &str) {
        let since = Instant::now();
        self.wait_for(&firing(alert, selector), PATIENCE);
        println!("{alert}{{{selector}}} fires after {:?}", since.elapsed());
    }

    /// Waits until an alert does not fire any more.
    #[track_caller]
    pub(crate) fn wait_until_clear(&self, alert: &str) {
        let since = Instant::now();
        while !self.query(&firing(alert, "")).is_empty() {
            assert!(since.elapsed() < PATIENCE, "{alert} still fires");
            thread::sleep(Duration::from_millis(200));
        }
        println!("{alert} is clear after {:?}", since.elapsed());
    }

    /// Every alert that fires.
    pub(crate) fn firing(&self) -> Vec<String> {
        let all = self.query("ALERTS{alertstate=\"firing\"}");
        all.iter().map(|alert| alert.labels.to_string()).collect()
    }
}

/// Where dashboards and rules are.
pub(crate) fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("dashboards")
}

fn firing(alert: &str, selector: &str) -> String {
    format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",{selector}}}")
}

/// The rules with every duration fifteen times shorter.
fn hastened(rules: &str) -> String {
    let mut hasty = String::new();
    for line in rules.lines() {
        let is_spoken = line.trim_start().starts_with("summary:")
            || line.trim_start().starts_with("description:");
        hasty += &if is_spoken { line.to_owned() } else { shorter(line) };
        hasty.push('\n');
    }
    hasty
}

/// Durations stand alone or in brackets: `1m`, `[5m]`, `for: 15s`.
fn shorter(line: &str) -> String {
    let mut text = String::new();
    for word in line.split_inclusive([' ', '[', ']', ')']) {
        let (head, tail) = word.split_at(word.trim_end_matches([' ', '[', ']', ')']).len());
        let number = |unit: char| head.strip_suffix(unit)?.parse::<u64>().ok();
        let seconds = number('m').map(|minutes| minutes * 60).or_else(|| number('s'));
        match seconds {
            Some(seconds) => text += &format!("{}ms{tail}", seconds * 1_000 / HASTE),
            None => text += word,
        }
    }
    text
}

fn get(path: &str) -> Option<String> {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Whoever is scraped: on every address of its host.
pub(crate) const SCRAPED: &str = "0.0.0.0:9464";

/// How long a minute of the rules takes, as a query spells it.
pub(crate) const MINUTE: &str = "4s";

const HASTE: u64 = 15;
const ADDRESS: &str = "127.0.0.1:9090";
const PATIENCE: Duration = Duration::from_secs(90);
