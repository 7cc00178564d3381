//! The room's behaviour through its handle; no clock is read, none waited for.

mod delivery;
mod keys;
mod register_tests;
mod summary;

use std::collections::BTreeSet;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;

const REASONS: &[&str] = &["format", "number", "poison"];
const SKIPS: &[&str] = &["header", "tombstone"];
const SECOND: Duration = Duration::from_secs(1);
/// 2026-11-22T00:00:00Z, in milliseconds since 1970.
const MIDNIGHT: i64 = 1_795_305_600_000;

fn telemetry(now: Now) -> Telemetry {
    let setup = Setup {
        domain: "billing".to_owned(),
        guarantee: "exactly-once".to_owned(),
        lanes: 2,
        raw_topics: vec!["cdr.raw".to_owned(), "cdr.late".to_owned()],
        rejection_reasons: REASONS,
        skip_reasons: SKIPS,
    };
    Telemetry::new(setup, now)
}

/// 2026-11-22T00:00:00Z: tests read the monotonic clock, never the calendar.
fn midnight() -> Now {
    Now {
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(MIDNIGHT as u64),
        ..Now::read()
    }
}

fn keyring(fingerprint: &str) -> KeyringFacts {
    let epoch = |id: &str, from: &str, until: Option<&str>, status| EpochFacts {
        id: id.to_owned(),
        activate_at: at(from),
        until: until.map(at),
        kcv: "9fc082d4".to_owned(),
        status,
    };
    KeyringFacts {
        fingerprint: fingerprint.to_owned(),
        epochs: vec![
            epoch(
                "2026-09",
                "2026-09-01T00:00:00Z",
                Some("2026-10-01T00:00:00Z"),
                EpochStatus::Destroyed,
            ),
            epoch(
                "2026-10",
                "2026-10-01T00:00:00Z",
                Some("2026-11-01T00:00:00Z"),
                EpochStatus::Enabled,
            ),
            epoch(
                "2026-11",
                "2026-11-01T00:00:00Z",
                Some("2026-12-01T00:00:00Z"),
                EpochStatus::Enabled,
            ),
            epoch("2026-12", "2026-12-01T00:00:00Z", None, EpochStatus::Enabled),
        ],
    }
}

