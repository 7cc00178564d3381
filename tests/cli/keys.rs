//! A security team's day: keys that end, as typed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{Place, Ran};

/// A time so many days from now.
fn days(days: i64) -> String {
    let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
    (now + SignedDuration::from_hours(24 * days)).to_string()
}

/// A keyring of keys with these names and starts; comments and layout are somebody's.
fn keyring(place: &Place, keys: &[(&str, &str)]) {
    place.write("keyring.toml", "# ours, ticket SEC-1\nversion = 1\n");
    for (id, from) in keys {
        let made = place.run(&format!(
            "keys new --keyring keyring.toml --id {id} --activate-at {from}"
        ));
        assert_eq!(made.code, 0, "{}", made.err);
        let block = made.out.replace("[[key]]", &format!("[[key]] # {id}"));
        place.write("keyring.toml", &(place.read("keyring.toml") + &block));
    }
}

fn listed(place: &Place) -> Value {
    let listed = place.run("keys list --json --keyring keyring.toml");
    serde_json::from_str(&listed.out).unwrap_or_else(|_| panic!("{}", listed.err))
}

fn three_keys() -> Place {
    let place = Place::new();
    keyring(
        &place,
        &[
            ("old", "2020-01-01T00:00:00Z"),
            ("last", &days(-100)),
            ("now", &days(-30)),
            ("next", &days(30)),
        ],
    );
    place
}

#[test]
fn a_destroyed_key_leaves_a_tombstone_and_a_certificate() {
    let place = three_keys();
    let (before, secret) = (listed(&place), place.read("old.key"));
    let text = place.read("keyring.toml");
    let owner = fs::metadata(place.path("keyring.toml")).unwrap().mode();
    let second = fs::hard_link(place.path("old.key"), place.path("seen"));
    let ran = place.feed("keys destroy old --keyring keyring.toml --json", "old\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    second.unwrap();
    let certificate: Value = serde_json::from_str(&ran.out).unwrap();
    let after = listed(&place);
    assert_eq!(certificate["destroyed"], "old");
    for (name, known) in [
        ("kcv", &before["keys"][0]["kcv"]),
        ("activate_at", &before["keys"][0]["activate_at"]),
        ("ends_at", &before["keys"][0]["ends_at"]),
        ("fingerprint_before", &before["fingerprint"]),
        ("fingerprint_after", &after["fingerprint"]),
        ("forced", &Value::Bool(false)),
    ] {
        assert_eq!(&certificate[name], known, "{name}");
    }
    assert_ne!(before["fingerprint"], after["fingerprint"]);
    assert_eq!(certificate["files"][0]["outcome"], "overwritten and removed");
    assert!(
        certificate["host"].as_str().is_some_and(|host| !host.is_empty()),
        "{certificate}"
    );
    let time: Timestamp = certificate["time"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(time) < SignedDuration::from_mins(1));

    assert!(!place.path("old.key").exists());
    assert_eq!(
        fs::read(place.path("seen")).unwrap(),
        [0; 65],
        "no byte is left under another name"
    );
    let line = "material = { file = \"old.key\" }\n";
    let expected = text.replace(line, "").replacen("\"enabled\"", "\"destroyed\"", 1);
    assert_eq!(place.read("keyring.toml"), expected, "comments and layout stay");
    assert_eq!(fs::metadata(place.path("keyring.toml")).unwrap().mode(), owner);
    assert_eq!(
        (&after["keys"][0]["state"], &after["keys"][0]["kcv"]),
        (&"destroyed".into(), &before["keys"][0]["kcv"])
    );
    assert!(!(ran.out + &ran.err).contains(secret.trim()));

    let again = place.run("keys destroy old --keyring keyring.toml --yes");
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(place.read("keyring.toml"), expected);
}

#[test]
fn a_key_that_calls_may_need_is_kept() {
    let place = three_keys();
    let text = place.read("keyring.toml");
    let refused = |words: &str, typed: &str| -> Ran {
        let ran = place.feed(&format!("keys destroy --keyring keyring.toml {words}"), typed);
        assert_eq!(
            (place.read("keyring.toml"), ran.out.as_str()),
            (text.clone(), ""),
            "{words}"
        );
        for id in ["old", "last", "now", "next"] {
            assert!(place.path(&format!("{id}.key")).exists(), "{words}");
        }
        ran
    };
    for (words, typed, code, said) in [
        ("now --yes", "", 1, "keyring.toml: \"now\" is in use until 20"),
        ("next --yes", "", 1, "keyring.toml: \"next\" begins at 20"),
        (
            "last --yes",
            "",
            1,
            "keyring.toml: late records of \"last\" may come until 20",
        ),
        ("old", "", 64, "This destroys the key \"old\" (kcv "),
        ("old", "last\n", 64, "This destroys the key \"old\" (kcv "),
        ("none --yes", "", 64, "keyring.toml: there is no key \"none\""),
        (
            "old --yes --file now.key",
            "",
            78,
            "now.key holds another key: its kcv is ",
        ),
        (
            "old --yes --file policy.toml",
            "",
            78,
            "policy.toml is not one line of hex digits",
        ),
    ] {
        let ran = refused(words, typed);
        assert_eq!(ran.code, code, "{words}: {}", ran.err);
        assert!(ran.err.starts_with(said), "{words}: {}", ran.err);
    }
    // The wrong bytes under its name: some other key, which may be in use.
    fs::rename(place.path("old.key"), place.path("kept")).unwrap();
    fs::copy(place.path("now.key"), place.path("old.key")).unwrap();
    let ran = refused("old --yes --force", "");
    assert!(
        ran.code == 78 && ran.err.starts_with("old.key holds another key"),
        "{}",
        ran.err
    );
    fs::rename(place.path("kept"), place.path("old.key")).unwrap();

    place.write(
        "keyring.toml",
        &text.replace("version = 1", "version = 1\n[epochs]\nlate_window = \"20d\""),
    );
    for words in ["last --yes", "now --yes --force"] {
        let ran = place.run(&format!("keys destroy --keyring keyring.toml {words}"));
        assert_eq!(ran.code, 0, "{words}: {}", ran.err);
        let forced = words.contains("force");
        assert!(
            ran.out.contains(if forced {
                "forced       yes"
            } else {
                "forced       no"
            }),
            "{}",
            ran.out
        );
    }
    assert!(!place.path("last.key").exists() && !place.path("now.key").exists());
}

/// Every moment at which a run may be cut short is followed by another run.
#[test]
fn a_destruction_that_was_cut_short_is_finished_by_the_next() {
    let marked = |place: &Place| {
        let text = place.read("keyring.toml");
        place.write("keyring.toml", &text.replacen("\"enabled\"", "\"destroyed\"", 1));
        let check = place.run("keys check --keyring keyring.toml");
        assert_eq!(check.code, 78);
        assert!(
            check.err.contains("`cdrveil keys destroy old` wipes"),
            "{}",
            check.err
        );
    };
    let cuts: [(&str, &dyn Fn(&Place)); 4] = [
        ("before the file is touched", &|_| {}),
        ("while it is overwritten", &|place| {
            place.mode("old.key", 0o600);
            place.write("old.key", &format!("{}abc\n", "\0".repeat(61)));
        }),
        ("before its name is removed", &|place| {
            place.mode("old.key", 0o600);
            place.write("old.key", &"\0".repeat(65));
        }),
        ("before the keyring forgets it", &|place| {
            fs::remove_file(place.path("old.key")).unwrap()
        }),
    ];
    for (name, cut) in cuts {
        let place = three_keys();
        marked(&place);
        cut(&place);
        let ran = place.run("keys destroy old --keyring keyring.toml --yes");
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(!place.path("old.key").exists(), "{name}");
        assert!(!place.read("keyring.toml").contains("old.key"), "{name}");
        assert_eq!(place.run("keys list --keyring keyring.toml").code, 0, "{name}");
    }
    // Another host got the new keyring before its file was wiped; a backup came back under another name.
    let place = three_keys();
    fs::copy(place.path("old.key"), place.path("kept")).unwrap();
    fs::copy(place.path("old.key"), place.path("backup")).unwrap();
    assert_eq!(place.run("keys destroy old --keyring keyring.toml --yes").code, 0);
    fs::rename(place.path("kept"), place.path("old.key")).unwrap();
    let ran = place.run("keys destroy old --keyring keyring.toml --yes --file backup");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        !place.path("old.key").exists() && !place.path("backup").exists(),
        "{}",
        ran.out
    );
}

