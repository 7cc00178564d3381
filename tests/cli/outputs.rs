//! What `apply` writes: the daemon's bytes, derived values, headers; and which files it keeps apart.

use std::fs;

use serde_json::Value;

use crate::{APPLY, LISTS, Place, ROW};

#[test]
fn apply_writes_what_the_daemon_would_and_open_reads_it() {
    let place = Place::new();
    let bad = ROW.replace("c-1", "c-2").replace("+447700900001", "7700900001");
    place.write("one.csv", &format!("{ROW}\n{bad}\n"));
    place.write("two.csv", &ROW.replace("c-1", "c-3"));
    let ran = place.run(&format!("{APPLY} one.csv two.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err.lines().last(),
        Some("cdrveil: in=3 public=2 rejected=1 skipped=0 restricted=2")
    );
    let public = place.read("p.csv");
    let rows: Vec<Vec<&str>> = public.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows[0][0], rows[1][0], rows.len()), ("c-1", "c-3", 2));
    assert_eq!(rows[0][2..4], rows[1][2..4], "one subscriber, one token");
    assert!(rows[0][2].starts_with("2026-11.") && rows[0][2].len() == 34);
    assert_eq!(
        rows[0][4..],
        [
            "",
            "",
            "2026-11-05 09:15:00",
            "42",
            "",
            rows[0][9],
            "GB",
            "one.csv/0"
        ]
    );
    assert_eq!(rows[1][11], "two.csv/0");
    assert!(!(public + &place.read("r.jsonl") + &place.read("x.jsonl")).contains("7700"));

    let opened = place.run("open --identity id.txt r.jsonl x.jsonl");
    assert_eq!((opened.code, opened.err.as_str()), (0, ""));
    let lines: Vec<Value> = opened
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"record_id": "one.csv/0", "epoch": "2026-11",
            "fields": {"called": "07700 900002", "imsi": "234150000000001", "cell": "1234"}})
    );
    assert_eq!(
        lines[2],
        serde_json::json!({"record_id": "one.csv/1", "reason": "number", "raw": bad})
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn apply_derives_by_deck_and_lists() {
    let place = Place::new();
    for (name, text) in LISTS {
        place.write(name, text);
        let (key, _) = name.split_once('.').unwrap();
        let policy = place.read("policy.toml");
        let line = policy
            .lines()
            .find(|line| line.starts_with(&format!("# {key} ")))
            .unwrap();
        place.edit("policy.toml", line, &line[2..]);
    }
    place.edit(
        "policy.toml",
        "derive = [\"class\", \"country\"]",
        "derive = [\"destination\", \"class\", \"onnet\", \"payer\", \"network\"]",
    );
    let row = |dialled: &str| ROW.replace("07700 900002", dialled);
    place.write(
        "calls.csv",
        &[
            "07700 900002",
            "07700900003",
            "+447700900009",
            "118118",
            "116123",
            "999",
        ]
        .map(row)
        .join("\n"),
    );
    let ran = place.run(&format!("{APPLY} calls.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let public = place.read("p.csv");
    let derived: Vec<Vec<&str>> = public
        .lines()
        .map(|line| line.split(',').skip(9).take(5).collect())
        .collect();
    let payer = derived[0][3];
    assert!(payer.starts_with("2026-11.") && payer.len() == 34, "{payer}");
    assert_eq!(
        derived,
        [
            ["+447~UK-MOBILE~ONNET", "mobile", "1", payer, ""],
            ["+447~UK-MOBILE", "mobile", "0", "", "23415"],
            ["+447~VIP", "premium", "0", "", ""],
            ["118118~DIRECTORY", "short", "", "", ""],
            ["", "helpline", "", "", ""],
            ["", "emergency", "", "", ""],
        ]
    );
    let checked = place.run("check --config cdrveil.toml --offline");
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(
        checked.out.contains("deck       ok  4 rows, fingerprint "),
        "{}",
        checked.out
    );
    assert!(
        checked.out.contains("ports      ok  1 row, fingerprint "),
        "{}",
        checked.out
    );

    place.write("own.txt", "+447700900002\nsomebody\n");
    let refused = place.run("check --config cdrveil.toml --offline");
    assert_eq!(refused.code, 78);
    assert!(
        refused.err.contains("own.txt:2:1: not a subscriber's number"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains("7700"), "{}", refused.err);
}

#[test]
fn apply_reads_stdin_and_replaces_files_only_when_told() {
    let place = Place::new();
    let ran = place.feed(APPLY, ROW);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let before = place.read("p.csv");
    assert!(before.trim_end().ends_with(",stdin/0"), "{before}");
    let again = place.feed(APPLY, "x");
    assert_eq!(again.code, 70);
    assert!(
        again
            .err
            .contains("p.csv exists: name another file, or --force to replace it"),
        "{}",
        again.err
    );
    assert_eq!(place.read("p.csv"), before);
    let forced = place.feed(&format!("{APPLY} --force"), "x");
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert_eq!(
        (
            place.read("p.csv").as_str(),
            place.read("x.jsonl").lines().count()
        ),
        ("", 1)
    );
}

#[test]
fn apply_keeps_files_apart() {
    let place = Place::new();
    fs::create_dir(place.path("more")).unwrap();
    place.write("in.csv", ROW);
    place.write("more/in.csv", ROW);
    for (words, said) in [
        (
            "apply --config cdrveil.toml --public p --restricted p --rejected x in.csv",
            "--public and --restricted are the same file",
        ),
        (
            "apply --config cdrveil.toml --public p --restricted r --rejected ./more/../in.csv --force in.csv",
            "--rejected ./more/../in.csv is an input file",
        ),
        (
            "apply --config cdrveil.toml --public p --restricted r --rejected x in.csv more/in.csv",
            "have the same base name",
        ),
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, 64, "{words}: {}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    assert_eq!(place.read("in.csv"), ROW);
    let thrown_away = place
        .run("apply --config cdrveil.toml --public p --restricted /dev/null --rejected /dev/null in.csv");
    assert_eq!(thrown_away.code, 0, "{}", thrown_away.err);
}

#[test]
fn apply_carries_the_header_along() {
    let place = Place::new();
    place.edit("policy.toml", "# header = \"none\"", "header = \"check\"");
    place.edit("policy.toml", "# comment = \"#\"", "comment = \"#\"");
    let header = "id,type,caller,called,imsi,cell,start,seconds,note";
    for name in ["a.csv", "b.csv"] {
        place.write(name, &format!("# made by hand\n{header}\n{ROW}\n"));
    }
    let ran = place.run(&format!("{APPLY} a.csv b.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .ends_with("in=6 public=2 rejected=0 skipped=4 restricted=2\n"),
        "{}",
        ran.err
    );
    let public = place.read("p.csv");
    let lines: Vec<&str> = public.lines().collect();
    assert_eq!(
        lines[0],
        format!("{header},called_class,called_country,record_id")
    );
    assert!(
        lines.len() == 3 && lines[1].ends_with("a.csv/0") && lines[2].ends_with("b.csv/0"),
        "{public}"
    );

    place.write(
        "c.csv",
        &format!("{}\n{ROW}\n", header.replace("caller,called", "called,caller")),
    );
    let ran = place.run(&format!("{APPLY} --force c.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains(
            "c.csv: column 3 of the header row is not \"caller\" but \"called\": correct [input] columns"
        ),
        "{}",
        ran.err
    );
    // A file without a header begins with values: they are not shown.
    place.write("d.csv", ROW);
    let ran = place.run(&format!("{APPLY} --force d.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err
            .contains("d.csv: column 1 of the header row is not \"id\": ")
            && !ran.err.contains("c-1"),
        "{}",
        ran.err
    );
    place.write("e.csv", &header.replace(",note", ""));
    let ran = place.run(&format!("{APPLY} --force e.csv"));
    assert!(
        ran.err.contains("has 8 columns, [input] columns names 9"),
        "{}",
        ran.err
    );
    assert_eq!(place.read("p.csv"), public, "what was there is left alone");
    assert!(!place.path("p.csv.part").exists());

    place.edit("policy.toml", "header = \"check\"", "header = \"name\"");
    let ran = place.run(&format!("{APPLY} --force c.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        place.read("p.csv").starts_with(header),
        "the output has the policy's order"
    );
    place.write("d.csv", &format!("{header},new\n{ROW},1\n"));
    let ran = place.run(&format!("{APPLY} --force d.csv"));
    assert_eq!(ran.code, 78);
    assert!(
        ran.err
            .contains("d.csv: the header row does not name the columns"),
        "{}",
        ran.err
    );
}
