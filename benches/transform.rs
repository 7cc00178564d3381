//! What a record costs on one thread: each stage, and the whole from payload to sealed outputs.
//!
//! `cargo bench --bench transform`. The whole has a line of its own before criterion's: the fastest of many short
//! slices, which other programs on the machine disturb least.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a command that prints figures

mod records;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cdrveil::cdr::csv::{self, Dialect, End};
use cdrveil::cdr::json::{self, Paths, Scanner};
use cdrveil::cdr::transform::{Origin, Outputs, Transformer};
use cdrveil::engine::{Engine, Output, Payload};
use cdrveil::number::{Canonicaliser, Reading};
use cdrveil::pseudonym::keyring::{EpochIndex, FieldMacs};
use cdrveil::pseudonym::token::write_token;
use cdrveil::seal::sealer::Sealer;
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

criterion_group!(benches, stages, json_stages, wholes);
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

/// Makes the n-th record.
type Make = fn(usize) -> Vec<u8>;

fn wholes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    group.throughput(Throughput::Elements(1));
    let formats: [(&str, &str, Make); 2] = [
        ("csv", records::CSV_POLICY, records::csv),
        ("json", records::JSON_POLICY, records::json),
    ];
    for (name, policy, make) in formats {
        let payloads: Vec<_> = (0..RECORDS).map(make).collect();
        let mut engine = records::engine(policy);
        one(&mut group, name, |at| accept(&mut engine, &payloads[at]));
        let fastest = (0..SLICES)
            .map(|_| slice(&mut engine, &payloads))
            .min()
            .unwrap_or_default();
        let nanos = fastest.as_nanos() as f64 / SLICE as f64;
        let bytes = payloads.iter().map(Vec::len).sum::<usize>() / RECORDS;
        println!(
            "{name} of {bytes} bytes, fastest of {SLICES} slices: {nanos:.0} ns, {:.0} records/s",
            1e9 / nanos
        );
    }
    group.finish();
}

fn slice(engine: &mut Engine, payloads: &[Vec<u8>]) -> Duration {
    let began = Instant::now();
    payloads
        .iter()
        .take(SLICE)
        .for_each(|bytes| accept(engine, bytes));
    began.elapsed()
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
