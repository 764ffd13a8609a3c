//! What Prometheus sees: snapshots of the data thread, read at each scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use host::interface::counters;
use host::metrics::{Definition, Observations, Samples, Snapshot, counter, gauge, histogram};
use host::registry::Registries;
use proto::sender::{BreakerState, Lateness, SenderStats};
use proto::wire::Kind;

use crate::admission::{Admission, view};
use crate::snapshot::{LOSS_QUANTILES, Mode, Shared, StreamSnapshot, To};

/// Registries that show what `shared` holds, and whom `admission` has let in.
///
/// # Errors
///
/// Never, unless a name is wrong.
pub(crate) fn registries(
    shared: Shared,
    admission: Option<Admission>,
) -> prometheus::Result<Registries> {
    let registries = Registries::new("publisher")?;
    let collector = Snapshot::new(DEFINITIONS, move |samples: &mut Samples| {
        let streams = shared.streams();
        for stream in &streams {
            add(stream, samples);
        }
        let interfaces = streams.iter().flat_map(|stream| stream.interfaces.iter());
        counters::add(interfaces.map(String::as_str), samples);
    });
    registries.register(collector?)?;
    if let Some(admission) = admission {
        let admitted = Snapshot::new(view::DEFINITIONS, move |samples: &mut Samples| {
            admission.view().add_to(samples);
        });
        registries.register(admitted?)?;
    }
    Ok(registries)
}

fn add(stream: &StreamSnapshot, samples: &mut Samples) {
    let name = stream.name.as_str();
    add_sent(stream, samples);
    add_feedback(stream, samples);
    add_flow(stream, samples);
    add_input(stream, samples);
    let is_started = if stream.is_started { 1 } else { 0 };
    samples.count("stream_started", &[name], is_started);
    samples.count("audience", &[name], stream.audience);
    samples.count("subscribers_registered", &[name], stream.registered);
    for (of, loss) in LOSS_QUANTILES.iter().zip(stream.loss) {
        samples.add("subscriber_loss_ratio", &[name, &of.to_string()], loss);
    }
    for (mode, audience) in stream.audience_by_way() {
        samples.count("audience_by_way", &[name, mode.name()], audience);
    }
    samples.add("grtt_seconds", &[name], stream.grtt.as_secs_f64());
    samples.count("window_packets", &[name], stream.window_packets);
    samples.count("interleave_depth", &[name], u64::from(stream.interleave_depth));
    let stats = &stream.stats;
    samples.count("unicast_equivalent_bytes_total", &[name], stats.unicast_equivalent_bytes);
    samples.count("joins_total", &[name], stats.joins);
    samples.count("leaves_total", &[name], stats.leaves);
}

/// A kind that never left is not shown, except data: a graph of it starts at zero.
fn add_sent(stream: &StreamSnapshot, samples: &mut Samples) {
    let name = stream.name.as_str();
    for (mode, to, kind, count) in stream.egress.sent_by_kind() {
        let is_shown = count.datagrams > 0 || (kind == Kind::Data && mode as u8 + to as u8 == 0);
        if is_shown {
            let labels = [name, mode.name(), to.name(), kind.name()];
            samples.count("packets_sent_total", &labels, count.datagrams);
            samples.count("bytes_sent_total", &labels, count.bytes);
        }
    }
    if stream.tcp.datagrams > 0 {
        let framed = stream.egress.of(Mode::Tcp).bytes;
        let labels = [name, Mode::Tcp.name(), To::Subscriber.name(), "tcp_headers"];
        samples.count("bytes_sent_total", &labels, stream.tcp.bytes.saturating_sub(framed));
        samples.count("tcp_segments_sent_total", &[name], stream.tcp.datagrams);
    }
    for (reason, count) in stream.egress.failed() {
        samples.count("send_errors_total", &[name, reason], count);
    }
}

