//! Records per second over the last ten whole seconds.
//!
//! A ring of one slot per second, written by commits and read on demand: no
//! ticking task, and an idle daemon falls back to zero by itself.

use super::status::{Rate, Totals};

/// Whole seconds over which the rate is taken.
const WINDOW: u64 = 10;

/// The window, the running second, and one to spare.
const SLOTS: u64 = WINDOW + 2;

/// Sums of the last seconds; seconds are counted from the start of the daemon.
#[derive(Debug, Default)]
pub(super) struct Recent([Slot; SLOTS as usize]);

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    totals: Totals,
}

impl Recent {
    pub(super) fn add(&mut self, second: u64, added: Totals) {
        let slot = &mut self.0[(second % SLOTS) as usize];
        if slot.second != second {
            *slot = Slot {
                second,
                totals: Totals::default(),
            };
        }
        slot.totals.read += added.read;
        slot.totals.public += added.public;
        slot.totals.rejected += added.rejected;
    }

    pub(super) fn rate(&self, current: u64) -> Rate {
        let window = current.clamp(1, WINDOW);
        let mut sum = Totals::default();
        // Whole seconds only: the running one would pull the rate down.
        for slot in &self.0 {
            if slot.second < current && slot.second + window >= current {
                sum.read += slot.totals.read;
                sum.public += slot.totals.public;
                sum.rejected += slot.totals.rejected;
            }
        }
        let per_second = |records: u64| records as f64 / window as f64;
        Rate {
            window_seconds: window,
            in_per_second: per_second(sum.read),
            public_per_second: per_second(sum.public),
            rejected_per_second: per_second(sum.rejected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_over_ten_whole_seconds_and_falls_back_to_zero() {
        let mut recent = Recent::default();
        let added = Totals {
            read: 100,
            public: 90,
            rejected: 10,
            ..Totals::default()
        };
        for second in 0..20 {
            recent.add(second, added);
            recent.add(second, added);
        }
        for (second, window, read, public) in [
            (20, 10, "200.0", "180.0"),
            (25, 10, "100.0", "90.0"),
            (29, 10, "20.0", "18.0"),
            (30, 10, "0.0", "0.0"),
            (60, 10, "0.0", "0.0"),
        ] {
            let rate = recent.rate(second);
            assert_eq!(rate.window_seconds, window, "{second}");
            assert_eq!(format!("{:.1}", rate.in_per_second), read, "{second}");
            assert_eq!(format!("{:.1}", rate.public_per_second), public, "{second}");
        }
    }

    #[test]
    fn a_young_daemon_has_a_short_window() {
        let mut recent = Recent::default();
        recent.add(
            0,
            Totals {
                read: 30,
                ..Totals::default()
            },
        );
        assert_eq!(recent.rate(0).window_seconds, 1);
        assert_eq!(format!("{:.1}", recent.rate(3).in_per_second), "10.0");
    }
}
