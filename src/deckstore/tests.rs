//! Files in a folder, as an operator would have them: what is read, what is refused and where.

use std::fs;
use std::path::Path;

use super::*;
use crate::number::deck::Deck;
use crate::number::{Class, E164, Label, NumberSettings, Numbers, Reading};
use crate::settings::Source;

const POLICY: &str = r#"[input]
format = "csv"
columns = ["called", "start", "cell", "trunk"]
time = { field = "start", format = "%Y-%m-%d %H:%M:%S", zone = "Europe/London" }
[numbers]
country = "GB"
deck = "deck.csv"
own = "own.txt"
payers = "payers.txt"
ports = "ports.csv"
emergency = "emergency.txt"
voicemail = "voicemail.txt"
[maps.zone]
file = "cells.csv"
[maps.peer]
file = "peers.csv"
kind = "ip"
min_keys = 1
[fields]
called = { action = "pseudonymise", kind = "phone", derive = ["destination", "onnet", "payer", "network"] }
start = "keep"
cell = { action = "restrict", derive = ["zone"] }
trunk = { action = "drop", derive = ["peer"] }
"#;

/// Loads what lies in the folder; the other files are well.
fn load_with(file: &str, text: &str) -> Result<Rating, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("deck.csv", "prefix,zone\n+44,UK\n"),
        ("own.txt", "+447700900123\n"),
        ("payers.txt", "07700900124\n"),
        ("ports.csv", "number,network\n07700 900125,23415\n"),
        ("emergency.txt", "999\n112\n18000\n"),
        ("voicemail.txt", "1571\n\"#100\"\n"),
        ("cells.csv", "key,value\n# two cells\nC1,NORTH\n\"C2\",NORTH\n"),
        ("peers.csv", "192.0.2.0/24,carrier a\n"),
        (file, text),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    load_in(folder.path())
}

fn load_in(folder: &Path) -> Result<Rating, Vec<String>> {
    let source = Source {
        path: folder.join("policy.toml"),
        text: POLICY.to_owned(),
    };
    let policy = Policy::load(&source).unwrap();
    let shown = |fault: &Fault| {
        let text = fault.to_string();
        let place = text.strip_prefix(&format!("{}/", folder.display()));
        place.unwrap_or(&text).to_owned()
    };
    let loaded = load(&policy).map(|(rating, _)| rating);
    loaded.map_err(|faults| faults.iter().map(shown).collect())
}

fn number(spelling: &str) -> E164 {
    let settings: NumberSettings = toml::from_str("country = 'GB'").unwrap();
    let mut reader = Canonicaliser::new(Numbers::new(&settings).unwrap().into());
    match reader.read(spelling.as_bytes()) {
        Reading::Number(number) => number,
        _ => panic!("{spelling}"),
    }
}

fn zone<'a>(deck: &'a Deck, number: &E164, at: &str) -> &'a str {
    let at = at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    deck.number(number, at).map_or("", |priced| deck.zone(priced))
}

#[test]
fn what_the_files_say_is_known_of_a_number() {
    let rating = load_with("deck.csv", "prefix,zone\n+44,UK\n").unwrap();
    let lists = rating.lists.as_ref().unwrap();
    for (spelling, own, payer, network) in [
        ("+447700900123", true, false, None),
        ("+447700900124", false, true, None),
        ("+447700900125", false, false, Some("23415")),
        ("+447700900126", false, false, None),
    ] {
        let tag = lists.tag(number(spelling).digits());
        assert_eq!(lists.own.as_ref().unwrap().holds(tag), own);
        assert_eq!(lists.payers.as_ref().unwrap().holds(tag), payer);
        assert_eq!(lists.ports.as_ref().unwrap().word(tag), network);
    }
    let rows: Vec<_> = rating
        .contents
        .iter()
        .map(|content| (content.label.as_str(), content.rows))
        .collect();
    let expected = [
        ("deck", 1),
        ("own", 1),
        ("payers", 1),
        ("ports", 1),
        ("emergency", 3),
        ("voicemail", 2),
        ("maps.zone", 2),
        ("maps.peer", 1),
    ];
    assert_eq!(rows, expected);
    assert_eq!(rating.mapped(0, b"C2"), Some("NORTH"));
    assert_eq!(rating.mapped(1, b"192.0.2.7"), Some("carrier a"));
    let shown = format!("{rating:?}");
    assert!(!shown.contains("7700") && !shown.contains("C2"), "{shown}");
}

