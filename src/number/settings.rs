//! What a source's numbers mean: as typed ([`NumberSettings`]) and checked ([`Numbers`]).
//!
//! Faults name the key and the place in a list, never the number that stands there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rlibphonenumber::Region as LibraryRegion;
use serde::Deserialize;
use toml::Spanned;

use crate::number::canonical::Dialled;
use crate::number::listed::{Listed, Sources, dialled_bytes};
use crate::number::plan::{self, Home, Region};
use crate::number::{KeyedKind, Label, ServiceCode};

/// The `[numbers]` table of the policy, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberSettings {
    /// ISO 3166 alpha-2 code of the country national numbers belong to.
    pub country: Option<String>,
    /// What digits without `+`, international prefix or leading 0 are.
    pub bare: Bare,
    /// Dialling prefixes in front of a number, one of which is taken off: `141`, `9,`, `*31#`.
    pub strip: Vec<String>,
    /// Emergency numbers; left out, the country's own and 112.
    pub emergency: Option<Spanned<Dialling>>,
    /// Numbers of the voicemail service.
    pub voicemail: Option<Spanned<Dialling>>,
    /// Words or numbers that stand for a withheld number, beside the built-in ones.
    pub withheld: Vec<String>,
    /// International dialling prefixes beside the country's own.
    pub idd: Vec<String>,
    /// What becomes of short codes and service numbers.
    pub short: Disposal,
    /// What becomes of alphanumeric senders and names.
    pub alpha: Disposal,
    /// What becomes of numbers already masked.
    pub masked: Disposal,
    /// What becomes of star and hash codes.
    pub feature: Disposal,
    /// What becomes of everything else.
    pub other: Disposal,
    /// Bare digits that are extensions of a switch.
    pub extensions: Option<ExtensionSettings>,
    /// The rate deck's file.
    pub deck: Option<Spanned<PathBuf>>,
    /// The file of the network's own numbers.
    pub own: Option<Spanned<PathBuf>>,
    /// The file of numbers whose calls the called party pays.
    pub payers: Option<Spanned<PathBuf>>,
    /// The file of ported numbers with their networks.
    pub ports: Option<Spanned<PathBuf>>,
    /// How many numbers must share a prefix for it to be told; 1,000 when absent.
    pub min_block: Option<Spanned<u64>>,
}

impl Default for NumberSettings {
    fn default() -> Self {
        Self {
            country: None,
            bare: Bare::Reject,
            strip: Vec::new(),
            emergency: None,
            voicemail: None,
            withheld: Vec::new(),
            idd: Vec::new(),
            short: Disposal::Label,
            alpha: Disposal::Label,
            masked: Disposal::Label,
            feature: Disposal::Label,
            other: Disposal::Reject,
            extensions: None,
            deck: None,
            own: None,
            payers: None,
            ports: None,
            min_block: None,
        }
    }
}

/// Numbers as they are dialled.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a list of what is dialled, such as [\"999\", \"112\"], or the name of a file with one a line"
)]
pub enum Dialling {
    /// In the policy itself.
    Here(Vec<String>),
    /// In a file, one a line.
    File(PathBuf),
}

/// What bare digits are: no `+`, no international prefix, no leading 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bare {
    /// A number of the home country.
    National,
    /// A number with its country code in front.
    International,
    /// Unreadable, but for the own country code with a possible number behind it.
    Reject,
}

/// What becomes of a value that is not a subscriber's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposal {
    /// Its class is written in its place.
    Label,
    /// It is keyed under a kind of its own.
    Pseudonymise,
    /// The record is rejected.
    Reject,
}

/// Bare digits that are extensions: `extensions = { digits = [3, 5], tenant = "acme" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionSettings {
    /// Fewest and most digits of an extension.
    pub digits: [u8; 2],
    /// Whose extensions they are: part of what is keyed.
    pub tenant: String,
}

