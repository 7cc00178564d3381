//! The state behind metrics and status: one struct, behind one lock.
//!
//! Everything a batch changes is changed in one call, so whoever looks sees
//! books that balance. Here is what moves it; readers are in `read`.

mod decks;
mod lag;
mod read;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::PrometheusHandle;

use self::decks::Decks;
use self::lag::Held;
pub use self::lag::Position;
use super::counts::{LaneCounts, Output};
use super::history::{Ring, Standing};
use super::rate::Recent;
use super::series::{Buckets, Lasting, Sum};
use super::status::{KeyringFacts, LaneState, Now, Place, RegisterFacts, Totals, UnixMillis};
use super::{Setup, names};

/// As many epochs on each side of now have their series before their first record: a keyring of years must not be
/// hundreds of series.
const NEAR_EPOCHS: usize = 8;

/// The books of one input partition.
#[derive(Debug)]
struct Books {
    read: Sum,
    public: u64,
    rejected: u64,
    skipped: u64,
    lost: Counter,
}

impl Books {
    fn difference(&self) -> u64 {
        self.read
            .value()
            .abs_diff(self.public + self.rejected + self.skipped)
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    /// What the lane says it does.
    said: LaneState,
    /// Whether its reading is interrupted, which it will not notice to be over while it is idle.
    interrupted: bool,
    joined: bool,
    positions: BTreeMap<(usize, i32), Held>,
    last_commit: Option<UnixMillis>,
    /// Everything of before this time is out, in milliseconds since 1970: the newest record committed, or when
    /// nothing was left to read.
    through: Option<i64>,
    /// Since when records wait for a commit.
    open_since: Option<Instant>,
    /// Records in its producer's queue when its last commit began.
    queued: usize,
}

impl Lane {
    pub(super) fn state(&self) -> LaneState {
        if self.interrupted {
            LaneState::WaitingForBroker
        } else {
            self.said
        }
    }

    /// Records left in its partitions, as far as known; none where nothing is.
    fn lag(&self) -> Option<u64> {
        self.positions
            .values()
            .filter_map(Held::lag)
            .reduce(|sum, lag| sum + lag)
    }

