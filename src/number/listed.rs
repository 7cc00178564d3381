//! Numbers that mean something else than a subscriber, by their whole spelling:
//! emergency, voicemail, and what stands for a withheld number.

use std::fmt;

use toml::Spanned;

use crate::number::Label;
use crate::number::canonical::Dialled;
use crate::number::plan::Region;
use crate::number::settings::{Dialling, NumberSettings, NumberSettingsError, dialled_list};

/// A short list, looked at for every number: almost none is compared.
#[derive(Default)]
pub struct Listed {
    labels: Vec<(Box<[u8]>, Label)>,
    /// The marks of all entries.
    marks: u128,
}

impl Listed {
    /// Lists what is dialled, without separators and not empty. The first label counts.
    pub(crate) fn add(&mut self, dialled: &[u8], label: Label) {
        self.marks |= mark(dialled);
        self.labels.push((dialled.into(), label));
    }

    /// The label of what is dialled, if it is listed.
    #[inline]
    pub(crate) fn label(&self, dialled: &[u8]) -> Option<Label> {
        if self.marks & mark(dialled) == 0 {
            return None;
        }
        let found = self.labels.iter().find(|(known, _)| **known == *dialled)?;
        Some(found.1)
    }
}

/// One bit, by the length and the last two digits.
fn mark(dialled: &[u8]) -> u128 {
    let tail = match dialled {
        [.., one, two] => usize::from(*one) * 3 + usize::from(*two) * 17,
        _ => 0,
    };
    1 << ((dialled.len() * 41 + tail) % 128)
}

/// What is listed may be somebody's number.
impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listed({} numbers)", self.labels.len())
    }
}

/// What Twilio writes for a withheld number, spelt on a keypad: anonymous,
/// restricted, blocked, unknown, unavailable.
const KEYPAD_WORDS: [&str; 5] = [
    "+266696687",
    "+7378742833",
    "+2562533",
    "+8656696",
    "+86282452253",
];

/// What [`Listed`] is made of.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) emergency: Vec<Box<[u8]>>,
    pub(super) voicemail: Vec<Box<[u8]>>,
    withheld: Vec<Box<[u8]>>,
}

impl Sources {
    /// A file's numbers come later; until then the country's own emergency numbers are known.
    pub(super) fn new(settings: &NumberSettings, region: &Region) -> Result<Self, NumberSettingsError> {
        let here = |setting: &Option<Spanned<Dialling>>| match setting.as_ref().map(Spanned::get_ref) {
            Some(Dialling::Here(list)) => Some(list.clone()),
            Some(Dialling::File(_)) | None => None,
        };
        let own = || region.emergency.iter().chain(&["112"]).map(|&own| own.to_owned());
        let emergency = here(&settings.emergency).unwrap_or_else(|| own().collect());
        let words = KEYPAD_WORDS
            .into_iter()
            .chain(settings.withheld.iter().map(String::as_str));
        Ok(Self {
            emergency: dialled_bytes("emergency", &emergency)?,
            voicemail: dialled_bytes("voicemail", &here(&settings.voicemail).unwrap_or_default())?,
            withheld: words
                .filter_map(|word| Some(Dialled::anything(word.as_bytes())?.as_slice().into()))
                .collect(),
        })
    }

    pub(super) fn listed(&self) -> Listed {
        let mut listed = Listed::default();
        for (numbers, label) in [
            (&self.emergency, Label::Emergency),
            (&self.voicemail, Label::Voicemail),
            (&self.withheld, Label::Withheld),
        ] {
            for number in numbers {
                listed.add(number, label);
            }
        }
        listed
    }
}

pub(super) fn dialled_bytes(
    key: &'static str,
    list: &[String],
) -> Result<Vec<Box<[u8]>>, NumberSettingsError> {
    let dialled = dialled_list(key, list)?;
    Ok(dialled.iter().map(|number| number.as_slice().into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_has_a_label() {
        let mut listed = Listed::default();
        for (number, label) in [
            ("112", Label::Emergency),
            ("1571", Label::Voicemail),
            ("5", Label::Short),
        ] {
            listed.add(number.as_bytes(), label);
        }
        listed.add(b"112", Label::Withheld);
        assert_eq!(listed.label(b"112"), Some(Label::Emergency));
        assert_eq!(listed.label(b"1571"), Some(Label::Voicemail));
        assert_eq!(listed.label(b"5"), Some(Label::Short));
        for number in ["", "1", "11", "113", "1120", "07700900112", "+112"] {
            assert_eq!(listed.label(number.as_bytes()), None, "{number}");
        }
    }
}
