//! Properties: one number, one reading; junk is never a number.

use std::sync::Arc;

use proptest::prelude::*;
use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, Region};

use super::tests::{e164, examples};
use crate::number::{Bare, Canonicaliser, Disposal, NumberSettings, Numbers, Reading};
use crate::number::{library, plan};

fn canonicaliser(country: &str, bare: Bare) -> Canonicaliser {
    let settings = NumberSettings {
        country: Some(country.to_owned()),
        bare,
        strip: vec!["141".into(), "9,".into(), "*31#".into()],
        other: Disposal::Pseudonymise,
        ..NumberSettings::default()
    };
    Canonicaliser::new(Arc::new(Numbers::new(&settings).unwrap()))
}

fn digits(canonicaliser: &mut Canonicaliser, spelling: &str) -> Option<String> {
    match canonicaliser.read(spelling.as_bytes()) {
        Reading::Number(number) => Some(String::from_utf8(number.digits().to_vec()).unwrap()),
        _ => None,
    }
}

/// What the library alone makes of a spelling.
fn oracle(spelling: &str, region: Option<Region>) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(spelling, region).ok()?;
    let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
    let e164 = number
        .format_as(rlibphonenumber::PhoneNumberFormat::E164)
        .into_owned();
    (possible == Ok(NumberLengthType::IsPossible) && e164.len() <= 16).then(|| e164[1..].to_owned())
}