fn at(time: &str) -> UnixMillis {
    UnixMillis(time.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Two messages of `cdr.raw`/0 and one of `cdr.late`/3: five rows, all outcomes.
fn counts() -> LaneCounts {
    let mut counts = LaneCounts::default();
    counts.message(0, 0, 150, MIDNIGHT - 59_000);
    counts.read(3);
    counts.skipped("header");
    counts.public(0, 120, "2026-11");
    counts.restricted(0, 300);
    counts.rejected("number", 41, 0, 400);
    counts.message(1, 3, 0, MIDNIGHT - 3_600_000);
    counts.read(1);
    counts.skipped("tombstone");
    counts.message(0, 0, 50, MIDNIGHT + 5000);
    counts.read(1);
    counts.public(0, 60, "2026-10");
    counts.transformed(Duration::from_micros(700));
    counts
}

fn value(page: &str, series: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

fn ready(telemetry: &Telemetry) {
    for lane in 0..2 {
        telemetry.lane_state(lane, LaneState::Running);
        telemetry.assigned(lane, &[(0, lane as i32)], midnight());
    }
}

#[test]
fn series_are_there_at_zero_before_the_first_record() {
    let now = midnight();
    let telemetry = telemetry(now);
    telemetry.keyring_loaded(keyring("aa"), now);
    telemetry.assigned(0, &[(0, 2)], now);
    let page = telemetry.metrics(now);
    for series in [
        "cdrveil_records_read_total{topic=\"cdr.raw\",partition=\"2\"}",
        "cdrveil_records_written_total{output=\"public\",partition=\"2\"}",
        "cdrveil_records_written_total{output=\"restricted\",partition=\"2\"}",
        "cdrveil_records_written_total{output=\"rejected\",partition=\"2\"}",
        "cdrveil_records_skipped_total{reason=\"header\",partition=\"2\"}",
        "cdrveil_records_rejected_total{reason=\"poison\"}",
        "cdrveil_bytes_read_total",
        "cdrveil_bytes_written_total{output=\"rejected\"}",
        "cdrveil_transactions_total{outcome=\"aborted\"}",
        "cdrveil_commit_seconds_bucket{le=\"+Inf\"}",
        "cdrveil_transform_seconds_count",
        "cdrveil_record_age_seconds_bucket{le=\"+Inf\"}",
        "cdrveil_output_failures_total{output=\"unknown\"}",
        "cdrveil_producer_queue_records",
        "cdrveil_epoch_records_total{epoch=\"2026-12\"}",
        "cdrveil_reconciliation_difference_records",
        "cdrveil_keyring_reloads_total{outcome=\"refused\"}",
    ] {
        assert_eq!(value(&page, series), Some(0.0), "{series}");
    }
    assert_eq!(value(&page, "cdrveil_lanes{state=\"starting\"}"), Some(2.0));
}

#[test]
fn a_commit_moves_metrics_status_and_totals_together() {
    let now = midnight();
    let telemetry = telemetry(now);
    telemetry.keyring_loaded(keyring("aa"), now);
    telemetry.assigned(0, &[(0, 0), (1, 3)], now);
    telemetry.began(0, now);
    telemetry.committed(0, &counts(), Duration::from_millis(43), now.plus(SECOND));

    let page = telemetry.metrics(now);
    for (series, expected) in [
        (
            "cdrveil_records_read_total{topic=\"cdr.raw\",partition=\"0\"}",
            4.0,
        ),
        (
            "cdrveil_records_read_total{topic=\"cdr.late\",partition=\"3\"}",
            1.0,
        ),
        (
            "cdrveil_records_written_total{output=\"public\",partition=\"0\"}",
            2.0,
        ),
        ("cdrveil_records_rejected_total{reason=\"number\"}", 1.0),
        (
            "cdrveil_records_skipped_total{reason=\"tombstone\",partition=\"3\"}",
            1.0,
        ),
        ("cdrveil_reconciliation_difference_records", 0.0),
        ("cdrveil_bytes_read_total", 200.0),
        ("cdrveil_bytes_written_total{output=\"public\"}", 180.0),
        ("cdrveil_epoch_records_total{epoch=\"2026-11\"}", 1.0),
        // Rows of messages 60 s old, an hour and a second, and of the future.
        ("cdrveil_record_age_seconds_bucket{le=\"0.1\"}", 1.0),
        ("cdrveil_record_age_seconds_bucket{le=\"30\"}", 1.0),
        ("cdrveil_record_age_seconds_bucket{le=\"60\"}", 4.0),
        ("cdrveil_record_age_seconds_bucket{le=\"3600\"}", 4.0),
        ("cdrveil_record_age_seconds_bucket{le=\"21600\"}", 5.0),
        ("cdrveil_record_age_seconds_sum", 3.0 * 60.0 + 3601.0),
        ("cdrveil_record_age_seconds_count", 5.0),
        ("cdrveil_commit_seconds_bucket{le=\"0.05\"}", 1.0),
        ("cdrveil_commit_seconds_bucket{le=\"0.025\"}", 0.0),
        ("cdrveil_transform_seconds_sum", 0.0007),
    ] {
        assert_eq!(value(&page, series), Some(expected), "{series}");
    }
    let status = telemetry.status(now.plus(2 * SECOND));
    assert_eq!(
        status.totals.to_string(),
        "in=5 public=2 rejected=1 skipped=2 restricted=1"
    );
    assert_eq!(status.totals, telemetry.totals());
    let number = status
        .rejected
        .iter()
        .find(|found| found.reason == "number")
        .unwrap();
    let place = Place {
        topic: "cdr.raw".to_owned(),
        partition: 0,
        offset: 41,
    };
    assert_eq!(number.last, Some(place));
    assert_eq!(status.keyring.epochs[2].records, 1);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["totals"]["in"], 5);
    assert_eq!(json["lanes"][0]["last_commit"], "2026-11-22T00:00:01Z");
    assert_eq!(json["keyring"]["epochs"][0]["state"], "destroyed");
}

#[test]
fn every_scrape_taken_while_a_lane_commits_balances() {
    let now = midnight();
    let telemetry = telemetry(now);
    let lane = telemetry.clone();
    let commits = std::thread::spawn(move || {
        let counts = counts();
        for _ in 0..2000 {
            lane.committed(0, &counts, SECOND, now);
        }
    });
    let sum = |page: &str, name: &str| -> u64 {
        page.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    };
    loop {
        let last = commits.is_finished();
        let page = telemetry.metrics(now);
        let read = sum(&page, "cdrveil_records_read_total{");
        let public = sum(&page, "cdrveil_records_written_total{output=\"public\"");
        let rejected = sum(&page, "cdrveil_records_rejected_total{");
        let skipped = sum(&page, "cdrveil_records_skipped_total{");
        assert_eq!(read, public + rejected + skipped);
        assert_eq!(read, 5 * sum(&page, "cdrveil_commit_seconds_count"));
        if last {
            assert_eq!(read, 10_000);
            break;
        }
        telemetry.upkeep();
    }
    commits.join().unwrap();
}

#[test]
fn books_that_do_not_balance_show_even_when_the_faults_would_cancel() {
    let now = midnight();
    let telemetry = telemetry(now);
    let mut counts = LaneCounts::default();
    counts.message(0, 0, 1, MIDNIGHT);
    counts.read(2);
    counts.public(0, 1, "2026-11");
    counts.message(0, 1, 1, MIDNIGHT);
    counts.read(1);
    counts.public(1, 1, "2026-11");
    counts.public(1, 1, "2026-11");
    telemetry.committed(0, &counts, SECOND, now);
    assert_eq!(telemetry.status(now).reconciliation_difference, 2);
}

#[test]
fn the_former_keyring_is_not_shown_after_a_reload() {
    let now = midnight();
    let telemetry = telemetry(now);
    telemetry.keyring_loaded(keyring("aa"), now);
    telemetry.keyring_refused("keyring.toml:3:1: nope");
    let page = telemetry.metrics(now);
    assert_eq!(value(&page, "cdrveil_keyring_last_reload_successful"), Some(0.0));
    assert_eq!(
        value(&page, "cdrveil_keyring_info{fingerprint=\"aa\"}"),
        Some(1.0)
    );
    assert_eq!(
        telemetry.status(now).keyring.last_reload_error.as_deref(),
        Some("keyring.toml:3:1: nope")
    );
    telemetry.keyring_loaded(keyring("bb"), now.plus(SECOND));
    let page = telemetry.metrics(now);
    assert_eq!(value(&page, "cdrveil_keyring_info{fingerprint=\"aa\"}"), None);
    assert_eq!(
        value(&page, "cdrveil_keyring_info{fingerprint=\"bb\"}"),
        Some(1.0)
    );
    assert_eq!(value(&page, "cdrveil_keyring_last_reload_successful"), Some(1.0));
    assert_eq!(
        value(&page, "cdrveil_keyring_last_reload_success_timestamp_seconds"),
        Some(1_795_305_601.0)
    );
    assert_eq!(
        value(&page, "cdrveil_keyring_reloads_total{outcome=\"applied\"}"),
        Some(1.0)
    );
    assert_eq!(telemetry.status(now).keyring.last_reload_error, None);
}

#[test]
fn readiness_names_what_is_missing() {
    let start = midnight();
    let faults = |telemetry: &Telemetry, now| -> Vec<String> {
        let checks = telemetry.checks(now);
        assert_eq!(checks.len(), 8, "every check is always shown");
        checks
            .iter()
            .filter(|check| !check.ok)
            .map(ToString::to_string)
            .collect()
    };
    let telemetry = telemetry(start);
    assert_eq!(
        faults(&telemetry, start),
        [
            "[-]keyring not loaded",
            "[-]brokers lane 0 waits for a broker",
            "[-]assignment lane 0 has no assignment yet"
        ]
    );
    telemetry.keyring_loaded(keyring("aa"), start);
    ready(&telemetry);
    assert_eq!(faults(&telemetry, start), Vec::<String>::new());
    assert_eq!(value(&telemetry.metrics(start), "cdrveil_ready"), Some(1.0));

    telemetry.lane_state(1, LaneState::WaitingForBroker);
    assert_eq!(
        faults(&telemetry, start),
        ["[-]brokers lane 1 waits for a broker"]
    );
    telemetry.lane_state(1, LaneState::Running);

    telemetry.began(0, start);
    telemetry.began(0, start.plus(40 * SECOND));
    assert_eq!(
        faults(&telemetry, start.plus(45 * SECOND)),
        ["[-]delivery lane 0: records wait for a commit since 45 s"]
    );
    telemetry.committed(0, &LaneCounts::default(), SECOND, start.plus(45 * SECOND));
    assert!(
        faults(&telemetry, start.plus(500 * SECOND)).is_empty(),
        "idle is healthy"
    );

    telemetry.drain();
    telemetry.lane_state(0, LaneState::Stopped);
    assert_eq!(
        faults(&telemetry, start),
        ["[-]lanes lane 0 has stopped", "[-]shutdown draining"]
    );
}

#[test]
fn a_probe_ends_interruptions_and_nothing_else() {
    let start = midnight();
    let telemetry = telemetry(start);
    telemetry.keyring_loaded(keyring("aa"), start);
    ready(&telemetry);
    let state = |lane: usize| telemetry.status(start).lanes[lane].state;

    telemetry.interrupted(0);
    telemetry.lane_state(1, LaneState::WaitingForBroker);
    telemetry.brokers(Err("no broker".to_owned()));
    assert_eq!([0, 1].map(state), [LaneState::WaitingForBroker; 2]);
    telemetry.brokers(Ok(()));
    assert_eq!(
        [0, 1].map(state),
        [LaneState::Running, LaneState::WaitingForBroker]
    );

    telemetry.lane_state(1, LaneState::Running);
    telemetry.assigned(1, &[], start);
    assert!(telemetry.status(start).ready, "a lane may have no partitions");
    telemetry.left(1);
    assert_eq!(state(1), LaneState::Joining);
    assert!(!telemetry.status(start).ready, "it has no place in the group");
}

#[test]
fn a_keyring_whose_key_of_today_is_gone_is_not_ready() {
    let now = midnight();
    let telemetry = telemetry(now);
    ready(&telemetry);
    let mut facts = keyring("aa");
    facts.epochs[2].status = EpochStatus::Destroyed;
    telemetry.keyring_loaded(facts, now);
    let check = &telemetry.checks(now)[1];
    assert_eq!(
        check.to_string(),
        "[-]keyring no active key at 2026-11-22T00:00:00Z"
    );
}

#[test]
fn key_states_follow_the_clock() {
    for (time, states) in [
        (
            "2026-10-31T23:59:59.999Z",
            ["destroyed", "active", "pre-active", "pre-active"],
        ),
        (
            "2026-11-01T00:00:00Z",
            ["destroyed", "deactivated", "active", "pre-active"],
        ),
        (
            "2027-01-01T00:00:00Z",
            ["destroyed", "deactivated", "deactivated", "active"],
        ),
    ] {
        let found: Vec<_> = keyring("aa")
            .epochs
            .iter()
            .map(|epoch| epoch.state(at(time)))
            .collect();
        assert_eq!(found, states, "{time}");
    }
}

#[test]
fn a_silent_lane_is_found_and_a_waiting_one_that_beats_is_not() {
    let start = midnight();
    let telemetry = telemetry(start);
    telemetry.lane_state(0, LaneState::WaitingForBroker);
    telemetry.beat(0, start.plus(25 * SECOND));
    telemetry.beat(1, start.plus(10 * SECOND));
    assert_eq!(telemetry.silent_lane(start.plus(40 * SECOND)), None);
    assert_eq!(
        telemetry.silent_lane(start.plus(41 * SECOND)),
        Some((1, 31 * SECOND))
    );
    telemetry.lane_state(1, LaneState::Stopped);
    assert_eq!(telemetry.silent_lane(start.plus(41 * SECOND)), None);
}

#[test]
fn counts_cleared_after_an_abort_leave_nothing_behind() {
    let now = midnight();
    let telemetry = telemetry(now);
    let mut counts = counts();
    assert!(!counts.is_empty());
    counts.clear();
    telemetry.aborted();
    assert!(counts.is_empty());
    telemetry.committed(0, &counts, SECOND, now);
    assert_eq!(telemetry.totals(), Totals::default());
    let page = telemetry.metrics(now);
    assert_eq!(
        value(&page, "cdrveil_bytes_written_total{output=\"public\"}"),
        Some(0.0)
    );
    assert_eq!(value(&page, "cdrveil_transform_seconds_count"), Some(0.0));
    assert!(!page.contains("cdrveil_epoch_records_total{"));
}

/// Everything that can be shown is shown.
fn full_page() -> String {
    let now = midnight();
    let telemetry = telemetry(now);
    telemetry.deck_loaded(
        vec![DeckFacts {
            list: "deck".to_owned(),
            fingerprint: "aa".to_owned(),
            rows: 3,
        }],
        0,
        now,
    );
    telemetry.keyring_loaded(keyring("aa"), now);
    telemetry.register(RegisterFacts::default());
    telemetry.assigned(0, &[(0, 0), (1, 3)], now);
    telemetry.committed(0, &counts(), SECOND, now);
    let position = Position {
        topic: 0,
        partition: 0,
        committed: Some(1),
        read: None,
        high_watermark: Some(5),
    };
    telemetry.positions(0, &[position], now);
    telemetry.metrics(now)
}

#[test]
fn every_metric_of_the_table_is_shown_and_no_other() {
    let page = full_page();
    let shown: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let table: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, table);
}

#[derive(Debug, Clone)]
enum Event {
    Message(usize, i32, usize),
    Public(i32),
    Restricted(i32),
    Rejected(usize),
    Skipped(usize),
    Commit(usize),
    Abort,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..2usize, 0..4i32, 0..300usize)
            .prop_map(|(topic, partition, bytes)| Event::Message(topic, partition, bytes)),
        (0..4i32).prop_map(Event::Public),
        (0..4i32).prop_map(Event::Restricted),
        (0..3usize).prop_map(Event::Rejected),
        (0..2usize).prop_map(Event::Skipped),
        (0..2usize).prop_map(Event::Commit),
        Just(Event::Abort),
    ]
}

