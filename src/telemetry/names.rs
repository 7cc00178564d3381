//! Every metric of the program, once: name, kind, unit, labels, help.
//!
//! Names follow `cdrveil_<noun>_<unit>`, counters end in `_total`, label sets
//! are closed. They are an interface: dashboards and alerts break when one is
//! renamed, so a change needs a line in CHANGELOG.md (a test looks).
//! `docs/metrics.md` is written from here (`tests/documents.rs`).

/// What the number does over time, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// What a label says.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
}

/// The values of a label. None is ever taken from a record.
#[derive(Debug)]
pub enum Values {
    /// These words and no other.
    Words(&'static [&'static str]),
    /// The reasons for which a record is refused.
    Reasons,
    /// The reasons for which a row is no record.
    Skips,
    /// As many as the deployment has; in words, what they are.
    Open(&'static str),
}

/// One metric family.
#[derive(Debug)]
pub struct Metric {
    /// Full name, prefix and unit included.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What the number counts; `0 or 1` and `always 1` are units too.
    pub unit: &'static str,
    /// In the order the values are given.
    pub labels: &'static [Label],
    /// One sentence for the `# HELP` line.
    pub help: &'static str,
    /// A histogram's upper bounds, rising, in the unit of the name; empty for the others.
    pub buckets: &'static [f64],
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    labels: &'static [Label],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit,
        labels,
        help,
        buckets: &[],
    }
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    labels: &'static [Label],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        labels,
        help,
        buckets: &[],
    }
}

const fn histogram(name: &'static str, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[],
        help,
        buckets,
    }
}

const fn label(name: &'static str, values: Values) -> Label {
    Label { name, values }
}

const TOPIC: Label = label("topic", Values::Open("a raw topic"));
const PARTITION: Label = label("partition", Values::Open("a partition's number"));
const OUTPUT: Label = label("output", Values::Words(&["public", "restricted", "rejected"]));
const EPOCH: Label = label("epoch", Values::Open("a key's id in the keyring"));
const OUTCOME: Label = label("outcome", Values::Words(&["applied", "refused"]));
const FINGERPRINT: Label = label("fingerprint", Values::Open("a hash, in hexadecimal digits"));
const LIST: Label = label(
    "list",
    Values::Open("a key of `[numbers]` or the name of a map, as in the policy"),
);

