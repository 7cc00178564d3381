//! The egress guard: no public record holds its own raw identifiers.
//!
//! Real exports repeat a number in places no policy names: a channel, a call
//! id, a recording's file name, cut short or percent-encoded. So kept,
//! coarsened and derived values are searched for the digits of everything the
//! policy takes out of the record. Cheap steps first, and each nearly always
//! suffices: [`Guard::look`] notes values that could hold a number at all, an
//! identifier is compared only if it shares seven digits with one of them.
//! What counts as a hit: `docs/formats.md`. Pure; no allocation once warm.

mod run;
mod sevens;
mod text;

use std::net::Ipv4Addr;
use std::ops::Range;

use crate::cdr::guard::run::{Run, is_compact_date};
use crate::cdr::guard::sevens::Sevens;
use crate::cdr::guard::text::{Place, all_digits, decode_percent, each_run, each_stretch, place};
use crate::number::{self, E164};

/// Fewer digits in a row say nothing: any two records share some.
const LEAST: usize = 7;
/// More digits are no identifier: an ICCID has 20.
const MOST: usize = 20;
/// Digits that a copy may have lost at either end.
const CUT: usize = 2;
/// Percent-encoding of percent-encoding is read, so many times over.
const DECODINGS: usize = 3;
/// A country code's digits, at most.
const COUNTRY_CODE: usize = 3;
const BUCKETS: usize = 1 << 10;

/// Searches one record at a time; one per transformer, for its memory.
#[derive(Default)]
pub struct Guard {
    /// Values of the public record that could hold a number, one after another.
    texts: Vec<u8>,
    suspects: Vec<Suspect>,
    /// Every seven digits in a row of these values.
    seen: Sevens,
    index: Index,
    run: Run,
    /// A value that is taken out, percent-decoded.
    decoded: Vec<u8>,
}

/// What a value that is taken out has at first sight.
struct Glance {
    /// Seven digits in a row that were noted.
    resembles: bool,
    percent: bool,
}

/// Part of a value, noted by [`Guard::look`]; it begins where the one before it ends.
struct Suspect {
    end: usize,
    field: usize,
}

impl Guard {
    /// Starts again, on a new record.
    pub fn restart(&mut self) {
        if self.is_suspicious() {
            self.texts.clear();
            self.suspects.clear();
            self.seen.clear();
            self.index.clear();
        }
    }

    /// Notes a value that will be public, and the field it came from.
    #[inline]
    pub fn look(&mut self, field: usize, value: &[u8]) {
        if value.len() >= LEAST {
            self.look_closely(field, value);
        }
    }

    fn look_closely(&mut self, field: usize, value: &[u8]) {
        let percent = each_stretch(value, |stretch| {
            let mut found = false;
            stretch.each_seven(|seven| {
                self.seen.add(seven);
                found = true;
            });
            if found {
                self.texts.extend_from_slice(stretch.text);
                let end = self.texts.len();
                self.suspects.push(Suspect { end, field });
            }
        });
        if percent {
            self.decode(field, value);
        }
    }

