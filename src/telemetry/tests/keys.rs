//! What is shown of keys and windows.

use std::time::{Duration, SystemTime};

use super::{at, keyring, midnight, telemetry, value};
use crate::telemetry::{EpochFacts, EpochStatus, KeyringFacts, Now, UnixMillis};

const DAY: Duration = Duration::from_secs(86_400);

/// Nothing is loaded while windows pass.
#[test]
fn the_states_of_keys_follow_the_clock() {
    let now = midnight();
    let telemetry = telemetry(now);
    let mut facts = keyring("aa");
    facts.epochs[1].status = EpochStatus::Compromised;
    telemetry.keyring_loaded(facts, now);
    for (days, in_use, next, states) in [
        // 22 November, the last second of it, the boundary, and a day without any key in reserve.
        (0, "2026-11", Some(at("2026-12-01T00:00:00Z")), [1, 1, 0, 1, 1]),
        (8, "2026-11", Some(at("2026-12-01T00:00:00Z")), [1, 1, 0, 1, 1]),
        (9, "2026-12", None, [0, 1, 1, 1, 1]),
    ] {
        let now = now.plus(DAY * days);
        let page = telemetry.metrics(now);
        for (state, keys) in EpochFacts::STATES.into_iter().zip(states) {
            let series = format!("cdrveil_keyring_keys{{state=\"{state}\"}}");
            assert_eq!(value(&page, &series), Some(f64::from(keys)), "{days} {series}");
        }
        let active = format!("cdrveil_keyring_active_key_info{{epoch=\"{in_use}\"}}");
        assert_eq!(value(&page, &active), Some(1.0), "{days}");
        assert_eq!(
            page.matches("\ncdrveil_keyring_active_key_info{").count(),
            1,
            "{days}"
        );
        let there = f64::from(u8::from(next.is_some()));
        assert_eq!(value(&page, "cdrveil_keyring_next_key"), Some(there), "{days}");
        assert_eq!(
            value(&page, "cdrveil_keyring_next_activation_timestamp_seconds"),
            next.map(|next| next.0 as f64 / 1000.0),
            "{days}"
        );
        let json = serde_json::to_value(telemetry.status(now)).unwrap();
        let shown = &json["keyring"];
        assert_eq!(shown["in_use"], in_use);
        assert_eq!(shown["next"]["id"].as_str(), next.map(|_| "2026-12"), "{days}");
        for (state, keys) in EpochFacts::STATES.into_iter().zip(states) {
            assert_eq!(shown["states"][state], keys, "{days} {state}");
        }
    }
    let gone = telemetry.metrics(Now {
        wall: SystemTime::UNIX_EPOCH,
        ..now
    });
    assert!(
        !gone.contains("\ncdrveil_keyring_active_key_info{"),
        "no key begins so early"
    );
}

#[test]
fn a_keyring_of_400_keys_is_no_flood_of_series() {
    let now = midnight();
    let telemetry = telemetry(now);
    let day = |at: i64| UnixMillis(now.unix_millis() + (at - 200) * 86_400_000);
    let epoch = |at: i64| EpochFacts {
        id: format!("d{at}"),
        activate_at: day(at),
        until: (at < 399).then(|| day(at + 1)),
        kcv: "9fc082d4".to_owned(),
        status: if at < 100 {
            EpochStatus::Destroyed
        } else {
            EpochStatus::Enabled
        },
    };
    telemetry.keyring_loaded(
        KeyringFacts {
            fingerprint: "aa".to_owned(),
            epochs: (0..400).map(epoch).collect(),
        },
        now,
    );
    let partitions: Vec<_> = (0..12).map(|partition| (0, partition)).collect();
    telemetry.assigned(0, &partitions, now);
    let page = telemetry.metrics(now);
    let series = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    assert!(series < 500, "{series}");
    for near in ["d193", "d200", "d208"] {
        let series = format!("cdrveil_epoch_records_total{{epoch=\"{near}\"}}");
        assert_eq!(value(&page, &series), Some(0.0), "{near}");
    }
    assert_eq!(
        value(&page, "cdrveil_keyring_keys{state=\"destroyed\"}"),
        Some(100.0)
    );
    assert_eq!(
        value(&page, "cdrveil_keyring_active_key_info{epoch=\"d200\"}"),
        Some(1.0)
    );
}
