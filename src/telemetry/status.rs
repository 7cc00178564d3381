//! What `/api/v1/status` and `/readyz` say: plain values, serialised as they are.
//!
//! Counts, places (topic, partition, offset) and public key facts only; there
//! is no field here that could hold a record's content.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::history::History;
use super::summary::Summary;

/// One reading of both clocks, taken at the edge and passed in.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For ages and rates.
    pub monotonic: Instant,
    /// For times people read and for key windows.
    pub wall: SystemTime,
}

impl Now {
    /// Reads the clocks.
    pub fn read() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The same reading, later (or a test's clock moved on).
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self {
            monotonic: self.monotonic + time,
            wall: self.wall + time,
        }
    }

    pub(super) fn unix_millis(self) -> i64 {
        i64::try_from(
            self.wall
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis(),
        )
        .unwrap_or(i64::MAX)
    }
}

/// A point in time, serialised as RFC 3339 UTC; milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub i64);

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// Making its clients.
    Starting,
    /// Waiting for its first assignment.
    Joining,
    /// Polling, transforming, writing, committing.
    Running,
    /// No broker answers; it keeps trying.
    WaitingForBroker,
    /// Its producer is made again.
    RecreatingProducer,
    /// Ended.
    Stopped,
}

impl LaneState {
    /// All states, in label order.
    pub const ALL: [Self; 6] = [
        Self::Starting,
        Self::Joining,
        Self::Running,
        Self::WaitingForBroker,
        Self::RecreatingProducer,
        Self::Stopped,
    ];

    /// The word on metrics and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Running => "running",
            Self::WaitingForBroker => "waiting-for-broker",
            Self::RecreatingProducer => "recreating-producer",
            Self::Stopped => "stopped",
        }
    }
}

/// The facts of a keyring that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringFacts {
    /// Hash over ids, windows, key check values and statuses.
    pub fingerprint: String,
    /// Its epochs, oldest first.
    pub epochs: Vec<EpochFacts>,
}

impl KeyringFacts {
    /// The epoch whose key a call that starts at `at` is given.
    pub fn in_use(&self, at: UnixMillis) -> Option<&EpochFacts> {
        self.epochs.iter().find(|epoch| epoch.serves(at))
    }

    /// The first key to be used that is not used at `at` yet.
    pub fn next(&self, at: UnixMillis) -> Option<&EpochFacts> {
        let usable = |epoch: &&EpochFacts| epoch.activate_at > at && epoch.status != EpochStatus::Destroyed;
        self.epochs.iter().find(usable)
    }

    /// How many keys are in each state at `at`; every state has an entry.
    pub fn states(&self, at: UnixMillis) -> BTreeMap<&'static str, usize> {
        let mut states: BTreeMap<_, _> = EpochFacts::STATES.into_iter().map(|state| (state, 0)).collect();
        for epoch in &self.epochs {
            *states.entry(epoch.state(at)).or_default() += 1;
        }
        states
    }
}

/// What the register says of the keyring in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisterFacts {
    /// Epochs in which both agree.
    pub agreed: usize,
    /// Epochs that nobody has claimed yet, and tombstones of which it was not told.
    pub pending: usize,
    /// Epochs in which they contradict each other.
    pub refused: usize,
    /// Epochs whose key no lane has: the register speaks against it, or has no claim of it.
    pub withheld: Vec<String>,
    /// What the contradictions are, and what is wrong with the register itself.
    pub faults: Vec<String>,
}

/// The facts of one epoch that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochFacts {
    /// First part of every token.
    pub id: String,
    /// Begin of the window.
    pub activate_at: UnixMillis,
    /// End of the window, exclusive; none for the last one.
    pub until: Option<UnixMillis>,
    /// Key check value.
    pub kcv: String,
    /// What the keyring file says of the key.
    pub status: EpochStatus,
}

/// The status word of a key in the keyring file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochStatus {
    /// In order.
    Enabled,
    /// Known to others; still used for its window so that joins hold.
    Compromised,
    /// Gone.
    Destroyed,
}

