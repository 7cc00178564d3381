//! Brokers that go away, names that are wrong or borne twice, records that a broker refuses.

#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // what a run showed, with the seed to have it again

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::deployment::{Daemon, Deployment, totals};
use support::kafka::{Broker, Input, Isolation, shared, unique};
use support::ledger::{Feeder, await_done, exactly_once};
use support::mishaps::{delete_records, delete_topic, flip_bit, set_offset};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;

fn main() {
    tests![
        outages_of_every_length_lose_and_double_nothing,
        a_broker_that_never_answers_is_69_after_the_start_timeout,
        a_missing_topic_is_78_and_named,
        of_two_live_instances_of_one_name_one_stops_and_says_so,
        a_record_the_public_topic_refuses_is_rejected_alone,
        a_record_the_rejected_topic_refuses_too_is_named_there,
        a_record_no_topic_takes_leaves_at_least_once_going,
        batches_are_no_larger_than_the_outputs_take,
        what_retention_deleted_unread_is_counted_and_the_rest_goes_on,
        a_topic_cut_below_the_committed_offset_stops_the_daemon,
        a_topic_made_anew_is_read_from_its_start,
        what_cannot_be_read_is_not_passed_over,
        a_stop_is_heard_while_the_broker_is_away,
        a_stop_is_heard_before_a_broker_answered,
        a_record_whose_time_the_outputs_refuse_is_rejected_with_the_time_of_now,
        a_transaction_timeout_the_brokers_refuse_is_78,
    ]
}

/// Transaction timeout 3 s, session timeout 12 s.
fn outages_of_every_length_lose_and_double_nothing() {
    let broker = Broker::start();
    let deployment = Deployment::new(&broker, PARTITIONS);
    let delivery = "lanes = 1\ncommit_interval = \"1s\"\ntransaction_timeout = \"3s\"";
    deployment.config_as("cdrveil.toml", "0", delivery, "");
    deployment.edit(
        "cdrveil.toml",
        "\"session.timeout.ms\" = 6000",
        "\"session.timeout.ms\" = 12000",
    );
    let feeder = Feeder::start(&broker, &deployment.raw, PARTITIONS, 2_000);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    daemon.await_log("partitions assigned", PATIENCE);
    for (name, outage) in [
        ("short", Duration::from_millis(1_500)),
        ("longer than the transaction", Duration::from_secs(7)),
        ("longer than the session", Duration::from_secs(16)),
    ] {
        thread::sleep(Duration::from_millis(1_100));
        broker.pause();
        let began = Instant::now();
        if outage > Duration::from_secs(10) {
            daemon.await_readyz(503, outage);
        }
        thread::sleep(outage.saturating_sub(began.elapsed()));
        broker.resume();
        await_progress(&daemon, name);
        println!(
            "{name} ({outage:?}): goes on {:.1?} after its end",
            began.elapsed().saturating_sub(outage)
        );
    }
    for _ in 0..2 {
        broker.kill();
        let began = Instant::now();
        daemon.await_readyz(503, PATIENCE);
        let noticed = began.elapsed();
        broker.restart();
        let back = began.elapsed();
        await_progress(&daemon, "killed");
        println!(
            "killed for {back:.1?}: 503 after {noticed:.1?}, goes on {:.1?} after its end",
            began.elapsed().saturating_sub(back)
        );
    }
    daemon.await_ready(PATIENCE);
    let fed = feeder.finish();
    await_done(&broker, &deployment, &fed, &[&daemon]);
    let recreations = daemon.metric("cdrveil_producer_recreations_total").unwrap();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let tally = exactly_once(&broker, &deployment, &fed);
    assert_eq!(totals(&log)[0] as usize, tally.fed, "{log}");
    println!("5 outages, {recreations} producers made again: {tally:?}");
    assert!(
        tally.aborted > 0,
        "no aborted transaction: this run proves nothing; {tally:?}"
    );
}