/// A home country: ISO code, country code, trunk prefix.
type Country = (&'static str, &'static str, &'static str);

/// A country and a national number of it.
fn subscriber() -> impl Strategy<Value = (Country, String)> {
    prop_oneof![
        "7700900[0-9]{3}".prop_map(|nsn| (("GB", "44", "0"), nsn)),
        "(20[0-9]{2}|113[0-9]|1632)[0-9]{6}".prop_map(|nsn| (("GB", "44", "0"), nsn)),
        "[2-9][0-9]{2}55501[0-9]{2}".prop_map(|nsn| (("US", "1", ""), nsn)),
        "6[0-9]{8}".prop_map(|nsn| (("ES", "34", ""), nsn)),
        "0[1-9][0-9]{7,8}".prop_map(|nsn| (("IT", "39", ""), nsn)),
        "1[5-7][0-9]{8,9}".prop_map(|nsn| (("DE", "49", "0"), nsn)),
    ]
}

/// Blanks and dashes between digits mean nothing, nor does one slash.
fn separated(digits: &str, marks: &[u8]) -> String {
    let mut text = String::new();
    for (digit, mark) in digits.chars().zip(marks.iter().cycle()) {
        text.push(digit);
        let separator = ["", "", "", " ", "-", "/"][usize::from(mark % 6)];
        text.push_str(if text.contains('/') && separator == "/" {
            "-"
        } else {
            separator
        });
    }
    text
}

fn wrapped(number: &str, plus: bool, how: u8) -> String {
    let spelt = if plus {
        format!("+{number}")
    } else {
        number.to_owned()
    };
    match how % 9 {
        0 => format!(" {spelt}\t"),
        1 => format!("\"{spelt}\""),
        2 => format!("\"A. <b>\" <{spelt}>"),
        3 => format!("sip:{spelt}@10.0.0.7:5060;user=phone"),
        4 => format!("<sips:{spelt};npdi@example.net>;tag=77"),
        5 => format!("tel:{spelt};ext=12"),
        6 => format!(
            "SIP:{}@example.net",
            spelt.replace('+', "%2B").replace(' ', "%20")
        ),
        7 => format!("{spelt};ext=3"),
        _ => spelt,
    }
}

proptest! {
    #[test]
    fn any_spelling_of_one_number_gives_one_reading(
        ((country, code, trunk), nsn) in subscriber(),
        marks in proptest::collection::vec(any::<u8>(), 1..8),
        how: u8,
    ) {
        let mut canonicaliser = canonicaliser(country, Bare::National);
        let expected = Some(format!("{code}{nsn}"));
        let idd = if country == "US" { "011" } else { "00" };
        for (plus, number) in [
            (true, format!("{code}{nsn}")),
            (false, format!("{idd}{code}{nsn}")),
            (false, format!("{trunk}{nsn}")),
        ] {
            let spelling = wrapped(&separated(&number, &marks), plus, how);
            prop_assert_eq!(digits(&mut canonicaliser, &spelling), expected.clone(), "{}", spelling);
        }
        if trunk == "0" {
            let spelling = format!("+{code} (0){nsn}");
            prop_assert_eq!(digits(&mut canonicaliser, &spelling), expected, "{}", spelling);
        }
    }

    #[test]
    fn behind_a_plus_the_room_reads_what_the_library_reads(number in "[1-9][0-9]{6,16}") {
        let mut canonicaliser = canonicaliser("GB", Bare::Reject);
        let spelling = format!("+{number}");
        if spelling != "+86282452253" {
            prop_assert_eq!(digits(&mut canonicaliser, &spelling), oracle(&spelling, None));
        }
    }

    #[test]
    fn behind_a_trunk_zero_the_room_reads_what_the_library_reads(
        country in proptest::sample::select(vec!["GB", "DE", "FR", "BR", "AR", "JP", "IL", "FI", "IT", "ZA"]),
        number in "0[1-9][0-9]{6,12}",
    ) {
        let mut canonicaliser = canonicaliser(country, Bare::Reject);
        let region = Region::from_code(country).ok();
        prop_assert_eq!(digits(&mut canonicaliser, &number), oracle(&number, region), "{} {}", country, number);
    }

    #[test]
    fn a_number_has_the_class_of_its_block(at: proptest::sample::Index, tail in "[0-9]{15}") {
        let examples = examples();
        let (_, example) = &examples[at.index(examples.len())];
        let example = e164(example);
        let (code, width) = plan::calling_code(example.as_bytes()).unwrap();
        let decided = example.len().min(width + code.deciding);
        let other = format!("{}{}", &example[..decided], &tail[..example.len() - decided]);
        let facts = |digits: &str| {
            let facts = library::facts(digits.as_bytes(), width);
            (facts.class, facts.country)
        };
        prop_assert_eq!(facts(&other), facts(&example), "{} {}", other, example);
    }

    #[test]
    fn a_second_look_is_the_first(spellings in proptest::collection::vec("\\+?[0-9 ]{5,14}", 1..4)) {
        let mut warm = canonicaliser("AR", Bare::National);
        for _ in 0..2 {
            for spelling in &spellings {
                let mut cold = canonicaliser("AR", Bare::National);
                prop_assert_eq!(digits(&mut warm, spelling), digits(&mut cold, spelling));
            }
        }
    }

    #[test]
    fn junk_is_never_a_number_whose_digits_are_not_there(
        bare in proptest::sample::select(vec![Bare::National, Bare::International, Bare::Reject]),
        junk in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            "[0-9+*#,.;:@<>\" ()/xXA-Ca-c%-]{0,40}".prop_map(String::into_bytes),
            "(sips?:|tel:|\"x\" <)?[+]?[0-9 ().-]{0,24}(@h|>|;ext=1|;x)?".prop_map(String::into_bytes),
            "(sip:)?\\PC{1,20}(@h)?".prop_map(String::into_bytes),
        ],
    ) {
        let mut canonicaliser = canonicaliser("GB", bare);
        if let Reading::Number(number) = canonicaliser.read(&junk) {
            let there: Vec<u8> = junk.iter().copied().filter(u8::is_ascii_digit).collect();
            let tail = &number.digits()[number.len() - 4..];
            let percent = junk.contains(&b'%');
            prop_assert!(percent || !junk.is_ascii() || there.windows(4).any(|four| four == tail));
        }
    }
}
