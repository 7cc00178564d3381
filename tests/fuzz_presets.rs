//! Fuzzed calls of every preset: whatever is done to a record, no identifier of it comes out in clear.
//!
//! The rows of `tests/samples/presets.rs` are the seed. Every identifier in them is replaced by a random one, copies
//! are planted in columns that are kept, rows are cut, shifted and damaged; then the engine runs, and every public
//! value and key is searched, by a search that knows `docs/formats.md` and not the guard. `CDRVEIL_FUZZ_RECORDS` says
//! how many records over all presets, `CDRVEIL_FUZZ_SEED` which ones, `CDRVEIL_FUZZ_RECORD` one of them only, and
//! `CDRVEIL_FUZZ_SHOW=1` shows those that fail: the numbers are random, so otherwise none is shown.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "fuzz/generate.rs"]
mod generate;
#[path = "samples/hosted.rs"]
mod hosted;
#[path = "fuzz/mark.rs"]
mod mark;
#[path = "samples/presets.rs"]
mod presets;
#[path = "fuzz/search.rs"]
mod search;
#[path = "fuzz/template.rs"]
mod template;
#[path = "fuzz/write.rs"]
mod write;

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cdrveil::cdr::Reason;
use cdrveil::cdr::policy::Policy;
use cdrveil::engine::{Destinations, Engine, Output, Payload};
use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::{KeyEntry, Keyring, Overlap, Status};
use cdrveil::pseudonym::mac::EpochKey;
use cdrveil::seal::opener::Opener;
use cdrveil::seal::recipient::Recipients;
use cdrveil::settings::Source;

use crate::generate::{Damage, Generator};
use crate::mark::Mark;
use crate::search::{Search, Verdict, shows};
use crate::template::Templates;

/// Records over all presets where nothing else is said: seconds.
const RECORDS: u64 = 20_000;
/// 2026-01-01, after every call of the samples.
const TIMESTAMP: i64 = 1_767_225_600_000;
const RECORD_ID: &[u8] = b"f/0/1";
const OVERLAP: Overlap = Overlap {
    public: Some(Duration::MAX),
    sealed: false,
};

/// A sample as `tests/samples.rs` has it; here only what comes in matters.
#[allow(dead_code)]
struct Sample {
    policy: &'static str,
    input: &'static str,
    public: &'static str,
    restricted: &'static [&'static str],
    rejected: &'static [(usize, &'static str)],
    counts: &'static str,
}

/// What became of the records.
#[derive(Default)]
struct Counts {
    public: u64,
    rejected: u64,
    leaks: u64,
    skipped: u64,
    /// Raw records that were searched as if they were public, and those in which something was found.
    controls: u64,
    found: u64,
    /// Copies in public that no one may call a leak: what they copy is kept by the policy.
    unprotected: u64,
}

/// Whether `learn` knows the sample is asked by `tests/samples.rs`.
fn recognised(_: &Sample) -> bool {
    true
}

/// Fuzzes one preset by its sample.
fn holds(sample: &Sample) {
    let name = sample.policy.split('"').nth(1).unwrap();
    let policy = Arc::new(policy(sample.policy));
    let mut engine = engine(&policy);
    let templates = Templates::of(&policy, sample.input, &mut engine);
    let mut generator = Generator::new(&policy, &templates, sample.policy);
    let mut search = Search::new(&policy, &templates.prefix);
    let (records, seed) = (
        number("CDRVEIL_FUZZ_RECORDS", RECORDS),
        number("CDRVEIL_FUZZ_SEED", 1),
    );
    let records = records.div_ceil(presets_in_config().len() as u64);
    let only = std::env::var("CDRVEIL_FUZZ_RECORD").ok();
    let which = only.as_ref().map_or(0..records, |record| {
        let record = record.parse().unwrap();
        record..record + 1
    });
    let begun = Instant::now();
    let mut counts = Counts::default();
    let mut hits = Vec::new();
    for at in which {
        let damage = generator.record(seed, at);
        let mut outputs = 0;
        let payload = Payload {
            id: RECORD_ID,
            timestamp: TIMESTAMP,
            bytes: Some(&generator.payload),
        };
        let done = engine.payload(&payload, Duration::ZERO, |output| {
            outputs += 1;
            match output {
                Output::Skipped(_) => counts.skipped += 1,
                Output::Rejected { refusal, .. } => {
                    counts.rejected += 1;
                    counts.leaks += u64::from(refusal.reason == Reason::Leak);
                    assert!(
                        refusal.reason != Reason::Poison,
                        "{name}: seed {seed}, record {at}: panicked"
                    );
                }
                Output::Accepted(accepted) => {
                    counts.public += 1;
                    let row = &generator.payload[generator.row.clone()];
                    for public in [accepted.public, accepted.key.unwrap_or_default()] {
                        match search.search(&generator.marks, row, public) {
                            Verdict::Clean => {}
                            Verdict::Unprotected => counts.unprotected += 1,
                            Verdict::Leak => hits.push((at, shown(row, public))),
                        }
                    }
                }
            }
            Ok::<_, Infallible>(())
        });
        assert!(done.is_ok());
        if at % 64 == 0 && !generator.marks.is_empty() {
            let row = &generator.payload[generator.row.clone()];
            counts.controls += 1;
            counts.found += u64::from(search.search(&generator.marks, row, row) == Verdict::Leak);
        }
        match damage {
            Damage::None => assert_eq!(outputs, templates.outputs, "{name}: seed {seed}, record {at}"),
            Damage::Bytes => assert!(outputs > 0, "{name}: seed {seed}, record {at}"),
        }
    }
    assert!(
        hits.is_empty(),
        "{name}: seed {seed}: {} records show an identifier in public, by their number: {:?}",
        hits.len(),
        &hits[..hits.len().min(8)]
    );
    if only.is_none() {
        report(name, records, seed, &counts, begun.elapsed());
    }
}

