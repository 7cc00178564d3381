//! The verbs as typed, over real folders.

use std::os::unix::fs::PermissionsExt;

use clap::{CommandFactory, FromArgMatches, Parser};
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    keys: KeysArgs,
}

struct Ran {
    code: Exit,
    out: String,
    err: String,
}

/// Runs `cdrveil keys ARGUMENTS` on 22 November 2026 with F for the folder.
fn keys(folder: &TempDir, arguments: &str) -> Ran {
    let arguments = arguments.replace("F/", &format!("{}/", folder.path().display()));
    let words = ["keys"].into_iter().chain(arguments.split(' '));
    let matches = Program::command().try_get_matches_from(words).unwrap();
    let program = Program::from_arg_matches(&matches).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let code = run(&program.keys, now, &mut io::empty(), &mut out, &mut err);
    let shown = |bytes| {
        String::from_utf8(bytes)
            .unwrap()
            .replace(&format!("{}/", folder.path().display()), "F/")
    };
    Ran {
        code,
        out: shown(out),
        err: shown(err),
    }
}

fn append(folder: &TempDir, text: &str) {
    let path = folder.path().join("k.toml");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, before + text).unwrap();
}

fn folder_with_two_keys() -> TempDir {
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let made = keys(&folder, "new --keyring F/k.toml");
        assert_eq!(made.code, Exit::Ok, "{}", made.err);
        append(&folder, &made.out);
    }
    folder
}

#[test]
fn new_keys_paste_into_a_keyring_month_after_month() {
    let folder = folder_with_two_keys();
    let text = std::fs::read_to_string(folder.path().join("k.toml")).unwrap();
    assert!(text.starts_with("version = 1\n\n[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\nmaterial = { file = \"2026-11.key\" }\nkcv = \""), "{text}");
    assert!(text.contains("id = \"2026-12\"\nactivate_at = 2026-12-01T00:00:00Z\n"));
    let path = folder.path().join("2026-11.key");
    let key = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        (
            key.len(),
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        ),
        (65, 0o400)
    );
    let third = keys(&folder, "new --keyring F/k.toml --dir F/");
    assert!(third.out.contains("id = \"2027-01\"") && third.out.contains("{ file = \"2027-01.key\" }"));
    assert!(!third.out.contains("version") && third.err.contains("wrote F/2027-01.key (mode 0400)"));
    assert!(!(text + &third.out + &third.err).contains(key.trim()));
}

#[test]
fn a_new_key_never_overwrites_or_clashes() {
    let folder = folder_with_two_keys();
    for (arguments, code, message) in [
        (
            "--id 2026-11",
            Exit::Usage,
            "F/k.toml: id \"2026-11\" is taken and never used again",
        ),
        (
            "--id x --activate-at 2026-12-01T00:00:00Z",
            Exit::Usage,
            "F/k.toml: \"2026-12\" begins at 2026-12-01T00:00:00Z already",
        ),
        ("--dir F/none", Exit::Config, "F/none/2027-01.key: No such file"),
    ] {
        let ran = keys(&folder, &format!("new --keyring F/k.toml {arguments}"));
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments}");
        assert!(ran.err.starts_with(message), "{}", ran.err);
    }
    let before = std::fs::read(folder.path().join("2026-11.key")).unwrap();
    let ran = keys(&folder, "new --keyring F/other.toml");
    assert_eq!((ran.code, ran.out.as_str()), (Exit::Config, ""));
    assert!(ran.err.contains("it is never overwritten"), "{}", ran.err);
    assert_eq!(std::fs::read(folder.path().join("2026-11.key")).unwrap(), before);
}

#[test]
fn list_shows_everything_but_the_key() {
    let folder = folder_with_two_keys();
    let table = keys(&folder, "list --keyring F/k.toml").out;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["ID", "STATE", "FROM", "UNTIL", "KCV", "REGISTER", "SOURCE"]
    );
    assert_eq!(
        lines[1][..4],
        [
            "2026-11",
            "active",
            "2026-11-01T00:00:00Z",
            "2026-12-01T00:00:00Z"
        ]
    );
    assert_eq!(lines[1][5..], ["not", "asked", "file", "2026-11.key"]);
    assert_eq!(
        lines[2][..4],
        ["2026-12", "pre-active", "2026-12-01T00:00:00Z", "-"]
    );
    let listed: serde_json::Value =
        serde_json::from_str(&keys(&folder, "list --json --keyring F/k.toml").out).unwrap();
    assert_eq!(listed["keys"][1]["state"], "pre-active");
    assert_eq!(listed["register"]["asked"], false);
    assert!(listed["keys"][1]["register"].is_null());
    assert_eq!(listed["keys"][0]["kcv"], lines[1][4]);
    assert_eq!(listed["fingerprint"].as_str().unwrap().len(), 16);
}

