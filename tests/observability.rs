//! What operators are given is about what the daemon shows: two instances on a real Kafka, a real Prometheus that
//! scrapes them, and every query of the dashboards, every rule and every metric's name in a document held against it.
//!
//! Grafana itself is not run: the checks of `dashboards` stand in for it.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // what a run showed

#[path = "observability/dashboards.rs"]
mod dashboards;
#[path = "observability/prometheus.rs"]
mod prometheus;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cdrveil::cdr::{Reason, Skip};
use cdrveil::kafka::Outgoing;
use cdrveil::telemetry::names::{self, Kind, Values};
use libtest_mimic::{Arguments, Trial};
use prometheus::Prometheus;
use support::deployment::{Daemon, Deployment, sample};
use support::kafka::{Broker, shared};
use support::member::{PATIENCE, transactional};

/// Queries that give nothing while all is well, and why.
const EMPTY_WHEN_WELL: &[(&str, &str)] = &[("changes(process_start_time_seconds", "nobody restarted")];

/// So many series an instance may have in all.
const SERIES: usize = 500;
const PARTITIONS: i32 = 12;

fn main() {
    let arguments = Arguments::from_args();
    // In CI a run that leaves this out proves nothing.
    let lacking = !prometheus::is_there() && std::env::var_os("CI").is_none();
    if lacking {
        println!("Prometheus is missing: install it (Debian: apt-get install prometheus) to run these tests");
    }
    let trial = |name: &str, test: fn()| {
        let test = move || {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(lacking || !support::kafka_wanted())
    };
    let trials = vec![
        trial(
            "dashboards_rules_and_documents_speak_of_what_is_shown",
            dashboards_rules_and_documents_speak_of_what_is_shown,
        ),
        trial(
            "a_marker_at_the_end_of_a_partition_is_no_lag_in_time",
            a_marker_at_the_end_of_a_partition_is_no_lag_in_time,
        ),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    support::kafka::stop_shared();
    conclusion.exit()
}

fn dashboards_rules_and_documents_speak_of_what_is_shown() {
    let broker = shared();
    let (deployment, first, second) = two_instances(broker);
    let prometheus = Prometheus::start(&[first.address(), second.address()]);
    let mut queries: Vec<(String, String)> = dashboards::queries();
    for rule in prometheus.rules() {
        if rule["type"] == "recording" {
            let name = rule["name"].as_str().unwrap();
            queries.push((format!("rule {name}"), name.to_owned()));
        }
    }
    assert!(queries.len() > 60, "{}", queries.len());
    queries.retain(|(_, query)| EMPTY_WHEN_WELL.iter().all(|(well, _)| !query.starts_with(well)));

    // Records keep coming until every query has seen enough of them for a rate.
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut round = 0;
    loop {
        deployment.produce(broker, PARTITIONS, calls(round));
        round += 1;
        queries.retain(|(_, query)| prometheus.query(query).is_empty());
        if queries.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "empty: {queries:#?}");
    }

    let (_, page) = first.get("/metrics");
    the_page_is_the_table(&page);
    rules_are_sound(&prometheus);
    names_in_files_exist(&prometheus);
    for daemon in [first, second] {
        let (status, log) = daemon.stop();
        assert!(status.success(), "{log}");
    }
}

/// The second one joins when the first has everything: so its series are as many as ever.
fn two_instances(broker: &Broker) -> (Deployment, Daemon, Daemon) {
    let deployment = Deployment::new(broker, PARTITIONS);
    deployment.keyring(&[
        ("2026-11", "2026-11-01T00:00:00Z", 0),
        ("2099-01", "2099-01-01T00:00:00Z", 1),
    ]);
    let policy = sample("policy.toml");
    let with_list = policy.replacen("# own    =", "own    =", 1).replacen(
        "[\"class\", \"country\"]",
        "[\"class\", \"country\", \"onnet\"]",
        1,
    );
    assert_ne!(policy, with_list);
    deployment.policy(&with_list);
    fs::write(deployment.path("own.txt"), "07700900002\n").unwrap();
    let first = deployment.start();
    first.await_ready(PATIENCE);
    deployment.config_as("second.toml", "1", "lanes = 1", "");
    let second = deployment.start_as("second.toml", &[]);
    second.await_ready(PATIENCE);
    first.await_ready(PATIENCE);
    (deployment, first, second)
}

/// Good calls, and in the first round, where they are many, one that is refused and a row that is none.
fn calls(round: usize) -> Vec<Vec<u8>> {
    let good = |number: usize| {
        format!(
            "c-{round}-{number},voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,"
        )
        .into_bytes()
    };
    match round {
        0 => (0..6_000)
            .map(good)
            .chain([b"c,voice,7700900001,,,,2026-11-05 09:15:00,42,".to_vec()])
            .collect(),
        _ => (0..240).map(good).collect(),
    }
}

/// Every metric of the table is shown and no other, with the labels it says; few enough in all.
fn the_page_is_the_table(page: &str) {
    let shown: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let table: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, table);
    let series: Vec<&str> = page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    println!("{} series with {PARTITIONS} partitions", series.len());
    assert!(series.len() < SERIES, "{}", series.len());
    for line in series {
        let (name, labels) = line
            .split_once('{')
            .map_or((line.split(' ').next().unwrap(), ""), |(name, rest)| {
                (name, rest.rsplit_once('}').unwrap().0)
            });
        let metric = names::ALL
            .iter()
            .find(|metric| metric.name == family(name))
            .unwrap();
        let shown: Vec<(&str, &str)> = labels
            .split("\",")
            .filter_map(|label| label.split_once("=\""))
            .map(|(name, value)| (name, value.trim_end_matches('"')))
            .filter(|(name, _)| *name != "le")
            .collect();
        assert_eq!(shown.len(), metric.labels.len(), "{line}");
        for ((name, value), label) in shown.into_iter().zip(metric.labels) {
            assert_eq!(name, label.name, "{line}");
            let known = match &label.values {
                Values::Words(words) => words.contains(&value),
                Values::Reasons => Reason::ALL.iter().any(|reason| reason.as_str() == value),
                Values::Skips => Skip::ALL.iter().any(|skip| skip.as_str() == value),
                Values::Open(_) => !value.is_empty(),
            };
            assert!(known, "{line}");
        }
    }
}

