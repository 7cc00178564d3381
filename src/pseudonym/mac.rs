//! The keyed construction of every pseudonym, and the one file that calls
//! `hmac`, `hkdf` and `sha2`.
//!
//! ```text
//! K_epoch = at least 32 random bytes, or HMAC-SHA256(root, "cdrveil/v1/epoch" | lp(epoch id)) by a token
//! K_field = HKDF-Expand-SHA256(K_epoch, "cdrveil/v1/pseudonym" | lp(domain) | lp(kind), 32)
//! message = 0x01 | lp(value)   or 0x02 | lp(served) | lp(value)   or 0x03 | lp(record id) | lp(value)
//! mac     = HMAC-SHA256(K_field, message)[0..16]
//! ```
//!
//! Invariant: a label or a byte changed here is another pseudonym for everybody.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, compress256};
use thiserror::Error;
use zeroize::Zeroize;

use crate::pseudonym::epoch::EpochId;
use crate::secret::{Secret, keep_from_swap};

/// Bytes an epoch key has at least.
pub const MIN_KEY_BYTES: usize = 32;
/// Bytes of the HMAC that a token carries: 128 bits.
pub const MAC_BYTES: usize = 16;

/// Names the whole construction, for those who have to agree on it.
pub const CONSTRUCTION: &str = "cdrveil/v1";

const PSEUDONYM_LABEL: &[u8] = b"cdrveil/v1/pseudonym";
const KCV_LABEL: &[u8] = b"cdrveil/v1/kcv";
const EPOCH_LABEL: &[u8] = b"cdrveil/v1/epoch";

const SCOPE_DOMAIN: u8 = 1;
const SCOPE_PAIRWISE: u8 = 2;
const SCOPE_RECORD: u8 = 3;

const BLOCK: usize = 64;
const DIGEST: usize = 32;
/// Longest value that goes into a message as it is; longer ones are hashed first.
const MAX_LP: usize = 255;
/// A scope byte and two length-prefixed values.
const MAX_MESSAGE: usize = 1 + 2 * (1 + MAX_LP);
/// Longest message that fits a block with its padding.
const ONE_BLOCK: usize = BLOCK - 9;
/// SHA-256's initial hash value (FIPS 180-4, 5.3.3).
const SHA256_START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The key of one epoch: at least 32 secret bytes. A clone holds the same bytes, not others like them.
#[derive(Clone, Debug)]
pub struct EpochKey(Arc<Secret<Vec<u8>>>);

impl EpochKey {
    /// Takes the key's bytes.
    ///
    /// # Errors
    ///
    /// [`KeyTooShort`] below [`MIN_KEY_BYTES`]: HKDF-Expand wants a key as long as the hash (RFC 5869, 2.3).
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, KeyTooShort> {
        if bytes.len() < MIN_KEY_BYTES {
            let length = bytes.len();
            bytes.zeroize();
            return Err(KeyTooShort { bytes: length });
        }
        let key = Self(Arc::new(Secret::new(bytes)));
        keep_from_swap(key.0.expose());
        Ok(key)
    }

    /// The key check value: shown, logged and compared instead of the key.
    pub fn kcv(&self) -> Kcv {
        let mut bytes = [0; 4];
        self.expand(&[KCV_LABEL], &mut bytes);
        Kcv(bytes)
    }

    /// Whether both give the same tokens: equal bytes, or bytes that HMAC takes for equal (it fills a key up with
    /// zeros, and hashes one above 64 bytes: RFC 2104, section 2).
    pub fn same_material(&self, other: &Self) -> bool {
        self.mark().expose() == other.mark().expose()
    }

    /// Equal for keys of the same material, and only for those.
    pub(super) fn mark(&self) -> Secret<[u8; DIGEST]> {
        let mut bytes = [0; DIGEST];
        self.expand(&[KCV_LABEL], &mut bytes);
        let mark = Secret::new(bytes);
        bytes.zeroize();
        mark
    }

    /// The HMAC key of one kind of identifier in one domain.
    fn field_key(&self, domain: &str, kind: &str) -> Secret<[u8; DIGEST]> {
        let mut info = [0; MAX_MESSAGE];
        let mut end = push_lp(&mut info, 0, domain.as_bytes());
        end = push_lp(&mut info, end, kind.as_bytes());
        let mut key = [0; DIGEST];
        self.expand(&[PSEUDONYM_LABEL, &info[..end]], &mut key);
        let secret = Secret::new(key);
        key.zeroize();
        secret
    }

