//! What operators see: metrics, status, readiness, log set-up.
//!
//! Lanes count into a [`LaneCounts`] of their own and hand it over when its
//! transaction is committed; that one call moves metrics and status together,
//! so the books balance in every scrape. A heartbeat is one atomic store.
//! Clocks are read at the edge and passed in as [`Now`].

mod board;
mod counts;
mod history;
pub mod log;
pub mod names;
mod rate;
mod series;
mod status;
mod summary;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use self::board::Board;
use self::series::{Buckets, Scrape};

pub use self::board::Position;
pub use self::counts::{LaneCounts, Output};
pub use self::history::{History, Millis};
pub use self::status::{
    DeckFacts, DeckStatus, EpochFacts, EpochStatus, EpochStatusLine, KeyringFacts, KeyringStatus, LaneState,
    LaneStatus, NextKey, Now, PartitionStatus, Place, Rate, ReadyCheck, RegisterFacts, RejectedStatus,
    SkippedStatus, Status, Totals, TransactionStatus, UnixMillis,
};
pub use self::summary::{Level, State, Summary, grouped, span};

/// The program's version, from its manifest.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A lane without a sign of life for this long is taken for dead.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);

/// What is known before the first record.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Pseudonymisation domain.
    pub domain: String,
    /// Delivery guarantee, in the word of the configuration.
    pub guarantee: String,
    /// Number of lanes.
    pub lanes: usize,
    /// Raw topics, in the order their indices mean everywhere else.
    pub raw_topics: Vec<String>,
    /// The closed list of rejection reasons.
    pub rejection_reasons: &'static [&'static str],
    /// The closed list of skip reasons.
    pub skip_reasons: &'static [&'static str],
}

/// The handle everybody shares; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    board: Mutex<Board>,
    /// The board's counters and histograms as text; asked while the board is locked.
    pages: PrometheusHandle,
    started: Now,
    /// Milliseconds after the start of each lane's last sign of life.
    beats: Vec<AtomicU64>,
}

/// For lanes and the daemon. A lane is its number, below [`Setup::lanes`].
impl Telemetry {
    /// Everything at zero, every lane starting, no keyring yet.
    pub fn new(setup: Setup, now: Now) -> Self {
        let beats = (0..setup.lanes).map(|_| AtomicU64::new(0)).collect();
        let board = Board::new(setup, now);
        Self(Arc::new(Shared {
            pages: board.handle(),
            started: now,
            beats,
            board: Mutex::new(board),
        }))
    }

    /// A lane's sign of life: at least every few seconds, also while it waits for a broker.
    pub fn beat(&self, lane: usize, now: Now) {
        self.0.beats[lane].store(self.0.millis(now), Ordering::Relaxed);
    }

    /// What the lane does now.
    pub fn lane_state(&self, lane: usize, state: LaneState) {
        self.board().lane_state(lane, state);
    }

    /// Reading is interrupted, until something is read or a probe finds a broker: an idle lane notices nothing.
    pub fn interrupted(&self, lane: usize) {
        self.board().interrupted(lane);
    }

    /// The lane's whole assignment after a rebalance, as (topic index, partition); may be empty.
    ///
    /// Series of new partitions appear at 0, the lag of those gone disappears.
    pub fn assigned(&self, lane: usize, partitions: &[(usize, i32)], now: Now) {
        self.board().assigned(lane, partitions, now);
    }

    /// The lane lost its place in the group, and its partitions with it: it joins again.
    pub fn left(&self, lane: usize) {
        self.board().left(lane);
    }

    /// Committed offsets and high watermarks, after a commit or once a second while nothing is open; unknown
    /// parts keep their last value, partitions not assigned are ignored.
    pub fn positions(&self, lane: usize, positions: &[Position], now: Now) {
        self.board().positions(lane, positions, now);
    }

    /// Records wait for a commit from now on: a transaction begins. Later calls before the next
    /// commit change nothing.
    pub fn began(&self, lane: usize, now: Now) {
        self.board().began(lane, now);
    }

    /// The lane's transaction (at-least-once: its offsets) is committed; `commit` is how long that
    /// took. The caller clears the counts afterwards.
    pub fn committed(&self, lane: usize, counts: &LaneCounts, commit: Duration, now: Now) {
        // Before the lock: a lane may have read records of a hundred thousand different times.
        let mut ages = Buckets::new(&names::RECORD_AGE);
        for run in counts.times() {
            let age = now.unix_millis().saturating_sub(run.timestamp).max(0);
            ages.observe(age as f64 / 1000.0, run.rows);
        }
        self.board().committed(lane, counts, &ages, commit, now);
    }

