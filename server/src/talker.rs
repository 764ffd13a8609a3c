//! Talking: the log and one live line for people, JSON lines for scripts.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use host::logging;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::report::{News, Progress, Summary, Talk, Who};
use crate::snapshot::StreamSnapshot;
use crate::top::saved;

/// Says what happens.
pub(crate) struct Talker {
    talk: Talk,
    line: Option<ProgressBar>,
    payload_bytes_before: u64,
}

impl Talker {
    pub(crate) fn new(talk: Talk) -> Self {
        let line = (talk == Talk::Line).then(live_line);
        Self { talk, line, payload_bytes_before: 0 }
    }

    pub(crate) fn news(&mut self, news: &News) {
        log(news);
        if self.talk == Talk::Json {
            write_json(news);
        }
    }

    pub(crate) fn progress(&mut self, streams: &[StreamSnapshot]) {
        if self.talk == Talk::Json {
            streams.iter().for_each(|stream| write_json(&Progress::from(stream)));
        }
        let Some(line) = &self.line else { return };
        let payload_bytes: u64 = streams.iter().map(|stream| stream.stats.payload_bytes).sum();
        let per_second = payload_bytes.saturating_sub(self.payload_bytes_before);
        self.payload_bytes_before = payload_bytes;
        line.set_message(live(streams, payload_bytes, per_second));
        line.tick();
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            logging::write_lines_around(None);
            line.finish_and_clear();
        }
    }
}

/// Tells how it ended: on stdout for scripts, in the log for people.
pub(crate) fn conclude(summary: &Summary, talk: Talk) {
    for stream in &summary.streams {
        if talk == Talk::Json {
            write_json(stream);
        }
        tracing::info!(
            stream = stream.stream,
            payload = %HumanBytes(stream.payload_bytes),
            sent = %HumanBytes(stream.egress_bytes),
            repairs = %HumanBytes(stream.repair_bytes),
            subscribers = stream.audience.len(),
            by_unicast = %HumanBytes(stream.unicast_equivalent_bytes),
            "stream ended"
        );
        if stream.aborted {
            tracing::warn!(stream = stream.stream, "stopped before its input ended");
        }
        if !stream.unfinished.is_empty() {
            tracing::warn!(
                stream = stream.stream,
                subscribers = names(&stream.unfinished),
                "not everyone has everything"
            );
        }
    }
}

fn log(news: &News) {
    match news {
        News::Reloaded { added, removed, changed, refused } => tracing::info!(
            added = added.join(", "),
            removed = removed.join(", "),
            changed = changed.join(", "),
            refused = refused.len(),
            "config reloaded"
        ),
        News::Started { stream, audience } => tracing::info!(stream, audience, "data flows"),
        News::SubscriberJoined(Who { stream, subscriber, .. }) => {
            tracing::info!(stream, subscriber, "subscriber joined");
        }
        News::SubscriberAdmitted(_) | News::SubscriberRemoved { .. } | News::KeyChanged { .. } => {
            log_admission(news);
        }
        News::SubscriberLeft { who: Who { stream, subscriber, .. }, reason } => {
            tracing::info!(stream, subscriber, reason, "subscriber left");
        }
        News::SubscriberSilent(Who { stream, subscriber, .. }) => {
            tracing::warn!(stream, subscriber, "subscriber is silent: not waiting for it");
        }
        News::SubscriberSlow(Who { stream, subscriber, .. }) => {
            tracing::warn!(
                stream,
                subscriber,
                "subscriber is slow: it holds the stream back or is quiet"
            );
        }
        News::SubscriberEvicted { who: Who { stream, subscriber, .. }, reason } => {
            tracing::warn!(stream, subscriber, reason, "subscriber let go: not waiting for it");
        }
        News::NotBelieved { stream, cause, from } => {
            tracing::warn!(stream, from, "what a host says is not believed: {cause}");
        }
        News::Breaker { stream, state, open: true } => {
            tracing::warn!(
                stream,
                state,
                "too much is lost for too long: the circuit breaker acts"
            );
        }
        News::Breaker { stream, .. } => {
            tracing::info!(stream, "the circuit breaker is closed: loss is low again");
        }
        News::SubscriberBack(Who { stream, subscriber, .. }) => {
            tracing::info!(stream, subscriber, "subscriber is back");
        }
        News::SubscriberFinished { who: Who { stream, subscriber, .. }, lost } => {
            tracing::info!(stream, subscriber, lost, "subscriber reached the end");
        }
        News::CatchUp { who: Who { stream, subscriber, .. }, packets } => {
            tracing::info!(stream, subscriber, packets, "late joiner is given what it missed");
        }
        News::Serving { .. } => {}
    }
}