/// Why number settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberSettingsError {
    /// No country, though there are phone fields.
    #[error("country is missing: say which country national numbers belong to, such as country = \"GB\"")]
    NoCountry,
    /// Not a country with a numbering plan.
    #[error("country \"{0}\" is unknown: write an ISO 3166 code in capitals, such as \"GB\"")]
    UnknownCountry(String),
    /// An entry of a list is not what the list holds.
    #[error("{key}, entry {entry}: {hint}")]
    Entry {
        /// The list's key.
        key: &'static str,
        /// The entry's place, from 1.
        entry: usize,
        /// What an entry looks like.
        hint: &'static str,
    },
    /// The range of extension lengths is empty or too wide.
    #[error("extensions.digits must be the fewest and the most digits, from 1 to 9, such as [3, 5]")]
    ExtensionDigits,
    /// The tenant cannot be part of a keyed value.
    #[error("extensions.tenant must be 1 to 64 letters, digits, dots, dashes or underscores")]
    ExtensionTenant,
}

impl NumberSettingsError {
    /// The key at fault, inside the table of number settings.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoCountry | Self::UnknownCountry(_) => "country",
            Self::Entry { key, .. } => key,
            Self::ExtensionDigits | Self::ExtensionTenant => "extensions",
        }
    }
}

/// Checked number settings: what the canonicalisers of all lanes share.
pub struct Numbers {
    pub(crate) home: Home,
    pub(crate) library_region: LibraryRegion,
    pub(crate) bare: Bare,
    pub(crate) extensions: Option<Extensions>,
    pub(crate) listed: Arc<Listed>,
    sources: Sources,
    words: Vec<Box<[u8]>>,
    /// Longest first.
    strips: Vec<Strip>,
    /// Bit b is set when a prefix begins with byte b: most numbers are not compared.
    strip_starts: u128,
    /// Longest first.
    idd: Vec<Box<[u8]>>,
    disposals: Disposals,
}

/// Checked extension settings.
pub(crate) struct Extensions {
    pub(crate) fewest: usize,
    pub(crate) most: usize,
    pub(crate) tenant: Box<[u8]>,
}

struct Disposals {
    short: Disposal,
    alpha: Disposal,
    masked: Disposal,
    feature: Disposal,
    other: Disposal,
}

struct Strip {
    prefix: Box<[u8]>,
    digits_only: bool,
}

/// Fewest digits behind a dialling prefix for it to be one.
const DIGITS_BEHIND_STRIP: usize = 6;

impl Numbers {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// A missing or unknown country, a list entry that is not dialled digits,
    /// an extension range or tenant out of bounds.
    pub fn new(settings: &NumberSettings) -> Result<Self, NumberSettingsError> {
        let name = settings
            .country
            .as_deref()
            .ok_or(NumberSettingsError::NoCountry)?;
        let unknown = || NumberSettingsError::UnknownCountry(name.to_owned());
        let region = Region::named(name).ok_or_else(unknown)?;
        let strips = strips(&settings.strip)?;
        let sources = Sources::new(settings, region)?;
        Ok(Self {
            home: Home::new(region).ok_or_else(unknown)?,
            library_region: LibraryRegion::from_code(name).map_err(|_| unknown())?,
            bare: settings.bare,
            extensions: settings.extensions.as_ref().map(extensions).transpose()?,
            listed: Arc::new(sources.listed()),
            sources,
            words: words(&settings.withheld)?,
            strip_starts: strips
                .iter()
                .fold(0, |starts, strip| starts | 1 << (strip.prefix[0] & 127)),
            strips,
            idd: idd(&settings.idd, region)?,
            disposals: Disposals {
                short: settings.short,
                alpha: settings.alpha,
                masked: settings.masked,
                feature: settings.feature,
                other: settings.other,
            },
        })
    }