proptest! {
    /// The oracle is a plain sum over the events of committed stretches.
    #[test]
    fn any_sequence_of_commits_and_aborts_balances(events in proptest::collection::vec(event(), 0..300)) {
        let now = midnight();
        let telemetry = telemetry(now);
        let (mut lane, mut open, mut sum) = (LaneCounts::default(), Totals::default(), Totals::default());
        lane.message(0, 0, 0, MIDNIGHT);
        for event in events {
            match event {
                Event::Message(topic, partition, bytes) => lane.message(topic, partition, bytes, MIDNIGHT),
                Event::Public(partition) => {
                    lane.read(1);
                    lane.public(partition, 10, "2026-11");
                    (open.read, open.public) = (open.read + 1, open.public + 1);
                }
                Event::Restricted(partition) => {
                    lane.restricted(partition, 10);
                    open.restricted += 1;
                }
                Event::Rejected(reason) => {
                    lane.read(1);
                    lane.rejected(REASONS[reason], 7, 0, 10);
                    (open.read, open.rejected) = (open.read + 1, open.rejected + 1);
                }
                Event::Skipped(reason) => {
                    lane.read(1);
                    lane.skipped(SKIPS[reason]);
                    (open.read, open.skipped) = (open.read + 1, open.skipped + 1);
                }
                Event::Commit(number) => {
                    telemetry.committed(number, &lane, SECOND, now);
                    sum.read += open.read;
                    sum.public += open.public;
                    sum.restricted += open.restricted;
                    sum.rejected += open.rejected;
                    sum.skipped += open.skipped;
                    open = Totals::default();
                    lane.clear();
                    lane.message(0, 0, 0, MIDNIGHT);
                }
                Event::Abort => {
                    open = Totals::default();
                    lane.clear();
                    lane.message(0, 0, 0, MIDNIGHT);
                }
            }
        }
        prop_assert_eq!(telemetry.totals(), sum);
        let status = telemetry.status(now);
        prop_assert_eq!(status.reconciliation_difference, 0);
        prop_assert_eq!(status.rejected.iter().map(|found| found.records).sum::<u64>(), sum.rejected);
        prop_assert_eq!(status.skipped.iter().map(|found| found.records).sum::<u64>(), sum.skipped);
    }
}
