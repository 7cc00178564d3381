//! Copies in every spelling are found, and nothing else: against the slow, obvious search.

use std::fmt::Write;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::number::{Canonicaliser, NumberSettings, Numbers, Reading};

/// `looked` is public; `arm` names what the policy takes out.
fn leaks(looked: &[u8], arm: impl FnOnce(&mut Guard)) -> bool {
    let mut guard = Guard::default();
    guard.look(3, looked);
    // What a transform does: nothing noted, nothing compared.
    if !guard.is_suspicious() {
        return false;
    }
    arm(&mut guard);
    guard.leak() == Some(3)
}

fn number(raw: &str) -> E164 {
    let settings: NumberSettings = toml::from_str("country = \"GB\"").unwrap();
    let mut numbers = Canonicaliser::new(Arc::new(Numbers::new(&settings).unwrap()));
    match numbers.read(raw.as_bytes()) {
        Reading::Number(number) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn copies_of_a_number() {
    let cases = [
        ("447700900123", true),
        ("+44 7700 900123", true),
        ("00447700900123", true),
        ("07700900123", true),
        ("7700900123", true),
        ("+44 (0)7700-900.123", true),
        ("(07700) 900/123", true),
        ("07700\u{a0}900\u{2011}123", true),
        ("PJSIP/07700900123-0000002f", true),
        ("\"Bob\" <sip:+447700900123@192.0.2.1>", true),
        ("1793870142447700900123", true),
        ("%2B447700900123", true),
        ("%34%34%37%37%30%30%39%30%30%31%32%33", true),
        ("4477009%3001%323", true),
        ("07700+900123", true),
        ("%2534%25%334%37700900%2531%25323", true),
        // Cut by up to two at either end, ending there.
        ("4477009001", true),
        ("x77009001x", true),
        ("00900123", true),
        ("0090012", true),
        ("700900123@", true),
        ("a7700 9001", true),
        ("7009001", true),
        // Shorter, or another number.
        ("447700900", false),
        ("0900123", false),
        ("009001", false),
        ("447700900199", false),
        ("07700900199", false),
        ("02079460958", false),
        ("100900123", false),
        ("447700,900123", false),
        ("447700:900123", false),
        ("447700a900123", false),
        ("447700%2C900123", false),
        ("100%", false),
        ("50%44%", false),
        ("%", false),
        ("1793870142", false),
        ("2026-11-05 09:15:00", false),
        ("", false),
    ];
    let known = number("+447700900123");
    for (text, expected) in cases {
        for looked in [
            text.to_owned(),
            format!("\"{text}\""),
            format!("{text}, as they say"),
        ] {
            let found = leaks(looked.as_bytes(), |guard| guard.number(&known, b"07700 900123"));
            assert_eq!(found, expected, "{looked}");
        }
    }
}

/// What the policy takes out, by which way; a public value; whether that is a leak.
type Case = (fn(&mut Guard, &[u8]), &'static str, &'static str, bool);

#[test]
fn what_is_an_identifier() {
    let cases: &[Case] = &[
        (
            Guard::identifier,
            "001010000000123",
            "rec-1010000000123.wav",
            true,
        ),
        (Guard::identifier, "001010000000123", "10000000123", true),
        (Guard::identifier, "35209900176148", "352099001761481", true),
        (Guard::identifier, "352099001761481", "3520990017614823", true),
        (Guard::identifier, "1234567", "x1234567", true),
        (Guard::identifier, "1234567", "123456", false),
        (Guard::identifier, "123456", "123456", false),
        (Guard::identifier, "ACME", "ACME", false),
        (
            Guard::identifier,
            "123456789012345678901",
            "123456789012345678901",
            false,
        ),
        (
            Guard::identifier,
            "<sip:+447700900123@192.0.2.1>",
            "07700900123",
            true,
        ),
        (Guard::wrapped, "*21*07700900123#", "+447700900123", true),
        (Guard::wrapped, "sip:198.51.100.77", "198.51.100.77", true),
        (Guard::restricted, "07700 900123", "447700900123", true),
        (Guard::restricted, "+447700900123", "07700900123", true),
        (Guard::restricted, "00447700900123", "07700900123", true),
        (Guard::restricted, "447700900123", "07700900123", true),
        (
            Guard::restricted,
            "\"Bob\" <+44 7700 900123>",
            "07700900123",
            true,
        ),
        (Guard::restricted, "+447700900123 1793870142", "07700900123", true),
        (
            Guard::restricted,
            "to:+447700900123@192.0.2.1:5060",
            "192.0.2.1:5060",
            false,
        ),
        (Guard::restricted, "ring 07700900123", "07700900123", false),
        (Guard::restricted, "29571234", "29571234", true),
        (Guard::restricted, "29571234", "29571235", false),
        // Times and their like stand in many fields of one record.
        (Guard::restricted, "1793870142", "1793870142", false),
        (Guard::restricted, "1793870142.1234", "1793870142.1234", false),
        (Guard::restricted, "1793870142123", "1793870142123", false),
        (Guard::restricted, "2026-11-05", "2026-11-05", false),
        (Guard::restricted, "05/11/2026", "05/11/2026", false),
        (Guard::restricted, "20261105", "20261105", false),
        (Guard::restricted, "20261105091500", "20261105091500", false),
        (Guard::dropped, "07700900123", "447700900123", true),
        (Guard::dropped, "+14155550100", "4155550100", true),
        (Guard::dropped, "001010000000123", "1010000000123", true),
        (Guard::dropped, "29571234", "29571234", false),
        (Guard::dropped, "63000000", "63000000", false),
        (Guard::dropped, "0.1234567", "0.1234567", false),
        (
            Guard::dropped,
            "{\"to\":\"sip:+447700900123@x\"}",
            "07700900123",
            true,
        ),
    ];
    for &(arm, value, looked, expected) in cases {
        let found = leaks(looked.as_bytes(), |guard| arm(guard, value.as_bytes()));
        assert_eq!(found, expected, "{value} in {looked}");
    }
}

/// Numbers in Washington begin as this year's days do.
/// Found by `tests/fuzz_presets.rs`.
#[test]
fn identifiers_that_were_not_seen_because_of_how_they_are_written() {
    type Arm = fn(&mut Guard, &[u8]);
    let cases: [(Arm, &str, &str, bool); 20] = [
        // The + of a SIP URI percent-encoded.
        (
            Guard::restricted,
            "<sip:%2B447700900123@192.0.2.1>",
            "x/7700900123",
            true,
        ),
        (
            Guard::dropped,
            "sip:%2b44%37700900123@host.example",
            "07700900123",
            true,
        ),
        (Guard::identifier, "sip:%252B447700900123", "07700900123", true),
        (Guard::restricted, "sip:%2B447700900123", "07700900124", false),
        (Guard::restricted, "100%", "1000000", false),
        // The trunk 0 in brackets.
        (Guard::restricted, "+44 (0)7700 900-123", "07700900123", true),
        (Guard::dropped, "+44 (0)7700 900-123", "7700900123", true),
        (Guard::restricted, "+44 (07700) 900-123", "700900/12", true),
        (Guard::restricted, "tel +44 (0)7700 900-123", "7700900123", true),
        (Guard::identifier, "44 (0) 7700900123", "07700900123", true),
        (Guard::wrapped, "+44 (\u{fffd}0)7700 900123", "07700900123", true),
        // Behind other digits.
        (Guard::dropped, "5/+447700900123", "07700900123", true),
        (Guard::restricted, "5/+447700900123", "07700900123", true),
        // The first group reads as seconds since 1970.
        (Guard::restricted, "+1415555010 1", "4155550101", true),
        // Most of a number that reads as a day, but for what stands between its digits.
        (Guard::restricted, "12026110511", "n/1/2026/11.05/77", true),
        (Guard::restricted, "12026110511", "1/20261105/77", false),
        (Guard::wrapped, "0.0123; x=447700900123", "07700900123", true),
        // Behind an address, whose digits come first.
        (
            Guard::wrapped,
            "f4@192.0.212.240;07700900123",
            "x/7700900123",
            true,
        ),
        (Guard::wrapped, "ada@192.0.212.240:5060", "192.0.212.240", false),
        (
            Guard::wrapped,
            "2026/11/05 09:15; +44%37700900123",
            "07700900123",
            true,
        ),
    ];
    for (arm, value, looked, expected) in cases {
        let found = leaks(looked.as_bytes(), |guard| arm(guard, value.as_bytes()));
        assert_eq!(found, expected, "{value} in {looked}");
    }
}

/// Korea's carriers stand between the trunk 0 and a number, which canonical forms lack. Found by
/// `tests/fuzz_presets.rs`.
#[test]
fn a_number_is_looked_for_as_it_was_dialled() {
    for (raw, looked, expected) in [
        ("+8208718047", "n208718047", true),
        ("+8208718047", "8208718047", true),
        ("+8208718047", "8208718048", false),
        ("+4407700900123", "x7700900123", true),
    ] {
        let known = number(raw);
        let found = leaks(looked.as_bytes(), |guard| guard.number(&known, raw.as_bytes()));
        assert_eq!(found, expected, "{raw} in {looked}");
    }
}

/// A parameter, or what shifted into the column. Found by `tests/fuzz_presets.rs`.
#[test]
fn a_number_beside_the_one_that_was_read_is_looked_for() {
    for (raw, looked, expected) in [
        ("+447700900123; x=7700900456@192.0.212.9", "x/7700900456", true),
        (
            "sip:+447700900123@192.0.212.9;x=%2B44%37700900456",
            "x/7700900456",
            true,
        ),
        ("sip:+447700900123@192.0.212.9;user=phone", "192.0.212.9", false),
        ("tel:+447700900123;isub=4155550199", "4155550199", true),
        ("tel:+447700900123;npdi;rn=+1-415-555-0199", "+14155550199", false),
        (
            "tel:+447700900123;rn=+14155550199;x=+14155550198",
            "14155550198",
            true,
        ),
    ] {
        let known = number(raw);
        let found = leaks(looked.as_bytes(), |guard| guard.number(&known, raw.as_bytes()));
        assert_eq!(found, expected, "{raw} in {looked}");
    }
}

#[test]
fn a_date_is_no_number() {
    for (identifier, looked, expected) in [
        ("2026110512", "2026-11-05 12:15:00", false),
        ("2026110512", "2026-11-05T12:15:00.123Z", false),
        ("2026110512", "at 2026-11-05 12:15", false),
        ("2026110512", "2026/11/05", false),
        ("2026110512", "20261105", false),
        ("2026110512", "20261105-091500-x.wav", false),
        ("2026110512", "2026-11-05 12 15 00 123", false),
        ("2026110512", "2026110512", true),
        ("2026110512", "202 611 0512", true),
        ("2026110512", "2026-11-0512", true),
        ("2026110512", "2026-11-05 12:15:00 2026110512", true),
        ("20261105", "20261105", true),
        ("05112026", "05.11.2026 10:00", false),
        ("2026130512", "2026-13-05 12:00:00", true),
    ] {
        let found = leaks(looked.as_bytes(), |guard| guard.identifier(identifier.as_bytes()));
        assert_eq!(found, expected, "{identifier} in {looked}");
    }
}

#[test]
fn the_first_field_with_a_copy_is_named_and_nothing_stays_behind() {
    let mut guard = Guard::default();
    for (field, value) in [(0, "16"), (1, "1234567890"), (2, "7654321x"), (3, "7654321")] {
        guard.look(field, value.as_bytes());
    }
    guard.identifier(b"7654321");
    assert_eq!(guard.leak(), Some(2));
    guard.restart();
    assert!(!guard.is_suspicious());
    guard.look(1, b"7654321");
    assert_eq!(guard.leak(), None);
}

/// The slow, obvious search: every cut of every identifier at every place of every run of every decoding.
fn slow(text: &[u8], identifiers: &[Vec<u8>]) -> bool {
    let mut text = text.to_vec();
    for _ in 0..=DECODINGS {
        if runs(&text)
            .iter()
            .any(|run| identifiers.iter().any(|identifier| stands_in(identifier, run)))
        {
            return true;
        }
        text = decoded(&text);
    }
    false
}

/// Digits with whether a separator stands before each.
fn runs(text: &[u8]) -> Vec<Vec<(u8, bool)>> {
    let (mut runs, mut parted) = (vec![Vec::new()], false);
    for &byte in text {
        if byte.is_ascii_digit() {
            runs.last_mut().unwrap().push((byte, parted));
            parted = false;
        } else if b" .-()/+".contains(&byte) || byte >= 0x80 {
            parted = true;
        } else {
            runs.push(Vec::new());
            parted = false;
        }
    }
    runs
}

fn stands_in(identifier: &[u8], run: &[(u8, bool)]) -> bool {
    let length = identifier.len();
    let edge = |at: usize| at == 0 || at == run.len() || run[at].1;
    let cuts = (0..=2).flat_map(|left| (0..=2).map(move |right| (left, right)));
    cuts.filter(|(left, right)| left + right + 7 <= length)
        .any(|(left, right)| {
            let copy = &identifier[left..length - right];
            (0..run.len()).any(|at| {
                let end = at + copy.len();
                end <= run.len()
                    && copy
                        .iter()
                        .zip(&run[at..end])
                        .all(|(ours, theirs)| *ours == theirs.0)
                    && (left == 0 || edge(at))
                    && (right == 0 || edge(end))
            })
        })
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let code = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => (out.push(byte), at += 3),
            None => (out.push(text[at]), at += 1),
        };
    }
    out
}