    /// The country national numbers belong to, as ISO 3166 alpha-2.
    pub fn country(&self) -> &'static str {
        self.home.region.name
    }

    /// What is listed when files say which numbers are emergency numbers and the voicemail's; what is in the
    /// policy holds for those that are absent.
    ///
    /// # Errors
    ///
    /// An entry that is not dialled digits.
    pub fn relisted(
        &self,
        emergency: Option<&[String]>,
        voicemail: Option<&[String]>,
    ) -> Result<Arc<Listed>, NumberSettingsError> {
        let mut sources = self.sources.clone();
        if let Some(list) = emergency {
            sources.emergency = dialled_bytes("emergency", list)?;
        }
        if let Some(list) = voicemail {
            sources.voicemail = dialled_bytes("voicemail", list)?;
        }
        Ok(Arc::new(sources.listed()))
    }

    /// A code as it is dialled in the home country.
    pub(crate) fn service_code(&self, dialled: &[u8]) -> Option<ServiceCode> {
        ServiceCode::new(dialled, self.home.region.name)
    }

    /// Whether the source's own words for a withheld number hold this one.
    pub(crate) fn withholds(&self, word: &[u8]) -> bool {
        self.words.iter().any(|known| known.eq_ignore_ascii_case(word))
    }

    /// What is left behind the dialling prefix, if one stands there.
    ///
    /// A prefix of digits needs `+` or a leading 0 behind it, and no reading of
    /// the whole as an international number: bare `1410...` may be Maryland.
    pub(crate) fn stripped<'a>(&self, dialled: &'a [u8]) -> Option<&'a [u8]> {
        let first = dialled.first().copied().unwrap_or_default();
        if self.strip_starts >> (first & 127) & 1 == 0 {
            return None;
        }
        self.strips.iter().find_map(|strip| {
            let rest = plan::behind(dialled, &strip.prefix)?;
            let enough = rest.iter().filter(|byte| byte.is_ascii_digit()).count() >= DIGITS_BEHIND_STRIP;
            let begins = !strip.digits_only || matches!(rest.first(), Some(b'+' | b'0'));
            let ambiguous = strip.digits_only
                && self.bare == Bare::International
                && plan::possible_international(dialled);
            (enough && begins && !ambiguous).then_some(rest)
        })
    }

    /// The digits behind an international dialling prefix, if one stands there.
    pub(crate) fn behind_idd<'a>(&self, digits: &'a [u8]) -> Option<&'a [u8]> {
        self.idd.iter().find_map(|prefix| {
            let rest = plan::behind(digits, prefix)?;
            // No country code begins with 0.
            matches!(rest.first(), Some(b'1'..=b'9')).then_some(rest)
        })
    }

    /// What becomes of a value of this kind, and its label.
    pub(crate) fn disposal(&self, kind: KeyedKind) -> (Disposal, Label) {
        match kind {
            KeyedKind::Short => (self.disposals.short, Label::Short),
            KeyedKind::Alpha => (self.disposals.alpha, Label::Alpha),
            KeyedKind::Masked => (self.disposals.masked, Label::Masked),
            KeyedKind::Feature => (self.disposals.feature, Label::Feature),
            KeyedKind::Other => (self.disposals.other, Label::Other),
            KeyedKind::Extension => (Disposal::Pseudonymise, Label::Other),
        }
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numbers({})", self.country())
    }
}

pub(super) fn dialled_list(key: &'static str, list: &[String]) -> Result<Vec<Dialled>, NumberSettingsError> {
    let hint = "write what is dialled: digits, with + * # or , if they are part of it";
    let read = |(at, entry): (usize, &String)| {
        Dialled::anything(entry.as_bytes()).ok_or(NumberSettingsError::Entry {
            key,
            entry: at + 1,
            hint,
        })
    };
    list.iter().enumerate().map(read).collect()
}

fn words(withheld: &[String]) -> Result<Vec<Box<[u8]>>, NumberSettingsError> {
    let read = |(at, word): (usize, &String)| {
        let word = word.trim();
        if word.is_empty() {
            let hint = "write a word; an empty value stays empty by itself";
            return Err(NumberSettingsError::Entry {
                key: "withheld",
                entry: at + 1,
                hint,
            });
        }
        Ok(word.as_bytes().into())
    };
    withheld.iter().enumerate().map(read).collect()
}

fn strips(list: &[String]) -> Result<Vec<Strip>, NumberSettingsError> {
    let mut strips = Vec::new();
    for (at, entry) in dialled_list("strip", list)?.iter().enumerate() {
        let prefix = entry.as_slice();
        if prefix.contains(&b'+') || prefix.len() > 16 {
            let hint = "a dialling prefix is at most 16 digits, * # or ,";
            return Err(NumberSettingsError::Entry {
                key: "strip",
                entry: at + 1,
                hint,
            });
        }
        strips.push(Strip {
            digits_only: prefix.iter().all(u8::is_ascii_digit),
            prefix: prefix.into(),
        });
    }
    strips.sort_by_key(|strip| std::cmp::Reverse(strip.prefix.len()));
    Ok(strips)
}

