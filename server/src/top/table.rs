//! A publisher's status as tables.

use anyhow::{Context, bail};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, Table};
use host::http::HttpAddress;
use indicatif::HumanBytes;
use serde::Deserialize;

/// What `/status.json` said; what is not shown is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    program: String,
    version: String,
    started_at: f64,
    time: f64,
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    stream: String,
    session: String,
    at: f64,
    started: bool,
    finished: bool,
    audience: u64,
    wants: Option<u32>,
    egress_bytes: u64,
    repair_bytes: u64,
    unicast_equivalent_bytes: u64,
    losses: Losses,
    mended: u64,
    given_up: u64,
    subscribers: Vec<Subscriber>,
    subscribers_hidden: u64,
}

#[derive(Debug, Deserialize)]
struct Losses {
    wire: u64,
    kernel: u64,
}

#[derive(Debug, Deserialize)]
struct Subscriber {
    name: String,
    complete: bool,
    present: bool,
    received: u64,
    repaired: u64,
    recovered: u64,
    lost: u64,
    wire_losses: u64,
    kernel_losses: u64,
}

impl Seen {
    /// Reads what the program at `address` said.
    ///
    /// # Errors
    ///
    /// When it is no publisher's status.
    pub(super) fn read(json: &str, address: HttpAddress) -> anyhow::Result<Self> {
        let program = serde_json::from_str::<serde_json::Value>(json);
        let program = program.with_context(|| format!("{address} gives no JSON"))?;
        if program.get("program").is_none_or(|program| program != "publisher") {
            bail!("{address} is a subscriber's: open it in a browser, or ask `subscriber status`");
        }
        serde_json::from_value(program)
            .with_context(|| format!("the publisher at {address} is of another version"))
    }

    /// The same stream of the same session, if there is one.
    fn same(&self, stream: &Stream) -> Option<&Stream> {
        self.streams.iter().find(|it| it.stream == stream.stream && it.session == stream.session)
    }
}

/// The tables; rates are those since `before`.
pub(super) fn table(seen: &Seen, before: Option<&Seen>) -> String {
    let up = std::time::Duration::try_from_secs_f64(seen.time - seen.started_at);
    let up = up.unwrap_or_default().as_secs();
    let mut text = format!("{} {}, up {up} s\n", seen.program, seen.version);
    let mut streams = new_table(&STREAM_HEAD, 2);
    for stream in &seen.streams {
        streams.add_row(stream_row(stream, before.and_then(|before| before.same(stream))));
    }
    text += &streams.to_string();
    for stream in seen.streams.iter().filter(|stream| !stream.subscribers.is_empty()) {
        text += &format!("\n{}\n", stream.stream);
        let mut rows = new_table(&SUBSCRIBER_HEAD, 2);
        for subscriber in stream.subscribers.iter().take(SHOWN) {
            rows.add_row(subscriber_row(subscriber));
        }
        text += &rows.to_string();
        let more = stream.subscribers.len().saturating_sub(SHOWN) as u64;
        let hidden = stream.subscribers_hidden + more;
        if hidden > 0 {
            text += &format!("\nand {hidden} more");
        }
    }
    text
}

fn stream_row(stream: &Stream, before: Option<&Stream>) -> Vec<String> {
    let state = match (stream.finished, stream.started, stream.wants) {
        (true, ..) => "ended".to_owned(),
        (_, true, _) => "flows".to_owned(),
        (.., Some(wants)) => format!("waits for {wants}"),
        (.., None) => "waits".to_owned(),
    };
    let rate = |of: fn(&Stream) -> u64| match before {
        Some(before) if stream.at > before.at => {
            bits(of(stream).saturating_sub(of(before)), stream.at - before.at)
        }
        _ => "–".to_owned(),
    };
    vec![
        stream.stream.clone(),
        state,
        stream.audience.to_string(),
        rate(|it| it.egress_bytes),
        rate(|it| it.unicast_equivalent_bytes),
        HumanBytes(stream.egress_bytes).to_string(),
        saved(stream.egress_bytes, stream.unicast_equivalent_bytes),
        HumanBytes(stream.repair_bytes).to_string(),
        (stream.losses.wire.saturating_add(stream.losses.kernel)).to_string(),
        stream.mended.to_string(),
        stream.given_up.to_string(),
    ]
}

fn subscriber_row(row: &Subscriber) -> Vec<String> {
    let state = match (row.present, row.complete) {
        (false, _) => "silent or gone",
        (_, true) => "complete",
        _ => "listens",
    };
    vec![
        row.name.clone(),
        state.to_owned(),
        row.received.to_string(),
        (row.wire_losses.saturating_add(row.kernel_losses)).to_string(),
        (row.repaired.saturating_add(row.recovered)).to_string(),
        row.lost.to_string(),
    ]
}

fn new_table(head: &[&str], texts: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(head.iter().map(|name| Cell::new(*name)));
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What multicast saved of what unicast would have cost.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(crate) fn saved(sent: u64, unicast: u64) -> String {
    if unicast == 0 {
        return "–".to_owned();
    }
    format!("{:.1} %", 100.0 * (1.0 - sent as f64 / unicast as f64))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn bits(bytes: u64, seconds: f64) -> String {
    let bits = bytes as f64 * 8.0 / seconds;
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    match units.into_iter().find(|(unit, _)| bits >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bits / unit),
        None => format!("{bits:.0} bit/s"),
    }
}

const STREAM_HEAD: [&str; 11] = [
    "stream",
    "state",
    "audience",
    "rate",
    "by unicast",
    "sent",
    "saved",
    "repair",
    "lost",
    "repaired",
    "given up",
];

const SUBSCRIBER_HEAD: [&str; 6] =
    ["subscriber", "state", "received", "lost", "repaired", "given up"];

/// More lines than this scroll away.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: f64, egress: u64) -> Seen {
        let json = format!(
            r#"{{"program":"publisher","version":"1","started_at":0,"time":{at},"streams":[{{
            "stream":"a","session":"1","at":{at},"started":true,"finished":false,"audience":4,
            "wants":null,"egress_bytes":{egress},"repair_bytes":0,
            "unicast_equivalent_bytes":{},"losses":{{"wire":3,"kernel":4}},"mended":7,"given_up":0,
            "subscribers":[{{"name":"one","complete":false,"present":true,"received":9,
            "repaired":1,"recovered":1,"lost":0,"wire_losses":2,"kernel_losses":0}}],
            "subscribers_hidden":3}}]}}"#,
            4 * egress
        );
        Seen::read(&json, ":1".parse().unwrap()).unwrap()
    }

    #[test]
    fn rates_are_those_since_the_status_before() {
        let text = table(&seen(2.0, 2_500_000), Some(&seen(1.0, 1_250_000)));
        for part in ["10.0 Mbit/s", "40.0 Mbit/s", "75.0 %", "one", "and 3 more"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(table(&seen(2.0, 1), None).contains('–'));
    }

    #[test]
    fn a_subscriber_is_no_publisher() {
        let error = Seen::read(r#"{"program":"subscriber"}"#, ":1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("subscriber"), "{error}");
    }
}
