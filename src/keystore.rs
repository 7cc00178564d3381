//! Reads `keyring.toml` and the key material it names into a checked keyring.
//!
//! Invariant: material that is weak, readable by others, doubled or not the
//! one whose check value was written down never becomes a key; every fault is
//! reported at once, at its line, and shows nothing of the material.

pub mod destruction;
mod epochs;
mod material;
pub mod roots;
mod snapshot;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

pub use self::material::is_missing_credential;
pub use self::snapshot::ContentHash;
use crate::keystore::epochs::EpochSettings;
pub use crate::keystore::epochs::OverlapPlaces;
use crate::keystore::material::{Bytes, Kind, Material, Missing, Outside};
use crate::keystore::roots::{RootInUse, RootSettings};
use crate::keystore::snapshot::Snapshot;
use crate::pseudonym::edit::EditRefused;
use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::keyring::{self, Epoch, KeyEntry, Keyring, KeyringFault, Overlap, Status, faults};
use crate::pseudonym::mac::{EpochKey, Kcv};
use crate::settings::{Fault, Source};

/// A keyring that was read, with what is worth knowing about where it came from.
#[derive(Debug)]
pub struct LoadedKeyring {
    /// The checked keyring.
    pub keyring: Arc<Keyring>,
    /// What [`content_hash`] gives for as long as nothing changes.
    pub content_hash: ContentHash,
    /// Where each key's material comes from, in the keyring's order: `file 2026-11.key`,
    /// `credential cdr-key`, `exec vault`, `pkcs11:token/label`, or `-` when destroyed.
    pub sources: Vec<String>,
    /// The roots in tokens that keys are derived from.
    pub roots: Vec<RootInUse>,
    /// Where each key's `activate_at` is written, in the keyring's order, to say something of it.
    pub starts: Vec<Fault>,
    /// Where the overlap is written, to say something of it.
    pub overlap: OverlapPlaces,
    /// For how long after its window a key is needed for late records, those of the next epoch's overlap too.
    pub late_window: Duration,
    /// What is allowed but should be looked at.
    pub warnings: Vec<Fault>,
}

impl LoadedKeyring {
    /// Why it may not replace the running one, at the line that says so.
    pub fn refusal(&self, path: &Path, refused: &EditRefused) -> Fault {
        refusal(path, self.keyring.epochs(), &self.starts, &self.overlap, refused)
    }
}

fn refusal(
    path: &Path,
    epochs: &[Epoch],
    starts: &[Fault],
    overlap: &OverlapPlaces,
    refused: &EditRefused,
) -> Fault {
    let at = epochs.iter().position(|epoch| Some(*epoch.id()) == refused.id());
    let place = match refused {
        EditRefused::Overlap(_) => overlap.overlap.as_ref(),
        EditRefused::SealPrevious(_) => overlap.seal_previous.as_ref(),
        _ => at.and_then(|at| starts.get(at)),
    };
    match place {
        Some(place) => place.saying(refused.to_string()),
        // What is gone has no line.
        None => Fault::whole(path, refused.to_string()),
    }
}

/// Reads and checks a keyring file; runs its `exec` commands and has tokens derive its keys (each command and each
/// root at most 10 s, one after the other).
///
/// # Errors
///
/// Every fault found, each with its place in the keyring file.
pub fn load(path: &Path) -> Result<LoadedKeyring, Vec<Fault>> {
    load_from(path, &Outside::from_environment())
}

/// The hash of what lies there now, for noticing an edit by path: a Kubernetes
/// secret is swapped under an unchanged name. Runs no command; unreadable or
/// refused files have a hash too, so that repairing them is noticed.
pub fn content_hash(path: &Path) -> ContentHash {
    Snapshot::read(path, &Outside::from_environment()).hash()
}