/// Waits for a commit that was not there before, and for `/readyz`.
fn await_progress(daemon: &Daemon, name: &str) {
    let committed = || {
        daemon
            .metric("cdrveil_transactions_total{outcome=\"committed\"}")
            .unwrap()
    };
    let (before, deadline) = (committed(), Instant::now() + PATIENCE);
    while committed() < before + 3.0 {
        assert!(
            Instant::now() < deadline,
            "{name}: it does not go on\n{}\n{}\n{}",
            daemon.get("/livez").1,
            daemon.get("/api/v1/status").1,
            daemon.log()
        );
        thread::sleep(Duration::from_millis(50));
    }
    daemon.await_ready(PATIENCE);
}

fn a_broker_that_never_answers_is_69_after_the_start_timeout() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.edit("cdrveil.toml", broker.bootstrap(), "127.0.0.1:1");
    deployment.edit("cdrveil.toml", "[kafka]\n", "[kafka]\nstart_timeout = \"2s\"\n");
    let began = Instant::now();
    let mut daemon = deployment.start();
    let status = daemon.wait(PATIENCE);
    assert_eq!(status.code(), Some(69), "{}", daemon.log());
    assert!(began.elapsed() >= Duration::from_secs(2));
    let log = daemon.log();
    assert!(
        log.contains("no broker answered within 2s at 127.0.0.1:1"),
        "{log}"
    );
}

fn a_missing_topic_is_78_and_named() {
    let deployment = Deployment::new(shared(), 1);
    for topic in [
        &deployment.raw,
        &deployment.public,
        &deployment.restricted,
        &deployment.rejected,
    ] {
        deployment.config("");
        let wrong = format!("{topic}-typo");
        deployment.edit("cdrveil.toml", &format!("\"{topic}\""), &format!("\"{wrong}\""));
        let mut daemon = deployment.start();
        let status = daemon.wait(PATIENCE);
        let log = daemon.log();
        assert_eq!(status.code(), Some(78), "{log}");
        assert!(
            log.contains(&format!("topic \"{wrong}\" does not exist")),
            "{log}"
        );
    }
}

fn of_two_live_instances_of_one_name_one_stops_and_says_so() {
    let broker = shared();
    let deployment = Deployment::new(broker, PARTITIONS);
    let feeder = Feeder::start(broker, &deployment.raw, PARTITIONS, 2_000);
    let mut twins = [deployment.start(), deployment.start()];
    let deadline = Instant::now() + PATIENCE;
    let stopped = loop {
        if let Some(index) = twins.iter_mut().position(Daemon::ended) {
            break index;
        }
        assert!(
            Instant::now() < deadline,
            "both live on\n{}\n---\n{}",
            twins[0].log(),
            twins[1].log()
        );
        thread::sleep(Duration::from_millis(50));
    };
    let [mut first, mut second] = twins;
    let (ended, living) = if stopped == 0 {
        (&mut first, &mut second)
    } else {
        (&mut second, &mut first)
    };
    let status = ended.wait(PATIENCE);
    assert!(!status.success(), "{}", ended.log());
    assert!(
        ended.log().contains("another live instance"),
        "{status}\n{}",
        ended.log()
    );
    let fed = feeder.finish();
    await_done(broker, &deployment, &fed, &[living]);
    assert!(!living.ended(), "{}", living.log());
    println!("two of one name: {:?}", exactly_once(broker, &deployment, &fed));
}

/// What the public topic takes: less than one record, more than a batch of the others.
const PUBLIC_TAKES: &str = "700000";

/// A raw topic that takes large messages, and what a rejected topic takes at most.
fn poisoned(guarantee: &str, rejected_takes: &str) -> Deployment {
    let broker = shared();
    let mut deployment = Deployment::new(broker, 1);
    deployment.raw = unique("raw-large");
    deployment.public = unique("public-small");
    deployment.rejected = unique("rejected-as-said");
    let large = ("max.message.bytes", "4000000");
    broker.create_topic(&deployment.raw, 1, &[large]);
    broker.create_topic(&deployment.public, 1, &[("max.message.bytes", PUBLIC_TAKES)]);
    broker.create_topic(&deployment.rejected, 1, &[("max.message.bytes", rejected_takes)]);
    deployment.config_as(
        "cdrveil.toml",
        "0",
        &format!("lanes = 1\nguarantee = \"{guarantee}\""),
        "",
    );
    deployment
}