    /// Of every partition: of one that is not known yet, nobody can say that nothing waits.
    fn is_caught_up(&self) -> bool {
        !self.positions.is_empty() && self.positions.values().all(Held::is_caught_up)
    }
}

#[derive(Debug)]
struct Rejected {
    records: Sum,
    last: Option<Place>,
    last_time: Option<UnixMillis>,
}

#[derive(Debug)]
struct Transactions {
    committed: Sum,
    aborted: Sum,
    producer_recreations: Sum,
    rebalances: Sum,
    /// By output, and those that no output is known of.
    output_failures: [Counter; 3],
    unknown_failures: Counter,
}

/// What was written to one output.
#[derive(Debug)]
struct Written {
    partitions: BTreeMap<i32, Counter>,
    bytes: Counter,
}

#[derive(Debug)]
pub(super) struct Board {
    setup: Setup,
    series: Lasting,
    started: Now,
    draining: bool,
    /// What the last probe of the brokers met.
    broker_fault: Option<String>,
    pub(super) lanes: Vec<Lane>,
    books: BTreeMap<(usize, i32), Books>,
    pub(super) totals: Totals,
    bytes_read: Counter,
    written: [Written; 3],
    rejected: BTreeMap<&'static str, Rejected>,
    skipped: BTreeMap<(&'static str, i32), Sum>,
    epochs: BTreeMap<Box<str>, Sum>,
    transactions: Transactions,
    pub(super) ages: Buckets,
    commit_seconds: Histogram,
    transform_seconds: Histogram,
    recent: Recent,
    history: Ring,
    keyring: Option<KeyringFacts>,
    keyring_loaded: UnixMillis,
    keyring_error: Option<String>,
    reloads_applied: Counter,
    reloads_refused: Counter,
    pub(super) register: Option<RegisterFacts>,
    pub(super) decks: Decks,
}

/// What moves the state.
impl Board {
    pub(super) fn new(setup: Setup, now: Now) -> Self {
        let lane = || Lane {
            said: LaneState::Starting,
            interrupted: false,
            joined: false,
            positions: BTreeMap::new(),
            last_commit: None,
            through: None,
            open_since: None,
            queued: 0,
        };
        let series = Lasting::default();
        let reloads = |outcome: &str| series.counter(&names::KEYRING_RELOADS, &[&outcome]);
        Self {
            started: now,
            draining: false,
            broker_fault: None,
            lanes: (0..setup.lanes).map(|_| lane()).collect(),
            books: BTreeMap::new(),
            totals: Totals::default(),
            bytes_read: series.counter(&names::BYTES_READ, &[]),
            written: Output::ALL.map(|output| Written {
                partitions: BTreeMap::new(),
                bytes: series.counter(&names::BYTES_WRITTEN, &[&output.as_str()]),
            }),
            rejected: setup
                .rejection_reasons
                .iter()
                .map(|&reason| (reason, Rejected::new(&series, reason)))
                .collect(),
            skipped: BTreeMap::new(),
            epochs: BTreeMap::new(),
            transactions: Transactions {
                committed: series.sum(&names::TRANSACTIONS, &[&"committed"]),
                aborted: series.sum(&names::TRANSACTIONS, &[&"aborted"]),
                producer_recreations: series.sum(&names::PRODUCER_RECREATIONS, &[]),
                rebalances: series.sum(&names::REBALANCES, &[]),
                output_failures: Output::ALL
                    .map(|output| series.counter(&names::OUTPUT_FAILURES, &[&output.as_str()])),
                unknown_failures: series.counter(&names::OUTPUT_FAILURES, &[&"unknown"]),
            },
            ages: Buckets::new(&names::RECORD_AGE),
            commit_seconds: series.histogram(&names::COMMIT_SECONDS),
            transform_seconds: series.histogram(&names::TRANSFORM_SECONDS),
            recent: Recent::default(),
            history: Ring::new(),
            keyring: None,
            keyring_loaded: UnixMillis(now.unix_millis()),
            keyring_error: None,
            reloads_applied: reloads("applied"),
            reloads_refused: reloads("refused"),
            register: None,
            decks: Decks::new(&series, now),
            series,
            setup,
        }
    }