/// What a keyring file says of its keys, whether or not they can be read.
#[derive(Debug, Default)]
pub struct Outline {
    /// The epochs in order of time; their key check values are those written down.
    pub epochs: Vec<Epoch>,
    /// Where each one's material comes from.
    pub sources: Vec<String>,
    /// Where each one's `activate_at` is written.
    starts: Vec<Fault>,
    /// What is wrong with each one's material; empty unless it was looked at.
    pub faults: Vec<Option<String>>,
    /// What stands beside the tokens of each one.
    pub overlap: Overlap,
    places: OverlapPlaces,
    /// For how long after its window a key is needed for late records, those of the next epoch's overlap too.
    pub late_window: Duration,
}

impl Outline {
    /// As [`LoadedKeyring::refusal`].
    pub fn refusal(&self, path: &Path, refused: &EditRefused) -> Fault {
        refusal(path, &self.epochs, &self.starts, &self.places, refused)
    }
}

/// Reads a keyring file alone: no material, no command, no token.
///
/// # Errors
///
/// Faults of the file itself, each with its place.
pub fn outline(path: &Path) -> Result<Outline, Vec<Fault>> {
    let source = read(path).map_err(|fault| vec![fault])?;
    let file = parse(&source).map_err(|fault| vec![fault])?;
    let mut found = Vec::new();
    let entries = written_entries(&source, &file, &mut found);
    outlined(&source, &file, entries, found)
}

/// As [`outline`], with every fault that shows without the keys: what it refuses does not load anywhere.
///
/// # Errors
///
/// As [`outline`], and entries that contradict themselves or each other.
pub fn outline_strictly(path: &Path) -> Result<Outline, Vec<Fault>> {
    let source = read(path).map_err(|fault| vec![fault])?;
    let file = parse(&source).map_err(|fault| vec![fault])?;
    let mut found = Vec::new();
    let entries = written_entries(&source, &file, &mut found);
    for (entry, settings) in &entries {
        found.extend(checked_kcv(&source, settings, None).err());
        let destroyed = entry.status == Status::Destroyed;
        if let Some(material) = settings.material.as_ref().filter(|_| destroyed) {
            found.push(named_though_destroyed(&source, settings, material));
        } else if settings.kcv.is_none() && !destroyed {
            let message = format!(
                "key \"{}\" has no kcv: `cdrveil keys check` where the key is tells it",
                entry.id
            );
            found.push(source.fault(settings.id.span(), message));
        }
    }
    found.extend(roots::faults(&source, &file));
    let known: Vec<KeyEntry> = entries.iter().map(|(entry, _)| entry.clone()).collect();
    for fault in keyring::faults(&known) {
        match entries.get(fault.entry) {
            // The key was not looked for.
            Some((_, settings))
                if matches!(fault.fault, KeyringFault::NoMaterial(_)) && settings.material.is_some() => {}
            Some((_, settings)) => {
                found.push(source.fault(settings.span_of(&fault.fault), fault.to_string()));
            }
            None if found.is_empty() => found.push(source.fault(file.version.span(), fault.to_string())),
            None => {}
        }
    }
    outlined(&source, &file, entries, found)
}

/// The entries as written, without their keys; those that cannot be placed in time are faults.
fn written_entries<'a>(
    source: &Source,
    file: &'a KeyringFile,
    found: &mut Vec<Fault>,
) -> Vec<(KeyEntry, &'a KeySettings)> {
    let mut read = Vec::new();
    for key in &file.key {
        let settings = key.as_ref();
        let id = note(found, checked_id(source, settings));
        let activate_at = note(found, checked_start(source, settings));
        if let (Some(id), Some(activate_at)) = (id, activate_at) {
            let entry = KeyEntry {
                id,
                activate_at,
                status: settings.status(),
                kcv: settings.kcv.as_ref().and_then(|kcv| kcv.as_ref().parse().ok()),
                key: None,
            };
            read.push((entry, settings));
        }
    }
    read
}

