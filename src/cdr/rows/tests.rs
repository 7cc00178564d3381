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
        ("", b"1,x\n2,\"open\n3,z\n", &["1,x", "!format 2,\"open\n3,z\n"]),
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
        ("header = \"check\"", b"b,a\n1,x\n", &["!columns b,a\n1,x\n"]),
        ("header = \"check\"", b"a,b,c\n1,x\n", &["!columns a,b,c\n1,x\n"]),
        ("header = \"check\"", b"1,x\n2,y\n", &["!columns 1,x\n2,y\n"]),
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
        ("{\"a\":1} trailing", &["{\"a\":1}", "!format  trailing"]),
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

#[test]
fn nothing_behind_a_malformed_place_becomes_a_record() {
    // Cut anywhere, the elements of the array would be objects of their own.
    let text = b"{\"a\":1}\n[{\"a\":2}, {\"a\":3}]\n{\"a\":4}\n";
    for size in 1..=text.len() {
        let words = cut_in_chunks(&json(), text, size);
        assert_eq!(words[0], "{\"a\":1}", "{size}");
        let rejected: String = words[1..]
            .iter()
            .map(|word| {
                word.strip_prefix("!format ")
                    .unwrap_or_else(|| panic!("{size}: {word}"))
            })
            .collect();
        assert_eq!(
            rejected.trim_start(),
            "[{\"a\":2}, {\"a\":3}]\n{\"a\":4}\n",
            "{size}"
        );
    }
}