const GOOD: usize = 6_000;
/// Where among them the large one comes.
const BAD_AT: usize = 3_333;

/// Feeds, runs, and returns what was rejected, after everything else arrived once and the daemon went on.
fn run_poisoned(deployment: &Deployment) -> (support::kafka::Rec, Vec<serde_json::Value>, usize) {
    let broker = shared();
    let row = |number: usize, kind: &str| {
        format!("c-{number},{kind},+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,")
    };
    let noise = data_encoding::BASE64URL_NOPAD.encode(&support::member::incompressible(600_000));
    let values = (0..=GOOD).map(|number| match number {
        BAD_AT => row(number, &noise),
        _ => row(number, "voice"),
    });
    let inputs = values.map(|value| Input {
        value: Some(value.into_bytes()),
        ..Input::default()
    });
    broker.produce_all(&deployment.raw, inputs);
    let daemon = deployment.start();
    let began = Instant::now();
    await_done(broker, deployment, &[GOOD as i64 + 1], &[&daemon]);
    println!("found in {:.1?}", began.elapsed());
    // It goes on with what comes later.
    deployment.produce(broker, 1, [row(GOOD + 1, "voice").into_bytes()]);
    await_done(broker, deployment, &[GOOD as i64 + 2], &[&daemon]);
    let blamed = daemon.metric("cdrveil_output_failures_total{output=\"public\"}");
    assert!(
        blamed.is_some_and(|times| times > 0.0),
        "{blamed:?}: {}",
        daemon.log()
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        totals(&log),
        [GOOD as u64 + 2, GOOD as u64 + 1, 1, 0, GOOD as u64 + 1],
        "{log}"
    );

    let mut rejected = broker.read_all(&deployment.rejected, Isolation::Committed);
    assert_eq!(rejected.len(), 1);
    let record = rejected.remove(0);
    let reason = ("cdrveil-reason".to_owned(), b"poison".to_vec());
    assert!(record.headers.contains(&reason), "{:?}", record.headers);
    let id = format!("{}/0/{BAD_AT}", deployment.raw);
    assert_eq!(record.key.as_deref(), Some(id.as_bytes()));
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    (record, deployment.open(&deployment.rejected), public.len())
}

fn a_record_the_public_topic_refuses_is_rejected_alone() {
    let deployment = poisoned("exactly-once", "4000000");
    let (record, opened, public) = run_poisoned(&deployment);
    assert_eq!(public, GOOD + 1);
    assert!(
        record.value.unwrap().len() > 800_000,
        "the raw record is sealed in it"
    );
    assert_eq!(opened.len(), 1);
}

fn a_record_the_rejected_topic_refuses_too_is_named_there() {
    let deployment = poisoned("exactly-once", "700000");
    let (record, opened, public) = run_poisoned(&deployment);
    assert_eq!(public, GOOD + 1);
    assert!(record.value.unwrap().len() < 1_000, "only its place");
    assert_eq!(opened.len(), 1);
}

fn a_record_no_topic_takes_leaves_at_least_once_going() {
    let deployment = poisoned("at-least-once", "700000");
    let (_, _, public) = run_poisoned(&deployment);
    assert!(public > GOOD, "{public}");
}

/// A topic's limit is held against whole batches: good records were refused for their company.
fn batches_are_no_larger_than_the_outputs_take() {
    let broker = shared();
    let mut deployment = Deployment::new(broker, 1);
    deployment.restricted = unique("restricted-small");
    broker.create_topic(&deployment.restricted, 1, &[("max.message.bytes", "20000")]);
    deployment.config("");
    let row = |number: usize| {
        format!("c-{number},voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,")
    };
    deployment.produce(broker, 1, (0..GOOD).map(|number| row(number).into_bytes()));
    let daemon = deployment.start();
    await_done(broker, &deployment, &[GOOD as i64], &[&daemon]);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        totals(&log),
        [GOOD as u64, GOOD as u64, 0, 0, GOOD as u64],
        "{log}"
    );
    assert!(!log.contains("refuses a record"), "{log}");
}

