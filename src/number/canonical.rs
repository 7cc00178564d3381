//! The seven steps from a field's bytes to a [`Reading`].
//!
//! The invariant: the fast path ([`plan`](crate::number::plan)) answers only
//! where the library would answer the same, so that what a cache remembers or
//! a lane has seen never changes a pseudonym.

use std::sync::Arc;

use zeroize::Zeroize;

use crate::bytes::{LANES, bits, digits, lanes, padded};
use crate::number::classify::{self, Word};
use crate::number::library::{Facts, Library, Question};
use crate::number::plan;
use crate::number::separators;
use crate::number::settings::{Bare, Disposal, Numbers};
use crate::number::wrapping::{self, Unwrapped};
use crate::number::{Class, E164, KeyedKind, KeyedValue, Label, Listed, Reading, ServiceCode};

/// Reads one lane's numbers; owns the caches and the scratch space.
pub struct Canonicaliser {
    numbers: Arc<Numbers>,
    library: Library,
    listed: Arc<Listed>,
    /// What is keyed when the last reading was [`Reading::Keyed`].
    value: Vec<u8>,
    /// What was dialled when the last reading was a service code.
    code: Option<ServiceCode>,
}

/// What a value is; the bytes to key stand in the canonicaliser.
enum Found {
    Empty,
    Number(E164),
    Label(Label),
    Keyed(KeyedKind),
    Unreadable,
}

/// Bare digits longer than this are never a short code.
const SHORT_DIGITS: usize = 6;

impl Canonicaliser {
    /// A canonicaliser for one lane. It allocates about 2 MB once, and nothing later.
    pub fn new(numbers: Arc<Numbers>) -> Self {
        Self {
            library: Library::new(numbers.library_region, numbers.home.code.code),
            listed: Arc::clone(&numbers.listed),
            numbers,
            value: Vec::with_capacity(2 * wrapping::MAX_VALUE),
            code: None,
        }
    }

    /// Takes another list of numbers that are labels, or with none the policy's own again.
    pub fn relist(&mut self, listed: Option<&Arc<Listed>>) {
        self.listed = Arc::clone(listed.unwrap_or(&self.numbers.listed));
    }

