//! Generated calls: realistic columns, several countries and spellings, and
//! what real switches also write: withheld callers, short codes, broken rows.
//!
//! Every number is from a range reserved for drama or tests.

use fastrand::Rng;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// One subscriber's number: country code and national part with its trunk prefix.
struct Line {
    code: &'static str,
    trunk: &'static str,
    national: &'static str,
    free: u32,
}

/// Ofcom, NANPA, ARCEP, Bundesnetzagentur, ACMA, ComReg: numbers nobody has.
const LINES: [Line; 6] = [
    Line {
        code: "44",
        trunk: "0",
        national: "7700900",
        free: 3,
    },
    Line {
        code: "44",
        trunk: "0",
        national: "207946 0",
        free: 3,
    },
    Line {
        code: "1",
        trunk: "",
        national: "41555501",
        free: 2,
    },
    Line {
        code: "33",
        trunk: "0",
        national: "639 98",
        free: 4,
    },
    Line {
        code: "49",
        trunk: "0",
        national: "30 23125",
        free: 3,
    },
    Line {
        code: "61",
        trunk: "0",
        national: "491570",
        free: 3,
    },
];

/// What a switch writes that is no subscriber's number.
const SPECIAL: [&str; 8] = [
    "anonymous",
    "Restricted",
    "999",
    "112",
    "1571",
    "118118",
    "*43",
    "s",
];

/// Makes calls, one row each.
pub(super) struct Calls {
    random: Rng,
    zone: TimeZone,
    next: u64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            random: Rng::new(),
            zone: TimeZone::get("Europe/London").unwrap_or(TimeZone::UTC),
            next: 0,
        }
    }

    /// id,type,caller,called,imsi,cell,start,seconds,note
    pub(super) fn row(&mut self, now: Timestamp) -> String {
        self.next += 1;
        let id = self.next;
        if id.is_multiple_of(97) {
            return self.broken(now);
        }
        let caller = if self.random.u8(..) < 6 {
            SPECIAL[self.random.usize(..2)].to_owned()
        } else {
            self.subscriber()
        };
        let other = if self.random.u8(..) < 20 {
            SPECIAL[self.random.usize(..SPECIAL.len())].to_owned()
        } else {
            self.anyone()
        };
        let kind = if self.random.u8(..) < 40 { "sms" } else { "voice" };
        let (imsi, cell) = (self.random.u32(..1_000_000), self.random.u16(1..4_000));
        let start = now
            .to_zoned(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string();
        let seconds = if kind == "sms" { 0 } else { self.random.u32(1..900) };
        let note = if self.random.u8(..) < 10 {
            "\"asked for, and got, a call back\""
        } else {
            ""
        };
        format!("c-{id:08},{kind},{caller},{other},234150{imsi:09},{cell},{start},{seconds},{note}")
    }

    /// Own customers: a few hundred mobiles, spelt as different switches do.
    fn subscriber(&mut self) -> String {
        let digits = format!("7700900{:03}", self.random.u16(..300));
        match self.random.u8(..5) {
            0 => format!("+44{digits}"),
            1 => format!("0044{digits}"),
            2 => format!("0{digits}"),
            3 => format!("<sip:+44{digits}@sbc.example.net>"),
            _ => format!("44{digits}"),
        }
    }

    fn anyone(&mut self) -> String {
        let line = &LINES[self.random.usize(..LINES.len())];
        let last = self.random.u32(..10_u32.pow(line.free));
        let national: String = line.national.chars().filter(|digit| *digit != ' ').collect();
        let digits = format!("{national}{last:0width$}", width = line.free as usize);
        match self.random.u8(..4) {
            0 => format!("00{}{digits}", line.code),
            1 if line.code == "44" => format!("{}{digits}", line.trunk),
            2 => format!("tel:+{}-{digits}", line.code),
            _ => format!("+{}{digits}", line.code),
        }
    }

    /// Rows that must be sealed and counted, never passed.
    fn broken(&mut self, now: Timestamp) -> String {
        let id = self.next;
        let caller = self.subscriber();
        match self.random.u8(..4) {
            0 => format!("c-{id:08},voice,{caller}"),
            1 => format!("c-{id:08},voice,{caller},+447700900001,,17,yesterday,12,"),
            2 => format!(
                "c-{id:08},voice,{caller},++449,,17,{},12,",
                now.strftime("%Y-%m-%d %H:%M:%S")
            ),
            _ => format!(
                "c-{id:08},voice,{caller},\"+447700900001,,17,{},12,",
                now.strftime("%Y-%m-%d %H:%M:%S")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_rows_have_nine_columns_and_some_are_broken() {
        let mut calls = Calls::new();
        let now = Timestamp::from_second(1_793_870_142).unwrap();
        let rows: Vec<String> = (0..970).map(|_| calls.row(now)).collect();
        let whole = rows.iter().filter(|row| row.matches(',').count() >= 8).count();
        assert!(
            whole >= 960 - 10 && rows.iter().all(|row| row.starts_with("c-")),
            "{whole}"
        );
    }
}
