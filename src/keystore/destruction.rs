//! Takes a key away for good: the tombstone in the keyring file, and the bytes of the key's own file.
//!
//! Order: [`mark`] the entry, tell whoever has to know, [`wipe`] the file, [`unname`] the material. A marked entry
//! that still names its material is refused by every load, so a crash in between leaves no half truth, and each
//! step may be done again. The text is edited in place: comments and layout are the security team's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::material::{self, Kind, Material, Origin};
use super::{KeySettings, KeyringFile, outline, parse, read};
use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::keyring::{Epoch, Status, fingerprint};
use crate::pseudonym::mac::Kcv;
use crate::settings::{Fault, Source};

/// A key as the keyring file has it, before it is destroyed.
#[derive(Debug)]
pub struct Candidate {
    /// Its epoch; the key check value is the one written down.
    pub epoch: Epoch,
    /// For how long after its window late records may still come.
    pub late_window: Duration,
    /// Of the keyring as it stands.
    pub fingerprint: String,
    /// What the list shows as its source.
    pub source: String,
    /// Where its bytes are.
    pub kept: Kept,
}

/// Where a key's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In a file that can be wiped.
    File(PathBuf),
    /// With systemd or behind a command: people have to empty the source.
    Elsewhere,
    /// Nowhere: a token makes them again whenever it is asked, for as long as it has the root.
    Derived(Root),
    /// No material is named: a tombstone.
    Nowhere,
}

/// The root a key is derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// As the keyring calls it.
    pub name: String,
    /// Other epochs, not destroyed, whose keys need it.
    pub needed_by: Vec<String>,
}

/// The entry of this id, if there is one; reads no key, runs no command and opens no token.
///
/// # Errors
///
/// Faults of the keyring file.
pub fn candidate(path: &Path, id: EpochId) -> Result<Option<Candidate>, Vec<Fault>> {
    let outline = outline(path)?;
    let source = read(path).map_err(|fault| vec![fault])?;
    let file = parse(&source).map_err(|fault| vec![fault])?;
    let Some(at) = place_of(&source, &file, id).map_err(|fault| vec![fault])? else {
        return Ok(None);
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let kept = match file.key[at].as_ref().material.as_ref().map(Spanned::as_ref) {
        None => Kept::Nowhere,
        Some(Material::Kept(Origin::File(name))) => Kept::File(folder.join(name)),
        Some(Material::Kept(Origin::Credential(_) | Origin::Exec(_))) => Kept::Elsewhere,
        Some(Material::Derived(root)) => {
            let keys = file.key.iter().map(Spanned::as_ref);
            let others = keys.filter(|key| {
                let needs_it = key.root() == Some(root.as_str()) && key.status() != Status::Destroyed;
                needs_it && key.id.as_ref() != id.as_str()
            });
            Kept::Derived(Root {
                name: root.clone(),
                needed_by: others.map(|key| key.id.as_ref().clone()).collect(),
            })
        }
    };
    let fingerprint = fingerprint(&outline.epochs, outline.overlap);
    let mut listed = outline.epochs.into_iter().zip(outline.sources);
    let listed = listed.find(|(epoch, _)| *epoch.id() == id);
    Ok(listed.map(|(epoch, source)| Candidate {
        epoch,
        late_window: outline.late_window,
        fingerprint,
        source,
        kept,
    }))
}

/// What lies in a key's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A key with this check value.
    Key(Kcv),
    /// No file.
    Gone,
    /// Something that is no key, or cannot be read.
    Other(String),
}

