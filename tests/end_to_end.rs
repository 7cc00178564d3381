//! The real daemon on a real broker: both formats, every action, every output, every reason.
//!
//! Tokens and envelopes are made and read a second time by `support::oracle`, from `docs/formats.md` alone.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "end_to_end/csv.rs"]
mod csv;
#[path = "end_to_end/init.rs"]
mod init;
#[path = "end_to_end/json.rs"]
mod json;
mod support;

use std::time::{Duration, Instant};

use csv::{csv_payloads_of_many_rows, csv_with_every_action};
use init::a_folder_that_init_made_runs;
use json::{
    json_that_the_policy_does_not_know_is_dropped, json_that_the_policy_does_not_know_is_rejected,
    json_with_every_action,
};
use serde_json::{Value, json};
use support::deployment::{Deployment, KEYS, totals};
use support::kafka::{Broker, Input, Isolation, Rec, shared};
use support::oracle::{self, Epoch, Scope};

const EPOCH: Epoch<'_> = Epoch {
    id: "2026-11",
    key_hex: KEYS[0].0,
    domain: "billing",
};
const ALICE: &str = "447700900001";
const BOB: &str = "442079460123";

fn main() {
    tests![
        the_oracle_gives_the_known_answers,
        csv_with_every_action,
        csv_payloads_of_many_rows,
        json_with_every_action,
        json_that_the_policy_does_not_know_is_rejected,
        json_that_the_policy_does_not_know_is_dropped,
        every_reason_is_sealed_and_named,
        a_folder_that_init_made_runs,
    ]
}

fn the_oracle_gives_the_known_answers() {
    let vectors: Value = serde_json::from_str(include_str!("data/vectors.json")).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let epochs = vectors["epochs"].as_array().unwrap();
        let epoch = epochs.iter().find(|epoch| epoch["id"] == case["epoch"]).unwrap();
        let scope = match text("scope") {
            "domain" => Scope::Domain,
            "pairwise" => Scope::Pairwise(text("served")),
            _ => Scope::Record(text("record_id")),
        };
        let epoch = Epoch {
            id: text("epoch"),
            key_hex: epoch["key_hex"].as_str().unwrap(),
            domain: text("domain"),
        };
        assert_eq!(epoch.token(text("kind"), scope, text("value")), text("token"));
    }
}

fn every_reason_is_sealed_and_named() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    let mut deployment = deployment;
    let large = [("max.message.bytes", "8388608")];
    deployment.raw = support::kafka::unique("large-raw");
    deployment.rejected = support::kafka::unique("large-rejected");
    for topic in [&deployment.raw, &deployment.rejected] {
        broker.create_topic(topic, 1, &large);
    }
    deployment.config("");
    let row = |caller: &str, start: &str| format!("c,voice,{caller},,,,{start},1,");
    let good = row("+447700900001", "2026-11-05 09:15:00");
    let too_new = jiff::Timestamp::from_millisecond(now() + 2 * 86_400_000).unwrap();
    let cases: [(Vec<u8>, &str); 9] = [
        (
            b"c,voice,\"+447700900001,,,,2026-11-05 09:15:00,1,".to_vec(),
            "format",
        ),
        (b"c,voice,+447700900001".to_vec(), "columns"),
        (row("+447700900001", "yesterday").into(), "time"),
        (
            row("+447700900001", "2026-10-31 23:59:59").into(),
            "epoch-too-old",
        ),
        (
            row(
                "+447700900001",
                &too_new.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            )
            .into(),
            "epoch-too-new",
        ),
        (row("7700900001", "2026-11-05 09:15:00").into(), "number"),
        (
            row("+44770090000199999999", "2026-11-05 09:15:00").into(),
            "number",
        ),
        (format!("{good}{}", "x".repeat(2 << 20)).into(), "too-large"),
        (good.replacen('c', "c-07700%20900001", 1).into(), "leak"),
    ];
    let sent = now();
    let values = cases
        .iter()
        .map(|(value, _)| value.clone())
        .chain([good.into_bytes()]);
    let inputs = values.map(|value| Input {
        value: Some(value),
        timestamp: Some(sent),
        headers: vec![("x-caller", b"+447700900001".to_vec())],
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 10);
    assert_eq!(
        ran.books,
        [10, 1, 9, 0, 1],
        "one good record behind all the bad ones"
    );
    let rejects = ran.rejects(&deployment);
    for (at, (record, (raw, reason))) in ran.rejected.iter().zip(&cases).enumerate() {
        let id = format!("{}/0/{at}", deployment.raw);
        assert_eq!(
            rejects[at],
            (id.clone(), (*reason).to_owned(), raw.clone()),
            "{reason}"
        );
        let time = jiff::Timestamp::from_millisecond(sent).unwrap().to_string();
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(
            record.headers,
            [
                header("cdrveil-reason", reason),
                header("cdrveil-source", &id),
                header("cdrveil-time", &time),
                header("cdrveil-version", env!("CARGO_PKG_VERSION")),
            ]
        );
        assert_eq!(record.timestamp, Some(sent));
        let series = format!("cdrveil_records_rejected_total{{reason=\"{reason}\"}} ");
        let count = cases.iter().filter(|(_, other)| other == reason).count();
        assert!(
            ran.page.contains(&format!("{series}{count}\n")),
            "{series}\n{}",
            ran.page
        );
    }
    let shown = deployment.open(&deployment.rejected);
    assert_eq!(
        shown[1],
        json!({"record_id": format!("{}/0/1", deployment.raw), "reason": "columns", "raw": "c,voice,+447700900001"})
    );
}

