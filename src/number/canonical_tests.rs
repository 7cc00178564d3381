//! Known answers, spellings and junk, through the public door of the room.

use std::collections::HashMap;
use std::sync::Arc;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};
use serde_json::Value;
use toml::Spanned;

use crate::number::{
    Bare, Canonicaliser, Dialling, NUMBER_TABLE, NumberSettings, Numbers, Reading, ServiceCode,
};

/// A list in the policy itself.
fn here(list: Vec<String>) -> Spanned<Dialling> {
    Spanned::new(0..0, Dialling::Here(list))
}

fn canonicaliser(settings: &NumberSettings) -> Canonicaliser {
    Canonicaliser::new(Arc::new(Numbers::new(settings).unwrap()))
}

fn settings(text: &str) -> NumberSettings {
    toml::from_str(text).unwrap()
}

/// A reading in words: digits, a label, `kind:value`, `empty` or `reject`.
fn shown(reading: &Reading) -> String {
    match reading {
        Reading::Empty => "empty".to_owned(),
        Reading::Number(number) => String::from_utf8(number.digits().to_vec()).unwrap(),
        Reading::Label(label) => label.as_str().to_owned(),
        Reading::Keyed { kind, value } => {
            format!("{}:{}", kind.as_str(), String::from_utf8_lossy(value.as_bytes()))
        }
        Reading::Unreadable => "reject".to_owned(),
    }
}

#[test]
fn known_answers_of_four_countries() {
    let file: Value = serde_json::from_str(include_str!("../../tests/data/numbers.json")).unwrap();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for source in file["sources"].as_array().unwrap() {
        let list = |key: &str| serde_json::from_value::<Vec<String>>(source[key].clone()).unwrap();
        let mut canonicaliser = canonicaliser(&NumberSettings {
            country: Some(source["country"].as_str().unwrap().to_owned()),
            bare: serde_json::from_value(source["bare"].clone()).unwrap(),
            strip: list("strip"),
            emergency: Some(here(list("emergency"))),
            voicemail: Some(here(list("voicemail"))),
            ..NumberSettings::default()
        });
        for case in source["cases"].as_array().unwrap() {
            let spelling = case[0].as_str().unwrap();
            let answer = &case[1];
            let expected = answer["number"]
                .as_str()
                .or(answer["label"].as_str())
                .unwrap_or("reject");
            let reading = shown(&canonicaliser.read(spelling.as_bytes()));
            cases += 1;
            if reading != expected {
                wrong.push(format!(
                    "{}: {spelling}: {reading}, not {expected}",
                    source["country"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cases, 94);
}

/// Every example number the library knows: region, number.
pub(super) fn examples() -> Vec<(Option<Region>, PhoneNumber)> {
    use PhoneNumberType as Type;
    let types = [
        Type::FixedLine,
        Type::Mobile,
        Type::TollFree,
        Type::PremiumRate,
        Type::SharedCost,
        Type::VoIP,
        Type::PersonalNumber,
        Type::Pager,
        Type::UAN,
        Type::VoiceMail,
    ];
    let mut found = Vec::new();
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        for kind in types {
            if let Ok(number) = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind) {
                found.push((Some(region), number));
            }
        }
    }
    for code in PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes() {
        if let Ok(number) = PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code) {
            found.push((None, number));
        }
    }
    found
}

pub(super) fn e164(number: &PhoneNumber) -> String {
    PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::E164)[1..].to_owned()
}

/// Spellings that say the country code.
fn international_spellings(number: &PhoneNumber, idd: &str) -> Vec<String> {
    let digits = e164(number);
    let spaced = PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::International);
    vec![
        format!("+{digits}"),
        format!("{idd}{digits}"),
        spaced.to_string(),
        format!("\"+{digits}\""),
        format!("\"Alice\" <+{digits}>"),
        format!("<sip:+{digits}@sbc.example.net;transport=udp>;tag=9"),
        format!("sip:%2B{digits}@example.net;user=phone"),
        format!("tel:{}", spaced.replace(' ', "-")),
        format!("tel:+{digits};ext=12"),
        format!("\u{ff0b}{}", full_width(&digits)),
    ]
}

