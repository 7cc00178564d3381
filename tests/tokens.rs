//! `cdrveil tokens` as a user types it: customer master data in, the public topic's tokens out.
//!
//! Expected tokens are the tests' own (`support/oracle.rs`, held to `data/vectors.json` by `end_to_end`).
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[allow(dead_code)] // it opens envelopes too
#[path = "support/oracle.rs"]
mod oracle;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use cdrveil::seal::opener::Opener;
use oracle::{Epoch, Scope};

/// Epoch, key, key check value.
const KEYS: [(&str, &str, &str); 2] = [
    (
        "2026-11",
        "6d1f0be2a4937c58d2e90f4b7a61c38e15f7a0bc92d4637881efcd5a06b3924e",
        "e5c5b4f0",
    ),
    (
        "2026-12",
        "c04a8d37e95b12f6708e3ac1d94f65b22e7810fbd6935a4c8f01b7e3629dc458",
        "dcfd7381",
    ),
];

fn token(epoch: usize, kind: &str, scope: Scope<'_>, value: &str) -> String {
    let (id, key_hex, _) = KEYS[epoch];
    let domain = "billing";
    Epoch { id, key_hex, domain }.token(kind, scope, value)
}

/// 447700900123 as a subscriber.
fn subscriber(epoch: usize) -> String {
    token(epoch, "phone", Scope::Domain, "447700900123")
}

/// 442079460958, as seen by 447700900123 in November.
fn friend() -> String {
    token(0, "phone", Scope::Pairwise("447700900123"), "442079460958")
}

fn as_imsi() -> String {
    token(0, "imsi", Scope::Domain, "447700900123")
}

const POLICY: &str = r#"
[input]
format = "csv"
columns = ["id", "caller", "called", "imsi", "trunk", "start", "seconds"]
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
[output]
key = "caller"
[fields]
id      = "keep"
caller  = { action = "pseudonymise", kind = "phone" }
called  = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller" }
imsi    = { action = "pseudonymise", kind = "imsi" }
trunk   = { action = "pseudonymise", kind = "text", scope = "record" }
start   = "keep"
seconds = "keep"
"#;