/// What a run left behind.
struct Ran {
    public: Vec<Rec>,
    restricted: Vec<Rec>,
    rejected: Vec<Rec>,
    /// `/metrics` before the stop.
    page: String,
    /// read, public, rejected, skipped, restricted: the last line's, and the same on `/metrics`.
    books: [u64; 5],
}

impl Ran {
    /// Record id, reason and raw bytes of every reject, by the header's and the sealed reason, which agree.
    fn rejects(&self, deployment: &Deployment) -> Vec<(String, String, Vec<u8>)> {
        let reject = |record: &Rec| {
            let opened = opened(deployment, &deployment.rejected, record);
            let (reason, raw) = opened.rejected();
            assert_eq!(
                record.headers[0],
                ("cdrveil-reason".to_owned(), reason.clone().into_bytes())
            );
            let id = String::from_utf8(record.key.clone().unwrap()).unwrap();
            (id, reason, raw)
        };
        self.rejected.iter().map(reject).collect()
    }
}

/// Runs the daemon over these messages of partition 0 until `read` records are committed.
fn run(broker: &Broker, deployment: &Deployment, inputs: impl IntoIterator<Item = Input>, read: u64) -> Ran {
    broker.produce_all(&deployment.raw, inputs);
    let daemon = deployment.start();
    let deadline = Instant::now() + Duration::from_secs(90);
    daemon.await_ready(Duration::from_secs(60));
    let page = loop {
        let (_, page) = daemon.get("/metrics");
        if family(&page, "cdrveil_records_read_total") >= read {
            break page;
        }
        assert!(
            Instant::now() < deadline,
            "not read within 90 s:\n{page}\n{}",
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let books = totals(&log);
    let [all, public, rejected, skipped, _] = books;
    assert_eq!(all, public + rejected + skipped, "{log}");
    let written = |output: &str| {
        family(
            &page,
            &format!("cdrveil_records_written_total{{output=\"{output}\""),
        )
    };
    let shown = [
        family(&page, "cdrveil_records_read_total"),
        written("public"),
        written("rejected"),
        family(&page, "cdrveil_records_skipped_total"),
        written("restricted"),
    ];
    assert_eq!(shown, books, "{page}");
    assert_eq!(family(&page, "cdrveil_reconciliation_difference_records"), 0);
    let read = |topic: &str| broker.read_all(topic, Isolation::Committed);
    Ran {
        public: read(&deployment.public),
        restricted: read(&deployment.restricted),
        rejected: read(&deployment.rejected),
        page,
        books,
    }
}

/// The sum of a metric's series whose text begins so.
fn family(page: &str, beginning: &str) -> u64 {
    let values = page.lines().filter(|line| line.starts_with(beginning));
    values
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn opened(deployment: &Deployment, topic: &str, record: &Rec) -> oracle::Opened {
    let key = record.key.as_deref().unwrap();
    let value = record.value.as_deref().unwrap();
    let elsewhere = oracle::open(&deployment.identity, "elsewhere", key, value);
    assert_eq!(elsewhere, None, "a moved record does not open");
    oracle::open(&deployment.identity, topic, key, value).expect("sealed for this place")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
