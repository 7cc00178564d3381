//! Formats as real switches and carriers write them, each through `cdrveil apply` with a policy of its
//! own: the public bytes, what opens on the sealed side, and the counts. Invented calls, reserved numbers (their class is "unknown").
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "samples/hosted.rs"]
mod hosted;
#[path = "samples/objects.rs"]
mod objects;
#[path = "samples/presets.rs"]
mod presets;
#[path = "samples/tables.rs"]
mod tables;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// An identity and its recipient, known to everybody: the pair of `tests/data/seal_vectors.json`.
const IDENTITY: &str = "AGE-SECRET-KEY-1YCADEHERNT3ELW82E7D0VG5J35GTVAFXNMYJGWXU4VQJDQQ67F4QY3FVG8";
const RECIPIENT: &str = "age14um93hups7cmf3ul2cgq5ln5sjweuk69umq0g8l2yeqa8fwxcvlsz8a4q2";

/// The epoch's key: the SHA-256 of "cdrveil tests/samples.rs".
const KEY: &str = "babde77dbb3bb36b3ab0ad8654cad3b8622718bbb5d45be1dcb01df30b9b64d4";

/// What `{name}` stands for in expected lines: tokens computed with Python's hmac and hashlib from
/// `docs/formats.md`, domain "billing", by kind and canonical value.
const TOKENS: [(&str, &str); 18] = [
    ("{ada}", "2025-11.ikgb2zg2yyjkep5vp5osojyqke"), // phone 447700900001
    ("{bob}", "2025-11.ggtchpao6x35koe3ewy7oh5ea4"), // phone 447700900002
    ("{eve}", "2025-11.dvfurqmwi7xf5s6k7qmm3nqvta"), // phone 447700900003
    ("{joe}", "2025-11.3eq4mslsbuz7jnsz7vkooxzsgi"), // phone 14155550101
    ("{sue}", "2025-11.osaiwz3j7j2lvyamf4opz6sa2q"), // phone 14155550102
    ("{imsi}", "2025-11.26kjquyx3jh7vryhrb6iazgvk4"), // imsi 001010123456789
    ("{imei}", "2025-11.pe4i6ue6i47ypm6wgchwihxzau"), // imei 35000000000001
    ("{ip}", "2025-11.b5p4c4kpgferil2wprrpig5yl4"),  // ip 192.0.2.7
    ("{account}", "2025-11.buipritqqqhnm5ag5yjg7yd3nu"), // account 1001
    ("{call}", "2025-11.ghiajpxokegthdpxincoqxuo74"), // call c-1@192.0.2.7
    ("{login}", "2025-11.nhrc3gan77kqhwgnvix4ilj4v4"), // account ada
    ("{leg}", "2025-11.pfoldtm6ttq2xrffpyy5gjg7ai"), // call 202511-c-1@192.0.2.7
    ("{device}", "2025-11.kh46lxd54ww7yjbgz3cf4mbbqm"), // alpha user_x7k2
    ("{client}", "2025-11.kwy2mfscxur3vpzdv7naailjqu"), // alpha client:alice
    ("{extension}", "2025-11.haalwkk2utsr7kmbdoax2jpk5m"), // extension acme/10101
    ("{group}", "2025-11.eas4l4eidxahdb72pcwptpvqvq"), // account Ada, Inc.
    ("{desk}", "2025-11.4txvkysep4g6geye3opuuqul5q"), // alpha Ext.101
    ("{user}", "2025-11.272q3pl62uzjui52hml25var6u"), // alpha ada
];

/// A format: what comes in under which policy, and what must come out.
struct Sample {
    policy: &'static str,
    input: &'static str,
    public: &'static str,
    /// Opened restricted fields, one object a record.
    restricted: &'static [&'static str],
    /// Row and reason of each reject.
    rejected: &'static [(usize, &'static str)],
    /// The line `apply` ends with.
    counts: &'static str,
}

