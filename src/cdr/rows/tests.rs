//! Payloads and files cut into pieces; whole, and in chunks of every size.

use super::*;
use crate::settings::Source;

fn policy(input: &str) -> Policy {
    let source = Source {
        path: "policy.toml".into(),
        text: format!("[input]\n{input}\n[fields]\na = \"keep\"\nb = \"keep\"\n"),
    };
    Policy::load(&source).unwrap()
}

fn csv(more: &str) -> Policy {
    policy(&format!(
        "format = \"csv\"\ncolumns = [\"a\", \"b\"]\ntime = {{ field = \"a\", format = \"unix\" }}\n{more}"
    ))
}

fn json() -> Policy {
    policy("format = \"json\"\ntime = { field = \"a\", format = \"unix\" }")
}

/// Every piece as a word: the text of a record, a skip's name, or `!reason text`.
fn cut(policy: &Policy, text: &[u8]) -> Vec<String> {
    let mut cursor = Cursor::default();
    cursor.restart();
    let mut words = Vec::new();
    loop {
        match word(&cursor.next(policy, text, End::Final), text) {
            Some(word) => words.push(word),
            None => return words,
        }
    }
}

/// The same, as a file is read: `size` bytes at a time, finished pieces thrown away.
fn cut_in_chunks(policy: &Policy, text: &[u8], size: usize) -> Vec<String> {
    let mut cursor = Cursor::default();
    let (mut buffer, mut words) = (Vec::new(), Vec::new());
    let mut chunks = text.chunks(size);
    let mut end = End::More;
    loop {
        let piece = cursor.next(policy, &buffer, end);
        match piece {
            Piece::Done if end == End::Final => return words,
            Piece::Done | Piece::Incomplete => {
                let start = cursor.position();
                buffer.drain(..start);
                cursor.consumed(start);
                match chunks.next() {
                    Some(chunk) => buffer.extend_from_slice(chunk),
                    None => end = End::Final,
                }
            }
            piece => words.extend(word(&piece, &buffer)),
        }
    }
}

fn word(piece: &Piece, text: &[u8]) -> Option<String> {
    let shown = |range: &Range<usize>| String::from_utf8_lossy(&text[range.clone()]).into_owned();
    match piece {
        Piece::Record(range) => Some(shown(range)),
        Piece::Skipped(why) => Some(format!("({})", why.as_str())),
        Piece::Rejected(range, reason) => Some(format!("!{} {}", reason.as_str(), shown(range))),
        Piece::Incomplete | Piece::Done => None,
    }
}

#[test]
fn rows_headers_and_comments() {
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("", b"1,x\n2,y\r\n\n3,z", &["1,x", "2,y", "3,z"]),
        ("", b"", &[]),
        ("", b"\n\r\n", &[]),
        ("", b"1,\"a\nb\"\n2,y\n", &["1,\"a\nb\"", "2,y"]),
        // An open quote costs its line, not what follows.
        ("", b"1,x\n2,\"open\n3,z\n", &["1,x", "!format 2,\"open", "3,z"]),
        ("", b"1,x\n2,\"open", &["1,x", "!format 2,\"open"]),
        // A stray quote swallowed rows, and another one closed it: calls in a field, in clear.
        ("", b"1,\"x\n2,y\n3,z\"\n", &["!format 1,\"x", "2,y", "3,z\""]),
        ("", b"1,\"x\n2,y\"\n", &["!format 1,\"x", "2,y\""]),
        ("", b"1,\"x\r\n2,y\"\n", &["!format 1,\"x", "2,y\""]),
        ("", b"\"1\n2\",y\n", &["\"1\n2\",y"]),
        (
            "",
            b"1,\"x\n2\",y,z\n3,w\n",
            &["!columns 1,\"x", "2\",y,z", "3,w"],
        ),
        ("", b"\xef\xbb\xbf1,x\n", &["1,x"]),
        ("", b"1,x\n\xef\xbb\xbf2,y\n", &["1,x", "\u{feff}2,y"]),
        ("", b"# no comment\n", &["# no comment"]),
        (
            "comment = \"#\"",
            b"# c\n1,x\n#\n2,#\n",
            &["(comment)", "1,x", "(comment)", "2,#"],
        ),
        ("header = \"skip\"", b"what,ever\n1,x\n", &["(header)", "1,x"]),
        ("header = \"skip\"", b"what,ever", &["(header)"]),
        ("header = \"check\"", b"a,b\n1,x\n", &["(header)", "1,x"]),
        (
            "header = \"check\"",
            b"\xef\xbb\xbf\"a\",b\r\n1,x\n",
            &["(header)", "1,x"],
        ),
        (
            "header = \"check\"",
            b"b,a\n1,x\n",
            &["!columns b,a", "!columns 1,x"],
        ),
        (
            "header = \"check\"",
            b"a,b,c\n1,x\n",
            &["!columns a,b,c", "!columns 1,x"],
        ),
        (
            "header = \"check\"",
            b"1,x\n2,y\n",
            &["!columns 1,x", "!columns 2,y"],
        ),
        (
            "header = \"check\"\ncomment = \"#\"",
            b"# made by a switch\na,b\n1,x\na,b\n",
            &["(comment)", "(header)", "1,x", "a,b"],
        ),
    ];
    for (settings, text, expected) in cases {
        let policy = csv(settings);
        assert_eq!(
            cut(&policy, text),
            *expected,
            "{settings} {}",
            text.escape_ascii()
        );
    }
}

