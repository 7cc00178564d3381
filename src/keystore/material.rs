//! Key material: where its bytes come from and what they must look like.
//!
//! Invariant: one line of hex, at least 64 digits, that nobody but its owner
//! can read and that looks like a random source's output. Nothing else is a key.
//! What a token derives is brought into the same form (`root`).

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;
use zeroize::Zeroize;

use crate::pseudonym::mac::{EpochKey, MIN_KEY_BYTES};
use crate::secret::Secret;
use crate::settings::{Fault, without_secrets};

/// How long an `exec` command, or a token with all its keys, may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// More than any key: what is longer is something else.
const MAX_BYTES: u64 = 16 * 1024;
/// Fewer distinct values than a random 32 bytes shows in 1e15 tries.
const MIN_DISTINCT: usize = 12;
const STDERR_LINES: usize = 3;

/// What was read, or why nothing was.
pub(super) type Bytes = Result<Secret<Vec<u8>>, Missing>;

/// Why there are no bytes.
pub(super) enum Missing {
    /// What is wrong with their source, said after its name.
    Said(String),
    /// The fault of the root they would be derived from, which many keys may have in common.
    Root(Fault),
}

impl Missing {
    pub fn message(&self) -> &str {
        match self {
            Self::Said(message) => message,
            Self::Root(fault) => fault.message(),
        }
    }
}

/// `material` as typed: exactly one of the four.
#[derive(Debug)]
pub(super) enum Material {
    /// Its bytes are kept somewhere.
    Kept(Origin),
    /// A token makes it from the root of this name.
    Derived(String),
}

/// Where a secret is kept.
#[derive(Debug)]
pub(super) enum Origin {
    /// A file, relative to the keyring file.
    File(PathBuf),
    /// A systemd credential (systemd.exec(5), LoadCredential=).
    Credential(String),
    /// A command and its arguments.
    Exec(Vec<String>),
}

/// What is kept there: messages advise by it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Key,
    Pin,
}

impl Kind {
    fn cure_for_missing(self) -> &'static str {
        match self {
            Self::Key => "put the key there, or make one with `cdrveil keys new`",
            Self::Pin => "put the token's user PIN there (mode 0400)",
        }
    }

    fn cure_for_seen(self) -> &'static str {
        match self {
            Self::Key => "make a new key if anyone could have read it",
            Self::Pin => "change the token's PIN if anyone could have read it",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Key => "a key is one line of hex",
            Self::Pin => "a PIN is one line",
        }
    }
}

impl<'de> Deserialize<'de> for Material {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = MaterialVisitor {
            one_of: "material is one of { file = \"...\" }, { credential = \"...\" }, { exec = [\"...\"] } or { derive = \"...\" }",
            inline: "a key itself",
        };
        deserializer.deserialize_any(visitor)
    }
}

/// `pin` as typed: a secret like the others, and never derived.
impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let one_of = "pin is one of { file = \"...\" }, { credential = \"...\" } or { exec = [\"...\"] }";
        let visitor = MaterialVisitor {
            one_of,
            inline: "a PIN itself",
        };
        match deserializer.deserialize_any(visitor)? {
            Material::Kept(origin) => Ok(origin),
            Material::Derived(_) => Err(de::Error::custom(one_of)),
        }
    }
}

/// By hand, because serde's own messages would show key bytes pasted here by mistake.
struct MaterialVisitor {
    one_of: &'static str,
    inline: &'static str,
}

impl MaterialVisitor {
    fn inline<E: de::Error>(&self) -> E {
        let Self { one_of, inline } = self;
        E::custom(format!("{one_of}; {inline} never stands in the keyring file"))
    }
}

impl<'de> Visitor<'de> for MaterialVisitor {
    type Value = Material;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.one_of)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Material, E> {
        Err(self.inline())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Material, E> {
        Err(self.inline())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Material, A::Error> {
        let wrong = || de::Error::custom(self.one_of);
        let material = match map.next_key::<String>()?.as_deref() {
            Some("file") => Material::Kept(Origin::File(map.next_value()?)),
            Some("credential") => Material::Kept(Origin::Credential(map.next_value()?)),
            Some("exec") => Material::Kept(Origin::Exec(map.next_value::<Words>()?.0)),
            Some("derive") => Material::Derived(map.next_value()?),
            _ => return Err(wrong()),
        };
        match map.next_key::<String>()? {
            None => Ok(material),
            Some(_) => Err(wrong()),
        }
    }
}

/// A command and its arguments, by hand: a whole command in one string may hold a key.
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("exec as a list, one word each: exec = [\"vault\", \"read\", \"...\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(List)
    }
}