    /// What a field's bytes are. Any bytes will do; the outer quotes of CSV are gone already.
    pub fn read(&mut self, raw: &[u8]) -> Reading<'_> {
        self.code = None;
        let mut dialled = Dialled::empty();
        let found = if dialled.scan_plain(raw) {
            self.dialled(&dialled)
        } else {
            self.wrapped(raw)
        };
        match found {
            Found::Empty => Reading::Empty,
            Found::Number(number) => Reading::Number(number),
            Found::Label(label) => Reading::Label(label),
            Found::Unreadable => Reading::Unreadable,
            Found::Keyed(kind) => Reading::Keyed {
                kind,
                value: KeyedValue(&self.value),
            },
        }
    }

    /// The digits of the last value read, where it was a short code, an emergency number or the voicemail's.
    pub fn service_code(&self) -> Option<ServiceCode> {
        self.code
    }

    /// The country of a number, as ISO 3166 alpha-2, as precise as its plan
    /// tells; `001` where it belongs to none.
    pub fn country(&mut self, number: &E164) -> &'static str {
        self.facts(number).country
    }

    /// The kind of service a number is.
    pub fn class(&mut self, number: &E164) -> Class {
        self.facts(number).class
    }

    fn facts(&mut self, number: &E164) -> Facts {
        self.library.facts(number)
    }

    /// Steps 1 and 2: out of its wrapping, and words sorted out.
    fn wrapped(&mut self, raw: &[u8]) -> Found {
        if raw.len() > wrapping::MAX_VALUE {
            return Found::Unreadable;
        }
        match wrapping::unwrap_value(raw, &mut self.value) {
            Unwrapped::Empty => return Found::Empty,
            Unwrapped::Broken => return self.dispose(KeyedKind::Other),
            Unwrapped::Value => {}
        }
        let mut dialled = Dialled::empty();
        if dialled.scan_plain(&self.value) {
            return self.dialled(&dialled);
        }
        if self.numbers.withholds(&self.value) {
            return Found::Label(Label::Withheld);
        }
        match classify::word(&self.value) {
            Some(Word::Withheld) => Found::Label(Label::Withheld),
            Some(Word::Dialplan) => Found::Label(Label::Dialplan),
            Some(Word::Emergency) => Found::Label(Label::Emergency),
            Some(Word::Masked) => self.dispose(KeyedKind::Masked),
            Some(Word::Alpha) => self.dispose(KeyedKind::Alpha),
            Some(Word::NoNumber) => self.dispose(KeyedKind::Other),
            None => match Dialled::anything(&self.value) {
                Some(dialled) => self.dialled(&dialled),
                None => self.dispose(KeyedKind::Other),
            },
        }
    }

    /// Step 3, and the parts of step 7 that go by their spelling.
    fn dialled(&mut self, dialled: &Dialled) -> Found {
        let whole = dialled.as_slice();
        if let Some(label) = self.listed.label(whole) {
            if label != Label::Withheld {
                self.code = self.numbers.service_code(whole);
            }
            return Found::Label(label);
        }
        let rest = ended(self.numbers.stripped(whole).unwrap_or(whole));
        let digits = rest.strip_prefix(b"+").unwrap_or(rest);
        if digits.is_empty() || !dialled.plain && !digits.iter().all(u8::is_ascii_digit) {
            return self.signs(rest);
        }
        if digits.len() < rest.len() {
            self.international(digits, rest)
        } else {
            self.unprefixed(digits)
        }
    }

    /// Star and hash codes begin with their sign; behind a number it would hide who that is.
    fn signs(&mut self, dialled: &[u8]) -> Found {
        let code = matches!(dialled.first(), Some(b'*' | b'#'));
        self.keep(
            dialled,
            if code {
                KeyedKind::Feature
            } else {
                KeyedKind::Other
            },
        )
    }

    /// Digits as dialled in the home country.
    fn unprefixed(&mut self, digits: &[u8]) -> Found {
        if let Some(extension) = self.extension(digits) {
            return extension;
        }
        if digits.len() <= SHORT_DIGITS {
            return self.short(digits);
        }
        if let Some(international) = self.numbers.behind_idd(digits) {
            return self.international(international, digits);
        }
        if digits[0] == b'0' {
            self.behind_zero(digits)
        } else {
            self.bare(digits)
        }
    }

    fn extension(&mut self, digits: &[u8]) -> Option<Found> {
        let extensions = self.numbers.extensions.as_ref()?;
        if !(extensions.fewest..=extensions.most).contains(&digits.len()) {
            return None;
        }
        self.value.clear();
        self.value.extend_from_slice(&extensions.tenant);
        self.value.push(b'/');
        self.value.extend_from_slice(digits);
        Some(Found::Keyed(KeyedKind::Extension))
    }

    /// Six digits or fewer: a service, unless the country has numbers so short.
    fn short(&mut self, digits: &[u8]) -> Found {
        let home = &self.numbers.home;
        let from_zero = digits[0] == b'0';
        let possible = home.allows(digits.len()) || from_zero && home.allows(digits.len() - 1);
        if possible && (from_zero || self.numbers.bare != Bare::International) {
            match self.library.ask(Question::ShortNational, digits) {
                Some(number) if from_zero || self.numbers.bare == Bare::National => {
                    return Found::Number(number);
                }
                Some(_) => return Found::Unreadable,
                None => {}
            }
        }
        self.code = self.numbers.service_code(digits);
        self.keep(digits, KeyedKind::Short)
    }

    /// Steps 5 and 6 behind `+` or an international prefix.
    fn international(&mut self, digits: &[u8], spelling: &[u8]) -> Found {
        let number =
            plan::international(digits).or_else(|| self.library.ask(Question::International, digits));
        self.number_or_other(number, spelling)
    }

    /// The same behind the trunk prefix 0.
    fn behind_zero(&mut self, digits: &[u8]) -> Found {
        let number = self
            .numbers
            .home
            .behind_zero(digits)
            .or_else(|| self.library.ask(Question::National, digits));
        self.number_or_other(number, digits)
    }

    /// Step 4: digits without any prefix.
    fn bare(&mut self, digits: &[u8]) -> Found {
        let home = &self.numbers.home;
        let own_code = home.begins(digits);
        let national = home.allows(digits.len());
        match self.numbers.bare {
            Bare::International => self.international(digits, digits),
            Bare::National if own_code && national => self.asked(Question::Either, digits),
            Bare::National | Bare::Reject if own_code && !national => self.international(digits, digits),
            Bare::National => match home.without_prefix(digits) {
                Some(number) => Found::Number(number),
                // What cannot be one of the country's numbers is not the library's business.
                None if national || plan::may_strip(home.region.strips, digits) => {
                    self.asked(Question::National, digits)
                }
                None => self.keep(digits, KeyedKind::Other),
            },
            Bare::Reject if own_code => match self.library.ask(Question::OwnCode, digits) {
                Some(number) => Found::Number(number),
                None => Found::Unreadable,
            },
            Bare::Reject => Found::Unreadable,
        }
    }

    fn asked(&mut self, question: Question, digits: &[u8]) -> Found {
        let number = self.library.ask(question, digits);
        self.number_or_other(number, digits)
    }

    fn number_or_other(&mut self, number: Option<E164>, spelling: &[u8]) -> Found {
        match number {
            Some(number) => Found::Number(number),
            None => self.keep(spelling, KeyedKind::Other),
        }
    }

    /// Step 7, with the bytes that would be keyed.
    fn keep(&mut self, value: &[u8], kind: KeyedKind) -> Found {
        self.value.clear();
        self.value.extend_from_slice(value);
        self.dispose(kind)
    }

    /// Step 7: label, key or reject, as the policy says.
    fn dispose(&self, kind: KeyedKind) -> Found {
        match self.numbers.disposal(kind) {
            (Disposal::Label, label) => Found::Label(label),
            (Disposal::Pseudonymise, _) => Found::Keyed(kind),
            (Disposal::Reject, _) => Found::Unreadable,
        }
    }
}

