//! A key's whole life, as `docs/keys.md` has it, on three instances under load: nobody restarts, every record arrives
//! once, and each has the token that its call's time means.
//!
//! The phases are functions of [`Rotation`], in the order of [`main`]'s one test; whatever comes between the boundary
//! and the old key's end is one more of them. Tokens are made a second time by `support::oracle`, from the construction
//! alone; keys come from the files that `keys new` wrote.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::deployment::{Daemon, Deployment, totals};
use support::kafka::{Broker, Input, Isolation, Reader, Rec, shared};
use support::oracle::{self, Epoch, Scope};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;
/// Configuration file and `[kafka] instance` of each.
const INSTANCES: [(&str, &str); 3] = [("cdrveil.toml", "0"), ("second.toml", "1"), ("third.toml", "2")];
/// Between two records.
const PACE: Duration = Duration::from_millis(2);
/// From the edit to the boundary: time for every instance to notice it. It must be more than `max_future`.
const AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// `[epochs] overlap`: so long after the boundary, calls have the first key's token beside their own.
const OVERLAP: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);
/// How far back the first window goes, and late records with it.
const BACK: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

const POLICY: &str = "[input]\nformat = \"csv\"\ncolumns = [\"id\", \"caller\", \"start\"]\nmax_future = \"1s\"\n\
    time = { field = \"start\", format = \"unix_ms\" }\n[numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\n\
    start = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n";

fn main() {
    tests![a_key_is_added_passed_and_destroyed_under_load_on_three_instances]
}

fn a_key_is_added_passed_and_destroyed_under_load_on_three_instances() {
    let broker = shared();
    let rotation = Rotation::begin(broker);
    let born = rotation.births();
    let load = Load::new(rotation.start_of_first);
    thread::scope(|scope| {
        let running = Stopping(&load);
        scope.spawn(|| broker.produce_all(&rotation.deployment.raw, load.records()));
        rotation.every_instance_writes("first", 100.0);
        let boundary = rotation.add_the_next_key();
        load.boundary.store(boundary, Ordering::Relaxed);
        rotation.every_instance_writes("second", 300.0);
        load.await_calls_from(boundary + OVERLAP.as_millis() as i64);
        let before = load.turn_to(Phase::Destroying);
        rotation.await_public_of(before);
        rotation.destroy_the_old_key();
        load.turn_to(Phase::Destroyed);
        rotation.every_instance_refuses(20.0);
        drop(running);
    });
    let sent = load.sent.into_inner().unwrap().records;
    rotation.check_records(&sent, load.boundary.load(Ordering::Relaxed));
    rotation.check_agreement();
    assert_eq!(rotation.births(), born, "nobody restarted");
    rotation.stop(sent.len());
}

/// What the old key's end means for records of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// They are written.
    Kept,
    /// Either: instances learn of it one after the other.
    Destroying,
    /// They are rejected.
    Destroyed,
}

/// A call that was sent: its place in the list is its id.
struct Sent {
    start: i64,
    phase: Phase,
}

struct Log {
    records: Vec<Sent>,
    phase: Phase,
}

/// Calls whose times advance with the clock, every fourth of them late, and some on the boundary itself.
struct Load {
    start_of_first: i64,
    /// First event time of the second key; until it is known, far away.
    boundary: AtomicI64,
    sent: Mutex<Log>,
    stopped: AtomicBool,
}

/// Ends the load when dropped, also by a failed assertion: the scope waits for its thread.
struct Stopping<'a>(&'a Load);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

impl Load {
    fn new(start_of_first: i64) -> Self {
        Self {
            start_of_first,
            boundary: AtomicI64::new(i64::MAX),
            sent: Mutex::new(Log {
                records: Vec::new(),
                phase: Phase::Kept,
            }),
            stopped: AtomicBool::new(false),
        }
    }

    /// How many records were sent before.
    fn turn_to(&self, phase: Phase) -> usize {
        let mut log = self.sent.lock().unwrap();
        log.phase = phase;
        log.records.len()
    }

