//! The whole pipeline on a real broker, beside a bare copy through the same client in the same run.
//!
//! `cargo bench --bench pipeline` starts Apache Kafka (or takes the one of `CDRVEIL_TEST_KAFKA`), fills one raw
//! topic, and runs in turn, three times: a copy of every raw value to two outputs, which is what Kafka costs at least;
//! the same with values as large as cdrveil's; and the cdrveil daemon in both guarantees. One thread each. CPU is
//! the process's, all threads, from before its first poll to its last commit; the best run of each counts, as other
//! programs on the machine only ever add. `cargo bench --bench pipeline -- 200000 exactly` takes fewer records, and of
//! the jobs those with the word in their name.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a command that prints a table

mod records;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cdrveil::kafka::{
    Batch, Kafka, Outgoing, ProduceError, Rebalance, Sink, SinkMode, Source, TopicPartition,
};
use support::deployment::{Deployment, get};
use support::kafka::{Broker, Input, Jvm, unique};

const RECORDS: usize = 1_000_000;
const PARTITIONS: i32 = 4;
const ROUNDS: usize = 3;
/// The daemon's own defaults.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// What the daemon writes for a record of this bench: public row, envelope to one recipient.
const CDRVEIL_SIZES: [usize; 2] = [190, 350];
/// Of an envelope, the wrapped key at its front: equal within a batch, so that compression takes it nearly for free.
/// The rest is ciphertext, of which it takes nothing.
const WRAPPED_KEY: usize = 235;
/// How often the daemon is asked how far it is: each answer costs it CPU.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(600);
/// Tells the copy, which is this program again, what to do.
const COPY: &str = "CDRVEIL_BENCH_COPY";

fn main() {
    if let Ok(order) = std::env::var(COPY) {
        return copy(&order);
    }
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let records = asked.unwrap_or(RECORDS);
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return; // `cargo test --benches` only asks whether it starts
    }
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word.starts_with(char::is_alphabetic))
        .collect();
    let asked = |job: &Job| words.is_empty() || words.iter().any(|word| job.name().contains(word.as_str()));
    let jobs: Vec<Job> = Job::ALL.into_iter().filter(asked).collect();
    let broker = Broker::start_on(Jvm::Fast);
    let raw = broker.topic("raw", PARTITIONS);
    fill(&broker, &raw, records);
    let mut best: BTreeMap<Job, Run> = BTreeMap::new();
    for round in 0..ROUNDS {
        for job in jobs.iter().copied() {
            let run = job.run(&broker, &raw, records);
            println!("round {}: {}", round + 1, run.line(job, records));
            let kept = best.entry(job).or_insert(run);
            if run.cpu < kept.cpu {
                *kept = run;
            }
        }
    }
    table(&best, records);
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Copy,
    CopyLarge,
    ExactlyOnce,
    AtLeastOnce,
}

impl Job {
    const ALL: [Self; 4] = [Self::Copy, Self::CopyLarge, Self::ExactlyOnce, Self::AtLeastOnce];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "bare copy, transactions",
            Self::CopyLarge => "bare copy, cdrveil's sizes",
            Self::ExactlyOnce => "cdrveil, exactly-once",
            Self::AtLeastOnce => "cdrveil, at-least-once",
        }
    }

    fn run(self, broker: &Broker, raw: &str, records: usize) -> Run {
        match self {
            Self::Copy => copy_process(broker, raw, records, [0, 0]),
            Self::CopyLarge => copy_process(broker, raw, records, CDRVEIL_SIZES),
            Self::ExactlyOnce => daemon(broker, raw, records, "exactly-once"),
            Self::AtLeastOnce => daemon(broker, raw, records, "at-least-once"),
        }
    }
}

/// One run's figures.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// From the first record to the last commit.
    wall: Duration,
    cpu: Duration,
    peak_memory_kib: u64,
}

impl Run {
    fn micros(&self, records: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / records as f64
    }

    fn line(&self, job: Job, records: usize) -> String {
        format!(
            "{:<27} {:>9.0} records/s  {:>5.2} us CPU/record  {:>4} MiB peak",
            job.name(),
            records as f64 / self.wall.as_secs_f64(),
            self.micros(records),
            self.peak_memory_kib / 1024
        )
    }
}

