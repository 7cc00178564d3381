//! When a call took place: the bytes of a time field to an instant.
//!
//! A record's epoch hangs on this, so one text must give one instant on every
//! machine: the zone is a setting, never the host's, its rules are compiled
//! in, and a text that no format reads is no time at all. A local time that
//! occurs twice is the first instant; one that does not exist is moved on by
//! the gap (RFC 5545, section 3.3.5).

mod civil;
mod cut;
mod pattern;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use self::civil::Civil;
pub use self::cut::Unit;
use self::pattern::Reading;
pub use self::pattern::TimeFormat;

/// 2201-01-01T00:00:00Z, in milliseconds: later is no call's time.
const END_MS: i64 = 7_289_654_400_000;
const HOUR_MS: i64 = 3_600_000;
/// How far from a change of the zone a local time means one instant for sure: offsets are below 26 hours, so two
/// of them differ by less.
const MARGIN_MS: i64 = 72 * HOUR_MS;
/// A power of two: hours of the local clock whose offset is remembered.
const CACHED_HOURS: usize = 64;

/// Reads the times of one source.
#[derive(Debug, Clone)]
pub struct EventClock {
    formats: Vec<TimeFormat>,
    zone: Zone,
}

#[derive(Debug, Clone)]
enum Zone {
    /// Every format tells the instant by itself.
    Unneeded,
    /// Always the same milliseconds ahead of UTC.
    Fixed(i64),
    Rules {
        zone: TimeZone,
        /// The season that was needed last: months of one offset.
        season: Season,
        /// For the days around a change of the zone.
        cache: Box<[Hour; CACHED_HOURS]>,
    },
}

/// A stretch of local time, far from any change of the zone.
#[derive(Debug, Clone, Copy)]
struct Season {
    /// Local milliseconds; the end is outside.
    from: i64,
    to: i64,
    /// Milliseconds ahead of UTC.
    offset: i64,
}

impl Season {
    const UNKNOWN: Self = Self {
        from: 0,
        to: 0,
        offset: 0,
    };

    /// The one in which the zone has this offset at `instant`.
    fn around(zone: &TimeZone, instant: Timestamp, offset: Offset) -> Self {
        let offset = i64::from(offset.seconds()) * 1_000;
        let local = |instant: Timestamp| instant.as_millisecond() + offset;
        // `preceding` leaves a change at the instant itself out.
        let behind = Timestamp::from_second(instant.as_second() + 1).unwrap_or(instant);
        let before = zone.preceding(behind).next();
        let after = zone.following(instant).next();
        Self {
            from: before.map_or(i64::MIN, |change| local(change.timestamp()) + MARGIN_MS),
            to: after.map_or(i64::MAX, |change| local(change.timestamp()) - MARGIN_MS),
            offset,
        }
    }

    fn holds(&self, local: i64) -> bool {
        (self.from..self.to).contains(&local)
    }
}

/// What is known of one hour of the local clock.
#[derive(Debug, Clone, Copy)]
struct Hour {
    /// Hours since 1970-01-01 00:00 on the local clock.
    number: i64,
    /// Milliseconds ahead of UTC; `None` when the zone changes within or around the hour.
    offset: Option<i64>,
}

impl Hour {
    const UNKNOWN: Self = Self {
        number: i64::MIN,
        offset: None,
    };
}

impl EventClock {
    /// A clock that tries `formats` in order; `zone` is for those that carry no offset.
    ///
    /// # Errors
    ///
    /// No format at all, or one without an offset and no zone: which, and what to write.
    pub fn new(formats: &[TimeFormat], zone: Option<TimeZone>) -> Result<Self, String> {
        if formats.is_empty() {
            return Err("no time format is given: write one, such as \"rfc3339\"".to_owned());
        }
        let zone = match (zone, formats.iter().find(|format| format.needs_zone())) {
            (_, None) => Zone::Unneeded,
            (Some(zone), Some(_)) => Zone::new(zone),
            (None, Some(format)) => {
                return Err(format!(
                    "the format \"{}\" has no offset: say where the clock stands, such as zone = \"Europe/London\"",
                    format.text()
                ));
            }
        };
        Ok(Self {
            formats: formats.to_vec(),
            zone,
        })
    }

