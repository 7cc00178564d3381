//! An identifier that was made for one record, and what it is looked for by.

/// What a mark is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A phone number: international digits.
    Phone,
    /// IMSI, IMEI, account: digits.
    Digits,
    /// A name or an address: a word that nothing else holds.
    Word,
}

/// One identifier of a record, made for it.
pub struct Mark {
    pub what: What,
    text: [u8; 24],
    length: usize,
    /// Digits of the country code.
    code: usize,
}

impl Mark {
    pub fn new(what: What, parts: [&[u8]; 2]) -> Self {
        let mut text = [0; 24];
        let (code, length) = (parts[0].len(), parts[0].len() + parts[1].len());
        text[..code].copy_from_slice(parts[0]);
        text[code..length].copy_from_slice(parts[1]);
        Self {
            what,
            text,
            length,
            code,
        }
    }

    pub fn phone(code: &[u8], national: &[u8]) -> Self {
        Self::new(What::Phone, [code, national])
    }

    pub fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// Without the country code.
    pub fn national(&self) -> &[u8] {
        &self.text[self.code..self.length]
    }
}
