//! The Kafka room against Apache Kafka's own broker: what the lanes rely on.

#![allow(clippy::unwrap_used)] // a test without libtest: clippy does not see that it is one

mod support;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cdrveil::kafka::cluster::{self, Presence, TopicOrder};
use cdrveil::kafka::reader;
use cdrveil::kafka::{ErrorClass, Loss, Outgoing, ProduceError, Rebalance, Sink, SinkMode};
use support::kafka::{Input, Isolation, Rec, shared, unique};
use support::member::{
    Member, PATIENCE, TICK, filled_topic, incompressible, numbered, outgoing, place, settle, transactional,
    write,
};

fn main() {
    tests![
        open_and_aborted_records_are_invisible_to_committed_readers,
        offsets_of_an_aborted_transaction_are_not_stored,
        a_second_init_fences_the_first,
        an_old_generation_is_refused,
        a_second_member_of_one_name_fences_the_first,
        time_key_and_headers_are_kept,
        a_cooperative_revocation_waits_for_the_lane,
        an_eager_revocation_waits_for_the_lane,
        a_close_does_not_wait_for_a_rebalance_that_nobody_answers,
        a_lane_that_polls_too_late_is_told_its_partitions_are_lost,
        a_rewind_reads_exactly_the_same_again,
        at_least_once_commits_after_the_acknowledgement,
        a_record_of_several_megabytes_passes,
        a_topic_is_read_once_to_its_end,
        topics_are_described_or_missing,
    ]
}

fn open_and_aborted_records_are_invisible_to_committed_readers() {
    let broker = shared();
    let topic = broker.topic("out", 2);
    let mut sink = transactional(broker, &unique("id"), &[&topic]);
    let seen = |isolation| broker.read_all(&topic, isolation).len();

    sink.begin().unwrap();
    write(&mut sink, 0..3);
    sink.commit(None).unwrap();
    sink.begin().unwrap();
    write(&mut sink, 3..5);
    sink.flush(PATIENCE).unwrap();
    assert_eq!((seen(Isolation::Committed), seen(Isolation::Uncommitted)), (3, 5));

    sink.abort(None).unwrap();
    assert_eq!((seen(Isolation::Committed), seen(Isolation::Uncommitted)), (3, 5));

    sink.begin().unwrap();
    write(&mut sink, 5..6);
    sink.commit(None).unwrap();
    assert_eq!((seen(Isolation::Committed), seen(Isolation::Uncommitted)), (4, 6));
}

fn offsets_of_an_aborted_transaction_are_not_stored() {
    let broker = shared();
    let (raw, out) = (filled_topic(broker, 1, 10), broker.topic("out", 1));
    let mut lane = Member::join(broker, &unique("group"), &raw, &[]);
    lane.read_until(10);
    assert_eq!(lane.committed(), [(place(0), None)]);

    let mut sink = transactional(broker, &unique("id"), &[&out]);
    sink.begin().unwrap();
    write(&mut sink, 0..10);
    sink.send_offsets(
        &[(place(0), 10)],
        &lane.source.group_metadata().unwrap(),
        PATIENCE,
    )
    .unwrap();
    sink.abort(None).unwrap();
    assert_eq!(lane.committed(), [(place(0), None)]);

    sink.begin().unwrap();
    write(&mut sink, 0..10);
    sink.send_offsets(
        &[(place(0), 10)],
        &lane.source.group_metadata().unwrap(),
        PATIENCE,
    )
    .unwrap();
    sink.commit(None).unwrap();
    assert_eq!(lane.committed(), [(place(0), Some(10))]);
    assert_eq!(lane.source.high_watermark(place(0)), Some(10));
}

fn a_second_init_fences_the_first() {
    let broker = shared();
    let (topic, id) = (broker.topic("out", 1), unique("id"));
    let mut first = transactional(broker, &id, &[&topic]);
    first.begin().unwrap();
    write(&mut first, 0..3);
    first.flush(PATIENCE).unwrap();

    let mut second = transactional(broker, &id, &[&topic]);
    second.begin().unwrap();
    write(&mut second, 3..4);
    second.commit(None).unwrap();

    let error = first.commit(None).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Fenced, "{error}");
    assert!(first.fatal_error().is_some());
    first.destroy_now();
    let texts: Vec<_> = broker
        .read_all(&topic, Isolation::Committed)
        .iter()
        .map(Rec::text)
        .collect();
    assert_eq!(texts, ["3"]);
}

