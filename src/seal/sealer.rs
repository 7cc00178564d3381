//! Writes envelopes, with the recipients' public keys alone.
//!
//! Invariant: a data key never meets one nonce twice. The counter lives with
//! its key in one session, only goes up, and a session that failed is dropped.

use std::fmt;
use std::time::Duration;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use thiserror::Error;

use crate::seal::envelope::{self, KEY_BYTES};
use crate::seal::recipient::Recipients;
use crate::secret::Secret;

/// Records sealed under one data key at most.
pub const SESSION_RECORDS: u64 = 1 << 20;
/// How long one data key is used at most.
pub const SESSION_TIME: Duration = Duration::from_secs(3600);
/// Epochs with a session at a time: late records and replays mix a few.
const SESSIONS: usize = 4;

/// Seals the records of one lane for one output topic.
///
/// No allocation per record once a session stands and the buffers have grown.
#[derive(Debug)]
pub struct Sealer {
    domain: String,
    recipients: Recipients,
    sessions: Vec<Session>,
    /// Counts seals: which session was used last.
    clock: u64,
    /// Associated data; what is the same for all records stays in front.
    aad: Vec<u8>,
    aad_head: usize,
}

impl Sealer {
    /// A sealer for values written to `topic`.
    ///
    /// # Errors
    ///
    /// [`SealError::TooLong`] for a domain above 255 bytes.
    pub fn new(domain: &str, topic: &str, recipients: Recipients) -> Result<Self, SealError> {
        if domain.len() > usize::from(u8::MAX) || topic.len() > usize::from(u16::MAX) {
            return Err(SealError::TooLong);
        }
        let mut aad = Vec::new();
        envelope::write_aad_head(&mut aad, domain, topic);
        Ok(Self {
            domain: domain.to_owned(),
            recipients,
            sessions: Vec::with_capacity(SESSIONS),
            clock: 0,
            aad_head: aad.len(),
            aad,
        })
    }

    /// Appends the envelope of `plaintext` to `out`.
    ///
    /// `now` is a monotonic time since any fixed point. `epoch` is the
    /// record's epoch id, empty when it was rejected before it had one.
    ///
    /// # Errors
    ///
    /// [`SealError`]; `out` is then as it was.
    pub fn seal(
        &mut self,
        now: Duration,
        epoch: &str,
        record_id: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        if record_id.len() > usize::from(u16::MAX) || epoch.len() > usize::from(u8::MAX) {
            return Err(SealError::TooLong);
        }
        self.aad.truncate(self.aad_head);
        envelope::write_aad_tail(&mut self.aad, record_id, epoch);
        let at = self.session(now, epoch)?;
        self.clock += 1;
        let session = &mut self.sessions[at];
        session.used = self.clock;
        let before = out.len();
        let sealed = session.seal(&self.aad, plaintext, out);
        if sealed.is_err() {
            out.truncate(before);
            self.sessions.swap_remove(at);
        }
        sealed
    }

    /// The place of a session of `epoch` that may take one more record.
    fn session(&mut self, now: Duration, epoch: &str) -> Result<usize, SealError> {
        match self.sessions.iter().position(|session| session.epoch == epoch) {
            Some(at) if self.sessions[at].is_fresh(now) => Ok(at),
            Some(at) => {
                self.sessions[at] = self.begin(now, epoch)?;
                Ok(at)
            }
            None => {
                let session = self.begin(now, epoch)?;
                if self.sessions.len() == SESSIONS {
                    self.drop_least_recently_used();
                }
                self.sessions.push(session);
                Ok(self.sessions.len() - 1)
            }
        }
    }

    fn drop_least_recently_used(&mut self) {
        let oldest = (0..self.sessions.len()).min_by_key(|&at| self.sessions[at].used);
        if let Some(at) = oldest {
            self.sessions.swap_remove(at);
        }
    }

    fn begin(&self, now: Duration, epoch: &str) -> Result<Session, SealError> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| SealError::Random)?;
        let key = Secret::new(bytes);
        zeroize::Zeroize::zeroize(&mut bytes);
        let wrapped = self.recipients.wrap(key.expose()).map_err(|_| SealError::Wrap)?;
        if wrapped.len() > usize::from(u16::MAX) {
            return Err(SealError::TooManyRecipients);
        }
        Ok(Session {
            epoch: epoch.to_owned(),
            header: envelope::header(&wrapped, &self.domain, epoch),
            cipher: Aes256Gcm::new(key.expose().into()),
            started: now,
            records: 0,
            used: 0,
        })
    }
}

/// One data key with its counter.
struct Session {
    epoch: String,
    header: Vec<u8>,
    cipher: Aes256Gcm,
    started: Duration,
    records: u64,
    used: u64,
}

impl Session {
    fn is_fresh(&self, now: Duration) -> bool {
        self.records < SESSION_RECORDS && now.saturating_sub(self.started) < SESSION_TIME
    }

    #[inline]
    fn seal(&mut self, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let nonce = envelope::nonce(self.records);
        // Spent before it is used: an early return cannot use it again.
        self.records += 1;
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self
            .cipher
            .encrypt_inout_detached((&nonce).into(), aad, (&mut out[start..]).into());
        out.extend_from_slice(&tag.map_err(|_| SealError::TooLong)?);
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, records, .. } = self;
        write!(f, "Session({epoch:?}, {records} records)")
    }
}

/// Why nothing was sealed: the record must not be written, the lane stops.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// A part does not fit its length field, or the plaintext exceeds AES-GCM's 64 GiB.
    #[error(
        "a domain or epoch above 255 bytes, a topic or record id above 65,535, or a record above 64 GiB cannot be sealed"
    )]
    TooLong,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a data key")]
    Random,
    /// The data key could not be wrapped.
    #[error("the data key could not be wrapped to the recipients")]
    Wrap,
    /// The wrapped key is longer than its length field can say.
    #[error("too many recipients: the wrapped key exceeds 65,535 bytes (about 500 recipients)")]
    TooManyRecipients,
}