    /// Whether anything was noted: the identifiers are needed only then.
    #[inline]
    pub fn is_suspicious(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Notes what the value reads as once percent signs are decoded.
    #[cold]
    fn decode(&mut self, field: usize, value: &[u8]) {
        let mut start = self.texts.len();
        self.texts.extend_from_slice(value);
        self.suspect(field);
        for _ in 0..DECODINGS {
            let end = self.texts.len();
            let again = decode_percent(&mut self.texts, start);
            let seen = &mut self.seen;
            each_run(&self.texts[end..], |seven| seen.add(seven));
            self.suspect(field);
            if !again {
                break;
            }
            start = end;
        }
    }

    fn suspect(&mut self, field: usize) {
        let end = self.texts.len();
        self.suspects.push(Suspect { end, field });
    }

    /// Whether a value shares seven digits in a row with one that was noted; else it need not be compared.
    #[inline]
    fn resembles(&self, value: &[u8]) -> bool {
        self.glance(value).resembles
    }

    #[inline]
    fn glance(&self, value: &[u8]) -> Glance {
        if all_digits(value) {
            return Glance {
                resembles: self.seen.share(value),
                percent: false,
            };
        }
        let mut resembles = false;
        let percent = each_stretch(value, |stretch| {
            stretch.each_seven(|seven| resembles |= self.seen.has(seven));
        });
        Glance { resembles, percent }
    }

    /// A phone number of the record, with the spelling it had there.
    #[inline]
    pub fn number(&mut self, number: &E164, raw: &[u8]) {
        let [digits, national] = [number.digits(), number.national()];
        if keys_of_number(digits, national).any(|key| self.seen.holds(key, certain(key.len()))) {
            self.add_number(digits, national);
        }
        if is_spelt_as(digits, national, raw) {
            return;
        }
        // A few plans dial other digits than E.164 has (Argentina's 15, Korea's carriers): the copies are as dialled.
        let glance = self.glance(raw);
        if !glance.resembles && !glance.percent {
            return;
        }
        if !self.run.read_whole(raw) {
            self.wrapped(raw); // beside the number, another one may stand in a parameter
        } else if glance.resembles {
            self.add_digits(raw);
        }
    }

    /// A value that is an identifier if it is digits and separators from end to end: IMSI, IMEI, account.
    #[inline]
    pub fn identifier(&mut self, value: &[u8]) {
        if !self.deserves_a_look(value) {
            return;
        }
        if self.run.read_whole(value) {
            self.add_whole(value);
        } else {
            self.international(value);
        }
    }

    /// The numbers, and no dates, in a value that is no number as a whole, such as `*21*07700900123#`.
    pub fn wrapped(&mut self, value: &[u8]) {
        self.numbers(value);
        if value.contains(&b'%') {
            self.each_decoding(value, Self::numbers);
        }
    }

    fn numbers(&mut self, value: &[u8]) {
        if !self.resembles(value) {
            return;
        }
        let mut from = 0;
        while from < value.len() {
            let end = self.run.read(value, from);
            let nobodys = ends_in_host(&value[..end]) || holds_routing_number(&value[..end]);
            if self.run.digits.len() >= LEAST && !self.run.is_calendar() && !nobodys {
                self.add_whole(&value[from..end]);
            }
            from = end + 1;
        }
    }

    /// A restricted value: as an [identifier](Self::identifier), unless it reads as a time.
    #[inline]
    pub fn restricted(&mut self, value: &[u8]) {
        if !self.deserves_a_look(value) {
            return;
        }
        if !self.run.read_whole(value) {
            self.international(value);
        } else if self.is_no_time(value) {
            self.add_whole(value);
        }
    }

    /// A value that goes nowhere, or that no policy names. Such are often copies of kept ones or counters,
    /// so of bare digits only those count that are plainly a phone number, an IMSI or an IMEI.
    #[inline]
    pub fn dropped(&mut self, value: &[u8]) {
        if !self.deserves_a_look(value) {
            return;
        }
        if !self.run.read_whole(value) {
            return self.international(value);
        }
        let plain = match value.trim_ascii() {
            [b'+' | b'(', ..] | [b'0', b'0'..=b'9', ..] => true,
            _ => matches!(self.run.digits.len(), 14 | 15),
        };
        if plain && self.is_no_time(value) {
            self.add_whole(value);
        } else {
            self.international(value);
        }
    }

    /// Whether the run just read is no instant: none is written with a `+` in front.
    fn is_no_time(&self, value: &[u8]) -> bool {
        value.trim_ascii_start().starts_with(b"+") || !self.run.reads_as_time()
    }

    /// Whether the value resembles what was noted. Numbers whose `+` is percent-encoded, as in
    /// `sip:%2B447700900123@192.0.2.1`, are taken up here.
    #[inline]
    fn deserves_a_look(&mut self, value: &[u8]) -> bool {
        let glance = self.glance(value);
        if glance.percent {
            self.encoded(value);
        }
        glance.resembles
    }

    #[cold]
    fn encoded(&mut self, value: &[u8]) {
        self.each_decoding(value, |guard, decoded| {
            if guard.resembles(decoded) {
                guard.international(decoded);
            }
        });
    }

    #[cold]
    fn each_decoding(&mut self, value: &[u8], each: impl Fn(&mut Self, &[u8])) {
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        decoded.extend_from_slice(value);
        let mut start = 0;
        for _ in 0..DECODINGS {
            let end = decoded.len();
            let again = decode_percent(&mut decoded, start);
            each(self, &decoded[end..]);
            if !again {
                break;
            }
            start = end;
        }
        self.decoded = decoded;
    }

    /// Numbers written with their `+`, wherever they stand: `sip:+447700900123@192.0.2.1`.
    fn international(&mut self, value: &[u8]) {
        for plus in memchr::memchr_iter(b'+', value) {
            if !value.get(plus + 1).is_some_and(u8::is_ascii_digit) {
                continue;
            }
            self.run.read(value, plus + 1);
            self.run.drop_trunk_zero();
            let run = &self.run;
            let most = run.digits.len().min(E164::MAX_DIGITS);
            // Digits of something else may follow behind a separator.
            let number = (LEAST..=most)
                .rev()
                .find(|&end| run.breaks_at(end) && number::national(&run.digits[..end]).is_some());
            self.run.cut(number.unwrap_or(most));
            self.add_digits(b"+");
        }
    }

    /// The digits just read, a whole value's; with a `(0)` it may be a number that is dialled without it.
    fn add_whole(&mut self, value: &[u8]) {
        self.add_digits(value);
        if self.run.drop_trunk_zero() {
            self.add_digits(b"+");
        }
        // Behind something else: `5/+447700900123`.
        if value
            .trim_ascii_start()
            .get(1..)
            .is_some_and(|rest| rest.contains(&b'+'))
        {
            self.international(value);
        }
    }

    /// The digits just read, of a value that begins as `spelling` does.
    fn add_digits(&mut self, spelling: &[u8]) {
        let digits = std::mem::take(&mut self.run.digits);
        let mut bare = without_zeros(&digits);
        let trunk = !spelling.starts_with(b"+") && digits.len() == bare.len() + 1;
        // IMEIs end in a check digit here and in a software version there; the first 14 are the handset.
        if matches!(bare.len(), 15 | 16) {
            bare = &bare[..14];
        }
        match number::national(bare) {
            Some(national) if !trunk => self.add_number(bare, national),
            _ => self.index.add(bare),
        }
        self.run.digits = digits;
    }

    fn add_number(&mut self, international: &[u8], national: &[u8]) {
        keys_of_number(international, national).for_each(|digits| self.index.add(digits));
    }

    /// The field of the first noted value that holds one of the identifiers.
    #[inline]
    pub fn leak(&mut self) -> Option<usize> {
        if self.index.entries.is_empty() {
            return None;
        }
        self.search_all()
    }

    fn search_all(&mut self) -> Option<usize> {
        let mut start = 0;
        for at in 0..self.suspects.len() {
            let Suspect { end, field } = self.suspects[at];
            if self.search(start, end) {
                return Some(field);
            }
            start = end;
        }
        None
    }

    fn search(&mut self, start: usize, end: usize) -> bool {
        let text = &self.texts[start..end];
        let mut from = 0;
        while from < text.len() {
            from = self.run.read(text, from) + 1;
            if self.run.digits.len() >= LEAST && self.index.finds(&self.run) {
                return true;
            }
        }
        false
    }
}

/// Identifiers by the seven digits that each of their copies must hold.
struct Index {
    /// Digits of the identifiers, one after another.
    digits: Vec<u8>,
    entries: Vec<Entry>,
    /// By hash of the seven digits: the last such entry, counted from 1; 0 for none.
    heads: [u32; BUCKETS],
}

/// One identifier by seven of its digits.
struct Entry {
    window: u32,
    /// Where in the identifier the seven begin.
    offset: usize,
    /// The identifier's place in [`Index::digits`].
    start: usize,
    end: usize,
    /// The entry before it in its bucket, counted from 1.
    next: u32,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            digits: Vec::new(),
            entries: Vec::new(),
            heads: [0; BUCKETS],
        }
    }
}

