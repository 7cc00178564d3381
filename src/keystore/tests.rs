//! Every refusal with its message, through real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// Random bytes of no system.
const ONE: &str = "9c0f4dd1b2a37e5866e1405ac9d37b21f8e60b94a5c2d31f7086be43195ad7ec";
const TWO: &str = "41b7e09256cd83fa1d6c0be5782f94a3c6d85e1730ab492fe8139d76b0c4528f";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn key(&self, name: &str, hex: &str) {
        self.write(name, &format!("{hex}\n"), 0o400);
    }

    fn load(&self, keyring: &str) -> Result<LoadedKeyring, Vec<Fault>> {
        self.write("keyring.toml", keyring, 0o644);
        load_from(&self.path("keyring.toml"), &self.outside())
    }

    fn outside(&self) -> Outside {
        Outside {
            credentials: Some(self.path("credentials")),
            time_limit: Duration::from_secs(10),
        }
    }

    /// The faults as shown, without the folder's name.
    fn refusals(&self, keyring: &str) -> Vec<String> {
        let prefix = format!("{}/", self.0.path().display());
        let faults = self.load(keyring).unwrap_err();
        faults
            .iter()
            .map(|fault| fault.to_string().replace(&prefix, ""))
            .collect()
    }
}

fn kcv(hex: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    EpochKey::new(bytes).unwrap().kcv().to_string()
}

/// A keyring of one key whose line 5 is `material`.
fn one_key(material: &str) -> String {
    format!(
        "version = 1\n[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\nmaterial = {material}\nkcv = \"{}\"\n",
        kcv(ONE)
    )
}

#[test]
fn a_keyring_of_files_credentials_commands_and_tombstones_loads() {
    let folder = Folder::new();
    folder.key("a.key", ONE);
    fs::create_dir(folder.path("credentials")).unwrap();
    // systemd shows an ACL's mask as group bits.
    folder.write("credentials/cdr-key", &format!("{TWO}\r\n"), 0o440);
    let third = ONE.chars().rev().collect::<String>();
    let text = format!(
        r#"
version = 1
[[key]]
id = "2026-12"
activate_at = 2026-12-01T00:00:00+01:00
material = {{ exec = ["sh", "-c", "echo {third}; echo noise >&2"] }}
kcv = "{}"
[[key]]
id = "2026-09"
activate_at = 2026-09-01 00:00:00Z
status = "destroyed"
[[key]]
id = "2026-10"
activate_at = 2026-10-01T00:00:00Z
material = {{ file = "a.key" }}
kcv = "{}"
status = "compromised"
[[key]]
id = "2026-11"
activate_at = 2026-11-01T00:00:00Z
material = {{ credential = "cdr-key" }}
kcv = "{}"
status = "enabled"
"#,
        kcv(&third),
        kcv(ONE),
        kcv(TWO).to_uppercase()
    );
    let loaded = folder.load(&text).unwrap();
    let epochs = loaded.keyring.epochs();
    let rows: Vec<_> = epochs
        .iter()
        .map(|epoch| format!("{} {} {}", epoch.id(), epoch.activate_at(), epoch.status()))
        .collect();
    assert_eq!(
        rows,
        [
            "2026-09 2026-09-01T00:00:00Z destroyed",
            "2026-10 2026-10-01T00:00:00Z compromised",
            "2026-11 2026-11-01T00:00:00Z enabled",
            "2026-12 2026-11-30T23:00:00Z enabled",
        ]
    );
    assert_eq!(
        loaded.sources,
        ["-", "file a.key", "credential cdr-key", "exec sh"]
    );
    assert_eq!(loaded.warnings, []);
    let shown = format!("{loaded:?}");
    for secret in [ONE, TWO, &third] {
        assert!(!shown.contains(secret));
    }
}

