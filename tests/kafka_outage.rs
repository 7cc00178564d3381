//! The Kafka room while its broker is away, and after. Each test kills a broker of its own.

#![allow(clippy::unwrap_used)] // a test without libtest: clippy does not see that it is one

mod support;

use std::time::{Duration, Instant};

use cdrveil::kafka::{ErrorClass, ProduceError, Sink, SinkMode, cluster};
use support::kafka::{Broker, Isolation};
use support::member::{
    Member, PATIENCE, TICK, filled_topic, numbered, outgoing, place, send, transactional, write,
};

fn main() {
    tests![
        a_broker_that_goes_away_and_comes_back_is_waited_for,
        nothing_hangs_when_the_broker_is_gone,
    ]
}

fn a_broker_that_goes_away_and_comes_back_is_waited_for() {
    let broker = Broker::start();
    let (raw, out) = (filled_topic(&broker, 1, 5), broker.topic("out", 1));
    let mut lane = Member::join(&broker, "group", &raw, &[]);
    lane.read_until(5);
    let mut sink = transactional(&broker, "id", &[&out]);
    commit_in_slices(&broker, &mut sink);
    sink.begin().unwrap();
    write(&mut sink, 0..5);
    broker.kill();

    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody noticed");
        if let Err(error) = lane.source.poll(&mut lane.batch, TICK) {
            break error;
        }
    };
    assert_eq!(error.class(), ErrorClass::Unavailable, "{error}");

    broker.restart();
    broker.produce_all(&raw, numbered(1, 5..8));
    lane.read_until(8);
    // As the lane does it: same call while retriable, else abort and make the producer again.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "never committed");
        let outcome = send(
            &mut sink,
            &[(place(0), 8)],
            &lane.source.group_metadata().unwrap(),
        );
        let Err(error) = outcome else { break };
        let _ = sink.abort(Some(Duration::from_secs(1)));
        sink.destroy_now();
        sink = transactional(&broker, "id", &[&out]);
        sink.begin()
            .unwrap_or_else(|again| panic!("{error}, then {again}"));
        write(&mut sink, 0..5);
        lane.step();
    }
    assert_eq!(lane.committed(), [(place(0), Some(8))]);
    assert_eq!(broker.read_all(&out, Isolation::Committed).len(), 7);
}

/// A commit whose time is up goes on, and the same call takes it up.
fn commit_in_slices(broker: &Broker, sink: &mut Sink) {
    sink.begin().unwrap();
    write(sink, 0..2);
    broker.pause();
    for _ in 0..2 {
        let start = Instant::now();
        let error = sink.commit(Some(Duration::from_millis(300))).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Retriable, "{error}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    broker.resume();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = sink.commit(Some(Duration::from_millis(300))) {
        assert_eq!(error.class(), ErrorClass::Retriable, "{error}");
        assert!(Instant::now() < deadline, "never committed");
    }
}

fn nothing_hangs_when_the_broker_is_gone() {
    let broker = Broker::start();
    let (raw, out) = (filled_topic(&broker, 2, 100), broker.topic("out", 1));
    let mut lane = Member::join(&broker, "group", &raw, &[]);
    lane.read_until(100);
    let mut open = transactional(&broker, "id", &[&out]);
    open.begin().unwrap();
    write(&mut open, 0..100);
    broker.kill();

    let start = Instant::now();
    let error = lane
        .source
        .commit(&[(place(0), 50)], Duration::from_millis(500))
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retriable, "{error}");
    assert!(start.elapsed() < Duration::from_secs(2));
    let start = Instant::now();
    open.destroy_now();
    let destroyed = start.elapsed();
    lane.source.close(Duration::from_secs(1));
    let closed = start.elapsed();
    // Messages outlive their source.
    assert!(lane.batch.iter().all(|message| message.payload.is_some()));
    drop(lane.batch);
    assert!(destroyed < Duration::from_secs(2), "{destroyed:?}");
    assert!(closed < Duration::from_secs(5), "{closed:?}");

    let small = broker
        .kafka("group")
        .with("queue.buffering.max.messages", "10")
        .unwrap();
    let mode = SinkMode::Transactional {
        id: "id-2",
        transaction_timeout: Duration::from_secs(10),
    };
    let mut sink = Sink::connect(&small, mode, &[&out]).unwrap();
    let error = sink.init_transactions(Duration::from_millis(500)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retriable, "{error}");
    let error = cluster::describe(&small, &[&raw], Duration::from_millis(500)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "{error}");

    let quick = small.with("message.timeout.ms", "500").unwrap();
    let mut sink = Sink::connect(&quick, SinkMode::AtLeastOnce, &[&out]).unwrap();
    write(&mut sink, 0..10);
    let full = sink.produce(&outgoing(b"11"));
    assert!(matches!(full, Err(ProduceError::QueueFull)), "{full:?}");
    sink.flush(PATIENCE).unwrap();
    assert_eq!(sink.delivery_failures(), 10);
}