impl EpochFacts {
    /// What [`Self::state`] may say.
    pub const STATES: [&'static str; 5] = ["pre-active", "active", "deactivated", "compromised", "destroyed"];

    /// The key's state at a time, in the words of NIST SP 800-57.
    pub fn state(&self, at: UnixMillis) -> &'static str {
        match self.status {
            EpochStatus::Compromised => "compromised",
            EpochStatus::Destroyed => "destroyed",
            EpochStatus::Enabled if at < self.activate_at => "pre-active",
            EpochStatus::Enabled if self.until.is_some_and(|until| until <= at) => "deactivated",
            EpochStatus::Enabled => "active",
        }
    }

    /// True when a call that starts at `at` would be given this key.
    pub fn serves(&self, at: UnixMillis) -> bool {
        self.status != EpochStatus::Destroyed
            && self.activate_at <= at
            && self.until.is_none_or(|until| at < until)
    }
}

/// Sums since the start; its `Display` is the last line of a clean stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Rows read.
    #[serde(rename = "in")]
    pub read: u64,
    /// Public records written.
    pub public: u64,
    /// Records refused.
    pub rejected: u64,
    /// Rows that are no records.
    pub skipped: u64,
    /// Restricted records written.
    pub restricted: u64,
}

impl Totals {
    /// What was added since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            read: self.read - earlier.read,
            public: self.public - earlier.public,
            rejected: self.rejected - earlier.rejected,
            skipped: self.skipped - earlier.skipped,
            restricted: self.restricted - earlier.restricted,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            read,
            public,
            rejected,
            skipped,
            restricted,
        } = self;
        write!(
            f,
            "in={read} public={public} rejected={rejected} skipped={skipped} restricted={restricted}"
        )
    }
}

/// One line of `/readyz?verbose`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyCheck {
    /// What is looked at: config, keyring, brokers, assignment, delivery, lanes, shutdown.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why not, or a fact worth showing; may be empty.
    pub detail: String,
}

impl fmt::Display for ReadyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, name) = (if self.ok { '+' } else { '-' }, self.name);
        match (self.ok, self.detail.as_str()) {
            (true, "") => write!(f, "[{sign}]{name} ok"),
            (true, detail) => write!(f, "[{sign}]{name} ok: {detail}"),
            (false, detail) => write!(f, "[{sign}]{name} {detail}"),
        }
    }
}

/// The whole of `/api/v1/status`. Members are added, never renamed, within v1.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The whole in one sentence.
    pub summary: Summary,
    /// Version of the program.
    pub version: &'static str,
    /// Pseudonymisation domain.
    pub domain: String,
    /// Delivery guarantee, in the word of the configuration.
    pub guarantee: String,
    /// When this picture was taken.
    pub time: UnixMillis,
    /// When the daemon started.
    pub started: UnixMillis,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Whether every check holds.
    pub ready: bool,
    /// The checks of `/readyz`.
    pub checks: Vec<ReadyCheck>,
    /// One entry per lane.
    pub lanes: Vec<LaneStatus>,
    /// Sums since the start.
    pub totals: Totals,
    /// `|read - public - rejected - skipped|` summed over partitions; 0.
    pub reconciliation_difference: u64,
    /// Records per second.
    pub rate: Rate,
    /// The last ten minutes, second by second.
    pub history: History,
    /// Rejections by reason, every reason of the closed list.
    pub rejected: Vec<RejectedStatus>,
    /// Skipped rows by reason, every reason of the closed list.
    pub skipped: Vec<SkippedStatus>,
    /// Transactions and what disturbed them.
    pub transactions: TransactionStatus,
    /// Keys in use.
    pub keyring: KeyringStatus,
    /// The rate deck and lists in use.
    pub deck: DeckStatus,
}