#[test]
fn listed_numbers_of_files_are_labels() {
    let rating = load_with("own.txt", "").unwrap();
    let settings: NumberSettings = toml::from_str("country = 'GB'").unwrap();
    let mut reader = Canonicaliser::new(Numbers::new(&settings).unwrap().into());
    assert_eq!(reader.read(b"18000"), Reading::Label(Label::Short));
    reader.relist(rating.listed.as_ref());
    for (dialled, label) in [
        ("999", Label::Emergency),
        ("18000", Label::Emergency),
        ("1571", Label::Voicemail),
        ("#100", Label::Voicemail),
        ("118118", Label::Short),
    ] {
        assert_eq!(
            reader.read(dialled.as_bytes()),
            Reading::Label(label),
            "{dialled}"
        );
    }
    reader.relist(None);
    assert_eq!(reader.read(b"18000"), Reading::Label(Label::Short));
}

#[test]
fn a_deck_has_its_columns_in_any_order_comments_and_windows() {
    let text = "\u{feff}# zones of spring\r\n\
        zone,valid_to,prefix,class,valid_from\r\n\
        \"UK, mobile\",,+447,mobile,2026-03-30\r\n\
        \r\n\
        UK-OLD,2026-03-30,+447,,\r\n\
        EVENT,2026-06-01T00:00:00+02:00,+4479,premium,2026-05-01T00:00:00Z\r\n\
        DIRECTORY,,118,,\r\n";
    let rating = load_with("deck.csv", text).unwrap();
    let deck = rating.deck.unwrap();
    let mobile = number("+447911123456");
    for (at, expected) in [
        // Midnight in London, where summer time has begun.
        ("2026-03-29T22:59:59.999Z", "UK-OLD"),
        ("2026-03-29T23:00:00Z", "UK, mobile"),
        ("2026-05-31T21:59:59Z", "EVENT"),
        ("2026-05-31T22:00:00Z", "UK, mobile"),
    ] {
        assert_eq!(zone(&deck, &mobile, at), expected, "{at}");
    }
    let priced = deck.number(&mobile, i64::MAX - 1).unwrap();
    assert_eq!(deck.class(priced), Some(Class::Mobile));
    assert_eq!(deck.rows(), 4);
}

