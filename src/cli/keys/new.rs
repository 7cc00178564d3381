//! `cdrveil keys new`: a key file, and the block that names it.
//!
//! Invariant: key bytes go to a file that is created here and nowhere else, and those
//! a token derives go nowhere; the keyring itself is not written and no file is overwritten.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use zeroize::Zeroize;

use crate::cli::Exit;
use crate::cli::keys::{KeyringPath, event_time, refuse};
use crate::keystore::{outline, roots};
use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::keyring::Epoch;
use crate::pseudonym::mac::{EpochKey, MIN_KEY_BYTES};
use crate::secret::Secret;
use crate::settings::Fault;

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    #[command(flatten)]
    path: KeyringPath,
    /// Name of the epoch, never used again [default: year and month of its start, such as 2026-11]
    #[arg(long)]
    id: Option<EpochId>,
    /// Call time from which the key is used, such as 2026-12-01T00:00:00+01:00
    /// [default: the first of the month after the last key's, in UTC; for the first key, of this month]
    #[arg(long, value_name = "TIME")]
    activate_at: Option<Timestamp>,
    /// Folder for the key file [default: the keyring's]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Have the key derived from this [[root]] of the keyring, by its token: no key file is made
    #[arg(long, value_name = "ROOT", conflicts_with = "dir")]
    derive: Option<String>,
}

pub(super) fn new(
    args: &NewArgs,
    now: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let path = args.path.keyring.as_path();
    // The keys themselves need not be here: they may be with the daemon alone.
    let (text, epochs) = match existing(path) {
        Ok(existing) => existing,
        Err(faults) => return refuse(stderr, &faults),
    };
    let starts = args.activate_at.unwrap_or_else(|| next_start(&epochs, now));
    let Some(id) = args.id.or_else(|| month_id(starts)) else {
        writeln!(stderr, "no id can be made of {starts}: name one with --id")?;
        return Ok(Exit::Usage);
    };
    if let Some(problem) = clash(&epochs, &id, starts) {
        writeln!(stderr, "{}: {problem}", path.display())?;
        return Ok(Exit::Usage);
    }
    // A first key has no moment by which the block has to be there.
    let by = (!epochs.is_empty()).then_some(starts);
    let (material, kcv, made) = if let Some(name) = &args.derive {
        match roots::kcv(path, name, id) {
            Ok(kcv) => (format!("derive = {}", quoted(name)), kcv, Made::Derived),
            Err(faults) => return refuse(stderr, &faults),
        }
    } else {
        match drawn(args, id, stderr)? {
            Ok((file, key)) => {
                let name = quoted(&material_name(&file, folder_of(path)));
                (format!("file = {name}"), key.kcv(), Made::File(file))
            }
            Err(exit) => return Ok(exit),
        }
    };
    // `>> keyring.toml` takes it as it comes.
    writeln!(stdout, "{}", if text.is_empty() { "version = 1\n" } else { "" })?;
    writeln!(stdout, "[[key]]\nid = \"{id}\"\nactivate_at = {starts}")?;
    writeln!(
        stdout,
        "material = {{ {material} }}\nkcv = \"{kcv}\"\nstatus = \"enabled\""
    )?;
    next_steps(stderr, path, &made, by)?;
    if by.is_some_and(|starts| starts <= now) {
        writeln!(
            stderr,
            "note: {starts} is past: a running daemon refuses a new key that begins before its records"
        )?;
    }
    Ok(Exit::Ok)
}

/// Where the new key is.
enum Made {
    File(PathBuf),
    Derived,
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}

/// A key of random bytes and the file it was written to, or how the verb ends.
fn drawn(
    args: &NewArgs,
    id: EpochId,
    stderr: &mut dyn Write,
) -> io::Result<Result<(PathBuf, EpochKey), Exit>> {
    let folder = args
        .dir
        .as_deref()
        .unwrap_or_else(|| folder_of(&args.path.keyring));
    let file = folder.join(format!("{id}.key"));
    let Some(bytes) = random_bytes() else {
        writeln!(
            stderr,
            "the operating system gave no random bytes: no key was made"
        )?;
        return Ok(Err(Exit::Internal));
    };
    if let Err(error) = write_key(&file, &bytes) {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "it is never overwritten, choose another --id or --dir",
            _ => "no key was made",
        };
        writeln!(stderr, "{}: {error}: {hint}", file.display())?;
        return Ok(Err(Exit::Config));
    }
    let key = EpochKey::new(bytes.expose().clone()).expect("32 bytes were drawn");
    Ok(Ok((file, key)))
}

