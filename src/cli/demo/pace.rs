//! The live rate: over the last seconds, because the daemon writes in batches.

use std::collections::VecDeque;
use std::time::Duration;

/// At-least-once writes about once a second: over less, a steady stream looks like one that stumbles.
const WINDOW: Duration = Duration::from_secs(5);
/// Over less than this nothing is said.
const LEAST: Duration = Duration::from_secs(2);

/// Counts at moments of the last seconds.
#[derive(Default)]
pub(super) struct Pace(VecDeque<(Duration, [u64; 4])>);

impl Pace {
    /// Takes the counts of a moment; records per second since the window began, once there is one.
    pub(super) fn rates(&mut self, at: Duration, counts: [u64; 4]) -> Option<[u64; 4]> {
        self.0.push_back((at, counts));
        while self.0.len() > 2
            && self
                .0
                .get(1)
                .is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW)
        {
            self.0.pop_front();
        }
        let (first, before) = *self.0.front()?;
        let seen = at.saturating_sub(first);
        let rate =
            |index: usize| ((counts[index] - before[index]) as f64 / seen.as_secs_f64()).round() as u64;
        (seen >= LEAST).then(|| std::array::from_fn(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_written_in_batches_looks_steady() {
        let mut pace = Pace::default();
        let mut shown = Vec::new();
        for (second, public) in [1_000, 2_477, 2_970, 4_433, 5_000, 6_000, 7_400, 8_000]
            .into_iter()
            .enumerate()
        {
            let at = Duration::from_secs(second as u64);
            shown.extend(pace.rates(at, [second as u64 * 1_000, public, 0, 0]));
        }
        assert_eq!(shown.len(), 6, "the first have too little before them");
        for rates in &shown[3..] {
            assert_eq!(rates[0], 1_000);
            assert!((900..1_100).contains(&rates[1]), "{shown:?}");
        }
    }
}
