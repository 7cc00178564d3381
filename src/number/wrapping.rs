//! Takes the number out of what it is wrapped in: blanks, quotes,
//! `"Name" <number>`, SIP (RFC 3261) and tel (RFC 3966) URIs, parameters.
//!
//! Bytes in, bytes out; nothing here decides what the value means.

/// The longest value that is looked at, in bytes.
pub(crate) const MAX_VALUE: usize = 255;

/// What was in the wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwrapped {
    /// Nothing.
    Empty,
    /// A value; it stands in the buffer.
    Value,
    /// A URI without a user part or with a broken escape; the buffer holds it as it came.
    Broken,
}

/// Writes the wrapped value of `raw` (at most [`MAX_VALUE`] bytes) into `value`.
pub(crate) fn unwrap_value(raw: &[u8], value: &mut Vec<u8>) -> Unwrapped {
    value.clear();
    let mut room = [0; MAX_VALUE];
    let raw = url_decoded(raw, &mut room).unwrap_or(raw);
    let address = match name_and_address(unquoted(raw)) {
        // A caller's name without a number stands for the caller.
        (name, Some(Address { inside: [], behind }))
            if is_parameters(behind) && (behind.is_empty() || !name.is_empty()) =>
        {
            name
        }
        (_, Some(Address { inside, behind })) if !inside.is_empty() && is_parameters(behind) => inside,
        // Something stands where nothing may: it could be the number itself.
        (_, Some(_)) => return broken(raw, value),
        (whole, None) => whole,
    };
    if address.is_empty() {
        return Unwrapped::Empty;
    }
    if !user_part(address, value) || trim_in_place(value) == 0 {
        return broken(address, value);
    }
    if !value.is_ascii() {
        fold(value);
    }
    Unwrapped::Value
}

fn broken(whole: &[u8], value: &mut Vec<u8>) -> Unwrapped {
    value.clear();
    value.extend_from_slice(whole);
    Unwrapped::Broken
}

/// A value that was URL-encoded whole, as FreeSWITCH's `mod_json_cdr` does; a URI's own escapes are left to it.
fn url_decoded<'a>(raw: &[u8], room: &'a mut [u8; MAX_VALUE]) -> Option<&'a [u8]> {
    let encoded = memchr::memchr(b'%', raw).is_some() && !raw.iter().any(|byte| b"@<: ".contains(byte));
    let mut len = 0;
    let whole = encoded
        && percent_decoded(raw, |byte| {
            room[len] = byte;
            len += 1;
        });
    whole.then_some(&room[..len])
}

/// Without blanks and pairs of quotes around it.
fn unquoted(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = bytes.trim_ascii();
        match bytes {
            [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => bytes = inner,
            _ => return bytes,
        }
    }
}

/// What stands in angle brackets, and behind them.
struct Address<'a> {
    inside: &'a [u8],
    behind: &'a [u8],
}

/// Whether nothing but parameters (`;tag=1`) stands behind an address.
fn is_parameters(behind: &[u8]) -> bool {
    behind.first().is_none_or(|&byte| byte == b';')
}

/// Splits `name <address>...`; without angle brackets, the whole is the first part.
fn name_and_address(bytes: &[u8]) -> (&[u8], Option<Address<'_>>) {
    let name_end = quoted_name_end(bytes);
    let Some(open) = memchr::memchr(b'<', &bytes[name_end..]).map(|at| name_end + at) else {
        return (bytes, None);
    };
    let Some(close) = memchr::memchr(b'>', &bytes[open..]).map(|at| open + at) else {
        return (bytes, None);
    };
    (
        unquoted(&bytes[..open]),
        Some(Address {
            inside: bytes[open + 1..close].trim_ascii(),
            behind: bytes[close + 1..].trim_ascii(),
        }),
    )
}

/// Where a quoted display name ends; it may hold `<` and `\"`.
fn quoted_name_end(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&b'"') {
        return 0;
    }
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    0
}