/// A folder with a working configuration: a destroyed key and two others.
struct Place {
    folder: tempfile::TempDir,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut keyring = "version = 1\n".to_owned();
        for (id, hex, kcv) in KEYS {
            let file = place.folder.path().join(format!("{id}.key"));
            fs::write(&file, hex).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
            let key = format!(
                "[[key]]\nid = \"{id}\"\nactivate_at = {id}-01T00:00:00Z\nmaterial = {{ file = \"{id}.key\" }}\nkcv = \"{kcv}\"\n"
            );
            keyring += &key;
        }
        keyring += "[[key]]\nid = \"2026-10\"\nactivate_at = 2026-10-01T00:00:00Z\nstatus = \"destroyed\"\n";
        place.write("keyring.toml", &keyring);
        place.write("policy.toml", POLICY);
        place.write(
            "cdrveil.toml",
            &format!(
                "domain = \"billing\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
                 [kafka]\nbrokers = [\"localhost:9092\"]\ngroup = \"g\"\n\
                 [topics]\nraw = [\"r\"]\npublic = \"p\"\nrestricted = \"s\"\nrejected = \"x\"\n\
                 [seal]\nrecipients = [\"{}\"]\n",
                Opener::new_identity().1
            ),
        );
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Runs `cdrveil tokens WORDS customers.csv` on this text.
    fn tokens(&self, words: &str, customers: &str) -> Ran {
        self.write("customers.csv", customers);
        self.run(&format!("tokens --config cdrveil.toml {words} customers.csv"))
    }

    fn run(&self, words: &str) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn a_column_becomes_one_column_of_tokens_per_epoch() {
    let place = Place::new();
    let ran = place.tokens(
        "--column number",
        "account,number,plan\nA-1,07700 900123,\"gold, \"\"old\"\"\"\r\nA-2,+442079460958,x\n",
    );
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "cdrveil: rows=2 written=2 refused=0\n")
    );
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "account,number_2026-11,number_2026-12,plan");
    assert_eq!(
        lines[1],
        format!("A-1,{},{},\"gold, \"\"old\"\"\"", subscriber(0), subscriber(1))
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn kind_and_scope_are_those_of_the_field() {
    let place = Place::new();
    let (subscriber, friend) = (subscriber(0), friend());
    // Options, the file, the line behind the header.
    let cases = [
        (
            "--field caller --column n",
            "n\n00447700900123\n",
            subscriber.clone(),
        ),
        (
            "--field caller --column n",
            "n\n\"sip:+447700900123@pbx.example\"\n",
            subscriber.clone(),
        ),
        ("--field imsi --column n", "n\n447700900123\n", as_imsi()),
        (
            "--field called --column friend --with n",
            "friend,n\n020 7946 0958,07700900123\n",
            format!("{friend},{subscriber}"),
        ),
        (
            "--field called --column friend --with n --delimiter ;",
            "\u{feff}n;friend;a,b\n07700900123;020 7946 0958;\"c;d\"\n",
            format!("{subscriber};{friend};\"c;d\""),
        ),
    ];
    for (words, file, expected) in cases {
        let ran = place.tokens(&format!("{words} --epochs 2026-11"), file);
        assert_eq!(ran.code, 0, "{words}: {}", ran.err);
        assert_eq!(ran.out.lines().nth(1), Some(expected.as_str()), "{words}");
    }
}

#[test]
fn tokens_are_those_that_apply_writes() {
    let place = Place::new();
    place.write(
        "calls.csv",
        "1,+44 7700 900123,02079460958,447700900123,t,2026-11-05T09:00:00Z,7\n",
    );
    let ran = place
        .run("apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected x.jsonl calls.csv");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let public = place.read("p.csv");
    let fields: Vec<&str> = public.split(',').collect();
    assert_eq!(fields[1..4], [subscriber(0), friend(), as_imsi()]);
}

#[test]
fn epochs_are_chosen_by_list_or_range() {
    let place = Place::new();
    for (epochs, header) in [
        ("", "n_2026-11,n_2026-12"),
        ("--epochs 2026-12", "n_2026-12"),
        ("--epochs 2026-12,2026-11,2026-12", "n_2026-11,n_2026-12"),
        ("--epochs 2026-11..2026-12", "n_2026-11,n_2026-12"),
    ] {
        let ran = place.tokens(&format!("--column n {epochs}"), "n\n07700900123\n");
        assert_eq!(
            (ran.code, ran.out.lines().next()),
            (0, Some(header)),
            "{}",
            ran.err
        );
    }
}

#[test]
fn refused_rows_are_listed_by_line_and_never_shown() {
    let place = Place::new();
    let file = "account,number\n\
        A-1,07700 900123\n\
        \"A\n2\",none\n\
        A-3,\n\
        A-4,999\n\
        A-5,+447700900124,extra\n\
        A-6,0044 7700 900123\n\
        A-7,020 7946 0958\n\
        A-8,+447700900123\n\
        A-9,7700900125\n\
        \"A\"10,07700900126\n";
    let expected = "customers.csv:2: the same subscriber as line 8: one token would have two accounts\n\
        customers.csv:3: identifies nobody (the public topic has a label here, no token)\n\
        customers.csv:5: blank\n\
        customers.csv:6: identifies nobody (the public topic has a label here, no token)\n\
        customers.csv:7: 3 columns, but the header row has 2\n\
        customers.csv:8: the same subscriber as line 2: one token would have two accounts\n\
        customers.csv:10: the same subscriber as line 2: one token would have two accounts\n\
        customers.csv:11: not readable as this field's kind (records with it are rejected: number)\n\
        customers.csv:12: bytes stand between a closing quote and the delimiter\n";
    let told = "cdrveil: rows=10 written=1 refused=9\n";
    let ran = place.tokens("--column number --epochs 2026-11", file);
    assert_eq!((ran.code, ran.err), (1, format!("{expected}{told}")));
    assert_eq!(ran.out.lines().count(), 2);
    assert!(ran.out.lines().nth(1).unwrap().starts_with("A-7,2026-11."));

    let ran = place.tokens(
        "--column number --epochs 2026-11 --output o.csv --rejects r.txt",
        file,
    );
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", told));
    assert_eq!(place.read("r.txt"), expected);
    assert_eq!(place.read("o.csv").lines().count(), 2);
}

#[test]
fn a_pair_whose_served_party_is_nobody_is_refused() {
    let place = Place::new();
    let ran = place.tokens(
        "--field called --column friend --with n",
        "n,friend\nanonymous,020 7946 0958\n,020 7946 0958\n07700900123,020 7946 0958\n07700900124,020 7946 0958\n",
    );
    assert_eq!((ran.code, ran.out.lines().count()), (1, 3), "{}", ran.err);
    assert_eq!(ran.err.matches("served party").count(), 2, "{}", ran.err);
}

#[test]
fn what_cannot_be_asked_is_told_before_anything_is_written() {
    let place = Place::new();
    let file = "account,number,number,n,n_2026-11\nA-1,1,2,07700900123,x\n";
    for (words, said) in [
        ("--column nummer", "the header row does not name it"),
        ("--column number", "names it twice"),
        ("--column n", "\"n_2026-11\" already"),
        ("--column n --field trunk", "scope \"record\""),
        ("--column n --field start", "is not pseudonymised"),
        ("--column n --field nobody", "with tokens: caller, called, imsi"),
        (
            "--column n --field called",
            "name the column of the served party (caller) by --with",
        ),
        ("--column n --field called --with n", "the same column"),
        ("--column n --with account", "leave --with out"),
        ("--column n --epochs 2027-01", "no such epoch"),
        ("--column n --epochs 2026-10", "the key of 2026-10 is destroyed"),
        (
            "--column n --epochs 2026-10..2026-12",
            "the key of 2026-10 is destroyed",
        ),
        ("--column n --epochs 2026-12..2026-11", "ends before it begins"),
        ("--column n --delimiter .", "one character"),
        (
            "--column account --output customers.csv --force",
            "is the input file",
        ),
        ("--column account --output policy.toml", "policy.toml exists"),
        ("--column account --output o.csv --rejects o.csv", "the same file"),
    ] {
        let made = if words.contains("--output") {
            ""
        } else {
            "--output made.csv"
        };
        let ran = place.tokens(&format!("{words} {made}"), file);
        assert_eq!(ran.code, 64, "{words}: {}", ran.err);
        assert!(
            ran.err.contains(said) && !ran.err.contains("7700"),
            "{words}: {}",
            ran.err
        );
        assert!(
            !place.folder.path().join("made.csv").exists() && ran.out.is_empty(),
            "{words}"
        );
    }
    assert_eq!(place.run("tokens --config cdrveil.toml --column n -").code, 64);
    assert_eq!(
        place
            .run("tokens --config cdrveil.toml --column n nowhere.csv")
            .code,
        70
    );
    assert_eq!(
        place
            .run("tokens --config nowhere.toml --column n customers.csv")
            .code,
        78
    );
    let ran = place.tokens("--column n", "n\n07700900123\n\"open\n");
    assert_eq!((ran.code, ran.out.as_str()), (70, ""));
    assert!(
        ran.err.contains("customers.csv:3: a quote is left open"),
        "{}",
        ran.err
    );
    assert_eq!(place.tokens("--column n", "").code, 64);
}

#[test]
fn what_stands_beside_a_token_is_what_the_mapping_has_for_the_epoch_before() {
    let place = Place::new();
    let keyring = place.read("keyring.toml");
    place.write(
        "keyring.toml",
        &keyring.replace("version = 1\n", "version = 1\n[epochs]\noverlap = \"7d\"\n"),
    );
    let policy = POLICY.replace(
        "[numbers]",
        "header = \"check\"\nmax_future = \"36500d\"\n[numbers]",
    );
    place.write("policy.toml", &policy);
    let row = |start: &str| format!("c,07700 900123,020 7946 0958,234150000000001,t-1,{start},60\n");
    let starts = [
        "2026-11-05T00:00:00Z",
        "2026-12-01T00:00:00Z",
        "2026-12-07T23:59:59Z",
        "2026-12-08T00:00:00Z",
    ];
    let header = "id,caller,called,imsi,trunk,start,seconds";
    place.write("calls.csv", &format!("{header}\n{}", starts.map(row).concat()));
    let ran = place
        .run("apply --config cdrveil.toml --public p.csv --restricted s.jsonl --rejected x.jsonl calls.csv");
    assert_eq!(ran.code, 0, "{}", ran.err);

    let mapped = |words: &str, customers: &str| {
        let ran = place.tokens(words, customers);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let line = ran.out.lines().nth(1).unwrap().to_owned();
        line.split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let own = mapped("--field caller --column n", "n\n+447700900123\n");
    assert_eq!(own, [subscriber(0), subscriber(1)]);
    let friend = mapped(
        "--field called --column n --with w",
        "n,w\n02079460958,07700900123\n",
    );
    let imsi = mapped("--field imsi --column n", "n\n234150000000001\n");
    let public = place.read("p.csv");
    let lines: Vec<Vec<&str>> = public.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        lines[0].join(","),
        format!("{header},record_id,caller_prev,called_prev,imsi_prev,trunk_prev")
    );
    for (at, (line, within)) in lines[1..].iter().zip([false, true, true, false]).enumerate() {
        let epoch = usize::from(at > 0);
        assert_eq!(line[1..4], [&own[epoch], &friend[epoch], &imsi[epoch]], "{at}");
        assert_eq!(line[7], format!("calls.csv/{at}"));
        if within {
            let trunk = token(0, "text", Scope::Record(line[7]), "t-1");
            assert_eq!(line[8..], [&own[0], &friend[0], &imsi[0], &trunk], "{at}");
        } else {
            assert_eq!(line[8..], ["", "", "", ""], "{at}");
        }
    }
    let told = place.run("explain --config cdrveil.toml calls.csv");
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("_prev: the token under the key of the epoch before, for calls soon after an epoch begins (overlap 168h)"), "{}", told.out);
    let shown = told
        .out
        .lines()
        .filter(|line| line.contains("caller_prev  ") && line.ends_with(&subscriber(0)));
    assert_eq!(shown.count(), 2, "{}", told.out);
}
