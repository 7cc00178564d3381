//! What `explain` tells of a policy, of CSV and JSON records, and to a reader that goes away.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::{Place, ROW};

const JSON_POLICY: &str = r#"
[input]
format = "json"
unlisted = "drop"
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
[fields]
id = "keep"
caller = { action = "pseudonymise", kind = "phone", derive = ["class"] }
"legs[].to" = { action = "pseudonymise", kind = "phone" }
imsi = "restrict"
note = "drop"
cost = "keep"
start = { action = "coarsen", to = "hour" }
"#;

#[test]
fn a_json_record_is_told_field_by_field() {
    let place = Place::new();
    place.write("policy.toml", JSON_POLICY);
    let record = r#"{"id":1,"caller":"07700900001","legs":[{"to":"999"},{"to":"+447700900002"}],
        "imsi":"234150000000001","note":"hello","other":"x","start":"2026-11-05T09:15:00Z"}"#;
    place.write("in.json", record);
    let ran = place.run("explain --config cdrveil.toml in.json");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let told: Vec<Vec<&str>> = ran
        .out
        .lines()
        .skip_while(|line| !line.contains("accepted, epoch"))
        .skip(2)
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect()
        })
        .collect();
    for (name, how, value) in [
        ("id", "keep", "1"),
        ("caller", "pseudonymise phone domain", "\"2026-11."),
        (
            "legs[].to",
            "pseudonymise phone domain",
            "_emergency (a label: this value identifies nobody), \"2026-11.",
        ),
        ("imsi", "restrict", "(absent: sealed where it was there)"),
        ("note", "drop", "(absent)"),
        ("cost", "keep", "(the record has none)"),
        ("start", "coarsen", "\"2026-11-05T09:00:00Z\""),
        ("caller_class", "appended", "\""),
        ("record_id", "appended", "\"in.json\""),
    ] {
        let row = told.iter().find(|row| row[0] == name);
        assert!(
            row.is_some_and(|row| row[1] == how && row[2].starts_with(value)),
            "{name}: {row:?}\n{}",
            ran.out
        );
    }
    for secret in ["7700", "23415", "hello", "09:15"] {
        assert!(!ran.out.contains(secret), "{secret}\n{}", ran.out);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let place = Place::new();
    place.write("calls.csv", &format!("{ROW}\n").repeat(5_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(["explain", "--config", "cdrveil.toml", "calls.csv"])
        .current_dir(place.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn explain_shows_the_policy_and_what_would_be_public() {
    let place = Place::new();
    let table = place.run("explain --config cdrveil.toml");
    assert_eq!((table.code, table.err.as_str()), (0, ""));
    for line in [
        "pseudonymise phone pairwise caller",
        "the public record's Kafka key",
        "start of the call: chooses the epoch",
        "appended: called_class, called_country, record_id",
    ] {
        assert!(table.out.contains(line), "{line}\n{}", table.out);
    }
    let bad = ROW.replace("07700 900002", "7700900002");
    place.write("calls.csv", &format!("{ROW}\n{bad}\nx,y\n"));
    let ran = place.run("explain --config cdrveil.toml calls.csv");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in [
        "calls.csv/0: accepted, epoch 2026-11",
        "calls.csv/1: rejected (number) at field \"called\": no value",
        "calls.csv/2: rejected (columns)",
    ] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    let piped = place.feed("explain --config cdrveil.toml", ROW);
    assert!(piped.out.contains("stdin: accepted"), "{}", piped.out);
    for secret in ["7700", "234150", "1234", "hello"] {
        assert!(
            !(ran.out.clone() + &piped.out).contains(secret),
            "{secret}\n{}",
            ran.out
        );
    }
}
