//! What the values of a field have in common, counted in one pass.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::cdr::learn::looks::{self, Look};
use crate::cdr::learn::times::{Reads, Spelling};
use crate::cdr::learn::trial::walk;
use crate::cdr::learn::values::Reader;
use crate::cdr::learn::{Examples, Sample};
use crate::cdr::policy::Policy;
use crate::cdr::rows::Piece;
use crate::number::{Bare, Canonicaliser, Class, Label, NumberSettings, Numbers, Reading};

/// Records that are looked at value by value for a proposal.
pub(super) const LOOKED_AT: u64 = 10_000;
/// Distinct values that are counted; beyond, there are "many".
const DISTINCT: usize = 20_000;
/// Examples that are kept of a field.
const EXAMPLES: usize = 3;
/// A number has so many digits at least, to be told from short codes and durations.
const NUMBER_DIGITS: usize = 7;

/// One field's values.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Values that are not blank.
    pub(super) values: u32,
    pub(super) blank: u32,
    /// Noughts, and the year 1: what switches write where there is no time.
    pub(super) zeros: u32,
    looks: HashMap<Look, u32>,
    /// Hashes, not values: nothing of them is kept.
    distinct: HashSet<u64>,
    /// By the spellings of whole times, of days and of clocks.
    pub(super) whole: Vec<Reads>,
    pub(super) days: Vec<Reads>,
    pub(super) clocks: Vec<Reads>,
    /// Values that one spelling or another of a whole time reads.
    any_time: u32,
    pub(super) phones: Phones,
    /// Values with a run of seven digits or more.
    pub(super) digit_runs: u32,
    /// Values that are words of the trade: ANSWERED, inbound.
    pub(super) trade_words: u32,
    pub(super) longest: usize,
    pub(super) largest: u64,
    pub(super) examples: Vec<String>,
}

/// How the values read as phone numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Phones {
    /// With `+`, an international prefix or the trunk 0.
    pub(super) prefixed: u32,
    /// Without, taken as national numbers; and those of them in a range that the plan names.
    pub(super) national: u32,
    pub(super) national_valid: u32,
    /// Without, taken as international ones.
    pub(super) international: u32,
    pub(super) international_valid: u32,
    /// Words and codes that identify nobody.
    pub(super) labels: u32,
    /// Bare digits, two to six: extensions or short codes.
    pub(super) short: u32,
    /// Names and other words.
    pub(super) alpha: u32,
}

impl Phones {
    pub(super) fn numbers(&self) -> u32 {
        self.prefixed + self.national.max(self.international)
    }
}

impl Profile {
    pub(super) fn count(&self, look: Look) -> u32 {
        self.looks.get(&look).copied().unwrap_or(0)
    }

    pub(super) fn share(&self, count: u32) -> f64 {
        f64::from(count) / f64::from(self.values.max(1))
    }

    pub(super) fn mostly(&self, looks: &[Look]) -> bool {
        let count: u32 = looks.iter().map(|look| self.count(*look)).sum();
        self.values > 0 && self.share(count) >= 0.9
    }

    /// What is kept must be so without exception: a stray would be public.
    pub(super) fn entirely(&self, looks: &[Look]) -> bool {
        let count: u32 = looks.iter().map(|look| self.count(*look)).sum();
        self.values > 0 && count == self.values
    }

    /// Whether every value is read by one spelling of a time, of a day or of a clock; noughts aside.
    pub(super) fn is_only_time(&self) -> bool {
        let all = |reads: &[Reads]| {
            let most = reads
                .iter()
                .map(|reads| reads.as_written.max(reads.swapped))
                .max();
            most.is_some_and(|most| most >= self.values - self.zeros)
        };
        all(&self.whole) || all(&self.days) || all(&self.clocks)
    }

    /// Whether nearly all values are times, of several spellings perhaps; noughts aside.
    pub(super) fn is_times(&self) -> bool {
        let values = self.values - self.zeros;
        values > 0 && u64::from(self.any_time) * 10 >= u64::from(values) * 9
    }

    pub(super) fn distinct(&self) -> usize {
        self.distinct.len()
    }

