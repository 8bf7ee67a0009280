//! Latencies in buckets of about one percent, so that the tail is true and memory stays small.

/// Buckets per doubling.
const PER_OCTAVE: f64 = 64.0;
const BUCKETS: usize = 64 * 40;

#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Latencies {
    pub fn record(&mut self, nanos: u64) {
        self.record_many(nanos, 1);
    }

    /// The same latency for each of `count` events.
    pub fn record_many(&mut self, nanos: u64, count: u64) {
        let bucket = ((nanos.max(1) as f64).log2() * PER_OCTAVE) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += count;
        self.total += count;
    }

    /// In milliseconds.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles { p50: self.at(0.5), p99: self.at(0.99), p999: self.at(0.999) }
    }

    fn at(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                let millis = ((bucket as f64 + 1.0) / PER_OCTAVE).exp2() / 1e6;
                return (millis * 1000.0).round() / 1000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_true_to_about_a_percent() {
        let mut latencies = Latencies::default();
        for micros in 1..=1000_u64 {
            latencies.record(micros * 1000);
        }
        let found = latencies.quantiles();
        assert!((found.p50 - 0.5).abs() < 0.01, "{found:?}");
        assert!((found.p99 - 0.99).abs() < 0.02, "{found:?}");
        assert!((found.p999 - 0.999).abs() < 0.02, "{found:?}");
    }
}