fn idd(list: &[String], region: &Region) -> Result<Vec<Box<[u8]>>, NumberSettingsError> {
    let mut prefixes: Vec<Box<[u8]>> = region.idd.iter().map(|prefix| prefix.as_bytes().into()).collect();
    for (at, entry) in dialled_list("idd", list)?.iter().enumerate() {
        if !entry.as_slice().iter().all(u8::is_ascii_digit) {
            let hint = "an international dialling prefix is digits only, such as \"00\"";
            return Err(NumberSettingsError::Entry {
                key: "idd",
                entry: at + 1,
                hint,
            });
        }
        prefixes.push(entry.as_slice().into());
    }
    // Behind some switches 0 gets the outside line: 0, 00, country code.
    if prefixes.iter().any(|prefix| **prefix == *b"00") {
        prefixes.push(b"000".as_slice().into());
    }
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    Ok(prefixes)
}

fn extensions(settings: &ExtensionSettings) -> Result<Extensions, NumberSettingsError> {
    let [fewest, most] = settings.digits.map(usize::from);
    if fewest == 0 || fewest > most || most > 9 {
        return Err(NumberSettingsError::ExtensionDigits);
    }
    let tenant = settings.tenant.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    if tenant.is_empty() || tenant.len() > 64 || !tenant.iter().all(plain) {
        return Err(NumberSettingsError::ExtensionTenant);
    }
    Ok(Extensions {
        fewest,
        most,
        tenant: tenant.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_says_where_and_what_to_do() {
        for (toml, key, message) in [
            ("", "country", "country is missing"),
            ("country = 'UK'", "country", "country \"UK\" is unknown"),
            ("country = 'gb'", "country", "capitals"),
            (
                "country = 'GB'\nstrip = ['141', 'abc']",
                "strip",
                "strip, entry 2",
            ),
            ("country = 'GB'\nstrip = ['']", "strip", "strip, entry 1"),
            ("country = 'GB'\nstrip = ['+44']", "strip", "at most 16 digits"),
            (
                "country = 'GB'\nemergency = ['sos']",
                "emergency",
                "emergency, entry 1",
            ),
            (
                "country = 'GB'\nvoicemail = ['1571', '']",
                "voicemail",
                "voicemail, entry 2",
            ),
            (
                "country = 'GB'\nwithheld = [' ']",
                "withheld",
                "withheld, entry 1",
            ),
            ("country = 'GB'\nidd = ['+']", "idd", "digits only"),
            (
                "country = 'GB'\nextensions = { digits = [5, 3], tenant = 'a' }",
                "extensions",
                "fewest",
            ),
            (
                "country = 'GB'\nextensions = { digits = [0, 3], tenant = 'a' }",
                "extensions",
                "fewest",
            ),
            (
                "country = 'GB'\nextensions = { digits = [3, 10], tenant = 'a' }",
                "extensions",
                "1 to 9",
            ),
            (
                "country = 'GB'\nextensions = { digits = [3, 5], tenant = 'a/b' }",
                "extensions",
                "tenant",
            ),
        ] {
            let settings: NumberSettings = toml::from_str(toml).unwrap();
            let error = Numbers::new(&settings).unwrap_err();
            assert_eq!(error.key(), key, "{toml}");
            assert!(error.to_string().contains(message), "{toml}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_or_word_is_refused() {
        for toml in [
            "contry = 'GB'",
            "bare = 'maybe'",
            "short = 'drop'",
            "extensions = { digits = [3, 5] }",
        ] {
            assert!(toml::from_str::<NumberSettings>(toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn every_country_has_working_defaults() {
        for region in crate::number::country_table::REGIONS {
            let settings = NumberSettings {
                country: Some(region.name.to_owned()),
                ..NumberSettings::default()
            };
            let numbers = Numbers::new(&settings).unwrap();
            assert_eq!(numbers.country(), region.name);
            assert_eq!(numbers.listed.label(b"112"), Some(Label::Emergency));
        }
    }
}
