//! What `open` shows: the sealed text itself, of the layout its line claims, and nothing that was moved or cut.

use cdrveil::seal::opener::Opener;
use serde_json::Value;

use crate::{APPLY, Place, ROW};

const JSON_POLICY: &str = r#"
[input]
format = "json"
unlisted = "restrict"
time = { field = "start", format = "rfc3339" }
[fields]
start = "keep"
"a.n" = "restrict"
"#;

#[test]
fn json_values_come_out_as_they_stood() {
    let place = Place::new();
    place.write("policy.toml", JSON_POLICY);
    let values = [
        "0.10000000000000000001",
        "123456789012345678901234567890",
        "4.500000",
        "1e400",
        "-1E+5",
        "[1.0, {\"b\": 2.50}]",
        r#""\u00e9 \/""#,
        "null",
    ];
    let records: Vec<String> = values
        .iter()
        .map(|value| format!("{{\"start\":\"2026-11-05T09:15:00Z\",\"a\":{{\"n\":{value}}},\"x\":{value}}}"))
        .collect();
    let broken = "{\"start\":\"2026-11-05T09:15:00Z\",\"x\":{\n \"y\":\r\n1.0}}";
    place.write("in.json", &(records.join("\n") + broken));
    let ran = place.run(&format!("{APPLY} in.json"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("public=9 rejected=0"), "{}", ran.err);
    let opened = place.run("open --identity id.txt r.jsonl");
    assert_eq!((opened.code, opened.err.as_str()), (0, ""));
    let lines: Vec<&str> = opened.out.lines().collect();
    assert_eq!(lines.len(), 9, "{}", opened.out);
    for (line, value) in lines.iter().zip(values) {
        assert!(line.contains(&format!("\"a.n\":{value}")), "{value}: {line}");
        assert!(line.contains(&format!("\"x\":{value}}}")), "{value}: {line}");
    }
    assert!(
        lines[8].ends_with("\"fields\":{\"x\":{  \"y\":  1.0}}}"),
        "{}",
        lines[8]
    );
}

#[test]
fn a_restricted_record_is_not_shown_as_a_reject() {
    let place = Place::new();
    place.write("one.csv", &format!("{ROW}\nx,y\n"));
    assert_eq!(place.run(&format!("{APPLY} one.csv")).code, 0);
    let mut restricted: Value = serde_json::from_str(&place.read("r.jsonl")).unwrap();
    restricted["reason"] = "number".into();
    let mut rejected: Value = serde_json::from_str(&place.read("x.jsonl")).unwrap();
    rejected.as_object_mut().unwrap().remove("reason");
    place.write("changed.jsonl", &format!("{restricted}\n{rejected}\n"));
    let ran = place.run("open --identity id.txt changed.jsonl");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    for said in [
        "changed.jsonl:1: it opens, but its content is no layout of a rejected record",
        "changed.jsonl:2: it opens, but its content is no layout of restricted fields",
    ] {
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn what_was_moved_cut_or_renamed_does_not_open() {
    let place = Place::new();
    place.write("one.csv", &[ROW; 5].join("\n"));
    assert_eq!(place.run(&format!("{APPLY} one.csv")).code, 0);
    let text = place.read("r.jsonl");
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines[0]["record_id"] = "one.csv/1".into();
    lines[1]["topic"] = "cdr.rejected".into();
    let sealed = lines[2]["sealed"].as_str().unwrap().to_owned();
    lines[2]["sealed"] = sealed[..sealed.len() - 8].into();
    lines[3]["sealed"] = "AQ==".into();
    let all: Vec<String> = lines.iter().map(ToString::to_string).collect();
    place.write("r.jsonl", &(all.join("\n") + "\nno line of apply\n"));
    let ran = place.run("open --identity id.txt r.jsonl");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.out.lines().count(),
        1,
        "the one that was left alone: {}",
        ran.out
    );
    assert!(ran.out.contains("\"one.csv/4\""));
    for (line, said) in [
        (1, "changed, or moved"),
        (2, "changed, or moved"),
        (3, "changed, or moved"),
        (4, "cut short"),
        (5, "it is no line"),
    ] {
        let place = if line == 5 {
            "r.jsonl:6: ".to_owned()
        } else {
            format!("r.jsonl:{line}: ")
        };
        let told = ran.err.lines().find(|text| text.contains(&place));
        assert!(
            told.is_some_and(|text| text.contains(said)),
            "{place}{said}\n{}",
            ran.err
        );
    }
    assert!(
        ran.err.ends_with("cdrveil: 5 records did not open\n"),
        "{}",
        ran.err
    );

    place.write("r.jsonl", &text);
    assert_eq!(
        place.run("open --identity id.txt --domain billing r.jsonl").code,
        0
    );
    let other = place.run("open --identity id.txt --domain fraud r.jsonl");
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    place.write("other.txt", Opener::new_identity().0.expose());
    let stranger = place.run("open --identity other.txt r.jsonl");
    assert_eq!(stranger.code, 1);
    assert!(
        stranger.err.contains("sealed to other recipients"),
        "{}",
        stranger.err
    );
    place.write("other.txt", "AGE-SECRET-KEY-1NONSENSE\n");
    let broken = place.run("open --identity other.txt r.jsonl");
    assert_eq!(broken.code, 78);
    assert!(
        broken.err.contains("line 1 is not an age identity") && !broken.err.contains("NONSENSE"),
        "{}",
        broken.err
    );
}
