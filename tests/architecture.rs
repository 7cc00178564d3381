//! The plan of the house, held by a test: which room may name which, and what each is kept away from.
//!
//! Invariant: arrows run one way (main → cli → daemon → lane → engine → cdr, seal, number, pseudonym → secret,
//! settings), pure rooms touch no outside world, and the dangerous things live in one place each.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

use std::fs;
use std::path::Path;

/// Every room and the rooms it may name. Each names only rooms further down: so there is no way back up.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli", "secret"]),
    (
        "cli",
        &[
            "cdr",
            "config",
            "daemon",
            "deckstore",
            "engine",
            "kafka",
            "keystore",
            "number",
            "pseudonym",
            "register",
            "seal",
            "secret",
            "settings",
            "telemetry",
        ],
    ),
    (
        "daemon",
        &[
            "admin",
            "cdr",
            "config",
            "deckstore",
            "kafka",
            "keystore",
            "lane",
            "number",
            "pseudonym",
            "register",
            "settings",
            "telemetry",
        ],
    ),
    ("register", &["config", "kafka", "number", "pseudonym"]),
    (
        "lane",
        &[
            "cdr",
            "config",
            "engine",
            "kafka",
            "pseudonym",
            "seal",
            "telemetry",
        ],
    ),
    (
        "config",
        &[
            "admin",
            "cdr",
            "deckstore",
            "engine",
            "kafka",
            "keystore",
            "seal",
            "settings",
            "telemetry",
        ],
    ),
    ("engine", &["cdr", "pseudonym", "seal", "settings"]),
    ("deckstore", &["cdr", "number", "pseudonym", "settings"]),
    ("cdr", &["bytes", "number", "pseudonym", "seal", "settings"]),
    ("keystore", &["pseudonym", "secret", "settings"]),
    ("admin", &["telemetry"]),
    ("kafka", &["secret", "settings"]),
    ("number", &["bytes"]),
    ("bytes", &[]),
    ("pseudonym", &["secret"]),
    ("seal", &["secret"]),
    ("telemetry", &[]),
    ("settings", &[]),
    ("secret", &[]),
];

/// Words that only the named places may use.
const KEPT: &[(&str, &[&str])] = &[
    ("unsafe", &["kafka/", "main.rs"]),
    ("rdkafka", &["kafka/"]),
    ("rdkafka_sys", &["kafka/"]),
    ("hmac", &["pseudonym/mac"]),
    ("sha2", &["pseudonym/mac"]),
    ("hkdf", &["pseudonym/mac"]),
    ("age", &["seal/", "cli/demo/"]),
    ("aes_gcm", &["seal/"]),
    ("rlibphonenumber", &["number/library", "number/settings"]),
    ("axum", &["admin/"]),
    ("cryptoki", &["keystore/roots/token"]),
    ("clap", &["cli/"]),
    ("sd_notify", &["daemon/manager"]),
    ("ratatui", &["cli/top/"]),
];

/// Rooms, and parts of one, where time, keys and randomness of a result are arguments.
const PURE: &[&str] = &[
    "cdr/",
    "number/",
    "pseudonym/",
    "seal/",
    "register/entry",
    "register/table",
];

/// What a pure room never names: files, net, clocks, threads, the environment, async, logs and metrics.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio::",
    "async fn",
    "metrics::",
    "tracing::",
    "log::",
    "println!",
    "eprintln!",
];

/// The longest a file may be, tests included.
const LONGEST: usize = 600;