fn rows(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Vec<u8>> {
    numbers.map(|number| {
        format!("c-{number},voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,")
            .into_bytes()
    })
}

fn lost(daemon: &Daemon, deployment: &Deployment) -> Option<f64> {
    let series = format!(
        "cdrveil_lost_offsets_total{{topic=\"{}\",partition=\"0\"}}",
        deployment.raw
    );
    daemon.metric(&series)
}

/// First while the daemon is away and more comes, then while it runs and nothing does.
fn what_retention_deleted_unread_is_counted_and_the_rest_goes_on() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.produce(broker, 1, rows(0..100));
    deployment.rebuild_register();
    set_offset(broker, &deployment.group, &deployment.raw, 20);
    delete_records(broker, &deployment.raw, 50);
    let daemon = deployment.start();
    await_done(broker, &deployment, &[100], &[&daemon]);
    assert_eq!(lost(&daemon, &deployment), Some(30.0));
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(totals(&log)[0], 50, "{log}");
    assert!(log.contains("retention deleted records"), "{log}");

    deployment.produce(broker, 1, rows(100..110));
    delete_records(broker, &deployment.raw, 110);
    let daemon = deployment.start();
    daemon.await_log("retention deleted records", PATIENCE);
    assert_eq!(lost(&daemon, &deployment), Some(10.0));
    deployment.produce(broker, 1, rows(110..111));
    await_done(broker, &deployment, &[111], &[&daemon]);
    assert_eq!(lost(&daemon, &deployment), Some(10.0), "told once");
    let (_, log) = daemon.stop();
    assert_eq!(totals(&log)[0], 1, "{log}");
}

/// Reading would begin at the start again, and everything below the committed offset be taken for read.
fn a_topic_cut_below_the_committed_offset_stops_the_daemon() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.produce(broker, 1, rows(0..10));
    deployment.rebuild_register();
    set_offset(broker, &deployment.group, &deployment.raw, 1_000);
    let mut daemon = deployment.start();
    let status = daemon.wait(PATIENCE);
    let log = daemon.log();
    assert_eq!(status.code(), Some(70), "{log}");
    let said = format!(
        "{}/0 has begun again: offset 0 came where 1000 was next",
        deployment.raw
    );
    assert!(log.contains(&said), "{log}");
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    assert_eq!(public.len(), 0);
}

/// The running daemon may or may not be told in time; the broker forgets the group's offsets with the topic.
fn a_topic_made_anew_is_read_from_its_start() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.produce(broker, 1, rows(0..20));
    let mut daemon = deployment.start();
    await_done(broker, &deployment, &[20], &[&daemon]);
    delete_topic(broker, &deployment.raw);
    broker.create_topic(&deployment.raw, 1, &[]);
    deployment.produce(broker, 1, rows(20..30));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let public = broker.read_all(&deployment.public, Isolation::Committed).len();
        if public == 30 {
            break;
        }
        if daemon.ended() {
            let log = daemon.log();
            assert!(
                log.contains("/0 has begun again: offset 0 came where 20 was next"),
                "{log}"
            );
            daemon = deployment.start();
        }
        assert!(Instant::now() < deadline, "{public} of 30\n{}", daemon.log());
        thread::sleep(Duration::from_millis(100));
    }
}

