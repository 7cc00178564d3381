//! Values as a CSV row or a JSON object has them.

use cdrveil::cdr::csv::{self, Dialect};
use cdrveil::cdr::json;
use fastrand::Rng;

use crate::template::Slot;

/// Stands before a digit that is to be written as an escape.
pub const ESCAPED: u8 = 1;

pub fn write_cell(out: &mut Vec<u8>, dialect: Dialect, slot: &Slot, value: &[u8]) {
    let special = |byte: u8| byte == dialect.delimiter || Some(byte) == dialect.quote;
    match (dialect.quote, dialect.escape) {
        (_, Some(escape)) => {
            for &byte in value {
                match byte {
                    ESCAPED => out.push(escape),
                    byte if special(byte) || byte == escape => out.extend_from_slice(&[escape, byte]),
                    byte => out.push(byte),
                }
            }
        }
        (Some(quote), None) if slot.quoted => {
            out.push(quote);
            for &byte in value {
                out.extend_from_slice(if byte == quote {
                    b"\"\""
                } else {
                    std::slice::from_ref(&byte)
                });
            }
            out.push(quote);
        }
        (Some(_), None) => csv::write_value(out, dialect, value).unwrap(),
        (None, None) => out.extend(value.iter().filter(|byte| !special(**byte))),
    }
}

pub fn write_member(out: &mut Vec<u8>, slot: &Slot, value: &[u8], rng: &mut Rng) {
    let number = !slot.quoted
        && value.first().is_some_and(|first| (b'1'..=b'9').contains(first))
        && value.iter().all(u8::is_ascii_digit);
    if (value == slot.value && !slot.quoted && !value.is_empty()) || number {
        out.extend_from_slice(value);
    } else if !slot.quoted && value.is_empty() {
        out.extend_from_slice(b"null");
    } else if value.contains(&ESCAPED) || rng.u8(..) < 8 {
        out.push(b'"');
        let mut escaped = false;
        for letter in String::from_utf8_lossy(value).chars() {
            match letter {
                '\u{1}' => escaped = true,
                '+' => out.extend_from_slice(b"\\u002B"),
                '"' | '\\' => out.extend_from_slice(format!("\\{letter}").as_bytes()),
                digit if escaped => {
                    out.extend_from_slice(format!("\\u{:04x}", digit as u32).as_bytes());
                    escaped = false;
                }
                letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.push(b'"');
    } else {
        json::write_string(out, value);
    }
}
