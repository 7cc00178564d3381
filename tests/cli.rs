//! The verbs as a user types them, without a broker: files in, messages and exit codes out.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/learn.rs"]
mod learn;
#[path = "cli/maps.rs"]
mod maps;
#[path = "cli/open.rs"]
mod open;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/sources.rs"]
mod sources;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cdrveil::config::Config;
use cdrveil::seal::opener::Opener;
use serde_json::Value;

const KEY: &str = "6d1f0be2a4937c58d2e90f4b7a61c38e15f7a0bc92d4637881efcd5a06b3924e";
const KCV: &str = "e5c5b4f0";
/// A row of the shipped policy.
const ROW: &str = "c-1,voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,hello";

/// A folder with the shipped files, a key, and an identity that opens what is sealed there.
struct Place {
    folder: tempfile::TempDir,
}

/// What a verb left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for file in ["cdrveil.toml", "policy.toml", "keyring.toml"] {
            made.write(file, &shipped(file));
        }
        made.write("2026-11.key", &format!("{KEY}\n"));
        made.mode("2026-11.key", 0o400);
        // It ships with its key as a commented example.
        let example = "# [[key]]\n# id = \"2026-11\"\n# activate_at = 2026-11-01T00:00:00Z\n\
                       # material = { file = \"2026-11.key\" }\n# kcv = \"00000000\"\n";
        let key = example.replace("# ", "").replace("00000000", KCV);
        made.edit("keyring.toml", example, &key);
        let (identity, recipient) = Opener::new_identity();
        made.write("id.txt", identity.expose());
        made.edit("cdrveil.toml", &shipped_recipient(), &recipient);
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old}");
        self.write(name, &text.replacen(old, new, 1));
    }

    /// Runs `cdrveil WORDS` there.
    fn run(&self, words: &str) -> Ran {
        self.feed(words, "")
    }

    fn feed(&self, words: &str, stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn shipped(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)).unwrap()
}

/// The public key in the shipped configuration, whose identity nobody has.
fn shipped_recipient() -> String {
    let sample = shipped("cdrveil.toml");
    let list = sample.split("recipients = [\"").nth(1).unwrap();
    list.split('"').next().unwrap().to_owned()
}

/// `file:line:column: ` of the first place of a text.
fn place_of(file: &str, text: &str, at: &str) -> String {
    let start = text.find(at).unwrap_or_else(|| panic!("{file} has no {at}"));
    let line = text[..start].matches('\n').count() + 1;
    let column = start - text[..start].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("{file}:{line}:{column}: ")
}

