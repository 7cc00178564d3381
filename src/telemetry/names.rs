//! Every metric of the program, once: name, kind, labels, help.
//!
//! Names follow `cdrveil_<noun>_<unit>`, counters end in `_total`, label sets
//! are closed. They are an interface: dashboards and alerts break when one is
//! renamed, so a change needs a line in CHANGELOG.md (a test looks).

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

/// One metric family.
#[derive(Debug)]
pub struct Metric {
    /// Full name, prefix and unit included.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names, in the order the values are given.
    pub labels: &'static [&'static str],
    /// One sentence for the `# HELP` line.
    pub help: &'static str,
    /// A histogram's upper bounds, rising, in the unit of the name; empty for the others.
    pub buckets: &'static [f64],
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        labels,
        help,
        buckets: &[],
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        labels,
        help,
        buckets: &[],
    }
}

const fn histogram(name: &'static str, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        labels: &[],
        help,
        buckets,
    }
}

/// Records taken in, by raw topic and partition.
pub static RECORDS_READ: Metric = counter(
    "cdrveil_records_read_total",
    &["topic", "partition"],
    "Records read from the raw topics, counted when their transaction is committed.",
);
/// Records written, by output and output partition.
pub static RECORDS_WRITTEN: Metric = counter(
    "cdrveil_records_written_total",
    &["output", "partition"],
    "Records written by output (public, restricted, rejected) and output partition, counted when committed.",
);
/// Rows that are not records, by reason and input partition.
pub static RECORDS_SKIPPED: Metric = counter(
    "cdrveil_records_skipped_total",
    &["reason", "partition"],
    "Header, comment and marker rows and tombstones, by reason and input partition, counted when committed.",
);
/// Rejections by reason.
pub static RECORDS_REJECTED: Metric = counter(
    "cdrveil_records_rejected_total",
    &["reason"],
    "Records refused and sealed to the rejected topic, by reason, counted when committed.",
);
/// Offsets that retention deleted before they were read.
pub static LOST_OFFSETS: Metric = counter(
    "cdrveil_lost_offsets_total",
    &["topic", "partition"],
    "Offsets of the raw topics deleted by retention before they were read, counted when noticed; anything but 0 is loss.",
);
/// Payload bytes taken in.
pub static BYTES_READ: Metric = counter(
    "cdrveil_bytes_read_total",
    &[],
    "Payload bytes of the messages read, counted when committed.",
);
/// Payload bytes written, by output.
pub static BYTES_WRITTEN: Metric = counter(
    "cdrveil_bytes_written_total",
    &["output"],
    "Payload bytes written by output, before compression, counted when committed.",
);
/// Records by the epoch whose key made their pseudonyms.
pub static EPOCH_RECORDS: Metric = counter(
    "cdrveil_epoch_records_total",
    &["epoch"],
    "Public records by the key epoch their pseudonyms were made with.",
);
/// Transactions by outcome.
pub static TRANSACTIONS: Metric = counter(
    "cdrveil_transactions_total",
    &["outcome"],
    "Kafka transactions (at-least-once: offset commits) by outcome.",
);
/// Producers made again after an indefinite outcome.
pub static PRODUCER_RECREATIONS: Metric = counter(
    "cdrveil_producer_recreations_total",
    &[],
    "Producers destroyed and made again because an outcome was unknown or the producer was fenced.",
);
/// Changes of assignment.
pub static REBALANCES: Metric = counter(
    "cdrveil_rebalances_total",
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
/// Records between our committed offset and the end of the partition.
pub static LAG: Metric = gauge(
    "cdrveil_lag_records",
    &["topic", "partition"],
    "Offsets between the committed offset and the high watermark of an assigned partition; absent when not assigned or not yet known.",
);
/// Partitions this instance holds.
pub static ASSIGNED_PARTITIONS: Metric = gauge(
    "cdrveil_assigned_partitions",
    &[],
    "Raw partitions assigned to this instance.",
);
/// Lanes by state.
pub static LANES: Metric = gauge(
    "cdrveil_lanes",
    &["state"],
    "Lanes of this instance by state; the sum is the configured number.",
);
/// Difference of the books; must be 0.
pub static RECONCILIATION: Metric = gauge(
    "cdrveil_reconciliation_difference_records",
    &[],
    "Sum over partitions of |read - public - rejected - skipped|; anything but 0 is a defect.",
);
/// Which keyring is in use.
pub static KEYRING_INFO: Metric = gauge(
    "cdrveil_keyring_info",
    &["fingerprint"],
    "Always 1; the label is the fingerprint of the keyring in use, equal on all instances that agree.",
);
/// Keys by state.
pub static KEYRING_KEYS: Metric = gauge(
    "cdrveil_keyring_keys",
    &["state"],
    "Keys of the keyring in use by their state now, in the words of NIST SP 800-57; the sum is their number.",
);
/// Which key calls of now get.
pub static KEYRING_ACTIVE: Metric = gauge(
    "cdrveil_keyring_active_key_info",
    &["epoch"],
    "Always 1; the label is the epoch whose key calls of now get; absent when there is none.",
);
/// Whether the next key is there.
pub static KEYRING_NEXT: Metric = gauge(
    "cdrveil_keyring_next_key",
    &[],
    "1 if a key that begins after now is in the keyring, else 0.",
);
/// When the next key begins.
pub static KEYRING_NEXT_TIME: Metric = gauge(
    "cdrveil_keyring_next_activation_timestamp_seconds",
    &[],
    "Unix time, as calls state theirs, from which the next key is used; absent when there is none.",
);
/// Whether the last keyring load worked.
pub static KEYRING_RELOAD_OK: Metric = gauge(
    "cdrveil_keyring_last_reload_successful",
    &[],
    "1 if the last load of the keyring succeeded, 0 if it was refused and the former one is kept.",
);
/// When the keyring in use was loaded.
pub static KEYRING_RELOAD_TIME: Metric = gauge(
    "cdrveil_keyring_last_reload_success_timestamp_seconds",
    &[],
    "Unix time at which the keyring in use was loaded.",
);
/// Keyring loads by outcome.
pub static KEYRING_RELOADS: Metric = counter(
    "cdrveil_keyring_reloads_total",
    &["outcome"],
    "Keyring reloads by outcome (applied, refused); the load at the start is not one.",
);
/// How epochs stand in the register.
pub static REGISTER_EPOCHS: Metric = gauge(
    "cdrveil_register_epochs",
    &["state"],
    "Epochs by what the register says: agreed, pending (claimed before it begins; destroyed in the keyring alone), refused (it contradicts the keyring in use: no record gets such a key).",
);
/// Which deck and lists are in use.
pub static DECK_INFO: Metric = gauge(
    "cdrveil_deck_info",
    &["list", "fingerprint"],
    "Always 1; the fingerprint of the rate deck, list or map in use, equal on all instances that agree.",
);
/// How much there is in them.
pub static DECK_ROWS: Metric = gauge(
    "cdrveil_deck_rows",
    &["list"],
    "Rows of the rate deck or map, numbers of the list in use.",
);
/// Prefixes that the deck in use lacks.
pub static DECK_LOST: Metric = gauge(
    "cdrveil_deck_lost_prefixes",
    &[],
    "Prefixes of the rate deck before the last reload that the one in use lacks; 0 after a start.",
);
/// Whether the last load of deck and lists worked.
pub static DECK_RELOAD_OK: Metric = gauge(
    "cdrveil_deck_last_reload_successful",
    &[],
    "1 if the last load of the rate deck and lists succeeded, 0 if it was refused and the former ones are kept.",
);
/// When deck and lists were loaded.
pub static DECK_RELOAD_TIME: Metric = gauge(
    "cdrveil_deck_last_reload_success_timestamp_seconds",
    &[],
    "Unix time at which the rate deck and lists in use were loaded.",
);
/// Loads of deck and lists by outcome.
pub static DECK_RELOADS: Metric = counter(
    "cdrveil_deck_reloads_total",
    &["outcome"],
    "Reloads of the rate deck and lists by outcome (applied, refused); the load at the start is not one.",
);
/// Whether every ready check holds.
pub static READY: Metric = gauge("cdrveil_ready", &[], "1 if every check of /readyz holds, else 0.");
/// Version.
pub static BUILD_INFO: Metric = gauge(
    "cdrveil_build_info",
    &["version"],
    "Always 1; the label is the version of the program.",
);
/// CPU time (a standard name of Prometheus client libraries, as the next ones).
pub static PROCESS_CPU: Metric = counter(
    "process_cpu_seconds_total",
    &[],
    "Total user and system CPU time spent in seconds.",
);
/// Open files.
pub static PROCESS_OPEN_FDS: Metric = gauge("process_open_fds", &[], "Number of open file descriptors.");
/// File limit.
pub static PROCESS_MAX_FDS: Metric =
    gauge("process_max_fds", &[], "Maximum number of open file descriptors.");
/// Address space.
pub static PROCESS_VIRTUAL: Metric = gauge(
    "process_virtual_memory_bytes",
    &[],
    "Virtual memory size in bytes.",
);
/// Limit of the address space.
pub static PROCESS_VIRTUAL_MAX: Metric = gauge(
    "process_virtual_memory_max_bytes",
    &[],
    "Maximum amount of virtual memory available in bytes.",
);
/// Resident memory.
pub static PROCESS_RESIDENT: Metric = gauge(
    "process_resident_memory_bytes",
    &[],
    "Resident memory size in bytes.",
);
/// Start of the process.
pub static PROCESS_START: Metric = gauge(
    "process_start_time_seconds",
    &[],
    "Start time of the process since unix epoch in seconds.",
);
/// Threads.
pub static PROCESS_THREADS: Metric = gauge("process_threads", &[], "Number of OS threads in the process.");

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
    &REBALANCES,
    &COMMIT_SECONDS,
    &TRANSFORM_SECONDS,
    &LAG,
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
