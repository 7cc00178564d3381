//! No identifier of a raw record leaves in clear: not in an output, a key, a header, a log line, a metric or a page.
//!
//! Every identifier in every field, key, header and nested value of good and bad records is a marker of its own;
//! everything the daemon wrote or said is searched for each of them in every spelling that systems give numbers.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use support::deployment::{Deployment, get};
use support::kafka::{Input, Isolation, Rec, shared};

fn main() {
    tests![
        a_planted_marker_is_found_in_every_spelling,
        no_marker_of_csv_records_leaves_in_clear,
        no_marker_of_json_records_leaves_in_clear,
    ]
}

const CSV_POLICY: &str = r##"
[input]
format = "csv"
comment = "#"
columns = ["id", "caller", "called", "account", "imsi", "imei", "ip", "start", "seconds", "cell", "note"]
time = { field = "start", format = "rfc3339" }
max_record = "4KiB"
[numbers]
country = "GB"
[output]
key = "caller"
headers = ["traceparent"]
[fields]
id = "keep"
caller = { action = "pseudonymise", kind = "phone", derive = ["class", "country", "length"] }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller", derive = ["class"], escrow = true }
account = { action = "pseudonymise", kind = "account", scope = "record" }
imsi = "restrict"
imei = { action = "pseudonymise", kind = "imei", escrow = true }
ip = { action = "pseudonymise", kind = "ip" }
start = "keep"
seconds = { action = "coarsen", step = 60 }
cell = "drop"
note = "restrict"
"##;

const JSON_POLICY: &str = r#"
[input]
format = "json"
unlisted = "UNLISTED"
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
[output]
key = "a.caller"
[fields]
id = "keep"
"a.caller" = { action = "pseudonymise", kind = "phone", derive = ["class"] }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "a.caller", escrow = true }
"legs[].number" = { action = "pseudonymise", kind = "phone", scope = "record", derive = ["length"] }
"legs[].imsi" = "restrict"
"legs[].cell" = "drop"
account = { action = "pseudonymise", kind = "account" }
start = "keep"
"#;

fn no_marker_of_csv_records_leaves_in_clear() {
    let mut marks = Marks::default();
    let mut payloads = Vec::new();
    for spelling in [
        "+44N",
        "0044N",
        "0N",
        "+44 (0)N",
        "sip:+44N@192.0.2.1;user=phone",
        "\"\"\"A\"\" <tel:+44N>\"",
        "1410N",
    ] {
        payloads.push(csv_row(&mut marks, spelling, "2026-11-05T09:15:00Z"));
    }
    // The bad ones: each kind of reject, with its identifiers.
    let start = "2026-11-05T09:15:00Z";
    payloads.push(csv_row(&mut marks, "N", start)); // a bare number is rejected
    payloads.push(csv_row(&mut marks, "+44NN", start)); // far too long
    payloads.push(csv_row(&mut marks, "+44N", "2025-01-01T00:00:00Z"));
    payloads.push(csv_row(&mut marks, "+44N", "2099-01-01T00:00:00Z"));
    payloads.push(format!(
        "c,{},{},{}",
        marks.national(),
        marks.national(),
        marks.word()
    ));
    payloads.push(format!("c,\"{},{},,,,,,,,", marks.national(), marks.word()));
    payloads.push(csv_row(&mut marks, "+44N", "START").replace("START", &marks.national()));
    payloads.push(csv_row(&mut marks, "+44N", start) + &"x".repeat(5_000) + &marks.word());
    payloads.push(format!("# {} {}\n", marks.national(), marks.word()));
    let two = [
        csv_row(&mut marks, "+44N", start),
        csv_row(&mut marks, "0N", start),
    ];
    payloads.push(two.join("\n"));
    search_everything(CSV_POLICY, marks, payloads);
}

/// A row whose every identifier is a marker; `N` in the spelling is the caller's national number.
fn csv_row(marks: &mut Marks, spelling: &str, start: &str) -> String {
    let from = spelling.replace('N', &marks.national());
    let (to, account, cell, note) = (marks.national(), marks.word(), marks.word(), marks.word());
    let (imsi, handset, ip) = (marks.digits(15), marks.digits(14), marks.address());
    format!("c,{from},0{to},{account},{imsi},{handset}1,{ip},{start},61,{cell},{note}")
}

