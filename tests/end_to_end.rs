//! The real daemon on a real broker: both formats, every action, every output, every reason.
//!
//! Tokens and envelopes are made and read a second time by `support::oracle`, from `docs/formats.md` alone.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::time::{Duration, Instant};

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

const CSV_POLICY: &str = r#"
[input]
format = "csv"
columns = ["id", "caller", "called", "account", "session", "imsi", "imei", "ip", "start", "seconds", "cell", "note"]
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
voicemail = ["1571"]
[output]
key = "caller"
headers = ["traceparent"]
[fields]
id = "keep"
caller = { action = "pseudonymise", kind = "phone" }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller", derive = ["class", "country", "length"], escrow = true }
account = { action = "pseudonymise", kind = "account", scope = "record" }
session = { action = "pseudonymise", kind = "call" }
imsi = "restrict"
imei = { action = "pseudonymise", kind = "imei" }
ip = { action = "coarsen", prefix = 24, escrow = true }
start = { action = "coarsen", to = "hour" }
seconds = { action = "coarsen", step = 60 }
cell = "drop"
note = "keep"
"#;

fn csv_with_every_action() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(CSV_POLICY);
    let rows: [&[u8]; 4] = [
        b"c-1,+447700900001,020 7946 0123,acc-9,s-77,234150000000001,35-209900-176148-1,192.0.2.77,2026-11-05T09:15:30Z,125,cell-1,hello",
        b"\"c,2\",\"+44 7700 900001\",anonymous,\"ac\"\"c\",s-1,\"23,4\",352099001761481,::ffff:192.0.2.77,2026-11-05T10:59:59+01:00,59,\"x\",\"say \"\"hi\"\",\nthen more\"",
        b"c-3,unknown,07700900001,\xff\xfe,,2\xff,,,2026-11-05T09:15:30Z,,,n\xfft\xe9",
        b"c-4,,,,,,,,2026-11-05T09:15:30Z,,,",
    ];
    let sent = now();
    let inputs = rows.map(|row| Input {
        value: Some(row.to_vec()),
        key: Some(b"raw key".to_vec()),
        timestamp: Some(sent),
        headers: vec![
            ("traceparent", b"00-aa-bb-01".to_vec()),
            ("x-caller", b"+447700900001".to_vec()),
        ],
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 4);

    let id = |row: usize| format!("{}/0/{row}", deployment.raw);
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let imei = EPOCH.token("imei", Scope::Domain, "35209900176148");
    // The exact bytes of an account need not be UTF-8; tokens of this one are looked at in the row's place.
    let public: Vec<Vec<u8>> = vec![
        [
            "c-1",
            &alice,
            &EPOCH.token("phone", Scope::Pairwise(ALICE), BOB),
            &EPOCH.token("account", Scope::Record(&id(0)), "acc-9"),
            &EPOCH.token("call", Scope::Domain, "s-77"),
            "",
            &imei,
            "192.0.2.0",
            "2026-11-05T09:00:00Z",
            "120",
            "",
            "hello",
            "fixed",
            "GB",
            "12",
            &id(0),
        ]
        .join(",")
        .into_bytes(),
        [
            "\"c,2\"",
            &alice,
            "_withheld",
            &EPOCH.token("account", Scope::Record(&id(1)), "ac\"c"),
            &EPOCH.token("call", Scope::Domain, "s-1"),
            "",
            &imei,
            "192.0.2.0",
            "2026-11-05T10:00:00+01:00",
            "0",
            "",
            "\"say \"\"hi\"\",\nthen more\"",
            "withheld",
            "",
            "",
            &id(1),
        ]
        .join(",")
        .into_bytes(),
    ];
    assert_eq!(ran.public.len(), 4);
    for (record, expected) in ran.public.iter().zip(&public) {
        assert_eq!(record.text(), String::from_utf8_lossy(expected));
        assert_eq!(record.key.as_deref(), Some(alice.as_bytes()));
    }
    // Nobody served: no pair, so the token joins nothing.
    let cells: Vec<&[u8]> = ran.public[2]
        .value
        .as_ref()
        .unwrap()
        .split(|&byte| byte == b',')
        .collect();
    assert_eq!(cells[1], b"_withheld");
    assert_eq!(
        cells[2],
        EPOCH.token("phone", Scope::Record(&id(2)), ALICE).as_bytes()
    );
    assert_eq!(
        cells[11], b"n\xfft\xe9",
        "bytes that are no UTF-8 stay as they are"
    );
    assert_eq!(ran.public[2].key.as_deref(), Some(&b"_withheld"[..]));
    let blank = format!("c-4,,,,,,,,2026-11-05T09:00:00Z,,,,,,,{}", id(3));
    assert_eq!(ran.public[3].text(), blank);
    assert_eq!(ran.public[3].key, None);
    let copied = vec![("traceparent".to_owned(), b"00-aa-bb-01".to_vec())];
    assert!(ran.public.iter().all(|record| record.headers == copied));

    let fields = |row: usize| {
        let record = &ran.restricted[row];
        assert_eq!(record.key, Some(id(row).into_bytes()));
        assert_eq!(record.headers, []);
        let opened = opened(&deployment, &deployment.restricted, record);
        assert_eq!(
            (opened.domain.as_str(), opened.epoch.as_str()),
            ("billing", "2026-11")
        );
        opened.fields()
    };
    let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(
        fields(0),
        [
            field("called", b"020 7946 0123"),
            field("imsi", b"234150000000001"),
            field("ip", b"192.0.2.77")
        ]
    );
    assert_eq!(
        fields(1),
        [
            field("called", b"anonymous"),
            field("imsi", b"23,4"),
            field("ip", b"::ffff:192.0.2.77")
        ]
    );
    assert_eq!(
        fields(2),
        [field("called", b"07700900001"), field("imsi", b"2\xff")]
    );
    assert_eq!(fields(3), []);
    let lines = deployment.open(&deployment.restricted);
    assert_eq!(
        lines[0],
        json!({"record_id": id(0), "epoch": "2026-11",
            "fields": {"called": "020 7946 0123", "imsi": "234150000000001", "ip": "192.0.2.77"}})
    );
    assert_eq!(lines[2]["fields_base64"], json!({"imsi": "Mv8="}));
    assert_eq!(ran.books, [4, 4, 0, 0, 4]);
    for record in ran.public.iter().chain(&ran.restricted) {
        assert_eq!(record.timestamp, Some(sent), "outputs keep the raw record's time");
    }
}

