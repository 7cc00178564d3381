//! The sentence at the top of page and terminal, in every state.

use super::{SECOND, at, counts, keyring, midnight, ready, telemetry};
use crate::telemetry::{
    EpochFacts, EpochStatus, KeyringFacts, LaneCounts, LaneState, Level, Now, Position, State, Summary,
    Telemetry, UnixMillis, grouped, span,
};

/// Two running lanes and the usual keys.
fn running(now: Now) -> Telemetry {
    let telemetry = telemetry(now);
    telemetry.keyring_loaded(keyring("aa"), now);
    ready(&telemetry);
    telemetry
}

/// One message of so many rows, that many rejected, of a time.
fn commit(telemetry: &Telemetry, rows: u64, rejected: u64, timestamp: UnixMillis, now: Now) {
    let mut counts = LaneCounts::default();
    counts.message(0, 0, 100, timestamp.0);
    counts.read(rows);
    for _ in 0..rejected {
        counts.rejected("number", 41, 0, 400);
    }
    for _ in rejected..rows {
        counts.public(0, 120, "2026-11");
    }
    telemetry.committed(0, &counts, SECOND, now);
}

fn lag(telemetry: &Telemetry, records: i64, now: Now) {
    let position = Position {
        topic: 0,
        partition: 0,
        committed: Some(100),
        read: None,
        high_watermark: Some(100 + records),
    };
    telemetry.positions(0, &[position], now);
}

fn unix(now: Now) -> UnixMillis {
    UnixMillis(now.unix_millis())
}

fn said(telemetry: &Telemetry, now: Now) -> Summary {
    telemetry.status(now).summary
}

#[test]
fn healthy_tells_rate_age_and_keys() {
    let start = midnight();
    let telemetry = running(start);
    assert_eq!(
        said(&telemetry, start).text,
        "Healthy: no records came, what waits is not known yet, key 2026-11, next in 9 d"
    );
    for (records, expected) in [
        (3, "Healthy: no records came in the last seconds, 3 wait"),
        (0, "Healthy: no records come, none wait"),
    ] {
        lag(&telemetry, records, start);
        let text = said(&telemetry, start.plus(SECOND)).text;
        assert!(text.starts_with(expected), "{text}");
    }
    for second in 0..10 {
        let now = start.plus(second * SECOND + SECOND / 2);
        commit(&telemetry, 41_200, 3, UnixMillis(unix(now).0 - 300), now);
    }
    let summary = said(&telemetry, start.plus(10 * SECOND));
    assert_eq!(
        summary.text,
        "Healthy: 41,200 records/s, 0.3 s behind, key 2026-11, next in 8 d"
    );
    assert_eq!((summary.state, summary.level), (State::Healthy, Level::Ok));
    assert_eq!(summary.also, Vec::<String>::new());
}

#[test]
fn a_start_is_no_fault_until_it_takes_too_long() {
    let start = midnight();
    let telemetry = telemetry(start);
    telemetry.keyring_loaded(keyring("aa"), start);
    let summary = said(&telemetry, start);
    assert_eq!(
        (summary.state, &*summary.text),
        (
            State::Starting,
            "Starting: brokers: lane 0 waits for a broker, and 1 check more"
        )
    );
    telemetry.lane_state(0, LaneState::Joining);
    telemetry.lane_state(1, LaneState::Joining);
    assert_eq!(
        said(&telemetry, start).text,
        "Starting: assignment: lane 0 has no assignment yet"
    );
    let summary = said(&telemetry, start.plus(60 * SECOND));
    assert_eq!((summary.state, summary.level), (State::NotReady, Level::Fault));
    // A broker that is known to be away is a fault from the first second.
    telemetry.brokers(Err("all brokers are down".to_owned()));
    assert_eq!(said(&telemetry, start).state, State::NotReady);
}

#[test]
fn not_ready_says_why_and_what_else() {
    let start = midnight();
    let telemetry = running(start);
    telemetry.brokers(Err("all brokers are down".to_owned()));
    telemetry.keyring_refused("keyring.toml:3:1: nope");
    let summary = said(&telemetry, start);
    assert_eq!(summary.text, "Not ready: brokers: all brokers are down");
    assert_eq!(summary.level, Level::Fault);
    assert_eq!(
        summary.also,
        ["A new keyring was refused, the running one stays in use: keyring.toml:3:1: nope"]
    );
    telemetry.brokers(Ok(()));
    let summary = said(&telemetry, start);
    assert_eq!(
        (summary.state, summary.level),
        (State::ReloadRefused, Level::Warning)
    );
}

#[test]
fn behind_tells_where_it_is_going() {
    let start = midnight();
    let telemetry = running(start);
    let hour_old = |now: Now| UnixMillis(unix(now).0 - 3_600_000);
    for (per_second, expected) in [
        (
            -1000,
            "Behind: 60 min and 41,000 records, shrinking by 1,000/s: caught up in about 41 s",
        ),
        (1000, "Behind: 60 min and 159,000 records, growing by 1,000/s"),
        (
            0,
            "Behind: 60 min and 100,000 records, neither growing nor shrinking",
        ),
    ] {
        for second in 0..60 {
            let now = start.plus(second * SECOND);
            commit(&telemetry, 10, 0, hour_old(now), now);
            lag(&telemetry, 100_000 + per_second * i64::from(second), now);
        }
        let summary = said(&telemetry, start.plus(60 * SECOND));
        assert_eq!((summary.state, &*summary.text), (State::Behind, expected));
    }
}