#[test]
fn a_key_behind_a_command_or_with_systemd_is_left_to_its_keepers() {
    for source in [
        "exec = [\"vault\", \"read\", \"hunter2\"]",
        "credential = \"old\"",
    ] {
        let place = three_keys();
        place.edit("keyring.toml", "file = \"old.key\"", source);
        let ran = place.run("keys destroy old --keyring keyring.toml --yes");
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.err.contains("delete the key at its source"), "{}", ran.err);
        assert!(ran.out.contains("(not in reach of cdrveil)"), "{}", ran.out);
        assert!(!(ran.out + &ran.err).contains("hunter2"));
        assert!(place.path("old.key").exists(), "nobody named it");
        assert_eq!(place.run("keys list --keyring keyring.toml").code, 0);
    }
}

#[test]
fn check_names_what_is_due_and_what_went_too_early() {
    let place = three_keys();
    let due = place.run("keys check --keyring keyring.toml --horizon 40d");
    assert_eq!(due.code, 0, "{}{}", due.out, due.err);
    assert!(
        due.err.contains("`cdrveil keys destroy old` when") && !due.err.contains("destroy last"),
        "{}",
        due.err
    );
    assert_eq!(
        place
            .run("keys destroy last --keyring keyring.toml --yes --force")
            .code,
        0
    );
    let early = place.run("keys check --keyring keyring.toml --horizon 40d");
    assert_eq!(early.code, 1);
    assert!(
        early
            .out
            .contains("\"last\" is destroyed, and its late records may come until 20"),
        "{}",
        early.out
    );
    place.write("keyring.toml", "version = 1\n[epochs]\nlate = \"9d\"\n");
    let wrong = place.run("keys check --keyring keyring.toml");
    assert_eq!(wrong.code, 78);
    assert!(
        wrong
            .err
            .starts_with("keyring.toml:3:1: unknown field `late`, expected `late_window`"),
        "{}",
        wrong.err
    );
}