fn csv_payloads_of_many_rows() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(
        "[input]\nformat = \"csv\"\nheader = \"check\"\ncomment = \"#\"\ndelimiter = \";\"\n\
         columns = [\"id\", \"caller\", \"start\"]\ntime = { field = \"start\", format = \"unix\" }\n\
         [numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\nstart = \"keep\"\n\
         caller = { action = \"pseudonymise\", kind = \"phone\" }\n",
    );
    let payloads: [Option<&str>; 6] = [
        Some(
            "id;caller;start\r\n# made by a switch\r\na;07700900001;1793870000\r\nb;07700900001\r\n\r\nc;\"07700900001\";1793870000\r\n",
        ),
        Some("id;\"caller\";start\nd;07700900001;1793870000"),
        Some("id;called;start\ne;07700900001;1793870000\n"),
        None,
        Some("id;caller;start\n"),
        Some(""),
    ];
    let inputs = payloads.map(|payload| Input {
        value: payload.map(|text| text.as_bytes().to_vec()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 12);
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let raw = &deployment.raw;
    let public: Vec<String> = ran.public.iter().map(Rec::text).collect();
    assert_eq!(
        public,
        [
            format!("a;{alice};1793870000;{raw}/0/0/0"),
            format!("c;{alice};1793870000;{raw}/0/0/2"),
            format!("d;{alice};1793870000;{raw}/0/1"),
        ]
    );
    assert_eq!(
        ran.rejects(&deployment),
        [
            (
                format!("{raw}/0/0/1"),
                "columns".to_owned(),
                b"b;07700900001".to_vec()
            ),
            // Another header row: row by row.
            (
                format!("{raw}/0/2/0"),
                "columns".to_owned(),
                b"id;called;start".to_vec()
            ),
            (
                format!("{raw}/0/2/1"),
                "columns".to_owned(),
                b"e;07700900001;1793870000".to_vec()
            ),
            (format!("{raw}/0/5"), "format".to_owned(), Vec::new()),
        ]
    );
    // Six messages: ten rows, one tombstone, and one payload without any row.
    assert_eq!(ran.books, [12, 3, 4, 5, 0]);
    for (reason, count) in [("header", 3.0), ("comment", 1.0), ("tombstone", 1.0)] {
        let series = format!("cdrveil_records_skipped_total{{reason=\"{reason}\",partition=\"0\"}} {count}");
        assert!(ran.page.contains(&series), "{series}\n{}", ran.page);
    }
}

const JSON_POLICY: &str = r#"
[input]
format = "json"
unlisted = "UNLISTED"
time = { field = "start", format = ["rfc3339", "unix_ms"] }
[numbers]
country = "GB"
[output]
key = "a.number"
record_id = "rid"
[fields]
id = "keep"
"a.number" = { action = "pseudonymise", kind = "phone", derive = ["class"] }
b = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "a.number", derive = ["country"], escrow = true }
"legs[].number" = { action = "pseudonymise", kind = "phone", scope = "record", derive = ["length"] }
"legs[].imsi" = "restrict"
"legs[].cell" = "drop"
ip = { action = "coarsen", prefix = 16 }
start = { action = "coarsen", to = "minute" }
seconds = { action = "coarsen", step = 60, escrow = true }
"tags[]" = "keep"
"#;

