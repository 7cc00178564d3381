//! What a record costs on one thread: each stage, and the whole from payload to sealed outputs.
//!
//! `cargo bench --bench transform`. The whole has a line of its own before criterion's: the fastest of many short
//! slices, which other programs on the machine disturb least.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a command that prints figures

mod records;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cdrveil::cdr::csv::{self, Dialect, End};
use cdrveil::cdr::guard::Guard;
use cdrveil::cdr::json::{self, Paths, Scanner};
use cdrveil::cdr::policy::Policy;
use cdrveil::cdr::transform::{Origin, Outputs, Transformer};
use cdrveil::engine::{Engine, Output, Payload};
use cdrveil::number::{Canonicaliser, Reading};
use cdrveil::pseudonym::keyring::{EpochIndex, FieldMacs};
use cdrveil::pseudonym::token::write_token;
use cdrveil::seal::sealer::Sealer;
use cdrveil::telemetry::{LaneCounts, Now, Setup, Telemetry};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Different records, taken in turn.
const RECORDS: usize = 1_000;
/// Records of a slice: a millisecond or less, so that some slices run undisturbed.
const SLICE: usize = 500;
const SLICES: usize = 2_000;

/// Records of a transaction: 100 ms at full speed.
const TRANSACTION: i64 = 30_000;

/// Prefixes of a deck of the whole world.
const PREFIXES: usize = 300_000;

criterion_group!(
    benches,
    stages,
    guard_stage,
    json_stages,
    decks,
    own_metrics,
    wholes
);
criterion_main!(benches);

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    let rows: Vec<_> = (0..RECORDS).map(records::csv).collect();
    let dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
        comment: None,
        escape: None,
    };
    let mut cells = Vec::new();
    group.throughput(Throughput::Bytes(rows[0].len() as u64));
    one(&mut group, "csv: find the row", |at| {
        black_box(csv::next_row(dialect, &rows[at], 0, End::Final));
    });
    one(&mut group, "csv: split", |at| {
        csv::split(dialect, &rows[at], &mut cells).unwrap();
        black_box(&cells);
    });
    group.throughput(Throughput::Elements(1));
    let policy = records::policy(records::CSV_POLICY);
    let column = |name: usize| -> Vec<Vec<u8>> {
        let cell = |row: &Vec<u8>| row.split(|byte| *byte == b',').nth(name).unwrap().to_vec();
        rows.iter().map(cell).collect()
    };
    let (callers, dialled, starts) = (column(2), column(3), column(7));
    let mut clock = policy.clock.clone();
    one(&mut group, "time", |at| {
        black_box(clock.read(&starts[at]).unwrap());
    });
    let mut numbers = Canonicaliser::new(policy.numbers.clone().unwrap());
    one(&mut group, "number", |at| {
        assert!(matches!(numbers.read(&dialled[at]), Reading::Number(_)));
    });
    let keyring = records::keyring();
    let macs = FieldMacs::new(&keyring, "billing", &["phone"]);
    let (epoch, mac) = (EpochIndex(0), macs.mac(EpochIndex(0), 0).unwrap());
    let mut out = Vec::new();
    one(&mut group, "mac and token: domain", |at| {
        out.clear();
        write_token(&mut out, keyring.epoch(epoch).id(), &mac.domain(&callers[at]));
        black_box(&out);
    });
    one(&mut group, "mac and token: pairwise", |at| {
        out.clear();
        let tag = mac.pairwise(&callers[at], &dialled[at]);
        write_token(&mut out, keyring.epoch(epoch).id(), &tag);
        black_box(&out);
    });
    let mut sealer = Sealer::new("billing", "cdr.restricted", records::recipients()).unwrap();
    one(&mut group, "seal 80 bytes", |_| {
        out.clear();
        let fields = black_box(&[5; 80]);
        sealer
            .seal(Duration::ZERO, "2026-11", records::RECORD_ID, fields, &mut out)
            .unwrap();
        black_box(&out);
    });
    let mut transformer = Transformer::new(policy, keyring, "billing");
    let mut outputs = Outputs::default();
    one(&mut group, "csv: all but finding and sealing", |at| {
        assert!(transformer.record(&rows[at], ORIGIN, &mut outputs).is_ok());
    });
    group.finish();
}

const ORIGIN: Origin<'_> = Origin {
    record_id: records::RECORD_ID,
    timestamp: records::TIMESTAMP,
    header: None,
};

