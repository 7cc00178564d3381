//! The README's "Run it", word for word, on the files as they ship.

use std::fs;
use std::path::Path;
use std::process::Command;

use cdrveil::seal::opener::Opener;

use crate::{shipped, shipped_recipient};

/// The commands of the first block under a heading, without their comments.
fn commands(heading: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = readme.split(heading).nth(1).unwrap().split("```").nth(1).unwrap();
    let lines = block.lines().map(|line| line.split('#').next().unwrap().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn run_it_works_from_a_fresh_clone() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("config")).unwrap();
    for file in ["cdrveil.toml", "policy.toml", "keyring.toml"] {
        fs::write(place("config").join(file), shipped(file)).unwrap();
    }
    let commands = commands("## Run it");
    assert_eq!(commands.len(), 4, "{commands:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_cdrveil"));
    for command in commands {
        if command.starts_with("age-keygen -o ") {
            // age-keygen's part: an identity, and its public key where the comment says.
            let (identity, recipient) = Opener::new_identity();
            fs::write(place("security.txt"), identity.expose()).unwrap();
            let config = shipped("cdrveil.toml").replace(&shipped_recipient(), &recipient);
            fs::write(place("config/cdrveil.toml"), config).unwrap();
            continue;
        }
        if command.starts_with("cdrveil run ") {
            continue; // needs a broker: the suites with one run the daemon
        }
        let ran = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", program.parent().unwrap().display()),
            )
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success(), "{command}: {said}");
    }
    let keyring = fs::read_to_string(place("config/keyring.toml")).unwrap();
    assert!(keyring.contains("\n[[key]]\nid = "), "{keyring}");
}