fn json_with_every_action() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "restrict"));
    let payloads = [
        concat!(
            r#"{ "id" : "j-\u0031", "a": {"number":"+447700900001"}, "b":"02079460123","#,
            r#" "legs":[{"number":"+447700900001","imsi":"234150000000001","cell":"c1"},{"number":"Anonymous","imsi":null,"cell":"c2"}],"#,
            r#" "ip":"192.0.2.77","start":"2026-11-05T09:15:30Z","seconds":125, "tags":["x", 1.0e2], "extra":{"msisdn":"+447700900009"}}"#
        ),
        // Two in one payload; the start as a number; members in another order, blank or absent.
        concat!(
            r#"{"start":1793870130000,"b":"02079460123","a":{"number":"07700 900001"},"id":"j-2"}"#,
            "\n",
            r#"{"start":"2026-11-05T09:15:30Z","a":{"number":null},"b":"","id":"j-3","seconds":"59"}"#
        ),
    ];
    let inputs = payloads.map(|payload| Input {
        value: Some(payload.into()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 3);
    let raw = &deployment.raw;
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let pair = EPOCH.token("phone", Scope::Pairwise(ALICE), BOB);
    let leg = EPOCH.token("phone", Scope::Record(&format!("{raw}/0/0")), ALICE);
    let expected = [
        format!(
            concat!(
                r#"{{ "id" : "j-\u0031", "a": {{"number":"{alice}","number_class":"unknown"}}, "b":"{pair}","#,
                r#" "legs":[{{"number":"{leg}","number_length":"12"}},{{"number":"_withheld","number_length":""}}],"#,
                r#" "ip":"192.0.0.0","start":"2026-11-05T09:15:00Z","seconds":120, "tags":["x", 1.0e2],"b_country":"GB","rid":"{raw}/0/0"}}"#
            ),
            alice = alice,
            pair = pair,
            leg = leg,
            raw = raw
        ),
        format!(
            r#"{{"start":1793870100000,"b":"{pair}","a":{{"number":"{alice}","number_class":"unknown"}},"id":"j-2","b_country":"GB","rid":"{raw}/0/1/0"}}"#
        ),
        format!(
            r#"{{"start":"2026-11-05T09:15:00Z","a":{{"number":null}},"b":"","id":"j-3","seconds":"0","b_country":"","rid":"{raw}/0/1/1"}}"#
        ),
    ];
    for (record, expected) in ran.public.iter().zip(&expected) {
        assert_eq!(&record.text(), expected);
        assert!(serde_json::from_str::<Value>(&record.text()).is_ok());
    }
    assert_eq!(ran.books, [3, 3, 0, 0, 3]);
    let keys: Vec<_> = ran.public.iter().map(|record| record.key.clone()).collect();
    assert_eq!(
        keys,
        [Some(alice.clone().into_bytes()), Some(alice.into_bytes()), None]
    );
    let fields = opened(&deployment, &deployment.restricted, &ran.restricted[0]).fields();
    let texts: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap()))
        .collect();
    assert_eq!(
        texts,
        [
            ("b", "\"02079460123\""),
            ("legs[].imsi", "\"234150000000001\""),
            ("legs[].imsi", "null"),
            ("seconds", "125"),
            ("extra", "{\"msisdn\":\"+447700900009\"}"),
        ]
    );
    assert_eq!(
        deployment.open(&deployment.restricted)[0]["fields"],
        json!({"b": "02079460123", "legs[].imsi": ["234150000000001", null], "seconds": 125, "extra": {"msisdn": "+447700900009"}})
    );
}

fn json_that_the_policy_does_not_know_is_rejected() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "reject"));
    let payloads: [(&[u8], &str); 7] = [
        (br#"{"start":1793870130000,"extra":1}"#, "unknown-field"),
        (
            br#"{"start":1793870130000,"a":{"number":"","name":"x"}}"#,
            "unknown-field",
        ),
        (br#"{"start":1793870130000,"id":1,"\u0069d":2}"#, "format"),
        (b"{\"start\":1793870130000,\"id\":\"\xff\"}", "format"),
        (br#"{"start":1793870130000,"id":"cut"#, "format"),
        (br#"{"id":"no start"}"#, "time"),
        (br#"{"start":1793870130000,"a":{"number":true}}"#, "number"),
    ];
    let inputs = payloads.map(|(payload, _)| Input {
        value: Some(payload.to_vec()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 7);
    for ((_, reason, raw), (payload, expected)) in ran.rejects(&deployment).iter().zip(payloads) {
        assert_eq!((reason.as_str(), raw.as_slice()), (expected, payload));
    }
    assert_eq!(ran.books, [7, 0, 7, 0, 0]);
}

fn json_that_the_policy_does_not_know_is_dropped() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "drop"));
    let payload = r#"{"x":{"msisdn":"+447700900001"},"start":1793870130000,"legs":[{"who":"+447700900001"},7],"id":"j"}"#;
    let input = Input {
        value: Some(payload.into()),
        ..Input::default()
    };
    let ran = run(broker, &deployment, [input], 1);
    let raw = &deployment.raw;
    assert_eq!(
        ran.public[0].text(),
        format!(r#"{{"start":1793870100000,"legs":[{{}},null],"id":"j","rid":"{raw}/0/0"}}"#)
    );
    assert_eq!(
        opened(&deployment, &deployment.restricted, &ran.restricted[0]).fields(),
        []
    );
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