    /// HKDF-Expand (RFC 5869, 2.3) over our own HMAC: the crate's leaves the key on the stack.
    fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        let mac = FieldMac::with_key(self.0.expose());
        let mut message = Vec::new();
        for (at, chunk) in out.chunks_mut(DIGEST).enumerate() {
            message.extend(info.iter().copied().flatten());
            message.push(u8::try_from(at + 1).expect("255 chunks or fewer are asked for"));
            let (mut state, mut block) = (mac.hmac(&message), [0; DIGEST]);
            write_words(&mut block, &state);
            chunk.copy_from_slice(&block[..chunk.len()]);
            message.zeroize();
            message.extend_from_slice(&block);
            state.zeroize();
            block.zeroize();
        }
        message.zeroize();
    }
}

/// What a root is asked to authenticate: its HMAC-SHA256 of this is the key of that epoch.
pub fn derivation_message(epoch: &EpochId) -> Vec<u8> {
    let mut id = [0; 1 + MAX_LP];
    let end = push_lp(&mut id, 0, epoch.as_bytes());
    [EPOCH_LABEL, &id[..end]].concat()
}

/// Key material of fewer than [`MIN_KEY_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key material has {bytes} bytes: {MIN_KEY_BYTES} or more are needed")]
pub struct KeyTooShort {
    /// How many there were.
    pub bytes: usize,
}

/// Key check value: 4 bytes that name a key without telling anything about it; 8 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kcv([u8; 4]);

impl fmt::Display for Kcv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl FromStr for Kcv {
    type Err = KcvInvalid;

    fn from_str(text: &str) -> Result<Self, KcvInvalid> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(KcvInvalid);
        }
        u32::from_str_radix(text, 16)
            .map(|value| Self(value.to_be_bytes()))
            .map_err(|_| KcvInvalid)
    }
}

/// Text that is not a key check value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a key check value is 8 hex digits, as `cdrveil keys new` prints them")]
pub struct KcvInvalid;

/// HMAC-SHA256 keyed for one (epoch, domain, kind).
///
/// The states after the inner and the outer key block are kept, so that a
/// message of up to 55 bytes costs two SHA-256 compressions. No method
/// allocates; clones are cheap, one per lane; wiped when dropped.
#[derive(Clone)]
pub struct FieldMac {
    inner: Secret<State>,
    outer: Secret<State>,
}

/// SHA-256's eight words between two blocks.
type State = [u32; 8];

impl fmt::Debug for FieldMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldMac(..)")
    }
}

impl FieldMac {
    /// Keyed for `kind` in `domain`.
    pub fn new(key: &EpochKey, domain: &str, kind: &str) -> Self {
        Self::with_key(key.field_key(domain, kind).expose())
    }

    /// Scope `domain`: one pseudonym per value in this domain.
    pub fn domain(&self, value: &[u8]) -> [u8; MAC_BYTES] {
        self.scoped(SCOPE_DOMAIN, None, value)
    }

    /// Scope `pairwise`: one pseudonym per value and served party, so that two
    /// served parties show no contact in common.
    pub fn pairwise(&self, served: &[u8], value: &[u8]) -> [u8; MAC_BYTES] {
        self.scoped(SCOPE_PAIRWISE, Some(served), value)
    }

    /// Scope `record`: another pseudonym in every record.
    pub fn record(&self, record_id: &[u8], value: &[u8]) -> [u8; MAC_BYTES] {
        self.scoped(SCOPE_RECORD, Some(record_id), value)
    }

    #[inline]
    fn scoped(&self, scope: u8, context: Option<&[u8]>, value: &[u8]) -> [u8; MAC_BYTES] {
        let length = 1 + context.map_or(0, |context| 1 + context.len()) + 1 + value.len();
        let digest = if length <= ONE_BLOCK {
            // Written straight into its padded block: a buffer between costs a quarter more.
            let mut block = [0; BLOCK];
            let end = write_message(&mut block, scope, context, value);
            let mut state = *self.inner.expose();
            compress_last(&mut state, &mut block, end, BLOCK + end);
            self.finish(&state)
        } else {
            let mut message = [0; MAX_MESSAGE];
            let end = write_message(&mut message, scope, context, value);
            self.hmac(&message[..end])
        };
        let mut mac = [0; MAC_BYTES];
        write_words(&mut mac, &digest);
        mac
    }

    /// RFC 2104 with the two key blocks already compressed.
    fn with_key(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            let mut digest = sha256(key);
            block[..DIGEST].copy_from_slice(&digest);
            digest.zeroize();
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let mac = Self {
            inner: keyed_state(&block, 0x36),
            outer: keyed_state(&block, 0x5c),
        };
        block.zeroize();
        mac
    }

    /// A message of any length.
    fn hmac(&self, message: &[u8]) -> State {
        let mut state = *self.inner.expose();
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        for block in blocks {
            compress(&mut state, block);
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        compress_last(&mut state, &mut block, rest.len(), BLOCK + message.len());
        self.finish(&state)
    }

    fn hmac_bytes(&self, message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; DIGEST];
        write_words(&mut bytes, &self.hmac(message));
        bytes
    }