    pub(super) fn is_unique(&self) -> bool {
        self.values > 1 && self.distinct.len() >= (self.values as usize).min(DISTINCT)
    }

    /// The spelling of a whole time that nearly all values have, noughts aside.
    pub(super) fn time(&self) -> Option<usize> {
        best(&self.whole, self.values - self.zeros)
    }

    pub(super) fn day(&self) -> Option<usize> {
        best(&self.days, self.values)
    }

    pub(super) fn clock(&self) -> Option<usize> {
        best(&self.clocks, self.values)
    }
}

/// The first that reads nearly all: one in fifty may be a stray.
fn best(reads: &[Reads], values: u32) -> Option<usize> {
    let most = reads
        .iter()
        .map(|reads| reads.as_written.max(reads.swapped))
        .max()?;
    let enough = values > 0 && u64::from(most) * 50 >= u64::from(values) * 49;
    let at = reads
        .iter()
        .position(|reads| reads.as_written.max(reads.swapped) == most);
    at.filter(|_| enough)
}

/// The fields of a policy over a sample.
pub(super) struct Profiles {
    pub(super) fields: Vec<Profile>,
    pub(super) records: u64,
    /// Countries of the numbers that are written with `+` or an international prefix.
    countries: BTreeMap<&'static str, u32>,
}

impl Profiles {
    /// The country that most of the sample's international numbers belong to, with how many of how many.
    pub(super) fn country(&self) -> Option<(&'static str, u32, u32)> {
        let all = self.countries.values().sum();
        let (country, count) = self.countries.iter().max_by_key(|(_, count)| **count)?;
        Some((country, *count, all))
    }
}

/// Reads values in the three ways that digits without a prefix can be meant.
struct Readers {
    strict: Canonicaliser,
    national: Canonicaliser,
    international: Canonicaliser,
}

impl Readers {
    fn new(country: &str) -> Option<Self> {
        let reader = |bare| {
            let settings = NumberSettings {
                country: Some(country.to_owned()),
                bare,
                ..NumberSettings::default()
            };
            Numbers::new(&settings)
                .ok()
                .map(|numbers| Canonicaliser::new(Arc::new(numbers)))
        };
        Some(Self {
            strict: reader(Bare::Reject)?,
            national: reader(Bare::National)?,
            international: reader(Bare::International)?,
        })
    }
}

/// Looks at the values of the policy's fields. Nothing where the country is unknown.
pub(super) fn profiles(
    policy: &Policy,
    sample: &Sample<'_>,
    country: &str,
    examples: Examples,
    most: u64,
) -> Option<Profiles> {
    let mut readers = Readers::new(country)?;
    let (mut whole, mut days, mut clocks) = (Spelling::whole(), Spelling::days(), Spelling::clocks());
    let mut found = Profiles {
        fields: policy.fields.iter().map(|_| Profile::default()).collect(),
        records: 0,
        countries: BTreeMap::new(),
    };
    for field in &mut found.fields {
        field.whole.resize(whole.len(), Reads::default());
        field.days.resize(days.len(), Reads::default());
        field.clocks.resize(clocks.len(), Reads::default());
    }
    let mut reader = Reader::default();
    walk(policy, sample, most, |piece, header| {
        let Piece::Record(range) = piece else { return };
        found.records += 1;
        reader.each(policy, header, &sample.bytes[range.clone()], |at, value| {
            let Some(profile) = found.fields.get_mut(at) else {
                return;
            };
            let value = value.trim_ascii();
            if value.is_empty() {
                profile.blank += 1;
                return;
            }
            profile.values += 1;
            profile.meet(value, examples);
            if value.len() <= 48 && value.iter().any(u8::is_ascii_digit) {
                let read = count_all(&mut whole, &mut profile.whole, value);
                profile.any_time += u32::from(read);
                count_all(&mut days, &mut profile.days, value);
                count_all(&mut clocks, &mut profile.clocks, value);
            }
            // Points are separators of numbers too, and coordinates have as many digits.
            if looks::look(value) != Look::Decimal {
                profile.phones.meet(value, &mut readers, &mut found.countries);
            }
        });
    });
    Some(found)
}

