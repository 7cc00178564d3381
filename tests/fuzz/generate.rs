//! Records made of a sample's: random identifiers in every spelling, copies of them where nobody looks, damage.
//!
//! A record is made of its seed and its number alone, so that one that fails can be made again.

use std::ops::Range;

use cdrveil::cdr::csv::Dialect;
use cdrveil::cdr::identifier::Kind;
use cdrveil::cdr::json;
use cdrveil::cdr::policy::{Action, Format, Policy};
use fastrand::Rng;

use crate::mark::{Mark, What};
use crate::template::{Slot, Template, Templates};
use crate::write::{ESCAPED, write_cell, write_member};

/// What was done to a record beside its values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing that could change where rows begin and end.
    None,
    Bytes,
}

pub struct Generator<'a> {
    templates: &'a Templates,
    actions: Vec<Fate>,
    dialect: Option<Dialect>,
    /// The country code of numbers that a sample does not show.
    code: &'static [u8],
    rng: Rng,
    /// The record's identifiers.
    pub marks: Vec<Mark>,
    /// What the engine gets: header rows and the record.
    pub payload: Vec<u8>,
    /// The record in it.
    pub row: Range<usize>,
    /// By slot the new value.
    values: Vec<Vec<u8>>,
    order: Vec<usize>,
}

/// What a slot's values are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Phone,
    Imsi,
    Imei,
    Ip,
    Account,
    Call,
    Keep,
    /// Kept or coarsened, and read: as the call's time, or as what is made coarser.
    Read,
    /// Restricted, dropped, unlisted.
    Hidden,
}

