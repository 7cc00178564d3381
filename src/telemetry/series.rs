//! Between the board and the `metrics` crates: recorders, sums, one scrape.
//!
//! Counters and most histograms live in one recorder from the start to the end.
//! Gauges are read from the board at each scrape into a recorder that lives
//! for that scrape: the exporter never forgets a series, and the lag of a
//! revoked partition or the fingerprint of a former keyring must not stay.
//! No recorder is installed globally: daemons in one process do not mix.

use std::fmt::Display;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::names::{self, Kind, Metric};

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A count that the status reads and the page shows; one call moves both.
#[derive(Debug)]
pub struct Sum {
    value: u64,
    shown: Counter,
}

impl Sum {
    /// Counts `more`.
    pub fn add(&mut self, more: u64) {
        self.value += more;
        self.shown.increment(more);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// The series that stay once they are there, each at 0 from its registration on.
#[derive(Debug)]
pub struct Lasting(PrometheusRecorder);

impl Default for Lasting {
    fn default() -> Self {
        Self(recorder())
    }
}

/// `labels` are values in the order of the metric's label names.
impl Lasting {
    /// A count that only the page shows.
    pub fn counter(&self, metric: &'static Metric, labels: &[&dyn Display]) -> Counter {
        self.0.register_counter(&key(metric, labels), &METADATA)
    }

    /// A count that the status reads too.
    pub fn sum(&self, metric: &'static Metric, labels: &[&dyn Display]) -> Sum {
        Sum {
            value: 0,
            shown: self.counter(metric, labels),
        }
    }

    /// Observations, in the buckets that the table of names gives the metric.
    pub fn histogram(&self, metric: &'static Metric) -> Histogram {
        self.0.register_histogram(&key(metric, &[]), &METADATA)
    }

    /// For rendering and upkeep.
    pub fn handle(&self) -> PrometheusHandle {
        self.0.handle()
    }
}

/// Observations counted by bucket. The exporter's own histogram takes one call for each, too dear for records.
#[derive(Debug)]
pub struct Buckets {
    metric: &'static Metric,
    /// Not cumulative; the last is for what is above every bound.
    counts: Vec<u64>,
    sum: f64,
    /// Where the last observation fell: the next one mostly falls there too.
    last: usize,
}

impl Buckets {
    /// None observed.
    pub fn new(metric: &'static Metric) -> Self {
        Self {
            metric,
            counts: vec![0; metric.buckets.len() + 1],
            sum: 0.0,
            last: 0,
        }
    }

    /// Counts `times` observations of one value.
    pub fn observe(&mut self, value: f64, times: u64) {
        let bounds = self.metric.buckets;
        let above = self.last == 0 || bounds[self.last - 1] < value;
        let below = bounds.get(self.last).is_none_or(|bound| value <= *bound);
        if !(above && below) {
            self.last = bounds.partition_point(|bound| *bound < value);
        }
        self.counts[self.last] += times;
        self.sum += value * times as f64;
    }

    /// Adds another's observations of the same metric.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// The family as the exporter writes its own.
    fn render(&self) -> String {
        let Metric {
            name, help, buckets, ..
        } = self.metric;
        let mut lines = vec![
            format!("# HELP {name} {help}"),
            format!("# TYPE {name} histogram"),
        ];
        let mut below = 0;
        let bounds = buckets.iter().map(ToString::to_string);
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&self.counts) {
            below += count;
            lines.push(format!("{name}_bucket{{le=\"{bound}\"}} {below}"));
        }
        lines.push(format!("{name}_sum {}", self.sum));
        lines.push(format!("{name}_count {below}"));
        lines.join("\n") + "\n\n"
    }
}

/// The series of one scrape.
#[derive(Debug)]
pub struct Scrape(PrometheusRecorder);

impl Scrape {
    /// Begins with `process_*`, as `metrics-process` finds them now (CPU time in whole seconds).
    pub fn begin() -> Self {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || metrics_process::Collector::default().collect());
        Self(recorder)
    }

    /// Shows one gauge.
    pub fn gauge(&self, metric: &'static Metric, labels: &[&dyn Display], value: f64) {
        let gauge: Gauge = self.0.register_gauge(&key(metric, labels), &METADATA);
        gauge.set(value);
    }

    /// The text of the lasting series, those counted by bucket and those of this scrape. No family is in two.
    pub fn render(&self, lasting: &PrometheusHandle, buckets: &Buckets) -> String {
        in_order(&(lasting.render() + &self.0.handle().render() + &buckets.render()))
    }
}