/// What the guard does for one record of [`records::CSV_POLICY`]: its kept fields looked at, and where one of them
/// could hold a number, its identifiers.
fn guard_stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(1));
    let policy = records::policy(records::CSV_POLICY);
    let mut numbers = Canonicaliser::new(policy.numbers.clone().unwrap());
    let mut read = |raw: &[u8]| match numbers.read(raw) {
        Reading::Number(number) => number,
        _ => panic!("every number of the bench is one"),
    };
    let rows: Vec<Vec<Vec<u8>>> = (0..RECORDS)
        .map(|at| {
            records::csv(at)
                .split(|byte| *byte == b',')
                .map(<[u8]>::to_vec)
                .collect()
        })
        .collect();
    let known: Vec<_> = rows.iter().map(|row| [2, 3].map(|at| read(&row[at]))).collect();
    let mut guard = Guard::default();
    let mut search = |at: usize| {
        let row: &Vec<Vec<u8>> = &rows[at];
        guard.restart();
        // The call's time is none of those: it was read as one.
        for kept in [0, 1, 8, 9, 10] {
            guard.look(kept, &row[kept]);
        }
        if guard.is_suspicious() {
            guard.number(&known[at][0], &row[2]);
            guard.number(&known[at][1], &row[3]);
            for restricted in [4, 5, 6] {
                guard.restricted(&row[restricted]);
            }
        }
        assert!(guard.leak().is_none());
        guard.is_suspicious()
    };
    let quiet: Vec<usize> = (0..RECORDS).filter(|&at| !search(at)).collect();
    one(&mut group, "guard", |at| {
        black_box(search(at));
    });
    let all = fastest_slice(|at| {
        black_box(search(at));
    });
    let typical = fastest_slice(|at| {
        black_box(search(quiet[at % quiet.len()]));
    });
    println!(
        "guard, fastest of {SLICES} slices: {all:.0} ns a record; {typical:.0} ns where no kept field has seven digits in a row, as in {} of {RECORDS}",
        quiet.len()
    );
    group.finish();
}

fn json_stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    let objects: Vec<_> = (0..RECORDS).map(records::json).collect();
    group.throughput(Throughput::Bytes(objects[0].len() as u64));
    let names = [
        "id",
        "type",
        "caller.number",
        "caller.imsi",
        "caller.imei",
        "called.number",
        "legs[].cell",
        "legs[].seconds",
        "start",
        "seconds",
        "cause",
    ];
    let paths = Paths::parse(&names).unwrap();
    let (mut scanner, mut members) = (Scanner::new(), Vec::new());
    one(&mut group, "json: scan", |at| {
        scanner.scan(&objects[at], &paths, &mut members).unwrap();
        black_box(&members);
    });
    one(&mut group, "json: find the object", |at| {
        black_box(json::Documents::new().step(&objects[at], 0, End::Final));
    });
    group.finish();
}

/// A deck of the world: how long it takes to build is printed, a look-up is measured among random numbers.
fn decks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(1));
    let keys = records::deck_keys(PREFIXES);
    let began = Instant::now();
    let rating = records::rating(&keys);
    println!("deck of {PREFIXES} prefixes, built in {:?}", began.elapsed());
    let deck = rating.deck.unwrap();
    let mut canonicaliser = Canonicaliser::new(records::policy(records::CSV_POLICY).numbers.clone().unwrap());
    // Many and far apart, so that look-ups do not warm each other's way.
    let numbers: Vec<_> = (0..PREFIXES / 3)
        .filter_map(|at| {
            let key = &keys[at * 7_919 % keys.len()];
            match canonicaliser.read(format!("{key:0<12}").as_bytes()) {
                Reading::Number(number) => Some(number),
                _ => None,
            }
        })
        .collect();
    one(&mut group, "deck: look-up", |at| {
        black_box(deck.number(&numbers[at], records::TIMESTAMP));
    });
    let mut next = 0;
    one(&mut group, "deck: look-up of what nobody called lately", |_| {
        next = (next + 1) % numbers.len();
        black_box(deck.number(&numbers[next], records::TIMESTAMP));
    });
    let lists = rating.lists.unwrap();
    one(&mut group, "lists: tag and three look-ups", |at| {
        let tag = lists.tag(numbers[at].digits());
        black_box((
            lists.own.as_ref().map(|own| own.holds(tag)),
            lists.payers.as_ref().map(|payers| payers.holds(tag)),
            lists.ports.as_ref().and_then(|ports| ports.word(tag)),
        ));
    });
    group.finish();
}

