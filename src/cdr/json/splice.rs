//! A scanned record with some values changed: every byte outside the changes is copied as it is.

use std::ops::Range;

use super::scan::{Member, Place};
use super::text::write_string;

/// A change to a scanned record. New bytes lie in an arena beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The value becomes the JSON text at this range of the arena.
    Replace(Member, Range<usize>),
    /// The member, its name too, becomes the members at this range of the arena.
    Instead(Member, Range<usize>),
    /// The member goes, with one comma beside it; an element becomes null.
    Remove(Member),
    /// A last member of the record: its name unescaped and its value as JSON text, both in the arena.
    Append {
        /// The name.
        name: Range<usize>,
        /// The value.
        value: Range<usize>,
    },
}

/// Writes changed records; keeps its memory from one to the next.
#[derive(Debug, Clone, Default)]
pub struct Splicer {
    /// Objects on the way to the last edit that lost members: their opening brace, and how many.
    removed: Vec<(u32, u32)>,
}

impl Splicer {
    /// A splicer without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `record` with `edits` to `out`. The edits' members are those of a scan of this record, in
    /// its order, and every append stands behind them. Whoever appends sees to it that no name comes twice.
    pub fn splice(&mut self, record: &[u8], edits: &[Edit], arena: &[u8], out: &mut Vec<u8>) {
        self.removed.clear();
        let mut at = 0;
        // behind the last member, before the space and the brace that close the record
        let last = record[..record.len().saturating_sub(1)].trim_ascii_end().len();
        for edit in edits {
            match edit {
                Edit::Replace(member, with) => {
                    out.extend_from_slice(&record[at..member.value().start]);
                    out.extend_from_slice(&arena[with.clone()]);
                    at = member.value().end;
                }
                Edit::Instead(member, with) => {
                    out.extend_from_slice(&record[at..member.name().start]);
                    out.extend_from_slice(&arena[with.clone()]);
                    at = member.value().end;
                }
                Edit::Remove(member) => match member.place {
                    Place::Element => {
                        out.extend_from_slice(&record[at..member.value().start]);
                        out.extend_from_slice(b"null");
                        at = member.value().end;
                    }
                    Place::Member => {
                        let cut = self.cut(record, member);
                        out.extend_from_slice(&record[at..cut.start]);
                        at = cut.end;
                    }
                },
                Edit::Append { name, value } => {
                    if at < last {
                        out.extend_from_slice(&record[at..last]);
                        at = last;
                    }
                    // no value ends in an opening brace: this one is the record's own
                    if out.trim_ascii_end().last() != Some(&b'{') {
                        out.push(b',');
                    }
                    write_string(out, &arena[name.clone()]);
                    out.push(b':');
                    out.extend_from_slice(&arena[value.clone()]);
                }
            }
        }
        out.extend_from_slice(&record[at..]);
    }

    /// The bytes that go with a member: the comma before it, or, when no member before it is left, the
    /// one behind it.
    fn cut(&mut self, record: &[u8], member: &Member) -> Range<usize> {
        let (before, after) = (member.before as usize, member.after as usize);
        if self.count(member.object) < member.ordinal {
            before - 1..member.value().end
        } else if record.get(after) == Some(&b',') {
            before..after + 1
        } else {
            member.name().start..member.value().end
        }
    }

    /// How many members the object has lost before this one, which is counted.
    fn count(&mut self, object: u32) -> u32 {
        while self.removed.last().is_some_and(|&(inner, _)| inner > object) {
            self.removed.pop();
        }
        match self.removed.last_mut() {
            Some((known, count)) if *known == object => {
                *count += 1;
                *count - 1
            }
            _ => {
                self.removed.push((object, 1));
                0
            }
        }
    }
}