/// A flipped bit on the broker's disk: librdkafka goes on behind the batch. In one run it is mended in time.
fn what_cannot_be_read_is_not_passed_over() {
    let broker = Broker::start();
    let deployment = Deployment::new(&broker, 1);
    for batch in 0..3 {
        deployment.produce(&broker, 1, rows(batch * 10..batch * 10 + 10));
    }
    flip_bit(&broker, &deployment.raw, "c-15,voice");
    let mut daemon = deployment.start();
    let status = daemon.wait(PATIENCE);
    let log = daemon.log();
    assert_eq!(status.code(), Some(70), "{log}");
    let said = format!("{}/0 cannot be read at offset 10, after 3 tries", deployment.raw);
    assert!(log.contains(&said), "{log}");
    await_done(&broker, &deployment, &[10], &[]);

    let daemon = deployment.start();
    daemon.await_log("fetching them again", PATIENCE);
    flip_bit(&broker, &deployment.raw, "b-15,voice");
    await_done(&broker, &deployment, &[30], &[&daemon]);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    assert_eq!(public.len(), 30, "none lost, none doubled\n{log}");
}

/// With a transaction open.
fn a_stop_is_heard_while_the_broker_is_away() {
    let broker = Broker::start();
    let deployment = Deployment::new(&broker, 1);
    let delivery = "lanes = 1\ncommit_interval = \"1s\"\ntransaction_timeout = \"3s\"";
    deployment.config_as("cdrveil.toml", "0", delivery, "");
    let feeder = Feeder::start(&broker, &deployment.raw, 1, 500);
    let daemon = deployment.start();
    await_progress(&daemon, "before");
    broker.pause();
    thread::sleep(Duration::from_millis(1_500));
    let began = Instant::now();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{status}\n{log}");
    println!("stopped {:.1?} after it was told", began.elapsed());
    broker.resume();
    let fed = feeder.finish();
    let daemon = deployment.start();
    await_done(&broker, &deployment, &fed, &[&daemon]);
    exactly_once(&broker, &deployment, &fed);
}

fn a_stop_is_heard_before_a_broker_answered() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.edit("cdrveil.toml", broker.bootstrap(), "127.0.0.1:1");
    let daemon = deployment.start();
    daemon.await_log("waiting for a broker", PATIENCE);
    let began = Instant::now();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{status}\n{log}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Its reject bore the same time, and was refused for it: the daemon stopped, at every start again.
fn a_record_whose_time_the_outputs_refuse_is_rejected_with_the_time_of_now() {
    let broker = shared();
    let mut deployment = Deployment::new(broker, 1);
    let hour = ("message.timestamp.before.max.ms", "3600000");
    for topic in [
        &mut deployment.public,
        &mut deployment.restricted,
        &mut deployment.rejected,
    ] {
        *topic = unique("young");
        broker.create_topic(topic, 1, &[hour]);
    }
    deployment.config("");
    let old = jiff::Timestamp::now().as_millisecond() - 7_200_000;
    deployment.produce(broker, 1, rows(0..40));
    let inputs = rows(40..41).map(|value| Input {
        value: Some(value),
        timestamp: Some(old),
        ..Input::default()
    });
    broker.produce_all(&deployment.raw, inputs);
    deployment.produce(broker, 1, rows(41..80));
    let daemon = deployment.start();
    await_done(broker, &deployment, &[80], &[&daemon]);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(totals(&log), [80, 79, 1, 0, 79], "{log}");
    assert!(
        log.contains("has message.timestamp.before.max.ms = 3600000, the raw topic"),
        "{log}"
    );
    let rejected = broker.read_all(&deployment.rejected, Isolation::Committed);
    assert!(rejected[0].timestamp.unwrap() > old + 3_600_000);
    let time = jiff::Timestamp::from_millisecond(old).unwrap().to_string();
    let header = ("cdrveil-time".to_owned(), time.into_bytes());
    assert!(rejected[0].headers.contains(&header), "{:?}", rejected[0].headers);
}

/// The broker's limit is 15 minutes, and so is ours: this broker's is lower.
fn a_transaction_timeout_the_brokers_refuse_is_78() {
    let deployment = Deployment::new(shared(), 1);
    deployment.config_as(
        "cdrveil.toml",
        "0",
        "lanes = 1\ntransaction_timeout = \"70s\"",
        "",
    );
    let mut daemon = deployment.start();
    let status = daemon.wait(PATIENCE);
    let log = daemon.log();
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(log.contains("raise their transaction.max.timeout.ms"), "{log}");
}
