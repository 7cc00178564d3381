//! The operator's file with the environment over it, and what is wrong at which place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// The shipped files with a key of their own, in a folder of their own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for file in ["cdrveil.toml", "policy.toml", "keyring.toml"] {
        fs::copy(shipped.join(file), folder.path().join(file)).unwrap();
    }
    let key = folder.path().join("2026-11.key");
    fs::write(
        &key,
        "6d1f0be2a4937c58d2e90f4b7a61c38e15f7a0bc92d4637881efcd5a06b3924e\n",
    )
    .unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let example = "# [[key]]\n# id = \"2026-11\"\n# activate_at = 2026-11-01T00:00:00Z\n\
                   # material = { file = \"2026-11.key\" }\n# kcv = \"00000000\"\n";
    let key = example.replace("# ", "").replace("00000000", "e5c5b4f0");
    edit(&folder, "keyring.toml", example, &key);
    folder
}

fn edit(folder: &tempfile::TempDir, file: &str, old: &str, new: &str) {
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

fn load(folder: &tempfile::TempDir, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let prefix = format!("{}/", folder.path().display());
    Config::load(&folder.path().join("cdrveil.toml"), &environment).map_err(|faults| {
        faults
            .iter()
            .map(|fault| fault.to_string().replace(&prefix, ""))
            .collect()
    })
}

#[test]
fn the_environment_lies_over_the_file() {
    let folder = folder();
    let config = load(
        &folder,
        &[
            ("CDRVEIL_KAFKA__GROUP", "other"),
            ("CDRVEIL_KAFKA__INSTANCE", "7"),
            ("CDRVEIL_KAFKA__BROKERS", "[\"b1:9092\", \"b2:9092\"]"),
            ("CDRVEIL_DELIVERY__LANES", "5"),
            ("CDRVEIL_DELIVERY__GUARANTEE", "at-least-once"),
            ("CDRVEIL_TOPICS__PUBLIC", "\"quoted.topic\""),
            ("CDRVEIL_DOMAIN", "fraud"),
            ("CDRVEIL_SKIP_KAFKA", "1"),
        ],
    )
    .unwrap();
    assert_eq!(config.kafka.group(), "other");
    assert_eq!(config.kafka.instance(), "7", "a number where text is meant");
    assert_eq!(config.kafka.brokers(), "b1:9092,b2:9092");
    assert_eq!(config.delivery.lanes, 5);
    assert_eq!(config.delivery.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(config.topics.public, "quoted.topic");
    assert_eq!(config.domain, "fraud");
}

#[test]
fn the_environment_can_give_what_the_file_lacks() {
    let folder = folder();
    edit(&folder, "cdrveil.toml", "group = \"cdrveil-billing\"", "");
    let faults = load(&folder, &[]).unwrap_err();
    assert!(faults[0].contains("missing field `group`"), "{faults:?}");
    assert_eq!(
        load(&folder, &[("CDRVEIL_KAFKA__GROUP", "g")])
            .unwrap()
            .kafka
            .group(),
        "g"
    );
}

#[test]
fn a_fault_from_the_environment_names_the_variable() {
    let folder = folder();
    for (name, value, expected) in [
        (
            "CDRVEIL_DELIVERY__LANES",
            "many",
            "environment: CDRVEIL_DELIVERY__LANES: invalid type",
        ),
        (
            "CDRVEIL_DELIVERY__LANE",
            "3",
            "environment: CDRVEIL_DELIVERY__LANE: unknown field `lane`",
        ),
        (
            "CDRVEIL_LOG__LEVEL",
            "loud",
            "environment: CDRVEIL_LOG__LEVEL: unknown word, expected one of `error`",
        ),
        (
            "CDRVEIL_KAFKA__START_TIMEOUT",
            "5",
            "environment: CDRVEIL_KAFKA__START_TIMEOUT: ",
        ),
    ] {
        let faults = load(&folder, &[("CDRVEIL_DOMAIN", "billing"), (name, value)]).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    const SECRET: &str = "AGE-SECRET-KEY-1MADEUPMADEUP";
    let folder = folder();
    let text = fs::read_to_string(folder.path().join("cdrveil.toml")).unwrap();
    let list = text.lines().find(|line| line.starts_with("recipients")).unwrap();
    edit(
        &folder,
        "cdrveil.toml",
        list,
        &format!("recipients = \"{SECRET}\""),
    );
    let file = load(&folder, &[]).unwrap_err();
    assert!(
        file[0].contains("invalid type: string, expected a list, such as"),
        "{file:?}"
    );
    let folder = self::folder();
    for (name, value) in [
        ("CDRVEIL_SEAL__RECIPIENTS", SECRET),
        ("CDRVEIL_KAFKA__PROPERTIES", SECRET),
        ("CDRVEIL_LOG__LEVEL", SECRET),
        ("CDRVEIL_TOPICS__PUBLIC", SECRET),
        ("CDRVEIL_KAFKA__PROPERTIES", "{ \"sasl.pasword\" = \"MADEUP\" }"),
    ] {
        let faults = load(&folder, &[(name, value)])
            .map(|_| ())
            .err()
            .unwrap_or_default();
        let said = faults.join("\n") + &file.join("");
        assert!(!said.contains("MADEUP"), "{name}: {said}");
    }
}

#[test]
fn a_fault_in_the_file_is_told_at_its_place_under_the_environment_too() {
    let folder = folder();
    edit(&folder, "cdrveil.toml", "domain = \"billing\"", "domain = 3");
    let alone = load(&folder, &[]).unwrap_err();
    assert!(
        alone[0].starts_with("cdrveil.toml:8:10: invalid type"),
        "{alone:?}"
    );
    assert_eq!(
        load(&folder, &[("CDRVEIL_KAFKA__GROUP", "g")]).unwrap_err(),
        alone
    );
}

#[test]
fn faults_of_all_files_are_told_at_once() {
    let folder = folder();
    edit(&folder, "cdrveil.toml", "\"cdr.billing\"", "\"cdr.raw\"");
    edit(&folder, "policy.toml", "note    = \"drop\"", "note = \"hash\"");
    edit(&folder, "keyring.toml", "e5c5b4f0", "00000001");
    let faults = load(&folder, &[]).unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, file) in faults
        .iter()
        .zip(["cdrveil.toml:", "policy.toml:", "keyring.toml:"])
    {
        assert!(fault.starts_with(file), "{faults:?}");
    }
}

#[test]
fn a_fault_of_the_operators_file_hides_no_other() {
    let folder = folder();
    edit(&folder, "policy.toml", "note    = \"drop\"", "note = \"hash\"");
    edit(&folder, "keyring.toml", "e5c5b4f0", "00000001");
    for (old, new) in [
        ("domain = \"billing\"", "domain = \"billing"),
        ("domain = \"billing\"", "domian = \"billing\""),
        ("[seal]", "[seal"),
    ] {
        let before = fs::read_to_string(folder.path().join("cdrveil.toml")).unwrap();
        edit(&folder, "cdrveil.toml", old, new);
        let faults = load(&folder, &[]).unwrap_err();
        assert_eq!(faults.len(), 3, "{new}: {faults:?}");
        for (fault, file) in faults
            .iter()
            .zip(["cdrveil.toml:", "policy.toml:", "keyring.toml:"])
        {
            assert!(fault.starts_with(file), "{faults:?}");
        }
        fs::write(folder.path().join("cdrveil.toml"), before).unwrap();
    }
    fs::rename(
        folder.path().join("policy.toml"),
        folder.path().join("other.toml"),
    )
    .unwrap();
    edit(
        &folder,
        "cdrveil.toml",
        "\"policy.toml\"\n",
        "\"other.toml\"\nnone = 1\n",
    );
    let faults = load(&folder, &[]).unwrap_err();
    assert!(faults[1].starts_with("other.toml:"), "{faults:?}");
}

#[test]
fn the_variable_is_named_whatever_the_file_has() {
    let folder = folder();
    let text = fs::read_to_string(folder.path().join("cdrveil.toml")).unwrap();
    let bare: String = text
        .split_inclusive('\n')
        .filter(|line| !["[delivery]", "[admin]", "[log]"].contains(&line.trim()))
        .collect();
    fs::write(folder.path().join("cdrveil.toml"), bare).unwrap();
    for (name, value, said) in [
        ("CDRVEIL_DELIVERY__LANES", "abc", "invalid type: string"),
        ("CDRVEIL_DELIVERY__LANES", "0", "[delivery] lanes must be between"),
        ("CDRVEIL_KAFKA__GROUP", "a b", "kafka.group: write 1 to 200"),
        (
            "CDRVEIL_ADMIN__LISTEN",
            "9464",
            "[admin] listen is an IP address and a port",
        ),
        ("CDRVEIL_SEAL__RECIPIENTS", "[\"nobody\"]", "[seal] recipients"),
        (
            "CDRVEIL_KEYRING",
            "nowhere.toml",
            "keyring nowhere.toml cannot be read",
        ),
        (
            "CDRVEIL_KAFKA__PROPERTIES",
            "{ \"sasl.password\" = \"x\" }",
            "kafka.properties.\"sasl.password\": a secret does not stand here",
        ),
    ] {
        let faults = load(&folder, &[("CDRVEIL_DOMAIN", "billing"), (name, value)]).unwrap_err();
        assert!(
            faults[0].starts_with(&format!("environment: {name}: {said}")),
            "{faults:?}"
        );
    }
}

#[test]
fn a_secret_stands_in_a_file_of_its_own() {
    let folder = folder();
    edit(
        &folder,
        "cdrveil.toml",
        "[kafka.properties]\n",
        "[kafka.properties]\n\"sasl.password\" = \"plain\"\n\"ssl.key.pem\" = \"plain\"\n",
    );
    let faults = load(&folder, &[]).unwrap_err();
    assert_eq!(
        faults
            .iter()
            .filter(|fault| fault.contains("a secret does not stand here"))
            .count(),
        2,
        "{faults:?}"
    );
    assert!(!faults.join("").contains("plain"), "{faults:?}");
}

#[test]
fn a_policy_that_is_not_there_is_told_where_it_is_named() {
    let folder = folder();
    edit(&folder, "cdrveil.toml", "\"policy.toml\"", "\"nowhere.toml\"");
    let faults = load(&folder, &[]).unwrap_err();
    assert!(
        faults[0].starts_with("cdrveil.toml:11:10: policy nowhere.toml cannot be read"),
        "{faults:?}"
    );
    edit(&folder, "cdrveil.toml", "\"nowhere.toml\"", "\"policy.toml\"");
    edit(&folder, "cdrveil.toml", "\"keyring.toml\"", "\"nowhere.toml\"");
    let faults = load(&folder, &[]).unwrap_err();
    assert!(
        faults[0].starts_with("cdrveil.toml:14:11: keyring nowhere.toml cannot be read")
            && faults[0].contains("cdrveil keys new"),
        "{faults:?}"
    );
}

#[test]
fn a_name_that_the_overlap_makes_and_the_policy_has_is_told_where_the_overlap_is_set() {
    let folder = folder();
    edit(
        &folder,
        "policy.toml",
        "[output]\n",
        "[output]\nrecord_id = \"called_prev\"\n",
    );
    edit(
        &folder,
        "policy.toml",
        "\"cell\", \"start\"",
        "\"caller_token\", \"start\"",
    );
    edit(&folder, "policy.toml", "\ncell    =", "\ncaller_token =");
    assert!(load(&folder, &[]).is_ok());
    // Late in the file: the section has its own comments above it.
    let line = "\noverlap = \"7d\"\nseal_previous = true\n";
    edit(
        &folder,
        "keyring.toml",
        "\n[epochs]\n",
        &format!("\n[epochs]{line}"),
    );
    let faults = load(&folder, &[]).unwrap_err();
    let text = fs::read_to_string(folder.path().join("keyring.toml")).unwrap();
    let row = text[..text.find("overlap = \"7d\"").unwrap()].lines().count() + 1;
    assert_eq!(faults.len(), 2, "{faults:?}");
    for (told, expected) in faults.iter().zip([
        format!("keyring.toml:{row}:11: [epochs] overlap: the name \"called_prev\" is made for a token and is also"),
        format!("keyring.toml:{}:17: [epochs] seal_previous: the name \"caller_token\" is made", row + 1),
    ]) {
        assert!(told.starts_with(&expected), "{told}");
    }
    edit(&folder, "policy.toml", "called_prev", "id_of_record");
    edit(&folder, "keyring.toml", "seal_previous = true\n", "");
    let config = load(&folder, &[]).unwrap();
    assert_eq!(
        config.policy.appended(),
        [
            "called_class",
            "called_country",
            "id_of_record",
            "caller_prev",
            "called_prev"
        ]
    );
}