    /// Renders and tidies what the board counted.
    pub(super) fn handle(&self) -> PrometheusHandle {
        self.series.handle()
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn lane_state(&mut self, lane: usize, state: LaneState) {
        let lane = &mut self.lanes[lane];
        lane.said = state;
        lane.interrupted = false;
        if state == LaneState::Stopped {
            lane.positions.clear();
            lane.open_since = None;
            lane.queued = 0;
        }
    }

    pub(super) fn interrupted(&mut self, lane: usize) {
        self.lanes[lane].interrupted = true;
    }

    pub(super) fn left(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        lane.joined = false;
        lane.said = LaneState::Joining;
    }

    pub(super) fn assigned(&mut self, lane: usize, partitions: &[(usize, i32)], now: Now) {
        self.transactions.rebalances.add(1);
        for &(topic, partition) in partitions {
            self.books(topic, partition);
            for output in Output::ALL {
                self.written(output, partition);
            }
            for reason in self.setup.skip_reasons {
                self.skipped(reason, partition);
            }
        }
        let lane = &mut self.lanes[lane];
        let former = std::mem::take(&mut lane.positions);
        lane.positions = partitions
            .iter()
            .map(|&(topic, partition)| {
                let kept = former.get(&(topic, partition)).copied();
                ((topic, partition), kept.unwrap_or_else(|| Held::new(now)))
            })
            .collect();
        lane.joined = true;
        lane.open_since = None;
    }

    pub(super) fn positions(&mut self, lane: usize, positions: &[Position], now: Now) {
        let held = &mut self.lanes[lane].positions;
        for position in positions {
            // A revoked partition's last word must not bring its lag back.
            if let Some(known) = held.get_mut(&(position.topic, position.partition)) {
                known.learn(position, now);
            }
        }
        let lane = &mut self.lanes[lane];
        if lane.is_caught_up() {
            lane.through = lane.through.max(Some(now.unix_millis()));
        }
        let (second, standing) = (self.second(now), self.standing());
        self.history.stand(second, standing);
    }

    fn standing(&self) -> Standing {
        let waiting = self.lanes.iter().filter(|lane| !lane.is_caught_up());
        Standing {
            lag: self
                .lanes
                .iter()
                .filter_map(Lane::lag)
                .reduce(|sum, lag| sum + lag),
            waiting_since: waiting
                .filter(|lane| lane.lag().is_some())
                .filter_map(|lane| lane.through)
                .min(),
        }
    }

    /// What a probe of the brokers met. It ends interruptions of reading; what a lane waits for itself, it ends itself.
    pub(super) fn brokers(&mut self, probe: Result<(), String>) {
        self.broker_fault = probe.err();
        if self.broker_fault.is_none() {
            for lane in &mut self.lanes {
                lane.interrupted = false;
            }
        }
    }

    pub(super) fn began(&mut self, lane: usize, now: Now) {
        self.lanes[lane].open_since.get_or_insert(now.monotonic);
    }

    pub(super) fn committed(
        &mut self,
        lane: usize,
        counts: &LaneCounts,
        ages: &Buckets,
        commit: Duration,
        now: Now,
    ) {
        let before = self.totals;
        let bytes = self.add_inputs(counts, now);
        self.ages.add(ages);
        for output in Output::ALL {
            let at = output as usize;
            self.written[at].bytes.increment(counts.bytes_written[at]);
            for (partition, &records) in counts.written[at].iter().enumerate() {
                if records > 0 {
                    self.written(output, partition as i32).increment(records);
                }
            }
        }
        for (id, records) in counts.epochs.iter().filter(|(_, records)| *records > 0) {
            self.epoch(id).add(*records);
        }
        for &time in &counts.transforms {
            self.transform_seconds.record(time);
        }
        self.commit_seconds.record(commit);
        self.transactions.committed.add(1);
        let lane = &mut self.lanes[lane];
        lane.last_commit = Some(UnixMillis(now.unix_millis()));
        lane.open_since = None;
        for input in counts.inputs.iter().filter(|input| input.messages > 0) {
            if let Some(held) = lane.positions.get_mut(&(input.topic, input.partition)) {
                held.committed(UnixMillis(input.timestamp));
            }
        }
        let newest = counts.newest();
        lane.through = lane.through.max(newest);
        let (second, added) = (self.second(now), self.totals.since(before));
        self.recent.add(second, added);
        let age = newest.map(|newest| now.unix_millis() - newest);
        self.history.add(second, added, bytes, age);
    }

    pub(super) fn aborted(&mut self) {
        self.transactions.aborted.add(1);
    }

    pub(super) fn lost(&mut self, topic: usize, partition: i32, offsets: u64) {
        self.books(topic, partition).lost.increment(offsets);
    }

    pub(super) fn output_failed(&mut self, output: Option<Output>) {
        let failures = &self.transactions.output_failures;
        output
            .map_or(&self.transactions.unknown_failures, |output| {
                &failures[output as usize]
            })
            .increment(1);
    }

    pub(super) fn producer_queue(&mut self, lane: usize, records: usize) {
        self.lanes[lane].queued = records;
    }

    pub(super) fn producer_recreated(&mut self) {
        self.transactions.producer_recreations.add(1);
    }

    /// The bytes they are.
    fn add_inputs(&mut self, counts: &LaneCounts, now: Now) -> u64 {
        let mut bytes = 0;
        for input in counts.inputs.iter().filter(|input| input.messages > 0) {
            let rejected: u64 = input.rejected.iter().map(|found| found.records).sum();
            let skipped: u64 = input.skipped.iter().map(|(_, rows)| rows).sum();
            let books = self.books(input.topic, input.partition);
            books.read.add(input.read);
            books.public += input.public;
            books.rejected += rejected;
            books.skipped += skipped;
            self.bytes_read.increment(input.bytes);
            bytes += input.bytes;
            self.totals.read += input.read;
            self.totals.public += input.public;
            self.totals.restricted += input.restricted;
            self.totals.rejected += rejected;
            self.totals.skipped += skipped;
            for rejections in &input.rejected {
                let last = Place {
                    topic: self
                        .setup
                        .raw_topics
                        .get(input.topic)
                        .cloned()
                        .unwrap_or_default(),
                    partition: input.partition,
                    offset: rejections.last_offset,
                };
                let reason = self.rejected(rejections.reason);
                reason.records.add(rejections.records);
                reason.last = Some(last);
                reason.last_time = Some(UnixMillis(now.unix_millis()));
            }
            for &(reason, rows) in &input.skipped {
                self.skipped(reason, input.partition).add(rows);
            }
        }
        bytes
    }

    fn second(&self, now: Now) -> u64 {
        now.monotonic
            .saturating_duration_since(self.started.monotonic)
            .as_secs()
    }

    pub(super) fn keyring_loaded(&mut self, facts: KeyringFacts, now: Now) {
        let begun = facts
            .epochs
            .partition_point(|epoch| epoch.activate_at.0 <= now.unix_millis());
        let near = begun.saturating_sub(NEAR_EPOCHS)..facts.epochs.len().min(begun + NEAR_EPOCHS);
        for epoch in &facts.epochs[near] {
            self.epoch(&epoch.id);
        }
        if self.keyring.replace(facts).is_some() {
            self.reloads_applied.increment(1);
        }
        self.keyring_loaded = UnixMillis(now.unix_millis());
        self.keyring_error = None;
    }

    pub(super) fn keyring_refused(&mut self, error: String) {
        self.reloads_refused.increment(1);
        self.keyring_error = Some(error);
    }
}

/// Entries, made with their series where they are new.
impl Board {
    fn books(&mut self, topic: usize, partition: i32) -> &mut Books {
        let name = self.setup.raw_topics.get(topic).map_or("?", String::as_str);
        self.books.entry((topic, partition)).or_insert_with(|| Books {
            read: self.series.sum(&names::RECORDS_READ, &[&name, &partition]),
            public: 0,
            rejected: 0,
            skipped: 0,
            lost: self.series.counter(&names::LOST_OFFSETS, &[&name, &partition]),
        })
    }