    /// The instant in milliseconds since 1970-01-01T00:00:00Z, truncated, by the first format that reads
    /// the text (ASCII spaces around it do not count) as a time of the years 1970 to 2200.
    pub fn read(&mut self, bytes: &[u8]) -> Option<i64> {
        let bytes = bytes.trim_ascii();
        let zone = &mut self.zone;
        self.formats.iter().find_map(|format| {
            let instant = match format.read(bytes)? {
                Reading::Instant(instant) => instant,
                Reading::Local(civil) => zone.instant(civil)?,
            };
            (0..END_MS).contains(&instant).then_some(instant)
        })
    }
}

impl Zone {
    fn new(zone: TimeZone) -> Self {
        match zone.to_fixed_offset() {
            Ok(offset) => Self::Fixed(i64::from(offset.seconds()) * 1_000),
            Err(_) => Self::Rules {
                zone,
                season: Season::UNKNOWN,
                cache: Box::new([Hour::UNKNOWN; CACHED_HOURS]),
            },
        }
    }

    fn instant(&mut self, civil: Civil) -> Option<i64> {
        let local = civil.millis_since_epoch();
        match self {
            Self::Unneeded => None,
            Self::Fixed(offset) => Some(local - *offset),
            Self::Rules { season, .. } if season.holds(local) => Some(local - season.offset),
            Self::Rules { zone, season, cache } => {
                let number = local.div_euclid(HOUR_MS);
                let hour = &mut cache[number.rem_euclid(CACHED_HOURS as i64) as usize];
                if hour.number != number {
                    let offset = offset_of_hour(zone, civil, season);
                    *hour = Hour { number, offset };
                }
                match hour.offset {
                    Some(offset) => Some(local - offset),
                    None => by_the_rules(zone, civil),
                }
            }
        }
    }
}

/// The offset of a whole local hour, if no change of the zone touches it, and with it the season around.
fn offset_of_hour(zone: &TimeZone, civil: Civil, season: &mut Season) -> Option<i64> {
    let ends = [(0, 0), (59, 59)].map(|(minute, second)| {
        date_time(Civil {
            minute,
            second,
            ..civil
        })
    });
    let [Some(first), Some(last)] = ends else {
        return None;
    };
    let offset = |time: DateTime| match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some(offset),
        AmbiguousOffset::Gap { .. } | AmbiguousOffset::Fold { .. } => None,
    };
    let found = offset(first).filter(|&found| offset(last) == Some(found))?;
    let (from, to) = (found.to_timestamp(first).ok()?, found.to_timestamp(last).ok()?);
    *season = Season::around(zone, from, found);
    let changes = zone
        .following(from)
        .next()
        .is_some_and(|change| change.timestamp() <= to);
    (!changes).then(|| i64::from(found.seconds()) * 1_000)
}

fn by_the_rules(zone: &TimeZone, civil: Civil) -> Option<i64> {
    let instant = zone.to_ambiguous_timestamp(date_time(civil)?).compatible().ok()?;
    Some(instant.as_millisecond() + i64::from(civil.millis))
}

