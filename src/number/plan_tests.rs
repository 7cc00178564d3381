//! The country table against the library, by probing.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, Region as LibraryRegion,
    get_national_significant_number_owned,
};

use super::{CallingCode, Home, Region, international};
use crate::number::E164;
use crate::number::country_table::{CALLING_CODES, REGIONS};

/// Tails of no meaning, so that not every probe ends in zeros.
const TAIL: &[u8] = b"73519284605738";

fn library(text: &str, region: Option<&str>) -> Option<String> {
    let region = region.map(|name| LibraryRegion::from_code(name).unwrap());
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
    (possible == Ok(NumberLengthType::IsPossible)).then(|| {
        let national = get_national_significant_number_owned(&number);
        format!("{}{national}", number.country_code)
    })
}

fn digits(number: &E164) -> String {
    String::from_utf8(number.digits().to_vec()).unwrap()
}

/// National numbers of every length with every first three digits.
fn probes(lengths: u32) -> impl Iterator<Item = Vec<u8>> {
    (4..=14)
        .filter(move |length| lengths >> length & 1 == 1)
        .flat_map(|length| {
            (0..1000).map(move |head| {
                let mut probe = format!("{head:03}").into_bytes();
                probe.extend_from_slice(&TAIL[..length - 3]);
                probe
            })
        })
}

#[test]
fn the_table_holds_every_calling_code_and_region() {
    let mut codes: Vec<i32> = PHONE_NUMBER_UTIL.get_supported_calling_codes().collect();
    codes.sort_unstable();
    let ours: Vec<i32> = CALLING_CODES.iter().map(|code| i32::from(code.code)).collect();
    assert_eq!(ours, codes);

    let mut regions: Vec<String> = PHONE_NUMBER_UTIL
        .get_supported_regions()
        .map(|region| region.as_region_str().as_str().to_owned())
        .collect();
    regions.sort_unstable();
    let ours: Vec<&str> = REGIONS.iter().map(|region| region.name).collect();
    assert_eq!(ours, regions);
    for Region { name, code, .. } in REGIONS {
        let region = LibraryRegion::from_code(name).unwrap();
        let expected = PHONE_NUMBER_UTIL.get_country_code_for_region(region);
        assert_eq!(Some(i32::from(*code)), expected, "{name}");
    }
}

#[test]
fn the_table_knows_the_librarys_possible_lengths() {
    for code in CALLING_CODES {
        for length in 1..=17 {
            let number = PhoneNumber {
                country_code: i32::from(code.code),
                national_number: "9".repeat(length).parse().unwrap(),
                ..PhoneNumber::default()
            };
            let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
            let expected = possible == Ok(NumberLengthType::IsPossible);
            assert_eq!(code.allows(length), expected, "+{} {length} digits", code.code);
        }
    }
}

#[test]
fn what_the_table_is_sure_of_behind_a_plus_the_library_says() {
    let mut sure = 0;
    for CallingCode { code, lengths, .. } in CALLING_CODES {
        for national in probes(*lengths) {
            let whole = format!("{code}{}", String::from_utf8(national).unwrap());
            if let Some(number) = international(whole.as_bytes()) {
                assert_eq!(
                    Some(digits(&number)),
                    library(&format!("+{whole}"), None),
                    "+{whole}"
                );
                sure += 1;
            }
        }
    }
    assert!(sure > 400_000, "{sure}");
}

#[test]
fn what_the_table_is_sure_of_at_home_the_library_says() {
    let mut sure = 0;
    for region in REGIONS {
        let home = Home::new(region).unwrap();
        for national in probes(region.lengths | region.lengths << 1) {
            let text = String::from_utf8(national).unwrap();
            let number = if text.starts_with('0') {
                home.behind_zero(text.as_bytes())
            } else {
                home.without_prefix(text.as_bytes())
            };
            let dialled_abroad = region.idd.iter().any(|prefix| text.starts_with(prefix));
            if let Some(number) = number.filter(|_| !dialled_abroad) {
                assert_eq!(
                    Some(digits(&number)),
                    library(&text, Some(region.name)),
                    "{} {text}",
                    region.name
                );
                sure += 1;
            }
        }
    }
    assert!(sure > 300_000, "{sure}");
}