fn no_marker_of_json_records_leaves_in_clear() {
    for unlisted in ["reject", "restrict", "drop"] {
        let mut marks = Marks::default();
        let start = "2026-11-05T09:15:00Z";
        let mut payloads = vec![
            json_record(&mut marks, start, ""),
            json_record(&mut marks, start, "").replace("\"+44", "\"\\u002b44"),
            json_record(&mut marks, "2025-01-01T00:00:00Z", ""),
            json_record(&mut marks, start, ",\"id\":\"again\""),
            json_record(&mut marks, start, "").replace("\"+44", "\"44"),
        ];
        payloads[3].insert(0, ' ');
        let beside = format!(
            ",\"x{}\":{{\"{}\":[\"{}\",{}]}}",
            marks.national(),
            marks.word(),
            marks.word(),
            marks.digits(12)
        );
        payloads.push(json_record(&mut marks, start, &beside));
        payloads.push(json_record(&mut marks, start, ",\"cut\":"));
        payloads.push(format!("\"{}\"", marks.national()));
        payloads.push(format!(
            "{{\"start\":\"{}\",\"{}\":1}}",
            marks.national(),
            marks.word()
        ));
        let two = [
            json_record(&mut marks, start, ""),
            json_record(&mut marks, start, ""),
        ];
        payloads.push(two.join("\n"));
        search_everything(&JSON_POLICY.replace("UNLISTED", unlisted), marks, payloads);
    }
}

fn json_record(marks: &mut Marks, start: &str, more: &str) -> String {
    format!(
        "{{\"id\":\"j\",\"a\":{{\"caller\":\"+44{}\"}},\"called\":\"0{}\",\"legs\":[{{\"number\":\"+44{}\",\"imsi\":\"{}\",\"cell\":\"{}\"}},\
         {{\"number\":\"0{}\",\"imsi\":{}}}],\"account\":\"{}\",\"start\":\"{start}\"{more}}}",
        marks.national(),
        marks.national(),
        marks.national(),
        marks.digits(15),
        marks.word(),
        marks.national(),
        marks.digits(15),
        marks.word(),
    )
}

