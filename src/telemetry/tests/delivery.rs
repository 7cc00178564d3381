//! What is shown of lag, failed writes and queues.

use super::{midnight, telemetry, value};
use crate::telemetry::{Output, Position};

#[test]
fn lag_goes_away_with_its_partition_and_is_never_negative() {
    let now = midnight();
    let telemetry = telemetry(now);
    let series = "cdrveil_lag_records{topic=\"cdr.raw\",partition=\"0\"}";
    let lag = || value(&telemetry.metrics(now), series);
    let position = |committed, high_watermark| Position {
        topic: 0,
        partition: 0,
        committed,
        read: None,
        high_watermark,
    };
    telemetry.assigned(0, &[(0, 0)], now);
    assert_eq!(lag(), None, "unknown before the first position");
    telemetry.positions(0, &[position(None, Some(90))], now);
    assert_eq!(lag(), None, "unknown without a committed offset");
    telemetry.positions(0, &[position(Some(70), None)], now);
    assert_eq!(lag(), Some(20.0), "parts may come apart");
    telemetry.positions(0, &[position(Some(95), Some(90))], now);
    assert_eq!(lag(), Some(0.0), "an old watermark is no negative lag");
    telemetry.assigned(0, &[], now);
    telemetry.positions(0, &[position(Some(95), Some(99))], now);
    assert_eq!(lag(), None, "a last word after revocation changes nothing");
    assert!(
        value(
            &telemetry.metrics(now),
            "cdrveil_records_read_total{topic=\"cdr.raw\",partition=\"0\"}"
        )
        .is_some()
    );
}

#[test]
fn failed_writes_are_counted_by_output_and_queues_summed_over_lanes() {
    let now = midnight();
    let telemetry = telemetry(now);
    telemetry.output_failed(Some(Output::Restricted));
    telemetry.output_failed(Some(Output::Restricted));
    telemetry.output_failed(None);
    telemetry.producer_queue(0, 3);
    telemetry.producer_queue(1, 70);
    telemetry.producer_queue(0, 5);
    let page = telemetry.metrics(now);
    for (series, expected) in [
        ("cdrveil_output_failures_total{output=\"public\"}", 0.0),
        ("cdrveil_output_failures_total{output=\"restricted\"}", 2.0),
        ("cdrveil_output_failures_total{output=\"unknown\"}", 1.0),
        ("cdrveil_producer_queue_records", 75.0),
    ] {
        assert_eq!(value(&page, series), Some(expected), "{series}");
    }
}
