//! A folder with a configuration whose keys a token derives, and the verbs run there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use cdrveil::seal::opener::Opener;
use serde_json::Value;

use crate::hsm::{self, PIN};
use crate::support::deployment::{PROGRAM, sample};

/// A folder with a configuration whose keys come from a token.
pub struct Place {
    pub folder: tempfile::TempDir,
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// With a root in this token and no key yet.
    pub fn new(token: &str, root: &str) -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for file in ["policy.toml", "cdrveil.toml"] {
            made.write(file, &sample(file));
        }
        let (_, recipient) = Opener::new_identity();
        let shipped = made.read("cdrveil.toml");
        let before = shipped.split("recipients = [\"").nth(1).unwrap();
        let before = before.split('"').next().unwrap();
        made.write("cdrveil.toml", &shipped.replace(before, &recipient));
        made.write("hsm-pin", &format!("{PIN}\n"));
        made.mode("hsm-pin", 0o400);
        made.keyring(&block("hsm-root", token, root));
        made
    }

    pub fn keyring(&self, rest: &str) {
        self.write("keyring.toml", &format!("version = 1\n{rest}"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file, whatever its mode.
    pub fn write(&self, name: &str, text: &str) {
        let _ = fs::remove_file(self.path(name));
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replace(from, to));
    }

    /// Runs `cdrveil WORDS` there; what its module is asked goes to `spy.log`.
    pub fn run(&self, words: &str) -> Ran {
        let output = Command::new(PROGRAM)
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("PKCS11SPY_OUTPUT", self.path("spy.log"))
            .env("CREDENTIALS_DIRECTORY", self.folder.path())
            .output()
            .unwrap();
        let ran = Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        // Whatever it does, it says no PIN.
        assert!(
            !(ran.out.clone() + &ran.err).contains("pin-3"),
            "{}{}",
            ran.out,
            ran.err
        );
        ran
    }

    /// Adds a derived key that begins then.
    pub fn derived(&self, id: &str, from: &str) {
        let made = self.run(&format!(
            "keys new --keyring keyring.toml --derive hsm-root --id {id} --activate-at {from}"
        ));
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(
            made.out
                .contains("material = { derive = \"hsm-root\" }\nkcv = \""),
            "{}",
            made.out
        );
        self.write("keyring.toml", &(self.read("keyring.toml") + &made.out));
        assert!(!self.path(&format!("{id}.key")).exists(), "there is no key file");
    }

    pub fn listed(&self) -> Value {
        let listed = self.run("keys list --json --keyring keyring.toml");
        serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{}", listed.err))
    }

    /// The public records of two calls, in October and in November.
    pub fn applied(&self) -> String {
        let row = |start: &str| {
            format!("c-1,voice,+447700900001,07700 900002,234150000000001,1234,{start},42,hello\n")
        };
        self.write(
            "calls.csv",
            &(row("2026-10-05 09:15:00") + &row("2026-11-05 09:15:00")),
        );
        for output in ["p.csv", "r.jsonl", "x.jsonl"] {
            let _ = fs::remove_file(self.path(output));
        }
        let ran = self.run(
            "apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected x.jsonl calls.csv",
        );
        assert_eq!(ran.code, 0, "{}", ran.err);
        self.read("p.csv")
    }

    /// `keys check` refuses the keyring; what it says, a line for each fault.
    pub fn refusals(&self) -> Vec<String> {
        let ran = self.run("keys check --keyring keyring.toml");
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{}", ran.err);
        ran.err.lines().map(str::to_owned).collect()
    }
}

/// A `[[root]]` on lines 2 to 4 of the keyring, reached through the spy.
pub fn block(name: &str, token: &str, label: &str) -> String {
    let module = hsm::spy().unwrap();
    format!(
        "[[root]]\nname = \"{name}\"\npkcs11 = {{ module = \"{}\", token = \"{token}\", label = \"{label}\", pin = {{ file = \"hsm-pin\" }} }}\n",
        module.display()
    )
}

/// A `[[key]]` of that root, whose check value is not looked at any more.
pub fn key(root: &str) -> String {
    format!(
        "[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\nmaterial = {{ derive = \"{root}\" }}\nkcv = \"00000000\"\n"
    )
}