/// The exporter walks hash maps; people compare pages. Sorts families and the series of each
/// (`#` comes before every name), but for histograms, whose buckets rise already.
fn in_order(page: &str) -> String {
    let mut families: Vec<Vec<&str>> = page
        .split_terminator("\n\n")
        .map(|family| family.lines().collect())
        .collect();
    for family in &mut families {
        if !family.iter().any(|line| line.ends_with(" histogram")) {
            family.sort_unstable();
        }
    }
    families.sort_unstable();
    let mut sorted = String::with_capacity(page.len());
    for line in families.into_iter().flatten() {
        sorted.push_str(line);
        sorted.push('\n');
    }
    sorted
}

/// A recorder that knows every metric's help and buckets; it shows none before it is registered.
fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for metric in names::ALL.iter().filter(|metric| metric.kind == Kind::Histogram) {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets)
            .expect("names.rs gives every histogram buckets (tested there)");
    }
    let recorder = builder.build_recorder();
    for metric in names::ALL {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
    recorder
}

fn key(metric: &'static Metric, labels: &[&dyn Display]) -> Key {
    debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
    let labels: Vec<Label> = metric
        .labels
        .iter()
        .zip(labels)
        .map(|(label, value)| Label::new(label.name, value.to_string()))
        .collect();
    Key::from_parts(metric.name, labels)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lines(page: &str) -> Vec<&str> {
        page.lines().filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn a_sum_moves_the_page_and_itself() {
        let lasting = Lasting::default();
        let mut sum = lasting.sum(&names::RECORDS_WRITTEN, &[&"public", &3]);
        sum.add(7);
        sum.add(0);
        assert_eq!(sum.value(), 7);
        assert_eq!(
            lines(&lasting.handle().render())[1..],
            [
                "# TYPE cdrveil_records_written_total counter",
                "cdrveil_records_written_total{output=\"public\",partition=\"3\"} 7",
            ]
        );
    }

    #[test]
    fn a_gauge_is_gone_at_the_next_scrape() {
        let lasting = Lasting::default();
        let scrape = Scrape::begin();
        scrape.gauge(&names::LAG, &[&"cdr.raw", &0], 5.0);
        let shown = "cdrveil_lag_records{topic=\"cdr.raw\",partition=\"0\"} 5";
        let ages = Buckets::new(&names::RECORD_AGE);
        assert!(lines(&scrape.render(&lasting.handle(), &ages)).contains(&shown));
        let next = Scrape::begin().render(&lasting.handle(), &ages);
        assert!(!next.contains("cdrveil_lag"));
    }

    #[test]
    fn families_and_their_series_are_in_order() {
        let page = "# HELP b x.\n# TYPE b counter\nb{p=\"1\"} 5\nb{p=\"0\"} 7\n\n\
                    # HELP a x.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 2\na_count 1\n\n";
        assert_eq!(
            in_order(page),
            "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 2\na_count 1\n\
             # HELP b x.\n# TYPE b counter\nb{p=\"0\"} 7\nb{p=\"1\"} 5\n"
        );
        assert_eq!(in_order(""), "");
    }

    /// Whoever reads the page must not notice which of the two counts.
    #[test]
    fn counted_buckets_are_written_as_the_exporter_writes_its_own() {
        let lasting = Lasting::default();
        let histogram = lasting.histogram(&names::COMMIT_SECONDS);
        let (mut ours, mut more) = (
            Buckets::new(&names::COMMIT_SECONDS),
            Buckets::new(&names::COMMIT_SECONDS),
        );
        // Up, down, on a bound and twice in one bucket: an observation begins where the last one fell. All of them
        // are sums of powers of two, which add up alike in any order.
        for (value, times) in [
            (0.25, 1),
            (0.375, 3),
            (61.0, 1),
            (2.5, 2),
            (2.25, 1),
            (0.25, 1),
            (0.0, 2),
        ] {
            more.observe(value, times);
            for _ in 0..times {
                histogram.record(value);
            }
        }
        ours.add(&more);
        assert_eq!(lines(&ours.render()), lines(&lasting.handle().render()));
    }

    #[test]
    fn buckets_are_cumulative_and_bounds_belong_to_their_bucket() {
        let lasting = Lasting::default();
        let histogram = lasting.histogram(&names::COMMIT_SECONDS);
        for millis in [1, 5, 6, 10, 90_000] {
            histogram.record(Duration::from_millis(millis));
            lasting.handle().run_upkeep();
        }
        let page = lasting.handle().render();
        for line in [
            "# TYPE cdrveil_commit_seconds histogram",
            "cdrveil_commit_seconds_bucket{le=\"0.001\"} 1",
            "cdrveil_commit_seconds_bucket{le=\"0.005\"} 2",
            "cdrveil_commit_seconds_bucket{le=\"0.01\"} 4",
            "cdrveil_commit_seconds_bucket{le=\"60\"} 4",
            "cdrveil_commit_seconds_bucket{le=\"+Inf\"} 5",
            "cdrveil_commit_seconds_count 5",
        ] {
            assert!(lines(&page).contains(&line), "{line} in\n{page}");
        }
    }
}
