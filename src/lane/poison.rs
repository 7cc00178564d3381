//! Finding the one record that a broker refuses, by bisection.
//!
//! A transaction that the broker refuses because of a record is tried again up
//! to its largest message, then with that one alone; if it was another, with
//! half as many messages, and when that half goes through, the culprit is in
//! the other one. One message refused alone is convicted and rejected. Only
//! errors that name a record count; an outage or a fenced producer never
//! convicts anyone.

use std::collections::BTreeMap;

use crate::kafka::TopicPartition;

/// How a convicted message is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sentence {
    /// Sealed whole.
    Whole,
    /// Even that was refused: the reject names the raw record and holds none of it.
    Named,
}

/// The search, and what it found.
#[derive(Default)]
pub(super) struct Poison {
    /// The next so many messages hold a culprit, as far as they come in the same order again.
    suspects: Option<usize>,
    /// So many of them come before the largest.
    before_largest: Option<usize>,
    convicted: BTreeMap<(TopicPartition, i64), Sentence>,
}

impl Poison {
    /// The most messages the next transaction may hold, while a search is on.
    pub(super) fn limit(&self) -> Option<usize> {
        let half = self.suspects? / 2;
        Some(self.before_largest.unwrap_or(half).max(1))
    }

    /// How this message is to be rejected unread, if it is.
    pub(super) fn convicted(&self, place: TopicPartition, offset: i64) -> Option<Sentence> {
        self.convicted.get(&(place, offset)).copied()
    }

    /// A transaction was refused because of a record in it.
    pub(super) fn refused(&mut self, refused: Refused) -> Verdict {
        let Refused {
            messages,
            largest_at,
            last,
        } = refused;
        self.suspects = Some(messages.max(1));
        self.before_largest = None;
        match last {
            Some(message) if messages <= 1 => {
                let sentence = match self.convicted.get(&message) {
                    None => Sentence::Whole,
                    Some(Sentence::Whole) => Sentence::Named,
                    Some(Sentence::Named) => return Verdict::Hopeless,
                };
                self.convicted.insert(message, sentence);
                Verdict::Convicted(sentence)
            }
            _ => {
                self.before_largest = Some(largest_at).filter(|at| *at < messages);
                Verdict::Searching
            }
        }
    }

    /// A transaction went through: the culprit comes later, or its rejection was taken.
    ///
    /// `expected`: whether a message is still to come.
    pub(super) fn committed(&mut self, messages: usize, expected: impl Fn(TopicPartition, i64) -> bool) {
        self.convicted
            .retain(|(place, offset), _| expected(*place, *offset));
        self.suspects = self
            .suspects
            .and_then(|suspects| suspects.checked_sub(messages))
            .filter(|left| *left > 0);
        // Nothing before it was at fault: now it alone, then halves.
        self.before_largest = match self.before_largest {
            Some(before) if before > 0 && messages == before => Some(0),
            _ => None,
        };
    }
}

/// A transaction that was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    /// How many messages it held.
    pub(super) messages: usize,
    /// Which of them, from 0, is the largest.
    pub(super) largest_at: usize,
    /// Its last message: of one message, the culprit.
    pub(super) last: Option<(TopicPartition, i64)>,
}

/// What a refused transaction led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Fewer messages next time.
    Searching,
    /// The message is rejected next time.
    Convicted(Sentence),
    /// It was rejected, and the rejection is refused too.
    Hopeless,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: TopicPartition = TopicPartition {
        topic: 0,
        partition: 0,
    };

    /// Plays a broker that refuses every transaction holding one of the bad offsets; which were rejected, and how
    /// often it refused. `largest` is the largest message, unless a transaction does not hold it.
    fn rejected_by_search(messages: i64, bad: &[i64], largest: i64) -> (Vec<i64>, usize) {
        let mut poison = Poison::default();
        let mut at = 0;
        let mut rejected = Vec::new();
        let (mut rounds, mut refusals) = (0, 0);
        while at < messages {
            rounds += 1;
            assert!(rounds < 1_000, "the search does not end");
            let size = poison
                .limit()
                .map_or(messages, |limit| limit as i64)
                .min(messages - at);
            let sent: Vec<i64> = (at..at + size).collect();
            let refused = sent
                .iter()
                .any(|offset| bad.contains(offset) && poison.convicted(PLACE, *offset).is_none());
            if refused {
                refusals += 1;
                poison.refused(Refused {
                    messages: sent.len(),
                    largest_at: sent.iter().position(|offset| *offset == largest).unwrap_or(0),
                    last: sent.last().map(|offset| (PLACE, *offset)),
                });
            } else {
                rejected.extend(
                    sent.iter()
                        .filter(|offset| poison.convicted(PLACE, **offset).is_some()),
                );
                at += size;
                poison.committed(sent.len(), |_, offset| offset >= at);
            }
        }
        (rejected, refusals)
    }

    #[test]
    fn only_the_bad_ones_are_rejected() {
        for bad in [
            vec![],
            vec![0],
            vec![999],
            vec![500],
            vec![3, 4],
            vec![0, 1, 2, 998],
            vec![7, 700],
        ] {
            for largest in [0, 3, 500, 999] {
                assert_eq!(rejected_by_search(1_000, &bad, largest).0, bad);
            }
        }
    }

    /// Each refusal costs a new producer: a minute was spent on one record among 5,000.
    #[test]
    fn the_largest_is_found_at_once_and_others_by_halving() {
        for bad in [0, 1, 499, 500, 777, 999] {
            let (_, refusals) = rejected_by_search(1_000, &[bad], bad);
            assert!(refusals <= 3, "{bad}: {refusals}");
            for largest in [0, 300, 999] {
                let (_, refusals) = rejected_by_search(1_000, &[bad], largest);
                assert!(refusals <= 21, "{bad}, largest {largest}: {refusals}");
            }
        }
    }

    #[test]
    fn a_conviction_outlives_the_commit_of_another_message() {
        let mut poison = Poison::default();
        let alone = |offset| Refused {
            messages: 1,
            largest_at: 0,
            last: Some((PLACE, offset)),
        };
        poison.refused(alone(9));
        poison.committed(1, |_, offset| offset == 9);
        assert_eq!(poison.convicted(PLACE, 9), Some(Sentence::Whole));
        poison.committed(1, |_, _| false);
        assert_eq!(poison.convicted(PLACE, 9), None);
    }

    #[test]
    fn a_rejection_that_is_refused_too_is_hopeless() {
        let mut poison = Poison::default();
        let refused = |messages, offset| Refused {
            messages,
            largest_at: 0,
            last: Some((PLACE, offset)),
        };
        assert_eq!(poison.refused(refused(4, 9)), Verdict::Searching);
        assert_eq!(poison.refused(refused(1, 6)), Verdict::Convicted(Sentence::Whole));
        assert_eq!(poison.refused(refused(1, 6)), Verdict::Convicted(Sentence::Named));
        assert_eq!(poison.refused(refused(1, 6)), Verdict::Hopeless);
    }
}
