//! Counts every record through the daemon: fed with a known number per partition, read back with a
//! read_committed reader, each record id counted once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::deployment::{Daemon, Deployment};
use super::kafka::{Broker, Isolation, Rec};

/// Every so many records one is cut off, so that the rejected topic takes part.
const CUT_EVERY: u64 = 97;
/// How long everything may take to arrive once the faults are over.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A record that is accepted, or rejected when it is its turn to be cut.
fn row(number: u64) -> String {
    if number % CUT_EVERY == CUT_EVERY - 1 {
        return format!("c-{number},voice,+447700900001");
    }
    let (from, to) = (number % 1_000, number / 7 % 1_000);
    format!(
        "c-{number},voice,+447700900{from:03},07700 900{to:03},234150000000001,1234,2026-11-05 09:15:00,42,"
    )
}

/// Feeds a raw topic at a steady rate on a thread of its own, until told to stop.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Vec<i64>>>,
}

impl Feeder {
    pub fn start(broker: &Broker, topic: &str, partitions: i32, per_second: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, topic, bootstrap) = (Arc::clone(&stop), topic.to_owned(), broker.bootstrap().to_owned());
        let thread = thread::spawn(move || feed(&bootstrap, &topic, partitions, per_second, &flag));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops, waits for the last acknowledgement; how many records each partition got.
    pub fn finish(mut self) -> Vec<i64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn feed(bootstrap: &str, topic: &str, partitions: i32, per_second: u64, stop: &AtomicBool) -> Vec<i64> {
    const TICK: Duration = Duration::from_millis(20);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("reconnect.backoff.max.ms", "500")
        .set("message.timeout.ms", "120000")
        .create()
        .unwrap();
    let mut counts = vec![0; partitions as usize];
    let (mut number, began) = (0_u64, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let due = began.elapsed().as_millis() as u64 * per_second / 1_000;
        // A broker that is away lets the queue fill: what does not fit is fed later.
        while number < due && producer.in_flight_count() < 50_000 {
            let partition = number % partitions as u64;
            let value = row(number);
            let record = BaseRecord::<(), str>::to(topic)
                .partition(partition as i32)
                .payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            counts[partition as usize] += 1;
            number += 1;
        }
        producer.poll(TICK);
    }
    producer.flush(PATIENCE).unwrap();
    counts
}

/// What came out.
#[derive(Debug)]
pub struct Tally {
    pub fed: usize,
    pub public: usize,
    pub rejected: usize,
    pub restricted: usize,
    /// Public records a read_uncommitted reader sees beside the committed ones.
    pub aborted: usize,
    /// Records that arrived more than once; only at-least-once may have any.
    pub doubled: usize,
}

/// Waits until the group has committed all that was fed.
pub fn await_done(broker: &Broker, deployment: &Deployment, fed: &[i64], daemons: &[&Daemon]) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", &deployment.group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..fed.len() {
        list.add_partition(&deployment.raw, partition as i32);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = consumer.committed_offsets(list.clone(), Duration::from_secs(10));
        let at: Vec<i64> = found.map_or_else(
            |_| Vec::new(),
            |found| found.elements().iter().map(offset).collect(),
        );
        if at == fed {
            return;
        }
        if Instant::now() > deadline {
            let logs: Vec<String> = daemons.iter().map(|daemon| daemon.log()).collect();
            panic!(
                "committed {at:?} of {fed:?} within {PATIENCE:?}\n{}",
                logs.join("\n---\n")
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn offset(element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> i64 {
    match element.offset() {
        Offset::Offset(offset) => offset,
        _ => 0,
    }
}

/// Reads all outputs and asserts: nothing lost, nothing doubled, order kept, restricted and public 1:1.
pub fn exactly_once(broker: &Broker, deployment: &Deployment, fed: &[i64]) -> Tally {
    let tally = read_back(broker, deployment, fed, Repeats::Never);
    assert_eq!(tally.doubled, 0, "{tally:?}");
    tally
}

/// As [`exactly_once`], but a record may arrive again.
pub fn at_least_once(broker: &Broker, deployment: &Deployment, fed: &[i64]) -> Tally {
    read_back(broker, deployment, fed, Repeats::Allowed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Never,
    Allowed,
}

fn read_back(broker: &Broker, deployment: &Deployment, fed: &[i64], repeats: Repeats) -> Tally {
    let total: usize = fed.iter().map(|&count| count as usize).sum();
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    let rejected = broker.read_all(&deployment.rejected, Isolation::Committed);
    let restricted = broker.read_all(&deployment.restricted, Isolation::Committed);
    let uncommitted = broker.read_all(&deployment.public, Isolation::Uncommitted).len();

    let ids = |records: &[Rec], id: fn(&Rec) -> String| -> Vec<(i32, i64)> {
        let place = |record| place_of(&id(record), &deployment.raw, record);
        records.iter().map(place).collect()
    };
    let (public_ids, rejected_ids, restricted_ids) = (
        ids(&public, column_id),
        ids(&rejected, key_id),
        ids(&restricted, key_id),
    );
    for (name, ids) in [
        ("public", &public_ids),
        ("rejected", &rejected_ids),
        ("restricted", &restricted_ids),
    ] {
        if repeats == Repeats::Never {
            assert_order(name, ids);
        }
    }

    let mut seen: BTreeMap<(i32, i64), u32> = BTreeMap::new();
    for &id in public_ids.iter().chain(&rejected_ids) {
        *seen.entry(id).or_default() += 1;
    }
    let lost: Vec<_> = fed
        .iter()
        .enumerate()
        .flat_map(|(partition, &count)| (0..count).map(move |offset| (partition as i32, offset)))
        .filter(|id| !seen.contains_key(id))
        .collect();
    let doubled: Vec<_> = seen.iter().filter(|&(_, &times)| times > 1).collect();
    let tally = Tally {
        fed: total,
        public: public.len(),
        rejected: rejected.len(),
        restricted: restricted.len(),
        aborted: uncommitted - public.len(),
        doubled: doubled.len(),
    };
    let some = |ids: &[(i32, i64)]| format!("{:?} .. {:?}", ids.first(), ids.last());
    assert!(lost.is_empty(), "{} lost, {}; {tally:?}", lost.len(), some(&lost));
    assert_eq!(seen.len(), total, "records that were never fed; {tally:?}");
    if repeats == Repeats::Never {
        assert!(
            doubled.is_empty(),
            "{} doubled, first {:?}; {tally:?}",
            doubled.len(),
            doubled[0]
        );
        assert_eq!(
            sorted(public_ids),
            sorted(restricted_ids),
            "restricted and public differ"
        );
    }
    tally
}

/// Within a partition in the order of the raw topic: output partition = input partition.
fn assert_order(name: &str, ids: &[(i32, i64)]) {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for &(partition, offset) in ids {
        let before = last.insert(partition, offset);
        assert!(
            before.is_none_or(|before| before < offset),
            "{name}/{partition}: {offset} comes after {before:?}"
        );
    }
}

fn sorted(mut ids: Vec<(i32, i64)>) -> Vec<(i32, i64)> {
    ids.sort_unstable();
    ids
}

/// `record_id` is the last column.
fn column_id(record: &Rec) -> String {
    record.text().rsplit(',').next().unwrap().to_owned()
}

fn key_id(record: &Rec) -> String {
    String::from_utf8(record.key.clone().unwrap()).unwrap()
}

fn place_of(id: &str, raw: &str, record: &Rec) -> (i32, i64) {
    let parts: Vec<&str> = id.split('/').collect();
    assert_eq!((parts.len(), parts[0]), (3, raw), "{id}");
    let partition = parts[1].parse().unwrap();
    assert_eq!(partition, record.partition, "{id} in another partition");
    (partition, parts[2].parse().unwrap())
}