fn add_feedback(stream: &StreamSnapshot, samples: &mut Samples) {
    let (name, stats) = (stream.name.as_str(), &stream.stats);
    samples.count("naks_received_total", &[name], stats.received.get(Kind::Nak).datagrams);
    samples.count("packets_asked_total", &[name], stats.packets_asked);
    for (kind, count) in stats.received.iter().filter(|(_, count)| count.datagrams > 0) {
        samples.count("feedback_received_total", &[name, kind.name()], count.datagrams);
        samples.count("feedback_bytes_total", &[name, kind.name()], count.bytes);
    }
    for (reason, count) in suppressed(stats) {
        samples.count("repairs_suppressed_total", &[name, reason], count);
    }
    for (cause, count) in stream.fare.losses() {
        samples.count("reported_losses_total", &[name, cause], count);
    }
    samples.count("reported_given_up_total", &[name], stream.fare.given_up);
    samples.count("reported_mended_total", &[name], stream.fare.mended);
    for (reason, count) in stats.discarded.iter() {
        samples.count("datagrams_discarded_total", &[name, &reason.to_string()], count);
    }
}

/// Packets asked for that were not repaired, by reason.
pub(crate) fn suppressed(stats: &SenderStats) -> [(&'static str, u64); 3] {
    [
        ("held_down", stats.suppressed_held_down),
        ("too_late", stats.suppressed_too_late),
        ("over_budget", stats.suppressed_over_budget),
    ]
}

fn add_flow(stream: &StreamSnapshot, samples: &mut Samples) {
    let (name, stats) = (stream.name.as_str(), &stream.stats);
    samples.count("slow_warnings_total", &[name], stats.slow_warned);
    for (reason, count) in [("slow", stats.evicted_slow), ("silent", stats.evicted_silent)] {
        samples.count("subscribers_evicted_total", &[name, reason], count);
    }
    // 0: the stream goes as fast as its audience takes it.
    samples.add(
        "pace_bytes_per_second",
        &[name],
        stream.pace.map_or(0.0, |rate| rate.0 as f64 / 8.0),
    );
    samples.observations("departure_lateness_seconds", &[name], &observed(&stream.lateness));
    samples.add("breaker_state", &[name], stream.breaker.index() as f64);
    for (state, count) in BreakerState::ALL.into_iter().zip(stats.breaker_steps) {
        samples.count("breaker_steps_total", &[name, state.name()], count);
    }
    samples.count("payload_dropped_bytes_total", &[name], stats.payload_dropped);
}

fn observed(lateness: &Lateness) -> Observations {
    let bounds = Lateness::bounds().map(|bound| bound.as_secs_f64());
    Observations {
        buckets: bounds.zip(lateness.counts).collect(),
        above: lateness.above,
        sum: lateness.sum_ns as f64 / 1e9,
    }
}

fn add_input(stream: &StreamSnapshot, samples: &mut Samples) {
    let (name, input) = (stream.name.as_str(), &stream.input);
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    samples.count("input_bytes_total", &[name], of(&input.bytes));
    samples.count("input_datagrams_total", &[name], of(&input.datagrams));
    samples.count("input_dropped_total", &[name], of(&input.dropped));
    samples.count("input_rtp_missing_total", &[name], of(&input.rtp_missing));
    samples.count("input_rtp_reordered_total", &[name], of(&input.rtp_reordered));
}

const STREAM: &[&str] = &["stream"];
const SENT: &[&str] = &["stream", "mode", "to", "kind"];
const KIND: &[&str] = &["stream", "kind"];
const STEP: &[&str] = &["stream", "step"];
const REASON: &[&str] = &["stream", "reason"];

/// Every metric of the publisher.
const DEFINITIONS: &[Definition] = &[
    counters::DEFINITIONS[0],
    counters::DEFINITIONS[1],
    counters::DEFINITIONS[2],
    counters::DEFINITIONS[3],
    counters::DEFINITIONS[4],
    counters::DEFINITIONS[5],
    counter(
        "packets_sent_total",
        SENT,
        "Packets that the sockets took, by way of sending, for whom, and kind.",
    ),
    counter(
        "bytes_sent_total",
        SENT,
        "Their bytes on the wire: Ethernet, IP and UDP headers included. Of TCP the framed packets, and \
         under kind tcp_headers what its segments add.",
    ),
    counter("send_errors_total", REASON, "Packets that could not be sent."),
    counter(
        "unicast_equivalent_bytes_total",
        STREAM,
        "Bytes on the wire that unicast to the same audience would have cost.",
    ),
    gauge("audience", STREAM, "Subscribers that listen: estimated where only a share registers."),
    gauge("subscribers_registered", STREAM, "Those of them that are known by name."),
    gauge(
        "subscriber_loss_ratio",
        &["stream", "of"],
        "Share of packets that subscribers lose on the way: the share `of` them loses less.",
    ),
    gauge(
        "audience_by_way",
        &["stream", "mode"],
        "Of those, how many are reached by each way; a group's are all that ask for no copy.",
    ),
    counter(
        "tcp_segments_sent_total",
        STREAM,
        "Segments that its TCP connections sent, as the kernel counts them.",
    ),
    counter("joins_total", STREAM, "Subscribers that proved their address."),
    counter("leaves_total", STREAM, "Subscribers that left, fell silent or were let go."),
    counter(
        "slow_warnings_total",
        STREAM,
        "Times that a subscriber was named for holding the stream back or being quiet.",
    ),
    counter("subscribers_evicted_total", REASON, "Subscribers that were let go."),
    gauge(
        "pace_bytes_per_second",
        STREAM,
        "The rate that the pacer keeps; 0: as fast as the audience takes it.",
    ),
    gauge(
        "breaker_state",
        STREAM,
        "What the circuit breaker does: 0 nothing, 1 to 3 half, quarter, eighth of the rate, 4 no \
         repair, 5 the stream is stopped.",
    ),
    counter("breaker_steps_total", STEP, "Steps of the circuit breaker, by where they led."),
    counter(
        "payload_dropped_bytes_total",
        STREAM,
        "Payload not sent because the circuit breaker had stopped a stream with a deadline.",
    ),
    gauge("stream_started", STREAM, "1 once the wait for the first subscriber is over."),
    counter("naks_received_total", STREAM, "NAKs received."),
    counter("packets_asked_total", STREAM, "Packets that NAKs asked for, each NAK counted anew."),
    counter("repairs_suppressed_total", REASON, "Packets asked for that were not repaired."),
    counter("feedback_received_total", KIND, "Packets received from subscribers."),
    counter("feedback_bytes_total", KIND, "Their bytes, without headers of UDP and below."),
    counter(
        "reported_losses_total",
        &["stream", "cause"],
        "Packets that subscribers did not get, as they report it.",
    ),
    counter("reported_given_up_total", STREAM, "Packets that subscribers gave up."),
    counter("reported_mended_total", STREAM, "Packets that subscribers got back by repair."),
    counter("datagrams_discarded_total", REASON, "Datagrams received that were of no use."),
    gauge("grtt_seconds", STREAM, "Group round-trip time."),
    gauge("window_packets", STREAM, "Packets that can be repaired."),
    gauge("interleave_depth", STREAM, "Blocks that are interleaved."),
    histogram(
        "departure_lateness_seconds",
        STREAM,
        "How late bursts left that the rate held back.",
    ),
    counter("input_bytes_total", STREAM, "Payload read from the input."),
    counter("input_datagrams_total", STREAM, "Datagrams received from an encoder."),
    counter(
        "input_dropped_total",
        STREAM,
        "Datagrams of an encoder that came while there was no room: not in the stream.",
    ),
    counter(
        "input_rtp_missing_total",
        STREAM,
        "RTP packets of an encoder that never came, by their sequence numbers.",
    ),
    counter(
        "input_rtp_reordered_total",
        STREAM,
        "RTP packets of an encoder that came after a later one.",
    ),
];
