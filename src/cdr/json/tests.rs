//! `serde_json` is the oracle: of what is JSON, and of what a changed record says.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::{
    Documents, Edit, JsonError, Member, Paths, Place, Scalar, Scanner, Spelling, Splicer, Step, scalar,
    write_string,
};
use crate::cdr::csv::End;

fn scan(record: &[u8], paths: &[&str]) -> Result<Vec<Member>, JsonError> {
    let mut members = Vec::new();
    Scanner::new().scan(record, &Paths::parse(paths).unwrap(), &mut members)?;
    Ok(members)
}

/// Each member as `path index or -: where it stands = its value`.
fn listing(record: &str, paths: &[&str]) -> Vec<String> {
    let mut spelling = Spelling::default();
    let mut line = |member: &Member| {
        let index = member
            .path
            .map_or("-".to_owned(), |path| path.index().to_string());
        format!(
            "{index}: {} = {}",
            spell(record, &mut spelling, member),
            &record[member.value()]
        )
    };
    scan(record.as_bytes(), paths)
        .unwrap()
        .iter()
        .map(&mut line)
        .collect()
}

/// A member's path, behind other members and by itself.
fn spell(record: &str, behind_others: &mut Spelling, member: &Member) -> String {
    let path = behind_others.of(record.as_bytes(), member).to_owned();
    assert_eq!(
        path,
        Spelling::default().of(record.as_bytes(), member),
        "{record}"
    );
    path
}

fn documents(buf: &[u8], end: End) -> (Vec<&str>, Step) {
    let (mut documents, mut at, mut found) = (Documents::new(), 0, Vec::new());
    loop {
        match documents.step(buf, at, end) {
            Step::Record { record, next } => {
                found.push(std::str::from_utf8(&buf[record]).unwrap());
                at = next;
            }
            last => return (found, last),
        }
    }
}

#[test]
fn an_input_is_objects_or_one_array_of_them() {
    let malformed = |at| Step::Malformed { at };
    for (input, expected, last) in [
        ("", vec![], Step::Done),
        (" \n", vec![], Step::Done),
        ("{}", vec!["{}"], Step::Done),
        (
            " {\"a\":1}\r\n{\"b\":\"}\"}\n",
            vec!["{\"a\":1}", "{\"b\":\"}\"}"],
            Step::Done,
        ),
        ("{}{}", vec!["{}", "{}"], Step::Done),
        ("[]", vec![], Step::Done),
        (" [ {} , {\"a\":[{}]} ] ", vec!["{}", "{\"a\":[{}]}"], Step::Done),
        ("[{}", vec!["{}"], malformed(3)),
        ("[{},", vec!["{}"], malformed(4)),
        ("[{},]", vec!["{}"], malformed(4)),
        ("[{} {}]", vec!["{}"], malformed(4)),
        ("[{}]{}", vec!["{}"], malformed(4)),
        ("[", vec![], malformed(1)),
        ("[1]", vec![], malformed(1)),
        ("[,{}]", vec![], malformed(1)),
        ("{},{}", vec!["{}"], malformed(2)),
        ("{}[{}]", vec![], malformed(0)),
        ("{}\n[{}]", vec!["{}"], malformed(3)),
        ("7", vec![], malformed(0)),
        ("{} x", vec![], malformed(0)),
        ("{}\nx", vec!["{}"], malformed(3)),
        ("{},\"b\":1}", vec![], malformed(0)),
        ("{}\n\"b\":1}", vec![], malformed(0)),
        ("[{}\"b\":1}]", vec![], malformed(1)),
        ("{\"a\":1", vec![], malformed(0)),
        ("{\"a\":]}", vec![], malformed(0)),
        ("{\"a\n\":1}", vec![], malformed(0)),
    ] {
        assert_eq!(
            documents(input.as_bytes(), End::Final),
            (expected, last),
            "{input}"
        );
    }
}

#[test]
fn an_object_is_incomplete_until_it_is_closed() {
    for input in [
        "",
        "  ",
        "{",
        "{\"a",
        "{\"a\\",
        "{\"a\\u00",
        "{\"a\\ud83d\\u",
        "{\"a\":[1,2]",
        "[",
        "[ ",
        "[]",
    ] {
        assert_eq!(
            documents(input.as_bytes(), End::More),
            (vec![], Step::Incomplete),
            "{input}"
        );
    }
    assert_eq!(
        documents(b"[{},{\"a\"", End::More),
        (vec!["{}"], Step::Incomplete)
    );
    assert_eq!(
        documents(b"{\"\\x", End::More),
        (vec![], Step::Malformed { at: 0 })
    );
}