fn an_old_generation_is_refused() {
    let broker = shared();
    let (raw, out, group) = (
        filled_topic(broker, 2, 4),
        broker.topic("out", 1),
        unique("group"),
    );
    let mut first = Member::join(broker, &group, &raw, &[]);
    first.read_until(4);
    let old = first.source.group_metadata().unwrap();

    let mut second = Member::join(broker, &group, &raw, &[]);
    settle(&mut [&mut first, &mut second], 2);

    let mut sink = transactional(broker, &unique("id"), &[&out]);
    sink.begin().unwrap();
    write(&mut sink, 0..1);
    let error = sink.send_offsets(&[(place(0), 2)], &old, PATIENCE).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Abort, "{error}");
    sink.abort(None).unwrap();
}

fn a_second_member_of_one_name_fences_the_first() {
    let broker = shared();
    let (raw, group) = (filled_topic(broker, 1, 4), unique("group"));
    let mut first = Member::join_as(broker, &group, &raw, &[], Some("lane-0"));
    first.read_until(4);
    let mut second = Member::join_as(broker, &group, &raw, &[], Some("lane-0"));
    second.read_until(4);

    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "the first member was never told");
        if let Err(error) = first.source.poll(&mut first.batch, TICK) {
            break error;
        }
    };
    assert_eq!(error.class(), ErrorClass::Fenced, "{error}");
    let start = Instant::now();
    first.source.close(Duration::from_secs(2));
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn time_key_and_headers_are_kept() {
    let broker = shared();
    let topic = broker.topic("out", 1);
    let mut sink = transactional(broker, &unique("id"), &[&topic]);
    let record = Outgoing {
        topic: 0,
        partition: 0,
        timestamp: Some(1_767_225_600_123),
        key: Some(b"key"),
        value: b"value",
        headers: &[("cdrveil-reason", b"format"), ("empty", b"")],
    };
    sink.begin().unwrap();
    sink.produce(&record).unwrap();
    sink.produce(&Outgoing {
        key: None,
        value: b"",
        headers: &[],
        timestamp: None,
        ..record
    })
    .unwrap();
    sink.commit(None).unwrap();
    broker.produce_all(
        &topic,
        [Input {
            key: Some(b"gone".to_vec()),
            ..Input::default()
        }],
    );

    let mut lane = Member::join(broker, &unique("group"), &topic, &[]);
    let mut seen = Vec::new();
    lane.read_with(3, |message| {
        seen.push((
            message.timestamp,
            message.key.map(<[u8]>::to_vec),
            message.payload.map(<[u8]>::to_vec),
            message.header(c"cdrveil-reason").map(<[u8]>::to_vec),
            message.header(c"empty").map(<[u8]>::to_vec),
            message.header(c"absent").map(<[u8]>::to_vec),
        ));
    });
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let now = seen[1].0;
    assert!(now > Some(1_767_225_600_123));
    assert_eq!(
        seen[0],
        (
            Some(1_767_225_600_123),
            text("key"),
            text("value"),
            text("format"),
            text(""),
            None
        )
    );
    assert_eq!(seen[1], (now, None, text(""), None, None, None));
    assert_eq!((&seen[2].1, &seen[2].2), (&text("gone"), &None));
}

fn a_cooperative_revocation_waits_for_the_lane() {
    revocation_waits("cooperative-sticky");
}

fn an_eager_revocation_waits_for_the_lane() {
    revocation_waits("range");
}