impl<'a> Generator<'a> {
    pub fn new(policy: &Policy, templates: &'a Templates, text: &str) -> Self {
        let times = policy.time.fields();
        let fate = |(at, field): (usize, &cdrveil::cdr::policy::Field)| match &field.action {
            _ if times.contains(&at) => Fate::Read,
            Action::Keep => Fate::Keep,
            Action::Coarsen { .. } => Fate::Read,
            Action::Restrict | Action::Drop => Fate::Hidden,
            Action::Pseudonymise(how) => match how.kind {
                Kind::Phone => Fate::Phone,
                Kind::Imsi => Fate::Imsi,
                Kind::Imei => Fate::Imei,
                Kind::Ip => Fate::Ip,
                Kind::Account | Kind::Text => Fate::Account,
                Kind::Call => Fate::Call,
            },
        };
        Self {
            templates,
            actions: policy.fields.iter().enumerate().map(fate).collect(),
            dialect: match &policy.format {
                Format::Csv(csv) => Some(csv.dialect),
                Format::Json { .. } => None,
            },
            code: if text.contains("country = \"US\"") {
                b"1"
            } else {
                b"44"
            },
            rng: Rng::with_seed(0),
            marks: Vec::new(),
            payload: Vec::new(),
            row: 0..0,
            values: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Makes the record of this number.
    pub fn record(&mut self, seed: u64, number: u64) -> Damage {
        self.rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        self.marks.clear();
        let templates = self.templates;
        let template = &templates.rows[self.rng.usize(..templates.rows.len())];
        self.fill(template);
        if self.rng.u8(..) < 90 {
            self.plant(template);
        }
        self.payload.clear();
        self.payload.extend_from_slice(&templates.prefix);
        let start = self.payload.len();
        match self.dialect {
            Some(dialect) => self.csv_row(template, dialect),
            None => self.json_row(template),
        }
        let damage = if self.rng.u8(..) < 25 {
            self.damage(start)
        } else {
            Damage::None
        };
        self.row = start..self.payload.len();
        self.payload.push(b'\n');
        damage
    }

    fn fate(&self, slot: &Slot) -> Fate {
        slot.field.map_or(Fate::Hidden, |field| self.actions[field])
    }

    /// A new value for every slot but those that are kept.
    fn fill(&mut self, template: &Template) {
        self.values
            .resize_with(self.values.len().max(template.slots.len() + 8), Vec::new);
        for (at, slot) in template.slots.iter().enumerate() {
            let mut value = std::mem::take(&mut self.values[at]);
            value.clear();
            match self.fate(slot) {
                Fate::Keep | Fate::Read => value.extend_from_slice(&slot.value),
                Fate::Phone => self.phone(slot, &mut value),
                Fate::Imsi => self.digits(15, &mut value),
                Fate::Imei => {
                    self.digits(14, &mut value);
                    value.push(self.digit(0));
                }
                Fate::Ip => self.address(&mut value),
                Fate::Account => self.account(&mut value),
                Fate::Call => self.call(&mut value),
                Fate::Hidden => self.hidden(slot, &mut value),
            }
            self.values[at] = value;
        }
    }

    /// Half of them spelt as the sample's is, because a source has one way to write its numbers.
    fn phone(&mut self, slot: &Slot, out: &mut Vec<u8>) {
        let found = [&b"7700900"[..], b"415555"]
            .into_iter()
            .find_map(|start| memchr::memmem::find(&slot.value, start));
        let Some(at) = found.filter(|at| at + 10 <= slot.value.len()) else {
            if self.rng.u8(..) < 200 {
                out.extend_from_slice(&slot.value);
            } else {
                let mark = self.number(self.code);
                self.spell(mark, out);
            }
            return;
        };
        let code: &[u8] = if slot.value[at] == b'7' { b"44" } else { b"1" };
        let mark = self.number(code);
        if self.rng.u8(..) < 225 {
            out.extend_from_slice(&slot.value[..at]);
            out.extend_from_slice(self.marks[mark].national());
            out.extend_from_slice(&slot.value[at + 10..]);
        } else {
            self.spell(mark, out);
        }
    }

    /// A new number; its place among the marks.
    fn number(&mut self, code: &[u8]) -> usize {
        let mut national = [0; 10];
        for digit in &mut national {
            *digit = b'0' + self.rng.u8(..10);
        }
        if code == b"44" {
            national[0] = b'7';
            national[1] = self.digit(3);
        } else {
            national[0] = self.digit(2);
            national[3] = self.digit(2);
        }
        self.marks.push(Mark::phone(code, &national));
        self.marks.len() - 1
    }

    fn digit(&mut self, least: u8) -> u8 {
        b'0' + self.rng.u8(least..10)
    }

    fn spell(&mut self, mark: usize, out: &mut Vec<u8>) {
        let mark = &self.marks[mark];
        let (all, own) = (mark.text(), mark.national());
        let british = all.len() == 12;
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        match self.rng.u8(..12) {
            0 | 1 => put(&[b"+", all]),
            2 => put(&[if british { b"0" } else { b"1" }, own]),
            3 => put(&[if british { b"00" } else { b"011" }, all]),
            4 => put(&[all]),
            5 => put(&[b"+", all, b" "]),
            6 => put(&[b"sip:+", all, b"@192.0.2.9:5060;user=phone"]),
            7 => put(&[b"tel:+", all, b";ext=12"]),
            8 => put(&[b"<sip:%2B", all, b"@host.example>"]),
            9 if british => put(&[
                b"+",
                &all[..all.len() - 10],
                b" (0)",
                &own[..4],
                b" ",
                &own[4..7],
                b"-",
                &own[7..],
            ]),
            9 | 10 => put(&[b"(", &own[..3], b") ", &own[3..6], b"-", &own[6..]]),
            _ => put(&[b"*21*", if british { b"0" } else { b"1" }, own, b"#"]),
        }
    }

    /// So many digits, which begin as no date does.
    fn digits(&mut self, count: usize, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        for digit in &mut digits[..count] {
            *digit = b'0' + self.rng.u8(..10);
        }
        digits[0] = self.digit(4);
        self.marks.push(Mark::new(What::Digits, [b"", &digits[..count]]));
        out.extend_from_slice(&digits[..count]);
    }

    fn word(&mut self, out: &mut Vec<u8>) {
        let mut word = *b"Zq00000000";
        for letter in &mut word[2..] {
            *letter = b'a' + self.rng.u8(..26);
        }
        self.marks.push(Mark::new(What::Word, [b"", &word]));
        out.extend_from_slice(&word);
    }

    fn address(&mut self, out: &mut Vec<u8>) {
        let [a, b, c] = [self.rng.u8(..), self.rng.u8(..), self.rng.u8(..)];
        let address = format!("10.{a}.{b}.{c}");
        self.marks.push(Mark::new(What::Word, [b"", address.as_bytes()]));
        out.extend_from_slice(address.as_bytes());
    }

    fn account(&mut self, out: &mut Vec<u8>) {
        match self.rng.u8(..4) {
            0 => out.extend_from_slice(b"1001"),
            1 => self.word(out),
            _ => {
                let count = self.rng.usize(8..13);
                self.digits(count, out);
            }
        }
    }

    fn call(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:x}@", self.rng.u32(..)).as_bytes());
        self.address(out);
    }

    /// Whatever a column may hold that goes: as it was, numbers, names, mail, addresses.
    fn hidden(&mut self, slot: &Slot, out: &mut Vec<u8>) {
        match self.rng.u8(..8) {
            0 | 1 => out.extend_from_slice(&slot.value),
            2 => {
                let mark = self.number(self.code);
                out.extend_from_slice(self.marks[mark].national());
            }
            3 => {
                let mark = self.number(self.code);
                self.spell(mark, out);
            }
            4 => {
                let count = [9, 11, 12, 14, 15][self.rng.usize(..5)];
                self.digits(count, out);
            }
            5 => {
                self.word(out);
                out.extend_from_slice(b"@example.com");
            }
            6 => self.address(out),
            _ => {
                out.extend_from_slice(b"Dr ");
                self.word(out);
                out.extend_from_slice(b" \"O'Ne\\il\"");
            }
        }
    }

    /// Copies one of the record's identifiers into a column that is kept, or any other.
    fn plant(&mut self, template: &Template) {
        let Some(mark) = (0..4)
            .map(|_| self.rng.usize(..self.marks.len().max(1)))
            .find(|&mark| self.marks.get(mark).is_some_and(|mark| mark.what != What::Word))
        else {
            return;
        };
        let kept = |slot: &Slot| self.fate(slot) == Fate::Keep;
        let count = template.slots.iter().filter(|slot| kept(slot)).count();
        if count == 0 {
            return;
        }
        let nth = self.rng.usize(..count);
        let at = {
            let mut places = template
                .slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| self.fate(slot) == Fate::Keep);
            places.nth(nth).map(|(at, _)| at).unwrap()
        };
        let mut value = std::mem::take(&mut self.values[at]);
        match self.rng.u8(..4) {
            0 => value.clear(),
            1 => value.extend_from_slice(b"_"),
            2 => value.extend_from_slice(b"/"),
            _ => value.extend_from_slice(b"; x="),
        }
        self.copy(mark, &mut value);
        if self.rng.bool() {
            value.extend_from_slice([&b"-0001"[..], b"@192.0.2.9", b"x", b"/77"][self.rng.usize(..4)]);
        }
        self.values[at] = value;
    }

