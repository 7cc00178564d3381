//! `learn`: a draft for calls of no known system, that `check` accepts and `apply` runs by; and no value in it.

use std::fmt::Write;

use crate::{Place, Ran};

/// What the calls below hold of persons, places and machines, in any row.
const RAW: [&str; 13] = [
    "7700900",
    "442079460",
    "Lovelace",
    "ada@example",
    "192.0.2",
    "0010101234567",
    "4901542032375",
    "51.5074",
    "Analytical",
    "7391",
    "zq-",
    "Engine",
    "example.com",
];

/// Calls of 24 people as a switch nobody knows writes them: semicolons, days first, numbers in four spellings.
fn calls(header: bool) -> String {
    let mut text = String::new();
    if header {
        text += "Call Reference;From Number;To Number;Started;Talk Seconds;Status;Customer Name;Mail;Peer;Imsi;Handset;Lat;Price;Access Code;Extra\n";
    }
    for n in 0..24 {
        let caller = [
            format!("0770090{n:04}"),
            format!("+44770090{n:04}"),
            format!("0044770090{n:04}"),
            format!("0770 090 {n:04}"),
        ];
        let _ = writeln!(
            text,
            "zq-{n}x;{};+4420794601{n:02};{:02}/11/2026 09:{n:02}:05;{};{};Ada{n} Lovelace;ada@example.com;192.0.2.{n};0010101234567{n:02};490154203237518;51.5074{n};0.{n}1;7391{n};Analytical Engine {n}",
            caller[n % 4],
            1 + n % 24,
            n * 7,
            ["ANSWERED", "NO ANSWER", "BUSY"][n % 3],
        );
    }
    text
}

/// The same calls as pages of an API.
fn pages() -> String {
    let mut text = String::new();
    for page in 0..3 {
        let call = |n: usize| {
            format!(
                r#"{{"id":"{n}d80e22e-4c15-11ea-97a0-9dd79410affb","start":"2026-11-05T09:0{n}:00Z","party":{{"caller":{{"number":"+44770090000{n}","display":"Ada Lovelace"}},"called":"07700 90001{n}"}},"seconds":{n},"direction":"inbound","legs":[{{"to":"+44207946010{n}","ip":"192.0.2.{n}"}}],"notes":["Analytical Engine"],"by number":{{"+44770090000{n}":1}},"mystery":"zq-{n}"}}"#
            )
        };
        let calls: Vec<String> = (0..8).map(|n| call((n + page) % 10)).collect();
        let _ = writeln!(
            text,
            r#"{{"page":{page},"result":{{"calls":[{}]}}}}"#,
            calls.join(",")
        );
    }
    text
}

/// Learns from a file, puts the draft in place, checks it and runs by it.
fn learnt(place: &Place, file: &str, flags: &str) -> (String, Ran) {
    let ran = place.run(&format!("learn {file} {flags}"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    place.write("policy.toml", &ran.out);
    let checked = place.run("check --config cdrveil.toml --offline");
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{}", ran.out);
    let outputs = "--public public --restricted restricted --rejected rejected --force";
    let applied = place.run(&format!("apply --config cdrveil.toml {outputs} {file}"));
    assert_eq!(applied.code, 0, "{}", applied.err);
    assert!(
        applied.err.contains(" rejected=0 "),
        "{}\n{}",
        applied.err,
        ran.out
    );
    for raw in RAW {
        assert!(!ran.out.contains(raw), "{raw} is in the draft:\n{}", ran.out);
        assert!(!ran.err.contains(raw), "{raw} is on stderr:\n{}", ran.err);
        assert!(
            !place.read("public").contains(raw),
            "{raw} is public:\n{}",
            ran.out
        );
    }
    (ran.out.clone(), ran)
}

/// The field's line of a draft.
fn line<'a>(draft: &'a str, field: &str) -> &'a str {
    let fields = draft.split("[fields]").nth(1).unwrap();
    let own = |line: &&str| line.split(" = ").next().unwrap().trim() == field;
    fields
        .lines()
        .find(own)
        .unwrap_or_else(|| panic!("no {field} in {draft}"))
}

