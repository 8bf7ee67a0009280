//! Makes metrics, and remembers what it made.

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// A metric as documents and dashboards name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

pub(super) const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
pub(super) const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

#[derive(Default)]
pub(super) struct Maker {
    pub(super) registry: Registry,
    pub(super) made: Vec<Described>,
}

impl Maker {
    fn keep<C: Collector + Clone + 'static>(
        &mut self,
        metric: C,
        described: Described,
    ) -> Result<C, Error> {
        self.registry.register(Box::new(metric.clone()))?;
        self.made.push(described);
        Ok(metric)
    }

    pub(super) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Result<IntCounter, Error> {
        let described = Described { name, kind: "counter", labels: &[], help };
        self.keep(IntCounter::new(name, help)?, described)
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<IntCounterVec, Error> {
        let described = Described { name, kind: "counter", labels, help };
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?, described)
    }

    /// Counters by one label, every word of whose vocabulary is shown from the start: one that
    /// appears with its first event has no increase that a rule could see.
    pub(super) fn counters_of(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static [&'static str; 1],
        words: impl IntoIterator<Item = &'static str>,
    ) -> Result<IntCounterVec, Error> {
        let counters = self.counters(name, help, label)?;
        for word in words {
            counters.with_label_values(&[word]);
        }
        Ok(counters)
    }

    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Result<IntGauge, Error> {
        let described = Described { name, kind: "gauge", labels: &[], help };
        self.keep(IntGauge::new(name, help)?, described)
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<IntGaugeVec, Error> {
        let described = Described { name, kind: "gauge", labels, help };
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?, described)
    }

    pub(super) fn measure(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Result<Gauge, Error> {
        let described = Described { name, kind: "gauge", labels: &[], help };
        self.keep(Gauge::new(name, help)?, described)
    }

    /// Gauges of something that is not counted in whole numbers.
    pub(super) fn measures(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<GaugeVec, Error> {
        let described = Described { name, kind: "gauge", labels, help };
        self.keep(GaugeVec::new(Opts::new(name, help), labels)?, described)
    }

    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        buckets: &[f64],
    ) -> Result<Histogram, Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let described = Described { name, kind: "histogram", labels: &[], help };
        self.keep(Histogram::with_opts(options)?, described)
    }
}