/// The first lane has read everything and holds an open transaction when the second joins: it is asked to let
/// go, commits first, and the second goes on exactly there.
fn revocation_waits(strategy: &str) {
    let broker = shared();
    let (raw, out, group) = (
        filled_topic(broker, 4, 40),
        broker.topic("out", 1),
        unique("group"),
    );
    let properties = [("partition.assignment.strategy", strategy)];
    let mut first = Member::join(broker, &group, &raw, &properties);
    first.read_until(40);
    let mut sink = transactional(broker, &unique("id"), &[&out]);
    sink.begin().unwrap();
    write(&mut sink, 0..40);

    let mut second = Member::join(broker, &group, &raw, &properties);
    let deadline = Instant::now() + PATIENCE;
    let revoked = loop {
        assert!(Instant::now() < deadline, "never asked to let go");
        second.step();
        match first.source.poll(&mut first.batch, TICK).unwrap() {
            Some(revoked @ Rebalance::Revoked { .. }) => break revoked,
            Some(assigned) => first.complete(&assigned),
            None => {}
        }
        assert!(first.batch.is_empty());
    };
    let Rebalance::Revoked { partitions, loss } = &revoked else {
        unreachable!()
    };
    assert_eq!(*loss, Loss::Kept);
    assert!(!partitions.is_empty());

    // As long as the first lane has not let go, the second gets none of them.
    let hold = Instant::now() + Duration::from_secs(1);
    while Instant::now() < hold {
        second.step();
        assert!(second.assigned.iter().all(|place| !partitions.contains(place)));
    }
    let offsets: Vec<_> = (0..4).map(|partition| (place(partition), 10)).collect();
    sink.send_offsets(&offsets, &first.source.group_metadata().unwrap(), PATIENCE)
        .unwrap();
    sink.commit(None).unwrap();
    first.complete(&revoked);

    settle(&mut [&mut first, &mut second], 4);
    assert_eq!(
        (first.assigned.len(), second.assigned.len()),
        (2, 2),
        "{strategy}"
    );
    broker.produce_all(&raw, numbered(4, 40..48));
    let deadline = Instant::now() + PATIENCE;
    while first.seen.len() + second.seen.len() < 48 {
        assert!(
            Instant::now() < deadline,
            "{} and {}",
            first.seen.len(),
            second.seen.len()
        );
        first.step();
        second.step();
    }
    let mut seen: Vec<_> = first
        .seen
        .iter()
        .chain(&second.seen)
        .map(|(_, _, text)| text.clone())
        .collect();
    seen.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(
        seen,
        (0..48).map(|n| n.to_string()).collect::<Vec<_>>(),
        "{strategy}: none lost, none doubled"
    );

    first.source.close(Duration::from_secs(5));
    settle(&mut [&mut second], 4);
    let start = Instant::now();
    second.source.close(Duration::from_secs(5));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

fn a_close_does_not_wait_for_a_rebalance_that_nobody_answers() {
    let broker = shared();
    let raw = filled_topic(broker, 2, 4);
    for strategy in ["cooperative-sticky", "range"] {
        let properties = [("partition.assignment.strategy", strategy)];
        let mut lane = Member::join(broker, &unique("group"), &raw, &properties);
        let deadline = Instant::now() + PATIENCE;
        while lane.source.poll(&mut lane.batch, TICK).unwrap().is_none() {
            assert!(Instant::now() < deadline, "never assigned");
        }
        let start = Instant::now();
        lane.source.close(Duration::from_secs(10));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{strategy}: {:?}",
            start.elapsed()
        );
    }
}

fn a_lane_that_polls_too_late_is_told_its_partitions_are_lost() {
    let broker = shared();
    let raw = filled_topic(broker, 1, 2);
    let limits = [
        ("session.timeout.ms", "1500"),
        ("max.poll.interval.ms", "1500"),
        ("heartbeat.interval.ms", "300"),
    ];
    let mut lane = Member::join(broker, &unique("group"), &raw, &limits);
    lane.read_until(2);
    // Nothing to wait for but time itself.
    std::thread::sleep(Duration::from_millis(2500));
    let deadline = Instant::now() + PATIENCE;
    let lost = loop {
        assert!(Instant::now() < deadline, "never told");
        match lane.source.poll(&mut lane.batch, TICK) {
            Ok(Some(rebalance)) => break rebalance,
            Ok(None) => {}
            Err(error) => assert_eq!(error.class(), ErrorClass::Retriable, "{error}"),
        }
    };
    assert_eq!(
        lost,
        Rebalance::Revoked {
            partitions: vec![place(0)],
            loss: Loss::Lost
        }
    );
    lane.seen.clear();
    lane.complete(&lost);
    lane.read_until(2);
}

fn a_rewind_reads_exactly_the_same_again() {
    let broker = shared();
    let raw = filled_topic(broker, 3, 3000);
    let mut lane = Member::join(broker, &unique("group"), &raw, &[]);
    while lane.assigned.is_empty() {
        lane.step();
    }
    // Right after the assignment was taken over, before the fetchers have started.
    let start: Vec<_> = (0..3).map(|partition| (place(partition), 0)).collect();
    lane.source.seek(&start, PATIENCE).unwrap();
    lane.seen.clear();
    lane.read_until(3000);
    let mut first = std::mem::take(&mut lane.seen);
    // In the middle, with much of it fetched ahead.
    for _ in 0..20 {
        lane.source.seek(&start, PATIENCE).unwrap();
        lane.seen.clear();
        lane.read_until(500);
    }
    lane.source.seek(&start, PATIENCE).unwrap();
    lane.seen.clear();
    lane.read_until(3000);
    assert_eq!(lane.seen.len(), 3000);
    first.sort();
    lane.seen.sort();
    assert!(first == lane.seen, "not the same records");
    for partition in 0..3 {
        let offsets: Vec<_> = first
            .iter()
            .filter(|seen| seen.0 == partition)
            .map(|seen| seen.1)
            .collect();
        assert_eq!(offsets, (0..1000).collect::<Vec<i64>>());
    }
}

