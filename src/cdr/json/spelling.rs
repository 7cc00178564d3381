//! Where a member stands, spelt as a policy spells paths: for members that no path names.

use std::borrow::Cow;
use std::ops::Range;

use crate::cdr::json::Member;
use crate::cdr::json::text::{skip_space, string_end};

/// Spells the paths of one record's members, in the order in which they stand: what lies between one and the next is
/// walked over once.
#[derive(Debug, Default)]
pub struct Spelling {
    path: String,
    open: Vec<Container>,
}

/// An object or a list around the last member.
#[derive(Debug)]
struct Container {
    /// Where it begins.
    start: usize,
    /// Where its child begins that holds the last member.
    at: usize,
    /// The length of its own path.
    path: usize,
}

impl Spelling {
    /// Starts again, on a new record.
    pub fn restart(&mut self) {
        self.open.clear();
    }

    /// The path of a member, which stands behind those asked for before.
    ///
    /// Names are content, too: this is for what is sealed, never for a message.
    pub fn of(&mut self, record: &[u8], member: &Member) -> &str {
        let target = member.value().start;
        if self.open.is_empty() {
            self.path.clear();
            self.enter(record, 0);
        }
        while let Some(container) = self.open.last_mut() {
            self.path.truncate(container.path);
            let Some((name, value)) = child_around(record, container, target) else {
                self.open.pop();
                continue;
            };
            if record[container.start] == b'[' {
                self.path.push_str("[]");
            } else {
                if !self.path.is_empty() {
                    self.path.push('.');
                }
                self.path.push_str(&spell_name(&record[name]));
            }
            if value == target {
                break;
            }
            self.enter(record, value);
        }
        &self.path
    }

    fn enter(&mut self, record: &[u8], start: usize) {
        self.open.push(Container {
            start,
            at: skip_space(record, start + 1),
            path: self.path.len(),
        });
    }
}

/// The child of the container, from the last one on, that holds `target`: its name and where its value begins.
fn child_around(record: &[u8], container: &mut Container, target: usize) -> Option<(Range<usize>, usize)> {
    loop {
        let name = container.at;
        let (mut name_end, mut value) = (name, name);
        if record[container.start] == b'{' {
            name_end = string_end(record, name).ok()?;
            value = skip_space(record, skip_space(record, name_end) + 1);
        }
        let end = value_end(record, value)?;
        if target < end {
            return (value <= target).then_some((name..name_end, value));
        }
        let behind = skip_space(record, end);
        if record.get(behind) != Some(&b',') {
            return None;
        }
        container.at = skip_space(record, behind + 1);
    }
}

fn value_end(record: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match record.get(at)? {
            b'"' => at = string_end(record, at).ok()? - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(record[at - 1], b'"' | b'}' | b']') {
            return Some(at);
        }
    }
}

fn spell_name(token: &[u8]) -> Cow<'_, str> {
    let name = String::from_utf8_lossy(&token[1..token.len() - 1]);
    let special = name.is_empty() || name.contains(['.', '[', ']', '"', '\\']);
    if special {
        String::from_utf8_lossy(token)
    } else {
        name
    }
}