/// The metric a series' name belongs to: a histogram has three of them.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .filter(|base| {
            let histogram = |metric: &&&names::Metric| metric.name == *base && metric.kind == Kind::Histogram;
            names::ALL.iter().find(histogram).is_some()
        })
        .unwrap_or(name)
}

/// Every rule can be evaluated and speaks of series that exist; none fires while all is well.
fn rules_are_sound(prometheus: &Prometheus) {
    let rules = prometheus.rules();
    for rule in &rules {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap());
        assert_eq!(rule["health"], "ok", "{name}: {rule}");
        let mut found = 0;
        for word in words(query).filter(|word| is_metric(word)) {
            assert!(!prometheus.query(word).is_empty(), "{name}: nothing has {word}");
            found += 1;
        }
        assert!(found > 0, "{name}: {query}");
        if rule["type"] == "alerting" {
            assert_eq!(rule["state"], "inactive", "{rule}");
        }
    }
    assert!(rules.len() > 25, "{}", rules.len());
}

fn is_metric(word: &str) -> bool {
    word == "up" || word.starts_with("cdrveil_") || word.starts_with("process_") || word.contains(':')
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'))
        .map(|word| word.trim_matches(':'))
}

/// Whatever a file of `config/` or `docs/`, or a page at the top, calls a metric is one, or a rule's name.
fn names_in_files_exist(prometheus: &Prometheus) {
    let rules: BTreeSet<String> = prometheus
        .rules()
        .iter()
        .map(|rule| rule["name"].as_str().unwrap().to_owned())
        .collect();
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["config", "docs"] {
        files_below(&house.join(folder), &mut files);
    }
    files
        .extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"].map(|name| house.join(name)));
    files.retain(|file| file.extension().is_none_or(|kind| kind != "png"));
    let mut seen = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // A word that ends in the middle is the name of a package.
        for word in words(&text).filter(|word| word.contains("cdrveil_") && !word.ends_with('_')) {
            let known = if word.contains(':') {
                rules.contains(word)
            } else {
                names::ALL.iter().any(|metric| metric.name == family(word))
            };
            assert!(known, "{}: there is no {word}", file.display());
            seen.insert(family(word).to_owned());
        }
    }
    for metric in names::ALL
        .iter()
        .filter(|metric| metric.name.starts_with("cdrveil_"))
    {
        assert!(seen.contains(metric.name), "{} is in no document", metric.name);
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Whoever writes raw records in transactions leaves a marker behind them, which no committed offset passes.
fn a_marker_at_the_end_of_a_partition_is_no_lag_in_time() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let mut source = transactional(broker, &support::kafka::unique("upstream"), &[&deployment.raw]);
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    source.begin().unwrap();
    for call in calls(1).into_iter().take(5) {
        let record = Outgoing {
            topic: 0,
            partition: 0,
            timestamp: Some(hour_ago),
            key: None,
            value: &call,
            headers: &[],
        };
        source.produce(&record).unwrap();
    }
    source.commit(Some(PATIENCE)).unwrap();
    deployment.await_public(broker, 5, PATIENCE);
    let place = format!("{{topic=\"{}\",partition=\"0\"}}", deployment.raw);
    let deadline = Instant::now() + PATIENCE;
    let lag = |name: &str| daemon.metric(&format!("{name}{place}"));
    while lag("cdrveil_lag_records") != Some(1.0) || lag("cdrveil_lag_seconds") != Some(0.0) {
        assert!(Instant::now() < deadline, "{}", daemon.get("/metrics").1);
        std::thread::sleep(Duration::from_millis(100));
    }
    let older = |bound: &str| daemon.metric(&format!("cdrveil_record_age_seconds_bucket{{le=\"{bound}\"}}"));
    assert_eq!([older("900"), older("21600")], [Some(0.0), Some(5.0)]);
}