    /// Until a hundred calls were sent that began then or later.
    fn await_calls_from(&self, start: i64) {
        let deadline = Instant::now() + PATIENCE;
        let sent = || {
            let log = self.sent.lock().unwrap();
            log.records.iter().filter(|call| call.start >= start).count()
        };
        while sent() < 100 {
            assert!(Instant::now() < deadline, "{} calls", sent());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn records(&self) -> impl Iterator<Item = Input> {
        std::iter::from_fn(|| {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            thread::sleep(PACE); // a steady load rather than a flood
            let now = jiff::Timestamp::now().as_millisecond();
            let mut log = self.sent.lock().unwrap();
            let (id, phase) = (log.records.len(), log.phase);
            let start = self.start_of(id, now);
            log.records.push(Sent { start, phase });
            Some(Input {
                // Sixteen at a time: every partition gets all sorts.
                partition: (id / 16) as i32 % PARTITIONS,
                value: Some(format!("{id},+{},{start}", number(id)).into_bytes()),
                timestamp: Some(now),
                ..Input::default()
            })
        })
    }

    fn start_of(&self, id: usize, now: i64) -> i64 {
        let boundary = self.boundary.load(Ordering::Relaxed);
        match id % 16 {
            // The last instant of the first window and the first one of the second, once they are there.
            1 if now >= boundary => boundary - 1,
            2 if now >= boundary => boundary,
            // Late, by up to an hour, in the first window.
            3 | 7 | 11 | 15 => self.start_of_first + id as i64 * 7_919 % 3_600_000,
            _ => now,
        }
    }
}

fn number(id: usize) -> String {
    format!("447700900{:03}", id * 31 % 1_000)
}

struct Rotation<'a> {
    broker: &'a Broker,
    deployment: Deployment,
    daemons: [Daemon; 3],
    start_of_first: i64,
    /// The first key's file as it was: it will be wiped.
    first_key: String,
}

impl<'a> Rotation<'a> {
    /// One key, three instances, each with partitions.
    fn begin(broker: &'a Broker) -> Self {
        let deployment = Deployment::new(broker, PARTITIONS);
        deployment.policy(POLICY);
        fs::remove_file(deployment.path("keyring.toml")).unwrap();
        let start = instant(-BACK);
        let block = new_key(&deployment, "keyring.toml", "first", start);
        let epochs = format!("\n[epochs]\noverlap = \"{}s\"\n", OVERLAP.as_secs());
        fs::write(deployment.path("keyring.toml"), block + &epochs).unwrap();
        let first_key = key_in(&deployment, "first.key");
        for (file, instance) in INSTANCES {
            deployment.config_as(file, instance, "lanes = 1", "");
        }
        let daemons = INSTANCES.map(|(file, _)| deployment.start_as(file, &[]));
        for daemon in &daemons {
            daemon.await_ready(PATIENCE);
        }
        let rotation = Self {
            broker,
            deployment,
            daemons,
            start_of_first: start.as_millisecond(),
            first_key,
        };
        rotation.await_all("cdrveil_assigned_partitions", 2.0);
        rotation
    }

    /// As `docs/keys.md` says; returns when the new key's window begins. All instances know it before.
    fn add_the_next_key(&self) -> i64 {
        let deployment = &self.deployment;
        let path = |name| deployment.path(name);
        fs::copy(path("keyring.toml"), path("new.toml")).unwrap();
        let begins = instant(AHEAD);
        let block = new_key(deployment, "new.toml", "second", begins);
        let text = fs::read_to_string(path("new.toml")).unwrap();
        fs::write(path("new.toml"), text + &block).unwrap();
        let diff = ["keys", "diff", "keyring.toml", "new.toml", "--max-future", "1s"];
        succeed(deployment, &diff);
        fs::rename(path("new.toml"), path("keyring.toml")).unwrap();
        self.await_all("cdrveil_keyring_next_key", 1.0);
        self.await_all("cdrveil_register_epochs{state=\"agreed\"}", 2.0);
        assert!(
            jiff::Timestamp::now() < begins,
            "all instances have the key before it begins, with time to spare"
        );
        begins.as_millisecond()
    }

    fn destroy_the_old_key(&self) {
        let words = ["keys", "destroy", "first", "--keyring", "keyring.toml"];
        let told = succeed(
            &self.deployment,
            &[&words[..], &["--config", "cdrveil.toml", "--yes", "--force"]].concat(),
        );
        assert!(told.contains("told on"), "{told}");
        assert!(!self.deployment.path("first.key").exists());
        let destroyed = "cdrveil_keyring_keys{state=\"destroyed\"}";
        self.await_all(destroyed, 1.0);
        self.await_all("cdrveil_register_epochs{state=\"refused\"}", 0.0);
    }

    fn every_instance_writes(&self, epoch: &str, records: f64) {
        let series = format!("cdrveil_epoch_records_total{{epoch=\"{epoch}\"}}");
        self.await_each(&series, |found| found.is_some_and(|written| written >= records));
    }