#[test]
fn check_is_content_with_what_is_shipped() {
    let place = Place::new();
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for part in [
        "config     ok",
        "policy     ok  9 fields",
        "keyring    ok  1 epoch,",
        "recipients ok  1",
        "read_committed",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn check_tells_every_fault_at_its_place_with_what_to_do() {
    // File, what is replaced, by what, the text to blame, what is said.
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "cdrveil.toml",
            "domain =",
            "domian =",
            "domian",
            "unknown field `domian`",
        ),
        (
            "cdrveil.toml",
            "domain = \"billing\"",
            "domain = \"bill ing\"",
            "\"bill ing\"",
            "without spaces",
        ),
        (
            "cdrveil.toml",
            "\"cdr.billing\"",
            "\"cdr.restricted\"",
            "\"cdr.restricted\"  # sealed",
            "is the public topic \"cdr.restricted\" again",
        ),
        (
            "cdrveil.toml",
            "raw = [\"cdr.raw\"]",
            "raw = []",
            "[]              # one",
            "raw is empty: name the topic to read",
        ),
        (
            "cdrveil.toml",
            "recipients = [\"",
            "recipients = [\"nobody\", \"",
            "\"nobody\"",
            "[seal] recipients",
        ),
        (
            "cdrveil.toml",
            "# commit_interval = \"100ms\"",
            "commit_interval = \"100\"",
            "\"100\"",
            "a whole number with a unit",
        ),
        (
            "cdrveil.toml",
            "# commit_interval = \"100ms\"",
            "commit_interval = \"10s\"",
            "\"10s\"",
            "must be between 1ms and 7500ms",
        ),
        (
            "cdrveil.toml",
            "# lanes = 3",
            "lanes = 0",
            "0\n\n# \"input\"",
            "lanes must be between 1 and 256",
        ),
        (
            "cdrveil.toml",
            "[kafka.properties]",
            "[kafka.properties]\n\"sesion.timeout.ms\" = 6000",
            "\"sesion.timeout.ms\"",
            "sesion.timeout.ms",
        ),
        (
            "cdrveil.toml",
            "[kafka.properties]",
            "[kafka.properties]\n\"enable.auto.commit\" = true",
            "\"enable.auto.commit\"",
            "enable.auto.commit",
        ),
        (
            "cdrveil.toml",
            "# listen = \"127.0.0.1:9464\"",
            "listen = \"localhost\"",
            "\"localhost\"\n\n[log]",
            "[admin] listen is an IP address and a port, such as \"127.0.0.1:9464\"",
        ),
        (
            "cdrveil.toml",
            "[seal]",
            "[seal",
            "\n# Public keys",
            "unclosed table",
        ),
        (
            "cdrveil.toml",
            "policy = \"policy.toml\"",
            "policy = \"nowhere.toml\"",
            "\"nowhere.toml\"",
            "nowhere.toml cannot be read",
        ),
        (
            "policy.toml",
            "note    = \"drop\"",
            "note    = \"hash\"",
            "\"hash\"",
            "action \"hash\" is unknown (keep, pseudonymise, restrict, coarsen, drop)",
        ),
        (
            "policy.toml",
            "kind = \"phone\", scope = \"domain\"",
            "kind = \"fone\", scope = \"domain\"",
            "\"fone\"",
            "kind \"fone\" is unknown",
        ),
        (
            "policy.toml",
            "cell    = \"restrict\"\n",
            "",
            "\"cell\"",
            "column \"cell\" has no line under [fields]",
        ),
        (
            "policy.toml",
            "zone = \"Europe/London\"",
            "zone = \"Europe/Londn\"",
            "\"Europe/Londn\"",
            "use an IANA name",
        ),
        (
            "policy.toml",
            "with = \"caller\"",
            "with = \"cell\"",
            "\"cell\", derive",
            "must itself be pseudonymised",
        ),
        (
            "policy.toml",
            "key = \"caller\"",
            "key = \"imsi\"",
            "\"imsi\"\n\n# Name",
            "a Kafka key is as public as the record",
        ),
        (
            "keyring.toml",
            KCV,
            "00000001",
            "\"00000001\"",
            "these are the wrong bytes for this id",
        ),
        (
            "keyring.toml",
            "activate_at = 2026-11-01T00:00:00Z",
            "activate_at = 2026-11-01T00:00:00",
            "2026-11-01T00:00:00\n",
            "has no offset, so it names no moment",
        ),
        (
            "keyring.toml",
            "{ file = \"2026-11.key\" }",
            "{ file = \"2026-12.key\" }",
            "{ file = \"2026-12.key\"",
            "2026-12.key",
        ),
        (
            "keyring.toml",
            "id = \"2026-11\"",
            "id = \"Nov 2026\"",
            "\"Nov 2026\"",
            "id",
        ),
    ];
    for (file, old, new, at, said) in cases {
        let broken = Place::new();
        broken.edit(file, old, new);
        let ran = broken.run("check --config cdrveil.toml --offline");
        let blamed = place_of(file, &broken.read(file), at);
        assert_eq!(ran.code, 78, "{new}: {}{}", ran.out, ran.err);
        let line = ran.err.lines().find(|line| line.starts_with(&blamed));
        assert!(
            line.is_some_and(|line| line.contains(said)),
            "{new}: {blamed}{said}\n{}",
            ran.err
        );
        assert!(
            ran.err.ends_with("fault found\n") || ran.err.ends_with("faults found\n"),
            "{}",
            ran.err
        );
        assert_eq!(ran.out, "");
        // `run` refuses the same, before it looks for a broker.
        let ran = broken.run("run --config cdrveil.toml");
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(&blamed), "{}", ran.err);
    }
}

