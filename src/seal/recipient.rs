//! Who may open: age recipients (public keys).
//!
//! Invariant: at least one, each usable, none twice; a secret key pasted by
//! mistake is never shown.

use std::io::Write;
use std::sync::Arc;

use age::x25519::Recipient;
use thiserror::Error;

use crate::seal::envelope::KEY_BYTES;

/// The checked recipients of a daemon; clones share them.
#[derive(Debug, Clone)]
pub struct Recipients(Arc<[Recipient]>);

impl Recipients {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Reads age X25519 recipients (`age1...`), as `age-keygen` prints them.
    ///
    /// # Errors
    ///
    /// Every bad one, by its place in the list.
    pub fn parse(texts: &[String]) -> Result<Self, Vec<RecipientError>> {
        if texts.is_empty() {
            return Err(vec![RecipientError::None]);
        }
        let mut good: Vec<(usize, Recipient)> = Vec::new();
        let mut bad = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match parse_one(index, text, &good) {
                Ok(recipient) => good.push((index, recipient)),
                Err(error) => bad.push(error),
            }
        }
        if bad.is_empty() {
            Ok(Self(good.into_iter().map(|(_, recipient)| recipient).collect()))
        } else {
            Err(bad)
        }
    }

    /// The data key as an age file (binary) that each recipient can open.
    pub(super) fn wrap(&self, key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, age::EncryptError> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let mut wrapped = Vec::new();
        let mut writer = age::Encryptor::with_recipients(recipients)?.wrap_output(&mut wrapped)?;
        writer.write_all(key)?;
        writer.finish()?;
        Ok(wrapped)
    }
}

fn parse_one(index: usize, text: &str, earlier: &[(usize, Recipient)]) -> Result<Recipient, RecipientError> {
    if text.to_ascii_uppercase().contains("AGE-SECRET-KEY-") {
        return Err(RecipientError::SecretKey { index });
    }
    let recipient: Recipient = text
        .parse()
        .map_err(|reason| RecipientError::Invalid { index, reason })?;
    match earlier.iter().find(|(_, other)| *other == recipient) {
        Some(&(first, _)) => Err(RecipientError::Duplicate { index, first }),
        None => Ok(recipient),
    }
}

/// What is wrong with a list of recipients. Places count from 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecipientError {
    /// The list is empty.
    #[error(
        "no recipient: nobody could ever open a sealed record; make one with `age-keygen` and name its public key"
    )]
    None,
    /// Not an age X25519 recipient.
    #[error(
        "recipient {} is not an age X25519 recipient ({reason}): it reads \"age1\" and 58 more characters, as `age-keygen` prints it after \"public key:\"", index + 1
    )]
    Invalid {
        /// Its place.
        index: usize,
        /// What the decoder says.
        reason: &'static str,
    },
    /// A secret key where a public one belongs.
    #[error(
        "recipient {} is a SECRET key: it must not lie here; name its public key (\"age1...\") and replace the pair, it was written to a file that is not secret",
        index + 1
    )]
    SecretKey {
        /// Its place.
        index: usize,
    },
    /// The same one twice.
    #[error("recipient {} is the same as recipient {}: remove one of them", index + 1, first + 1)]
    Duplicate {
        /// Its place.
        index: usize,
        /// The place it was seen first.
        first: usize,
    },
}

impl RecipientError {
    /// The place of the recipient at fault; `None` when the list is empty.
    pub fn index(&self) -> Option<usize> {
        match *self {
            Self::None => None,
            Self::Invalid { index, .. } | Self::SecretKey { index } | Self::Duplicate { index, .. } => {
                Some(index)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn each_bad_recipient_is_named_and_no_secret_shown() {
        let identity = age::x25519::Identity::generate();
        let good = identity.to_public().to_string();
        let secret = identity.to_string().expose_secret().to_owned();
        let errors = Recipients::parse(&[good.clone(), "age1nonsense".into(), secret.clone(), good.clone()]);
        let errors = errors.unwrap_err();
        let places: Vec<_> = errors.iter().map(RecipientError::index).collect();
        assert_eq!(places, [Some(1), Some(2), Some(3)]);
        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(
            shown[0].starts_with("recipient 2 is not an age X25519 recipient"),
            "{}",
            shown[0]
        );
        assert!(
            shown[1].starts_with("recipient 3 is a SECRET key"),
            "{}",
            shown[1]
        );
        assert!(
            shown[2].starts_with("recipient 4 is the same as recipient 1"),
            "{}",
            shown[2]
        );
        assert!(!shown.concat().contains(&secret) && !format!("{errors:?}").contains(&secret));
        assert!(Recipients::parse(&[good]).is_ok());
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert_eq!(Recipients::parse(&[]).unwrap_err(), [RecipientError::None]);
    }
}