    /// A transaction was aborted; its records will be read again. The caller clears the counts.
    pub fn aborted(&self) {
        self.board().aborted();
    }

    /// Retention deleted so many offsets of a raw partition before they were read.
    pub fn lost(&self, topic: usize, partition: i32, offsets: u64) {
        self.board().lost(topic, partition, offsets);
    }

    /// What a probe of the brokers met: for lanes that are idle.
    pub fn brokers(&self, probe: Result<(), String>) {
        self.board().brokers(probe);
    }

    /// A lane gave up what it was writing; `output` is the one whose topic the error names, if it names one.
    pub fn output_failed(&self, output: Option<Output>) {
        self.board().output_failed(output);
    }

    /// Records in a lane's producer queue as a commit begins.
    pub fn producer_queue(&self, lane: usize, records: usize) {
        self.board().producer_queue(lane, records);
    }

    /// A lane made its producer again.
    pub fn producer_recreated(&self) {
        self.board().producer_recreated();
    }

    /// A keyring is in use: at the start (not counted as a reload) or after a reload.
    pub fn keyring_loaded(&self, facts: KeyringFacts, now: Now) {
        self.board().keyring_loaded(facts, now);
    }

    /// A reload was refused and the former keyring kept; `error` is shown in the status.
    pub fn keyring_refused(&self, error: impl Into<String>) {
        self.board().keyring_refused(error.into());
    }

    /// What the register says of the keyring in use; never called where there is none.
    pub fn register(&self, facts: RegisterFacts) {
        self.board().register = Some(facts);
    }

    /// Deck and lists are in use: at the start (not counted as a reload) or after a reload.
    /// `lost`: prefixes of the former deck that this one lacks.
    pub fn deck_loaded(&self, facts: Vec<DeckFacts>, lost: usize, now: Now) {
        self.board().decks.loaded(facts, lost, now);
    }

    /// What is shown of the deck and lists in use is this now; nothing was loaded.
    pub fn deck_facts(&self, facts: Vec<DeckFacts>) {
        self.board().decks.show(facts);
    }

    /// A reload was refused and the former deck and lists kept; `error` is shown in the status.
    pub fn deck_refused(&self, error: impl Into<String>) {
        self.board().decks.refused(error.into());
    }

    /// The daemon drains: not ready from now on.
    pub fn drain(&self) {
        self.board().drain();
    }
}

/// For the HTTP room, the demo and the last log line.
impl Telemetry {
    /// Sums since the start.
    pub fn totals(&self) -> Totals {
        self.board().totals
    }

    /// The checks of `/readyz`, always all of them, in a fixed order.
    pub fn checks(&self, now: Now) -> Vec<ReadyCheck> {
        self.board().checks(now)
    }

    /// The first lane that gave no sign of life for 30 s and has not stopped, with its silence.
    pub fn silent_lane(&self, now: Now) -> Option<(usize, Duration)> {
        let ages = self.0.ages(now);
        let board = self.board();
        ages.into_iter()
            .enumerate()
            .find(|&(lane, age)| age > HEARTBEAT_LIMIT && board.lanes[lane].state() != LaneState::Stopped)
    }

    /// The whole picture of `/api/v1/status`.
    pub fn status(&self, now: Now) -> Status {
        let ages = self.0.ages(now);
        self.board().status(&ages, now)
    }

    /// The page of `/metrics`: Prometheus text format 0.0.4, families and series in order.
    pub fn metrics(&self, now: Now) -> String {
        let scrape = Scrape::begin();
        // Held until the text is there: a commit between two families would unbalance the books.
        let board = self.board();
        board.show(&scrape, now);
        scrape.render(&self.0.pages, &board.ages)
    }

    /// Files the histograms' samples into their buckets; without it they pile up between scrapes.
    /// To be called every few seconds.
    pub fn upkeep(&self) {
        self.0.pages.run_upkeep();
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Counts stay true if a thread died while it held the lock: they are plain sums.
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn millis(&self, now: Now) -> u64 {
        now.monotonic
            .saturating_duration_since(self.started.monotonic)
            .as_millis() as u64
    }

    fn ages(&self, now: Now) -> Vec<Duration> {
        let now = self.millis(now);
        self.beats
            .iter()
            .map(|beat| Duration::from_millis(now.saturating_sub(beat.load(Ordering::Relaxed))))
            .collect()
    }
}

#[cfg(test)]
mod tests;