#[test]
fn check_tells_faults_of_all_files_at_once_and_shows_no_key() {
    let place = Place::new();
    place.edit("cdrveil.toml", "\"cdr.billing\"", "\"cdr raw\"");
    place.edit("policy.toml", "note    = \"drop\"", "note = \"hash\"");
    place.write("short.key", "6d1f0be2a4937c58\n");
    place.mode("short.key", 0o400);
    place.edit("keyring.toml", "2026-11.key", "short.key");
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("cdrveil: 3 faults found"), "{}", ran.err);
    assert!(!ran.err.contains("6d1f0be2"), "{}", ran.err);
    let open = Place::new();
    open.mode("2026-11.key", 0o644);
    let ran = open.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("keyring.toml:") && ran.err.contains("2026-11.key"),
        "{}",
        ran.err
    );
    let missing = open.run("check --config nowhere/cdrveil.toml --offline");
    assert_eq!(missing.code, 78);
    assert!(
        missing.err.starts_with("nowhere/cdrveil.toml: cannot be read"),
        "{}",
        missing.err
    );
}

#[test]
fn check_warns_of_what_invoices_would_show() {
    let place = Place::new();
    place.edit("policy.toml", "id      = \"keep\"", "id = \"drop\"");
    place.edit(
        "policy.toml",
        "seconds = \"keep\"",
        "seconds = { action = \"coarsen\", step = 6 }",
    );
    // Midnight in Paris; the calls' zone is London's.
    let key =
        place.run("keys new --keyring keyring.toml --id second --activate-at 2026-12-01T00:00:00+01:00");
    place.write("keyring.toml", &(place.read("keyring.toml") + &key.out));
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let (policy, keyring) = (place.read("policy.toml"), place.read("keyring.toml"));
    for expected in [
        place_of("policy.toml", &policy, "seconds = {") + "fields.seconds: a coarsened duration",
        place_of("policy.toml", &policy, "[\"id\", \"type\"") + "[fields] no call id is kept",
        place_of("keyring.toml", &keyring, "2026-11-30T23:00:00Z")
            + "key \"second\" begins at 23:00:00 in Europe/London",
        "midnight is 2026-11-30T00:00:00+00:00".to_owned(),
    ] {
        assert!(ran.out.contains(&expected), "{expected}: {}", ran.out);
    }
    assert_eq!(ran.out.matches("warning: ").count(), 3, "{}", ran.out);
}

#[test]
fn check_without_a_broker_ends_with_69() {
    let place = Place::new();
    place.edit("cdrveil.toml", "localhost:9092", "127.0.0.1:9");
    place.edit(
        "cdrveil.toml",
        "# start_timeout = \"30s\"",
        "start_timeout = \"1s\"",
    );
    let ran = place.run("check --config cdrveil.toml");
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(
        ran.err.contains("no broker answered within 1s at 127.0.0.1:9"),
        "{}",
        ran.err
    );
    let ran = place.run("run --config cdrveil.toml");
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(ran.err.contains("no broker answered within 1s"), "{}", ran.err);
}

/// Keys whose value in the file is an example, not the default (the default is said beside them).
const EXAMPLES: [&str; 8] = [
    "instance",
    "lanes",
    "comment",
    "emergency",
    "escape",
    "markers",
    "preset",
    "extensions",
];
/// Keys that mean something beside others only, as the lines themselves say.
const BESIDE_OTHERS: [&str; 6] = ["maps.zone", "optional", "records", "when", "column", "columns"];