/// What a record's metrics cost: counted by the lane, and added up when its transaction is committed.
fn own_metrics(criterion: &mut Criterion) {
    let now = Now::read();
    let setup = Setup {
        domain: "billing".to_owned(),
        guarantee: "exactly-once".to_owned(),
        lanes: 1,
        raw_topics: vec!["cdr.raw".to_owned()],
        rejection_reasons: &["number"],
        skip_reasons: &["header"],
    };
    let telemetry = Telemetry::new(setup, now);
    telemetry.assigned(0, &[(0, 0), (0, 1), (0, 2), (0, 3)], now);
    let mut group = criterion.benchmark_group("metrics");
    group.throughput(Throughput::Elements(1));
    // Ages are counted by time: the more times, the more work.
    for (name, of_a_millisecond) in [("300 records a millisecond", 300), ("a millisecond each", 1)] {
        let (mut counts, mut count) = (LaneCounts::default(), 0);
        one(&mut group, name, |_| {
            count += 1;
            let partition = (count / 250 % 4) as i32;
            counts.message(0, partition, 150, records::TIMESTAMP + count / of_a_millisecond);
            counts.read(1);
            counts.public(partition, 190, "2026-11");
            counts.restricted(partition, 350);
            if count % TRANSACTION == 0 {
                telemetry.committed(0, &counts, Duration::from_millis(5), now);
                counts.clear();
            }
        });
    }
    group.finish();
}

/// Makes the n-th record.
type Make = fn(usize) -> Vec<u8>;

fn wholes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    group.throughput(Throughput::Elements(1));
    let formats: [(&str, Arc<Policy>, Make); 5] = [
        ("csv", records::policy(records::CSV_POLICY), records::csv),
        ("csv, all derived", records::rated_policy(), records::csv),
        ("json", records::policy(records::JSON_POLICY), records::json),
        (
            "csv, preset asterisk",
            records::policy(records::ASTERISK_POLICY),
            records::asterisk,
        ),
        (
            "json, preset freeswitch-json",
            records::policy(records::FREESWITCH_JSON_POLICY),
            records::freeswitch_json,
        ),
    ];
    let mut plain: Vec<(&str, f64)> = Vec::new();
    for (name, policy, make) in formats {
        let payloads: Vec<_> = (0..RECORDS).map(make).collect();
        let mut engine = records::engine_of(policy);
        one(&mut group, name, |at| accept(&mut engine, &payloads[at]));
        let nanos = fastest_slice(|at| accept(&mut engine, &payloads[at]));
        let bytes = payloads.iter().map(Vec::len).sum::<usize>() / RECORDS;
        println!(
            "{name} of {bytes} bytes, fastest of {SLICES} slices: {nanos:.0} ns, {:.0} records/s, {:.0} MB/s",
            1e9 / nanos,
            1e3 * bytes as f64 / nanos
        );
        let speed = bytes as f64 / nanos;
        if let Some((format, theirs)) = plain.iter().find(|(format, _)| name.starts_with(format)) {
            println!(
                "{name}: {:.2} of the bytes per second of {format}",
                speed / theirs
            );
        } else {
            plain.push((name, speed));
        }
    }
    group.finish();
}

/// Nanoseconds of one step.
fn fastest_slice(mut step: impl FnMut(usize)) -> f64 {
    let slices = (0..SLICES).map(|_| {
        let began = Instant::now();
        (0..SLICE).for_each(&mut step);
        began.elapsed()
    });
    slices.min().unwrap_or_default().as_nanos() as f64 / SLICE as f64
}

fn accept(engine: &mut Engine, bytes: &[u8]) {
    let payload = Payload {
        id: records::RECORD_ID,
        timestamp: records::TIMESTAMP,
        bytes: Some(bytes),
    };
    let done = engine.payload(&payload, Duration::ZERO, |output| match output {
        Output::Accepted(accepted) => {
            black_box((accepted.public, accepted.restricted, accepted.key));
            Ok(())
        }
        Output::Rejected { .. } | Output::Skipped(_) => Err(()),
    });
    assert!(done.is_ok(), "every record of the bench is accepted");
}

fn one(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut step: impl FnMut(usize)) {
    let mut at = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            at = (at + 1) % RECORDS;
            step(at);
        });
    });
}