/// Looks into a key's file, whatever its mode: one that others can read is to be destroyed all the more.
pub fn content(path: &Path) -> Content {
    if matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Content::Gone;
    }
    let opened = material::open_regular(path, Kind::Key);
    let bytes = opened.and_then(|(file, _)| material::read_limited(file, Kind::Key));
    match bytes {
        Ok(bytes) => match material::parse(&bytes) {
            Ok(key) => Content::Key(key.kcv()),
            Err(weakness) => Content::Other(weakness.to_string()),
        },
        Err(message) => Content::Other(message),
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiped {
    /// Overwritten, and its name removed.
    Now,
    /// There was none any more.
    WasGone,
}

/// Overwrites a file with zeros, down to the disk, and removes it. What a disk keeps elsewhere (snapshots,
/// backups, an SSD's spare blocks) is out of reach.
///
/// # Errors
///
/// What the file system says.
pub fn wipe(path: &Path) -> io::Result<Wiped> {
    let open = |options: &mut OpenOptions| {
        options
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
    };
    let reader = match open(OpenOptions::new().read(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Wiped::WasGone),
        opened => opened?,
    };
    let seen = reader.metadata()?;
    if !seen.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    // A key file is mode 0400; its owner may change that, and only then write.
    reader.set_permissions(fs::Permissions::from_mode(0o600))?;
    let mut file = open(OpenOptions::new().write(true))?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (seen.dev(), seen.ino()) {
        return Err(io::Error::other("was exchanged in this moment: try again"));
    }
    let length = usize::try_from(seen.len()).map_err(io::Error::other)?;
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    sync_folder(path)?;
    Ok(Wiped::Now)
}

/// Sets `status = "destroyed"`.
///
/// # Errors
///
/// [`Fault`] when the file cannot be written, or the entry's form is one only people can edit.
pub fn mark(path: &Path, id: EpochId) -> Result<(), Fault> {
    write(path, edited(&read(path)?, id, &MARK)?)
}

/// Removes the entry's `material`.
///
/// # Errors
///
/// As [`mark`].
pub fn unname(path: &Path, id: EpochId) -> Result<(), Fault> {
    write(path, edited(&read(path)?, id, &UNNAME)?)
}

/// Whether [`mark`] and [`unname`] can edit the entry, before anything is done.
///
/// # Errors
///
/// As [`mark`].
pub fn editable(path: &Path, id: EpochId) -> Result<(), Fault> {
    let source = read(path)?;
    for edit in [&MARK, &UNNAME] {
        edited(&source, id, edit)?;
    }
    Ok(())
}

/// An edit of an entry's text, and what it does to the entry's meaning.
struct Edit {
    text: fn(&str, &KeySettings) -> Option<String>,
    meaning: fn(&mut Meaning),
}

const MARK: Edit = Edit {
    text: |text, settings| Some(marked(text, settings)),
    meaning: |meaning| meaning.status = Status::Destroyed,
};
const UNNAME: Edit = Edit {
    text: unnamed,
    meaning: |meaning| meaning.material = None,
};

/// What an entry says, whatever its layout.
#[derive(Debug, PartialEq)]
struct Meaning {
    id: String,
    activate_at: String,
    material: Option<String>,
    kcv: Option<String>,
    status: Status,
}

fn meanings(file: &KeyringFile) -> Vec<Meaning> {
    let meaning = |key: &Spanned<KeySettings>| {
        let key = key.as_ref();
        Meaning {
            id: key.id.as_ref().clone(),
            activate_at: key.activate_at.as_ref().to_string(),
            // Only ever compared: it may hold a command's arguments.
            material: key
                .material
                .as_ref()
                .map(|material| format!("{:?}", material.as_ref())),
            kcv: key.kcv.as_ref().map(|kcv| kcv.as_ref().clone()),
            status: key.status(),
        }
    };
    file.key.iter().map(meaning).collect()
}

/// The new text; nothing where the entry says so already.
fn edited(source: &Source, id: EpochId, edit: &Edit) -> Result<Option<String>, Fault> {
    let file = parse(source)?;
    let Some(at) = place_of(source, &file, id)? else {
        return Err(Fault::whole(&source.path, format!("no key \"{id}\" any more")));
    };
    let settings = file.key[at].as_ref();
    let mut expected = meanings(&file);
    (edit.meaning)(&mut expected[at]);
    if expected == meanings(&file) {
        return Ok(None);
    }
    // Any form TOML allows may stand there: what was written is read again before it counts.
    let as_expected = |text: &String| {
        let source = Source {
            path: source.path.clone(),
            text: text.clone(),
        };
        parse(&source).is_ok_and(|file| meanings(&file) == expected)
    };
    match (edit.text)(&source.text, settings).filter(as_expected) {
        Some(text) => Ok(Some(text)),
        None => Err(source.fault(settings.id.span(), format!(
            "key \"{id}\" is written in a form that is not edited here: set status = \"destroyed\" and remove its material by hand, then run this again with --file"
        ))),
    }
}

fn place_of(source: &Source, file: &KeyringFile, id: EpochId) -> Result<Option<usize>, Fault> {
    let of_id = |key: &&Spanned<KeySettings>| key.as_ref().id.as_ref() == id.as_str();
    if let Some(second) = file.key.iter().filter(of_id).nth(1) {
        let message = format!("id \"{id}\" is used twice: an id names one key for ever");
        return Err(source.fault(second.as_ref().id.span(), message));
    }
    Ok(file.key.iter().position(|key| of_id(&key)))
}

fn marked(text: &str, settings: &KeySettings) -> String {
    const DESTROYED: &str = "\"destroyed\"";
    if let Some(status) = &settings.status {
        return spliced(text, status.span(), DESTROYED);
    }
    let line = line_around(text, &settings.id.span());
    let (break_before, break_after) = if text[line.clone()].ends_with("\r\n") {
        ("", "\r\n")
    } else if text[line.clone()].ends_with('\n') {
        ("", "\n")
    } else {
        ("\n", "")
    };
    let new = format!("{break_before}status = {DESTROYED}{break_after}");
    spliced(text, line.end..line.end, &new)
}

/// Without the line of `material`; what is said behind it stays.
fn unnamed(text: &str, settings: &KeySettings) -> Option<String> {
    let span = settings.material.as_ref()?.span();
    let line = line_around(text, &span);
    let (name, space) = text[line.start..span.start].split_once('=')?;
    if name.trim() != "material" || !space.trim().is_empty() {
        return None;
    }
    let behind = text[span.end..line.end].trim_start();
    if behind.is_empty() {
        return Some(spliced(text, line, ""));
    }
    behind
        .starts_with('#')
        .then(|| spliced(text, line.start..line.end - behind.len(), ""))
}

/// The whole lines that a span touches, their last line break too.
fn line_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at + 1);
    start..end
}

