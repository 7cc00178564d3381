//! `init`: a folder that `check` accepts, for every preset and from a sample; never over what is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use cdrveil::cdr::policy::preset_names;

fn init(place: &Path, arguments: &[&str]) -> Output {
    run(place, &[&["init"], arguments].concat())
}

fn run(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(arguments)
        .current_dir(place)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_preset_gives_a_configuration_that_check_accepts() {
    let place = tempfile::tempdir().unwrap();
    for name in preset_names() {
        let made = init(
            place.path(),
            &[
                name,
                "--preset",
                name,
                "--country",
                "GB",
                "--zone",
                "Europe/London",
            ],
        );
        assert!(made.status.success(), "{name}: {}", said(&made));
        let config = format!("{name}/cdrveil.toml");
        let checked = run(place.path(), &["check", "--config", &config, "--offline"]);
        assert!(checked.status.success(), "{name}: {}", said(&checked));
    }
}

/// The kernel lets nobody replace the folder he stands in by the name ".".
#[test]
fn the_empty_folder_one_stands_in_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path().join("here");
    fs::create_dir(&here).unwrap();
    let made = init(&here, &[".", "--preset", "twilio", "--country", "GB"]);
    assert!(made.status.success(), "{}", said(&made));
    assert!(said(&made).contains("cd \"$PWD\""), "{}", said(&made));
    let checked = run(&here, &["check", "--config", "cdrveil.toml", "--offline"]);
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn secrets_are_fresh_and_their_owners_alone_and_nothing_is_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let flags = ["--preset", "twilio", "--country", "GB"];
    let written = |folder: &str| init(place.path(), &[&[folder][..], &flags].concat());
    fs::create_dir(place.path().join("empty")).unwrap();
    let mut secrets = Vec::new();
    for folder in ["one", "empty"] {
        let made = written(folder);
        assert!(made.status.success(), "{}", said(&made));
        assert!(
            said(&made).contains(&format!("move {folder}/identity.txt away")),
            "{}",
            said(&made)
        );
        let commands = String::from_utf8(made.stdout).unwrap();
        assert_eq!(commands.lines().count(), 3, "{commands}");
        assert!(
            commands.lines().all(|line| line.starts_with("cdrveil ")),
            "{commands}"
        );
        let mut files: Vec<String> = Vec::new();
        for entry in fs::read_dir(place.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "identity.txt" || Path::new(&name).extension().is_some_and(|ending| ending == "key") {
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    0o400,
                    "{name}"
                );
                let secret = fs::read_to_string(&path).unwrap();
                let shown = commands.contains(secret.trim()) || commands.contains("AGE-SECRET-KEY");
                assert!(!shown, "{name}");
                secrets.push(secret);
            }
            files.push(name);
        }
        assert_eq!(files.len(), 5, "{files:?}");
        let rights = fs::metadata(place.path().join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(rights & 0o777, 0o700);
    }
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 4, "two keys and two identities");

    let config = fs::read_to_string(place.path().join("one/cdrveil.toml")).unwrap();
    assert!(!config.contains("nobody holds"), "{config}");
    let again = written("one");
    assert_eq!(again.status.code(), Some(64), "{}", said(&again));
    assert!(
        said(&again).contains("nothing is overwritten"),
        "{}",
        said(&again)
    );
    assert_eq!(
        fs::read_to_string(place.path().join("one/cdrveil.toml")).unwrap(),
        config
    );
    let left = fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 2, "nothing half made stays");
}

#[test]
fn what_was_said_stands_in_the_files() {
    let place = tempfile::tempdir().unwrap();
    let made = init(
        place.path(),
        &[
            "roaming",
            "--preset",
            "asterisk",
            "--country",
            "DE",
            "--zone",
            "Europe/Berlin",
            "--domain",
            "roaming",
            "--brokers",
            "a:9092,b:9092",
            "--raw",
            "raw.one,raw.two",
        ],
    );
    assert!(made.status.success(), "{}", said(&made));
    let config = fs::read_to_string(place.path().join("roaming/cdrveil.toml")).unwrap();
    for line in [
        "domain = \"roaming\"",
        "group = \"cdrveil-roaming\"",
        "brokers = [\"a:9092\", \"b:9092\"]",
        "raw = [\"raw.one\", \"raw.two\"]",
        "public = \"cdr.roaming\"",
    ] {
        assert!(config.lines().any(|found| found == line), "{line}\n{config}");
    }
    let policy = fs::read_to_string(place.path().join("roaming/policy.toml")).unwrap();
    for line in [
        "preset = \"asterisk\"",
        "time.zone = \"Europe/Berlin\"",
        "country = \"DE\"",
    ] {
        assert!(policy.contains(line), "{line}\n{policy}");
    }
}

#[test]
fn what_cannot_be_guessed_is_asked_for_and_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("empty.csv"), "").unwrap();
    for (arguments, code, words) in [
        (&["d"][..], 64, "--preset"),
        (&["d", "--preset", "asterisk"], 64, "--country"),
        (&["d", "--preset", "asterisk", "--country", "GB"], 78, "--zone"),
        (
            &["d", "--preset", "nobody", "--country", "GB"],
            64,
            "possible values",
        ),
        (&["d", "--preset", "twilio", "--country", "XX"], 64, "country"),
        (&["d", "--sample", "empty.csv"], 64, "empty.csv"),
        (&["d", "--sample", "absent.csv"], 64, "absent.csv"),
    ] {
        let refused = init(place.path(), arguments);
        assert_eq!(
            refused.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&refused)
        );
        assert!(
            said(&refused).contains(words),
            "{arguments:?}: {}",
            said(&refused)
        );
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{arguments:?}");
    }
}