/// Writes the user part of a URI, or the value itself without its parameters.
/// `false`: no user part, or a broken escape.
fn user_part(address: &[u8], value: &mut Vec<u8>) -> bool {
    if let Some(rest) = behind_scheme(address, b"sip:").or_else(|| behind_scheme(address, b"sips:")) {
        return match before(rest, b"@") {
            // A password aside, it may be a tel URI's number with its parameters (RFC 3261, section 19.1.6).
            Some(user) => tel_number(upto(user, b":"), value),
            None => percent_decoded(upto(rest, b"?;:"), |byte| value.push(byte)),
        };
    }
    if let Some(rest) = behind_scheme(address, b"tel:") {
        return tel_number(upto(rest, b"?"), value);
    }
    if let Some(user) = before(address, b"@") {
        return percent_decoded(upto(user, b";"), |byte| value.push(byte));
    }
    value.extend_from_slice(without_parameters(address));
    true
}

/// RFC 3966 section 5.1.5: a local number counts under its context, where
/// that is a global prefix. Six digits or fewer are a service, wherever it is.
fn tel_number(rest: &[u8], value: &mut Vec<u8>) -> bool {
    let number = upto(rest, b";");
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits > 6 && !number.starts_with(b"+") && !number.starts_with(b"%2") {
        let context = rest
            .split(|&byte| byte == b';')
            .find_map(|parameter| behind_scheme(parameter, b"phone-context="));
        if let Some(context) = context.filter(|context| context.starts_with(b"+")) {
            value.extend_from_slice(context);
        }
    }
    percent_decoded(number, |byte| value.push(byte))
}

/// Parameters have names: `1234;5678` are two numbers, and no value of ours.
fn without_parameters(value: &[u8]) -> &[u8] {
    match memchr::memchr(b';', value) {
        Some(at) if value.get(at + 1).is_some_and(u8::is_ascii_alphabetic) => &value[..at],
        _ => value,
    }
}

fn behind_scheme<'a>(bytes: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn before<'a>(bytes: &'a [u8], marks: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.iter().position(|byte| marks.contains(byte))?;
    Some(&bytes[..at])
}

fn upto<'a>(bytes: &'a [u8], marks: &[u8]) -> &'a [u8] {
    before(bytes, marks).unwrap_or(bytes)
}

fn percent_decoded(bytes: &[u8], mut push: impl FnMut(u8)) -> bool {
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            push(byte);
            continue;
        }
        let Some((&[high, low], behind)) = rest.split_first_chunk() else {
            return false;
        };
        let (Some(high), Some(low)) = (hex(high), hex(low)) else {
            return false;
        };
        push(high << 4 | low);
        rest = behind;
    }
    true
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn trim_in_place(value: &mut Vec<u8>) -> usize {
    value.truncate(value.trim_ascii_end().len());
    let blanks = value.len() - value.trim_ascii_start().len();
    value.drain(..blanks);
    value.len()
}

