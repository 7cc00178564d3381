//! What those who run the daemon rely on: the service manager's words, rolling restarts, short starts and stops,
//! and that the compose file's services do what they are there for.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // what a run showed

#[path = "operation/compose.rs"]
mod compose;
#[path = "operation/service_manager.rs"]
mod service_manager;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use compose::the_compose_file_s_services_do_their_work;
use service_manager::{
    a_start_without_a_broker_is_told_and_may_take_its_time, the_service_manager_hears_of_every_step,
};
use support::deployment::{Daemon, Deployment, totals};
use support::kafka::shared;
use support::ledger::{Feeder, await_done, exactly_once};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// From the start of the process to its first committed transaction, on a broker that is ready.
const FIRST_RECORD: Duration = Duration::from_secs(3);
/// From TERM to the end of the process, in the middle of the work.
const STOP: Duration = Duration::from_secs(5);

fn main() {
    tests![
        the_service_manager_hears_of_every_step,
        a_start_without_a_broker_is_told_and_may_take_its_time,
        a_rolling_restart_moves_no_partition_of_others,
        starts_and_stops_under_load_are_short_and_lose_nothing,
        partitions_that_were_never_written_are_not_behind,
        the_compose_file_s_services_do_their_work,
    ]
}

/// Static membership: whoever comes back within the session timeout finds its partitions as it left them.
fn a_rolling_restart_moves_no_partition_of_others() {
    let broker = shared();
    let deployment = Deployment::new(broker, PARTITIONS);
    for name in ["a", "b"] {
        let file = format!("{name}.toml");
        deployment.config_as(&file, name, "lanes = 1", "");
        // As long as librdkafka's own default, which the harness shortens.
        deployment.edit(
            &file,
            "\"session.timeout.ms\" = 6000",
            "\"session.timeout.ms\" = 45000",
        );
    }
    let feeder = Feeder::start(broker, &deployment.raw, PARTITIONS, 2_000);
    let mut a = deployment.start_as("a.toml", &[]);
    let mut b = deployment.start_as("b.toml", &[]);
    await_shares(&a, &b);
    for round in 0..2 {
        for instance in ["a", "b"] {
            let (moved, stays) = if instance == "a" {
                (&mut a, &b)
            } else {
                (&mut b, &a)
            };
            let before = rebalances(stays);
            assert!(before >= Some(1.0), "{before:?}");
            let began = Instant::now();
            moved.signal(15);
            let status = moved.wait(PATIENCE);
            assert!(status.success(), "{}", moved.log());
            *moved = deployment.start_as(&format!("{instance}.toml"), &[]);
            await_read(moved);
            assert_eq!(
                rebalances(stays),
                before,
                "round {round}, {instance}:\n{}",
                stays.log()
            );
            assert_eq!(stays.metric("cdrveil_assigned_partitions"), Some(2.0));
            assert_eq!(moved.metric("cdrveil_assigned_partitions"), Some(2.0));
            println!("round {round}: {instance} was away for {:.1?}", began.elapsed());
        }
    }
    let fed = feeder.finish();
    await_done(broker, &deployment, &fed, &[&a, &b]);
    for daemon in [a, b] {
        let (status, log) = daemon.stop();
        assert!(status.success(), "{log}");
    }
    println!("4 restarts: {:?}", exactly_once(broker, &deployment, &fed));
}

fn rebalances(daemon: &Daemon) -> Option<f64> {
    daemon.metric("cdrveil_rebalances_total")
}

fn await_shares(a: &Daemon, b: &Daemon) {
    let deadline = Instant::now() + PATIENCE;
    while [a, b].map(|daemon| daemon.metric("cdrveil_assigned_partitions")) != [Some(2.0); 2] {
        assert!(Instant::now() < deadline, "{}\n---\n{}", a.log(), b.log());
        thread::sleep(Duration::from_millis(50));
    }
    await_read(a);
    await_read(b);
}

/// Waits until a daemon has committed records; whatever the group had to settle is settled then.
fn await_read(daemon: &Daemon) {
    let deadline = Instant::now() + PATIENCE;
    while committed(daemon) == 0.0 {
        assert!(Instant::now() < deadline, "{}", daemon.log());
        thread::sleep(Duration::from_millis(20));
    }
}

fn committed(daemon: &Daemon) -> f64 {
    daemon
        .metric("cdrveil_transactions_total{outcome=\"committed\"}")
        .unwrap()
}

/// The start's bound holds for the best of the rounds, since others use the machine; the stop's for each of them.
fn starts_and_stops_under_load_are_short_and_lose_nothing() {
    let broker = shared();
    let deployment = Deployment::new(broker, PARTITIONS);
    let feeder = Feeder::start(broker, &deployment.raw, PARTITIONS, 10_000);
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let began = Instant::now();
        let mut daemon = deployment.start();
        await_read(&daemon);
        starts.push(began.elapsed());
        // Some more, so that the stop comes in the middle of the stream.
        let some = committed(&daemon) + 3.0;
        while committed(&daemon) < some {
            assert!(began.elapsed() < PATIENCE, "{}", daemon.log());
        }
        let began = Instant::now();
        daemon.signal(15);
        let status = daemon.wait(PATIENCE);
        stops.push(began.elapsed());
        let log = daemon.log();
        assert!(status.success(), "{log}");
        let [read, public, rejected, skipped, restricted] = totals(&log);
        assert!(
            read > 0 && read == public + rejected + skipped && public == restricted,
            "{log}"
        );
    }
    println!("first committed record after {starts:.2?}; TERM to the end {stops:.2?}");
    assert!(starts.iter().any(|start| *start < FIRST_RECORD), "{starts:?}");
    assert!(stops.iter().all(|stop| *stop < STOP), "{stops:?}");
    let fed = feeder.finish();
    let daemon = deployment.start();
    await_done(broker, &deployment, &fed, &[&daemon]);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    println!("3 stops: {:?}", exactly_once(broker, &deployment, &fed));
}

/// A new deployment without traffic, or new partitions that no key leads to: nothing there is worth a page.
fn partitions_that_were_never_written_are_not_behind() {
    let broker = shared();
    let deployment = Deployment::new(broker, PARTITIONS);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let of = |partition: i32, metric: &str| {
        let topic = &deployment.raw;
        daemon.metric(&format!(
            "{metric}{{topic=\"{topic}\",partition=\"{partition}\"}}"
        ))
    };
    let behind = |partition| {
        let metrics = ["cdrveil_lag_seconds", "cdrveil_lag_records"];
        metrics.map(|metric| of(partition, metric))
    };
    let await_none = || {
        let deadline = Instant::now() + PATIENCE;
        while (0..PARTITIONS).any(|partition| behind(partition) != [Some(0.0); 2]) {
            assert!(
                Instant::now() < deadline,
                "{:?}",
                (0..PARTITIONS).map(behind).collect::<Vec<_>>()
            );
            thread::sleep(Duration::from_millis(100));
        }
    };
    await_none();
    // One of them is written now; the others stay as they are.
    let row = "c-1,voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,";
    deployment.produce(broker, 1, [row.as_bytes().to_vec()]);
    deployment.await_public(broker, 1, PATIENCE);
    await_none();
}