/// How it is called in messages and lists; an `exec`'s arguments may hold secrets and are
/// not shown, nor is a key that was written where its file's name belongs.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, name) = match self {
            Self::File(path) => ("file", path.display().to_string()),
            Self::Credential(name) => ("credential", name.clone()),
            Self::Exec(words) => ("exec", words.first().cloned().unwrap_or_default()),
        };
        write!(f, "{source} {}", without_secrets(&name))
    }
}

impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(origin) => origin.fmt(f),
            Self::Derived(root) => write!(f, "derive {}", without_secrets(root)),
        }
    }
}

/// What comes from outside the files.
pub(super) struct Outside {
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    pub time_limit: Duration,
}

impl Outside {
    pub(super) fn from_environment() -> Self {
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            time_limit: TIME_LIMIT,
        }
    }
}

impl Origin {
    /// The bytes of what can be read without running anything; `None` for `exec`.
    pub(super) fn read_still(
        &self,
        folder: &Path,
        kind: Kind,
        outside: &Outside,
    ) -> Option<Result<Secret<Vec<u8>>, String>> {
        let read = match self {
            Self::File(path) => read_file(&folder.join(path), kind),
            Self::Credential(name) => read_credential(name, kind, outside),
            Self::Exec(_) => return None,
        };
        Some(read.map_err(|message| format!("{self} {message}")))
    }

    /// The bytes an `exec` command prints; the other sources as [`Self::read_still`].
    pub(super) fn run(
        &self,
        folder: &Path,
        kind: Kind,
        outside: &Outside,
    ) -> Result<Secret<Vec<u8>>, String> {
        match self {
            Self::Exec(words) => {
                let output = run_command(words, folder, kind, outside.time_limit);
                output.map_err(|message| format!("{self} {message}"))
            }
            Self::File(_) | Self::Credential(_) => self
                .read_still(folder, kind, outside)
                .unwrap_or_else(|| Err(format!("{self} cannot be read"))),
        }
    }
}

fn read_file(path: &Path, kind: Kind) -> Result<Secret<Vec<u8>>, String> {
    let (file, metadata) = open_regular(path, kind)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let cure = kind.cure_for_seen();
        return Err(format!(
            "is open to group or others (mode {mode:04o}): chmod 0400 it, and {cure}"
        ));
    }
    read_limited(file, kind)
}

pub(super) fn open_regular(path: &Path, kind: Kind) -> Result<(File, Metadata), String> {
    // NOFOLLOW: checked and read is one file; NONBLOCK: a pipe does not hang the start.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| {
        if error.raw_os_error() == Some(libc::ELOOP) {
            "is a symlink, which can be pointed elsewhere: name the file itself (in a Kubernetes secret mounted as a folder that is \"..data/NAME\"; only the last part must not be a symlink)".to_owned()
        } else if error.kind() == ErrorKind::NotFound {
            format!("cannot be read: {error}: {}", kind.cure_for_missing())
        } else {
            format!("cannot be read: {error}")
        }
    })?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    Ok((file, metadata))
}

/// Whether a fault is only that a systemd credential is not to be had where this process runs.
pub fn is_missing_credential(fault: &Fault) -> bool {
    let message = fault.message();
    message.contains(": credential ") && message.contains(" cannot be read: ")
}

/// systemd guards the directory itself; the files' group bits may show an ACL's mask.
fn read_credential(name: &str, kind: Kind, outside: &Outside) -> Result<Secret<Vec<u8>>, String> {
    let plain = Path::new(name)
        .components()
        .map(Component::as_os_str)
        .eq([OsStr::new(name)]);
    if !plain || name == "." || name == ".." {
        return Err("is not a plain file name: write the name given to LoadCredential=".to_owned());
    }
    let Some(folder) = &outside.credentials else {
        return Err("cannot be read: $CREDENTIALS_DIRECTORY is not set; start cdrveil by systemd with LoadCredential= or LoadCredentialEncrypted=".to_owned());
    };
    let file = File::open(folder.join(name)).map_err(|error| format!("cannot be read: {error}"))?;
    read_limited(file, kind)
}

pub(super) fn read_limited(file: impl Read, kind: Kind) -> Result<Secret<Vec<u8>>, String> {
    let mut bytes = Vec::with_capacity(256);
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.expose().len() as u64 > MAX_BYTES {
        return Err(format!("is longer than {MAX_BYTES} bytes: {}", kind.shape()));
    }
    Ok(bytes)
}