#[test]
fn a_fault_has_its_place_and_a_cure_and_shows_no_number() {
    for (file, text, expected) in [
        ("deck.csv", "", "deck.csv:1:1: the deck is empty"),
        (
            "deck.csv",
            "prefix,price\n",
            "deck.csv:1:8: the first row names the columns",
        ),
        (
            "deck.csv",
            "prefix,class\n",
            "deck.csv:1:1: the header row must name prefix and zone",
        ),
        (
            "deck.csv",
            "zone,prefix,zone\n",
            "deck.csv:1:13: the column \"zone\" is named twice",
        ),
        (
            "deck.csv",
            "+447700900123,UK\n",
            "deck.csv:1:1: the first row names the columns",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,UK,\n",
            "deck.csv:2:1: the row has 3 values, the header row names 2",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,UK\n0044,UK\n447700900123,UK\n",
            "deck.csv:4:1: more than 6 digits are no service code",
        ),
        (
            "deck.csv",
            "prefix,zone\n118,UK\n",
            "deck.csv:1:1: no prefix begins with +",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,\n",
            "deck.csv:2:5: the zone is 1 to 64 characters",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,VIP 07700900123\n",
            "deck.csv:2:5: the zone holds 7 digits or more",
        ),
        (
            "deck.csv",
            "prefix,zone,class\n+44,UK,cheap\n",
            "deck.csv:2:8: the class is unknown (mobile, fixed",
        ),
        (
            "deck.csv",
            "prefix,zone,valid_from\n+44,UK,1.5.2026\n",
            "deck.csv:2:8: not a date or a moment",
        ),
        (
            "deck.csv",
            "prefix,zone,valid_from\n+44,UK,2026-05-01T00:00:00\n",
            "deck.csv:2:8: not a date or a moment",
        ),
        (
            "deck.csv",
            "prefix,zone,valid_from,valid_to\n+44,UK,2026-05-02,2026-05-01\n",
            "deck.csv:2:19: valid_to is not after valid_from",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,UK\n+447,M\n+44,UK2\n",
            "deck.csv:4:1: the same prefix is priced for the same time already: remove one, or end one with valid_to (line 2)",
        ),
        (
            "deck.csv",
            "prefix,zone,valid_from,valid_to\n+44,UK,,2026-04-30\n+44,UK,2026-05-01,\n",
            "deck.csv:3:1: the row of the same prefix before this one ends within a day",
        ),
        (
            "deck.csv",
            "prefix,zone\n+44,\"UK\n",
            "deck.csv:2:1: a quoted field has no closing quote",
        ),
        (
            "own.txt",
            "+447700900123\nanonymous\n",
            "own.txt:2:1: not a subscriber's number",
        ),
        (
            "own.txt",
            "number\n447700900123,UK\n",
            "own.txt:2:14: one number a line",
        ),
        (
            "payers.txt",
            "7700900123\n",
            "payers.txt:1:1: not a subscriber's number",
        ),
        (
            "ports.csv",
            "number,carrier\n",
            "ports.csv:1:1: the header row of ported numbers is number,network",
        ),
        (
            "ports.csv",
            "07700900123\n",
            "ports.csv:1:1: a row of ported numbers is number,network",
        ),
        (
            "ports.csv",
            "07700900123,\n",
            "ports.csv:1:13: the network is 1 to 64 characters",
        ),
        (
            "ports.csv",
            "07700900123,D0447700900123\n",
            "ports.csv:1:13: the network holds the number's own digits",
        ),
        (
            "emergency.txt",
            "999\nsos\n",
            "emergency.txt:2:1: write what is dialled",
        ),
        (
            "voicemail.txt",
            "1571,x\n",
            "voicemail.txt:1:6: one number a line",
        ),
        (
            "ports.csv",
            "07700900123,a\n+447700900123,b\n",
            "ports.csv:2:1: the number has a network already",
        ),
        ("cells.csv", "", "cells.csv:1:1: the map is empty"),
        ("cells.csv", "key,value\n", "cells.csv:1:1: the map is empty"),
        (
            "cells.csv",
            "C1,NORTH,x\n",
            "cells.csv:1:1: a row of a map is its key and its value",
        ),
        (
            "cells.csv",
            "prefix,value\n",
            "cells.csv:1:1: the value stands for 1 of the 2 keys",
        ),
        (
            "cells.csv",
            "C1,NORTH\nC2,SOUTH\nC3,NORTH\n",
            "cells.csv:2:1: the value stands for 1 of the 2 keys",
        ),
        (
            "cells.csv",
            "C1,NORTH\nC2,\nC3,EAST\n",
            "cells.csv:2:4: the value is 1 to 64 characters",
        ),
        (
            "cells.csv",
            "C1,NORTH\nC1,NORTH\n",
            "cells.csv:2:1: the key has a value already, further up: keep one of the two rows (line 1)",
        ),
        (
            "cells.csv",
            "07700900123,of +447700900123\n",
            "cells.csv:1:13: the value holds 7 digits or more",
        ),
        (
            "peers.csv",
            "prefix,value\n192.0.2.1/24,a\n",
            "peers.csv:2:1: the address has bits behind",
        ),
        (
            "peers.csv",
            "trunk-1,a\n",
            "peers.csv:1:1: the key is an IP address",
        ),
    ] {
        let faults = load_with(file, text).unwrap_err();
        assert!(faults[0].starts_with(expected), "{expected}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.contains("900123")), "{faults:?}");
    }
}

#[test]
fn zones_of_one_number_are_warned_of_at_their_row() {
    let text = "prefix,zone\n+44,UK\n+447700900123,VIP\n+447700900124,UK\n";
    let rating = load_with("deck.csv", text).unwrap();
    let told: Vec<String> = rating.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("deck.csv:3:1: no other number has this row's zone"),
        "{told:?}"
    );
    assert!(
        !told[0].contains("900123") && !told[0].contains("VIP"),
        "{told:?}"
    );
    let many: Vec<String> = (100..130).map(|at| format!("+447700900{at},V{at}")).collect();
    let rating = load_with("deck.csv", &format!("prefix,zone\n{}", many.join("\n"))).unwrap();
    assert_eq!(rating.warnings.len(), 21);
    assert!(
        rating.warnings[20]
            .to_string()
            .ends_with("10 more zones hold a single number")
    );
}

#[test]
fn faults_beyond_the_first_few_are_counted() {
    let text = "x\n".repeat(30);
    let faults = load_with("own.txt", &text).unwrap_err();
    assert_eq!(faults.len(), 21);
    assert!(
        faults[20].ends_with("10 more faults like these"),
        "{}",
        faults[20]
    );
}

#[test]
fn a_file_that_is_not_there_is_told_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let faults = load_in(folder.path()).unwrap_err();
    assert_eq!(faults.len(), 8);
    assert!(
        faults[0].starts_with("policy.toml:7:8: [numbers] deck: "),
        "{}",
        faults[0]
    );
    assert!(faults[3].contains("cannot be read"), "{}", faults[3]);
    assert!(
        faults[7].starts_with("policy.toml:16:8: [maps.peer] file: "),
        "{}",
        faults[7]
    );
}

#[test]
fn a_changed_file_has_another_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        path: folder.path().join("policy.toml"),
        text: POLICY.to_owned(),
    };
    let policy = Policy::load(&source).unwrap();
    let absent = stamp(&policy.rating_files);
    fs::write(folder.path().join("deck.csv"), "prefix,zone\n+44,UK\n").unwrap();
    let there = stamp(&policy.rating_files);
    assert_ne!(absent, there);
    assert_eq!(there, stamp(&policy.rating_files));
    fs::write(folder.path().join("new"), "prefix,zone\n+44,GB\n").unwrap();
    fs::rename(folder.path().join("new"), folder.path().join("deck.csv")).unwrap();
    assert_ne!(there, stamp(&policy.rating_files));
}