/// Records taken in, by raw topic and partition.
pub static RECORDS_READ: Metric = counter(
    "cdrveil_records_read_total",
    "records",
    &[TOPIC, PARTITION],
    "Records read from the raw topics, counted when their transaction is committed.",
);
/// Records written, by output and output partition.
pub static RECORDS_WRITTEN: Metric = counter(
    "cdrveil_records_written_total",
    "records",
    &[OUTPUT, PARTITION],
    "Records written by output (public, restricted, rejected) and output partition, counted when committed.",
);
/// Rows that are not records, by reason and input partition.
pub static RECORDS_SKIPPED: Metric = counter(
    "cdrveil_records_skipped_total",
    "rows",
    &[label("reason", Values::Skips), PARTITION],
    "Header, comment and marker rows and tombstones, by reason and input partition, counted when committed.",
);
/// Rejections by reason.
pub static RECORDS_REJECTED: Metric = counter(
    "cdrveil_records_rejected_total",
    "records",
    &[label("reason", Values::Reasons)],
    "Records refused and sealed to the rejected topic, by reason, counted when committed.",
);
/// Offsets that retention deleted before they were read.
pub static LOST_OFFSETS: Metric = counter(
    "cdrveil_lost_offsets_total",
    "offsets",
    &[TOPIC, PARTITION],
    "Offsets of the raw topics deleted by retention before they were read, counted when noticed; anything but 0 is loss.",
);
/// Payload bytes taken in.
pub static BYTES_READ: Metric = counter(
    "cdrveil_bytes_read_total",
    "bytes",
    &[],
    "Payload bytes of the messages read, counted when committed.",
);
/// Payload bytes written, by output.
pub static BYTES_WRITTEN: Metric = counter(
    "cdrveil_bytes_written_total",
    "bytes",
    &[OUTPUT],
    "Payload bytes written by output, before compression, counted when committed.",
);
/// Records by the epoch whose key made their pseudonyms.
pub static EPOCH_RECORDS: Metric = counter(
    "cdrveil_epoch_records_total",
    "records",
    &[EPOCH],
    "Public records by the key epoch their pseudonyms were made with.",
);
/// Transactions by outcome.
pub static TRANSACTIONS: Metric = counter(
    "cdrveil_transactions_total",
    "transactions",
    &[label("outcome", Values::Words(&["committed", "aborted"]))],
    "Kafka transactions (at-least-once: offset commits) by outcome.",
);
/// Producers made again after an indefinite outcome.
pub static PRODUCER_RECREATIONS: Metric = counter(
    "cdrveil_producer_recreations_total",
    "producers",
    &[],
    "Producers destroyed and made again because an outcome was unknown or the producer was fenced.",
);
/// Writes that failed, by output.
pub static OUTPUT_FAILURES: Metric = counter(
    "cdrveil_output_failures_total",
    "failures",
    &[label(
        "output",
        Values::Words(&["public", "restricted", "rejected", "unknown"]),
    )],
    "Times a lane had to give up what it was writing and read it again, by the output whose topic the error names; unknown where it names none.",
);
/// Changes of assignment.
pub static REBALANCES: Metric = counter(
    "cdrveil_rebalances_total",
    "rebalances",
    &[],
    "Changes of a lane's partition assignment.",
);
/// Seconds from the start of a commit to the broker's answer.
pub static COMMIT_SECONDS: Metric = histogram(
    "cdrveil_commit_seconds",
    &[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
    ],
    "Seconds a transaction took to commit, flush included.",
);
/// Seconds of transform work per polled batch.
pub static TRANSFORM_SECONDS: Metric = histogram(
    "cdrveil_transform_seconds",
    &[
        0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0,
    ],
    "Seconds spent transforming one polled batch (up to about 1000 messages), not one record.",
);
/// How old records are when they are there.
pub static RECORD_AGE: Metric = histogram(
    "cdrveil_record_age_seconds",
    &[
        0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0,
    ],
    "Age of every record read, when its transaction is committed: the time of the commit less the raw message's Kafka timestamp.",
);
/// Records between our committed offset and the end of the partition.
pub static LAG: Metric = gauge(
    "cdrveil_lag_records",
    "offsets",
    &[TOPIC, PARTITION],
    "Offsets between the committed offset and the high watermark of an assigned partition, transaction markers included; absent when not assigned or not yet known.",
);
/// For how long what waits there has waited.
pub static LAG_SECONDS: Metric = gauge(
    "cdrveil_lag_seconds",
    "seconds",
    &[TOPIC, PARTITION],
    "How far an assigned partition is behind in time: 0 if all of it is read and committed, else the age of the record committed last, or the time since all of it was if that is less.",
);
/// What waits to be sent.
pub static PRODUCER_QUEUE: Metric = gauge(
    "cdrveil_producer_queue_records",
    "records",
    &[],
    "Records that the brokers had not acknowledged when each lane's last commit began, summed over lanes.",
);
/// Partitions this instance holds.
pub static ASSIGNED_PARTITIONS: Metric = gauge(
    "cdrveil_assigned_partitions",
    "partitions",
    &[],
    "Raw partitions assigned to this instance.",
);
/// Lanes by state.
pub static LANES: Metric = gauge(
    "cdrveil_lanes",
    "lanes",
    &[label(
        "state",
        Values::Words(&[
            "starting",
            "joining",
            "running",
            "waiting-for-broker",
            "recreating-producer",
            "stopped",
        ]),
    )],
    "Lanes of this instance by state; the sum is the configured number.",
);
/// Difference of the books; must be 0.
pub static RECONCILIATION: Metric = gauge(
    "cdrveil_reconciliation_difference_records",
    "records",
    &[],
    "Sum over partitions of |read - public - rejected - skipped|; anything but 0 is a defect.",
);
/// Which keyring is in use.
pub static KEYRING_INFO: Metric = gauge(
    "cdrveil_keyring_info",
    "always 1",
    &[FINGERPRINT],
    "Always 1; the label is the fingerprint of the keyring in use, equal on all instances that agree.",
);
/// Keys by state.
pub static KEYRING_KEYS: Metric = gauge(
    "cdrveil_keyring_keys",
    "keys",
    &[label(
        "state",
        Values::Words(&["pre-active", "active", "deactivated", "compromised", "destroyed"]),
    )],
    "Keys of the keyring in use by their state now, in the words of NIST SP 800-57; the sum is their number.",
);
/// Which key calls of now get.
pub static KEYRING_ACTIVE: Metric = gauge(
    "cdrveil_keyring_active_key_info",
    "always 1",
    &[EPOCH],
    "Always 1; the label is the epoch whose key calls of now get; absent when there is none.",
);
/// Whether the next key is there.
pub static KEYRING_NEXT: Metric = gauge(
    "cdrveil_keyring_next_key",
    "0 or 1",
    &[],
    "1 if a key that begins after now is in the keyring, else 0.",
);
/// When the next key begins.
pub static KEYRING_NEXT_TIME: Metric = gauge(
    "cdrveil_keyring_next_activation_timestamp_seconds",
    "Unix seconds",
    &[],
    "Unix time, as calls state theirs, from which the next key is used; absent when there is none.",
);
/// Whether the last keyring load worked.
pub static KEYRING_RELOAD_OK: Metric = gauge(
    "cdrveil_keyring_last_reload_successful",
    "0 or 1",
    &[],
    "1 if the last load of the keyring succeeded, 0 if it was refused and the former one is kept.",
);
/// When the keyring in use was loaded.
pub static KEYRING_RELOAD_TIME: Metric = gauge(
    "cdrveil_keyring_last_reload_success_timestamp_seconds",
    "Unix seconds",
    &[],
    "Unix time at which the keyring in use was loaded.",
);
/// Keyring loads by outcome.
pub static KEYRING_RELOADS: Metric = counter(
    "cdrveil_keyring_reloads_total",
    "reloads",
    &[OUTCOME],
    "Keyring reloads by outcome (applied, refused); the load at the start is not one.",
);
/// How epochs stand in the register.
pub static REGISTER_EPOCHS: Metric = gauge(
    "cdrveil_register_epochs",
    "epochs",
    &[label("state", Values::Words(&["agreed", "pending", "refused"]))],
    "Epochs by what the register says: agreed, pending (claimed before it begins; destroyed in the keyring alone), refused (it contradicts the keyring in use: no record gets such a key).",
);
/// Which deck and lists are in use.
pub static DECK_INFO: Metric = gauge(
    "cdrveil_deck_info",
    "always 1",
    &[LIST, FINGERPRINT],
    "Always 1; the fingerprint of the rate deck, list or map in use, equal on all instances that agree.",
);
/// How much there is in them.
pub static DECK_ROWS: Metric = gauge(
    "cdrveil_deck_rows",
    "rows",
    &[LIST],
    "Rows of the rate deck or map, numbers of the list in use.",
);
/// Prefixes that the deck in use lacks.
pub static DECK_LOST: Metric = gauge(
    "cdrveil_deck_lost_prefixes",
    "prefixes",
    &[],
    "Prefixes of the rate deck before the last reload that the one in use lacks; 0 after a start.",
);
/// Whether the last load of deck and lists worked.
pub static DECK_RELOAD_OK: Metric = gauge(
    "cdrveil_deck_last_reload_successful",
    "0 or 1",
    &[],
    "1 if the last load of the rate deck and lists succeeded, 0 if it was refused and the former ones are kept.",
);
/// When deck and lists were loaded.
pub static DECK_RELOAD_TIME: Metric = gauge(
    "cdrveil_deck_last_reload_success_timestamp_seconds",
    "Unix seconds",
    &[],
    "Unix time at which the rate deck and lists in use were loaded.",
);
/// Loads of deck and lists by outcome.
pub static DECK_RELOADS: Metric = counter(
    "cdrveil_deck_reloads_total",
    "reloads",
    &[OUTCOME],
    "Reloads of the rate deck and lists by outcome (applied, refused); the load at the start is not one.",
);
/// Whether every ready check holds.
pub static READY: Metric = gauge(
    "cdrveil_ready",
    "0 or 1",
    &[],
    "1 if every check of /readyz holds, else 0.",
);
/// Version.
pub static BUILD_INFO: Metric = gauge(
    "cdrveil_build_info",
    "always 1",
    &[label("version", Values::Open("the program's version"))],
    "Always 1; the label is the version of the program.",
);
/// CPU time (a standard name of Prometheus client libraries, as the next ones).
pub static PROCESS_CPU: Metric = counter(
    "process_cpu_seconds_total",
    "seconds",
    &[],
    "Total user and system CPU time spent in seconds.",
);
/// Open files.
pub static PROCESS_OPEN_FDS: Metric = gauge(
    "process_open_fds",
    "files",
    &[],
    "Number of open file descriptors.",
);
/// File limit.
pub static PROCESS_MAX_FDS: Metric = gauge(
    "process_max_fds",
    "files",
    &[],
    "Maximum number of open file descriptors.",
);
/// Address space.
pub static PROCESS_VIRTUAL: Metric = gauge(
    "process_virtual_memory_bytes",
    "bytes",
    &[],
    "Virtual memory size in bytes.",
);
/// Limit of the address space.
pub static PROCESS_VIRTUAL_MAX: Metric = gauge(
    "process_virtual_memory_max_bytes",
    "bytes",
    &[],
    "Maximum amount of virtual memory available in bytes.",
);
/// Resident memory.
pub static PROCESS_RESIDENT: Metric = gauge(
    "process_resident_memory_bytes",
    "bytes",
    &[],
    "Resident memory size in bytes.",
);
/// Start of the process.
pub static PROCESS_START: Metric = gauge(
    "process_start_time_seconds",
    "Unix seconds",
    &[],
    "Start time of the process since unix epoch in seconds.",
);
/// Threads.
pub static PROCESS_THREADS: Metric = gauge(
    "process_threads",
    "threads",
    &[],
    "Number of OS threads in the process.",
);