fn full_width(digits: &str) -> String {
    digits
        .bytes()
        .map(|digit| char::from_u32(0xff10 + u32::from(digit - b'0')).unwrap())
        .collect()
}

#[test]
fn every_spelling_of_every_countrys_examples_is_one_number() {
    let mut at_home: HashMap<&str, Canonicaliser> = HashMap::new();
    let mut wrong = Vec::new();
    let mut read = 0;
    for (region, number) in examples() {
        // Canada's 310-xxxx is dialled without an area code everywhere: no number of seven digits is +1's.
        if e164(&number) == "13101234" {
            continue;
        }
        let name = region.map_or("GB", |region| plan_name(region));
        let canonicaliser = at_home.entry(name).or_insert_with(|| {
            canonicaliser(&NumberSettings {
                country: Some(name.to_owned()),
                bare: Bare::National,
                emergency: Some(here(Vec::new())),
                ..NumberSettings::default()
            })
        });
        // Hong Kong's prefixes begin with one another (00, 008): take one that stands alone.
        let idd = if name == "HK" {
            "001"
        } else {
            crate::number::plan::Region::named(name).unwrap().idd[0]
        };
        let mut spellings = international_spellings(&number, idd);
        if region.is_some() {
            let national = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National);
            spellings.push(national.to_string());
            spellings.push(format!("sip:{}@10.0.0.7", national.replace(' ', "")));
        }
        for spelling in spellings {
            read += 1;
            let reading = shown(&canonicaliser.read(spelling.as_bytes()));
            if reading != e164(&number) {
                wrong.push(format!("{name}: {spelling}: {reading}, not {}", e164(&number)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {read}: {wrong:#?}", wrong.len());
    assert!(read > 12_000, "{read}");
}

fn plan_name(region: Region) -> &'static str {
    crate::number::plan::Region::named(region.as_region_str().as_str())
        .unwrap()
        .name
}

/// Reads each spelling under the settings.
#[track_caller]
fn check(toml: &str, cases: &[(&str, &str)]) {
    let mut canonicaliser = canonicaliser(&settings(toml));
    for (spelling, expected) in cases {
        assert_eq!(
            shown(&canonicaliser.read(spelling.as_bytes())),
            *expected,
            "{toml}: {spelling}"
        );
    }
}

#[test]
fn nothing_stays_empty() {
    check(
        "country = 'GB'",
        &[
            ("", "empty"),
            ("  ", "empty"),
            ("\"\"", "empty"),
            ("<>", "empty"),
            ("-", "reject"),
        ],
    );
}

#[test]
fn bare_digits_follow_the_source() {
    check(
        "country = 'GB'\nbare = 'national'",
        &[
            ("7700900123", "447700900123"),
            ("447700900123", "447700900123"),
            ("14155550123", "reject"),
            ("2079460123", "442079460123"),
            ("34688123456", "reject"),
        ],
    );
    check(
        "country = 'GB'\nbare = 'international'",
        &[
            ("447700900123", "447700900123"),
            ("14155550123", "14155550123"),
            ("34688123456", "34688123456"),
            ("07700900123", "447700900123"),
            ("999123456789", "reject"),
            ("118118", "_short"),
        ],
    );
}

#[test]
fn bare_digits_with_two_readings_go_by_the_valid_one() {
    // Italian mobiles begin with 39 as the country code does.
    check(
        "country = 'IT'\nbare = 'national'",
        &[
            ("3912345678", "393912345678"),
            ("3906857114", "393906857114"),
            ("393123456789", "393123456789"),
            ("390612345678", "390612345678"),
        ],
    );
    // German area codes 04921, 04941 ... begin with 49 as the country code does.
    check(
        "country = 'DE'\nbare = 'national'",
        &[
            ("492114012345", "492114012345"),
            ("4930901820", "4930901820"),
            ("30901820", "4930901820"),
            ("4915123456789", "4915123456789"),
        ],
    );
}

#[test]
fn where_bare_digits_are_refused_the_own_country_code_is_not() {
    check(
        "country = 'DE'",
        &[
            ("492114012345", "492114012345"),
            ("4915123456789", "4915123456789"),
            ("30901820", "reject"),
        ],
    );
    check(
        "country = 'IT'",
        &[
            // Nothing but a mobile without its country code.
            ("3912345678", "reject"),
            ("393123456789", "393123456789"),
            ("0612345678", "390612345678"),
            ("3123456789", "reject"),
        ],
    );
}

#[test]
fn numbers_of_six_digits_are_subscribers_only_where_valid() {
    check(
        "country = 'AD'\nbare = 'national'",
        &[("712345", "376712345"), ("112", "_emergency"), ("155", "_short")],
    );
    check(
        "country = 'AD'",
        &[
            ("712345", "reject"),
            ("+376712345", "376712345"),
            ("155", "_short"),
        ],
    );
    check(
        "country = 'DE'\nbare = 'national'",
        &[("115", "_short"), ("116117", "_short"), ("0110", "_short")],
    );
}

#[test]
fn dialling_prefixes_come_off_once() {
    check(
        "country = 'GB'\nbare = 'international'\nstrip = ['141', '1470', '9,', '*31#', '1234#']",
        &[
            ("14107700900123", "447700900123"),
            ("141+447700900123", "447700900123"),
            ("141 (077) 0090 0123", "447700900123"),
            ("1234#447700900123", "447700900123"),
            ("9,07700900123", "447700900123"),
            ("9,9,07700900123", "reject"),
            ("*31#*31#07700900123", "_feature"),
            ("sip:141%2B447700900123@h", "447700900123"),
            // Maryland, as this source writes it.
            ("14105550123", "14105550123"),
            ("14107700900", "14107700900"),
            ("9,999", "reject"),
        ],
    );
}

#[test]
fn international_prefixes_are_the_countrys_and_the_sources() {
    check(
        "country = 'RU'\nbare = 'national'",
        &[
            ("810447700900123", "447700900123"),
            ("89261234567", "79261234567"),
        ],
    );
    check(
        "country = 'GB'\nidd = ['90044']",
        &[
            ("9004434688123456", "34688123456"),
            ("0034688123456", "34688123456"),
        ],
    );
    check(
        "country = 'US'",
        &[("011447700900123", "447700900123"), ("00447700900123", "reject")],
    );
    check(
        "country = 'HU'",
        &[("0612345678", "3612345678"), ("003612345678", "3612345678")],
    );
}

#[test]
fn a_class_is_labelled_keyed_or_rejected() {
    let keyed = "country = 'GB'\nvoicemail = ['1571']\nshort = 'pseudonymise'\nalpha = 'pseudonymise'\n\
                 masked = 'pseudonymise'\nfeature = 'pseudonymise'\nother = 'pseudonymise'";
    check(
        keyed,
        &[
            ("118 118", "short:118118"),
            ("\"MyBank\"", "alpha:MyBank"),
            ("+1234 ***", "masked:+1234 ***"),
            ("*72*12-34*8584", "feature:*72*1234*8584"),
            ("07700900123#", "447700900123"),
            ("07700900123*", "other:07700900123*"),
            ("1234#07700900123", "other:1234#07700900123"),
            ("PJSIP/07700900001-00000002", "other:PJSIP/07700900001-00000002"),
            ("-447700900123", "other:-447700900123"),
            ("44770090012.0", "other:44770090012.0"),
            ("05/11/2026", "other:05/11/2026"),
            ("李", "alpha:李"),
            ("+44 770090", "other:+44770090"),
            ("10.0.0.7", "other:10.0.0.7"),
            ("1;2", "other:1;2"),
            ("999", "_emergency"),
            ("1571", "_voicemail"),
            ("anonymous", "_withheld"),
            ("s", "_dialplan"),
            ("+447700900123", "447700900123"),
            // The source's bare digits are refused, whatever becomes of the rest.
            ("7700900123", "reject"),
        ],
    );
    let rejected =
        "country = 'GB'\nshort = 'reject'\nalpha = 'reject'\nmasked = 'reject'\nfeature = 'reject'";
    check(
        rejected,
        &[
            ("118118", "reject"),
            ("MyBank", "reject"),
            ("+1***", "reject"),
            ("*43", "reject"),
        ],
    );
    check(
        "country = 'GB'\nother = 'label'",
        &[("+999123456789", "_other"), ("10.0.0.7", "_other")],
    );
}

/// From and to headers, request URIs and realms of SIP switches, as their call records hold them.
#[test]
fn a_number_inside_a_uri_is_the_number() {
    let wrapped = |number: &str| {
        [
            format!("{number}@example.com"),
            format!("{number}@192.0.2.7:5060"),
            format!("sip:{number}@192.0.2.7:5060;transport=UDP"),
            format!("sips:{number};cpc=ordinary@example.com;user=phone"),
            format!("sip:{number}:secret@[2001:db8::1]"),
            format!("<sip:{number}@example.com>;tag=2f"),
            format!("\"Ada <3>\" <sip:{number}@example.com;user=phone>"),
            format!("Ada <{number}>"),
            format!("tel:{number};npdi;rn=+442079460999"),
        ]
    };
    let mut canonicaliser = canonicaliser(&settings("country = 'GB'"));
    for number in ["+447700900123", "07700900123", "00447700900123"] {
        for value in wrapped(number) {
            let reading = shown(&canonicaliser.read(value.as_bytes()));
            assert_eq!(reading, "447700900123", "{value}");
        }
    }
    check(
        "country = 'US'\nalpha = 'pseudonymise'\nother = 'pseudonymise'",
        &[
            (
                "sip:7700900123;phone-context=+44@example.com;user=phone",
                "447700900123",
            ),
            ("tel:7700900123;phone-context=+44", "447700900123"),
            ("sip:ada@example.com", "alpha:ada"),
            ("user_x7k2@example.com", "alpha:user_x7k2"),
            ("client:alice", "alpha:client:alice"),
            ("sip:anonymous@anonymous.invalid", "_withheld"),
            ("urn:service:sos.fire", "_emergency"),
            ("<urn:service:sos>", "_emergency"),
            ("sip:911@example.com;user=phone", "_emergency"),
            // Two numbers are no number.
            (
                "<sip:+14155550101@h>, <tel:+14155550102>",
                "other:<sip:+14155550101@h>, <tel:+14155550102>",
            ),
            ("Chain: Ext.101;07700900001;", "other:Chain: Ext.101;07700900001;"),
        ],
    );
}

#[test]
fn extensions_belong_to_their_tenant() {
    check(
        "country = 'GB'\nvoicemail = ['1571']\nextensions = { digits = [3, 5], tenant = 'acme' }",
        &[
            ("2001", "extension:acme/2001"),
            ("sip:2001@10.0.0.7", "extension:acme/2001"),
            ("999", "_emergency"),
            ("1571", "_voicemail"),
            ("12", "_short"),
            ("118118", "_short"),
            ("+447700900123", "447700900123"),
        ],
    );
}

#[test]
fn withheld_numbers_come_in_many_words() {
    check(
        "country = 'US'\nwithheld = ['No Caller ID', '0000000000']",
        &[
            ("NO CALLER ID", "_withheld"),
            ("0000000000", "_withheld"),
            ("+266696687", "_withheld"),
            ("+86282452253", "_withheld"),
            ("sip:unavailable@10.0.0.7", "_withheld"),
            ("sip:anonymous.invalid", "_withheld"),
            ("<unknown>", "_withheld"),
            ("\"Anonymous\" <sip:+14155550123@h>", "14155550123"),
        ],
    );
}

#[test]
fn a_value_of_more_than_255_bytes_is_unreadable() {
    let mut canonicaliser = canonicaliser(&settings("country = 'GB'\nother = 'label'\nalpha = 'label'"));
    for filler in [" ", "a", "0"] {
        let long = format!("+447700900123{}", filler.repeat(243));
        assert_eq!(shown(&canonicaliser.read(long.as_bytes())), "reject");
    }
    let padded = format!("+447700900123{}", " ".repeat(242));
    assert_eq!(shown(&canonicaliser.read(padded.as_bytes())), "447700900123");
}

#[test]
fn class_and_country_come_from_the_plan() {
    let mut canonicaliser = canonicaliser(&settings("country = 'GB'"));
    for (spelling, country, class) in [
        ("+447400123456", "GB", "mobile"),
        ("+442079460123", "GB", "fixed"),
        ("+448001234567", "GB", "freephone"),
        ("+449012345678", "GB", "premium"),
        ("+80812345678", "001", "shared-cost"),
        ("+447012345678", "GB", "personal"),
        ("+447781123456", "GG", "mobile"),
        ("+14155550123", "US", "fixed-or-mobile"),
        ("+16045550123", "CA", "fixed-or-mobile"),
        ("+18005550123", "US", "freephone"),
        ("+80012345678", "001", "uifn"),
        ("+979123456789", "001", "iprn"),
        ("+870776123456", "001", "satellite"),
        ("+8821612345678", "001", "satellite"),
        // A drama number is possible, not valid.
        ("+447700900123", "GB", "unknown"),
    ] {
        let Reading::Number(number) = canonicaliser.read(spelling.as_bytes()) else {
            panic!("{spelling}")
        };
        for _ in 0..2 {
            let found = (
                canonicaliser.country(&number),
                canonicaliser.class(&number).as_str(),
            );
            assert_eq!(found, (country, class), "{spelling}");
        }
    }
}

#[test]
fn a_service_code_is_known_as_dialled_and_forgotten_with_the_next_value() {
    let mut canonicaliser = canonicaliser(&settings("country = 'GB'\nvoicemail = ['1571', '*100']"));
    for (spelling, digits) in [
        ("999", Some("999")),
        ("112", Some("112")),
        ("118 118", Some("118118")),
        ("<sip:116123@example.net>", Some("116123")),
        ("1571", Some("1571")),
        ("*100", None),
        ("07700900123", None),
        ("anonymous", None),
        ("+266696687", None),
        ("", None),
    ] {
        canonicaliser.read(spelling.as_bytes());
        let code = canonicaliser.service_code();
        let found = code.as_ref().map(ServiceCode::digits);
        assert_eq!(found, digits.map(str::as_bytes), "{spelling}");
    }
}

#[test]
fn nothing_printed_shows_a_number() {
    let mut canonicaliser = canonicaliser(&settings("country = 'GB'\nshort = 'pseudonymise'"));
    assert_eq!(
        format!("{:?}", canonicaliser.read(b"07700900123")),
        "Number(E164(12 digits))"
    );
    let short = format!("{:?}", canonicaliser.read(b"118118"));
    assert_eq!(short, "Keyed { kind: Short, value: KeyedValue(6 bytes) }");
}

#[test]
fn the_number_table_is_the_locked_librarys() {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock
        .split_once("name = \"rlibphonenumber\"\nversion = \"")
        .unwrap();
    let version = rest.split('"').next().unwrap();
    assert!(
        NUMBER_TABLE.starts_with(&format!("rlibphonenumber-{version}/")),
        "{version}"
    );
}