fn table(best: &BTreeMap<Job, Run>, records: usize) {
    let floor = best.get(&Job::Copy).map_or(f64::NAN, |copy| copy.micros(records));
    println!(
        "\n{records} records, {PARTITIONS} partitions, one thread, the best of {ROUNDS} runs; {}",
        cpu_name()
    );
    println!(
        "| | records/s | us CPU per record | of the bare copy's records per CPU second | peak memory, MiB |"
    );
    println!("|---|---|---|---|---|");
    for (job, run) in best {
        println!(
            "| {} | {:.0} | {:.2} | {:.2} | {} |",
            job.name(),
            records as f64 / run.wall.as_secs_f64(),
            run.micros(records),
            floor / run.micros(records),
            run.peak_memory_kib / 1024
        );
    }
}

fn fill(broker: &Broker, raw: &str, records: usize) {
    let now = jiff::Timestamp::now().as_millisecond();
    let inputs = (0..records).map(|at| Input {
        partition: at as i32 % PARTITIONS,
        value: Some(records::csv(at % 1_000_000)),
        timestamp: Some(now),
        ..Input::default()
    });
    broker.produce_all(raw, inputs);
}

/// The real daemon, over the whole topic.
fn daemon(broker: &Broker, raw: &str, records: usize, guarantee: &str) -> Run {
    let mut deployment = Deployment::new(broker, PARTITIONS);
    raw.clone_into(&mut deployment.raw);
    deployment.policy(records::CSV_POLICY);
    let delivery = format!("lanes = 1\nguarantee = \"{guarantee}\"");
    deployment.config_as("cdrveil.toml", "0", &delivery, "");
    let daemon = deployment.start();
    let (address, pid) = (daemon.address(), daemon.pid().to_string());
    let start = cpu(&pid);
    let (mut first, deadline) = (None, Instant::now() + PATIENCE);
    let wall = loop {
        let (public, now) = (public_records(&address), Instant::now());
        assert!(now < deadline, "{public} of {records} records:\n{}", daemon.log());
        let (since, before) = *first.get_or_insert((now, public));
        if public >= records {
            // What was there at the first look does not count, nor the time it took.
            break (now - since).mul_f64(records as f64 / (records - before).max(1) as f64);
        }
        if public == 0 {
            first = None;
        }
        std::thread::sleep(LOOK);
    };
    let run = Run {
        wall,
        cpu: cpu(&pid).saturating_sub(start),
        peak_memory_kib: peak_memory_kib(&pid),
    };
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    run
}