/// Runs the daemon at its most talkative over these payloads, and searches all that came of them.
fn search_everything(policy: &str, mut marks: Marks, payloads: Vec<String>) {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(policy);
    // Within the overlap of a rotation, so that every token has one of the epoch before beside it.
    deployment.keyring(&[
        ("2026-10", "2026-10-01T00:00:00Z", 1),
        ("2026-11", "2026-11-01T00:00:00Z", 0),
    ]);
    let overlap = "version = 1\n[epochs]\noverlap = \"7d\"\nseal_previous = true\n";
    deployment.edit("keyring.toml", "version = 1\n", overlap);
    // librdkafka tells all it does, too.
    let config = std::fs::read_to_string(deployment.path("cdrveil.toml")).unwrap();
    let talkative = config.replace("[kafka.properties]", "[kafka.properties]\n\"debug\" = \"all\"");
    std::fs::write(deployment.path("cdrveil.toml"), talkative).unwrap();
    let sent = jiff::Timestamp::now().as_millisecond();
    let inputs: Vec<Input> = payloads
        .into_iter()
        .map(|payload| Input {
            value: Some(payload.into_bytes()),
            key: Some(marks.national().into_bytes()),
            timestamp: Some(sent),
            headers: vec![
                ("x-caller", marks.national().into_bytes()),
                (
                    "traceparent",
                    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec(),
                ),
            ],
            ..Input::default()
        })
        .collect();
    let messages = inputs.len();
    broker.produce_all(&deployment.raw, inputs);
    let daemon = deployment.start_as("cdrveil.toml", &["--log-level", "trace"]);
    daemon.await_ready(Duration::from_secs(60));
    let lag = format!(
        "cdrveil_lag_records{{topic=\"{}\",partition=\"0\"}}",
        deployment.raw
    );
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while daemon.metric(&lag) != Some(0.0) {
        assert!(std::time::Instant::now() < deadline, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // A refused reload talks too.
    std::fs::write(deployment.path("keyring.toml"), "version = 2\n").unwrap();
    daemon.signal(1);
    daemon.await_log("keyring refused", Duration::from_secs(20));
    let address = daemon.address();
    let mut haystacks: Vec<(String, Vec<u8>)> = [
        "/metrics",
        "/api/v1/status",
        "/readyz?verbose",
        "/readyz",
        "/livez",
        "/",
    ]
    .map(|page| (page.to_owned(), get(&address, page).1.into_bytes()))
    .into();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("\"level\":\"DEBUG\""), "it was not talkative: {log}");
    haystacks.push(("log".to_owned(), log.into_bytes()));
    let mut outputs = 0;
    for topic in [&deployment.public, &deployment.restricted, &deployment.rejected] {
        // Aborted ones, too: anyone may read them.
        let records = broker.read_all(topic, Isolation::Uncommitted);
        outputs += records.len();
        haystacks.extend(
            records
                .iter()
                .map(|record| (format!("{topic} {}", record.offset), bytes_of(record))),
        );
    }
    assert!(outputs > messages, "{outputs} outputs of {messages} messages");
    let public = broker.read_all(&deployment.public, Isolation::Committed);
    let beside = |record: &Rec| memchr::memmem::find(&bytes_of(record), b"2026-10.").is_some();
    assert!(
        !public.is_empty() && public.iter().all(beside),
        "the columns of the overlap were searched"
    );

    // The markers were really sent, and an authorised reader gets them back.
    let raw: Vec<u8> = broker
        .read_all(&deployment.raw, Isolation::Committed)
        .iter()
        .flat_map(bytes_of)
        .collect();
    for mark in &marks.all {
        assert!(!finds(mark, &raw).is_empty(), "{mark} was not sent");
    }
    let opened: String = deployment
        .open(&deployment.restricted)
        .iter()
        .map(ToString::to_string)
        .collect();
    let back = marks
        .all
        .iter()
        .filter(|mark| opened.contains(mark.as_str()))
        .count();
    assert!(back > 10, "{back} markers came back out of the restricted topic");

    let mut leaks = Vec::new();
    for mark in &marks.all {
        for (name, haystack) in &haystacks {
            leaks.extend(
                finds(mark, haystack)
                    .iter()
                    .map(|spelling| format!("{mark} as {spelling} in {name}")),
            );
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// The control: without it the search could be blind.
fn a_planted_marker_is_found_in_every_spelling() {
    let mut marks = Marks::default();
    let (number, word) = (marks.national(), marks.word());
    for mark in [&number, &word] {
        let names: BTreeSet<&str> = spellings(mark).iter().map(|(name, _)| *name).collect();
        for name in &names {
            for (_, bytes) in spellings(mark).iter().filter(|(found, _)| found == name) {
                let mut copy = b"a line {\"x\":\"".to_vec();
                copy.extend_from_slice(bytes);
                copy.extend_from_slice(b"\"}");
                assert!(finds(mark, &copy).contains(name), "{mark} as {name}");
            }
        }
    }
    // As real encoders write it, in all three alignments and with neighbours.
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}{number}zz");
        assert!(
            finds(&number, BASE64.encode(text.as_bytes()).as_bytes()).contains(&"base64"),
            "{before}"
        );
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(finds(&number, &wide).contains(&"UTF-16 LE"), "{before}");
    }
    for digits in [format!("44{number}"), format!("0{number}"), format!("1{number}5")] {
        assert!(finds(&number, &tbcd(&digits)).contains(&"TBCD"), "{digits}");
    }
    assert_eq!(finds(&number, b"+44 7700 900000 and nothing else"), [""; 0]);
}

/// Identifiers no other record has.
#[derive(Default)]
struct Marks {
    all: Vec<String>,
}

impl Marks {
    /// Ten digits of a British mobile, without `0` or `+44`: what all its spellings share.
    fn national(&mut self) -> String {
        let next = self.all.len();
        self.mark(format!("77009{:05}", 10_007 + next * 13))
    }

    /// So many digits that are no phone number: an IMSI, an IMEI.
    fn digits(&mut self, count: usize) -> String {
        let next = self.all.len();
        self.mark(format!(
            "2341{:0>width$}",
            500_000_003 + next * 77_777,
            width = count - 4
        ))
    }

    /// An address of the documentation prefix (RFC 3849), in its shortest form.
    fn address(&mut self) -> String {
        let next = self.all.len();
        self.mark(format!("2001:db8:5eed:{:x}::{:x}", 0x1000 + next, 0x2000 + next))
    }

    /// A text with what encodings change: a space, a plus, an umlaut.
    fn word(&mut self) -> String {
        let next = self.all.len();
        self.mark(format!("Zoë M+rk-{:04}-qX7", 1_009 + next * 7))
    }

    fn mark(&mut self, text: String) -> String {
        self.all.push(text.clone());
        text
    }
}

/// The spellings in which a marker stands in these bytes.
fn finds(mark: &str, haystack: &[u8]) -> Vec<&'static str> {
    let mut found: Vec<_> = spellings(mark)
        .into_iter()
        .filter(|(_, bytes)| memchr::memmem::find(haystack, bytes).is_some())
        .map(|(name, _)| name)
        .collect();
    found.dedup();
    found
}

/// A marker's spellings: plain, URL-encoded, base64, UTF-16, hex, and as telephone systems pack digits.
fn spellings(mark: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = mark.as_bytes();
    let mut all = vec![("plain", bytes.to_vec())];
    if let Some(local) = mark.strip_prefix("77009").filter(|_| mark.len() == 10) {
        all.push(("grouped", format!("7700 9{local}").into_bytes()));
    }
    let every = |byte: &u8| format!("%{byte:02X}");
    let url: String = bytes.iter().map(every).collect();
    all.push(("URL-encoded", url.to_lowercase().into_bytes()));
    all.push(("URL-encoded", url.into_bytes()));
    let mut needed = String::new();
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => needed.push(byte.into()),
            _ => write!(needed, "%{byte:02X}").unwrap(),
        }
    }
    all.push(("URL-encoded", needed.replace("%20", "+").into_bytes()));
    all.push(("URL-encoded", needed.into_bytes()));
    for before in 0..3 {
        let padded = [&b"..."[..before], bytes].concat();
        // Characters that also hold bits of neighbours are left out.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoding in [BASE64, BASE64URL] {
            all.push(("base64", encoding.encode(&padded).as_bytes()[from..to].to_vec()));
        }
    }
    all.push((
        "UTF-16 LE",
        mark.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ));
    all.push((
        "UTF-16 BE",
        mark.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ));
    all.push(("hex", HEXLOWER.encode(bytes).into_bytes()));
    if mark.bytes().all(|byte| byte.is_ascii_digit()) {
        // Two digits a byte, low nibble first (3GPP TS 29.002); begun at an even and at an odd digit.
        let odd = &mark[1..];
        let halves = [&mark[..mark.len() & !1], &odd[..odd.len() & !1]];
        for packed in halves.map(tbcd) {
            all.push(("TBCD in hex", HEXLOWER.encode(&packed).into_bytes()));
            all.push(("TBCD", packed));
        }
    } else {
        all.push(("escaped", mark.escape_unicode().to_string().into_bytes()));
        all.push(("JSON", mark.replace('ë', "\\u00eb").into_bytes()));
    }
    all
}

fn tbcd(digits: &str) -> Vec<u8> {
    let nibble = |digit: &u8| digit - b'0';
    let byte = |pair: &[u8]| pair.get(1).map_or(0xf, nibble) << 4 | nibble(&pair[0]);
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// Everything of a record that lies on the broker.
fn bytes_of(record: &Rec) -> Vec<u8> {
    let mut bytes = record.key.clone().unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend(record.value.as_deref().unwrap_or_default());
    for (name, value) in &record.headers {
        bytes.extend([b"\n", name.as_bytes(), b"=", value].concat());
    }
    bytes
}
