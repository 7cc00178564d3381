//! The calendar and the clock on the wall, without a zone.

/// A date and time of day on some clock on a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) millis: u32,
}

impl Civil {
    /// What a pattern need not say.
    pub(super) const START: Self = Self {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        millis: 0,
    };

    /// The same with every part in its range; a leap second is the second before it.
    pub(super) fn checked(mut self) -> Option<Self> {
        self.second -= u32::from(self.second == 60);
        let day =
            (1..=12).contains(&self.month) && (1..=month_length(self.year, self.month)).contains(&self.day);
        (day && self.hour < 24 && self.minute < 60 && self.second < 60).then_some(self)
    }

    /// Days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
    pub(super) fn days(&self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((i64::from(self.month) + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// Milliseconds since 1970-01-01 00:00 on the same clock.
    pub(super) fn millis_since_epoch(&self) -> i64 {
        let seconds = i64::from((self.hour * 60 + self.minute) * 60 + self.second);
        (self.days() * 86_400 + seconds) * 1_000 + i64::from(self.millis)
    }
}

fn month_length(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