    fn written(&mut self, output: Output, partition: i32) -> &Counter {
        let labels: [&dyn Display; 2] = [&output.as_str(), &partition];
        self.written[output as usize]
            .partitions
            .entry(partition)
            .or_insert_with(|| self.series.counter(&names::RECORDS_WRITTEN, &labels))
    }

    fn rejected(&mut self, reason: &'static str) -> &mut Rejected {
        self.rejected
            .entry(reason)
            .or_insert_with(|| Rejected::new(&self.series, reason))
    }

    fn skipped(&mut self, reason: &'static str, partition: i32) -> &mut Sum {
        self.skipped
            .entry((reason, partition))
            .or_insert_with(|| self.series.sum(&names::RECORDS_SKIPPED, &[&reason, &partition]))
    }

    fn epoch(&mut self, id: &str) -> &mut Sum {
        // Looked up by reference first: this runs at every commit and an entry would cost a copy.
        if !self.epochs.contains_key(id) {
            let sum = self.series.sum(&names::EPOCH_RECORDS, &[&id]);
            self.epochs.insert(id.into(), sum);
        }
        self.epochs.get_mut(id).expect("inserted just above")
    }
}

impl Rejected {
    fn new(series: &Lasting, reason: &str) -> Self {
        Self {
            records: series.sum(&names::RECORDS_REJECTED, &[&reason]),
            last: None,
            last_time: None,
        }
    }
}