/// Record and public value, where `CDRVEIL_FUZZ_SHOW` asks for them.
fn shown(row: &[u8], public: &[u8]) -> String {
    let asked = std::env::var_os("CDRVEIL_FUZZ_SHOW").is_some();
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if asked {
        format!("\n{}\n{}\n", show(row), show(public))
    } else {
        String::new()
    }
}

/// Fails where nearly everything is refused, or nothing is found where all is: then nothing was searched.
fn report(name: &str, records: u64, seed: u64, counts: &Counts, took: Duration) {
    let rate = records as f64 / took.as_secs_f64();
    eprintln!(
        "{name}: seed {seed}: {records} records, {} public, {} rejected ({} as leaks), {} rows skipped, {} unprotected copies; {rate:.0} records/s",
        counts.public, counts.rejected, counts.leaks, counts.skipped, counts.unprotected
    );
    assert!(counts.found * 2 > counts.controls, "{name}: the search is blind");
    assert!(counts.public * 10 > records * 3, "{name}: too few are accepted");
    assert!(
        counts.leaks * 100 > records,
        "{name}: the guard had too little to do"
    );
}

fn policy(text: &str) -> Policy {
    let source = Source {
        path: "policy.toml".into(),
        text: text.to_owned(),
    };
    let mut policy = Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    policy
        .carry(OVERLAP.carriers())
        .unwrap_or_else(|misfits| panic!("{misfits:?}"));
    policy
}

fn engine(policy: &Arc<Policy>) -> Engine {
    // Every call is in the overlap, so every token has one of the epoch before beside it.
    let entry = |id: &str, from: i64, material: u8| KeyEntry {
        id: id.parse().unwrap(),
        activate_at: EventTime::from_millis(from),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(vec![material; 32]).ok(),
    };
    let begins = 1_761_955_200_000;
    let entries = vec![entry("2025-10", begins - 1, 8), entry("2025-11", begins, 7)];
    let keyring = Keyring::new(entries).unwrap().overlapping(OVERLAP);
    let destinations = Destinations {
        domain: "billing".to_owned(),
        restricted: "cdr.restricted".to_owned(),
        rejected: "cdr.rejected".to_owned(),
    };
    let (_, recipient) = Opener::new_identity();
    Engine::new(
        Arc::clone(policy),
        Arc::new(keyring),
        &destinations,
        &Recipients::parse(&[recipient]).unwrap(),
    )
    .unwrap_or_else(|error| panic!("{error}"))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn presets_in_config() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/presets");
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn every_preset_has_a_sample_to_begin_with() {
    let samples = concat!(
        include_str!("samples/presets.rs"),
        include_str!("samples/hosted.rs")
    );
    for name in presets_in_config() {
        assert!(samples.contains(&format!("preset = \"{name}\"")), "{name}");
    }
}

#[test]
fn copies_are_what_the_docs_call_so() {
    let mark = Mark::phone(b"44", b"7700900123");
    for (text, expected) in [
        ("447700900123", true),
        ("SIP/07700900123-0001", true),
        ("x99447700900123456", true),
        ("+44 (0) 7700.900-123", true),
        ("07700\u{a0}900123", true),
        ("%2B44%37700900123", true),
        ("%252537700900123", true),
        ("4477009001", true),
        ("x 700900123 y", true),
        ("x00900123y", true),
        ("7009001", true),
        ("770090012", true),
        ("0900123", false),
        ("447700900199", false),
        ("700900123456", true),
        ("1700900123", false),
        ("7700,900123", false),
        ("2025-11-05 09:15:00", false),
    ] {
        assert_eq!(shows(text.as_bytes(), &mark), expected, "{text}");
    }
}
