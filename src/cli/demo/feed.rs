//! The demo's calls onto a topic: the embedded broker's, or that of real brokers with `--produce-to`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::TOPICS;
use super::calls::Calls;
use crate::cli::run::first;
use crate::cli::{Exit, complain};
use crate::daemon::is_unavailable;
use crate::kafka::cluster::{self, Presence};
use crate::kafka::{Kafka, KafkaError, Outgoing, ProduceError, Sink, SinkMode};

/// How long brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes calls for a daemon of its own, until the time is up or a signal comes.
pub(super) fn run(brokers: &str, rate: u32, seconds: Option<u64>) -> Exit {
    let kafka = Kafka::plain(brokers, "cdrveil-demo", "generator");
    let raw = TOPICS[0];
    let partitions = match cluster::find(&kafka, &[raw], PATIENCE).map(|found| found[0].presence) {
        Ok(Presence::Partitions(partitions)) => partitions,
        Ok(Presence::Missing | Presence::Denied) => {
            complain(format!("there is no topic {raw} at {brokers}: make it first"));
            return Exit::Config;
        }
        Err(error) => return failed(brokers, &error),
    };
    let sink = match Sink::connect(&kafka, SinkMode::AtLeastOnce, &[raw]) {
        Ok(sink) => sink,
        Err(error) => return failed(brokers, &error),
    };
    complain(format!("{rate} calls per second onto {raw} at {brokers}"));
    let stop = Arc::new(AtomicBool::new(false));
    let thread = thread::spawn({
        let stop = Arc::clone(&stop);
        move || generate(sink, partitions, rate, &stop)
    });
    let waited = wait(seconds);
    stop.store(true, Ordering::Relaxed);
    let _ = thread.join();
    match waited {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(error);
            Exit::Internal
        }
    }
}

fn failed(brokers: &str, error: &KafkaError) -> Exit {
    complain(format!("{brokers}: {error}"));
    if is_unavailable(error) {
        Exit::Unavailable
    } else {
        Exit::Internal
    }
}

fn wait(seconds: Option<u64>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let time = async {
            match seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = first(&mut terminate, &mut interrupt) => {}
        }
        Ok(())
    })
}

/// Produces calls at an even rate until told to stop.
pub(super) fn generate(mut sink: Sink, partitions: i32, rate: u32, stop: &AtomicBool) {
    let mut calls = Calls::new();
    let began = Instant::now();
    let mut made = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        let now = Timestamp::now();
        while made < due {
            let row = calls.row(now);
            let record = Outgoing {
                topic: 0,
                partition: (made % partitions as u64) as i32,
                timestamp: Some(now.as_millisecond()),
                key: None,
                value: row.as_bytes(),
                headers: &[],
            };
            match sink.produce(&record) {
                Ok(()) => made += 1,
                Err(ProduceError::QueueFull) => sink.poll(Duration::from_millis(10)),
                Err(error) => return tracing::error!(%error, "the generator stops"),
            }
        }
        sink.poll(Duration::from_millis(5));
    }
    let _ = sink.flush(Duration::from_secs(2));
}
