//! Figures → Prometheus.
//!
//! They add up: `datagrams_received` = Σ `packets_received` + Σ `datagrams_discarded`, and the
//! data and repair packets received + `packets_recovered` = `packets_delivered` +
//! `packets_duplicate` + `packets_abandoned` + `packets_forged` + `packets_unverified` +
//! `window_packets`.

use std::sync::Arc;

use host::interface::counters;
use host::metrics::{Definition, Samples, Snapshot, counter, gauge, histogram};
use host::registry::Registries;

use crate::snapshot::Published;

/// Registers everything that a subscriber shows.
pub(crate) fn register(published: Arc<Published>) -> prometheus::Result<Registries> {
    let registries = Registries::new("subscriber")?;
    registries.register(Snapshot::new(DEFINITIONS, move |samples| fill(&published, samples))?)?;
    Ok(registries)
}

fn fill(published: &Published, samples: &mut Samples) {
    samples.count("joins_total", &[], published.joins());
    samples.count("leaves_total", &[], published.leaves());
    samples.count("foreign_feedback_total", &[], published.foreign_feedback());
    for heard in published.queriers() {
        let labels = [heard.interface.as_str(), heard.asking.name()];
        samples.count("querier_watched", &labels, u64::from(heard.since.is_some()));
        if let Some(since) = heard.since {
            samples.add("querier_silent_seconds", &labels, since.elapsed().as_secs_f64());
        }
    }
    for (stream, is_silent) in published.silent() {
        samples.count("publisher_silent", &[&stream], u64::from(is_silent));
    }
    let interfaces: Vec<String> =
        published.streams().into_iter().map(|stream| stream.interface).collect();
    counters::add(interfaces.iter().map(String::as_str), samples);
    for (stream, figures) in published.figures() {
        for (metric, label, count) in figures.iter() {
            if label.is_empty() {
                samples.count(metric, &[&stream], count);
            } else {
                samples.count(metric, &[&stream, label], count);
            }
        }
        samples.observations("delivery_delay_seconds", &[&stream], &figures.delays.observations());
        let jitter = figures.jitter.observations();
        samples.observations("interarrival_jitter_seconds", &[&stream], &jitter);
        if let Some(seconds) = figures.join_to_first {
            samples.add("join_to_first_packet_seconds", &[&stream], seconds);
        }
    }
}

const STREAM: &[&str] = &["stream"];

const DEFINITIONS: &[Definition] = &[
    counters::DEFINITIONS[0],
    counters::DEFINITIONS[1],
    counters::DEFINITIONS[2],
    counters::DEFINITIONS[3],
    counters::DEFINITIONS[4],
    counters::DEFINITIONS[5],
    counter("joins_total", &[], "Groups joined, rejoins not counted."),
    counter("leaves_total", &[], "Groups left."),
    counter(
        "foreign_feedback_total",
        &[],
        "Unicast datagrams of no session that is followed here.",
    ),
    gauge(
        "querier_silent_seconds",
        &["interface", "protocol"],
        "Time since a query for members was heard, or since one was listened for.",
    ),
    gauge(
        "querier_watched",
        &["interface", "protocol"],
        "1 if queries can be heard; 0 if the right to hear IGMP is missing.",
    ),
    gauge(
        "publisher_silent",
        STREAM,
        "1 while nothing is heard of a publisher that has not said that it ends.",
    ),
    counter("rejoins_total", &["stream", "reason"], "Groups joined again after an outage."),
    counter(
        "way_switches_total",
        &["stream", "to"],
        "Changes from the group to the fallback, and back to the group.",
    ),
    gauge(
        "join_to_first_packet_seconds",
        STREAM,
        "Time from the last join to the first datagram of the group.",
    ),
    counter("sessions_total", STREAM, "Sessions adopted."),
    counter(
        "datagrams_received_total",
        STREAM,
        "Datagrams received, those that were discarded included.",
    ),
    counter("packets_received_total", &["stream", "kind"], "Packets received and understood."),
    counter("bytes_received_total", STREAM, "UDP payload of the datagrams received."),
    counter(
        "datagrams_discarded_total",
        &["stream", "reason"],
        "Datagrams thrown away on arrival.",
    ),
    counter(
        "datagrams_impaired_total",
        &["stream", "action"],
        "Datagrams that --impair dropped, duplicated or reordered.",
    ),
    counter("packets_delivered_total", STREAM, "Data packets handed out in order."),
    counter("payload_bytes_delivered_total", STREAM, "Payload handed out in order."),
    counter("output_bytes_total", STREAM, "Payload that the output took."),
    counter("packets_duplicate_total", STREAM, "Data and repair packets that were there already."),
    counter(
        "packets_abandoned_total",
        STREAM,
        "Data packets held when their session was replaced by another.",
    ),
    counter(
        "packets_forged_total",
        STREAM,
        "Data packets held that the publisher's signature then did not cover.",
    ),
    counter(
        "packets_unverified_total",
        STREAM,
        "Data packets held for which no signature came in time.",
    ),
    gauge("window_packets", STREAM, "Data packets held for a gap to close or for the output."),
    counter("packets_missed_total", STREAM, "Data packets missing when a later one came."),
    counter("packets_repaired_total", STREAM, "Missed packets that came by repair."),
    counter("packets_recovered_total", STREAM, "Missed packets that parity gave back."),
    counter("parity_used_total", STREAM, "Parity packets that gave a packet back."),
    counter(
        "parity_unused_total",
        STREAM,
        "Parity packets of blocks in which nothing was missing any more.",
    ),
    counter("packets_lost_total", &["stream", "cause"], "Packets given up."),
    counter(
        "wire_lost_datagrams_total",
        STREAM,
        "Datagrams of the group lost before they reached this host.",
    ),
    counter(
        "kernel_drops_total",
        STREAM,
        "Buffers that the kernel dropped because the socket had no room.",
    ),
    counter("naks_sent_total", STREAM, "NAKs sent."),
    counter("naks_suppressed_total", STREAM, "Gaps not asked for because somebody else had."),
    counter("reports_sent_total", STREAM, "Reports sent."),
    counter("catch_ups_total", STREAM, "Times that what was missed was asked for by catch-up."),
    counter("feedback_send_errors_total", STREAM, "Feedback that the system would not send."),
    histogram(
        "interarrival_jitter_seconds",
        STREAM,
        "How much the time between two data packets differed from that between their sendings.",
    ),
    histogram(
        "delivery_delay_seconds",
        STREAM,
        "Time from a packet's first sending until it was handed out, less the shortest seen.",
    ),
];
