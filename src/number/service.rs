//! Service codes as they are dialled, and those of them that are helplines.
//!
//! A helpline's digits beside a caller's token say that somebody sought help
//! against violence or despair: they come out as a class only.

use std::fmt;

use crate::number::E164;

/// The digits of a code that is dialled as it stands; its `Debug` shows none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServiceCode {
    digits: [u8; Self::MAX_DIGITS],
    len: u8,
    helpline: bool,
}

impl ServiceCode {
    /// Longer digits are looked at as numbers only.
    pub const MAX_DIGITS: usize = E164::MAX_DIGITS;

    /// From what is dialled in a country (ISO 3166); `None` where it is not 1 to 15 digits.
    pub(crate) fn new(dialled: &[u8], country: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_DIGITS).contains(&dialled.len());
        if !fits || !dialled.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits = [0; Self::MAX_DIGITS];
        digits[..dialled.len()].copy_from_slice(dialled);
        Some(Self {
            digits,
            len: dialled.len() as u8,
            helpline: is_helpline(dialled, country),
        })
    }

    /// The digits.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }

    /// Whether somebody who calls it seeks help.
    pub fn is_helpline(&self) -> bool {
        self.helpline
    }
}

impl fmt::Debug for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceCode({} digits)", self.len)
    }
}

/// Harmonised services of social value (Commission Decision 2007/116/EC; the CEPT
/// countries and others use the range): child helplines, emotional support, victims.
fn is_helpline(dialled: &[u8], country: &str) -> bool {
    if dialled.len() == 6 && dialled.starts_with(b"116") {
        return true;
    }
    let own = HELPLINES.binary_search_by(|(known, _)| (*known).cmp(country));
    own.is_ok_and(|at| HELPLINES[at].1.iter().any(|code| code.as_bytes() == dialled))
}

/// Short helplines of a country beside 116xxx, by ISO 3166 code, as the regulator or the one who answers publishes
/// them. Numbers of full length need no entry: a number's prefix never shows which of a block was called.
#[rustfmt::skip]
static HELPLINES: &[(&str, &[&str])] = &[
    // Telefonseelsorge, Rat auf Draht (RTR, KEM-V)
    ("AT", &["142", "147"]),
    // Lifeline (ACMA)
    ("AU", &["131114"]),
    // Awel, Ecoute-Enfants, Tele-Onthaal, Tele-Accueil, suicide and violence lines (BIPT)
    ("BE", &["102", "103", "106", "107", "1712", "1813"]),
    // human rights, women, Centro de Valorizacao da Vida (Anatel)
    ("BR", &["100", "180", "188"]),
    // suicide crisis (CRTC 2022-234), community services (CRTC 2001-475)
    ("CA", &["211", "988"]),
    // victims of violence (since May 2026), Die Dargebotene Hand, Pro Juventute (BAKOM)
    ("CH", &["142", "143", "147"]),
    // violence against women (leaves no trace on the bill, by law 11/2021), suicide, addictions and others (CNMC)
    ("ES", &["016", "017", "024"]),
    // childhood in danger, suicide, violence, abuse, harassment (ARCEP)
    ("FR", &["119", "3018", "3020", "3114", "3919", "3977"]),
    // health and mental health crisis (Ofcom, National Telephone Numbering Plan)
    ("GB", &["111"]),
    // suicide, women's helpline, children, mental health (DoT)
    ("IN", &["1098", "14416", "181"]),
    // violence and stalking, children, Telefono Azzurro (AGCOM)
    ("IT", &["114", "1522", "19696"]),
    // child abuse (MIC)
    ("JP", &["189"]),
    // suicide, women, youth (MSIT)
    ("KR", &["109", "1366", "1388", "1393"]),
    // suicide prevention (ACM)
    ("NL", &["113"]),
    // mental health (NZ Telecommunications Forum)
    ("NZ", &["1737"]),
    // suicide prevention (Portaria 291/2025)
    ("PT", &["1411"]),
    // mental health (MOH)
    ("SG", &["1771"]),
    // violence and children, suicide, counselling, Lifeline (MOHW)
    ("TW", &["113", "1925", "1980", "1995"]),
    // suicide crisis (FCC 20-100), community services (FCC 00-256)
    ("US", &["211", "988"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helplines_are_known_by_country() {
        for (dialled, country, helpline) in [
            ("116123", "GB", true),
            ("116000", "DE", true),
            ("116117", "XX", true),
            ("1161", "GB", false),
            ("1161234", "GB", false),
            ("118118", "GB", false),
            ("988", "US", true),
            ("988", "GB", false),
            ("3114", "FR", true),
            ("016", "ES", true),
            ("999", "GB", false),
        ] {
            let code = ServiceCode::new(dialled.as_bytes(), country).unwrap();
            assert_eq!(code.is_helpline(), helpline, "{dialled} {country}");
            assert_eq!(code.digits(), dialled.as_bytes());
        }
        assert!(HELPLINES.is_sorted());
    }

    #[test]
    fn only_digits_are_a_code() {
        for dialled in ["", "*43", "+44", "1a", "1234567890123456"] {
            assert_eq!(ServiceCode::new(dialled.as_bytes(), "GB"), None, "{dialled}");
        }
        let shown = format!("{:?}", ServiceCode::new(b"116123", "GB").unwrap());
        assert_eq!(shown, "ServiceCode(6 digits)");
    }
}
