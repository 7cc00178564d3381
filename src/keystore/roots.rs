//! Roots: keys in PKCS#11 tokens, of which a token makes the keys of epochs.
//!
//! Invariant: a root stays in its token, and a token is opened only to derive keys: lists of what is
//! written, and comparisons of files, do without it. A fault of a root is told once, at its own line.

#[cfg(feature = "pkcs11")]
mod token;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::material::{Bytes, Kind, Material, Missing, Origin, Outside};
use super::{KeySettings, KeyringFile, checked_id, parse, read};
use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::keyring::Status;
use crate::pseudonym::mac::Kcv;
use crate::secret::Secret;
use crate::settings::{Fault, Source, without_secrets};

/// `[[root]]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootSettings {
    pub name: Spanned<String>,
    pkcs11: Spanned<Pkcs11Settings>,
}

/// Where a root lies, in the words of PKCS#11.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "pkcs11"), allow(dead_code))] // checked all the same
struct Pkcs11Settings {
    module: Spanned<PathBuf>,
    token: Spanned<String>,
    label: Spanned<String>,
    pin: Spanned<Origin>,
}

impl RootSettings {
    /// How lists call it: never with its PIN.
    pub fn source_text(&self) -> String {
        let Pkcs11Settings { token, label, .. } = self.pkcs11.as_ref();
        let (token, label) = (without_secrets(token.as_ref()), without_secrets(label.as_ref()));
        format!("pkcs11:{token}/{label}")
    }

    /// The PIN's bytes where they can be read without running anything; they are part of a content hash.
    pub fn read_still(&self, folder: &Path, outside: &Outside) -> Option<Bytes> {
        let pin = self.pkcs11.as_ref().pin.as_ref();
        let read = pin.read_still(folder, Kind::Pin, outside)?;
        Some(read.map_err(Missing::Said))
    }
}

/// A root that keys of the keyring are derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootInUse {
    /// As the keyring calls it.
    pub name: String,
    /// `pkcs11:<token>/<label>`.
    pub source: String,
    /// Of how many epochs it gives the key.
    pub epochs: usize,
}

pub(super) fn in_use(file: &KeyringFile) -> Vec<RootInUse> {
    let used = |root: &RootSettings| RootInUse {
        name: root.name.as_ref().clone(),
        source: root.source_text(),
        epochs: derived_keys(file, root).count(),
    };
    let roots = file.root.iter().map(used);
    roots.filter(|root| root.epochs > 0).collect()
}

/// The root of this name.
pub(super) fn named<'a>(file: &'a KeyringFile, name: &str) -> Option<&'a RootSettings> {
    file.root.iter().find(|root| root.name.as_ref() == name)
}

/// The keys that are derived from a root, with their places.
fn derived_keys<'a>(
    file: &'a KeyringFile,
    root: &'a RootSettings,
) -> impl Iterator<Item = (usize, &'a KeySettings)> {
    let keys = file.key.iter().map(Spanned::as_ref).enumerate();
    keys.filter(|(_, key)| {
        key.status() != Status::Destroyed && key.root() == Some(root.name.as_ref().as_str())
    })
}

/// What is wrong with the roots and with what refers to them, as far as it shows without a token.
pub(super) fn faults(source: &Source, file: &KeyringFile) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for root in &file.root {
        let name = root.name.as_ref();
        if !names.insert(name) {
            let message = format!("root \"{name}\" stands here twice: keep one of the two");
            found.push(source.fault(root.name.span(), message));
        }
        let Pkcs11Settings { token, label, .. } = root.pkcs11.as_ref();
        for (what, text) in [("name", &root.name), ("token", token), ("label", label)] {
            if text.as_ref().is_empty() || text.as_ref().chars().any(char::is_control) {
                let message = format!("a root's {what} is one line of text, and not empty");
                found.push(source.fault(text.span(), message));
            }
        }
    }
    let keys = file.key.iter().map(Spanned::as_ref);
    found.extend(keys.filter_map(|key| without_root(source, file, key)));
    found
}

/// The fault of a key whose root is not there.
fn without_root(source: &Source, file: &KeyringFile, key: &KeySettings) -> Option<Fault> {
    let name = key.root().filter(|name| named(file, name).is_none())?;
    let material = key.material.as_ref()?;
    Some(source.fault(material.span(), unknown_root(file, name)))
}

