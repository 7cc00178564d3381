//! Numbers that mean something else than a subscriber, by their whole spelling:
//! emergency, voicemail, and what stands for a withheld number.

use crate::number::Label;

/// A short list, looked at for every number: almost none is compared.
#[derive(Default)]
pub(crate) struct Listed {
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
