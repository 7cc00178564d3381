//! Lines that fit the terminal: broken between fields, never inside a token.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

/// Where a width cannot be had.
const USUAL: usize = 80;
/// Narrower than this a token does not fit beside its label.
const LEAST: usize = 60;

/// The columns of the terminal stdout goes to; nothing where it is none: then lines stay whole.
pub(super) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let exported = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    Some(exported.or_else(asked).unwrap_or(USUAL).max(LEAST))
}

/// `stty size` prints rows and columns; asking the kernel ourselves would need unsafe code.
fn asked() -> Option<usize> {
    let terminal = File::open("/dev/tty").ok()?;
    let mut stty = Command::new("stty");
    let output = stty
        .arg("size")
        .stdin(terminal)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .filter(|&width| width > 0)
}

/// The text in lines of at most `width`, broken behind commas and blanks; later lines are indented.
pub(super) fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let room = width.saturating_sub(indent);
    let mut lines: Vec<String> = vec![String::new()];
    for piece in text.split_inclusive([',', ' ']) {
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + piece.trim_end().chars().count() > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(piece);
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_fields() {
        let token = "2026-11.q6ws4ljx5gbw6os3ofujpdab3a";
        let record =
            format!("c-00006072,voice,{token},{token},,,2026-11-22 21:58:29,855,,fixed,DE,cdr.raw/3/1517");
        let lines = wrapped(&record, Some(80), 11);
        for (at, line) in lines.lines().enumerate() {
            assert!(line.len() <= 80 - if at == 0 { 11 } else { 0 }, "{line}");
            assert!(at == 0 || line.starts_with("           "), "{line}");
        }
        assert_eq!(lines.matches(token).count(), 2, "{lines}");
        assert_eq!(lines.replace("\n           ", ""), record);
        assert_eq!(wrapped(&record, None, 11), record);
        assert_eq!(wrapped(token, Some(20), 11), token);
    }
}