impl Drop for Canonicaliser {
    fn drop(&mut self) {
        self.value.zeroize();
        self.code = None;
    }
}

/// Without the `#` that ends dialling on many switches; a star or hash code keeps its own.
fn ended(dialled: &[u8]) -> &[u8] {
    match dialled {
        [b'*' | b'#', ..] => dialled,
        [number @ .., b'#'] => number,
        _ => dialled,
    }
}

/// What is dialled, without the separators people write between digits.
pub(crate) struct Dialled {
    /// Of no meaning from `len` on.
    bytes: [u8; Dialled::ROOM],
    len: usize,
    /// Nothing but digits, with at most one `+`, in front.
    plain: bool,
}

/// What a byte is to [`Dialled`], as bits.
const KEPT: u8 = 1;
const PLUS: u8 = 2;
const SIGN: u8 = 4;
const STRANGE: u8 = 8;
const SEPARATOR: u8 = 16;

static BYTES: [u8; 256] = {
    let mut bytes = [STRANGE; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        bytes[digit as usize] = KEPT;
        digit += 1;
    }
    bytes[b'+' as usize] = KEPT | PLUS;
    bytes[b'*' as usize] = KEPT | SIGN;
    bytes[b'#' as usize] = KEPT | SIGN;
    bytes[b',' as usize] = KEPT | SIGN;
    // An IP address is no number: only what was looked at may hold dots.
    bytes[b'.' as usize] = SIGN | SEPARATOR;
    bytes[b' ' as usize] = 0;
    bytes[b'-' as usize] = SEPARATOR;
    bytes[b'(' as usize] = 0;
    bytes[b')' as usize] = 0;
    bytes[b'/' as usize] = SEPARATOR;
    bytes
};

impl Dialled {
    /// A power of two, so that an index is masked rather than checked.
    const ROOM: usize = 64;
    /// The longest value that is looked at, separators included.
    const MAX: usize = 48;

    /// Everything a keypad can dial, in any order.
    pub(crate) fn anything(value: &[u8]) -> Option<Self> {
        let mut dialled = Self::empty();
        dialled.scan(value)?;
        Some(dialled)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn empty() -> Self {
        Self {
            bytes: [0; Self::ROOM],
            len: 0,
            plain: false,
        }
    }

    /// Digits and separators, with at most one `+`, in front; `false` for all else.
    fn scan_plain(&mut self, raw: &[u8]) -> bool {
        let Some(Seen { kinds, pluses }) = self.scan(raw) else {
            return false;
        };
        self.plain = kinds & SIGN == 0 && (pluses == 0 || pluses == 1 && self.bytes[0] == b'+');
        self.plain
    }

    /// Leaves out the separators; `None` when nothing is left, or something strange is there.
    ///
    /// In place: moving the bytes just written would stall on them.
    fn scan(&mut self, value: &[u8]) -> Option<Seen> {
        if value.len() > Self::MAX {
            return None;
        }
        if let Some(seen) = self.scan_digits(value) {
            return Some(seen);
        }
        let mut len = 0;
        let mut seen = Seen { kinds: 0, pluses: 0 };
        for &byte in value {
            let kind = BYTES[usize::from(byte)];
            self.bytes[len % Self::ROOM] = byte;
            len += usize::from(kind & KEPT);
            seen.kinds |= kind;
            seen.pluses += usize::from((kind / PLUS) & 1);
        }
        self.len = len;
        let strange =
            seen.kinds & STRANGE != 0 || seen.kinds & SEPARATOR != 0 && !separators::of_a_number(value);
        (len > 0 && !strange).then_some(seen)
    }

    /// The same of what nearly every value is: digits, and at most one `+`, in front.
    #[inline]
    fn scan_digits(&mut self, value: &[u8]) -> Option<Seen> {
        let plus = value.first()? == &b'+';
        let text = padded(value);
        let found = bits(digits(lanes(text))) | u64::from(plus);
        if value.len() > LANES || found != (1 << value.len()) - 1 {
            return None;
        }
        self.bytes[..LANES].copy_from_slice(&text);
        self.len = value.len();
        Some(Seen {
            kinds: KEPT,
            pluses: usize::from(plus),
        })
    }
}

/// What [`Dialled::scan`] came across.
struct Seen {
    /// All kinds, or-ed.
    kinds: u8,
    pluses: usize,
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "property_tests.rs"]
mod properties;
