//! Metrics read from a snapshot at each scrape: nothing of Prometheus is on a data path.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// One metric as it is declared: its name without the prefix, its sentence, its labels.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Name, without prefix; a counter's ends in `_total`.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// A metric that only ever rises.
#[must_use]
pub const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition { name, help, kind: MetricKind::Counter, labels }
}

/// A metric that rises and falls.
#[must_use]
pub const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition { name, help, kind: MetricKind::Gauge, labels }
}

/// Observations in buckets.
#[must_use]
pub const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Definition {
    Definition { name, help, kind: MetricKind::Histogram, labels }
}

/// Observations as a state machine counts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Upper bounds, rising, and how many observations fell under each but not under the one
    /// before.
    pub buckets: Vec<(f64, u64)>,
    /// How many fell above all bounds.
    pub above: u64,
    /// Their sum.
    pub sum: f64,
}

/// What a scrape collects: filled by the closure of a [`Snapshot`].
#[derive(Debug, Default)]
pub struct Samples {
    metrics: HashMap<&'static str, Vec<Metric>>,
    definitions: &'static [Definition],
}

impl Samples {
    /// Adds the value of `name` under these label values, in the order of its definition.
    ///
    /// A name that was not declared is a mistake of the caller's and is left out.
    pub fn add(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let Some(definition) = self.definition(name, labels) else {
            return;
        };
        let mut metric = Metric::from_label(pairs(definition, labels));
        if definition.kind == MetricKind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.entry(name).or_default().push(metric);
    }

    /// Adds a count. Above 2^53 it is no longer exact, as everywhere in Prometheus.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other number")]
    pub fn count(&mut self, name: &'static str, labels: &[&str], value: u64) {
        self.add(name, labels, value as f64);
    }

    /// Adds a histogram.
    pub fn observations(&mut self, name: &'static str, labels: &[&str], all: &Observations) {
        let Some(definition) = self.definition(name, labels) else {
            return;
        };
        let mut cumulative = 0;
        let buckets = all.buckets.iter().map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(cumulative + all.above);
        histogram.set_sample_sum(all.sum);
        let mut metric = Metric::from_label(pairs(definition, labels));
        metric.set_histogram(histogram);
        self.metrics.entry(name).or_default().push(metric);
    }

    fn definition(&self, name: &str, labels: &[&str]) -> Option<&'static Definition> {
        let found = self.definitions.iter().find(|definition| definition.name == name);
        let fits = found.filter(|definition| definition.labels.len() == labels.len());
        debug_assert!(fits.is_some(), "{name}{labels:?} was not declared so");
        fits
    }
}

/// A collector that asks `fill` at each scrape.
pub struct Snapshot<F> {
    definitions: &'static [Definition],
    descs: Vec<Desc>,
    fill: F,
}

impl<F: Fn(&mut Samples) + Send + Sync> Snapshot<F> {
    /// Metrics as declared, with their values from `fill`.
    ///
    /// # Errors
    ///
    /// When a name is wrong.
    pub fn new(definitions: &'static [Definition], fill: F) -> prometheus::Result<Self> {
        let descs = definitions.iter().map(|definition| {
            let labels = definition.labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(definition.name.into(), definition.help.into(), labels, HashMap::new())
        });
        Ok(Self { definitions, descs: descs.collect::<Result<_, _>>()?, fill })
    }
}

impl<F: Fn(&mut Samples) + Send + Sync> Collector for Snapshot<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut samples = Samples { metrics: HashMap::new(), definitions: self.definitions };
        (self.fill)(&mut samples);
        let families = self.definitions.iter().filter_map(|definition| {
            let metrics = samples.metrics.remove(definition.name)?;
            let mut family = MetricFamily::default();
            family.set_name(definition.name.to_owned());
            family.set_help(definition.help.to_owned());
            family.set_field_type(metric_type(definition.kind));
            family.set_metric(metrics);
            Some(family)
        });
        families.collect()
    }
}

impl<F> fmt::Debug for Snapshot<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("metrics", &self.definitions.len()).finish()
    }
}

fn pairs(definition: &Definition, values: &[&str]) -> Vec<LabelPair> {
    let pairs = definition.labels.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    pairs.collect()
}

fn metric_type(kind: MetricKind) -> MetricType {
    match kind {
        MetricKind::Counter => MetricType::COUNTER,
        MetricKind::Gauge => MetricType::GAUGE,
        MetricKind::Histogram => MetricType::HISTOGRAM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registries;

    const DEFINITIONS: &[Definition] = &[
        counter("packets_total", &["kind"], "Packets."),
        gauge("audience", &[], "Subscribers."),
        histogram("delay_seconds", &[], "Delay."),
    ];

    #[test]
    fn a_snapshot_is_written_as_prometheus_reads_it() {
        let collector = Snapshot::new(DEFINITIONS, |samples: &mut Samples| {
            samples.count("packets_total", &["data"], 3);
            samples.count("packets_total", &["ncf"], 1);
            samples.add("audience", &[], 2.0);
            let observations =
                Observations { buckets: vec![(0.1, 1), (0.2, 2)], above: 1, sum: 0.9 };
            samples.observations("delay_seconds", &[], &observations);
        });
        let registries = Registries::new("publisher").unwrap();
        registries.register(collector.unwrap()).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registries.gather()).unwrap();
        for line in [
            "# TYPE onecast_packets_total counter",
            "onecast_packets_total{kind=\"data\"} 3",
            "onecast_audience 2",
            "onecast_delay_seconds_bucket{le=\"0.2\"} 3",
            "onecast_delay_seconds_bucket{le=\"+Inf\"} 4",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
