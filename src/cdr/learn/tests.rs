//! Shapes: what is taken for a delimiter, a header row, a record.

use std::sync::Arc;

use crate::cdr::csv::End;
use crate::cdr::learn::table::{Table, table, titles};
use crate::cdr::learn::tree::tree;
use crate::cdr::learn::{Known, Sample, learn};
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::{KeyEntry, Keyring, Status};
use crate::pseudonym::mac::EpochKey;

fn keyring() -> Arc<Keyring> {
    let entry = KeyEntry {
        id: "learn".parse().unwrap(),
        activate_at: EventTime::from_millis(0),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new(vec![7; 32]).ok(),
    };
    Arc::new(Keyring::new(vec![entry]).unwrap())
}

fn with_sample<T>(text: &str, end: End, f: impl FnOnce(&Sample<'_>) -> T) -> T {
    f(&Sample {
        bytes: text.as_bytes(),
        end,
        now: 1_795_000_000_000,
        keyring: &keyring(),
    })
}

/// Delimiter, quote, escape, comment.
type Signs = (u8, Option<u8>, Option<u8>, Option<u8>);

fn shape(text: &str) -> Table {
    with_sample(text, End::Final, table).unwrap()
}

#[test]
fn tables_are_seen_through_their_delimiters_and_quotes() {
    // Text, signs, fewest and most columns, whether a header row is seen.
    let quote = Some(b'"');
    let cases: [(&str, Signs, (usize, usize), bool); 7] = [
        (
            "1,2,\"a;b\"\n3,4,\"c,d\"\n",
            (b',', quote, None, None),
            (3, 3),
            false,
        ),
        ("1;2,5;x\n3;4,5;y\n", (b';', quote, None, None), (3, 3), false),
        (
            "a|b|200|17\nc|d|200|18\n",
            (b'|', quote, None, None),
            (4, 4),
            false,
        ),
        (
            "1\t2,3\n4\t5,6\n7\t8\n",
            (b'\t', quote, None, None),
            (2, 2),
            false,
        ),
        ("#x\n1,2\n3,4\n", (b',', quote, None, Some(b'#')), (2, 2), false),
        (
            "1,a\\,b,2\n3,c,4\n",
            (b',', quote, Some(b'\\'), None),
            (3, 3),
            false,
        ),
        (
            "id,caller\n1234,07700900001\n1235,07700900002\n",
            (b',', quote, None, None),
            (2, 2),
            true,
        ),
    ];
    for (text, signs, columns, header) in cases {
        let found = shape(text);
        let dialect = found.dialect;
        let seen = (dialect.delimiter, dialect.quote, dialect.escape, dialect.comment);
        assert_eq!(seen, signs, "{text}");
        assert_eq!(
            ((found.least, found.columns), found.header),
            (columns, header),
            "{text}"
        );
    }
}

#[test]
fn names_of_a_header_row_are_shown_only_where_they_are_names() {
    let named = |text: &str| shape(text).names.into_iter().flatten().collect::<Vec<_>>();
    let below = "2026-11-05,07700900001,1\n2026-11-06,07700900002,2\n";
    assert_eq!(named(&format!("day,caller,n\n{below}")), ["day", "caller", "n"]);
    assert_eq!(named(&format!("day,caller,\n{below}")), ["day", "caller"]);
    assert_eq!(named(&format!("day,07700900003,n\n{below}")), [""; 0]);
    assert_eq!(named(&format!("INT,INT,INT\n{below}")), [""; 0]);
    assert!(shape(&format!("INT,INT,INT\n{below}")).header);
    // Data above data.
    assert!(!shape("Ada,Bob,x\nAda,1234,x\n").header);
}

#[test]
fn titles_are_shown_by_their_first_word_if_that_is_the_trades() {
    let table = "Caller,Called,Start\n1,2,3\n";
    let (line, above) = titles(format!("FCS Standard of Ada\n{table}").as_bytes()).unwrap();
    assert_eq!(
        (line.text.as_str(), above),
        ("markers = [{ prefix = \"FCS\" }]", 1)
    );
    assert!(titles(format!("Ada's calls\n{table}").as_bytes()).is_none());
    assert!(titles(table.as_bytes()).is_none());
}

#[test]
fn records_of_a_list_and_their_paths_are_found() {
    let wrapped = r#"{"n":1,"value":[{"start":"2026-11-05T09:15:00Z","caller":"+447700900001","a.b":{"c":[1]},"legs":[{"to":"x"}]}]}"#;
    let found = with_sample(wrapped, End::Final, tree).unwrap();
    assert_eq!(found.records.as_deref(), Some("value[]"));
    assert_eq!(found.paths, ["start", "caller", "\"a.b\".c[]", "legs[].to"]);
    // A list of legs does not make a wrapper of a call.
    let call = r#"{"start":"2026-11-05T09:15:00Z","caller":"+447700900001","legs":[{"start":"2026-11-05T09:15:00Z","to":"x"}]}"#;
    let found = with_sample(call, End::Final, tree).unwrap();
    assert_eq!(found.records, None);
    assert_eq!(found.paths, ["start", "caller", "legs[].start", "legs[].to"]);
    let table = r#"{"start":"2026-11-05T09:15:00Z","by":{"+447700900001":{"n":1}}}"#;
    assert_eq!(
        with_sample(table, End::Final, tree).unwrap().paths,
        ["start", "by"]
    );
}

#[test]
fn a_sample_that_is_cut_off_ends_with_its_last_whole_record() {
    let text = "2026-11-05 09:15:00,07700900001,07700900002\n2026-11-05 09:16:00,07700900003,07700900002\n2026-11-05 09:1";
    let known = Known {
        country: Some("GB"),
        ..Known::default()
    };
    let learnt = with_sample(text, End::More, |sample| learn(sample, &known)).unwrap();
    assert_eq!((learnt.records, learnt.accepted), (2, 2), "{}", learnt.policy);
    let learnt = with_sample(text, End::Final, |sample| learn(sample, &known)).unwrap();
    assert_eq!((learnt.records, learnt.accepted), (3, 2), "{}", learnt.policy);
    assert_eq!(learnt.rejected, ["1 columns"]);
}

#[test]
fn a_copy_of_a_number_in_a_kept_field_is_sealed() {
    let row = |n: usize| format!("2026-11-05 09:15:0{n},0770090000{n},+4477009001{n}0,Dial 0770090000{n}\n");
    let text = String::from("start,caller,called,status\n") + &(0..6).map(row).collect::<String>();
    let known = Known {
        country: Some("GB"),
        ..Known::default()
    };
    let learnt = with_sample(&text, End::Final, |sample| learn(sample, &known)).unwrap();
    assert_eq!(learnt.accepted, 6, "{}", learnt.policy);
    let status = learnt
        .policy
        .lines()
        .find(|line| line.starts_with("status "))
        .unwrap();
    assert!(status.contains("\"restrict\""), "{status}");
}
