//! Phone numbers: what a spelling means. Pure: no IO, no clock.
//!
//! One subscriber is spelt in many ways; every spelling must give one
//! [`E164`], and junk must never be read as a number. [`Canonicaliser::read`]
//! takes the seven steps: take the number out of its wrapping (`wrapping`),
//! sort out words (`classify`) and listed numbers (`listed`), strip dialling
//! prefixes, decide on bare digits, answer from the country table (`plan`),
//! else ask `rlibphonenumber` (`library`) behind a bounded `cache`, and give
//! what is no subscriber's number its class.

mod cache;
mod canonical;
mod classify;
mod country_table;
pub mod deck;
mod library;
mod listed;
mod plan;
pub mod ported;
mod separators;
mod service;
mod settings;
mod wrapping;

use std::fmt;
use std::num::NonZeroU8;

use zeroize::Zeroize;

use crate::bytes::little_endian;

pub use canonical::Canonicaliser;
pub use listed::Listed;
pub use service::ServiceCode;
pub use settings::{
    Bare, Dialling, Disposal, ExtensionSettings, NumberSettings, NumberSettingsError, Numbers,
};

/// What the canonical form of a number depends on: library, its metadata
/// release, and this room's own rules. A change that moves canonical forms
/// changes pseudonyms and needs a CHANGELOG line.
pub const NUMBER_TABLE: &str = "rlibphonenumber-2.2.15/9.0.42/table-1";

/// What a field's bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// Nothing but blanks and quotes: stays empty.
    Empty,
    /// A subscriber's number.
    Number(E164),
    /// A class that identifies nobody: written as its label.
    Label(Label),
    /// Not a number, but the policy wants a pseudonym of it under its own kind.
    Keyed {
        /// The kind the pseudonym is made under.
        kind: KeyedKind,
        /// The bytes to key, at most 255; borrowed from the canonicaliser.
        value: KeyedValue<'a>,
    },
    /// Reject the record (reason `number`).
    Unreadable,
}

/// Bytes to be keyed. Its `Debug` shows their count only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyedValue<'a>(&'a [u8]);

impl<'a> KeyedValue<'a> {
    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for KeyedValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedValue({} bytes)", self.0.len())
    }
}

/// A number's E.164 digits (ITU-T E.164: at most 15), without the `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Zeroize)]
#[repr(align(8))]
pub struct E164 {
    digits: [u8; E164::MAX_DIGITS],
    /// Never 0, so that `Option<E164>` is 16 bytes too and travels in registers.
    len: NonZeroU8,
}

impl E164 {
    /// The longest number E.164 knows, country code included.
    pub const MAX_DIGITS: usize = 15;

    /// From ASCII digits in two parts, country code first; `None` when empty or longer than 15.
    #[inline]
    fn from_digits(parts: [&[u8]; 2]) -> Option<Self> {
        let [head, tail] = parts;
        let total = head.len() + tail.len();
        if total > Self::MAX_DIGITS {
            return None;
        }
        let len = NonZeroU8::new(total as u8)?;
        // Put together in registers: bytes just copied would stall the next read of them.
        let packed = little_endian(head) | little_endian(tail) << (8 * head.len());
        let [digits @ .., _] = packed.to_le_bytes();
        Some(Self { digits, len })
    }

    /// From the digits of a number that was read.
    pub(crate) fn again(digits: &[u8]) -> Option<Self> {
        Self::from_digits([digits, b""])
    }

    /// The ASCII digits, country code first: the value that goes into the HMAC.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..self.len()]
    }

    /// The digits behind the country code.
    pub fn national(&self) -> &[u8] {
        plan::calling_code(self.digits()).map_or(self.digits(), |(_, width)| &self.digits()[width..])
    }

    /// How many digits there are, 3 to 15.
    #[allow(clippy::len_without_is_empty)] // a number is never empty
    pub fn len(&self) -> usize {
        usize::from(self.len.get())
    }
}

/// What stands behind the country code, where ASCII digits are one with a possible length behind it.
pub fn national(digits: &[u8]) -> Option<&[u8]> {
    let (code, width) = plan::calling_code(digits)?;
    let national = &digits[width..];
    code.allows(national.len()).then_some(national)
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({} digits)", self.len)
    }
}