fn unknown_root(file: &KeyringFile, name: &str) -> String {
    let known: Vec<String> = file
        .root
        .iter()
        .map(|root| format!("\"{}\"", root.name.as_ref()))
        .collect();
    let known = if known.is_empty() {
        "there is no [[root]] at all".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    let name = without_secrets(name);
    format!(
        "no [[root]] has the name \"{name}\" ({known}): add one, with pkcs11 = {{ module = \"..\", token = \"..\", label = \"..\", pin = {{ .. }} }}"
    )
}

/// The derived keys, each as one line of hex at its entry's place, from one visit to each token.
pub(super) fn derive(
    source: &Source,
    file: &KeyringFile,
    pins: &[Option<Bytes>],
    outside: &Outside,
) -> Vec<Option<Bytes>> {
    let failed = |fault| Some(Err(Missing::Root(fault)));
    let unknown = |key: &Spanned<KeySettings>| without_root(source, file, key.as_ref()).and_then(failed);
    let mut derived: Vec<Option<Bytes>> = file.key.iter().map(unknown).collect();
    for (at, root) in file.root.iter().enumerate() {
        let name = root.name.as_ref();
        if file.root[..at]
            .iter()
            .any(|earlier| earlier.name.as_ref() == name)
        {
            continue;
        }
        let (mut places, mut epochs) = (Vec::new(), Vec::new());
        for (at, key) in derived_keys(file, root) {
            match checked_id(source, key) {
                Ok(id) => {
                    places.push(at);
                    epochs.push(id);
                }
                Err(fault) => derived[at] = failed(fault),
            }
        }
        if epochs.is_empty() {
            continue;
        }
        let asked = Asked {
            source,
            root,
            pin: pins.get(at).and_then(Option::as_ref),
        };
        match asked.keys(&epochs, outside) {
            Ok(keys) => {
                for (at, key) in places.into_iter().zip(keys) {
                    derived[at] = Some(Ok(as_line(&key)));
                }
            }
            Err(fault) => {
                for at in places {
                    derived[at] = failed(fault.clone());
                }
            }
        }
    }
    derived
}

fn as_line(key: &Secret<Vec<u8>>) -> Secret<Vec<u8>> {
    Secret::new(data_encoding::HEXLOWER.encode(key.expose()).into_bytes())
}

/// The check value that an epoch's key has when it is derived from the root of this name; the keyring
/// need not have that epoch yet.
///
/// # Errors
///
/// Faults of the keyring file, of its roots, and what the token says.
pub fn kcv(path: &Path, root: &str, epoch: EpochId) -> Result<Kcv, Vec<Fault>> {
    kcv_from(path, root, epoch, &Outside::from_environment())
}

fn kcv_from(path: &Path, name: &str, epoch: EpochId, outside: &Outside) -> Result<Kcv, Vec<Fault>> {
    let source = read(path).map_err(|fault| vec![fault])?;
    let file = parse(&source).map_err(|fault| vec![fault])?;
    let found = faults(&source, &file);
    if !found.is_empty() {
        return Err(found);
    }
    let Some(root) = named(&file, name) else {
        return Err(vec![Fault::whole(path, unknown_root(&file, name))]);
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let pin = root.read_still(folder, outside);
    let asked = Asked {
        source: &source,
        root,
        pin: pin.as_ref(),
    };
    let keys = asked.keys(&[epoch], outside).map_err(|fault| vec![fault])?;
    let line = keys.first().map(as_line);
    let key = line.and_then(|line| super::material::parse(&line).ok());
    match key {
        Some(key) => Ok(key.kcv()),
        None => Err(vec![asked.fault(&root.name, "its token gave no key")]),
    }
}

/// A root, and what is known of its PIN.
struct Asked<'a> {
    source: &'a Source,
    root: &'a RootSettings,
    #[cfg_attr(not(feature = "pkcs11"), allow(dead_code))] // read all the same
    pin: Option<&'a Bytes>,
}

impl Asked<'_> {
    fn fault<T>(&self, at: &Spanned<T>, message: &str) -> Fault {
        let name = self.root.name.as_ref();
        self.source
            .fault(at.span(), format!("root \"{name}\": {message}"))
    }

    #[cfg(not(feature = "pkcs11"))]
    fn keys(&self, _: &[EpochId], _: &Outside) -> Result<Vec<Secret<Vec<u8>>>, Fault> {
        let Self { pin: _, .. } = self;
        let message = "this program was built without the feature pkcs11, which is on by default: build it with `--features pkcs11`";
        Err(self.fault(&self.root.pkcs11, message))
    }

    /// 32 bytes for each epoch, in their order.
    #[cfg(feature = "pkcs11")]
    fn keys(&self, epochs: &[EpochId], outside: &Outside) -> Result<Vec<Secret<Vec<u8>>>, Fault> {
        let settings = self.root.pkcs11.as_ref();
        let folder = self.source.path.parent().unwrap_or(Path::new("."));
        let module = settings.module.as_ref();
        // The loader would search for a bare name wherever its path leads.
        let module = folder.join(module).canonicalize().map_err(|error| {
            let message = format!(
                "module {} cannot be read: {error}: install the token's PKCS#11 module, or name the place where it is",
                module.display()
            );
            self.fault(&settings.module, &message)
        })?;
        // A pipe would hold up the loader, which no time limit can end.
        if !module.is_file() {
            let message = format!("module {} is no file", module.display());
            return Err(self.fault(&settings.module, &message));
        }
        let ran;
        let pin = if let Some(pin) = self.pin {
            pin
        } else {
            let run = settings.pin.as_ref().run(folder, Kind::Pin, outside);
            ran = run.map_err(Missing::Said);
            &ran
        };
        let pin = match pin {
            Ok(bytes) => token::Pin::parse(bytes).map_err(|weakness| {
                let message = format!("PIN: {} {weakness}", settings.pin.as_ref());
                self.fault(&settings.pin, &message)
            })?,
            Err(Missing::Said(message)) => {
                return Err(self.fault(&settings.pin, &format!("PIN: {message}")));
            }
            Err(Missing::Root(fault)) => return Err(fault.clone()),
        };
        let request = token::Request {
            module,
            token: settings.token.as_ref().clone(),
            label: settings.label.as_ref().clone(),
            pin,
            messages: epochs
                .iter()
                .map(crate::pseudonym::mac::derivation_message)
                .collect(),
        };
        token::macs(request, outside.time_limit).map_err(|(part, message)| match part {
            token::Part::Module => self.fault(&settings.module, &message),
            token::Part::Token => self.fault(&settings.token, &message),
            token::Part::Pin => self.fault(&settings.pin, &message),
            token::Part::Label => self.fault(&settings.label, &message),
        })
    }
}

impl KeySettings {
    /// The root this key is derived from.
    pub(super) fn root(&self) -> Option<&str> {
        match self.material.as_ref()?.as_ref() {
            Material::Derived(name) => Some(name),
            Material::Kept(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
