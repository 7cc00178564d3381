//! What a keyring file and all it names said at one moment.
//!
//! Invariant: read once, so that what is hashed and what is used agree.

use std::fmt;
use std::path::Path;

use toml::Spanned;

use super::material::{Bytes, Kind, Material, Missing, Outside};
use super::{KeySettings, KeyringFile, parse, read, roots};
use crate::pseudonym::mac::sha256;
use crate::settings::{Fault, Source};

/// Hash over the keyring file and the `file` and `credential` material and PINs it names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentHash([u8; 32]);

/// A PIN is short enough to be found by its hash.
impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHash(..)")
    }
}

/// All that is read without running anything, once, so that hash and content agree.
pub(super) struct Snapshot {
    pub source: Result<Source, Fault>,
    pub file: Result<KeyringFile, Fault>,
    /// One per entry: the bytes, or why there are none; nothing for `exec` and destroyed keys.
    pub materials: Vec<Option<Bytes>>,
    /// One per root, as `materials`.
    pins: Vec<Option<Bytes>>,
}

impl Snapshot {
    pub fn read(path: &Path, outside: &Outside) -> Self {
        let source = read(path);
        let file = source.clone().and_then(|source| parse(&source));
        let keys = file.as_ref().map_or(&[][..], |file| &file.key);
        let folder = path.parent().unwrap_or(Path::new("."));
        let read = |key: &Spanned<KeySettings>| {
            let Material::Kept(origin) = key.as_ref().material.as_ref()?.as_ref() else {
                return None;
            };
            let read = origin.read_still(folder, Kind::Key, outside)?;
            Some(read.map_err(Missing::Said))
        };
        let materials = keys.iter().map(read).collect();
        let roots = file.as_ref().map_or(&[][..], |file| &file.root);
        let pins = roots.iter().map(|root| root.read_still(folder, outside));
        let pins = pins.collect();
        Self {
            source,
            file,
            materials,
            pins,
        }
    }

    /// Has the tokens make what is derived. It is no part of the hash: it is always the same.
    pub fn derive(&mut self, outside: &Outside) {
        let (Ok(source), Ok(file)) = (&self.source, &self.file) else {
            return;
        };
        let derived = roots::derive(source, file, &self.pins, outside);
        for (material, derived) in self.materials.iter_mut().zip(derived) {
            if derived.is_some() {
                *material = derived;
            }
        }
    }

    pub fn hash(&self) -> ContentHash {
        let mut all = Vec::new();
        match &self.source {
            Ok(source) => all.extend_from_slice(&sha256(source.text.as_bytes())),
            Err(fault) => all.extend_from_slice(&sha256(fault.message().as_bytes())),
        }
        for material in self.materials.iter().chain(&self.pins).flatten() {
            match material {
                Ok(bytes) => all.extend_from_slice(&sha256(bytes.expose())),
                Err(missing) => all.extend_from_slice(&sha256(missing.message().as_bytes())),
            }
        }
        ContentHash(sha256(&all))
    }
}