fn spliced(text: &str, range: Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..range.start], &text[range.end..])
}

fn write(path: &Path, text: Option<String>) -> Result<(), Fault> {
    let written = text.map_or(Ok(()), |text| replace(path, &text));
    written.map_err(|error| Fault::whole(path, format!("cannot be written: {error}")))
}

/// A reader sees the old text or the new, and a crash leaves one of both; owner and mode stay.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Where the keyring is a link, the file behind it is the one to change.
    let path = path.canonicalize()?;
    let before = fs::metadata(&path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(".keyring").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let made = file.as_file().metadata()?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
    }
    file.as_file().set_permissions(before.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|refused| refused.error)?;
    sync_folder(&path)
}

/// A rename or removal is on the disk only when its folder is.
fn sync_folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str =
        "version = 1\n# ours\n\n[[key]] # first\nid = \"a\" # name\nactivate_at = 2026-11-01T00:00:00Z\n";
    const NEXT: &str = "\n[[key]]\nid = \"b\"\nactivate_at = 2026-12-01T00:00:00Z\nmaterial = { file = \"b.key\" }\nstatus = \"enabled\"\n";

    fn id(text: &str) -> EpochId {
        text.parse().unwrap()
    }

    /// Marks and unnames `a` in a keyring of this text.
    fn destroyed(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let done = editable(&path, id("a"))
            .and_then(|()| mark(&path, id("a")))
            .and_then(|()| unname(&path, id("a")));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        let now = fs::read_to_string(&path).unwrap();
        match done {
            Ok(()) => Ok(now),
            // Nothing was begun that cannot be finished.
            Err(_) if now != text => Ok(now),
            Err(fault) => Err(fault
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")),
        }
    }

    #[test]
    fn the_entry_changes_and_nothing_around_it() {
        let tombstone = |status: &str, rest: &str| {
            let open = OPEN.replace("# name\n", &format!("# name\n{status}"));
            format!("{open}{rest}{NEXT}")
        };
        let set = "status = \"destroyed\"\n";
        for (entry, expected) in [
            (
                "material = { file = \"a.key\" }\nkcv = \"00000000\"\nstatus = \"enabled\" # ok\n",
                tombstone("", "kcv = \"00000000\"\nstatus = \"destroyed\" # ok\n"),
            ),
            ("material = { file = \"a.key\" }\n", tombstone(set, "")),
            (
                "  material={credential='x'}   # from systemd\nkcv = \"00000000\"\n",
                tombstone(set, "# from systemd\nkcv = \"00000000\"\n"),
            ),
            (
                "material = { exec = [\n  \"vault\", # ours\n  \"read\",\n] }\nkcv = \"00000000\"\n",
                tombstone(set, "kcv = \"00000000\"\n"),
            ),
            (
                "material = { file = \"b.key\" }\nstatus = 'compromised'\n",
                tombstone("", set),
            ),
            (set, tombstone("", set)),
        ] {
            assert_eq!(
                destroyed(&format!("{OPEN}{entry}{NEXT}")).as_ref(),
                Ok(&expected),
                "{entry}"
            );
            let windows = format!("{OPEN}{entry}{NEXT}").replace('\n', "\r\n");
            assert_eq!(destroyed(&windows), Ok(expected.replace('\n', "\r\n")), "{entry}");
        }
        let last = "version = 1\n[[key]]\nactivate_at = 2026-11-01T00:00:00Z\nmaterial = { file = \"a\" }\nid = \"a\"";
        let end =
            "version = 1\n[[key]]\nactivate_at = 2026-11-01T00:00:00Z\nid = \"a\"\nstatus = \"destroyed\"";
        assert_eq!(destroyed(last).as_deref(), Ok(end));
    }

    #[test]
    fn a_form_that_is_not_edited_is_left_to_people() {
        for (text, place) in [
            (
                "version = 1\nkey = [{ id = \"a\", activate_at = 2026-11-01T00:00:00Z, material = { file = \"a\" } }]\n",
                "k.toml:2:15",
            ),
            (&format!("{OPEN}[key.material]\nfile = \"a\"\n"), "k.toml:5:6"),
            (&format!("{OPEN}material.file = \"a\"\n"), "k.toml:5:6"),
        ] {
            let refused = destroyed(text).unwrap_err();
            assert!(
                refused.starts_with(&format!("{place}: key \"a\" is written in a form")),
                "{refused}"
            );
        }
        let twice = format!("{OPEN}{}", NEXT.replace("\"b\"", "\"a\""));
        assert!(
            destroyed(&twice)
                .unwrap_err()
                .starts_with("k.toml:9:6: id \"a\" is used twice")
        );
    }

    #[test]
    fn a_file_is_overwritten_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.key"), "0123456789abcdef\n").unwrap();
        fs::set_permissions(at("a.key"), fs::Permissions::from_mode(0o400)).unwrap();
        fs::hard_link(at("a.key"), at("copy")).unwrap();
        std::os::unix::fs::symlink("copy", at("link")).unwrap();
        assert!(wipe(&at("link")).is_err(), "a link may point anywhere");
        assert!(wipe(folder.path()).is_err());
        assert_eq!(wipe(&at("a.key")).unwrap(), Wiped::Now);
        assert_eq!(fs::read(at("copy")).unwrap(), [0; 17]);
        assert_eq!(wipe(&at("a.key")).unwrap(), Wiped::WasGone);
    }
}