/// Without the milliseconds: no zone changes within a second.
fn date_time(civil: Civil) -> Option<DateTime> {
    let small = |part: u32| i8::try_from(part).ok();
    let year = i16::try_from(civil.year).ok()?;
    let (month, day) = (small(civil.month)?, small(civil.day)?);
    let (hour, minute, second) = (small(civil.hour)?, small(civil.minute)?, small(civil.second)?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
    use proptest::sample::select;

    use super::{EventClock, TimeFormat};

    const ZONES: [&str; 8] = [
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Africa/Monrovia",
        "UTC",
    ];

    fn clock(formats: &[&str], zone: Option<&str>) -> Result<EventClock, String> {
        let formats: Vec<_> = formats
            .iter()
            .map(|text| TimeFormat::parse_format(text).unwrap())
            .collect();
        EventClock::new(&formats, zone.map(|name| TimeZone::get(name).unwrap()))
    }

    fn read(format: &str, zone: Option<&str>, text: &str) -> Option<String> {
        let instant = clock(&[format], zone).unwrap().read(text.as_bytes())?;
        Some(Timestamp::from_millisecond(instant).unwrap().to_string())
    }

    #[test]
    fn every_format_reads_its_own_times() {
        let london = Some("Europe/London");
        for (format, zone, text, expected) in [
            (
                "rfc3339",
                None,
                "2026-10-25T01:30:00Z",
                Some("2026-10-25T01:30:00Z"),
            ),
            (
                "rfc3339",
                None,
                " 2026-10-25t01:30:00.1239z ",
                Some("2026-10-25T01:30:00.123Z"),
            ),
            (
                "rfc3339",
                None,
                "2026-10-25 01:30:00.5-05:30",
                Some("2026-10-25T07:00:00.5Z"),
            ),
            (
                "rfc3339",
                None,
                "2026-12-31T23:59:60Z",
                Some("2026-12-31T23:59:59Z"),
            ),
            ("rfc3339", None, "2026-10-25T01:30:00", None),
            ("rfc3339", None, "2026-10-25T01:30:00+0100", None),
            ("rfc3339", None, "2026-10-25T01:30:00.Z", None),
            ("rfc3339", None, "2026-02-29T00:00:00Z", None),
            ("rfc3339", None, "2028-02-29T24:00:00Z", None),
            (
                "rfc2822",
                None,
                "Sun, 25 Oct 2026 01:30:00 +0100",
                Some("2026-10-25T00:30:00Z"),
            ),
            ("unix", None, "1792890000", Some("2026-10-25T01:00:00Z")),
            ("unix", None, "1792890000.2509", Some("2026-10-25T01:00:00.25Z")),
            ("unix", None, "1792890000123", None),
            ("unix", None, "-1", None),
            ("unix", None, "", None),
            ("unix_ms", None, "1792890000123", Some("2026-10-25T01:00:00.123Z")),
            (
                "unix_us",
                None,
                "1792890000123456",
                Some("2026-10-25T01:00:00.123Z"),
            ),
            ("unix_us", None, "1792890000123456.5", None),
            ("gregorian", None, "63960109200", Some("2026-10-25T01:00:00Z")),
            ("gregorian", None, "62167219200", Some("1970-01-01T00:00:00Z")),
            ("gregorian", None, "62167219199", None),
            // Seconds and microseconds since 1970 are none, so that all three can stand in one list.
            ("gregorian", None, "1792890000", None),
            ("gregorian", None, "1792890000123456", None),
            ("unix_us", None, "9999999999999999999", None),
            (
                "%Y-%m-%d %H:%M:%S",
                london,
                "2026-06-01 12:00:00",
                Some("2026-06-01T11:00:00Z"),
            ),
            (
                "%Y-%m-%d %H:%M:%S",
                london,
                "2026-6-1 12:00:00",
                Some("2026-06-01T11:00:00Z"),
            ),
            (
                "%FT%T",
                london,
                "2026-01-01T12:00:00",
                Some("2026-01-01T12:00:00Z"),
            ),
            ("%FT%T", london, "2026-01-01 12:00:00", None),
            (
                "%Y%m%d%H%M%S",
                london,
                "20260601120000",
                Some("2026-06-01T11:00:00Z"),
            ),
            ("%Y%m%d%H%M%S", london, "2026060112000", None),
            (
                "%Y%m%d%H%M%S.%f",
                london,
                "20260601120000.25",
                Some("2026-06-01T11:00:00.25Z"),
            ),
            (
                "%Y%m%d%H%M%S%3f",
                london,
                "20260601120000250",
                Some("2026-06-01T11:00:00.25Z"),
            ),
            (
                "%F %T%.f",
                london,
                "2026-06-01 12:00:00",
                Some("2026-06-01T11:00:00Z"),
            ),
            (
                "%F %T%.3f",
                london,
                "2026-06-01 12:00:00.75",
                Some("2026-06-01T11:00:00.75Z"),
            ),
            (
                "%d/%m/%y %I:%M %p",
                london,
                "01/06/26 12:05 am",
                Some("2026-05-31T23:05:00Z"),
            ),
            (
                "%d/%m/%y %I:%M %p",
                london,
                "01/06/26 1:05 PM",
                Some("2026-06-01T12:05:00Z"),
            ),
            ("%d/%m/%y %I:%M %p", london, "01/06/26 13:05 PM", None),
            (
                "%T.%f UTC %a %b %e %Y%z",
                None,
                "16:09:37.123 UTC Fri Jun  5 2009Z",
                Some("2009-06-05T16:09:37.123Z"),
            ),
            (
                "%T.%f UTC %a %b %e %Y%z",
                None,
                "16:09:37.123 UTC Sat Jun  5 2009Z",
                None,
            ),
            (
                "%F %T %z",
                None,
                "2026-06-01 12:00:00 -0330",
                Some("2026-06-01T15:30:00Z"),
            ),
            (
                "%F %T %:z",
                None,
                "2026-06-01 12:00:00 +05:45",
                Some("2026-06-01T06:15:00Z"),
            ),
            (
                "%s.%f",
                None,
                "1792890000.123456",
                Some("2026-10-25T01:00:00.123Z"),
            ),
            (
                "100%% %F %T",
                london,
                "100% 2026-01-01 00:00:00",
                Some("2026-01-01T00:00:00Z"),
            ),
            (
                "%F %T",
                london,
                "2200-12-31 23:59:59",
                Some("2200-12-31T23:59:59Z"),
            ),
            ("%F %T", london, "2201-01-01 00:00:00", None),
            ("%F %T", london, "1969-12-31 23:59:59", None),
            ("%F %T", london, "2026-13-01 00:00:00", None),
            ("%F %T", london, "2026-06-01 12:00:00x", None),
            ("%F %T", london, "\u{662}026-06-01 12:00:0", None),
        ] {
            assert_eq!(read(format, zone, text).as_deref(), expected, "{format}: {text}");
        }
    }

    #[test]
    fn a_time_that_occurs_twice_is_the_first_and_one_that_does_not_exist_moves_on() {
        for (zone, text, expected) in [
            ("Europe/London", "2026-10-25 01:30:00", "2026-10-25T00:30:00Z"),
            ("Europe/London", "2026-03-29 01:30:00", "2026-03-29T01:30:00Z"), // 02:30 BST
            ("America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:30:00Z"),
            ("America/New_York", "2026-03-08 02:30:00", "2026-03-08T07:30:00Z"),
            (
                "Australia/Lord_Howe",
                "2026-04-05 01:45:00",
                "2026-04-04T14:45:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-04 02:15:00",
                "2026-10-03T15:45:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-04 02:30:00",
                "2026-10-03T15:30:00Z",
            ),
        ] {
            assert_eq!(
                read("%F %T", Some(zone), text).as_deref(),
                Some(expected),
                "{zone} {text}"
            );
        }
    }

    #[test]
    fn the_first_format_that_reads_the_text_wins() {
        let mut clock = clock(&["unix", "unix_ms", "%d.%m.%Y %R"], Some("UTC")).unwrap();
        assert_eq!(clock.read(b"1792890000"), Some(1_792_890_000_000));
        assert_eq!(clock.read(b"1792890000123"), Some(1_792_890_000_123));
        assert_eq!(clock.read(b"25.10.2026 01:00"), Some(1_792_890_000_000));
        assert_eq!(clock.read(b"25.10.2026"), None);
    }

    #[test]
    fn formats_that_cannot_work_are_refused_with_the_cure() {
        for (format, expected) in [
            ("iso", "\"iso\" is not a time format: write \"rfc3339\""),
            ("%Y-%m-%d", "the hour (%H, or %I with %p) is missing"),
            ("%m-%d %H:%M", "the year (%Y or %y) is missing"),
            ("%F %I:%M", "%I and %p go together"),
            ("%F %Y %T", "the year (%Y or %y) stands there twice"),
            ("%s %Y", "the year (%Y or %y) stands beside %s"),
            ("%F %T %Q", "%Q is not known here: use %Y"),
            ("%F %T%", "a % without a conversion"),
        ] {
            let error = TimeFormat::parse_format(format).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = clock(&["rfc3339", "%F %T"], None).unwrap_err();
        assert!(
            error.starts_with("the format \"%F %T\" has no offset: say where"),
            "{error}"
        );
        assert!(EventClock::new(&[], None).is_err());
    }

    /// Local times, half of them within three hours of a change of the zone.
    fn local_times(zone: &'static str) -> impl Strategy<Value = Vec<DateTime>> {
        let tz = TimeZone::get(zone).unwrap();
        let local = move |(second, near, away): (i64, bool, i64)| {
            let mut instant = Timestamp::from_second(second).unwrap();
            if let Some(change) = tz.following(instant).next().filter(|_| near) {
                instant = change.timestamp() + SignedDuration::from_secs(away);
            }
            // a wall clock's time, existing or not: near a change shifted as if the offset had not changed
            let offset = tz.to_offset(instant - SignedDuration::from_hours(4));
            offset.to_datetime(instant)
        };
        vec(
            (86_400i64..7_200_000_000, any::<bool>(), -10_800i64..10_800).prop_map(local),
            1..40,
        )
    }

    proptest! {
        #[test]
        fn local_times_are_those_jiff_finds(
            (zone, times) in proptest::strategy::Strategy::prop_flat_map(select(ZONES.to_vec()), |zone| {
                local_times(zone).prop_map(move |times| (zone, times))
            }),
            format in select(vec!["%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S", "%d %b %y, %I.%M.%S %p", "%a %e %B %Y %T"]),
        ) {
            let tz = TimeZone::get(zone).unwrap();
            let mut clock = clock(&[format], Some(zone)).unwrap();
            for time in times {
                if format.contains("%y") && time.year() > 2068 {
                    continue;
                }
                let expected = tz.to_timestamp(time).unwrap().as_millisecond();
                let text = time.strftime(format).to_string();
                prop_assert_eq!(clock.read(text.as_bytes()), Some(expected), "{}: {}", zone, text);
            }
        }

        #[test]
        fn rfc3339_times_are_those_jiff_reads(
            nanos in 0i64..7_289_654_400_000_000_000, zone in select(ZONES.to_vec()),
        ) {
            let instant = Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
            let mut clock = clock(&["rfc3339"], None).unwrap();
            let offset = TimeZone::get(zone).unwrap().to_offset(instant);
            for text in [instant.to_string(), instant.display_with_offset(offset.round(jiff::Unit::Minute).unwrap()).to_string()] {
                prop_assert_eq!(clock.read(text.as_bytes()), Some(instant.as_millisecond()), "{}", text);
            }
        }

        #[test]
        fn what_is_read_as_rfc3339_jiff_reads_alike(text in "[12][09][0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])") {
            let expected = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
            if let Some(found) = clock(&["rfc3339"], None).unwrap().read(text.as_bytes()) {
                prop_assert_eq!(Some(found), expected);
            }
        }
    }
}
