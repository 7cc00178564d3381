//! What `open` shows: the sealed text itself, of the layout its line claims.

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
