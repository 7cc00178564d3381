//! Every call into `rlibphonenumber`, behind the cache.
//!
//! Only digits go in, never text: with letters, stars or short codes a
//! libphonenumber-style parser invents numbers (`999` in GB is +44 999).
//! A number is accepted when its length is *possible*; *valid* decides only
//! between two readings, and feeds class and country.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType, Region,
    get_national_significant_number_owned,
};

use crate::number::cache::{Cache, KEY_BYTES, Key};
use crate::number::plan;
use crate::number::{Class, E164};
use zeroize::Zeroize;

/// The longest string of digits that is asked about.
pub(crate) const MAX_ASKED: usize = KEY_BYTES - 2;

/// What is asked about a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Question {
    /// They follow a `+` or an international prefix.
    International = 1,
    /// They are dialled inside the country.
    National,
    /// Six or fewer: a subscriber's number only when it is valid in the country.
    ShortNational,
    /// They may be the own country code and a national number, or a national
    /// number as they stand: the one that is valid. Where both are, the
    /// international one, unless only the national one is a mobile: Italian
    /// mobiles begin with 39, German area codes with 49.
    Either,
    /// The same, where no national number is written so: the international
    /// one, unless only the national one is valid.
    OwnCode,
}

/// The library for one home country, with its answers remembered.
pub(crate) struct Library {
    region: Region,
    home_code: i32,
    numbers: Cache<Answer>,
    facts: Cache<Facts>,
}

#[derive(Clone, Copy, Zeroize)]
struct Answer(Option<E164>);

/// What the numbering plan says about a number.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) class: Class,
    pub(crate) country: &'static str,
}

impl Facts {
    const NONE: Self = Self {
        class: Class::Unknown,
        country: WORLD,
    };
}

impl Zeroize for Facts {
    /// Both are words of closed lists.
    fn zeroize(&mut self) {}
}

impl Library {
    pub(crate) fn new(region: Region, home_code: u16) -> Self {
        Self {
            region,
            home_code: i32::from(home_code),
            numbers: Cache::new(),
            facts: Cache::new(),
        }
    }

    /// Asks about digits; `None` when they are no number, or too long to be one.
    pub(crate) fn ask(&mut self, question: Question, digits: &[u8]) -> Option<E164> {
        if digits.len() > MAX_ASKED {
            return None;
        }
        let (region, home_code) = (self.region, self.home_code);
        self.numbers
            .answer(key(question as u8, digits), || {
                Answer(
                    Asked {
                        region,
                        home_code,
                        digits,
                    }
                    .answer(question),
                )
            })
            .0
    }

    /// Class and country of a number. Its deciding digits stand for all
    /// numbers of the block: one answer serves a thousand subscribers.
    pub(crate) fn facts(&mut self, number: &E164) -> Facts {
        let digits = number.digits();
        let Some((code, width)) = plan::calling_code(digits) else {
            return Facts::NONE;
        };
        let decided = digits.len().min(width + code.deciding);
        let mut block = key(0, &digits[..decided]);
        block[1] = digits.len() as u8;
        self.facts.answer(block, || facts(digits, width))
    }
}

fn key(question: u8, digits: &[u8]) -> Key {
    let mut key = [0; KEY_BYTES];
    key[0] = question;
    key[1] = digits.len() as u8;
    key[2..2 + digits.len()].copy_from_slice(digits);
    key
}

struct Asked<'a> {
    region: Region,
    home_code: i32,
    digits: &'a [u8],
}

impl Asked<'_> {
    fn answer(&self, question: Question) -> Option<E164> {
        match question {
            Question::International => e164(&self.international()?),
            Question::National => e164(&self.national()?),
            Question::ShortNational => e164(&self.national().filter(valid)?),
            Question::Either => match (self.international(), self.bare_national().filter(valid)) {
                (Some(international), Some(national))
                    if !valid(&international) || only_mobile(&national, &international) =>
                {
                    e164(&national)
                }
                (international, national) => e164(&international.or(national)?),
            },
            Question::OwnCode => {
                let national = self.bare_national().is_some_and(|number| valid(&number));
                e164(&self.international().filter(|number| !national || valid(number))?)
            }
        }
    }

    fn international(&self) -> Option<PhoneNumber> {
        parse_international(self.digits)
    }

    /// Read in the home country. An answer from another country means that
    /// the library found an international prefix where the source has none.
    fn national(&self) -> Option<PhoneNumber> {
        let text = std::str::from_utf8(self.digits).ok()?;
        let number = PHONE_NUMBER_UTIL.parse(text, Some(self.region)).ok()?;
        Some(number).filter(|number| number.country_code == self.home_code && possible(number))
    }

    /// The same, unless the library took the country code off.
    fn bare_national(&self) -> Option<PhoneNumber> {
        self.national()
            .filter(|number| get_national_significant_number_owned(number).as_bytes() == self.digits)
    }
}