    /// One of the ways in which exports repeat a number.
    fn copy(&mut self, mark: usize, out: &mut Vec<u8>) {
        let mark = &self.marks[mark];
        let mut digits = [0; 24];
        let from = if self.rng.bool() {
            mark.national()
        } else {
            mark.text()
        };
        let mut length = from.len();
        digits[..length].copy_from_slice(from);
        let mut digits = &digits[..length];
        if self.rng.u8(..3) == 0 {
            // Cut, and it ends there.
            let (left, right) = (self.rng.usize(..3), self.rng.usize(..3));
            length -= left + right;
            digits = &digits[left..left + length];
            out.push(b'n');
        } else {
            let fronts: [&[u8]; 6] = [b"", b"", b"+", b"0", b"00", b"99"];
            out.extend_from_slice(fronts[self.rng.usize(..6)]);
        }
        let way = self.rng.u8(..8);
        for (at, digit) in digits.iter().enumerate() {
            if at > 0 && matches!(way, 2 | 3) && self.rng.u8(..3) == 0 {
                let separators: [&[u8]; 9] = [
                    b" ",
                    b".",
                    b"-",
                    b"(",
                    b") ",
                    b"/",
                    b"+",
                    "\u{a0}".as_bytes(),
                    "\u{2013}".as_bytes(),
                ];
                out.extend_from_slice(separators[self.rng.usize(..9)]);
            }
            match way {
                4 if self.rng.bool() => out.extend_from_slice(format!("%{digit:02x}").as_bytes()),
                5 if self.rng.u8(..4) == 0 => out.extend_from_slice(format!("%25{digit:02X}").as_bytes()),
                6 if self.dialect.is_none_or(|dialect| dialect.escape.is_some()) && self.rng.u8(..4) == 0 => {
                    // Written as an escape when the row is.
                    out.extend_from_slice(&[ESCAPED, *digit]);
                }
                _ => out.push(*digit),
            }
        }
    }