/// Records in committed transactions.
fn public_records(address: &str) -> usize {
    let (_, page) = get(address, "/metrics");
    let lines = page.lines().filter(|line| {
        line.starts_with("cdrveil_records_written_total{") && line.contains("output=\"public\"")
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as usize
}

/// The copy in a process of its own, so that its CPU can be told from this one's.
fn copy_process(broker: &Broker, raw: &str, records: usize, sizes: [usize; 2]) -> Run {
    let outputs = [broker.topic("copy", PARTITIONS), broker.topic("copy", PARTITIONS)];
    let order = format!(
        "{} {raw} {} {} {} {records} {} {}",
        broker.bootstrap(),
        outputs[0],
        outputs[1],
        unique("copy"),
        sizes[0],
        sizes[1]
    );
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(COPY, order)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.next().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    let told: Vec<u64> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    Run {
        wall: Duration::from_micros(told[0]),
        cpu: Duration::from_micros(told[1]),
        peak_memory_kib: told[2],
    }
}

/// What the daemon does with Kafka, and nothing else: poll a batch, two keyed copies of each value, offsets and
/// records committed as one transaction every 100 ms.
fn copy(order: &str) {
    let order: Vec<&str> = order.split(' ').collect();
    let [bootstrap, raw, public, restricted, group, records, sizes @ ..] = order.as_slice() else {
        panic!("an order has eight words");
    };
    let records: usize = records.parse().unwrap();
    let sizes: Vec<usize> = sizes.iter().map(|size| size.parse().unwrap()).collect();
    let kafka = Kafka::plain(bootstrap, group, "0");
    let mut sink = Sink::connect(
        &kafka,
        SinkMode::Transactional {
            id: group,
            transaction_timeout: TRANSACTION_TIMEOUT,
        },
        &[public, restricted],
    )
    .unwrap();
    while sink.init_transactions(TRANSACTION_TIMEOUT).is_err() {}
    let mut source = Source::connect(&kafka, &[(*raw).to_owned()], None).unwrap();
    let (mut batch, mut copied) = (Batch::new(), 0);
    let mut next: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let (mut open, mut began): (Option<Instant>, Option<Instant>) = (None, None);
    let mut padding = Padding::new();
    let start = cpu("self");
    while copied < records || open.is_some() {
        let event = source.poll(&mut batch, Duration::from_millis(50)).unwrap();
        if let Some(event) = event {
            assert!(matches!(event, Rebalance::Assigned(_)));
            source.complete(&event).unwrap();
        }
        for message in batch.iter() {
            began.get_or_insert_with(Instant::now);
            open.get_or_insert_with(|| {
                sink.begin().unwrap();
                Instant::now()
            });
            let value = message.payload.unwrap();
            let mut key = *b"cdr.raw/0/12345678901234";
            key[16..].copy_from_slice(&message.offset.to_be_bytes());
            for (topic, &size) in sizes.iter().enumerate() {
                let value = if size == 0 {
                    value
                } else {
                    padding.padded(topic, value, size)
                };
                let record = Outgoing {
                    topic,
                    partition: message.partition,
                    timestamp: message.timestamp,
                    key: Some(&key),
                    value,
                    headers: &[],
                };
                while let Err(error) = sink.produce(&record) {
                    assert!(matches!(error, ProduceError::QueueFull), "{error}");
                    sink.poll(Duration::from_millis(1));
                }
            }
            let place = TopicPartition {
                topic: message.topic,
                partition: message.partition,
            };
            next.insert(place, message.offset + 1);
            copied += 1;
        }
        batch.clear();
        if open.is_some_and(|since| since.elapsed() >= COMMIT_INTERVAL || copied >= records) {
            let offsets: Vec<_> = next.iter().map(|(place, offset)| (*place, *offset)).collect();
            let group = source.group_metadata().unwrap();
            sink.send_offsets(&offsets, &group, TRANSACTION_TIMEOUT).unwrap();
            sink.commit(None).unwrap();
            open = None;
        }
    }
    let wall = began.unwrap().elapsed();
    println!(
        "{} {} {}",
        wall.as_micros(),
        cpu("self").saturating_sub(start).as_micros(),
        peak_memory_kib("self")
    );
    source.close(Duration::from_secs(5));
}

/// Makes values as large, and as hard to compress, as cdrveil's.
struct Padding {
    noise: Vec<u8>,
    at: usize,
    value: Vec<u8>,
}

impl Padding {
    fn new() -> Self {
        Self {
            // Far larger than what lz4 looks back on.
            noise: support::member::incompressible(1 << 20),
            at: 0,
            value: Vec::new(),
        }
    }

    /// For the public topic the value with something like tokens behind it, else an envelope.
    fn padded(&mut self, topic: usize, value: &[u8], size: usize) -> &[u8] {
        let front = if topic == 0 {
            value
        } else {
            &self.noise[..WRAPPED_KEY]
        };
        let more = size.saturating_sub(front.len());
        if self.at + more > self.noise.len() {
            self.at = 0;
        }
        self.value.clear();
        self.value.extend_from_slice(front);
        self.value.extend_from_slice(&self.noise[self.at..self.at + more]);
        self.at += more;
        &self.value
    }
}

/// User and system time of all threads of a process (proc(5), fields 14 and 15, in hundredths of a second).
fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    Duration::from_millis(10) * ticks.map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>()
}

fn peak_memory_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line
        .and_then(|line| line.split_once(": "))
        .map_or("", |(_, name)| name);
    format!(
        "{name}, {} cores",
        std::thread::available_parallelism().map_or(0, usize::from)
    )
}