impl Index {
    fn clear(&mut self) {
        for entry in self.entries.drain(..) {
            self.heads[bucket(entry.window)] = 0;
        }
        self.digits.clear();
    }

    fn add(&mut self, identifier: &[u8]) {
        let length = identifier.len();
        let start = self.digits.len();
        self.digits.extend_from_slice(identifier);
        for offset in certain(length) {
            let window = pack(&identifier[offset..offset + LEAST]);
            let head = &mut self.heads[bucket(window)];
            self.entries.push(Entry {
                window,
                offset,
                start,
                end: start + length,
                next: *head,
            });
            *head = self.entries.len() as u32;
        }
    }

    fn finds(&self, run: &Run) -> bool {
        let mut window = pack(&run.digits[..LEAST - 1]);
        run.digits[LEAST - 1..].iter().enumerate().any(|(at, &digit)| {
            window = (window << 4 | u32::from(digit & 15)) & WINDOW;
            let head = self.heads[bucket(window)];
            head != 0 && self.confirm(head, window, run, at)
        })
    }

    /// Whether one of the identifiers with this window, which begins at the run's digit `at`, is there.
    #[cold]
    fn confirm(&self, mut next: u32, window: u32, run: &Run, at: usize) -> bool {
        while let Some(entry) = self.entries.get((next as usize).wrapping_sub(1)) {
            let identifier = &self.digits[entry.start..entry.end];
            if entry.window == window && is_copy(identifier, entry.offset, run, at) {
                return !run.is_calendar();
            }
            next = entry.next;
        }
        false
    }
}