#[test]
fn columns_with_a_header_row_get_an_action_with_a_reason_each() {
    let place = Place::new();
    place.write("in.csv", &calls(true));
    let (draft, ran) = learnt(&place, "in.csv", "--country GB --zone Europe/London");
    assert!(ran.err.contains("no preset fits"), "{}", ran.err);
    for part in [
        "delimiter = \";\"",
        "header = \"name\"",
        "time = { field = \"Started\", format = \"%d/%m/%Y %H:%M:%S\", zone = \"Europe/London\" }",
        "country = \"GB\"",
        "key = \"From Number\"",
        "# Of 24 records it accepts 24",
    ] {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    let phone = "{ action = \"pseudonymise\", kind = \"phone\"";
    for (field, action, why) in [
        (
            "\"Call Reference\"",
            "{ action = \"pseudonymise\", kind = \"call\" }",
            "id",
        ),
        ("\"From Number\"", phone, "caller: 100 of 100"),
        ("\"To Number\"", phone, "called: 100 of 100"),
        ("Started", "\"keep\"", "when the call began"),
        ("\"Talk Seconds\"", "\"keep\"", "how long"),
        ("Status", "\"keep\"", "words that switches write"),
        ("\"Customer Name\"", "\"restrict\"", "name"),
        ("Mail", "\"restrict\"", ""),
        ("Peer", "\"restrict\"", "IP addresses"),
        ("Imsi", "\"restrict\"", "SIM"),
        ("Handset", "\"restrict\"", "IMEI"),
        ("Lat", "\"restrict\"", "where the caller was"),
        ("Price", "\"keep\"", "amount"),
        ("Extra", "\"restrict\"", ""),
    ] {
        let line = line(&draft, field);
        let (_, rest) = line.split_once(" = ").unwrap();
        assert!(rest.starts_with(action) && rest.contains(why), "{line}");
    }
    assert!(
        line(&draft, "\"Access Code\"").contains("= \"restrict\""),
        "{draft}"
    );
}

#[test]
fn columns_without_a_header_row_are_named_by_what_they_hold() {
    let place = Place::new();
    place.write("in.csv", &calls(false));
    let (draft, _) = learnt(&place, "in.csv", "");
    assert!(!draft.contains("header ="), "{draft}");
    assert!(
        draft.contains("columns = [\"id\", \"caller\", \"called\", \"start\", "),
        "{draft}"
    );
    // What nobody said is marked.
    assert!(
        draft.contains("# NOT KNOWN, a placeholder: times have no offset."),
        "{draft}"
    );
    assert!(
        draft.contains("# A GUESS: 36 of 36 numbers with a country code are of it."),
        "{draft}"
    );
    for field in ["caller", "called"] {
        assert!(line(&draft, field).contains("kind = \"phone\""), "{draft}");
    }
    for field in ["mail", "ip", "imsi", "imei"] {
        assert!(line(&draft, field).contains("= \"restrict\""), "{draft}");
    }
}

#[test]
fn pages_of_an_api_are_records_in_a_list_and_names_that_are_numbers_stay_unnamed() {
    let place = Place::new();
    place.write("in.json", &pages());
    let (draft, _) = learnt(&place, "in.json", "--country GB");
    for part in [
        "format = \"json\"",
        "records = \"result.calls[]\"",
        "unlisted = \"restrict\"",
        "time = { field = \"start\", format = \"rfc3339\" }",
    ] {
        assert!(draft.contains(part), "{part}: {draft}");
    }
    for (field, action) in [
        ("id", "\"keep\""),
        ("start", "\"keep\""),
        ("seconds", "\"keep\""),
        ("direction", "\"keep\""),
        (
            "\"party.caller.number\"",
            "{ action = \"pseudonymise\", kind = \"phone\" }",
        ),
        ("\"party.caller.display\"", "\"restrict\""),
        (
            "\"party.called\"",
            "{ action = \"pseudonymise\", kind = \"phone\", derive",
        ),
        ("\"legs[].ip\"", "\"restrict\""),
        ("\"notes[]\"", "\"restrict\""),
        ("\"by number\"", "\"restrict\""),
    ] {
        assert!(
            line(&draft, field).contains(&format!("= {action}")),
            "{field}: {draft}"
        );
    }
    assert!(line(&draft, "mystery").contains("= \"restrict\""), "{draft}");
}

#[test]
fn a_preset_is_recognised_and_only_the_sites_own_lines_are_left() {
    let place = Place::new();
    let mut text = String::new();
    for n in 0..10 {
        let _ = writeln!(
            text,
            "\"Ada\",\"770090000{n}\",\"+44770090010{n}\",\"public\",\"2026-11-05 09:15:0{n}\",\"\",\"2026-11-05 09:15:09\",\"9\",\"0\",\"NO_ANSWER\",\"d80e22e{n}-4c15-11ea-97a0-9dd79410affb\",\"\",\"1001\",\"PCMU\",\"PCMU\""
        );
    }
    place.write("in.csv", &text);
    let (draft, ran) = learnt(&place, "in.csv", "--country GB --zone Europe/London");
    let lines: Vec<&str> = draft
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(
        lines,
        [
            "preset = \"freeswitch\"",
            "[input]",
            "time.zone = \"Europe/London\"",
            "[numbers]",
            "country = \"GB\"",
            "bare = \"national\"",
        ]
    );
    assert!(ran.err.contains("freeswitch   10 of  10  fits"), "{}", ran.err);
    assert!(
        ran.err
            .contains("recognised: preset \"freeswitch\"; the draft accepts 10 of 10"),
        "{}",
        ran.err
    );
}

#[test]
fn title_rows_above_the_header_row_are_markers() {
    let place = Place::new();
    place.write("in.csv", &format!("Report of Lovelace\n{}", calls(true)));
    let (draft, _) = learnt(&place, "in.csv", "--country GB --zone Europe/London");
    assert!(draft.contains("markers = [{ prefix = \"Report\" }]"), "{draft}");
    assert!(draft.contains("rows that are no records: 2"), "{draft}");
}

#[test]
fn values_are_shown_only_when_asked_for() {
    let place = Place::new();
    place.write("in.csv", &calls(true));
    let ran = place.run("learn in.csv --show-values");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("#   e.g. 07700900000\n"), "{}", ran.out);
    place.write("policy.toml", &ran.out);
    let checked = place.run("check --config cdrveil.toml --offline");
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn a_first_row_of_data_is_no_header_and_is_not_printed() {
    let place = Place::new();
    // Words in the first row, but one of them comes again below: a customer, not a column.
    let rows =
        "Lovelace,Engine,2026-11-05 09:15:00,07700900001\nLovelace,Engine,2026-11-05 09:16:00,07700900002\n";
    place.write("in.csv", rows);
    learnt(&place, "in.csv", "--country GB");
}

#[test]
fn months_in_front_are_told_apart_or_marked() {
    let place = Place::new();
    for (days, format, marked) in [
        (["11/05/2026", "11/25/2026"], "%m/%d/%Y %H:%M", false),
        (["05/11/2026", "25/11/2026"], "%d/%m/%Y %H:%M", false),
        (["05/11/2026", "06/11/2026"], "%d/%m/%Y %H:%M", true),
    ] {
        let row = |day: &str| format!("{day} 09:15,07700900001,07700900002\n");
        place.write("in.csv", &days.map(row).concat());
        let ran = place.run("learn in.csv --country GB --zone UTC");
        assert!(ran.out.contains(&format!("format = \"{format}\"")), "{}", ran.out);
        assert_eq!(ran.out.contains("# AMBIGUOUS"), marked, "{}", ran.out);
    }
}

#[test]
fn a_date_and_a_time_of_day_are_joined() {
    let place = Place::new();
    place.write(
        "in.csv",
        "Date,Time,Caller,Called,Duration\n05/11/2026,09:15:00,07700900001,07700900002,13\n25/11/2026,09:16:00,07700900003,07700900002,14\n",
    );
    let (draft, _) = learnt(&place, "in.csv", "--country GB --zone Europe/London");
    let time =
        "time = { join = [\"Date\", \"Time\"], format = \"%d/%m/%Y %H:%M:%S\", zone = \"Europe/London\" }";
    assert!(draft.contains(time), "{draft}");
}

#[test]
fn what_nothing_can_be_learnt_from_is_told_with_its_line() {
    let place = Place::new();
    for (name, text, said) in [
        ("empty", "", "empty:1: nothing is in it"),
        ("xml", "<?xml version=\"1.0\"?><cdr/>", "xml:1: this is XML"),
        ("one", "07700900001\n07700900002\n", "one:1: no delimiter"),
        ("header", "Caller,Called,Start\n", "header:2: no record stands"),
        (
            "untimed",
            "07700900001,x\n07700900002,y\n",
            "untimed:1: none of its 2 fields reads as the time",
        ),
        (
            "broken.json",
            "{\"a\": 07700900001\n",
            "broken.json:1: no JSON object ends",
        ),
        (
            "packed",
            "PK\u{3}\u{4}",
            "packed is zip, not plain text: unzip -p packed | cdrveil learn -",
        ),
    ] {
        place.write(name, text);
        let ran = place.run(&format!("learn {name}"));
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{name}: {}", ran.err);
        assert!(ran.err.contains(said), "{name}: {}", ran.err);
        assert!(!ran.err.contains("7700900"), "{}", ran.err);
    }
    assert_eq!(place.run("learn nowhere.csv").code, 64);
    for flag in ["--country Britain", "--zone Moon/Tycho"] {
        assert_eq!(place.run(&format!("learn empty {flag}")).code, 64, "{flag}");
    }
}

#[test]
fn the_draft_goes_to_a_file_but_not_over_one() {
    let place = Place::new();
    let piped = place.feed("learn - --output draft.toml", &calls(true));
    assert_eq!((piped.code, piped.out.as_str()), (0, ""), "{}", piped.err);
    let draft = place.read("draft.toml");
    assert!(draft.contains("[fields]"), "{draft}");
    place.write("in.csv", &calls(true));
    assert_eq!(place.run("learn in.csv --output draft.toml").code, 64);
    assert_eq!(place.run("learn in.csv --output in.csv --force").code, 64);
    assert_eq!(place.run("learn in.csv --output draft.toml --force").code, 0);
    assert_eq!(place.read("draft.toml"), draft);
    assert_eq!(place.read("in.csv"), calls(true));
}
