//! A security team's day: keys that end, as typed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{Place, Ran};

/// A time so many days from now.
pub(crate) fn days(days: i64) -> String {
    let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
    (now + SignedDuration::from_hours(24 * days)).to_string()
}

/// A keyring of keys with these names and starts; comments and layout are somebody's.
pub(crate) fn keyring(place: &Place, keys: &[(&str, &str)]) {
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

pub(crate) fn listed(place: &Place) -> Value {
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

type Cut = fn(&Place);

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
    let cuts: [(&str, Cut); 4] = [
        ("before the file is touched", |_| {}),
        ("while it is overwritten", |place| {
            place.mode("old.key", 0o600);
            place.write("old.key", &format!("{}abc\n", "\0".repeat(61)));
        }),
        ("before its name is removed", |place| {
            place.mode("old.key", 0o600);
            place.write("old.key", &"\0".repeat(65));
        }),
        ("before the keyring forgets it", |place| {
            fs::remove_file(place.path("old.key")).unwrap();
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
    let place = Place::new();
    let past = ["a", "b", "c", "d"].map(|id| {
        (
            id,
            format!("2020-01-0{}T00:00:00Z", u32::from(id.as_bytes()[0]) - 96),
        )
    });
    let mut keys: Vec<(&str, &str)> = past.iter().map(|(id, from)| (*id, from.as_str())).collect();
    let (now, next) = (days(-200), days(30));
    keys.extend([("now", now.as_str()), ("next", next.as_str())]);
    keyring(&place, &keys);
    let many = place.run("keys check --keyring keyring.toml --horizon 40d");
    assert_eq!(many.code, 0, "{}", many.out);
    assert_eq!(
        many.err,
        "note: no late record of \"a\", \"b\", \"c\" and 1 more comes any more: `cdrveil keys destroy a` when its data may go\n"
    );
    place.write("keyring.toml", "version = 1\n[epochs]\nlate = \"9d\"\n");
    let wrong = place.run("keys check --keyring keyring.toml");
    assert_eq!(wrong.code, 78);
    assert!(
        wrong
            .err
            .starts_with("keyring.toml:3:1: unknown field `late`, expected one of `late_window`, `overlap`, `seal_previous`"),
        "{}",
        wrong.err
    );
}

/// `keys diff` of two keyrings, on 20 November 2026.
pub(crate) fn diff(place: &Place, old: &str, new: &str) -> Ran {
    place.write("old.toml", old);
    place.write("new.toml", new);
    place.run("keys diff old.toml new.toml --at 2026-11-20T00:00:00Z")
}

pub(crate) const EPOCHS: &str = "version = 1
[[key]]
id = \"2026-10\"
activate_at = 2026-10-01T00:00:00Z
material = { file = \"none/2026-10.key\" }
kcv = \"00000010\"
[[key]]
id = \"2026-11\"
activate_at = 2026-11-01T00:00:00Z
material = { exec = [\"touch\", \"ran\"] }
kcv = \"00000011\"
";

fn and(id: &str, from: &str) -> String {
    format!(
        "{EPOCHS}[[key]]\nid = \"{id}\"\nactivate_at = {from}\nmaterial = {{ file = \"{id}.key\" }}\nkcv = \"00000012\"\n"
    )
}

#[test]
fn diff_tells_an_edit_in_words_without_a_key() {
    let place = Place::new();
    let next = and("2026-12", "2026-12-01T00:00:00+01:00");
    let destroyed = EPOCHS
        .replace("material = { file = \"none/2026-10.key\" }\n", "")
        .replacen("kcv", "status = \"destroyed\"\nkcv", 1);
    let compromised = and("2026-11b", "2026-11-22T09:00:00Z").replace(
        "kcv = \"00000011\"\n",
        "kcv = \"00000011\"\nstatus = \"compromised\"\n",
    );
    let cases: [(&str, &str, i32, &[&str]); 9] = [
        (
            &format!("# a remark\n{EPOCHS}"),
            EPOCHS,
            0,
            &[
                "  nothing changes\n",
                "  every call gets the tokens it got\n",
                "  takes this edit while it runs\n",
            ],
        ),
        (
            &next,
            EPOCHS,
            0,
            &[
                "  2026-11          ends 2026-11-30T23:00:00Z instead of never\n",
                "  2026-12          added: calls from 2026-11-30T23:00:00Z on, kcv 00000012, enabled\n",
                "  calls from 2026-11-30T23:00:00Z on: 2026-12.… under kcv 00000012 (before: 2026-11.… under kcv 00000011)\n",
                "  at 2026-11-20T00:00:00Z calls up to 2026-11-21T00:00:00Z may be written already\n",
                "  takes this edit while it runs\n",
            ],
        ),
        (
            &compromised,
            EPOCHS,
            0,
            &[
                "  2026-11          ends 2026-11-22T09:00:00Z instead of never\n",
                "  2026-11          status compromised instead of enabled\n",
                "  2026-11b         added: calls from 2026-11-22T09:00:00Z on, kcv 00000012, enabled\n",
                "  calls from 2026-11-22T09:00:00Z on: 2026-11b.… under",
            ],
        ),
        (
            &and("2026-11b", "2026-11-20T23:00:00Z"),
            EPOCHS,
            1,
            &[
                "  refused: new.toml:14:15: key \"2026-11b\" is new and begins at 2026-11-20T23:00:00Z: calls that begin as late as 20",
            ],
        ),
        (
            &destroyed,
            EPOCHS,
            0,
            &[
                "  2026-10          status destroyed instead of enabled\n",
                "  2026-10          material from - instead of file none/2026-10.key\n",
                "  calls from 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z: rejected, the key of \"2026-10\" is destroyed (before: 2026-10.…",
            ],
        ),
        (
            EPOCHS,
            &destroyed,
            1,
            &["  refused: new.toml:4:15: key \"2026-10\" is destroyed and cannot come back"],
        ),
        (
            &EPOCHS
                .replace("2026-10-01", "2026-09-01")
                .replace("00000011", "00000099"),
            EPOCHS,
            1,
            &[
                "  2026-10          moved: begins 2026-09-01T00:00:00Z instead of 2026-10-01T00:00:00Z\n",
                "  2026-11          another key: kcv 00000099 instead of 00000011\n",
                "  calls from 2026-09-01T00:00:00Z to 2026-10-01T00:00:00Z: 2026-10.… under kcv 00000010 (before: rejected, no key begins so early)\n",
                "  refused: new.toml:4:15: key \"2026-10\": activate_at moved",
                "  refused: new.toml:9:15: key \"2026-11\": kcv was 00000011 and is 00000099",
            ],
        ),
        (
            &EPOCHS[..EPOCHS.rfind("[[key]]").unwrap()],
            EPOCHS,
            1,
            &[
                "  2026-11          removed: it had calls from 2026-11-01T00:00:00Z on",
                "  refused: new.toml: key \"2026-11\" has been in use and is gone",
            ],
        ),
        (
            &EPOCHS.replace("version = 1", "version = 1\nepochs.late_window = \"30d\""),
            EPOCHS,
            0,
            &["  [epochs]         late_window 720 h instead of 2160 h\n"],
        ),
    ];
    for (new, old, code, said) in cases {
        let ran = diff(&place, old, new);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{}", ran.out);
        for said in said {
            assert!(ran.out.contains(said), "{said}\n{}", ran.out);
        }
        let shown: Value = serde_json::from_str(
            &place
                .run("keys diff old.toml new.toml --at 2026-11-20T00:00:00Z --json")
                .out,
        )
        .unwrap();
        assert_eq!(shown["taken"], code == 0);
    }
    assert!(!place.path("ran").exists(), "no command of an edit is run");
    let soon = and("2026-11b", "2026-11-20T23:00:00Z");
    place.write("new.toml", &soon);
    let ran = place.run("keys diff old.toml new.toml --at 2026-11-20T00:00:00Z --max-future 1h");
    assert_eq!(
        ran.code, 0,
        "a policy that lets calls lie an hour ahead: {}",
        ran.out
    );
}

#[test]
fn diff_refuses_files_that_load_nowhere() {
    let place = Place::new();
    for (new, said) in [
        (
            and("2026-11", "2026-12-01T00:00:00Z"),
            "new.toml:13:6: id \"2026-11\" is used twice",
        ),
        (
            and("x", "2026-11-01T00:00:00Z"),
            "new.toml:14:15: \"x\" begins at 2026-11-01T00:00:00Z as",
        ),
        (
            EPOCHS.replace("kcv = \"00000011\"\n", ""),
            "new.toml:8:6: key \"2026-11\" has no kcv",
        ),
        (
            EPOCHS.replace("kcv = \"00000011\"\n", "status = \"destroyed\"\n"),
            "new.toml:10:12: key \"2026-11\": exec touch is named but",
        ),
        (
            EPOCHS.replace("material = { exec = [\"touch\", \"ran\"] }\n", ""),
            "new.toml:8:6: \"2026-11\" has no material",
        ),
        (
            EPOCHS.replace("00000011", "0011"),
            "new.toml:11:7: kcv of \"2026-11\"",
        ),
        ("version = 1".to_owned(), "new.toml:1:11: no key"),
        ("version = 2".to_owned(), "new.toml:1:11: version 2 is unknown"),
    ] {
        let ran = diff(&place, EPOCHS, &new);
        assert_eq!((ran.code, ran.out.as_str()), (78, ""), "{said}: {}", ran.err);
        assert!(ran.err.starts_with(said), "{said}: {}", ran.err);
    }
    assert_eq!(place.run("keys diff old.toml none.toml").code, 78);
}

#[test]
fn selftest_names_every_known_answer() {
    let ran = Place::new().run("keys selftest");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for name in [
        "RFC 4231 HMAC-SHA256",
        "RFC 5869 HKDF-SHA256",
        "token",
        "key check value",
    ] {
        assert!(
            ran.out.contains(&format!("ok     {name}\n")),
            "{name}: {}",
            ran.out
        );
    }
    assert_eq!(ran.out.lines().count(), 6);
}

/// A key that somebody else knows: the next one begins inside its window, and what came before keeps its tokens.
#[test]
fn a_compromised_key_ends_where_its_successor_begins() {
    let place = Place::new();
    let rows = [
        "c-1,voice,+447700900001,07700 900002,234150000000001,1234,2026-11-15 08:59:59,42,hello",
        "c-2,voice,+447700900001,07700 900002,234150000000001,1234,2026-11-15 09:00:00,42,hello",
    ];
    let public = |place: &Place| {
        let ran = place.feed(&format!("{} --force", crate::APPLY), &rows.join("\n"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        place.read("p.csv")
    };
    let before = public(&place);
    place.write("old.toml", &place.read("keyring.toml"));
    let made = place.run("keys new --keyring keyring.toml --id 2026-11b --activate-at 2026-11-15T09:00:00Z");
    assert_eq!(made.code, 0, "{}", made.err);
    place.write("keyring.toml", &(place.read("keyring.toml") + &made.out));
    place.edit("keyring.toml", "kcv =", "status = \"compromised\"\nkcv =");
    let taken = place.run("keys diff old.toml keyring.toml --at 2026-11-13T00:00:00Z");
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    let late = place.run("keys diff old.toml keyring.toml --at 2026-11-15T10:00:00Z");
    assert!(
        late.code == 1 && late.out.contains(": key \"2026-11b\" is new"),
        "{}",
        late.out
    );

    let after = public(&place);
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    assert_eq!(before[0], after[0], "the earlier call keeps its tokens");
    assert!(
        before[1].contains(",2026-11.") && after[1].contains(",2026-11b."),
        "{}",
        after[1]
    );
    let shown = listed(&place);
    assert_eq!(shown["keys"][0]["state"], "compromised");
    assert_eq!(shown["keys"][0]["ends_at"], "2026-11-15T09:00:00Z");
    let check = place.run("keys check --keyring keyring.toml --at 2026-11-14T00:00:00Z");
    assert!(
        check.code == 1
            && check
                .out
                .contains("is compromised and in use until 2026-11-15T09"),
        "{}",
        check.out
    );
}

#[test]
fn a_list_without_a_broker_shows_the_file_and_says_so() {
    let place = Place::new();
    // Nobody listens there. Neither policy nor deck is needed.
    place.edit("cdrveil.toml", "\"localhost:9092\"", "\"127.0.0.1:1\"");
    place.edit("cdrveil.toml", "[kafka]\n", "[kafka]\nstart_timeout = \"1s\"\n");
    place.write("policy.toml", "not one");
    let table = place.run("keys list --config cdrveil.toml");
    assert_eq!(table.code, 69, "{}", table.err);
    let line = table.out.lines().nth(1).unwrap();
    assert!(
        line.contains(crate::KCV) && line.contains("no answer from the brokers") && line.contains("file "),
        "{line}"
    );
    assert!(
        table
            .err
            .starts_with("cdrveil: register \"cdrveil.register\" at 127.0.0.1:1: "),
        "{}",
        table.err
    );
    let listed = place.run("keys list --json --config cdrveil.toml");
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert!(listed["register"]["problem"].is_string(), "{listed}");
    assert_eq!(listed["keys"][0]["kcv"], crate::KCV);

    // What is wrong with the file is found first: it is so whatever the register says.
    fs::remove_file(place.path("2026-11.key")).unwrap();
    let table = place.run("keys list --config cdrveil.toml");
    assert_eq!(table.code, 1, "{}", table.err);
    assert!(table.out.contains("NOT USABLE"), "{}", table.out);
    place.write("cdrveil.toml", "domain = 3\n");
    assert_eq!(place.run("keys list --config cdrveil.toml").code, 78);
}