/// Whether a copy of the identifier stands in the run so that the identifier's digit `offset` is the run's digit
/// `at`. One that is cut at an end must end there: with other digits behind it, it is another number, such as
/// the next one of the same office.
fn is_copy(identifier: &[u8], offset: usize, run: &Run, at: usize) -> bool {
    let (left, right) = identifier.split_at(offset);
    let before = agreeing(left.iter().rev(), run.digits[..at].iter().rev());
    let behind = agreeing(right.iter(), run.digits[at..].iter());
    let least = LEAST.max(right.len().saturating_sub(CUT));
    let mut starts = (0..=before).filter(|&kept| kept == left.len() || run.breaks_at(at - kept));
    starts.any(|left_kept| {
        let mut ends = (least..=behind).filter(|&kept| kept == right.len() || run.breaks_at(at + kept));
        ends.any(|kept| {
            left_kept + kept == identifier.len() || !is_date_of_its_own(run, at - left_kept, at + kept)
        })
    })
}

fn agreeing<'a>(ours: impl Iterator<Item = &'a u8>, theirs: impl Iterator<Item = &'a u8>) -> usize {
    ours.zip(theirs)
        .take_while(|(ours, theirs)| ours == theirs)
        .count()
}

/// `20261105` between separators is a day, not most of a number in Washington; with separators inside it is none.
fn is_date_of_its_own(run: &Run, start: usize, end: usize) -> bool {
    run.breaks_at(start)
        && run.breaks_at(end)
        && (start + 1..end).all(|at| !run.breaks_at(at))
        && is_compact_date(&run.digits[start..end])
}

/// Where the seven digits begin of which one at least is in every copy of so many digits: [`CUT`] may be missing at
/// either end.
#[inline]
fn certain(length: usize) -> Range<usize> {
    match length {
        ..LEAST => 0..0,
        7..=9 => 0..length - LEAST + 1,
        10 => 1..CUT + 1,
        _ => CUT..CUT + 1,
    }
}

/// What a copy of a number is looked for by. One of the international digits holds one of the national digits,
/// unless those are few.
#[inline]
fn keys_of_number<'a>(international: &'a [u8], national: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let national = without_zeros(national);
    let few = national.len() < LEAST + CUT;
    [Some(national), few.then_some(international)]
        .into_iter()
        .flatten()
}

/// Seven decimal digits, four bits each.
const WINDOW: u32 = (1 << (4 * LEAST)) - 1;

fn pack(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |window, &digit| window << 4 | u32::from(digit & 15))
}

fn bucket(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> 22) as usize
}

/// Whether the spelling is the national number with at most `+`, zeros and the country code in front.
#[inline]
fn is_spelt_as(digits: &[u8], national: &[u8], raw: &[u8]) -> bool {
    let code = &digits[..digits.len() - national.len()];
    raw.strip_suffix(national).is_some_and(|front| {
        let front = without_zeros(front.strip_prefix(b"+").unwrap_or(front));
        front.is_empty() || front == code
    })
}

/// `...@192.0.2.1`: the host of a URI, which many records share and kept fields name.
fn ends_in_host(value: &[u8]) -> bool {
    let host = memchr::memrchr(b'@', value).map(|at| value[at + 1..].trim_ascii_end());
    let host = host.and_then(|host| std::str::from_utf8(host).ok());
    host.is_some_and(|host| host.parse::<Ipv4Addr>().is_ok())
}

/// `...;rn=+14155550199`: a network's address (RFC 4694), no subscriber's; the derived `network` shows it.
fn holds_routing_number(value: &[u8]) -> bool {
    let digits = value
        .iter()
        .rev()
        .take_while(|&&byte| place(byte) != Place::Outside);
    let front = &value[..value.len() - digits.count()];
    front
        .last_chunk::<4>()
        .is_some_and(|name| name.eq_ignore_ascii_case(b";rn="))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests;
