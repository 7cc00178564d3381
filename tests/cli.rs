//! The verbs as a user types them, without a broker: files in, messages and exit codes out.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/deploy.rs"]
mod deploy;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/learn.rs"]
mod learn;
#[path = "cli/maps.rs"]
mod maps;
#[path = "cli/open.rs"]
mod open;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/overlap.rs"]
mod overlap;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/sample_files.rs"]
mod sample_files;
#[path = "cli/sources.rs"]
mod sources;
#[path = "cli/top.rs"]
mod top;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cdrveil::seal::opener::Opener;

const KEY: &str = "6d1f0be2a4937c58d2e90f4b7a61c38e15f7a0bc92d4637881efcd5a06b3924e";
const KCV: &str = "e5c5b4f0";
/// A row of the shipped policy.
const ROW: &str = "c-1,voice,+447700900001,07700 900002,234150000000001,1234,2026-11-05 09:15:00,42,hello";
const APPLY: &str = "apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected x.jsonl";
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
        "man",
        "completions",
        "keys new",
        "keys list",
        "keys check",
        "keys diff",
        "keys destroy",
        "keys register",
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
        "keys destroy",
        "check +447700900001",
        "man",
        "completions tcsh",
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, 64, "{words}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{words}");
    }
}