#[test]
fn bad_material_is_refused_with_its_place_and_what_to_do() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| folder.write(name, text, 0o400);
    file("short.key", &ONE[..62]);
    file("odd.key", &format!("{ONE}a\n"));
    file("empty.key", "");
    file("newline.key", "\n");
    file("two-lines.key", &format!("{ONE}\n{TWO}\n"));
    file("spaces.key", &format!("{ONE} \n"));
    file("base64.key", "nA9N0bKjflhm4UBaydN7Ifjm");
    file("zeros.key", &"00".repeat(32));
    file("few.key", &"0123456789abcdef1122".repeat(4)[..64]);
    file(
        "counting.key",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    );
    file(
        "backwards.key",
        "5f5e5d5c5b5a595857565554535251504f4e4d4c4b4a49484746454443424140",
    );
    file("repeated.key", &ONE[..32].repeat(2));
    file(
        "text.key",
        &data_encoding::HEXLOWER.encode(b"correct horse battery staple 2026, billing"),
    );
    file("other.key", TWO);
    file("long.key", &"a".repeat(20_000));
    folder.write("group.key", ONE, 0o440);
    folder.write("others.key", ONE, 0o404);
    folder.key("good.key", ONE);
    symlink(folder.path("good.key"), folder.path("link.key")).unwrap();
    fs::create_dir(folder.path("folder.key")).unwrap();
    fs::create_dir(folder.path("credentials")).unwrap();

    let cases = [
        (
            r#"{ file = "short.key" }"#,
            "5:12: key \"2026-11\": file short.key has 62 hex digits: at least 64 (32 bytes) are needed",
        ),
        (
            r#"{ file = "odd.key" }"#,
            "5:12: key \"2026-11\": file odd.key has 65 hex digits, half a byte",
        ),
        (
            r#"{ file = "empty.key" }"#,
            "5:12: key \"2026-11\": file empty.key is empty",
        ),
        (
            r#"{ file = "newline.key" }"#,
            "5:12: key \"2026-11\": file newline.key is empty",
        ),
        (
            r#"{ file = "two-lines.key" }"#,
            "5:12: key \"2026-11\": file two-lines.key is not one line of hex digits",
        ),
        (
            r#"{ file = "spaces.key" }"#,
            "5:12: key \"2026-11\": file spaces.key is not one line of hex digits",
        ),
        (
            r#"{ file = "base64.key" }"#,
            "5:12: key \"2026-11\": file base64.key is not one line of hex digits",
        ),
        (
            r#"{ file = "zeros.key" }"#,
            "5:12: key \"2026-11\": file zeros.key is not random (a few byte values repeated)",
        ),
        (
            r#"{ file = "few.key" }"#,
            "5:12: key \"2026-11\": file few.key is not random (a few byte values repeated)",
        ),
        (
            r#"{ file = "counting.key" }"#,
            "5:12: key \"2026-11\": file counting.key is not random (a counting sequence)",
        ),
        (
            r#"{ file = "backwards.key" }"#,
            "5:12: key \"2026-11\": file backwards.key is not random (a counting sequence)",
        ),
        (
            r#"{ file = "repeated.key" }"#,
            "5:12: key \"2026-11\": file repeated.key is not random (a repeated pattern)",
        ),
        (
            r#"{ file = "text.key" }"#,
            "5:12: key \"2026-11\": file text.key is not random (text)",
        ),
        (
            r#"{ file = "long.key" }"#,
            "5:12: key \"2026-11\": file long.key is longer than 16384 bytes",
        ),
        (
            r#"{ file = "group.key" }"#,
            "5:12: key \"2026-11\": file group.key is open to group or others (mode 0440): chmod 0400 it",
        ),
        (
            r#"{ file = "others.key" }"#,
            "5:12: key \"2026-11\": file others.key is open to group or others (mode 0404)",
        ),
        (
            r#"{ file = "link.key" }"#,
            "5:12: key \"2026-11\": file link.key is a symlink, which can be pointed elsewhere: name the file itself",
        ),
        (
            r#"{ file = "folder.key" }"#,
            "5:12: key \"2026-11\": file folder.key is not a regular file",
        ),
        (
            r#"{ file = "none.key" }"#,
            "5:12: key \"2026-11\": file none.key cannot be read: No such file or directory (os error 2): put the key there, or make one with `cdrveil keys new`",
        ),
        (r#"{ file = "other.key" }"#, "6:7: \"2026-11\": kcv is "),
        (
            r#"{ credential = "none" }"#,
            "5:12: key \"2026-11\": credential none cannot be read: No such file",
        ),
        (
            r#"{ credential = "../good.key" }"#,
            "5:12: key \"2026-11\": credential ../good.key is not a plain file name",
        ),
        (
            r#"{ credential = ".." }"#,
            "5:12: key \"2026-11\": credential .. is not a plain file name",
        ),
        (
            r#"{ credential = "" }"#,
            "5:12: key \"2026-11\": credential  is not a plain file name",
        ),
        ("{ exec = [] }", "5:12: key \"2026-11\": exec  names no command"),
        (
            r#"{ exec = ["./none"] }"#,
            "5:12: key \"2026-11\": exec ./none cannot be started: No such file",
        ),
        (
            r#"{ exec = ["sh", "-c", "echo no token >&2; echo login first >&2; exit 3"] }"#,
            "5:12: key \"2026-11\": exec sh failed (exit status: 3): no token / login first",
        ),
        (
            r#"{ exec = ["sh", "-c", "exit 1"] }"#,
            "5:12: key \"2026-11\": exec sh failed (exit status: 1)",
        ),
        (
            r#"{ exec = ["true"] }"#,
            "5:12: key \"2026-11\": exec true is empty",
        ),
        (
            r#"{ exec = ["echo", "hello"] }"#,
            "5:12: key \"2026-11\": exec echo is not one line of hex digits",
        ),
        (
            r#"{ file = "good.key", exec = ["true"] }"#,
            "5:12: material is one of",
        ),
        (r#"{ path = "good.key" }"#, "5:12: material is one of"),
        ("{}", "5:12: material is one of"),
        (
            "\"9c0f4dd1\"",
            "5:12: material is one of { file = \"...\" }, { credential = \"...\" }, { exec = [\"...\"] } or { derive = \"...\" }; a key itself never stands",
        ),
    ];
    for (material, expected) in cases {
        let found = folder.refusals(&one_key(material));
        assert_eq!(found.len(), 1, "{material}: {found:?}");
        assert!(
            found[0].starts_with(&format!("keyring.toml:{expected}")),
            "{material}: {}",
            found[0]
        );
        assert!(
            !found[0].contains(&ONE[..8]) && !found[0].contains(&TWO[..8]),
            "{}",
            found[0]
        );
    }
}

#[test]
fn a_key_in_the_wrong_place_is_never_shown() {
    let folder = Folder::new();
    folder.key("good.key", ONE);
    let good = one_key(r#"{ file = "good.key" }"#);
    let kcv_line = format!("kcv = \"{}\"", kcv(ONE));
    for (old, new, said) in [
        (
            "{ file = \"good.key\" }",
            format!("{{ exec = \"echo {TWO}\" }}"),
            "5:21: invalid type: string, expected exec as a list, one word each",
        ),
        (
            "{ file = \"good.key\" }",
            format!("{{ exec = [\"{TWO}\"] }}"),
            "5:12: key \"2026-11\": exec (hex digits, not shown) cannot be started",
        ),
        (
            "{ file = \"good.key\" }",
            format!("{{ file = \"{TWO}\" }}"),
            "5:12: key \"2026-11\": file (hex digits, not shown) cannot be read",
        ),
        (
            "{ file = \"good.key\" }",
            format!("{{ credential = \"{TWO}\" }}"),
            "5:12: key \"2026-11\": credential (hex digits, not shown) cannot be read",
        ),
        (
            "{ file = \"good.key\" }",
            format!("{{ exec = [\"sh\", \"-c\", \"echo bad key {TWO} >&2; exit 1\"] }}"),
            "5:12: key \"2026-11\": exec sh failed (exit status: 1): bad key (hex digits, not shown)",
        ),
        (
            kcv_line.as_str(),
            format!("status = \"{TWO}\""),
            "6:10: unknown word, expected one of `enabled`",
        ),
        (
            kcv_line.as_str(),
            format!("{TWO} = \"enabled\""),
            "6:1: unknown field `(hex digits, not shown)`",
        ),
        (kcv_line.as_str(), format!("kcv = \"{TWO}\""), "6:7: kcv of"),
        ("\"2026-11\"", format!("\"{TWO}\""), "3:6: an id is"),
        (
            "version = 1",
            format!("version = \"{TWO}\""),
            "1:11: invalid type: string, expected",
        ),
    ] {
        let found = folder.refusals(&good.replacen(old, &new, 1)).join("\n");
        assert!(found.contains(&format!("keyring.toml:{said}")), "{new}: {found}");
        assert!(!found.to_lowercase().contains(&TWO[..12]), "{found}");
    }
}

#[test]
fn a_bad_entry_is_refused_with_its_place_and_what_to_do() {
    let folder = Folder::new();
    folder.key("good.key", ONE);
    let good = one_key(r#"{ file = "good.key" }"#);
    let kcv_line = format!("kcv = \"{}\"", kcv(ONE));
    let cases = [
        ("version = 1", "version = 2", "1:11: version 2 is unknown: this cdrveil reads version 1".to_owned()),
        ("version = 1\n", "", "missing field `version`: the sample files in config/ show every key with what it means".to_owned()),
        ("\"2026-11\"", "\"Nov_2026\"", "3:6: an id is 1 to 16 lower-case letters, digits and hyphens".to_owned()),
        ("T00:00:00Z", "T00:00:00", "4:15: activate_at has no offset, so it names no moment: write it as 2026-11-01T00:00:00Z".to_owned()),
        ("T00:00:00Z", "", "4:15: activate_at needs a date and a time".to_owned()),
        ("2026-11-01T00:00:00Z", "\"2026-11-01T00:00:00Z\"", "4:15: a date and time stands without quotes: remove the quotes".to_owned()),
        (kcv_line.as_str(), "kcv = \"9fc0\"", "6:7: kcv of \"2026-11\": a key check value is 8 hex digits".to_owned()),
        (kcv_line.as_str(), "kcv = \"00000000\"", format!("6:7: \"2026-11\": kcv is {} but 00000000 is written here: these are the wrong bytes", kcv(ONE))),
        (kcv_line.as_str(), "", format!("3:6: key \"2026-11\" has no kcv: write kcv = \"{}\" once you are sure", kcv(ONE))),
        (kcv_line.as_str(), "status = \"disabled\"", "6:10: unknown word, expected one of `enabled`, `compromised`, `destroyed`".to_owned()),
        (kcv_line.as_str(), "status = \"destroyed\"", "5:12: key \"2026-11\": file good.key is named but the key is destroyed: `cdrveil keys destroy 2026-11` wipes the material, then removes this line".to_owned()),
        ("material = { file = \"good.key\" }", "", "3:6: \"2026-11\" has no material: name it, or set status = \"destroyed\"".to_owned()),
        ("id =", "name =", "3:1: unknown field `name`".to_owned()),
    ];
    for (from, to, expected) in cases {
        let found = folder.refusals(&good.replace(from, to));
        assert_eq!(found.len(), 1, "{to}: {found:?}");
        let shown = found[0].strip_prefix("keyring.toml:").unwrap();
        assert!(
            shown.starts_with(&expected) || shown.ends_with(&expected),
            "{to}: {shown}"
        );
    }
    assert_eq!(
        folder.refusals("version = 1"),
        ["keyring.toml:1:11: no key: make one with `cdrveil keys new`"]
    );
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let folder = Folder::new();
    folder.key("a.key", ONE);
    folder.key("b.key", TWO);
    let second = |id: &str, from: &str, file: &str, hex: &str| {
        let first = one_key(r#"{ file = "a.key" }"#);
        let kcv = kcv(hex);
        format!(
            "{first}[[key]]\nid = \"{id}\"\nactivate_at = {from}\nmaterial = {{ file = \"{file}\" }}\nkcv = \"{kcv}\"\n"
        )
    };
    let later = "2026-12-01T00:00:00Z";
    for (keyring, expected) in [
        (
            second("2026-11", later, "b.key", TWO),
            "8:6: id \"2026-11\" is used twice: an id names one key for ever, choose another",
        ),
        (
            second("2026-12", "2026-11-01T01:00:00+01:00", "b.key", TWO),
            "9:15: \"2026-12\" begins at 2026-11-01T00:00:00Z as \"2026-11\" does",
        ),
        (
            second("2026-12", later, "a.key", ONE),
            "10:12: \"2026-12\" has the same material as \"2026-11\": every epoch needs its own key",
        ),
    ] {
        let found = folder.refusals(&keyring);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("keyring.toml:{expected}")),
            "{}",
            found[0]
        );
    }
    assert!(folder.load(&second("2026-12", later, "b.key", TWO)).is_ok());
}

#[test]
fn all_faults_are_reported_at_once() {
    let folder = Folder::new();
    let text = one_key(r#"{ file = "none.key" }"#)
        .replace("T00:00:00Z", "")
        .replace("2026-11\"", "!\"");
    let again = text.split_once('\n').unwrap().1.to_owned();
    let places: Vec<_> = folder
        .refusals(&format!("{text}{again}"))
        .iter()
        .map(|fault| fault.split(':').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(places, ["3", "4", "5", "8", "9", "10"]);
}

#[test]
fn a_command_that_does_not_end_is_stopped() {
    let folder = Folder::new();
    folder.write("keyring.toml", &one_key(r#"{ exec = ["sleep", "60"] }"#), 0o644);
    let outside = Outside {
        credentials: None,
        time_limit: Duration::from_millis(50),
    };
    let found = load_from(&folder.path("keyring.toml"), &outside).unwrap_err();
    assert_eq!(
        found[0].message(),
        "key \"2026-11\": exec sleep did not end within 0.05 s"
    );
}

#[test]
fn a_credential_without_systemd_says_how_to_get_one() {
    let folder = Folder::new();
    folder.write("keyring.toml", &one_key(r#"{ credential = "cdr-key" }"#), 0o644);
    let outside = Outside {
        credentials: None,
        time_limit: Duration::from_secs(1),
    };
    let found = load_from(&folder.path("keyring.toml"), &outside).unwrap_err();
    let expected = "key \"2026-11\": credential cdr-key cannot be read: $CREDENTIALS_DIRECTORY is not set";
    assert!(found[0].message().starts_with(expected), "{}", found[0]);
}

#[test]
fn the_content_hash_changes_with_file_and_material_only() {
    let folder = Folder::new();
    folder.key("a.key", ONE);
    let text = one_key(r#"{ file = "a.key" }"#);
    let loaded = folder.load(&text).unwrap();
    let path = folder.path("keyring.toml");
    assert_eq!(content_hash(&path), loaded.content_hash);

    folder.write("keyring.toml", &format!("{text}# reviewed\n"), 0o644);
    let commented = content_hash(&path);
    assert_ne!(commented, loaded.content_hash);

    fs::remove_file(folder.path("a.key")).unwrap();
    let missing = content_hash(&path);
    assert_ne!(missing, commented);
    folder.key("a.key", TWO);
    assert_ne!(content_hash(&path), commented);
    fs::remove_file(folder.path("a.key")).unwrap();
    folder.key("a.key", ONE);
    assert_eq!(content_hash(&path), commented);

    fs::remove_file(&path).unwrap();
    let gone = content_hash(&path);
    assert!(
        load(&path).unwrap_err()[0]
            .message()
            .starts_with("cannot read the keyring")
    );
    folder.write("keyring.toml", "not toml", 0o644);
    assert_ne!(content_hash(&path), gone);
}

#[test]
fn a_kubernetes_secret_loads_through_its_folder_link_and_a_swap_is_seen() {
    let folder = Folder::new();
    for (generation, hex) in [("..1", ONE), ("..2", TWO)] {
        fs::create_dir(folder.path(generation)).unwrap();
        folder.key(&format!("{generation}/x.key"), hex);
    }
    symlink("..1", folder.path("..data")).unwrap();
    symlink("..data/x.key", folder.path("x.key")).unwrap();
    let loaded = folder.load(&one_key(r#"{ file = "..data/x.key" }"#)).unwrap();
    fs::remove_file(folder.path("..data")).unwrap();
    symlink("..2", folder.path("..data")).unwrap();
    assert_ne!(content_hash(&folder.path("keyring.toml")), loaded.content_hash);
    let linked = folder.refusals(&one_key(r#"{ file = "x.key" }"#));
    assert!(linked[0].contains("\"..data/NAME\""), "{}", linked[0]);
}

#[test]
fn a_keyring_others_may_write_is_warned_about() {
    let folder = Folder::new();
    folder.key("a.key", ONE);
    folder.write("keyring.toml", &one_key(r#"{ file = "a.key" }"#), 0o666);
    let loaded = load(&folder.path("keyring.toml")).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    let expected = "the keyring can be changed by group or others (mode 0666): chmod go-w it";
    assert_eq!(loaded.warnings[0].message(), expected);
}