    /// The outer hash over the inner one's digest.
    #[inline]
    fn finish(&self, inner: &State) -> State {
        let mut block = [0; BLOCK];
        write_words(&mut block[..DIGEST], inner);
        let mut state = *self.outer.expose();
        compress_last(&mut state, &mut block, DIGEST, BLOCK + DIGEST);
        state
    }
}

fn keyed_state(key: &[u8; BLOCK], pad: u8) -> Secret<State> {
    let mut block = key.map(|byte| byte ^ pad);
    let mut state = SHA256_START;
    compress(&mut state, &block);
    block.zeroize();
    let keyed = Secret::new(state);
    state.zeroize();
    keyed
}

#[inline]
fn compress(state: &mut State, block: &[u8; BLOCK]) {
    compress256(state, std::slice::from_ref(block.into()));
}

/// Pads and compresses the last `end` bytes of a message of `length` bytes (FIPS 180-4, 5.1.1).
#[inline]
fn compress_last(state: &mut State, block: &mut [u8; BLOCK], end: usize, length: usize) {
    block[end] = 0x80;
    if end > ONE_BLOCK {
        compress(state, block);
        *block = [0; BLOCK];
    }
    block[BLOCK - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    compress(state, block);
}

/// The state's first words as bytes, as many as fit.
#[inline]
fn write_words(out: &mut [u8], state: &State) {
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

/// Writes `scope | lp(context)? | lp(value)` and returns its length; `out` holds both at full length.
#[inline]
fn write_message(out: &mut [u8], scope: u8, context: Option<&[u8]>, value: &[u8]) -> usize {
    out[0] = scope;
    let mut end = 1;
    if let Some(context) = context {
        end = push_lp(out, end, context);
    }
    push_lp(out, end, value)
}

/// `lp(x)`: one length byte and the bytes; what is longer than 255 is hashed first.
#[inline]
fn push_lp(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    if bytes.len() > MAX_LP {
        return push_lp(out, at, &sha256(bytes));
    }
    out[at] = bytes.len() as u8;
    let end = at + 1 + bytes.len();
    out[at + 1..end].copy_from_slice(bytes);
    end
}

/// SHA-256, for fingerprints and content hashes.
pub fn sha256(bytes: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(bytes).into()
}

/// The program computes wrong MACs on this machine: it must not write a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the cryptographic self-test failed ({0}): this build or machine computes wrong values, do not use it"
)]
pub struct SelfTestFailed(&'static str);

/// Known answers at start, before the first record: a miscompiled or broken
/// machine would give everybody new pseudonyms in silence.
///
/// # Errors
///
/// [`SelfTestFailed`] names the answer that was wrong.
pub fn self_test() -> Result<(), SelfTestFailed> {
    match known_answers().into_iter().find(|(_, right)| !right) {
        Some((name, _)) => Err(SelfTestFailed(name)),
        None => Ok(()),
    }
}

/// Every known answer by name, and whether this machine gives it.
pub fn known_answers() -> [(&'static str, bool); 6] {
    // RFC 4231, test case 2, by both implementations in use.
    let answer = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let message = b"what do ya want for nothing?";
    // RFC 5869, test case 1, expand, by both too.
    let prk = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let okm = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    let info = hex("f0f1f2f3f4f5f6f7f8f9");
    let by_crate = Hkdf::<Sha256>::from_prk(&prk).is_ok_and(|hkdf| {
        let mut out = [0; 42];
        hkdf.expand(&info, &mut out).is_ok() && out.as_slice() == okm
    });
    let expanded = EpochKey::new(prk).map(|key| {
        let mut out = [0; 42];
        key.expand(&[&info], &mut out);
        out
    });
    // "uk mobile" of tests/data/vectors.json.
    let key = EpochKey::new((0..32).collect());
    let mac = key
        .as_ref()
        .map(|key| FieldMac::new(key, "billing", "phone").domain(b"447700900123"));
    let kcv = key.as_ref().map(|key| key.kcv().to_string());
    [
        (
            "RFC 4231 HMAC-SHA256",
            FieldMac::with_key(b"Jefe").hmac_bytes(message) == answer,
        ),
        (
            "RFC 4231 HMAC-SHA256, second implementation",
            reference(b"Jefe", message) == answer,
        ),
        ("RFC 5869 HKDF-SHA256, second implementation", by_crate),
        (
            "RFC 5869 HKDF-SHA256",
            expanded.is_ok_and(|out| out.as_slice() == okm),
        ),
        (
            "token",
            mac.is_ok_and(|mac| mac.as_slice() == hex("8461954d550b6145d898803fad35239f")),
        ),
        ("key check value", kcv.is_ok_and(|kcv| kcv == "19876e35")),
    ]
}

fn reference(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(digits: &str) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(digits.as_bytes())
        .expect("the known answers are written in hex")
}

#[cfg(test)]
mod tests;
