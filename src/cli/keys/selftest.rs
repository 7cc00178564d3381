//! `cdrveil keys selftest`: the known answers that the daemon asks for at its start, one by one.

use std::io::{self, Write};

use crate::cli::Exit;
use crate::pseudonym::mac::known_answers;

pub(super) fn selftest(stdout: &mut dyn Write) -> io::Result<Exit> {
    let answers = known_answers();
    for (name, right) in answers {
        writeln!(stdout, "{:<6} {name}", if right { "ok" } else { "WRONG" })?;
    }
    let right = answers.iter().all(|(_, right)| *right);
    Ok(if right { Exit::Ok } else { Exit::Internal })
}