fn outlined(
    source: &Source,
    file: &KeyringFile,
    mut entries: Vec<(KeyEntry, &KeySettings)>,
    mut found: Vec<Fault>,
) -> Result<Outline, Vec<Fault>> {
    let overlap = note(&mut found, file.epochs.overlap(source)).unwrap_or_default();
    if !found.is_empty() {
        return Err(found);
    }
    entries.sort_by_key(|(entry, _)| entry.activate_at);
    let sources = entries
        .iter()
        .map(|(_, settings)| settings.source_text(file))
        .collect();
    let start = |(_, settings): &(_, &KeySettings)| source.fault(settings.activate_at.span(), "");
    let starts = entries.iter().map(start).collect();
    let entries = entries.into_iter().map(|(entry, _)| entry).collect();
    Ok(Outline {
        epochs: keyring::outline(entries),
        sources,
        starts,
        faults: Vec::new(),
        overlap,
        places: file.epochs.places(source),
        late_window: file.epochs.late_window(),
    })
}

/// As [`outline`], with a look at each key's material; runs `exec` commands and opens tokens.
///
/// # Errors
///
/// As [`outline`].
pub fn look(path: &Path) -> Result<Outline, Vec<Fault>> {
    let outside = Outside::from_environment();
    let mut outline = outline(path)?;
    let mut snapshot = Snapshot::read(path, &outside);
    snapshot.derive(&outside);
    let (Ok(source), Ok(file)) = (&snapshot.source, &snapshot.file) else {
        return Ok(outline);
    };
    let fault_of = |epoch: &Epoch| {
        let of_id = |key: &Spanned<KeySettings>| key.as_ref().id.as_ref() == epoch.id().as_str();
        let at = file.key.iter().position(of_id)?;
        let entry = checked(source, &file.key[at], snapshot.materials[at].as_ref(), &outside);
        match entry {
            Ok(entry) => keyring::own_faults(&entry).map(|fault| fault.to_string()),
            Err(faults) => faults.first().map(|fault| fault.message().to_owned()),
        }
    };
    outline.faults = outline.epochs.iter().map(fault_of).collect();
    Ok(outline)
}

fn load_from(path: &Path, outside: &Outside) -> Result<LoadedKeyring, Vec<Fault>> {
    let mut snapshot = Snapshot::read(path, outside);
    let content_hash = snapshot.hash();
    snapshot.derive(outside);
    let (source, file) = match (&snapshot.source, &snapshot.file) {
        (Ok(source), Ok(file)) => (source, file),
        (Err(fault), _) | (_, Err(fault)) => return Err(vec![fault.clone()]),
    };
    let mut found = roots::faults(source, file);
    let mut read = Vec::new();
    for (at, key) in file.key.iter().enumerate() {
        match checked(source, key, snapshot.materials[at].as_ref(), outside) {
            Ok(entry) => read.push((entry, key.as_ref())),
            // What is wrong with a root is told once, not for each of its keys.
            Err(faults) => {
                for fault in faults {
                    if !found.contains(&fault) {
                        found.push(fault);
                    }
                }
            }
        }
    }
    if !read.is_empty() || found.is_empty() {
        let entries: Vec<KeyEntry> = read.iter().map(|(entry, _)| entry.clone()).collect();
        for fault in faults(&entries) {
            found.push(match read.get(fault.entry) {
                Some((_, key)) => source.fault(key.span_of(&fault.fault), fault.to_string()),
                // No entry is to blame: there is none.
                None => source.fault(file.version.span(), fault.to_string()),
            });
        }
    }
    let overlap = note(&mut found, file.epochs.overlap(source)).unwrap_or_default();
    if !found.is_empty() {
        return Err(found);
    }
    read.sort_by_key(|(entry, _)| entry.activate_at);
    let sources = read.iter().map(|(_, key)| key.source_text(file)).collect();
    let start = |(_, key): &(_, &KeySettings)| source.fault(key.activate_at.span(), "");
    let starts = read.iter().map(start).collect();
    let entries = read.into_iter().map(|(entry, _)| entry).collect();
    let keyring = Keyring::new(entries).map_err(|fault| vec![Fault::whole(path, fault.to_string())])?;
    Ok(LoadedKeyring {
        keyring: Arc::new(keyring.overlapping(overlap)),
        content_hash,
        sources,
        roots: roots::in_use(file),
        starts,
        overlap: file.epochs.places(source),
        late_window: file.epochs.late_window(),
        warnings: material::loose_permissions(path).into_iter().collect(),
    })
}