fn log_admission(news: &News) {
    if let News::SubscriberAdmitted(Who { stream, subscriber, id }) = news {
        tracing::info!(stream, subscriber, id, "subscriber admitted");
    } else if let News::SubscriberRemoved { who: Who { stream, subscriber, id }, reason } = news {
        tracing::warn!(stream, subscriber, id, reason, "subscriber removed: the key changes");
    } else if let News::KeyChanged { stream, subscribers } = news {
        tracing::info!(stream, subscribers, "the next key was handed out");
    }
}

/// Nobody reading is no failure: the stream matters more than its story.
fn write_json(value: &impl Serialize) {
    let written = serde_json::to_string(value)
        .map_err(io::Error::from)
        .and_then(|line| writeln!(io::stdout().lock(), "{line}"));
    if let Err(error) = written {
        tracing::debug!(%error, "stdout takes no more");
    }
}

fn live_line() -> ProgressBar {
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        line.set_style(style);
    }
    let around = line.clone();
    logging::write_lines_around(Some(Box::new(move |write| around.suspend(write))));
    line
}

fn live(streams: &[StreamSnapshot], payload_bytes: u64, per_second: u64) -> String {
    let audience: u64 = streams.iter().map(|stream| stream.audience).sum();
    if let Some(waiting) = streams.iter().find(|stream| !stream.is_started) {
        let wanted = waiting.wants.map(|wanted| format!(" of {wanted}")).unwrap_or_default();
        return format!("{}: waiting for subscribers, {audience}{wanted} so far", waiting.name);
    }
    let sum = |of: fn(&StreamSnapshot) -> u64| streams.iter().map(of).sum::<u64>();
    let unicast = sum(|stream| stream.stats.unicast_equivalent_bytes);
    let sent = sum(|stream| stream.on_wire().bytes);
    let dropped = sum(|stream| stream.input.dropped.load(Ordering::Relaxed));
    let losses = |stream: &StreamSnapshot| stream.fare.losses().map(|(_, lost)| lost).sum();
    let len: Option<u64> = streams.iter().map(|stream| stream.input_len).sum();
    let of = len.map(|len| format!(" of {}", HumanBytes(len))).unwrap_or_default();
    let drops = if dropped > 0 { format!(" · input dropped {dropped}") } else { String::new() };
    format!(
        "{}{of} · {}/s · {audience} subscribers · lost {} · repaired {} · saved {} of {}{drops}",
        HumanBytes(payload_bytes),
        HumanBytes(per_second),
        sum(losses),
        sum(|stream| stream.fare.mended),
        saved(sent, unicast),
        HumanBytes(unicast),
    )
}

/// What all streams do, for those who list services.
pub(crate) fn in_a_line(streams: &[StreamSnapshot]) -> String {
    let count =
        |wanted: fn(&StreamSnapshot) -> bool| streams.iter().filter(|it| wanted(it)).count();
    let sum = |of: fn(&StreamSnapshot) -> u64| streams.iter().map(of).sum::<u64>();
    format!(
        "streams {} (waiting {}, ended {}), subscribers {}, payload {}, on the wire {}",
        streams.len(),
        count(|stream| !stream.is_started),
        count(|stream| stream.is_finished),
        sum(|stream| stream.audience),
        HumanBytes(sum(|stream| stream.stats.payload_bytes)),
        HumanBytes(sum(|stream| stream.on_wire().bytes)),
    )
}

/// The first of them, so that a thousand do not make a line of a thousand names.
fn names(all: &[String]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    let others = all.len() - shown.len();
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

const NAMES_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_names_are_not_a_thousand_names() {
        let all: Vec<String> = (0..1_000).map(|i| format!("s{i}")).collect();
        assert!(names(&all).ends_with("s19 and 980 more"));
        assert_eq!(names(&all[..2]), "s0, s1");
    }
}