#[test]
fn records_that_wait_without_a_commit_are_behind_after_a_while() {
    let start = midnight();
    let telemetry = running(start);
    commit(&telemetry, 1, 0, unix(start), start);
    lag(&telemetry, 0, start.plus(SECOND));
    lag(&telemetry, 7, start.plus(100 * SECOND));
    let state = |seconds: u32| said(&telemetry, start.plus(seconds * SECOND)).state;
    assert_eq!(state(100), State::Healthy);
    lag(&telemetry, 0, start.plus(101 * SECOND));
    assert_eq!(state(399), State::Healthy, "an idle daemon is not behind");
    lag(&telemetry, 0, start.plus(399 * SECOND));
    lag(&telemetry, 7, start.plus(400 * SECOND));
    // What waits came at the earliest when nothing waited.
    assert_eq!(state(432), State::Behind);
}

#[test]
fn many_rejections_are_news_with_their_place() {
    let start = midnight();
    let telemetry = running(start);
    commit(&telemetry, 1000, 49, unix(start), start);
    assert_eq!(said(&telemetry, start.plus(SECOND)).state, State::Healthy);
    commit(&telemetry, 1000, 400, unix(start), start);
    let summary = said(&telemetry, start.plus(SECOND));
    assert_eq!(
        summary.text,
        "Rejecting: 22 % of the last minute's records, the last for \"number\" at cdr.raw partition 0 offset 41"
    );
    // An old minute is forgotten.
    assert_eq!(said(&telemetry, start.plus(70 * SECOND)).state, State::Healthy);
}

#[test]
fn books_that_do_not_balance_are_a_fault() {
    let start = midnight();
    let telemetry = running(start);
    let mut counts = counts();
    counts.read(2);
    telemetry.committed(0, &counts, SECOND, start);
    let summary = said(&telemetry, start);
    assert_eq!(summary.level, Level::Fault);
    assert!(
        summary.text.starts_with("Books do not balance: 2 records"),
        "{}",
        summary.text
    );
}

#[test]
fn the_next_key_is_asked_for_in_the_rhythm_of_the_keys() {
    let keys = |epochs: &[(&str, &str)]| KeyringFacts {
        fingerprint: "aa".to_owned(),
        epochs: epochs
            .iter()
            .map(|(id, from)| EpochFacts {
                id: (*id).to_owned(),
                activate_at: at(from),
                until: None,
                kcv: "9fc082d4".to_owned(),
                status: EpochStatus::Enabled,
            })
            .collect(),
    };
    let start = midnight();
    let telemetry = running(start);
    for (epochs, expected) in [
        // 22 November: after 27 days the next is due within a week, after a year it is not; one alone has no rhythm.
        (
            &[
                ("2026-10", "2026-10-05T00:00:00Z"),
                ("2026-11", "2026-11-01T00:00:00Z"),
            ][..],
            State::NextKeyDue,
        ),
        (
            &[("2025", "2025-11-01T00:00:00Z"), ("2026", "2026-11-01T00:00:00Z")],
            State::Healthy,
        ),
        (&[("2026", "2026-01-01T00:00:00Z")], State::Healthy),
    ] {
        let mut facts = keys(epochs);
        let begins: Vec<_> = facts.epochs.iter().map(|epoch| epoch.activate_at).collect();
        for (epoch, next) in facts.epochs.iter_mut().zip(begins.iter().skip(1)) {
            epoch.until = Some(*next);
        }
        telemetry.keyring_loaded(facts, start);
        let summary = said(&telemetry, start);
        assert_eq!(summary.state, expected, "{}", summary.text);
    }
    // A key that ends with none behind it.
    let mut facts = keys(&[("2026-11", "2026-11-01T00:00:00Z")]);
    facts.epochs[0].until = Some(at("2026-11-25T00:00:00Z"));
    telemetry.keyring_loaded(facts, start);
    assert_eq!(
        said(&telemetry, start).text,
        "Key 2026-11 ends in 3 d and no key follows: every later call would be rejected"
    );
}

#[test]
fn draining_counts_what_still_runs() {
    let start = midnight();
    let telemetry = running(start);
    telemetry.drain();
    telemetry.lane_state(1, LaneState::Stopped);
    let summary = said(&telemetry, start);
    assert_eq!(
        summary.text,
        "Draining: 1 of 2 lanes still finish what is open, then the program ends"
    );
    telemetry.lane_state(0, LaneState::Stopped);
    assert!(
        said(&telemetry, start)
            .text
            .starts_with("Draining: all is finished")
    );
}

#[test]
fn numbers_and_times_as_people_say_them() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (41_200, "41,200"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(number), text);
    }
    for (millis, text) in [
        (-5, "0.0 s"),
        (312, "0.3 s"),
        (45_000, "45 s"),
        (180_000, "3 min"),
        (7_200_000, "2 h"),
        (9 * 86_400_000, "9 d"),
    ] {
        assert_eq!(span(millis), text);
    }
}

#[test]
fn a_status_is_small_however_long_the_daemon_ran() {
    let start = midnight();
    let telemetry = running(start);
    for second in 0..1300 {
        let now = start.plus(second * SECOND);
        commit(&telemetry, 1000, 20, UnixMillis(unix(now).0 - 1_234), now);
        lag(&telemetry, 1_000_000 + i64::from(second), now);
    }
    let status = telemetry.status(start.plus(1300 * SECOND));
    assert_eq!(status.history.read, [1000; 600]);
    let bytes = serde_json::to_vec(&status).unwrap().len();
    assert!(bytes < 32_000, "{bytes}");
}