#[test]
fn objects_one_or_many() {
    let cases: &[(&str, &[&str])] = &[
        ("{\"a\":1}", &["{\"a\":1}"]),
        ("{\"a\":1}\n{\"a\":2}\n", &["{\"a\":1}", "{\"a\":2}"]),
        ("{\"a\":1} trailing", &["!format {\"a\":1} trailing"]),
        (
            "{\"a\":1}\n{\"a\":2\n{\"a\":3}",
            &["{\"a\":1}", "!format {\"a\":2", "{\"a\":3}"],
        ),
        ("{\"a\":", &["!format {\"a\":"]),
        ("", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(cut(&json(), text.as_bytes()), *expected, "{text}");
    }
}

#[test]
fn chunks_of_any_size_give_the_same_rows() {
    let text = b"\xef\xbb\xbfa,b\n# c\n1,\"x\ny\"\n\n2,y\r\n\xef\xbb\xbf3,z\n4,w";
    let policy = csv("header = \"check\"\ncomment = \"#\"");
    let whole = cut(&policy, text);
    assert_eq!(whole.len(), 6);
    for size in 1..=text.len() {
        assert_eq!(cut_in_chunks(&policy, text, size), whole, "{size}");
    }
    let text = b"{\"a\":1,\"b\":\"}\"}\n {\"a\":[{\"b\":2}]}{\"a\":3} ";
    let whole = cut(&json(), text);
    for size in 1..=text.len() {
        assert_eq!(cut_in_chunks(&json(), text, size), whole, "{size}");
    }
}

/// What was rejected, put together, and the records.
fn rejected_and_records(words: &[String]) -> (String, Vec<&str>) {
    let (rejected, records): (Vec<&str>, Vec<&str>) = words
        .iter()
        .map(String::as_str)
        .partition(|word| word.starts_with('!'));
    let rejected = rejected
        .iter()
        .map(|word| word.split_once(' ').unwrap().1)
        .collect();
    (rejected, records)
}

#[test]
fn one_fault_in_json_lines_costs_its_own_line() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "{\"a\":1}\n{\"a\":2\n{\"a\":3}\n",
            "{\"a\":2",
            &["{\"a\":1}", "{\"a\":3}"],
        ),
        (
            "{\"a\":\"1}\n{\"a\":2}\n{\"a\":3}",
            "{\"a\":\"1}",
            &["{\"a\":2}", "{\"a\":3}"],
        ),
        ("{\"a\":1}\nx\n\n{\"a\":2}", "x\n", &["{\"a\":1}", "{\"a\":2}"]),
        ("{\"a\":1}\n}\r\n{\"a\":2}\n", "}\r", &["{\"a\":1}", "{\"a\":2}"]),
        (
            "[\n{\"a\":1},\n{\"a\":},,\n{\"a\":3},\n{\"a\":4}\n]\n",
            ",,",
            &["{\"a\":1}", "{\"a\":}", "{\"a\":3}", "{\"a\":4}"],
        ),
        // Commas between lines are none of the objects'.
        ("{\"a\":1},\n{\"a\":2},\n", ",,", &["{\"a\":1}", "{\"a\":2}"]),
        // A stray brace: what it ended goes on behind it.
        (
            "{\"a\":1}\n{\"a\":2},\"b\":3}\n{\"a\":4}",
            "{\"a\":2},\"b\":3}",
            &["{\"a\":1}", "{\"a\":4}"],
        ),
        (
            "{\"a\":1}\n{\"a\":2}}\n{\"a\":4}",
            "{\"a\":2}}",
            &["{\"a\":1}", "{\"a\":4}"],
        ),
        (
            "{\n \"a\":1}\n \"b\":3\n}\n{\"a\":4}",
            "{\n \"a\":1}\n \"b\":3\n}",
            &["{\"a\":4}"],
        ),
        (
            "[{\"a\":1}\"b\":2},\n{\"a\":3}]",
            "[{\"a\":1}\"b\":2},",
            &["{\"a\":3}"],
        ),
        // Elements of an array on one line would be objects of their own: none of them is taken.
        (
            "{\"a\":1}\n[{\"a\":2}, {\"a\":3}]\n{\"a\":4}\n",
            "[{\"a\":2}, {\"a\":3}]",
            &["{\"a\":1}", "{\"a\":4}"],
        ),
        // An object within a broken one is indented.
        (
            "{\"a\":1 2,\n \"b\":[\n {\"a\":3}\n}\n{\"a\":4}\n",
            "{\"a\":1 2,\n \"b\":[\n {\"a\":3}\n}",
            &["{\"a\":4}"],
        ),
    ];
    for (text, lost, kept) in cases {
        let whole = cut(&json(), text.as_bytes());
        let (rejected, records) = rejected_and_records(&whole);
        assert_eq!(
            (rejected.trim(), records.as_slice()),
            (lost.trim(), *kept),
            "{text}"
        );
        for size in 1..=text.len() {
            let words = cut_in_chunks(&json(), text.as_bytes(), size);
            let (rejected, records) = rejected_and_records(&words);
            assert_eq!(rejected.trim(), lost.trim(), "{text} {size}: {words:?}");
            assert_eq!(records, *kept, "{text} {size}");
        }
    }
}