/// `keyring.toml` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringFile {
    version: Spanned<u32>,
    #[serde(default)]
    epochs: EpochSettings,
    #[serde(default)]
    root: Vec<RootSettings>,
    #[serde(default)]
    key: Vec<Spanned<KeySettings>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySettings {
    id: Spanned<String>,
    activate_at: Spanned<Datetime>,
    material: Option<Spanned<Material>>,
    kcv: Option<Spanned<String>>,
    status: Option<Spanned<StatusSetting>>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusSetting {
    #[default]
    Enabled,
    Compromised,
    Destroyed,
}

impl From<StatusSetting> for Status {
    fn from(status: StatusSetting) -> Self {
        match status {
            StatusSetting::Enabled => Self::Enabled,
            StatusSetting::Compromised => Self::Compromised,
            StatusSetting::Destroyed => Self::Destroyed,
        }
    }
}

impl KeySettings {
    fn status(&self) -> Status {
        let typed = self.status.as_ref().map(|status| *status.as_ref());
        typed.unwrap_or_default().into()
    }

    fn span_of(&self, fault: &KeyringFault) -> Range<usize> {
        let material = self.material.as_ref().map(Spanned::span);
        let kcv = self.kcv.as_ref().map(Spanned::span);
        match fault {
            KeyringFault::SameStart(..) => self.activate_at.span(),
            KeyringFault::KcvMismatch(..) => kcv.unwrap_or(self.id.span()),
            KeyringFault::SameMaterial(..) => material.unwrap_or(self.id.span()),
            KeyringFault::Empty | KeyringFault::DuplicateId(_) | KeyringFault::NoMaterial(_) => {
                self.id.span()
            }
        }
    }

    fn source_text(&self, file: &KeyringFile) -> String {
        let Some(material) = &self.material else {
            return "-".to_owned();
        };
        match self.root().and_then(|name| roots::named(file, name)) {
            Some(root) => root.source_text(),
            None => material.as_ref().to_string(),
        }
    }
}

fn read(path: &Path) -> Result<Source, Fault> {
    let text = std::fs::read_to_string(path);
    text.map(|text| Source {
        path: path.to_path_buf(),
        text,
    })
    .map_err(|error| {
        let file = path.display();
        Fault::whole(
            path,
            format!(
                "cannot read the keyring: {error}; `cdrveil keys new --keyring {file} > {file}` begins one"
            ),
        )
    })
}

fn parse(source: &Source) -> Result<KeyringFile, Fault> {
    let file: KeyringFile = source.parse()?;
    let version = *file.version.as_ref();
    if version != 1 {
        let message = format!("version {version} is unknown: this cdrveil reads version 1");
        return Err(source.fault(file.version.span(), message));
    }
    Ok(file)
}

/// One entry with everything checked that does not concern the others.
fn checked(
    source: &Source,
    key: &Spanned<KeySettings>,
    still: Option<&Bytes>,
    outside: &Outside,
) -> Result<KeyEntry, Vec<Fault>> {
    let settings = key.as_ref();
    let mut found = Vec::new();
    let id = note(&mut found, checked_id(source, settings));
    let activate_at = note(&mut found, checked_start(source, settings));
    let key = note(&mut found, checked_key(source, settings, still, outside));
    let kcv = note(
        &mut found,
        checked_kcv(source, settings, key.as_ref().and_then(Option::as_ref)),
    );
    match (id, activate_at, key, kcv) {
        (Some(id), Some(activate_at), Some(key), Some(kcv)) => Ok(KeyEntry {
            id,
            activate_at,
            status: settings.status(),
            kcv,
            key,
        }),
        _ => Err(found),
    }
}

fn note<T>(found: &mut Vec<Fault>, result: Result<T, Fault>) -> Option<T> {
    result.map_err(|fault| found.push(fault)).ok()
}

fn checked_id(source: &Source, settings: &KeySettings) -> Result<EpochId, Fault> {
    let id = &settings.id;
    let parsed = id.as_ref().parse::<EpochId>();
    parsed.map_err(|error| source.fault(id.span(), error.to_string()))
}

fn checked_start(source: &Source, settings: &KeySettings) -> Result<EventTime, Fault> {
    let written = &settings.activate_at;
    let fault = |what: &str| {
        let message =
            format!("activate_at {what}: write it as 2026-11-01T00:00:00Z or 2026-11-01T00:00:00+01:00");
        source.fault(written.span(), message)
    };
    let time = written.as_ref();
    if time.date.is_none() || time.time.is_none() {
        return Err(fault("needs a date and a time"));
    }
    if time.offset.is_none() {
        return Err(fault("has no offset, so it names no moment"));
    }
    let moment: jiff::Timestamp = time.to_string().parse().map_err(|_| fault("is not a moment"))?;
    Ok(EventTime::from_millis(moment.as_millisecond()))
}

fn checked_key(
    source: &Source,
    settings: &KeySettings,
    still: Option<&Bytes>,
    outside: &Outside,
) -> Result<Option<EpochKey>, Fault> {
    let id = settings.id.as_ref();
    let Some(material) = &settings.material else {
        return Ok(None);
    };
    let fault = |message: String| source.fault(material.span(), format!("key \"{id}\": {message}"));
    if settings.status() == Status::Destroyed {
        return Err(named_though_destroyed(source, settings, material));
    }
    let ran;
    let bytes = match (still, material.as_ref()) {
        (Some(bytes), _) => bytes,
        (None, Material::Kept(origin)) => {
            let folder = source.path.parent().unwrap_or(Path::new("."));
            ran = origin.run(folder, Kind::Key, outside).map_err(Missing::Said);
            &ran
        }
        (None, Material::Derived(_)) => return Err(fault(format!("{} was not done", material.as_ref()))),
    };
    let bytes = bytes.as_ref().map_err(|missing| match missing {
        Missing::Said(message) => fault(message.clone()),
        Missing::Root(fault) => fault.clone(),
    })?;
    let key =
        material::parse(bytes).map_err(|weakness| fault(format!("{} {weakness}", material.as_ref())))?;
    Ok(Some(key))
}

fn named_though_destroyed(source: &Source, settings: &KeySettings, material: &Spanned<Material>) -> Fault {
    let (id, name) = (settings.id.as_ref(), material.as_ref());
    let message = format!(
        "key \"{id}\": {name} is named but the key is destroyed: `cdrveil keys destroy {id}` wipes the material, then removes this line"
    );
    source.fault(material.span(), message)
}

fn checked_kcv(
    source: &Source,
    settings: &KeySettings,
    key: Option<&EpochKey>,
) -> Result<Option<Kcv>, Fault> {
    let id = settings.id.as_ref();
    match (&settings.kcv, key) {
        (Some(kcv), _) => {
            let parsed = kcv.as_ref().parse().map(Some);
            parsed.map_err(|error| source.fault(kcv.span(), format!("kcv of \"{id}\": {error}")))
        }
        (None, Some(key)) => {
            let kcv = key.kcv();
            let message = format!(
                "key \"{id}\" has no kcv: write kcv = \"{kcv}\" once you are sure that these are the right bytes"
            );
            Err(source.fault(settings.id.span(), message))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
