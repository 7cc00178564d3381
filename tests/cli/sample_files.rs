//! The files in `config/`: every key stands there, works, and says its default.

use cdrveil::config::Config;

use crate::{LISTS, Place, shipped};

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
const BESIDE_OTHERS: [&str; 7] = [
    "maps.zone",
    "optional",
    "records",
    "when",
    "column",
    "columns",
    "name",
];

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
        ("keyring.toml", "# [[root]]\n", "[[root]]\nzzz = 1\n"),
        (
            "keyring.toml",
            "# [[root]]\n# name = \"hsm-root\"\n# pkcs11 = {",
            "[[root]]\nname = \"hsm-root\"\npkcs11 = { zzz = 1,",
        ),
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