const NUMBERS: [(&str, &str); 4] = [
    ("44", "7700900123"),
    ("44", "2079460958"),
    ("1", "4155550100"),
    ("1", "4155550111"),
];

/// Texts made of parts of a number and what stands around and between them.
fn texts(digits: String) -> impl Strategy<Value = Vec<u8>> {
    let length = digits.len();
    let part = (0..=length, 0..=length).prop_map(move |(a, b)| digits[a.min(b)..a.max(b)].to_owned());
    let coded =
        select((b'0'..=b'9').chain(*b" -.%x,").collect::<Vec<_>>()).prop_map(|byte| format!("%{byte:02x}"));
    let piece = prop_oneof![
        4 => part,
        2 => select(vec!["", " ", "-", ".", "/", "(0)", "+", "\u{a0}", "%", "%25", "x", ",", ":", "*", "00"]).prop_map(str::to_owned),
        1 => coded,
        1 => "[0-9]{1,3}",
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

/// The digits, their separators and their letters as a plant would write them.
fn spelt(digits: &str, between: &[&str], coded: &[bool]) -> String {
    let mut text = String::new();
    for (at, digit) in digits.bytes().enumerate() {
        if at > 0 {
            text.push_str(between[at % between.len()]);
        }
        if coded[at % coded.len()] {
            write!(text, "%{digit:02X}").unwrap();
        } else {
            text.push(char::from(digit));
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn numbers_are_found_as_the_obvious_search_finds_them(
        (at, text) in (0..NUMBERS.len()).prop_flat_map(|at| {
            let (code, national) = NUMBERS[at];
            (Just(at), texts(format!("{code}{national}")))
        }),
    ) {
        let (code, national) = NUMBERS[at];
        let raw = format!("+{code}{national}");
        let known = number(&raw);
        let forms = [format!("{code}{national}").into_bytes(), national.as_bytes().to_vec()];
        let found = leaks(&text, |guard| guard.number(&known, raw.as_bytes()));
        prop_assert_eq!(found, slow(&text, &forms), "{:?}", String::from_utf8_lossy(&text));
    }

    /// 9 and a 9 behind it begin no country code of these lengths: the digits alone are the identifier.
    #[test]
    fn digits_are_found_as_the_obvious_search_finds_them(
        (digits, text) in "999[1-9][0-9]{3,10}".prop_flat_map(|digits| (Just(digits.clone()), texts(digits))),
    ) {
        prop_assume!(digits.len() < 15);
        prop_assume!(number::national(digits.as_bytes()).is_none());
        let found = leaks(&text, |guard| guard.identifier(digits.as_bytes()));
        let expected = slow(&text, &[digits.clone().into_bytes()]);
        prop_assert_eq!(found, expected, "{} {:?}", digits, String::from_utf8_lossy(&text));
    }

    #[test]
    fn every_planted_spelling_is_found(
        at in 0..NUMBERS.len(),
        front in select(vec!["", "+", "00", "0", "national"]),
        cut in (0_usize..=2, 0_usize..=2),
        before in "[ -$&-/:-~]{0,9}", after in "[ -$&-/:-~]{0,9}",
        between in vec(select(vec!["", "", " ", "-", ".", "/", ") ", "(", "\u{a0}"]), 1..5),
        coded in vec(any::<bool>(), 1..6),
    ) {
        let (code, national) = NUMBERS[at];
        let digits = match front {
            "national" => national.to_owned(),
            "0" => format!("0{national}"),
            _ => format!("{code}{national}"),
        };
        let front = if front == "00" || front == "+" { front } else { "" };
        let cut_digits = &digits[cut.0..digits.len() - cut.1];
        prop_assume!(cut_digits.len() >= 7);
        // Nothing is left of a number behind another number's digits.
        let front = if cut.0 > 0 { "" } else { front };
        let text = format!("{before}{front}{}{after}", spelt(cut_digits, &between, &coded));
        let known = number(&format!("+{code}{national}"));
        prop_assert!(leaks(text.as_bytes(), |guard| guard.number(&known, b"")), "{}", text);
    }

    #[test]
    fn a_value_without_seven_of_its_digits_is_released(
        at in 0..NUMBERS.len(), text in vec(any::<u8>(), 0..200), digits in "[0-9 .%/-]{0,60}",
    ) {
        let (code, national) = NUMBERS[at];
        let known = number(&format!("+{code}{national}"));
        let text = [text.as_slice(), digits.as_bytes()].concat();
        prop_assume!(!slow(&text, &[national.as_bytes().to_vec(), format!("{code}{national}").into_bytes()]));
        prop_assert!(!leaks(&text, |guard| guard.number(&known, b"")));
    }
}
