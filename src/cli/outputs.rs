//! Output files: never over an input, never over what is there unless told.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// `--force`.
    Replace,
    /// The default.
    Keep,
}

impl Existing {
    /// As `--force` says.
    pub(super) fn of(force: bool) -> Self {
        if force { Self::Replace } else { Self::Keep }
    }
}

/// Whether two paths lead to one file that keeps what is written: `/dev/null` may be named twice.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let same = real(one).is_ok_and(|one| real(other).is_ok_and(|other| one == other));
    same && !is_special(one)
}

/// A device or pipe: `/dev/null`, `/dev/stdout`.
pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| !data.is_file())
}

/// Refuses a file that exists. Asked for all outputs before any is made.
pub(super) fn free(path: &Path, existing: Existing) -> Result<(), String> {
    if existing == Existing::Keep && path.exists() && !is_special(path) {
        return Err(format!(
            "{} exists: name another file, or --force to replace it",
            path.display()
        ));
    }
    Ok(())
}

pub(super) fn create(path: &Path, existing: Existing) -> Result<File, String> {
    let mut options = File::options();
    options.write(true);
    if !is_special(path) {
        match existing {
            Existing::Replace => options.create(true).truncate(true),
            Existing::Keep => options.create_new(true),
        };
    }
    options
        .open(path)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// On disk, but for a device or pipe, which cannot be synced.
pub(super) fn synced(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.sync_all()
    } else {
        Ok(())
    }
}