/// One lane.
#[derive(Debug, Clone, Serialize)]
pub struct LaneStatus {
    /// Its number.
    pub lane: usize,
    /// What it is doing.
    pub state: LaneState,
    /// Seconds since its last sign of life.
    pub heartbeat_seconds: f64,
    /// Time of its last commit.
    pub last_commit: Option<UnixMillis>,
    /// Partitions it holds.
    pub partitions: Vec<PartitionStatus>,
}

/// One assigned partition.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionStatus {
    /// Raw topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Next offset to be read after a restart; none before the first commit.
    pub committed_offset: Option<i64>,
    /// Offsets up to the high watermark; none while unknown.
    pub lag: Option<u64>,
}

/// Records per second over the last whole seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rate {
    /// Length of the window, at most ten seconds.
    pub window_seconds: u64,
    /// Rows read per second.
    pub in_per_second: f64,
    /// Public records per second.
    pub public_per_second: f64,
    /// Rejected records per second.
    pub rejected_per_second: f64,
}

/// One rejection reason.
#[derive(Debug, Clone, Serialize)]
pub struct RejectedStatus {
    /// Of the closed list.
    pub reason: &'static str,
    /// Records since the start.
    pub records: u64,
    /// Where the last one came from.
    pub last: Option<Place>,
    /// When it was committed.
    pub last_time: Option<UnixMillis>,
}

/// Where a raw record is; never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Raw topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Offset of the message.
    pub offset: i64,
}

/// One skip reason.
#[derive(Debug, Clone, Serialize)]
pub struct SkippedStatus {
    /// Of the closed list.
    pub reason: &'static str,
    /// Rows since the start.
    pub records: u64,
}

/// Transactions since the start.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct TransactionStatus {
    /// Committed (at-least-once: offset commits).
    pub committed: u64,
    /// Aborted and read again.
    pub aborted: u64,
    /// Producers made again.
    pub producer_recreations: u64,
    /// Changes of assignment.
    pub rebalances: u64,
}

/// The keyring in use.
#[derive(Debug, Clone, Serialize)]
pub struct KeyringStatus {
    /// Equal on all instances that agree.
    pub fingerprint: String,
    /// When it was loaded.
    pub loaded: UnixMillis,
    /// Whether the last load worked.
    pub last_reload_ok: bool,
    /// Why the last load was refused.
    pub last_reload_error: Option<String>,
    /// The epoch whose key calls of now get.
    pub in_use: Option<String>,
    /// The next key to be used.
    pub next: Option<NextKey>,
    /// How many keys are in each state, all states named.
    pub states: BTreeMap<&'static str, usize>,
    /// Its epochs, oldest first.
    pub epochs: Vec<EpochStatusLine>,
}

/// A key that is there before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextKey {
    /// First part of every token.
    pub id: String,
    /// Begin of its window.
    pub activate_at: UnixMillis,
}

/// The rate deck and lists in use.
#[derive(Debug, Clone, Serialize)]
pub struct DeckStatus {
    /// When they were loaded.
    pub loaded: UnixMillis,
    /// Prefixes of the deck before that the one in use lacks.
    pub lost_prefixes: usize,
    /// Whether the last load worked.
    pub last_reload_ok: bool,
    /// Why the last load was refused.
    pub last_reload_error: Option<String>,
    /// One entry per file that the policy names.
    pub lists: Vec<DeckFacts>,
}

/// What may be shown of the deck or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeckFacts {
    /// deck, own, payers, ports, emergency, voicemail, or `maps.<name>`.
    pub list: String,
    /// Equal on all instances that agree.
    pub fingerprint: String,
    /// Rows of the deck or map, numbers of a list.
    pub rows: usize,
}

/// One epoch of the keyring in use.
#[derive(Debug, Clone, Serialize)]
pub struct EpochStatusLine {
    /// First part of every token.
    pub id: String,
    /// pre-active, active, deactivated, compromised, destroyed.
    pub state: &'static str,
    /// Begin of the window.
    pub activate_at: UnixMillis,
    /// End of the window, exclusive.
    pub until: Option<UnixMillis>,
    /// Key check value.
    pub kcv: String,
    /// Public records made with it since the start.
    pub records: u64,
}