fn at_least_once_commits_after_the_acknowledgement() {
    let broker = shared();
    let (raw, out, group) = (
        filled_topic(broker, 1, 5),
        broker.topic("out", 1),
        unique("group"),
    );
    let mut lane = Member::join(broker, &group, &raw, &[]);
    lane.read_until(5);
    let mut sink = Sink::connect(&broker.kafka(&group), SinkMode::AtLeastOnce, &[&out]).unwrap();
    write(&mut sink, 0..5);
    assert_eq!(sink.queue_len(), 5);
    sink.flush(PATIENCE).unwrap();
    assert_eq!((sink.queue_len(), sink.delivery_failures()), (0, 0));
    lane.source.commit(&[(place(0), 5)], PATIENCE).unwrap();
    assert_eq!(lane.committed(), [(place(0), Some(5))]);
    assert_eq!(broker.read_all(&out, Isolation::Committed).len(), 5);
}

fn a_record_of_several_megabytes_passes() {
    let broker = shared();
    let topic = unique("large");
    broker.create_topic(&topic, 1, &[("max.message.bytes", "16777216")]);
    let mut sink = transactional(broker, &unique("id"), &[&topic]);
    let value = incompressible(6_000_000);
    let record = Outgoing {
        topic: 0,
        partition: 0,
        timestamp: None,
        key: None,
        value: &value,
        headers: &[],
    };
    sink.begin().unwrap();
    sink.produce(&record).unwrap();
    let larger = vec![0; 17_000_000];
    let refused = sink.produce(&Outgoing {
        value: &larger,
        ..record
    });
    assert!(matches!(refused, Err(ProduceError::TooLarge)), "{refused:?}");
    sink.commit(None).unwrap();

    let mut lane = Member::join(broker, &unique("group"), &topic, &[]);
    let mut same = false;
    lane.read_with(1, |message| same = message.payload == Some(&value));
    assert!(same);

    // Larger than the topic takes: the transaction is aborted, the records are the lane's to look at.
    let small = broker.topic("small", 1);
    let mut sink = transactional(broker, &unique("id"), &[&small]);
    sink.begin().unwrap();
    sink.produce(&record).unwrap();
    let error = sink.commit(None).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Abort, "{error}");
    sink.abort(None).unwrap();
}

fn a_topic_is_read_once_to_its_end() {
    let broker = shared();
    let topic = broker.topic("out", 3);
    let mut sink = transactional(broker, &unique("id"), &[&topic]);
    sink.begin().unwrap();
    for partition in [0, 2] {
        let record = Outgoing {
            partition,
            headers: &[("cdrveil-reason", b"time")],
            ..outgoing(b"in")
        };
        sink.produce(&record).unwrap();
    }
    sink.commit(None).unwrap();
    sink.begin().unwrap();
    write(&mut sink, 0..1);
    sink.flush(PATIENCE).unwrap();

    let mut seen = Vec::new();
    let look = |record: &reader::Record<'_>| {
        assert_eq!((record.payload(), record.key()), (Some(&b"in"[..]), None));
        assert_eq!(record.header("cdrveil-reason"), Some(&b"time"[..]));
        assert!(record.timestamp().is_some());
        seen.push((record.partition(), record.offset()));
        ControlFlow::Continue(())
    };
    let kafka = broker.kafka("reader");
    reader::read_to_end(&kafka, &topic, PATIENCE, look).unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [(0, 0), (2, 0)], "the open transaction ends partition 0");

    let missing = reader::read_to_end(&kafka, &unique("missing"), PATIENCE, |_| ControlFlow::Break(()));
    assert_eq!(missing.unwrap_err().class(), ErrorClass::Unavailable);
}

fn topics_are_described_or_missing() {
    let broker = shared();
    let (there, missing) = (unique("there"), unique("missing"));
    let kafka = broker.kafka("g");
    let config = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "3600000"),
        ("max.message.bytes", "2000000"),
        ("message.timestamp.before.max.ms", "86400000"),
    ];
    let order = TopicOrder {
        name: &there,
        partitions: 3,
        config: &config,
    };
    cluster::create_topics(&kafka, std::slice::from_ref(&order), PATIENCE).unwrap();
    assert!(
        cluster::create_topics(&kafka, &[order], PATIENCE)
            .unwrap_err()
            .to_string()
            .contains(&there)
    );

    let view = cluster::describe(&kafka, &[&missing, &there], PATIENCE).unwrap();
    assert_eq!(view.warnings, [""; 0]);
    assert_eq!(view.topics[0].presence, Presence::Missing);
    assert_eq!(view.topics[1].presence, Presence::Partitions(3));
    let config = &view.topics[1].config;
    assert_eq!(config.cleanup_policy.as_deref(), Some("compact"));
    assert_eq!(config.retention_ms, Some(3_600_000));
    assert_eq!(config.max_message_bytes, Some(2_000_000));
    assert_eq!(config.timestamp_before_max_ms, Some(86_400_000));
    assert_eq!(config.timestamp_after_max_ms, Some(3_600_000));
    assert_eq!(config.min_insync_replicas, Some(1));
}