/// All of them.
pub static ALL: &[&Metric] = &[
    &BUILD_INFO,
    &READY,
    &LANES,
    &ASSIGNED_PARTITIONS,
    &RECORDS_READ,
    &RECORDS_WRITTEN,
    &RECORDS_SKIPPED,
    &RECORDS_REJECTED,
    &LOST_OFFSETS,
    &RECONCILIATION,
    &BYTES_READ,
    &BYTES_WRITTEN,
    &EPOCH_RECORDS,
    &TRANSACTIONS,
    &PRODUCER_RECREATIONS,
    &OUTPUT_FAILURES,
    &REBALANCES,
    &COMMIT_SECONDS,
    &TRANSFORM_SECONDS,
    &PRODUCER_QUEUE,
    &RECORD_AGE,
    &LAG,
    &LAG_SECONDS,
    &KEYRING_INFO,
    &KEYRING_KEYS,
    &KEYRING_ACTIVE,
    &KEYRING_NEXT,
    &KEYRING_NEXT_TIME,
    &KEYRING_RELOAD_OK,
    &KEYRING_RELOAD_TIME,
    &KEYRING_RELOADS,
    &REGISTER_EPOCHS,
    &DECK_INFO,
    &DECK_ROWS,
    &DECK_LOST,
    &DECK_RELOAD_OK,
    &DECK_RELOAD_TIME,
    &DECK_RELOADS,
    &PROCESS_CPU,
    &PROCESS_OPEN_FDS,
    &PROCESS_MAX_FDS,
    &PROCESS_VIRTUAL,
    &PROCESS_VIRTUAL_MAX,
    &PROCESS_RESIDENT,
    &PROCESS_START,
    &PROCESS_THREADS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention_and_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            assert!(
                name.starts_with("cdrveil_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
            assert_eq!(
                metric.kind == Kind::Histogram,
                !metric.buckets.is_empty(),
                "{name}"
            );
            assert!(metric.buckets.is_sorted(), "{name}");
        }
    }

    #[test]
    fn the_changelog_lists_every_metric() {
        let changelog = include_str!("../../CHANGELOG.md");
        for metric in ALL.iter().filter(|metric| metric.name.starts_with("cdrveil_")) {
            assert!(
                changelog.contains(&format!("`{}`", metric.name)),
                "{}",
                metric.name
            );
        }
    }
}