/// The first key of a keyring that is not there yet, in its folder; the keyring's text.
///
/// # Errors
///
/// What was in the way.
pub(in crate::cli) fn first(keyring: &Path, now: Timestamp) -> Result<String, String> {
    let args = NewArgs {
        path: KeyringPath {
            keyring: keyring.to_owned(),
        },
        id: None,
        activate_at: None,
        dir: None,
        derive: None,
    };
    let (mut text, mut said) = (Vec::new(), Vec::new());
    match new(&args, now, &mut text, &mut said) {
        Ok(Exit::Ok) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(_) => Err(String::from_utf8_lossy(&said).trim_end().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The keyring's text and its epochs; nothing of a file that is absent or empty (`keys new > keyring.toml` makes it so).
fn existing(path: &Path) -> Result<(String, Vec<Epoch>), Vec<Fault>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Default::default()),
        Ok(text) if text.trim().is_empty() => Ok(Default::default()),
        text => outline(path).map(|outline| (text.unwrap_or_default(), outline.epochs)),
    }
}

fn next_start(epochs: &[Epoch], now: Timestamp) -> Timestamp {
    let Some(last) = epochs.last() else {
        return first_of_month(now);
    };
    let last = Timestamp::from_millisecond(last.activate_at().as_millis()).unwrap_or(now);
    following_month(now.max(last))
}

fn first_of_month(time: Timestamp) -> Timestamp {
    midnight(TimeZone::UTC.to_datetime(time).date().first_of_month()).unwrap_or(time)
}

fn following_month(time: Timestamp) -> Timestamp {
    let last_day = TimeZone::UTC.to_datetime(time).date().last_of_month();
    last_day.tomorrow().ok().and_then(midnight).unwrap_or(time)
}

fn midnight(date: Date) -> Option<Timestamp> {
    let zoned = date.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

fn month_id(starts: Timestamp) -> Option<EpochId> {
    // A start at local midnight east of Greenwich lies in the UTC month before;
    // half a day later names the month that was meant.
    let meant = starts
        .checked_add(jiff::SignedDuration::from_hours(14))
        .unwrap_or(starts);
    TimeZone::UTC
        .to_datetime(meant)
        .strftime("%Y-%m")
        .to_string()
        .parse()
        .ok()
}

fn clash(epochs: &[Epoch], id: &EpochId, starts: Timestamp) -> Option<String> {
    let same = epochs.iter().find(|epoch| epoch.id() == id);
    let together = epochs
        .iter()
        .find(|epoch| epoch.activate_at() == event_time(starts));
    match (same, together) {
        (Some(_), _) => Some(format!(
            "id \"{id}\" is taken and never used again: choose another with --id"
        )),
        (None, Some(epoch)) => Some(format!(
            "\"{}\" begins at {starts} already: choose another --activate-at",
            epoch.id()
        )),
        (None, None) => None,
    }
}

fn random_bytes() -> Option<Secret<Vec<u8>>> {
    let mut bytes = vec![0; MIN_KEY_BYTES];
    let drawn = getrandom::fill(&mut bytes);
    let bytes = Secret::new(bytes);
    drawn.is_ok().then_some(bytes)
}

fn write_key(path: &Path, bytes: &Secret<Vec<u8>>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)?;
    let mut line = data_encoding::HEXLOWER.encode(bytes.expose());
    line.push('\n');
    let written = file.write_all(line.as_bytes());
    line.zeroize();
    written?;
    file.sync_all()
}

/// The file as the keyring names it: relative to the keyring's folder where it lies in there.
fn material_name(file: &Path, folder: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (file, folder) = (absolute(file), absolute(folder));
    let name = file.strip_prefix(folder).unwrap_or(&file);
    name.display().to_string()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn next_steps(stderr: &mut dyn Write, keyring: &Path, made: &Made, by: Option<Timestamp>) -> io::Result<()> {
    let keyring = keyring.display();
    let before = by.map_or_else(String::new, |starts| format!(", before {starts}"));
    match made {
        Made::File(file) => writeln!(
            stderr,
            "\
wrote {} (mode 0400)
next:
  1. keep a copy where your keys are kept: without it these pseudonyms can never be made again
  2. give the file to every instance, readable by the daemon's user alone",
            file.display()
        ),
        Made::Derived => writeln!(
            stderr,
            "\
the token made the key, and nothing was written
next:
  1. see that the root has a copy in another token: without it these pseudonyms can never be made again
  2. see that every instance reaches a token with this root"
        ),
    }?;
    writeln!(
        stderr,
        "  \
  3. add the block (from stdout) to {keyring} on every instance{before}
  4. cdrveil keys check --keyring {keyring}
running instances take the edit within seconds; nothing restarts"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_id_is_the_month_that_was_meant() {
        for (starts, id) in [
            ("2026-12-01T00:00:00Z", "2026-12"),
            ("2026-12-01T00:00:00+01:00", "2026-12"),
            ("2026-12-01T00:00:00+13:00", "2026-12"),
            ("2026-12-01T00:00:00-11:00", "2026-12"),
            ("2026-12-31T00:00:00Z", "2026-12"),
        ] {
            assert_eq!(
                month_id(starts.parse().unwrap()).unwrap().as_str(),
                id,
                "{starts}"
            );
        }
    }
}