#[test]
fn every_commented_out_key_is_accepted_and_says_its_default() {
    let load = |place: &Place| Config::load(&place.path("cdrveil.toml"), &[]);
    let shown = |config: &Config| {
        let policy = &config.policy;
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            config.domain,
            config.topics,
            config.delivery,
            config.admin,
            config.log,
            config.kafka.start_timeout(),
            policy.format,
            policy.max_future,
            policy.max_record,
            policy.record_id,
            policy.headers,
            policy.numbers
        )
    };
    let plain = shown(&load(&Place::new()).unwrap());
    let mut seen = Vec::new();
    for file in ["cdrveil.toml", "policy.toml", "keyring.toml"] {
        let text = Place::new().read(file);
        for (line, key) in text.lines().filter_map(|line| Some((line, commented_key(line)?))) {
            if BESIDE_OTHERS.contains(&key.as_str()) {
                continue;
            }
            let place = Place::new();
            place.write("password", "secret\n");
            place.mode("password", 0o400);
            for (name, text) in LISTS {
                place.write(name, text);
            }
            // A mechanism without its protocol and password is none: these go together.
            let together = |other: &&str| {
                let other = commented_key(other).unwrap_or_default();
                let login = |key: &str| key.starts_with("sasl.") || key.starts_with("security.");
                other == key || login(&key) && login(&other)
            };
            for line in text.lines().filter(together) {
                let line = (line, line[2..].replace("/run/secrets/kafka-password", "password"));
                place.edit(file, line.0, &line.1);
            }
            let config = match load(&place) {
                Ok(config) => config,
                // The system's own certificates may not be there.
                Err(_) if key == "ssl.ca.location" => continue,
                Err(faults) => panic!("{file}: {line}: {faults:?}"),
            };
            if !EXAMPLES.contains(&key.as_str()) {
                assert_eq!(shown(&config), plain, "{file}: {line} changes something");
            }
            seen.push(key);
        }
    }
    for key in [
        "start_timeout",
        "guarantee",
        "drain_timeout",
        "listen",
        "level",
        "delimiter",
        "header",
        "max_record",
        "bare",
        "withheld",
        "idd",
        "short",
        "alpha",
        "masked",
        "feature",
        "other",
        "extensions",
        "deck",
        "ports",
        "min_block",
        "record_id",
        "headers",
        "late_window",
        "status",
        "security.protocol",
    ] {
        assert!(
            seen.iter().any(|found| found == key),
            "{key} is not documented: {seen:?}"
        );
    }
}

/// Every key a table takes stands in the sample file: the refusal of an unknown one lists them.
#[test]
fn every_key_is_in_the_sample_files() {
    for (file, old, new) in [
        ("cdrveil.toml", "domain =", "zzz = 1\ndomain ="),
        ("cdrveil.toml", "[kafka]\n", "[kafka]\nzzz = 1\n"),
        ("cdrveil.toml", "[topics]\n", "[topics]\nzzz = 1\n"),
        ("cdrveil.toml", "[delivery]\n", "[delivery]\nzzz = 1\n"),
        ("cdrveil.toml", "[seal]\n", "[seal]\nzzz = 1\n"),
        ("cdrveil.toml", "[admin]\n", "[admin]\nzzz = 1\n"),
        ("cdrveil.toml", "[log]\n", "[log]\nzzz = 1\n"),
        ("policy.toml", "[input]\n", "zzz = 1\n[input]\n"),
        ("policy.toml", "[input]\n", "[input]\nzzz = 1\n"),
        ("policy.toml", "time = {", "time = { zzz = 1,"),
        ("policy.toml", "# maps.zone = {", "maps.zone = { zzz = 1,"),
        ("policy.toml", "[numbers]\n", "[numbers]\nzzz = 1\n"),
        ("policy.toml", "# extensions = {", "extensions = { zzz = 1,"),
        ("policy.toml", "[output]\n", "[output]\nzzz = 1\n"),
        ("policy.toml", "{ action =", "{ zzz = 1, action ="),
        ("keyring.toml", "version = 1", "version = 1\nzzz = 1"),
        ("keyring.toml", "[epochs]", "[epochs]\nzzz = 1"),
        ("keyring.toml", "id = \"2026-11\"", "id = \"2026-11\"\nzzz = 1"),
    ] {
        let place = Place::new();
        place.edit(file, old, new);
        let ran = place.run("check --config cdrveil.toml --offline");
        let said = ran.err.lines().find(|line| line.contains("unknown field `zzz`"));
        let said = said.unwrap_or_else(|| panic!("{file}: {new}: {}", ran.err));
        let listed = said.split(", expected ").nth(1).unwrap();
        let keys: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{said}");
        let text = shipped(file);
        let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        for key in keys {
            assert!(
                words.clone().any(|word| word == key),
                "{file} does not mention {key}"
            );
        }
    }
}
/// A deck and lists, as the shipped policy names them.
const LISTS: [(&str, &str); 4] = [
    (
        "deck.csv",
        "prefix,zone,class\n+44,UK,\n+447,UK-MOBILE,mobile\n118118,DIRECTORY,\n+447700900009,VIP,premium\n",
    ),
    ("own.txt", "number\n+447700900002\n"),
    ("payers.txt", "07700 900002\n"),
    ("ports.csv", "number,network\n07700900003,23415\n"),
];