fn parse_international(digits: &[u8]) -> Option<PhoneNumber> {
    let mut text = [b'+'; MAX_ASKED + 1];
    text[1..=digits.len()].copy_from_slice(digits);
    let text = std::str::from_utf8(&text[..=digits.len()]).ok()?;
    PHONE_NUMBER_UTIL.parse(text, None).ok().filter(possible)
}

fn possible(number: &PhoneNumber) -> bool {
    // Dialled without its area code, a number is not the subscriber's own.
    matches!(
        PHONE_NUMBER_UTIL.is_possible_number_with_reason(number),
        Ok(NumberLengthType::IsPossible)
    )
}

fn valid(number: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_valid_number(number)
}

fn only_mobile(one: &PhoneNumber, other: &PhoneNumber) -> bool {
    let mobile = |number| PHONE_NUMBER_UTIL.get_number_type(number) == PhoneNumberType::Mobile;
    mobile(one) && !mobile(other)
}

fn e164(number: &PhoneNumber) -> Option<E164> {
    let national = get_national_significant_number_owned(number);
    E164::from_digits([number.country_code.to_string().as_bytes(), national.as_bytes()])
}

pub(crate) fn facts(digits: &[u8], code_width: usize) -> Facts {
    match from_e164(digits, code_width) {
        Some(number) => Facts {
            class: if is_satellite_network(digits) {
                Class::Satellite
            } else {
                class(&number)
            },
            country: country(&number),
        },
        None => Facts::NONE,
    }
}

/// The library's own form of canonical digits, without parsing them again:
/// a national prefix in the midst of them is no prefix.
fn from_e164(digits: &[u8], code_width: usize) -> Option<PhoneNumber> {
    let (code, national) = std::str::from_utf8(digits).ok()?.split_at_checked(code_width)?;
    // The last digit counts even when all are 0.
    let zeros = national
        .bytes()
        .take_while(|&digit| digit == b'0')
        .count()
        .min(national.len() - 1);
    Some(PhoneNumber {
        country_code: code.parse().ok()?,
        national_number: national.parse().ok()?,
        italian_leading_zero: (zeros > 0).then_some(true),
        number_of_leading_zeros: (zeros > 1).then_some(zeros as i32),
        ..PhoneNumber::default()
    })
}

/// ISO 3166 has no code for what belongs to no country; libphonenumber writes UN M.49's.
const WORLD: &str = "001";

/// The region of the number, else the main region of its calling code.
fn country(number: &PhoneNumber) -> &'static str {
    PHONE_NUMBER_UTIL
        .get_region_for_number(number)
        .or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code))
        .and_then(|region| plan::Region::named(region.as_region_str().as_str()))
        .map_or(WORLD, |region| region.name)
}

/// ITU-T E.164, identification codes for networks: +882 13 EMSAT, +882 16 Thuraya.
fn is_satellite_network(digits: &[u8]) -> bool {
    digits.starts_with(b"88213") || digits.starts_with(b"88216")
}

fn class(number: &PhoneNumber) -> Class {
    // ITU-T E.164 Annex: codes that are a service of their own.
    match number.country_code {
        // E.169.1 and E.169.2
        800 => return Class::Uifn,
        979 => return Class::Iprn,
        // Inmarsat SNAC, Global Mobile Satellite System
        870 | 881 => return Class::Satellite,
        _ => {}
    }
    match PHONE_NUMBER_UTIL.get_number_type(number) {
        PhoneNumberType::Mobile => Class::Mobile,
        PhoneNumberType::FixedLine => Class::Fixed,
        PhoneNumberType::FixedLineOrMobile => Class::FixedOrMobile,
        PhoneNumberType::TollFree => Class::Freephone,
        PhoneNumberType::PremiumRate => Class::Premium,
        PhoneNumberType::SharedCost => Class::SharedCost,
        PhoneNumberType::VoIP => Class::Voip,
        PhoneNumberType::PersonalNumber => Class::Personal,
        PhoneNumberType::Pager => Class::Pager,
        PhoneNumberType::UAN => Class::Uan,
        PhoneNumberType::VoiceMail => Class::Voicemail,
        PhoneNumberType::Unknown => Class::Unknown,
    }
}