/// A class of values that identify nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// The caller's number is withheld or unknown.
    Withheld,
    /// An emergency number.
    Emergency,
    /// A short code or service number.
    Short,
    /// The voicemail's own number.
    Voicemail,
    /// A star or hash code.
    Feature,
    /// A word of the switch's dialplan, such as Asterisk's `s` or `h`.
    Dialplan,
    /// A number already masked, such as `+1234***`.
    Masked,
    /// An alphanumeric sender or a name.
    Alpha,
    /// Anything else, where the policy labels it.
    Other,
}

impl Label {
    /// The word written in place of a pseudonym.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Withheld => "_withheld",
            Self::Emergency => "_emergency",
            Self::Short => "_short",
            Self::Voicemail => "_voicemail",
            Self::Feature => "_feature",
            Self::Dialplan => "_dialplan",
            Self::Masked => "_masked",
            Self::Alpha => "_alpha",
            Self::Other => "_other",
        }
    }

    /// The word of a derived `class` field: the label without its underscore.
    pub fn class(self) -> &'static str {
        &self.as_str()[1..]
    }
}

/// The kind a value that is not a subscriber's number is keyed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyedKind {
    /// A short code or service number; the value is its digits.
    Short,
    /// An alphanumeric sender or a name; the value is its exact bytes.
    Alpha,
    /// A masked number; the value is its exact bytes.
    Masked,
    /// A star or hash code; the value is without separators.
    Feature,
    /// Anything else.
    Other,
    /// An extension; the value is `tenant/digits`.
    Extension,
}

impl KeyedKind {
    /// The kind's word: part of the pseudonym's key, and the derived `class`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Alpha => "alpha",
            Self::Masked => "masked",
            Self::Feature => "feature",
            Self::Other => "other",
            Self::Extension => "extension",
        }
    }
}

/// What kind of service a number is, as far as its numbering plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A mobile phone.
    Mobile,
    /// A fixed line.
    Fixed,
    /// Fixed or mobile: the plan does not tell (North America).
    FixedOrMobile,
    /// Free to the caller.
    Freephone,
    /// Dearer than an ordinary call.
    Premium,
    /// The cost is shared between caller and called.
    SharedCost,
    /// A nomadic or internet telephone.
    Voip,
    /// A personal number, routed to whatever its owner uses.
    Personal,
    /// A pager.
    Pager,
    /// A company's universal access number.
    Uan,
    /// Access to a voicemail box.
    Voicemail,
    /// A satellite network's own code (+870 Inmarsat, +881 GMSS).
    Satellite,
    /// Universal international freephone (+800).
    Uifn,
    /// International premium rate (+979).
    Iprn,
    /// An emergency number.
    Emergency,
    /// Somebody to turn to in distress (116xxx and a country's own).
    Helpline,
    /// A short code or service number.
    Short,
    /// Possible, but in no range the plan names.
    Unknown,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 18] = [
        Self::Mobile,
        Self::Fixed,
        Self::FixedOrMobile,
        Self::Freephone,
        Self::Premium,
        Self::SharedCost,
        Self::Voip,
        Self::Personal,
        Self::Pager,
        Self::Uan,
        Self::Voicemail,
        Self::Satellite,
        Self::Uifn,
        Self::Iprn,
        Self::Emergency,
        Self::Helpline,
        Self::Short,
        Self::Unknown,
    ];

    /// The class of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// The word of the derived `class` field, a closed list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Fixed => "fixed",
            Self::FixedOrMobile => "fixed-or-mobile",
            Self::Freephone => "freephone",
            Self::Premium => "premium",
            Self::SharedCost => "shared-cost",
            Self::Voip => "voip",
            Self::Personal => "personal",
            Self::Pager => "pager",
            Self::Uan => "uan",
            Self::Voicemail => "voicemail",
            Self::Satellite => "satellite",
            Self::Uifn => "uifn",
            Self::Iprn => "iprn",
            Self::Emergency => "emergency",
            Self::Helpline => "helpline",
            Self::Short => "short",
            Self::Unknown => "unknown",
        }
    }
}