/// The key of `# key = value`; prose has none.
fn commented_key(line: &str) -> Option<String> {
    let text = line.strip_prefix("# ").filter(|text| !text.starts_with(' '))?;
    let (key, value) = text.split_once('=')?;
    let key = key.trim().trim_matches('"');
    let word = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'));
    (word && !value.trim().is_empty()).then(|| key.to_owned())
}

const APPLY: &str = "apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected x.jsonl";

#[test]
fn apply_writes_what_the_daemon_would_and_open_reads_it() {
    let place = Place::new();
    let bad = ROW.replace("c-1", "c-2").replace("+447700900001", "7700900001");
    place.write("one.csv", &format!("{ROW}\n{bad}\n"));
    place.write("two.csv", &ROW.replace("c-1", "c-3"));
    let ran = place.run(&format!("{APPLY} one.csv two.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err.lines().last(),
        Some("cdrveil: in=3 public=2 rejected=1 skipped=0 restricted=2")
    );
    let public = place.read("p.csv");
    let rows: Vec<Vec<&str>> = public.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows[0][0], rows[1][0], rows.len()), ("c-1", "c-3", 2));
    assert_eq!(rows[0][2..4], rows[1][2..4], "one subscriber, one token");
    assert!(rows[0][2].starts_with("2026-11.") && rows[0][2].len() == 34);
    assert_eq!(
        rows[0][4..],
        [
            "",
            "",
            "2026-11-05 09:15:00",
            "42",
            "",
            rows[0][9],
            "GB",
            "one.csv/0"
        ]
    );
    assert_eq!(rows[1][11], "two.csv/0");
    assert!(!(public + &place.read("r.jsonl") + &place.read("x.jsonl")).contains("7700"));

    let opened = place.run("open --identity id.txt r.jsonl x.jsonl");
    assert_eq!((opened.code, opened.err.as_str()), (0, ""));
    let lines: Vec<Value> = opened
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"record_id": "one.csv/0", "epoch": "2026-11",
            "fields": {"called": "07700 900002", "imsi": "234150000000001", "cell": "1234"}})
    );
    assert_eq!(
        lines[2],
        serde_json::json!({"record_id": "one.csv/1", "reason": "number", "raw": bad})
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn apply_derives_by_deck_and_lists() {
    let place = Place::new();
    for (name, text) in LISTS {
        place.write(name, text);
        let (key, _) = name.split_once('.').unwrap();
        let policy = place.read("policy.toml");
        let line = policy
            .lines()
            .find(|line| line.starts_with(&format!("# {key} ")))
            .unwrap();
        place.edit("policy.toml", line, &line[2..]);
    }
    place.edit(
        "policy.toml",
        "derive = [\"class\", \"country\"]",
        "derive = [\"destination\", \"class\", \"onnet\", \"payer\", \"network\"]",
    );
    let row = |dialled: &str| ROW.replace("07700 900002", dialled);
    place.write(
        "calls.csv",
        &[
            "07700 900002",
            "07700900003",
            "+447700900009",
            "118118",
            "116123",
            "999",
        ]
        .map(row)
        .join("\n"),
    );
    let ran = place.run(&format!("{APPLY} calls.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let public = place.read("p.csv");
    let derived: Vec<Vec<&str>> = public
        .lines()
        .map(|line| line.split(',').skip(9).take(5).collect())
        .collect();
    let payer = derived[0][3];
    assert!(payer.starts_with("2026-11.") && payer.len() == 34, "{payer}");
    assert_eq!(
        derived,
        [
            ["+447~UK-MOBILE~ONNET", "mobile", "1", payer, ""],
            ["+447~UK-MOBILE", "mobile", "0", "", "23415"],
            ["+447~VIP", "premium", "0", "", ""],
            ["118118~DIRECTORY", "short", "", "", ""],
            ["", "helpline", "", "", ""],
            ["", "emergency", "", "", ""],
        ]
    );
    let checked = place.run("check --config cdrveil.toml --offline");
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.out.contains("deck       ok  4 rows, fingerprint "),
        "{}",
        checked.out
    );
    assert!(
        checked.out.contains("ports      ok  1 row, fingerprint "),
        "{}",
        checked.out
    );

    place.write("own.txt", "+447700900002\nsomebody\n");
    let refused = place.run("check --config cdrveil.toml --offline");
    assert_eq!(refused.code, 78);
    assert!(
        refused.err.contains("own.txt:2:1: not a subscriber's number"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains("7700"), "{}", refused.err);
}

#[test]
fn apply_reads_stdin_and_replaces_files_only_when_told() {
    let place = Place::new();
    let ran = place.feed(APPLY, ROW);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let before = place.read("p.csv");
    assert!(before.trim_end().ends_with(",stdin/0"), "{before}");
    let again = place.feed(APPLY, "x");
    assert_eq!(again.code, 70);
    assert!(
        again
            .err
            .contains("p.csv exists: name another file, or --force to replace it"),
        "{}",
        again.err
    );
    assert_eq!(place.read("p.csv"), before);
    let forced = place.feed(&format!("{APPLY} --force"), "x");
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert_eq!(
        (
            place.read("p.csv").as_str(),
            place.read("x.jsonl").lines().count()
        ),
        ("", 1)
    );
}

#[test]
fn apply_keeps_files_apart() {
    let place = Place::new();
    fs::create_dir(place.path("more")).unwrap();
    place.write("in.csv", ROW);
    place.write("more/in.csv", ROW);
    for (words, said) in [
        (
            "apply --config cdrveil.toml --public p --restricted p --rejected x in.csv",
            "--public and --restricted are the same file",
        ),
        (
            "apply --config cdrveil.toml --public p --restricted r --rejected ./more/../in.csv --force in.csv",
            "--rejected ./more/../in.csv is an input file",
        ),
        (
            "apply --config cdrveil.toml --public p --restricted r --rejected x in.csv more/in.csv",
            "have the same base name",
        ),
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, 64, "{words}: {}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    assert_eq!(place.read("in.csv"), ROW);
    let thrown_away = place
        .run("apply --config cdrveil.toml --public p --restricted /dev/null --rejected /dev/null in.csv");
    assert_eq!(thrown_away.code, 0, "{}", thrown_away.err);
}

#[test]
fn apply_carries_the_header_along() {
    let place = Place::new();
    place.edit("policy.toml", "# header = \"none\"", "header = \"check\"");
    place.edit("policy.toml", "# comment = \"#\"", "comment = \"#\"");
    let header = "id,type,caller,called,imsi,cell,start,seconds,note";
    for name in ["a.csv", "b.csv"] {
        place.write(name, &format!("# made by hand\n{header}\n{ROW}\n"));
    }
    let ran = place.run(&format!("{APPLY} a.csv b.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .ends_with("in=6 public=2 rejected=0 skipped=4 restricted=2\n"),
        "{}",
        ran.err
    );
    let public = place.read("p.csv");
    let lines: Vec<&str> = public.lines().collect();
    assert_eq!(
        lines[0],
        format!("{header},called_class,called_country,record_id")
    );
    assert!(
        lines.len() == 3 && lines[1].ends_with("a.csv/0") && lines[2].ends_with("b.csv/0"),
        "{public}"
    );

    place.write(
        "c.csv",
        &format!("{}\n{ROW}\n", header.replace("caller,called", "called,caller")),
    );
    let ran = place.run(&format!("{APPLY} --force c.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains(
            "c.csv: column 3 of the header row is not \"caller\" but \"called\": correct [input] columns"
        ),
        "{}",
        ran.err
    );
    // A file without a header begins with values: they are not shown.
    place.write("d.csv", ROW);
    let ran = place.run(&format!("{APPLY} --force d.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err
            .contains("d.csv: column 1 of the header row is not \"id\": ")
            && !ran.err.contains("c-1"),
        "{}",
        ran.err
    );
    place.write("e.csv", &header.replace(",note", ""));
    let ran = place.run(&format!("{APPLY} --force e.csv"));
    assert!(
        ran.err.contains("has 8 columns, [input] columns names 9"),
        "{}",
        ran.err
    );
    assert_eq!(place.read("p.csv"), public, "what was there is left alone");
    assert!(!place.path("p.csv.part").exists());

    place.edit("policy.toml", "header = \"check\"", "header = \"name\"");
    let ran = place.run(&format!("{APPLY} --force c.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        place.read("p.csv").starts_with(header),
        "the output has the policy's order"
    );
    place.write("d.csv", &format!("{header},new\n{ROW},1\n"));
    let ran = place.run(&format!("{APPLY} --force d.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err
            .contains("d.csv: the header row does not name the columns"),
        "{}",
        ran.err
    );
}

#[test]
fn what_was_moved_cut_or_renamed_does_not_open() {
    let place = Place::new();
    place.write("one.csv", &[ROW; 5].join("\n"));
    assert_eq!(place.run(&format!("{APPLY} one.csv")).code, 0);
    let text = place.read("r.jsonl");
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines[0]["record_id"] = "one.csv/1".into();
    lines[1]["topic"] = "cdr.rejected".into();
    let sealed = lines[2]["sealed"].as_str().unwrap().to_owned();
    lines[2]["sealed"] = sealed[..sealed.len() - 8].into();
    lines[3]["sealed"] = "AQ==".into();
    let all: Vec<String> = lines.iter().map(ToString::to_string).collect();
    place.write("r.jsonl", &(all.join("\n") + "\nno line of apply\n"));
    let ran = place.run("open --identity id.txt r.jsonl");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.out.lines().count(),
        1,
        "the one that was left alone: {}",
        ran.out
    );
    assert!(ran.out.contains("\"one.csv/4\""));
    for (line, said) in [
        (1, "changed, or moved"),
        (2, "changed, or moved"),
        (3, "changed, or moved"),
        (4, "cut short"),
        (5, "it is no line"),
    ] {
        let place = if line == 5 {
            "r.jsonl:6: ".to_owned()
        } else {
            format!("r.jsonl:{line}: ")
        };
        let told = ran.err.lines().find(|text| text.contains(&place));
        assert!(
            told.is_some_and(|text| text.contains(said)),
            "{place}{said}\n{}",
            ran.err
        );
    }
    assert!(
        ran.err.ends_with("cdrveil: 5 records did not open\n"),
        "{}",
        ran.err
    );

    place.write("r.jsonl", &text);
    assert_eq!(
        place.run("open --identity id.txt --domain billing r.jsonl").code,
        0
    );
    let other = place.run("open --identity id.txt --domain fraud r.jsonl");
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    place.write("other.txt", Opener::new_identity().0.expose());
    let stranger = place.run("open --identity other.txt r.jsonl");
    assert_eq!(stranger.code, 1);
    assert!(
        stranger.err.contains("sealed to other recipients"),
        "{}",
        stranger.err
    );
    place.write("other.txt", "AGE-SECRET-KEY-1NONSENSE\n");
    let broken = place.run("open --identity other.txt r.jsonl");
    assert_eq!(broken.code, 78);
    assert!(
        broken.err.contains("line 1 is not an age identity") && !broken.err.contains("NONSENSE"),
        "{}",
        broken.err
    );
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

#[test]
fn new_keys_go_into_a_working_configuration() {
    let place = Place::new();
    fs::remove_file(place.path("keyring.toml")).unwrap();
    let first = place.run("keys new --keyring keyring.toml --id first --activate-at 2026-11-01T00:00:00Z");
    assert_eq!(first.code, 0, "{}", first.err);
    place.write("keyring.toml", &first.out);
    let second =
        place.run("keys new --keyring keyring.toml --id second --activate-at 2026-12-01T00:00:00+01:00");
    assert_eq!(second.code, 0, "{}", second.err);
    place.write("keyring.toml", &(first.out.clone() + &second.out));
    let secret = place.read("first.key");
    assert!(!(first.out.clone() + &first.err).contains(secret.trim()));

    let listed = place.run("keys list --keyring keyring.toml");
    assert_eq!((listed.code, listed.err.as_str()), (0, ""));
    assert!(
        listed.out.contains("first") && listed.out.contains("second"),
        "{}",
        listed.out
    );
    let at = "keys check --keyring keyring.toml --at 2026-11-20T00:00:00Z";
    let good = place.run(&format!("{at} --horizon 30d"));
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(
        good.out.starts_with("ok: 2 keys, \"first\" in use"),
        "{}",
        good.out
    );
    assert_eq!(
        place.run(&format!("{at} --horizon 1d")).code,
        1,
        "no successor within a day"
    );
    assert_eq!(place.run("check --config cdrveil.toml --offline").code, 0);
    assert_eq!(place.feed(APPLY, ROW).code, 0);
    assert!(place.read("p.csv").contains(",first."), "{}", place.read("p.csv"));

    let same = place.run("keys new --keyring keyring.toml --id first --activate-at 2027-01-01T00:00:00Z");
    assert_eq!(same.code, 64);
    assert!(same.err.contains("never used again"), "{}", same.err);
    place.edit("keyring.toml", "kcv = \"", "kcv = \"0");
    let broken = place.run("keys check --keyring keyring.toml");
    assert_eq!(broken.code, 78);
    assert!(broken.err.starts_with("keyring.toml:7:"), "{}", broken.err);
}

#[test]
fn every_verb_helps_and_wrong_use_ends_with_64() {
    let place = Place::new();
    let all = place.run("--help");
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    for verb in [
        "run",
        "check",
        "demo",
        "apply",
        "open",
        "keys",
        "explain",
        "tokens",
        "keys new",
        "keys list",
        "keys check",
        "keys diff",
        "keys destroy",
        "keys scope",
        "keys selftest",
    ] {
        let help = place.run(&format!("{verb} --help"));
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{verb}");
        assert!(
            help.out.contains(&format!("Usage: cdrveil {verb}")),
            "{verb}: {}",
            help.out
        );
        assert!(help.out.lines().count() > 5, "{verb}");
        let first = verb.split(' ').next().unwrap();
        assert!(
            all.out.contains(&format!("\n  {first} ")),
            "{verb} is in the list of verbs"
        );
    }
    assert_eq!(
        place.run("--version").out,
        format!("cdrveil {}\n", env!("CARGO_PKG_VERSION"))
    );
    for words in [
        "",
        "destroy",
        "run --confg x",
        "run --log-level loud",
        "open --identity id.txt",
        "open --identity id.txt --topic t",
        "open --identity id.txt --brokers b --topic t file",
        "apply --config cdrveil.toml --public p",
        "keys",
        "keys new --id UPPER --keyring k",
        "keys destroy",
        "check +447700900001",
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, 64, "{words}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{words}");
    }
}