    fn csv_row(&mut self, template: &Template, dialect: Dialect) {
        self.order.clear();
        self.order.extend(0..template.slots.len());
        if self.rng.u8(..) < 30 {
            let count = self.order.len();
            let at = self.rng.usize(..count);
            match self.rng.u8(..4) {
                0 => self.order.truncate(at.max(1)),
                1 => {
                    self.order.remove(at);
                }
                2 => self.order.insert(at, at),
                _ => self.order.swap(at, self.rng.usize(..count)),
            }
        }
        for (place, &at) in self.order.iter().enumerate() {
            if place > 0 {
                self.payload.push(dialect.delimiter);
            }
            write_cell(&mut self.payload, dialect, &template.slots[at], &self.values[at]);
        }
    }

    fn json_row(&mut self, template: &Template) {
        let extra = if self.rng.u8(..) < 25 {
            self.rng.u8(1..5)
        } else {
            0
        };
        let changed = self.rng.usize(..template.slots.len());
        let mut from = 0;
        for (at, slot) in template.slots.iter().enumerate() {
            self.payload
                .extend_from_slice(&template.text[from..slot.range.start]);
            from = slot.range.end;
            if at != changed || extra == 0 {
                write_member(&mut self.payload, slot, &self.values[at], &mut self.rng);
                continue;
            }
            let parts: [&[u8]; 2] = match extra {
                1 => [b"{\"n\":", b"}"],
                2 => [b"[", b",\"x\"]"],
                _ => [b"", b""],
            };
            self.payload.extend_from_slice(parts[0]);
            write_member(&mut self.payload, slot, &self.values[at], &mut self.rng);
            self.payload.extend_from_slice(parts[1]);
            if extra >= 3 && !slot.name.is_empty() && template.text[slot.range.end..].first() != Some(&b']') {
                // A member twice, or one that nobody named and whose name is a copy.
                self.payload.push(b',');
                if extra == 3 {
                    self.payload.extend_from_slice(&slot.name);
                } else {
                    let mark = self.marks.first().map_or(&b"x"[..], Mark::text);
                    json::write_string(&mut self.payload, mark);
                }
                self.payload.push(b':');
                write_member(&mut self.payload, slot, &self.values[at], &mut self.rng);
            }
        }
        self.payload.extend_from_slice(&template.text[from..]);
    }

    /// A stray quote or escape, a lost or odd byte, an early end.
    fn damage(&mut self, start: usize) -> Damage {
        for _ in 0..self.rng.usize(1..3) {
            let at = self.rng.usize(start..self.payload.len());
            match self.rng.u8(..7) {
                0 => self.payload.insert(at, b'"'),
                1 => self.payload.insert(at, b'\\'),
                2 => self.payload.insert(at, 0xff),
                3 => self.payload[at] = self.rng.u8(b' '..=255),
                4 if self.payload.len() > start + 1 => {
                    self.payload.remove(at);
                }
                5 => self.payload.truncate(at.max(start + 1)),
                _ => self.payload.insert(at, b",;|:{[ "[self.rng.usize(..7)]),
            }
        }
        Damage::Bytes
    }
}