#[test]
fn check_finds_what_is_to_be_done() {
    let folder = folder_with_two_keys();
    let tombstone = "[[key]]\nid = \"2027-02\"\nactivate_at = 2027-02-01T00:00:00Z\nstatus = \"destroyed\"\n";
    for (keyring, arguments, code, message) in [
        (
            "",
            "",
            Exit::Ok,
            "ok: 2 keys, \"2026-11\" in use at 2026-11-22T12:00:00Z, fingerprint ",
        ),
        (
            "",
            " --horizon 7d",
            Exit::Found,
            "F/k.toml: no successor of \"2026-11\" begins before 2026-11-29T12:00:00Z",
        ),
        (
            "",
            " --at 2026-12-24T00:00:00Z",
            Exit::Found,
            "F/k.toml: no successor of \"2026-12\" begins before 2027-03-24",
        ),
        (
            "",
            " --at 2026-10-24T00:00:00Z",
            Exit::Found,
            "F/k.toml: no key before 2026-11-01T00:00:00Z, when \"2026-11\" begins",
        ),
        (
            tombstone,
            "",
            Exit::Found,
            "F/k.toml: \"2027-02\" is destroyed: calls from 2027-02-01T00:00:00Z to - are rejected",
        ),
        ("[[key]]\n", "", Exit::Config, "F/k.toml:20:1: missing field `id`"),
    ] {
        append(&folder, keyring);
        let ran = keys(&folder, &format!("check --keyring F/k.toml{arguments}"));
        assert_eq!(ran.code, code, "{arguments}: {}{}", ran.out, ran.err);
        assert!((ran.out + &ran.err).starts_with(message), "{arguments}");
    }
}

#[test]
fn check_names_a_compromised_key_in_use() {
    let folder = folder_with_two_keys();
    let path = folder.path().join("k.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replacen("enabled", "compromised", 1);
    std::fs::write(&path, text).unwrap();
    let ran = keys(&folder, "check --keyring F/k.toml");
    assert_eq!(ran.code, Exit::Found);
    assert!(
        ran.out
            .starts_with("F/k.toml: \"2026-11\" is compromised and in use until 2026-12-01"),
        "{}",
        ran.out
    );
}

#[test]
fn a_key_that_is_not_here_is_listed_and_hinders_no_new_one() {
    let folder = folder_with_two_keys();
    std::fs::remove_file(folder.path().join("2026-11.key")).unwrap();
    let ran = keys(&folder, "list --keyring F/k.toml");
    assert_eq!((ran.code, ran.err.as_str()), (Exit::Found, ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[1].starts_with("2026-11  active ")
            && lines[1]
                .contains("file 2026-11.key  NOT USABLE: key \"2026-11\": file 2026-11.key cannot be read"),
        "{}",
        ran.out
    );
    assert!(lines[2].starts_with("2026-12  pre-active ") && lines[2].ends_with("file 2026-12.key"));
    let listed: serde_json::Value =
        serde_json::from_str(&keys(&folder, "list --json --keyring F/k.toml").out).unwrap();
    assert!(listed["fingerprint"].is_null() && listed["keys"][1]["fault"].is_null());
    assert!(
        listed["keys"][0]["fault"]
            .as_str()
            .unwrap()
            .contains("cdrveil keys new")
    );
    let made = keys(&folder, "new --keyring F/k.toml");
    assert_eq!(made.code, Exit::Ok, "{}", made.err);
    assert!(made.out.contains("id = \"2027-01\""), "{}", made.out);
    assert_eq!(keys(&folder, "check --keyring F/k.toml").code, Exit::Config);
}

#[test]
fn a_keyring_without_keys_takes_its_first() {
    let folder = TempDir::new().unwrap();
    append(&folder, "# ours\nversion = 1");
    let none = keys(&folder, "check --keyring F/k.toml");
    assert_eq!(none.code, Exit::Config);
    assert!(
        none.err
            .starts_with("F/k.toml:2:11: no key: make one with `cdrveil keys new"),
        "{}",
        none.err
    );
    let made = keys(&folder, "new --keyring F/k.toml");
    assert_eq!(made.code, Exit::Ok, "{}", made.err);
    assert!(
        made.out.starts_with("\n[[key]]\nid = \"2026-11\"\n"),
        "{}",
        made.out
    );
    append(&folder, &made.out);
    let listed = keys(&folder, "list --keyring F/k.toml");
    assert_eq!(listed.code, Exit::Ok, "{}", listed.err);
}

#[test]
fn a_keyring_that_does_not_load_is_78_for_every_verb() {
    let folder = TempDir::new().unwrap();
    append(&folder, "version = 1\nkeys = 3\n");
    for verb in ["new", "list", "check"] {
        let ran = keys(&folder, &format!("{verb} --keyring F/k.toml"));
        assert_eq!(ran.code, Exit::Config);
        assert!(
            ran.err.starts_with("F/k.toml:2:1: unknown field `keys`"),
            "{}",
            ran.err
        );
    }
    assert_eq!(keys(&folder, "list --keyring F/none.toml").code, Exit::Config);
}