fn run_command(
    words: &[String],
    folder: &Path,
    kind: Kind,
    limit: Duration,
) -> Result<Secret<Vec<u8>>, String> {
    let [program, arguments @ ..] = words else {
        return Err("names no command".to_owned());
    };
    // A path is relative to the keyring file like every other; a bare name is searched in PATH.
    let program = if program.contains('/') {
        folder.join(program).into_os_string()
    } else {
        program.into()
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let deadline = Instant::now() + limit;
    let stdout = read_aside(child.stdout.take(), kind);
    let stderr = read_aside(child.stderr.take(), kind);
    let finished = (|| {
        let stdout = stdout.recv_timeout(left(deadline)).ok()?;
        let stderr = stderr.recv_timeout(left(deadline)).ok()?;
        let code = wait_until(&mut child, deadline)?;
        Some((stdout, stderr, code))
    })();
    let Some((stdout, stderr, code)) = finished else {
        // Best effort: it may have ended by itself in this moment.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("did not end within {} s", limit.as_secs_f32()));
    };
    if !code.success() {
        let said = stderr.map(|text| first_lines(&text)).unwrap_or_default();
        return Err(format!("failed ({code}){said}"));
    }
    stdout
}

/// Reads a pipe on its own thread, so that neither a full stderr nor a silent stdout can hang us.
fn read_aside(
    pipe: Option<impl Read + Send + 'static>,
    kind: Kind,
) -> mpsc::Receiver<Result<Secret<Vec<u8>>, String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let read = pipe.map_or_else(
            || Err("has no output".to_owned()),
            |pipe| read_limited(pipe, kind),
        );
        // Nobody listens any more after the time limit.
        let _ = sender.send(read);
    });
    receiver
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => return None,
        }
    }
}

fn first_lines(stderr: &Secret<Vec<u8>>) -> String {
    let text = String::from_utf8_lossy(stderr.expose());
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.take(STDERR_LINES).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(": {}", without_secrets(&lines.join(" / ")))
}

/// What is wrong with material, said after its name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Weakness {
    #[error("is empty: `openssl rand -hex 32` or `cdrveil keys new` makes a key")]
    Empty,
    #[error(
        "is not one line of hex digits: nothing else is taken as a key (`openssl rand -hex 32` prints one)"
    )]
    NotHex,
    #[error(
        "has {digits} hex digits: at least 64 (32 bytes) are needed (`openssl rand -hex 32` prints them)"
    )]
    Short { digits: usize },
    #[error("has {digits} hex digits, half a byte too many or too few: it was cut or badly copied")]
    Odd { digits: usize },
    #[error("is not random ({0}): make a key with `openssl rand -hex 32` or `cdrveil keys new`")]
    LowEntropy(&'static str),
}

/// One line of hex as a key.
pub(super) fn parse(bytes: &Secret<Vec<u8>>) -> Result<EpochKey, Weakness> {
    let line = bytes.expose().as_slice();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Weakness::Empty);
    }
    if !line.iter().all(u8::is_ascii_hexdigit) {
        return Err(Weakness::NotHex);
    }
    let digits = line.len();
    if digits < 2 * MIN_KEY_BYTES {
        return Err(Weakness::Short { digits });
    }
    if digits % 2 == 1 {
        return Err(Weakness::Odd { digits });
    }
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(line);
    let mut key = decoded.map_err(|_| Weakness::NotHex)?;
    if let Some(pattern) = pattern(&key) {
        key.zeroize();
        return Err(Weakness::LowEntropy(pattern));
    }
    EpochKey::new(key).map_err(|_| Weakness::Short { digits })
}

/// What no random source would give (each below 1e-12 for 32 random bytes).
fn pattern(key: &[u8]) -> Option<&'static str> {
    let mut seen = [false; 256];
    for &byte in key {
        seen[usize::from(byte)] = true;
    }
    let steps = || key.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    if seen.iter().filter(|&&seen| seen).count() < MIN_DISTINCT {
        return Some("a few byte values repeated");
    }
    if steps().all(|step| Some(step) == steps().next()) {
        return Some("a counting sequence");
    }
    if (1..=key.len() / 2).any(|period| key[period..] == key[..key.len() - period]) {
        return Some("a repeated pattern");
    }
    if key.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return Some("text");
    }
    None
}

/// A keyring file that others may write to: who edits it decides which key is used.
pub(super) fn loose_permissions(path: &Path) -> Option<Fault> {
    let mode = std::fs::metadata(path).ok()?.mode() & 0o777;
    let message = format!("the keyring can be changed by group or others (mode {mode:04o}): chmod go-w it");
    (mode & 0o022 != 0).then(|| Fault::whole(path, message))
}