/// Counts by every spelling; whether one of them reads the value.
fn count_all(spellings: &mut [Spelling], reads: &mut [Reads], value: &[u8]) -> bool {
    let mut any = false;
    for (spelling, reads) in spellings.iter_mut().zip(reads) {
        let before = *reads;
        spelling.count(value, reads);
        any |= *reads != before;
    }
    any
}

impl Profile {
    fn meet(&mut self, value: &[u8], examples: Examples) {
        *self.looks.entry(looks::look(value)).or_default() += 1;
        let run = looks::longest_digits(value);
        self.digit_runs += u32::from(run >= NUMBER_DIGITS);
        let nought = value.iter().all(|byte| *byte == b'0');
        let no_time = ["0001-01-01", "0000-00-00"]
            .into_iter()
            .any(|none| value.starts_with(none.as_bytes()));
        self.zeros += u32::from(nought || no_time);
        self.trade_words += u32::from(is_trade_word(value));
        self.longest = self.longest.max(value.len());
        if run == value.len() && run < 19 {
            let number = value
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            self.largest = self.largest.max(number);
        }
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let new = self.distinct.len() < DISTINCT && self.distinct.insert(hasher.finish());
        if new && examples == Examples::Shown && self.examples.len() < EXAMPLES {
            let shown: String = String::from_utf8_lossy(value).chars().take(60).collect();
            self.examples.push(shown.escape_debug().to_string());
        }
    }
}

impl Phones {
    fn meet(&mut self, value: &[u8], readers: &mut Readers, countries: &mut BTreeMap<&'static str, u32>) {
        let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits == value.len() && digits < NUMBER_DIGITS {
            self.short += u32::from(digits > 1);
            return;
        }
        match readers.strict.read(value) {
            Reading::Number(number) => {
                self.prefixed += 1;
                let spelt = value.contains(&b'+') || value.starts_with(b"00");
                if spelt {
                    let country = readers.strict.country(&number);
                    if country != "001" {
                        *countries.entry(country).or_default() += 1;
                    }
                }
                return;
            }
            Reading::Label(Label::Alpha) => {
                self.alpha += 1;
                return;
            }
            Reading::Label(_) => {
                self.labels += 1;
                return;
            }
            Reading::Empty | Reading::Keyed { .. } | Reading::Unreadable => {}
        }
        if digits < NUMBER_DIGITS {
            return;
        }
        let valid = |reader: &mut Canonicaliser, count: &mut u32, valid: &mut u32| {
            if let Reading::Number(number) = reader.read(value) {
                *count += 1;
                *valid += u32::from(reader.class(&number) != Class::Unknown);
            }
        };
        valid(
            &mut readers.national,
            &mut self.national,
            &mut self.national_valid,
        );
        valid(
            &mut readers.international,
            &mut self.international,
            &mut self.international_valid,
        );
    }
}

/// Words that switches write themselves: they may be shown to billing.
const TRADE_WORDS: &str = "ANSWERED ANSWER BUSY FAILED CONGESTION CANCEL CANCELLED NOANSWER DOCUMENTATION BILLING OMIT \
    INBOUND OUTBOUND INCOMING OUTGOING IN OUT INTERNAL EXTERNAL LOCAL VOICE SMS MMS DATA CALL TEXT GPRS VIDEO FAX \
    INVITE BYE ACK OK YES NO TRUE FALSE Y N NORMALCLEARING USERBUSY NOUSERRESPONSE ORIGINATORCANCEL COMPLETED SUCCESS \
    RINGING ABANDONED START STOP ATTEMPT NORMAL MOBILE FIXED INTERNATIONAL NATIONAL USD EUR GBP CHF PREPAID POSTPAID \
    RATED ORIGINATING TERMINATING MOC MTC RECOVERYONTIMEREXPIRE NOTFOUND DIAL QUEUE PLAYBACK HANGUP VOICEMAIL";

fn is_trade_word(value: &[u8]) -> bool {
    let letters: String = value
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .map(|byte| char::from(byte.to_ascii_uppercase()))
        .collect();
    let plain = value
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || b" _-*".contains(byte));
    plain && TRADE_WORDS.split_ascii_whitespace().any(|word| word == letters)
}