/// Runs the sample and compares every output.
fn holds(sample: &Sample) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_configuration(folder.path(), sample.policy);
    fs::write(at("in"), sample.input).unwrap();
    let outputs = [
        "--public",
        "public",
        "--restricted",
        "restricted",
        "--rejected",
        "rejected",
    ];
    let applied = cdrveil(
        folder.path(),
        &[&["apply", "--config", "cdrveil.toml"], &outputs[..], &["in"]].concat(),
    );
    let told = String::from_utf8(applied.stderr).unwrap();
    assert_eq!(applied.status.code(), Some(0), "{told}");
    assert_eq!(
        told.lines().last().unwrap(),
        format!("cdrveil: {}", sample.counts),
        "{told}"
    );

    let mut expected = sample.public.to_owned();
    for (name, token) in TOKENS {
        expected = expected.replace(name, token);
    }
    assert_eq!(fs::read_to_string(at("public")).unwrap(), expected);

    let restricted: Vec<String> = opened(folder.path(), "restricted")
        .into_iter()
        .map(|line| line["fields"].to_string())
        .collect();
    assert_eq!(restricted, sample.restricted);

    let rows: Vec<&str> = sample.input.split(['\n', '\r']).collect();
    let rejected = opened(folder.path(), "rejected");
    let reasons: Vec<(usize, &str)> = rejected
        .iter()
        .map(|line| {
            let row = line["record_id"].as_str().unwrap().strip_prefix("in/").unwrap();
            (row.parse().unwrap(), line["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(reasons, sample.rejected);
    for line in &rejected {
        let raw = line["raw"].as_str().unwrap();
        assert!(rows.contains(&raw), "a reject holds its row as it came");
    }
}

/// Whether `cdrveil learn` recognises the sample's preset in its records, those aside that are rejected rightly,
/// and shows nothing of them.
fn recognised(sample: &Sample) -> bool {
    let quoted = |key: &str| {
        let rest = sample.policy.split_once(key)?.1;
        rest.split('"').nth(1).map(str::to_owned)
    };
    let above: usize = sample
        .counts
        .split(' ')
        .find_map(|count| count.strip_prefix("skipped="))
        .unwrap()
        .parse()
        .unwrap();
    let rejected: Vec<usize> = sample.rejected.iter().map(|(row, _)| row + above).collect();
    let ending = if sample.input.contains('\n') { '\n' } else { '\r' };
    let lines = sample
        .input
        .split_terminator(ending)
        .enumerate()
        .filter(|(at, _)| !rejected.contains(at));
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("in"),
        lines.flat_map(|(_, line)| [line, "\n"]).collect::<String>(),
    )
    .unwrap();
    let mut arguments = vec!["learn".to_owned(), "in".to_owned()];
    arguments.extend(
        quoted("country = ")
            .into_iter()
            .flat_map(|country| ["--country".to_owned(), country]),
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let learnt = cdrveil(folder.path(), &arguments);
    let (draft, told) = (
        String::from_utf8(learnt.stdout).unwrap(),
        String::from_utf8(learnt.stderr).unwrap(),
    );
    for raw in presets::RAW {
        assert!(
            !draft.contains(raw) && !told.contains(raw),
            "{raw}: {draft}{told}"
        );
    }
    // opensips is kamailio under another name.
    let preset = quoted("preset = ").unwrap().replace("opensips", "kamailio");
    if !draft.contains(&format!("preset = \"{preset}\"")) {
        eprintln!("{told}\n{draft}");
    }
    draft.contains(&format!("preset = \"{preset}\""))
}

fn write_configuration(folder: &Path, policy: &str) {
    fs::write(folder.join("key"), format!("{KEY}\n")).unwrap();
    fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o400)).unwrap();
    let keyring = "version = 1\n[[key]]\nid = \"2025-11\"\nactivate_at = 2025-11-01T00:00:00Z\n\
                   material = { file = \"key\" }\nkcv = \"aa308501\"\n";
    fs::write(folder.join("keyring.toml"), keyring).unwrap();
    fs::write(folder.join("policy.toml"), policy).unwrap();
    fs::write(folder.join("identity"), format!("{IDENTITY}\n")).unwrap();
    let config = format!(
        "domain = \"billing\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
         [kafka]\nbrokers = [\"localhost:9092\"]\ngroup = \"samples\"\n\
         [topics]\nraw = [\"cdr.raw\"]\npublic = \"cdr.billing\"\nrestricted = \"cdr.restricted\"\nrejected = \"cdr.rejected\"\n\
         [seal]\nrecipients = [\"{RECIPIENT}\"]\n"
    );
    fs::write(folder.join("cdrveil.toml"), config).unwrap();
}

fn opened(folder: &Path, file: &str) -> Vec<serde_json::Value> {
    let opened = cdrveil(folder, &["open", "--identity", "identity", file]);
    assert_eq!(
        opened.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&opened.stderr)
    );
    String::from_utf8(opened.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn cdrveil(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// `apply` says what it refused and where, and starts nothing that would end badly.
#[test]
fn apply_names_reasons_and_refuses_files_that_cannot_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "[input]\nformat = \"csv\"\ncolumns = [\"start\", \"imei\"]\n\
                  time = { field = \"start\", format = \"unix\" }\n\
                  [fields]\nstart = \"keep\"\nimei = { action = \"pseudonymise\", kind = \"imei\" }\n";
    write_configuration(folder.path(), policy);
    let input = "1762333200,350000000000013\n1762333200,3500\n1762333200,3501\n,350000000000013\n";
    fs::write(folder.path().join("in"), input).unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/in"), input).unwrap();
    let apply = |public: &str, rest: &[&str]| {
        let base = [
            "apply",
            "--config",
            "cdrveil.toml",
            "--restricted",
            "restricted",
            "--rejected",
            "rejected",
            "--public",
            public,
        ];
        let done = cdrveil(folder.path(), &[&base[..], rest].concat());
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for (public, rest, code, message) in [
        ("public", &["in", "b/in"][..], 64, "have the same base name"),
        (
            "rejected",
            &["in"],
            64,
            "--public and --rejected are the same file",
        ),
        ("in", &["--force", "b/../in"], 64, "is an input file"),
        ("public", &["none"], 70, "none: No such file"),
    ] {
        let (exit, told) = apply(public, rest);
        assert_eq!(exit, Some(code), "{told}");
        assert!(told.contains(message), "{told}");
        assert!(!folder.path().join("public").exists(), "nothing was begun");
    }
    assert_eq!(fs::read_to_string(folder.path().join("in")).unwrap(), input);
    let (exit, told) = apply("public", &["in"]);
    assert_eq!(exit, Some(0), "{told}");
    assert_eq!(
        told,
        "cdrveil: rejected 2: number at field \"imei\"\ncdrveil: rejected 1: time at field \"start\"\n\
         cdrveil: in=4 public=1 rejected=3 skipped=0 restricted=0\n"
    );
    let (exit, told) = apply("public", &["in"]);
    assert_eq!(exit, Some(70), "{told}");
    assert!(
        told.contains("public exists: name another file, or --force"),
        "{told}"
    );
}