    fn every_instance_refuses(&self, records: f64) {
        let series = "cdrveil_records_rejected_total{reason=\"epoch-too-old\"}";
        self.await_each(series, |found| found.is_some_and(|refused| refused >= records));
    }

    fn await_all(&self, series: &str, value: f64) {
        self.await_each(series, |found| found == Some(value));
    }

    fn await_each(&self, series: &str, wanted: impl Fn(Option<f64>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        for daemon in &self.daemons {
            loop {
                let value = daemon.metric(series);
                if wanted(value) {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "{series} is {value:?}:\n{}",
                    daemon.log()
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Until the records with the ids below are public.
    fn await_public_of(&self, ids: usize) {
        let mut reader = Reader::new(self.broker, &self.deployment.public, Isolation::Committed);
        let (mut records, mut arrived, mut looked) = (Vec::new(), 0, 0);
        let deadline = Instant::now() + PATIENCE;
        while arrived < ids {
            assert!(Instant::now() < deadline, "{arrived} of {ids} records are public");
            reader.read_to_end(&mut records);
            let new = records[looked..]
                .iter()
                .filter(|record| Public::of(record).id < ids);
            arrived += new.count();
            looked = records.len();
        }
    }

    /// Each record is there once, public with the right token or, once its key was destroyed, rejected and sealed.
    fn check_records(&self, sent: &[Sent], boundary: i64) {
        let deployment = &self.deployment;
        let mut public = Vec::new();
        let mut rejected = Vec::new();
        let mut readers = [&deployment.public, &deployment.rejected]
            .map(|topic| Reader::new(self.broker, topic, Isolation::Committed));
        let deadline = Instant::now() + PATIENCE;
        while public.len() + rejected.len() < sent.len() {
            let arrived = public.len() + rejected.len();
            assert!(Instant::now() < deadline, "{arrived} of {} arrived", sent.len());
            readers[0].read_to_end(&mut public);
            readers[1].read_to_end(&mut rejected);
        }
        let keys = [self.first_key.clone(), key_in(deployment, "second.key")];
        let epoch = |at: usize, id| Epoch {
            id,
            key_hex: &keys[at],
            domain: "billing",
        };
        let epochs = [epoch(0, "first"), epoch(1, "second")];
        let mut times = vec![0_u32; sent.len()];
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for record in &public {
            let Public {
                id,
                token,
                start,
                previous,
            } = Public::of(record);
            times[id] += 1;
            let call = &sent[id];
            assert_eq!(start, call.start, "record {id}");
            let at = usize::from(start >= boundary);
            assert_eq!(
                token,
                epochs[at].token("phone", Scope::Domain, &number(id)),
                "record {id}"
            );
            assert!(
                at == 1 || call.phase != Phase::Destroyed,
                "record {id}: its key is gone"
            );
            let overlapped = at == 1 && start < boundary + OVERLAP.as_millis() as i64;
            let beside = epochs[0].token("phone", Scope::Domain, &number(id));
            match call.phase {
                Phase::Kept if overlapped => assert_eq!(previous, beside, "record {id}"),
                Phase::Destroying if overlapped && !previous.is_empty() => {
                    assert_eq!(previous, beside, "record {id}");
                }
                _ => assert_eq!(previous, "", "record {id}"),
            }
            if !previous.is_empty() {
                *counts.entry(("first", "beside")).or_default() += 1;
            }
            let when = if start == boundary || start == boundary - 1 {
                "boundary"
            } else {
                "within"
            };
            *counts.entry((epochs[at].id, when)).or_default() += 1;
        }
        for record in &rejected {
            let sealed = record.value.as_ref().unwrap();
            let key = record.key.as_ref().unwrap();
            let opened = oracle::open(&deployment.identity, &deployment.rejected, key, sealed).unwrap();
            let (reason, raw) = opened.rejected();
            let raw = String::from_utf8(raw).unwrap();
            let id: usize = raw.split(',').next().unwrap().parse().unwrap();
            let call = &sent[id];
            times[id] += 1;
            assert_eq!(reason, "epoch-too-old", "record {id}");
            assert_eq!(raw, format!("{id},+{},{}", number(id), call.start));
            let overlapped = (boundary..boundary + OVERLAP.as_millis() as i64).contains(&call.start);
            // An instance may hear of the destruction from the register before it reads the tombstone, and cannot tell
            // what will stand in the file: then what would have carried the first key's token waits, too.
            let keyless = call.start < boundary || (overlapped && call.phase == Phase::Destroying);
            assert!(keyless && call.phase != Phase::Kept, "record {id} has a key");
            let number = number(id);
            let shown = sealed.windows(number.len()).any(|part| part == number.as_bytes());
            assert!(!shown, "record {id} is not sealed");
            *counts.entry(("first", "rejected")).or_default() += 1;
        }
        let wrong = times.iter().enumerate().find(|(_, times)| **times != 1);
        assert_eq!(wrong, None, "lost or doubled: record and how often");
        let kinds = [
            ("first", "within"),
            ("first", "boundary"),
            ("second", "within"),
            ("second", "boundary"),
            ("first", "rejected"),
            ("first", "beside"),
        ];
        for kind in kinds {
            assert!(
                counts.get(&kind).is_some_and(|count| *count >= 50),
                "{kind:?}: {counts:?}"
            );
        }
        eprintln!("{} records: {counts:?}", sent.len());
    }

    /// One fingerprint everywhere, the file's, and the register tells the whole story.
    fn check_agreement(&self) {
        let listed = succeed(
            &self.deployment,
            &["keys", "list", "--json", "--config", "cdrveil.toml"],
        );
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let series = format!("cdrveil_keyring_info{{fingerprint={}}} 1", listed["fingerprint"]);
        for daemon in &self.daemons {
            let (_, page) = daemon.get("/metrics");
            let shown: Vec<&str> = page
                .lines()
                .filter(|line| line.starts_with("cdrveil_keyring_info{"))
                .collect();
            assert_eq!(shown, [series.as_str()]);
            assert_eq!(daemon.get("/readyz").0, 200, "{}", daemon.log());
        }
        let told = |at: usize| {
            let key = &listed["keys"][at];
            (key["state"].as_str(), key["register"]["standing"].as_str())
        };
        assert_eq!(told(0), (Some("destroyed"), Some("destroyed")));
        assert_eq!(told(1), (Some("active"), Some("agreed")));
    }

    /// Process id and start time of each instance.
    fn births(&self) -> [(i32, String); 3] {
        self.daemons.each_ref().map(|daemon| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
            // The 22nd field (proc(5)); the second one, in brackets, may hold blanks.
            let fields = stat.rsplit(')').next().unwrap();
            let started = fields.split_whitespace().nth(19).unwrap();
            (daemon.pid(), started.to_owned())
        })
    }

    fn stop(self, sent: usize) {
        let mut sum = [0; 5];
        for daemon in self.daemons {
            let (status, log) = daemon.stop();
            assert!(status.success(), "{log}");
            for (sum, count) in sum.iter_mut().zip(totals(&log)) {
                *sum += count;
            }
        }
        let [read, public, rejected, skipped, _] = sum;
        assert_eq!((read, public + rejected, skipped), (sent as u64, sent as u64, 0));
    }
}

/// The columns of a public record.
struct Public<'a> {
    id: usize,
    token: &'a str,
    start: i64,
    /// Blank outside the overlap, and once the first key is destroyed.
    previous: &'a str,
}

impl<'a> Public<'a> {
    fn of(record: &'a Rec) -> Self {
        let text = std::str::from_utf8(record.value.as_ref().unwrap()).unwrap();
        let mut cells = text.split(',');
        let mut next = || cells.next().unwrap();
        Self {
            id: next().parse().unwrap(),
            token: next(),
            start: next().parse().unwrap(),
            // Behind the record id.
            previous: cells.nth(1).unwrap(),
        }
    }
}

fn instant(from_now: jiff::SignedDuration) -> jiff::Timestamp {
    let time = jiff::Timestamp::now() + from_now;
    time.round(jiff::Unit::Millisecond).unwrap()
}

/// `keys new`: writes the key's file and returns its block.
fn new_key(deployment: &Deployment, keyring: &str, id: &str, begins: jiff::Timestamp) -> String {
    let begins = begins.to_string();
    let words = ["keys", "new", "--keyring", keyring, "--dir", ".", "--id", id];
    succeed(deployment, &[&words[..], &["--activate-at", &begins]].concat())
}

fn key_in(deployment: &Deployment, file: &str) -> String {
    let text = fs::read_to_string(deployment.path(file)).unwrap();
    text.trim().to_owned()
}

/// Stdout of a verb that ends well.
fn succeed(deployment: &Deployment, words: &[&str]) -> String {
    let ran = deployment.verb(words);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{words:?}: {out}{said}");
    out
}
