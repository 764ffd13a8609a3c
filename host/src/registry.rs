//! What `/metrics` shows: ours under one prefix, the process's own under theirs.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge, Opts, Registry};

use crate::build_info;

/// Both registries of a program. A clone shares them.
#[derive(Clone, Debug)]
pub struct Registries {
    ours: Registry,
    process: Registry,
    unauthorized: IntCounter,
}

impl Registries {
    /// Registries with `onecast_build_info` and the metrics of the process in them.
    ///
    /// `role` is `publisher` or `subscriber`.
    ///
    /// # Errors
    ///
    /// Never, unless a name is wrong.
    pub fn new(role: &str) -> prometheus::Result<Self> {
        let ours = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
        let process = Registry::new();
        let info = Opts::new("build_info", "Which program this is; always 1.")
            .const_label("version", build_info::VERSION)
            .const_label("role", role);
        let info = IntGauge::with_opts(info)?;
        info.set(1);
        ours.register(Box::new(info))?;
        process.register(Box::new(ProcessCollector::for_self()))?;
        let unauthorized =
            IntCounter::new("http_unauthorized_total", "HTTP requests without the right token.")?;
        ours.register(Box::new(unauthorized.clone()))?;
        Ok(Self { ours, process, unauthorized })
    }

    /// Counts requests over HTTP that did not show the token.
    #[must_use]
    pub fn unauthorized(&self) -> IntCounter {
        self.unauthorized.clone()
    }

    /// Adds metrics of ours; the prefix is put before their names.
    ///
    /// # Errors
    ///
    /// When a name is taken or wrong.
    pub fn register(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.ours.register(Box::new(collector))
    }

    /// Everything, as it is now.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.ours.gather();
        families.extend(self.process.gather());
        families
    }
}

/// Before every name of ours.
const PREFIX: &str = "onecast";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_have_the_prefix_and_the_process_has_not() {
        let families = Registries::new("publisher").unwrap().gather();
        let names: Vec<&str> = families.iter().map(MetricFamily::name).collect();
        assert!(names.contains(&"onecast_build_info"), "{names:?}");
        assert!(names.contains(&"process_cpu_seconds_total"), "{names:?}");
    }
}