#[test]
fn members_are_the_named_values_and_whatever_no_path_leads_to() {
    let record = r#"{ "id":7, "a":{"b":[{"c":"x","d":1},{"c":null}], "e":{}}, "f":[[1,2],[]], "g":{"h":{"i":2}}, "l\u0061st" : "x\n" }"#;
    assert_eq!(
        listing(record, &["id", "a.b[].c", "f[][]", "g", "last"]),
        [
            "0: id = 7",
            "1: a.b[].c = \"x\"",
            "-: a.b[].d = 1",
            "1: a.b[].c = null",
            "-: a.e = {}",
            "2: f[][] = 1",
            "2: f[][] = 2",
            "3: g = {\"h\":{\"i\":2}}",
            "4: \"l\\u0061st\" = \"x\\n\"",
        ]
    );
    assert_eq!(
        listing(r#"{"a":5,"b":[{"c":1}]}"#, &["a.b", "b.c"]),
        ["-: a = 5", "-: b = [{\"c\":1}]"]
    );
    assert_eq!(
        listing(r#"{"a.b":{"":1},"a":{"b":2}}"#, &[r#""a.b"."""#, "a.b"]),
        ["0: \"a.b\".\"\" = 1", "1: a.b = 2"]
    );
    assert_eq!(listing(r#"{"a":{},"b":[]}"#, &["a.x", "b[].x"]), [""; 0]);
    assert_eq!(listing(r#"{"+447700900123":1}"#, &[]), ["-: +447700900123 = 1"]);
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let syntax = |at| Err(JsonError::Syntax { at });
    for (input, expected) in [
        (&b"{\"a\":1,}"[..], syntax(7)),
        (b"{,}", syntax(1)),
        (b"{\"a\" 1}", syntax(5)),
        (b"{\"a\":}", syntax(5)),
        (b"{\"a\":01}", syntax(5)),
        (b"{\"a\":NaN}", syntax(5)),
        (b"{\"a\":-}", syntax(6)),
        (b"{\"a\":1.}", syntax(7)),
        (b"{\"a\":[1,]}", syntax(8)),
        (b"{\"a\":\"\t\"}", syntax(6)),
        (b"{\"a\":\"\\ud800 alone\"}", syntax(6)),
        (b"{\"a\":\"\\udc00\\ud800\"}", syntax(6)),
        (b"{\"a\":1}x", syntax(7)),
        (b"[]", syntax(0)),
        (b"", syntax(0)),
        (b"{\"a\":\"\xff\"}", Err(JsonError::NotUtf8 { at: 6 })),
        (
            b"{\"a\":1,\"\\u0061\":2}",
            Err(JsonError::DuplicateName { at: 17 }),
        ),
        (
            b"{\"x\":{\"a\":1,\"b\":2,\"a\":3}}",
            Err(JsonError::DuplicateName { at: 23 }),
        ),
        (b"{\"a\":{\"a\":1},\"b\":{\"a\":1}}", Ok(())),
    ] {
        let found = scan(input, &["a.b"]).map(drop);
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(input));
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(scan(nested(64).as_bytes(), &[]).is_ok());
    assert_eq!(
        scan(nested(65).as_bytes(), &[]),
        Err(JsonError::TooDeep { at: 68 })
    );
    assert_eq!(documents(nested(64).as_bytes(), End::Final).1, Step::Done);
    assert_eq!(
        documents(nested(65).as_bytes(), End::Final).1,
        Step::Malformed { at: 0 }
    );
}

#[test]
fn names_are_compared_however_many_there_are() {
    let many = |twin: &str| {
        let members: Vec<_> = (0..5_000)
            .map(|at| format!("\"name-of-member-{at:05}-in-record\":1"))
            .collect();
        format!("{{{},\"{twin}\":2}}", members.join(","))
    };
    assert!(scan(many("name-of-member-05000-in-record").as_bytes(), &[]).is_ok());
    let twice = scan(many("name-of-member-0123\\u0034-in-record").as_bytes(), &[]);
    assert!(matches!(twice, Err(JsonError::DuplicateName { .. })));
}

#[test]
fn paths_that_cannot_work_are_refused_with_the_cure() {
    for (paths, expected) in [
        (&["a", "a.b"][..], "the path `a.b` overlaps `a`"),
        (&["a.b[].c", "a.b"], "the path `a.b` overlaps `a.b[].c`"),
        (&["a[]", "a[].b"], "the path `a[].b` overlaps `a[]`"),
        (&["a", "\"\\u0061\""], "the path `\"\\u0061\"` is there twice"),
        (&[""], "the path `` has an empty name"),
        (&["a."], "the path `a.` has an empty name"),
        (&["a..b"], "the path `a..b` has an empty name"),
        (&["[]"], "the path `[]` has a bracket"),
        (&["a[0]"], "the path `a[0]` has a bracket"),
        (&["a[]b"], "the path `a[]b` has something other"),
        (&["\"a"], "the path `\"a` has a quoted name"),
        (&["\"a\"b"], "the path `\"a\"b` has something other"),
    ] {
        let error = Paths::parse(paths).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(paths.contains(&error.path.as_str()));
    }
}

/// Removes the members whose path is `x`, replaces those of `r`, and appends `n`.
fn edited(record: &str, appended: usize) -> String {
    let arena = b"\"new\"n5";
    let mut edits: Vec<_> = scan(record.as_bytes(), &["x", "y", "o.x", "o.y", "r", "l[]"])
        .unwrap()
        .into_iter()
        .filter_map(|member| match member.path?.index() {
            4 => Some(Edit::Replace(member, 0..5)),
            _ => Some(Edit::Remove(member)),
        })
        .collect();
    edits.extend(vec![
        Edit::Append {
            name: 5..6,
            value: 6..7
        };
        appended
    ]);
    let mut out = b"{".to_vec();
    Splicer::new().splice(record.as_bytes(), &edits, arena, &mut out);
    String::from_utf8(out).unwrap()[1..].to_owned()
}

#[test]
fn a_member_goes_with_one_comma_and_nothing_else_moves() {
    for (record, appended, expected) in [
        (r#"{"x":1}"#, 0, r"{}"),
        (r#"{ "x":1 , "y":2 }"#, 0, r"{  }"),
        (r#"{"x":1,"a":2}"#, 0, r#"{"a":2}"#),
        (r#"{"a":2,"x":1}"#, 0, r#"{"a":2}"#),
        (r#"{"x":1,"y":2,"a":3}"#, 0, r#"{"a":3}"#),
        (r#"{"a":3,"x":1,"y":2}"#, 0, r#"{"a":3}"#),
        (r#"{"x":1,"a":3,"y":2}"#, 0, r#"{"a":3}"#),
        ("{\n  \"x\": 1,\n  \"a\": 2\n}", 0, "{\n  \"a\": 2\n}"),
        ("{\n  \"a\": 2,\n  \"x\": 1\n}", 0, "{\n  \"a\": 2\n}"),
        (
            r#"{"x":1,"o":{"x":1,"a":2,"y":3},"y":2,"b":1}"#,
            0,
            r#"{"o":{"a":2},"b":1}"#,
        ),
        (r#"{"o":{"x":{},"y":[]},"x":1}"#, 0, r#"{"o":{}}"#),
        (
            r#"{"r":1 ,"a":"é","l":[ 1,{} ]}"#,
            0,
            r#"{"r":"new" ,"a":"é","l":[ null,null ]}"#,
        ),
        (r"{}", 1, r#"{"n":5}"#),
        ("{ }", 1, "{\"n\":5 }"),
        (r#"{"x":1}"#, 1, r#"{"n":5}"#),
        (r#"{"x":1, "y":2 }"#, 1, r#"{ "n":5 }"#),
        ("{\"a\":1\n}", 2, "{\"a\":1,\"n\":5,\"n\":5\n}"),
        ("{\"a\":1, \"x\":2\n}", 1, "{\"a\":1,\"n\":5\n}"),
    ] {
        assert_eq!(edited(record, appended), expected, "{record}");
    }
}

#[test]
fn scalars_are_told_apart() {
    let mut scratch = Vec::new();
    assert!(
        scalar(b"\"a\\u00e9\\ud83d\\ude00\\/\\b\"", &mut scratch)
            == Scalar::Text("a\u{e9}\u{1f600}/\u{8}".as_bytes())
    );
    assert!(scalar(b"-1.50e3", &mut scratch) == Scalar::Number(b"-1.50e3"));
    assert_eq!(scalar(b"true", &mut scratch), Scalar::Bool);
    assert_eq!(scalar(b"null", &mut scratch), Scalar::Null);
    assert_eq!(scalar(b"[1]", &mut scratch), Scalar::Container);
    assert_eq!(
        format!("{:?}", scalar(b"\"+447700900123\"", &mut scratch)),
        "Text(..)"
    );
}

/// JSON values with names few enough to meet the paths, and strings that need escapes.
fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-c\"\\\\\u{e9}\u{1f600}\\n]{0,6}".prop_map(Value::from),
        Just(json!("7700900123"))
    ];
    let leaf = prop_oneof![
        text,
        any::<i64>().prop_map(Value::from),
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(1.5e-7))
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((select(vec!["a", "b", "c", "x", "y"]), inner), 0..5).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn records() -> impl Strategy<Value = Map<String, Value>> {
    vec(
        (select(vec!["a", "b", "c", "x", "y", "z", "\u{e9}"]), values()),
        0..7,
    )
    .prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

const PATHS: [&str; 7] = ["a.b", "a.x[].y", "b[]", "c", "x.a.a", "x.b[].c", "y[][].a"];

/// The slow way: the named or unlisted places of a value, removed or replaced by `with`.
fn expected(value: &mut Value, at: &str, remove: bool) -> Edited {
    let leads_on = |prefix: &str| PATHS.iter().any(|path| path.starts_with(prefix));
    if PATHS.contains(&at) {
        return if remove { Edited::Remove } else { Edited::Keep };
    }
    match value {
        Value::Object(members) if leads_on(&format!("{at}.")) || at.is_empty() => {
            let names: Vec<_> = members.keys().cloned().collect();
            for name in names {
                let path = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                match expected(&mut members[&name], &path, remove) {
                    Edited::Keep => {}
                    Edited::Replace => members[&name] = json!("new"),
                    Edited::Remove => drop(members.shift_remove(&name)),
                }
            }
            Edited::Keep
        }
        Value::Array(elements) if leads_on(&format!("{at}[]")) => {
            for element in elements {
                match expected(element, &format!("{at}[]"), remove) {
                    Edited::Keep => {}
                    Edited::Replace => *element = json!("new"),
                    Edited::Remove => *element = json!(null),
                }
            }
            Edited::Keep
        }
        _ => Edited::Replace,
    }
}

enum Edited {
    Keep,
    Replace,
    Remove,
}

proptest! {
    #[test]
    fn a_changed_record_says_what_the_slow_way_says(
        record in records(), pretty in any::<bool>(), remove in any::<bool>(), append in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&record) } else { serde_json::to_string(&record) }.unwrap();
        let members = scan(text.as_bytes(), &PATHS).unwrap();
        let mut edits: Vec<_> = members.iter().filter_map(|member| match member.path {
            None => Some(Edit::Replace(*member, 0..5)),
            Some(_) if remove => Some(Edit::Remove(*member)),
            Some(_) => None,
        }).collect();
        let mut slow = Value::Object(record);
        expected(&mut slow, "", remove);
        if append {
            edits.push(Edit::Append { name: 5..6, value: 6..7 });
            slow["n"] = json!(5);
        }
        let mut out = Vec::new();
        Splicer::new().splice(text.as_bytes(), &edits, b"\"new\"n5", &mut out);
        prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), slow.clone());
        if !pretty {
            prop_assert_eq!(String::from_utf8(out).unwrap(), slow.to_string());
        }
        prop_assert!(members.iter().all(|member| member.place == Place::Element || text[member.name()].starts_with('"')));
    }

    #[test]
    fn what_serde_json_refuses_is_refused_and_what_it_reads_is_read(
        record in records(), at in any::<Index>(),
        with in prop_oneof![select(b"{}[]:,\"\\u0-1.eE+ \ntn".to_vec()), any::<u8>()], insert in any::<bool>(),
    ) {
        let mut text = serde_json::to_vec(&record).unwrap();
        let at = at.index(text.len());
        if insert { text.insert(at, with) } else { text[at] = with }
        let trimmed = text.trim_ascii();
        let found = scan(trimmed, &PATHS);
        // raw values: serde_json's numbers end at f64's range, JSON's do not
        let oracle = serde_json::from_slice::<Map<String, Value>>(trimmed);
        match (found, oracle) {
            (Err(JsonError::DuplicateName { .. }) | Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) if error.to_string().contains("number out of range") => {}
            (found, oracle) => prop_assert!(false, "{:?} {:?} {}", found.map(drop), oracle.map(drop), String::from_utf8_lossy(trimmed)),
        }
        if scan(trimmed, &PATHS).is_ok() {
            let text = std::str::from_utf8(trimmed).unwrap();
            prop_assert_eq!(documents(trimmed, End::Final), (vec![text], Step::Done));
        }
    }

    #[test]
    fn strings_read_back(text in any::<String>()) {
        let mut token = Vec::new();
        write_string(&mut token, text.as_bytes());
        prop_assert_eq!(serde_json::from_slice::<String>(&token).unwrap(), text.clone());
        prop_assert!(scalar(&token, &mut Vec::new()) == Scalar::Text(text.as_bytes()));
        let escaped: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let token = format!("\"{}\"", escaped.concat());
        prop_assert!(scalar(token.as_bytes(), &mut Vec::new()) == Scalar::Text(text.as_bytes()));
    }
}
