//! Opens envelopes with age identities.
//!
//! Invariant: what comes out was sealed for exactly this topic, record id,
//! domain and epoch, or nothing comes out.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use thiserror::Error;

use crate::seal::envelope::{self, KEY_BYTES, Malformed, Parts, Place};
use crate::secret::Secret;

/// Data keys kept unwrapped: about what the lanes of a fleet use at a time.
const CACHED_KEYS: usize = 64;

/// Opens what was sealed to one of its identities.
pub struct Opener {
    identities: Vec<Identity>,
    /// Wrapped bytes and their key, the latest last.
    keys: VecDeque<(Vec<u8>, Aes256Gcm)>,
    aad: Vec<u8>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} identities)", self.identities.len())
    }
}

/// An envelope's content.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The domain that sealed it.
    pub domain: String,
    /// The record's epoch id; empty when it was rejected before it had one.
    pub epoch: String,
    /// What was sealed: [`crate::seal::fields`] of a restricted record, the raw bytes of a rejected one.
    pub plaintext: Vec<u8>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.plaintext.len();
        write!(f, "Opened({:?}, {:?}, {bytes} bytes)", self.domain, self.epoch)
    }
}

impl Opener {
    /// A fresh X25519 identity and its recipient, as `age-keygen` makes them: for the demo and tests.
    pub fn new_identity() -> (Secret<String>, String) {
        let identity = Identity::generate();
        let recipient = identity.to_public().to_string();
        (
            Secret::new(identity.to_string().expose_secret().to_owned()),
            recipient,
        )
    }

    /// Reads an age identity file: lines of `AGE-SECRET-KEY-1...`, blank lines and `#` comments.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the line, never its text.
    pub fn from_identity_file(text: &str) -> Result<Self, IdentityError> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut identities = Vec::new();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let identity = line.parse().map_err(|_| IdentityError::Line(at + 1))?;
            identities.push(identity);
        }
        if identities.is_empty() {
            return Err(IdentityError::None);
        }
        Ok(Self {
            identities,
            keys: VecDeque::new(),
            aad: Vec::new(),
        })
    }

    /// Opens the value of a record of `topic` whose key is `record_id`.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; with `expected_domain` also for another domain's envelope.
    pub fn open(
        &mut self,
        topic: &str,
        record_id: &[u8],
        sealed: &[u8],
        expected_domain: Option<&str>,
    ) -> Result<Opened, OpenError> {
        let parts = envelope::parse(sealed).map_err(|malformed| match malformed {
            Malformed::Truncated => OpenError::Truncated,
            Malformed::Version(version) => OpenError::Version(version),
        })?;
        let domain = std::str::from_utf8(parts.domain).map_err(|_| OpenError::Tampered)?;
        let epoch = std::str::from_utf8(parts.epoch).map_err(|_| OpenError::Tampered)?;
        if expected_domain.is_some_and(|expected| expected != domain) {
            return Err(OpenError::Domain(domain.to_owned()));
        }
        if topic.len() > usize::from(u16::MAX) || record_id.len() > usize::from(u16::MAX) {
            return Err(OpenError::Tampered);
        }
        let place = Place {
            domain,
            topic,
            epoch,
            record_id,
        };
        envelope::write_aad(&mut self.aad, &place);
        let plaintext = self.decrypt(&parts)?;
        Ok(Opened {
            domain: domain.to_owned(),
            epoch: epoch.to_owned(),
            plaintext,
        })
    }

    fn decrypt(&mut self, parts: &Parts<'_>) -> Result<Vec<u8>, OpenError> {
        let at = self.key(parts.wrapped)?;
        let (_, cipher) = &self.keys[at];
        let mut plaintext = parts.ciphertext.to_vec();
        cipher
            .decrypt_inout_detached(
                parts.nonce.into(),
                &self.aad,
                plaintext.as_mut_slice().into(),
                parts.tag.into(),
            )
            .map_err(|_| OpenError::Tampered)?;
        Ok(plaintext)
    }

    /// The place of the data key behind these wrapped bytes.
    fn key(&mut self, wrapped: &[u8]) -> Result<usize, OpenError> {
        if let Some(at) = self.keys.iter().rposition(|(known, _)| known == wrapped) {
            return Ok(at);
        }
        let key = unwrap_key(&self.identities, wrapped)?;
        if self.keys.len() == CACHED_KEYS {
            self.keys.pop_front();
        }
        self.keys
            .push_back((wrapped.to_vec(), Aes256Gcm::new(key.expose().into())));
        Ok(self.keys.len() - 1)
    }
}

fn unwrap_key(identities: &[Identity], wrapped: &[u8]) -> Result<Secret<[u8; KEY_BYTES]>, OpenError> {
    let file = age::Decryptor::new_buffered(wrapped).map_err(|_| OpenError::Tampered)?;
    let identities = identities.iter().map(|identity| identity as &dyn age::Identity);
    let mut reader = file.decrypt(identities).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => OpenError::NotARecipient,
        _ => OpenError::Tampered,
    })?;
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    let read = reader.read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|_| OpenError::Tampered)?;
    let key = bytes
        .expose()
        .as_slice()
        .try_into()
        .map_err(|_| OpenError::Tampered)?;
    Ok(Secret::new(key))
}

/// Why an identity file cannot be used; shows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// A line is not an age X25519 identity. Lines count from 1.
    #[error(
        "line {0} is not an age identity: it reads \"AGE-SECRET-KEY-1...\", as `age-keygen` writes it (an encrypted identity file has to be decrypted first: `age -d`)"
    )]
    Line(usize),
    /// There is no identity in it.
    #[error("no identity in the file: make one with `age-keygen`")]
    None,
}

/// Why an envelope does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The bytes end too early to be an envelope.
    #[error("cut short, or not a sealed record")]
    Truncated,
    /// Another layout.
    #[error("layout version {0} is unknown: not a sealed record, or written by a newer cdrveil")]
    Version(u8),
    /// None of the identities is among the recipients.
    #[error("sealed to other recipients: none of the identities fits")]
    NotARecipient,
    /// Another domain sealed it.
    #[error("sealed by the domain \"{0}\", which is not the one expected")]
    Domain(String),
    /// The bytes, or the place they are bound to, were changed.
    #[error("changed, or moved from another topic, record, domain or epoch")]
    Tampered,
}