/// Writes other scripts' digits, plus signs, dashes and blanks as ASCII ones
/// and drops marks without width. Bytes that are no UTF-8 stay as they are.
fn fold(value: &mut Vec<u8>) {
    let mut copy = [0; MAX_VALUE];
    let copy = &mut copy[..value.len()];
    copy.copy_from_slice(value);
    let Ok(text) = std::str::from_utf8(copy) else {
        return;
    };
    value.clear();
    for letter in text.chars() {
        match letter {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            '\u{ff0b}' => value.push(b'+'),
            '\u{ff08}' => value.push(b'('),
            '\u{ff09}' => value.push(b')'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => value.push(b'-'),
            _ if letter.is_whitespace() => value.push(b' '),
            _ => match digit_of(letter) {
                Some(digit) => value.push(digit),
                None => value.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            },
        }
    }
    trim_in_place(value);
}

/// Full-width, Arabic-Indic, extended Arabic-Indic and Devanagari digits.
fn digit_of(letter: char) -> Option<u8> {
    [0xff10, 0x0660, 0x06f0, 0x0966].into_iter().find_map(|zero| {
        let digit = u32::from(letter).checked_sub(zero)?;
        (digit < 10).then(|| b'0' + digit as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &[u8], kind: Unwrapped, expected: &[u8]) {
        let mut value = Vec::new();
        let shown = String::from_utf8_lossy(raw).into_owned();
        assert_eq!(unwrap_value(raw, &mut value), kind, "{shown}");
        assert_eq!(
            String::from_utf8_lossy(&value),
            String::from_utf8_lossy(expected),
            "{shown}"
        );
    }

    #[test]
    fn the_number_comes_out_of_its_wrapping() {
        for (raw, expected) in [
            ("+447700900123", "+447700900123"),
            ("  07700 900123\t", "07700 900123"),
            ("\"07700900123\"", "07700900123"),
            ("'07700900123'", "07700900123"),
            ("\"Alice\" <07700900123>", "07700900123"),
            ("\"A <b> \\\" c\" <07700900123>", "07700900123"),
            ("\"\"Name\" <1115>\"", "1115"),
            ("Alice<07700900123>;tag=1", "07700900123"),
            ("\"Anonymous\" <>", "Anonymous"),
            ("<unknown>", "unknown"),
            ("sip:+447700900123@10.0.0.7:5060;user=phone", "+447700900123"),
            ("SIPS:+447700900123;npdi@example.net", "+447700900123"),
            ("sip:07700900123:secret@example.net", "07700900123"),
            ("sip:07700900123;user=phone", "07700900123"),
            (
                "sip:7700900123;phone-context=+44@example.net;user=phone",
                "+447700900123",
            ),
            (
                "sip:+447700900123;npdi;rn=+442079460999:secret@example.net",
                "+447700900123",
            ),
            (
                "sip:7700900123;phone-context=example.net@example.net",
                "7700900123",
            ),
            ("sip:+447700900123@[2001:db8::1]:5060", "+447700900123"),
            (
                "\"Alice\" <sip:+447700900123@example.net:5060>;tag=7",
                "+447700900123",
            ),
            ("Alice <tel:+447700900123>;cpc=ordinary", "+447700900123"),
            ("alice@example.net", "alice"),
            ("urn:service:sos", "urn:service:sos"),
            ("sip:%2b447700900123@example.net", "+447700900123"),
            ("sip:anonymous@anonymous.invalid", "anonymous"),
            ("tel:+44-7700-900123;ext=12;rn=+1", "+44-7700-900123"),
            ("tel:7700900123;phone-context=+44", "+447700900123"),
            ("tel:7700900123;phone-context=ims.example.net", "7700900123"),
            ("tel:999;phone-context=+44", "999"),
            ("07700900123@10.0.0.7", "07700900123"),
            ("+447700900123;ext=12", "+447700900123"),
            ("07700900123;07700900124", "07700900123;07700900124"),
            ("client:alice", "client:alice"),
            ("\u{ff0b}\u{ff14}\u{ff14}7700\u{a0}900123", "+447700 900123"),
            ("\u{202a}+44 7700\u{2011}900123\u{202c}", "+44 7700-900123"),
            ("\u{660}\u{661}\u{662}", "012"),
            ("Zoë", "Zoë"),
            ("%2B447700900123", "+447700900123"),
            ("sip%3A%2B447700900123%40example.net", "+447700900123"),
            ("%22Alice%22%20%3C07700900123%3E", "07700900123"),
            ("100%", "100%"),
            // Letters of other scripts once overflowed the search for their digits.
            ("李", "李"),
            ("राम", "राम"),
            ("😀", "😀"),
            ("sip:김@example.net", "김"),
        ] {
            check(raw.as_bytes(), Unwrapped::Value, expected.as_bytes());
        }
        check(
            b"\"8107924651\xa5\xa5b\" <81079246518897>",
            Unwrapped::Value,
            b"81079246518897",
        );
        check(b"07700\xa0900123", Unwrapped::Value, b"07700\xa0900123");
    }

    #[test]
    fn nothing_is_empty() {
        for raw in ["", " ", "\"\"", " \" \" ", "\"\" <>", "<>"] {
            check(raw.as_bytes(), Unwrapped::Empty, b"");
        }
    }

    #[test]
    fn a_uri_without_a_readable_user_is_broken() {
        for raw in [
            "sip:@example.net",
            "@example.net",
            "sip:%2@example.net",
            "sip:%zz1@example.net",
            "tel:;ext=1",
            // A number behind empty brackets once read as nothing, and nothing is left as it is.
            "<> +447700900123",
            "\"\" <>;tag=07700900123",
            "<>sip:07700900123@example.net",
            "\"Alice\" <> 07700900123",
            "<07700900123> 07700900124",
        ] {
            check(raw.as_bytes(), Unwrapped::Broken, raw.as_bytes());
        }
    }
}