#[test]
fn the_house_stands_as_planned() {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    assert!(files.len() > 50, "only {} files were found", files.len());
    for (name, text) in &files {
        problems.extend(faults(name, text));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_plan_has_no_way_back_up() {
    for (at, (room, below)) in ROOMS.iter().enumerate() {
        for target in *below {
            let place = ROOMS.iter().position(|(name, _)| name == target);
            assert!(place.is_some_and(|place| place > at), "{room} → {target}");
        }
    }
}

#[test]
fn the_checker_finds_what_it_looks_for() {
    let cases: &[(&str, &str, &str)] = &[
        ("cdr/x.rs", "use crate::kafka::Batch;", "cdr may not name kafka"),
        (
            "cdr/x.rs",
            "use crate::{number::E164, kafka::Batch};",
            "cdr may not name kafka",
        ),
        (
            "kafka/x.rs",
            "fn f() { crate::seal::sealer::x() }",
            "kafka may not name seal",
        ),
        (
            "telemetry/x.rs",
            "use crate::cdr::Reason;",
            "telemetry may not name cdr",
        ),
        ("attic/x.rs", "fn f() {}", "\"attic\" is no room of the plan"),
        ("engine.rs", "use crate::Engine;", "comes through lib.rs"),
        (
            "lane/x.rs",
            "use rdkafka::Message;",
            "\"rdkafka\" belongs to kafka/",
        ),
        (
            "lane/x.rs",
            "fn f() { unsafe { g() } }",
            "\"unsafe\" belongs to kafka/ or main.rs",
        ),
        (
            "seal/x.rs",
            "use sha2::Sha256;",
            "\"sha2\" belongs to pseudonym/mac",
        ),
        (
            "cdr/x.rs",
            "let now = std::time::Instant::now();",
            "\"Instant::now\" in a pure room",
        ),
        ("number/x.rs", "use std::fs;", "\"std::fs\" in a pure room"),
        ("seal/x.rs", "use std::{fs, io};", "\"std::fs\" in a pure room"),
        (
            "register/table.rs",
            "use crate::kafka::Kafka;\nfn f() { Timestamp::now(); }",
            "\"Timestamp::now\" in a pure room",
        ),
        ("cdr/x.rs", "use crate::number::*;", "a glob"),
        (
            "cdr/x.rs",
            "\n#[cfg(test)]\nmod tests { use crate::kafka::Batch; }",
            "cdr may not name kafka",
        ),
    ];
    for (name, text, expected) in cases {
        let found = faults(name, &format!("//! Made up.\n{text}\n"));
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{name}: {text}: {found:?}"
        );
    }
    let long = format!("//! Made up.\n{}", "fn f() {}\n".repeat(LONGEST));
    assert!(faults("cdr/x.rs", &long)[0].contains("600"));
    assert!(faults("cdr/x.rs", "fn f() {}\n")[0].contains("//!"));
    let harmless = "//! Of rdkafka and unsafe.\n\
        // crate::kafka would be wrong; SystemTime too\n\
        use crate::number::E164; // std::fs\n\
        const LOG: &str = \"librdkafka\";\n\
        #[cfg(test)]\nmod tests { use super::*; fn f() { std::fs::read(\"x\"); } }\n";
    assert_eq!(faults("cdr/x.rs", harmless), Vec::<String>::new());
}

/// All `.rs` files below a folder, by their path from `src/`.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else if Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            files.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// Everything in one file that is against the plan.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push(format!(
            "src/{name}: {lines} lines; no file has more than {LONGEST}"
        ));
    }
    if !text.starts_with("//!") {
        found.push(format!("src/{name}: does not open with //! and what it is for"));
    }
    if name == "lib.rs" {
        return found;
    }
    let code = without_comments(text);
    let room = name.split(['/', '.']).next().unwrap();
    match ROOMS.iter().find(|(known, _)| *known == room) {
        None => found.push(format!("src/{name}: \"{room}\" is no room of the plan")),
        Some((_, below)) => {
            for target in named_rooms(&code) {
                if target.starts_with(char::is_uppercase) {
                    found.push(format!("src/{name}: crate::{target} comes through lib.rs"));
                } else if target != room && !below.contains(&target.as_str()) {
                    found.push(format!("src/{name}: {room} may not name {target}"));
                }
            }
        }
    }
    let shipped = without_tests(name, &code);
    for (word, places) in KEPT {
        let at_home = places.iter().any(|place| name.starts_with(place));
        let as_path = *word == "unsafe" || contains_word(shipped, &format!("{word}::"));
        if !at_home && as_path && contains_word(shipped, word) {
            found.push(format!(
                "src/{name}: \"{word}\" belongs to {}",
                places.join(" or ")
            ));
        }
    }
    if PURE.iter().any(|place| name.starts_with(place)) {
        let flat = flattened(shipped);
        for word in OUTSIDE.iter().filter(|word| contains_word(&flat, word)) {
            found.push(format!("src/{name}: \"{word}\" in a pure room"));
        }
    }
    if shipped.contains("::*;") {
        found.push(format!("src/{name}: a glob import"));
    }
    found
}

/// The code without line comments; good enough for files that rustfmt has seen.
fn without_comments(text: &str) -> String {
    let line = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned() + "\n";
    text.lines().map(line).collect()
}

/// What is compiled into the program: nothing of test files, nothing from `mod tests {` on.
fn without_tests<'a>(name: &str, code: &'a str) -> &'a str {
    if name.ends_with("tests.rs") {
        return "";
    }
    code.find("#[cfg(test)]\nmod tests {")
        .map_or(code, |at| &code[..at])
}

/// What follows every `crate::`, also in lists with braces.
fn named_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list_items(list).map(str::to_owned)),
            None => rooms.push(identifier(rest).to_owned()),
        }
    }
    rooms
}

/// The first identifiers of the items of `{a::b, c::{d, e}}`, from behind its opening brace.
fn list_items(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let list = &list[..end.unwrap_or(list.len())];
    let mut depth = 0_i32;
    list.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .map(|item| identifier(item.trim_start()))
    .filter(|item| !item.is_empty())
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// `use std::{fs, io};` said as `std::fs std::io` behind the code, so that a list hides nothing.
fn flattened(code: &str) -> String {
    let mut flat = code.to_owned();
    for (at, _) in code.match_indices("std::{") {
        for item in list_items(&code[at + "std::{".len()..]) {
            flat.push_str(" std::");
            flat.push_str(item);
        }
    }
    flat
}

/// Whether a word stands there by itself, not as a part of a longer one.
fn contains_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let closed = !word.ends_with(part) || !after.is_some_and(part);
        !before.is_some_and(part) && closed
    })
}