#[test]
fn what_stands_open_is_given_up_where_no_record_is_so_large() {
    let small = "max_record = \"1KiB\"";
    let mut text = b"1,x\n2,\"open\n".to_vec();
    for row in 3..400_000 {
        text.extend_from_slice(format!("{row},z\n").as_bytes());
    }
    let words = cut_in_chunks(&csv(small), &text, 1 << 16);
    assert_eq!(words[..3], ["1,x", "!format 2,\"open", "3,z"]);
    assert_eq!(words.len(), 399_999);

    let mut text = b"1,x\n2,".to_vec();
    text.resize(3 << 20, b'z');
    text.extend_from_slice(b"\n3,z\n");
    let words = cut_in_chunks(&csv(small), &text, 1 << 16);
    let (first, rest) = (&words[0], &words[1..]);
    assert_eq!((first.as_str(), rest.last().unwrap().as_str()), ("1,x", "3,z"));
    let large = &rest[..rest.len() - 1];
    assert!(large.iter().all(|word| word.starts_with("!too-large ")));
    assert!(large.len() < 40, "{}", large.len());
}

#[test]
fn records_in_a_list_of_one_object_are_records_of_their_own() {
    let policy =
        policy("format = \"json\"\nrecords = \"page.calls[]\"\ntime = { field = \"a\", format = \"unix\" }");
    let cases: &[(&str, &[&str])] = &[
        (
            r#"{"n":2,"page":{"calls":[{"a":1}, {"a":[2]}],"next":null}}"#,
            &[r#"{"a":1}"#, r#"{"a":[2]}"#],
        ),
        (
            r#"{"page":{"calls":[{"a":1},7,{"a":2}]}} {"page":{"calls":[{"a":3}]}}"#,
            &[r#"{"a":1}"#, "!format 7", r#"{"a":2}"#, r#"{"a":3}"#],
        ),
        (
            r#"[{"page":{"calls":[{"a":1}]}},{"page":{"calls":[]}}]"#,
            &[r#"{"a":1}"#, "(marker)"],
        ),
        (r#"{"a":1}"#, &[r#"{"a":1}"#]),
        (
            r#"{"page":{"calls":{"a":1}}}"#,
            &[r#"{"page":{"calls":{"a":1}}}"#],
        ),
        (
            r#"{"page":{"calls":[{"a":1}]},"page":1}"#,
            &[r#"!format {"page":{"calls":[{"a":1}]},"page":1}"#],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(cut(&policy, text.as_bytes()), *expected, "{text}");
        for size in [1, 3, 1_000] {
            assert_eq!(
                cut_in_chunks(&policy, text.as_bytes(), size),
                *expected,
                "{text} by {size}"
            );
        }
    }
}
