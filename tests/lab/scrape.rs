//! Metrics of a running program.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lab::net::Host;

/// What a program showed at one moment.
#[derive(Debug)]
pub(crate) struct Metrics(Vec<(String, String, f64)>);

/// Reads `/metrics` of a program that serves them on the host's loopback.
pub(crate) fn scrape(host: &Host) -> Metrics {
    let text = host.run(fetch).expect("run in the host");
    let samples = text.lines().filter(|line| line.starts_with("onecast_"));
    Metrics(samples.map(sample).collect())
}

/// What [`scrape`] reads.
pub(crate) const ADDRESS: &str = "127.0.0.1:9464";

fn fetch() -> String {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connect to metrics");
    stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("ask for metrics");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read metrics");
    text
}

fn sample(line: &str) -> (String, String, f64) {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    let name = name.trim_start_matches("onecast_").to_owned();
    (name, labels.to_owned(), value.parse().expect("a number"))
}

impl Metrics {
    /// The sum over all labels; zero if nothing has that name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.of(name, "")
    }

    /// The sum over labels that contain this.
    pub(crate) fn of(&self, name: &str, label: &str) -> f64 {
        let all = self.0.iter().filter(|(its, labels, _)| its == name && labels.contains(label));
        all.map(|(.., value)| value).sum()
    }

    /// Every sample of a metric that is not zero, with its labels.
    pub(crate) fn all(&self, name: &str) -> Vec<(&str, f64)> {
        let all = self.0.iter().filter(|(its, _, value)| its == name && *value != 0.0);
        all.map(|(_, labels, value)| (labels.as_str(), *value)).collect()
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
