//! `cdrveil keys new`: a key file, and the block that names it.
//!
//! Invariant: key bytes go to a file that is created here and nowhere else;
//! the keyring itself is not written and no file is overwritten.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use zeroize::Zeroize;

use crate::cli::Exit;
use crate::cli::keys::{KeyringPath, event_time, refuse};
use crate::keystore::load;
use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::keyring::Keyring;
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
}

pub(super) fn new(
    args: &NewArgs,
    now: Timestamp,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<Exit> {
    let path = args.path.keyring.as_path();
    let running = match existing(path) {
        Ok(running) => running,
        Err(faults) => return refuse(stderr, &faults),
    };
    let starts = args
        .activate_at
        .unwrap_or_else(|| next_start(running.as_deref(), now));
    let Some(id) = args.id.or_else(|| month_id(starts)) else {
        writeln!(stderr, "no id can be made of {starts}: name one with --id")?;
        return Ok(Exit::Usage);
    };
    if let Some(problem) = clash(running.as_deref(), &id, starts) {
        writeln!(stderr, "{}: {problem}", path.display())?;
        return Ok(Exit::Usage);
    }
    let folder = args.dir.as_deref().unwrap_or_else(|| folder_of(path));
    let file = folder.join(format!("{id}.key"));
    let Some(bytes) = random_bytes() else {
        writeln!(
            stderr,
            "the operating system gave no random bytes: no key was made"
        )?;
        return Ok(Exit::Internal);
    };
    if let Err(error) = write_key(&file, &bytes) {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "it is never overwritten, choose another --id or --dir",
            _ => "no key was made",
        };
        writeln!(stderr, "{}: {error}: {hint}", file.display())?;
        return Ok(Exit::Config);
    }
    let key = EpochKey::new(bytes.expose().clone()).expect("32 bytes were drawn");
    if running.is_none() {
        writeln!(stdout, "version = 1\n")?;
    }
    let material = toml::Value::String(material_name(&file, folder_of(path)));
    writeln!(stdout, "[[key]]\nid = \"{id}\"\nactivate_at = {starts}")?;
    writeln!(
        stdout,
        "material = {{ file = {material} }}\nkcv = \"{}\"\nstatus = \"enabled\"",
        key.kcv()
    )?;
    next_steps(stderr, path, &file, starts)?;
    if running.is_some() && starts <= now {
        writeln!(
            stderr,
            "note: {starts} is past: a running daemon refuses a new key that begins before its records"
        )?;
    }
    Ok(Exit::Ok)
}

/// The keyring there is; none when the file is absent or empty (`keys new > keyring.toml` makes it so).
fn existing(path: &Path) -> Result<Option<Arc<Keyring>>, Vec<Fault>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(text) if text.trim().is_empty() => Ok(None),
        _ => load(path).map(|loaded| Some(loaded.keyring)),
    }
}

fn next_start(running: Option<&Keyring>, now: Timestamp) -> Timestamp {
    let Some(last) = running.and_then(|keyring| keyring.epochs().last()) else {
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

fn clash(running: Option<&Keyring>, id: &EpochId, starts: Timestamp) -> Option<String> {
    let epochs = running.map_or(&[][..], Keyring::epochs);
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

fn next_steps(stderr: &mut dyn Write, keyring: &Path, file: &Path, starts: Timestamp) -> io::Result<()> {
    let (file, keyring) = (file.display(), keyring.display());
    writeln!(
        stderr,
        "\
wrote {file} (mode 0400)
next:
  1. keep a copy where your keys are kept: without it these pseudonyms can never be made again
  2. give the file to every instance, readable by the daemon's user alone
  3. paste the block above into {keyring} on every instance, before {starts}
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
