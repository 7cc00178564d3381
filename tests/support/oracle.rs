//! What tests know by themselves: tokens and envelopes, made and read a second time from `docs/formats.md`.
//!
//! Nothing here calls the product: a fault in its construction cannot hide behind itself.

use std::io::Read;
use std::str::FromStr;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Which records share a token.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    Domain,
    /// The served party's canonical value.
    Pairwise(&'a str),
    /// The record's id.
    Record(&'a str),
}

/// An epoch's key as its file holds it, and the names that go into a token.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    pub id: &'a str,
    pub key_hex: &'a str,
    pub domain: &'a str,
}

impl Epoch<'_> {
    /// The token of a canonical value.
    pub fn token(&self, kind: &str, scope: Scope<'_>, value: &str) -> String {
        let mut message = Vec::new();
        match scope {
            Scope::Domain => message.push(1),
            Scope::Pairwise(served) => {
                message.push(2);
                message.extend(lp(served.as_bytes()));
            }
            Scope::Record(id) => {
                message.push(3);
                message.extend(lp(id.as_bytes()));
            }
        }
        message.extend(lp(value.as_bytes()));
        let tag = hmac(&self.field_key(kind), &message);
        let base32 = data_encoding::BASE32_NOPAD.encode(&tag[..16]);
        format!("{}.{}", self.id, base32.to_lowercase())
    }

    /// The HMAC key of one kind of identifier.
    pub fn field_key(&self, kind: &str) -> Vec<u8> {
        let key = data_encoding::HEXLOWER.decode(self.key_hex.as_bytes()).unwrap();
        let mut info = b"cdrveil/v1/pseudonym".to_vec();
        info.extend(lp(self.domain.as_bytes()));
        info.extend(lp(kind.as_bytes()));
        info.push(1); // HKDF-Expand of one block (RFC 5869, section 2.3)
        hmac(&key, &info)
    }
}

fn lp(value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) => [&[length], value].concat(),
        Err(_) => [&[32], Sha256::digest(value).as_slice()].concat(),
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// An opened envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    pub domain: String,
    pub epoch: String,
    pub plaintext: Vec<u8>,
}

impl Opened {
    /// The fields of a restricted record: name and value.
    pub fn fields(&self) -> Vec<(String, Vec<u8>)> {
        let mut rest = self.plaintext.as_slice();
        let mut fields = Vec::new();
        while !rest.is_empty() {
            assert!(take(&mut rest, 1)[0] <= 1, "kind");
            let name = u16::from_be_bytes(take(&mut rest, 2).try_into().unwrap());
            let name = String::from_utf8(take(&mut rest, name.into()).to_vec()).unwrap();
            let value = u32::from_be_bytes(take(&mut rest, 4).try_into().unwrap());
            fields.push((name, take(&mut rest, value as usize).to_vec()));
        }
        fields
    }

    /// The reason and the raw bytes of a rejected record.
    pub fn rejected(&self) -> (String, Vec<u8>) {
        let mut rest = self.plaintext.as_slice();
        let length = take(&mut rest, 1)[0];
        let reason = String::from_utf8(take(&mut rest, length.into()).to_vec()).unwrap();
        (reason, rest.to_vec())
    }
}

/// Opens the value of a record of `topic` whose key is `record_id`; `None` when it was not sealed for them.
pub fn open(identity: &str, topic: &str, record_id: &[u8], value: &[u8]) -> Option<Opened> {
    let mut rest = value;
    assert_eq!(take(&mut rest, 1), [1], "layout version");
    let wrapped = u16::from_be_bytes(take(&mut rest, 2).try_into().unwrap());
    let wrapped = take(&mut rest, wrapped.into());
    let domain = take(&mut rest, 1)[0];
    let domain = take(&mut rest, domain.into());
    let epoch = take(&mut rest, 1)[0];
    let epoch = take(&mut rest, epoch.into());
    let nonce: &[u8; 12] = take(&mut rest, 12).try_into().unwrap();
    let mut aad = b"cdrveil/v1/seal".to_vec();
    for part in [domain, topic.as_bytes(), record_id, epoch] {
        aad.extend((part.len() as u16).to_be_bytes());
        aad.extend(part);
    }
    let sealed = Payload { msg: rest, aad: &aad };
    let cipher = Aes256Gcm::new_from_slice(&unwrap_key(identity, wrapped)).unwrap();
    let plaintext = cipher.decrypt(nonce.into(), sealed).ok()?;
    Some(Opened {
        domain: String::from_utf8(domain.to_vec()).unwrap(),
        epoch: String::from_utf8(epoch.to_vec()).unwrap(),
        plaintext,
    })
}

fn unwrap_key(identity: &str, wrapped: &[u8]) -> Vec<u8> {
    let identity = age::x25519::Identity::from_str(identity.trim()).unwrap();
    let file = age::Decryptor::new_buffered(wrapped).unwrap();
    let mut key = Vec::new();
    file.decrypt(std::iter::once(&identity as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut key)
        .unwrap();
    key
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}
