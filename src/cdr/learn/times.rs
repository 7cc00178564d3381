//! The spellings of a call's time that are tried on a sample.

use jiff::tz::TimeZone;

use crate::cdr::time::{EventClock, TimeFormat};

/// Whole times, the plainer first: the first that reads a field's values is its format.
pub(super) const WHOLE: [&str; 45] = [
    "rfc3339",
    "rfc2822",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S %z UTC",
    "%Y-%m-%d %H:%M:%S UTC%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d/%m/%y %H:%M:%S",
    "%d/%m/%y %H:%M",
    "%d.%m.%y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%d/%m/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M %p",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%b %d %Y %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M%S.%f",
    "%Y%m%d-%H%M%S",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%dT%H%M%S%z",
    "unix",
    "unix_ms",
    "unix_us",
    "gregorian",
];

/// Days without a time of day.
pub(super) const DAYS: [&str; 10] = [
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y",
    "%d-%b-%y",
];

/// Times of day; durations are written like them.
pub(super) const CLOCKS: [&str; 4] = ["%H:%M:%S", "%H:%M", "%H:%M:%S%.f", "%I:%M:%S %p"];

/// 2000 to 2033, in seconds: what counts as seconds since 1970.
const UNIX: std::ops::Range<u64> = 946_684_800..2_000_000_000;

/// Seconds from the year 0 to 1970.
const GREGORIAN: u64 = 62_167_219_200;

/// One spelling, ready to read.
pub(super) struct Spelling {
    pub(super) format: String,
    clock: EventClock,
    /// The same with day and month the other way round, where it has them in figures in front.
    swapped: Option<EventClock>,
    before: &'static str,
    behind: &'static str,
}

/// How often a spelling reads a field's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) as_written: u32,
    pub(super) swapped: u32,
}

impl Spelling {
    fn new(format: &str, before: &'static str, behind: &'static str, whole: &str) -> Option<Self> {
        let clock = |text: &str| {
            let format = TimeFormat::parse_format(text).ok()?;
            EventClock::new(&[format], Some(TimeZone::UTC)).ok()
        };
        let swapped = swapped(whole).and_then(|text| clock(&text));
        Some(Self {
            format: format.to_owned(),
            clock: clock(whole)?,
            swapped,
            before,
            behind,
        })
    }

    /// All of a kind.
    pub(super) fn whole() -> Vec<Self> {
        WHOLE
            .iter()
            .filter_map(|format| Self::new(format, "", "", format))
            .collect()
    }

    pub(super) fn days() -> Vec<Self> {
        let whole = |day: &str| Self::new(day, "", " 00:00:00", &format!("{day} %H:%M:%S"));
        DAYS.iter().filter_map(|day| whole(day)).collect()
    }

    pub(super) fn clocks() -> Vec<Self> {
        let whole = |clock: &str| Self::new(clock, "2020-01-01 ", "", &format!("%Y-%m-%d {clock}"));
        CLOCKS.iter().filter_map(|clock| whole(clock)).collect()
    }

    pub(super) fn count(&mut self, value: &[u8], reads: &mut Reads) {
        let value = value.trim_ascii();
        if is_count(&self.format) && !is_plausible(&self.format, value) {
            return;
        }
        if self.before.is_empty() && self.behind.is_empty() {
            reads.as_written += u32::from(self.clock.read(value).is_some());
            if let Some(clock) = &mut self.swapped {
                reads.swapped += u32::from(clock.read(value).is_some());
            }
            return;
        }
        let text = [self.before.as_bytes(), value, self.behind.as_bytes()].concat();
        reads.as_written += u32::from(self.clock.read(&text).is_some());
        if let Some(clock) = &mut self.swapped {
            reads.swapped += u32::from(clock.read(&text).is_some());
        }
    }
}

/// Whether the format counts from an instant: digits alone, as numbers and ids have them.
pub(super) fn is_count(format: &str) -> bool {
    format.starts_with("unix") || format == "gregorian"
}

/// Whole digits of a plausible year: everything else with as many digits is a number or an id.
fn is_plausible(format: &str, value: &[u8]) -> bool {
    let (digits, scale, origin) = match format {
        "unix" => (10, 1, 0),
        "unix_ms" => (13, 1_000, 0),
        "unix_us" => (16, 1_000_000, 0),
        _ => (11, 1, GREGORIAN),
    };
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let since_1970 = number.and_then(|number| (number / scale).checked_sub(origin));
    value.len() == digits && since_1970.is_some_and(|seconds| UNIX.contains(&seconds))
}

/// `%d/%m` in front as `%m/%d`.
pub(super) fn swapped(format: &str) -> Option<String> {
    ["/", ".", "-"].into_iter().find_map(|between| {
        let rest = format.strip_prefix(&format!("%d{between}%m"))?;
        Some(format!("%m{between}%d{rest}"))
    })
}
