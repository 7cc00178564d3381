//! One pass over a record: is it JSON, and where are its fields?

use std::borrow::Cow;
use std::ops::Range;

use super::paths::{Node, PathId, Paths};
use super::text::{Escapes, number_end, skip_space, string, string_end, unescape};
use super::{JsonError, MAX_DEPTH};

/// Above so many members their names are compared by sorting them.
const FEW: usize = 48;

/// A value that one path names, or none: the leaves of the policy's view of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The path that names it; `None`: unlisted.
    pub path: Option<PathId>,
    /// What holds the value.
    pub place: Place,
    pub(super) name: (u32, u32),
    pub(super) value: (u32, u32),
    /// The opening brace of the object it is a member of, and how many members stand before it there.
    pub(super) object: u32,
    pub(super) ordinal: u32,
    /// From behind the brace or comma before it to the comma or brace behind it.
    pub(super) before: u32,
    pub(super) after: u32,
}

/// What holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is a member of an object and can be removed.
    Member,
    /// It is an element of an array: its neighbours' positions may mean something, so it stays, as null.
    Element,
}

impl Member {
    /// The name's token, quotes included; an element's is that of the member whose array it is in.
    pub fn name(&self) -> Range<usize> {
        self.name.0 as usize..self.name.1 as usize
    }

    /// The value's token.
    pub fn value(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }
}

/// Reads records; keeps its memory from one to the next.
#[derive(Debug, Clone, Default)]
pub struct Scanner {
    /// Of the objects that are being read, innermost last.
    names: Vec<Name>,
    scratch: Vec<u8>,
}

/// A member name of an object that is being read.
#[derive(Debug, Clone, Copy)]
struct Name {
    /// Equal for equal names.
    mark: u64,
    token: (u32, u32),
}

impl Scanner {
    /// A scanner without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks `record` and lists the values that `paths` take, and those no path names, in order.
    ///
    /// A path takes its value whole, whatever it is. What leads to no path is one unlisted member,
    /// whole as well; so is a scalar where a path leads on. Objects and arrays on the way to a path are
    /// no members themselves, even if empty.
    ///
    /// # Errors
    ///
    /// [`JsonError`]; `members` says nothing then.
    pub fn scan(&mut self, record: &[u8], paths: &Paths, members: &mut Vec<Member>) -> Result<(), JsonError> {
        members.clear();
        self.names.clear();
        u32::try_from(record.len()).map_err(|_| JsonError::TooLong)?;
        if let Err(fault) = std::str::from_utf8(record) {
            return Err(JsonError::NotUtf8 {
                at: fault.valid_up_to(),
            });
        }
        let mut walk = Walk {
            record,
            paths,
            members,
            names: &mut self.names,
            scratch: &mut self.scratch,
            at: 0,
            depth: 0,
        };
        if record.first() != Some(&b'{') {
            return Err(JsonError::Syntax { at: 0 });
        }
        walk.object(Goal::Inside(paths.root()))?;
        if walk.at == record.len() {
            Ok(())
        } else {
            Err(JsonError::Syntax { at: walk.at })
        }
    }
}

/// What to do with a value.
#[derive(Clone, Copy)]
enum Goal<'a> {
    /// Check it: it belongs to a value that is taken whole.
    Check,
    /// Take it whole.
    Take(Option<PathId>),
    /// Look inside.
    Inside(&'a Node),
}

struct Walk<'a> {
    record: &'a [u8],
    paths: &'a Paths,
    members: &'a mut Vec<Member>,
    names: &'a mut Vec<Name>,
    scratch: &'a mut Vec<u8>,
    at: usize,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn object(&mut self, goal: Goal<'a>) -> Result<(), JsonError> {
        let (object, first_name) = (self.at as u32, self.names.len());
        self.enter()?;
        let mut member = Member {
            path: None,
            place: Place::Member,
            name: (0, 0),
            value: (0, 0),
            object,
            ordinal: 0,
            before: self.at as u32,
            after: 0,
        };
        let (mut hint, mut seen) = (0, Seen::default());
        if self.peek_token() != Some(b'}') {
            loop {
                let child = self.name(goal, &mut member, &mut hint)?;
                seen.add(&self.names[first_name..]);
                self.value(child, &member)?;
                if !self.comma(b'}')? {
                    break;
                }
                member.ordinal += 1;
                member.before = self.at as u32;
            }
        }
        let unique = !seen.perhaps_twice(self.names.len() - first_name)
            || unique(&self.names[first_name..], self.record);
        self.names.truncate(first_name);
        if !unique {
            return Err(JsonError::DuplicateName { at: self.at });
        }
        self.leave();
        Ok(())
    }

    /// Reads a member's name and colon, and finds what to do with its value.
    fn name(&mut self, goal: Goal<'a>, member: &mut Member, hint: &mut usize) -> Result<Goal<'a>, JsonError> {
        if self.peek_token() != Some(b'"') {
            return Err(self.fault());
        }
        let (token, escapes) = self.string()?;
        member.name = token;
        let name = match escapes {
            Escapes::Absent => body(self.record, token),
            Escapes::Present => unescape(body(self.record, token), self.scratch),
        };
        self.names.push(Name {
            mark: mark(name),
            token,
        });
        let child = match goal {
            Goal::Inside(node) => match self.paths.member(node, name, hint) {
                Some(node) => node
                    .path()
                    .map_or(Goal::Inside(node), |path| Goal::Take(Some(path))),
                None => Goal::Take(None),
            },
            Goal::Check | Goal::Take(_) => Goal::Check,
        };
        if self.peek_token() != Some(b':') {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(child)
    }

    fn array(&mut self, goal: Goal<'a>, member: &Member) -> Result<(), JsonError> {
        let child = match goal {
            Goal::Inside(node) => match self.paths.element(node) {
                Some(node) => node
                    .path()
                    .map_or(Goal::Inside(node), |path| Goal::Take(Some(path))),
                None => Goal::Take(None),
            },
            Goal::Check | Goal::Take(_) => Goal::Check,
        };
        let element = Member {
            place: Place::Element,
            ..*member
        };
        self.enter()?;
        if self.peek_token() != Some(b']') {
            loop {
                self.value(child, &element)?;
                if !self.comma(b']')? {
                    break;
                }
            }
        }
        self.leave();
        Ok(())
    }

    /// Reads a value and the space behind it; lists it if it is to be taken.
    fn value(&mut self, goal: Goal<'a>, member: &Member) -> Result<(), JsonError> {
        let opening = self.peek_token();
        let start = self.at as u32;
        let goal = match (goal, opening) {
            (Goal::Inside(node), Some(b'{')) if node.has_members() => goal,
            (Goal::Inside(node), Some(b'[')) if node.has_elements() => goal,
            (Goal::Inside(_), _) => Goal::Take(None),
            (Goal::Check | Goal::Take(_), _) => goal,
        };
        match opening {
            Some(b'"') => {
                self.at = string_end(self.record, self.at).map_err(|at| JsonError::Syntax { at })?;
            }
            Some(b'{') => self.object(goal)?,
            Some(b'[') => self.array(goal, member)?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => self.at = number_end(self.record, self.at).map_err(|at| JsonError::Syntax { at })?,
        }
        if let Goal::Take(path) = goal {
            let value = (start, self.at as u32);
            self.at = skip_space(self.record, self.at);
            self.members.push(Member {
                path,
                value,
                after: self.at as u32,
                ..*member
            });
        }
        Ok(())
    }

    /// Past a comma (true), or at the closing bracket (false).
    fn comma(&mut self, closing: u8) -> Result<bool, JsonError> {
        match self.peek_token() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == closing => Ok(false),
            _ => Err(self.fault()),
        }
    }

    fn enter(&mut self) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    #[inline]
    fn peek_token(&mut self) -> Option<u8> {
        self.at = skip_space(self.record, self.at);
        self.record.get(self.at).copied()
    }

    fn string(&mut self) -> Result<((u32, u32), Escapes), JsonError> {
        let start = self.at as u32;
        let (end, escapes) = string(self.record, self.at).map_err(|at| JsonError::Syntax { at })?;
        self.at = end;
        Ok(((start, end as u32), escapes))
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), JsonError> {
        if !self.record[self.at..].starts_with(literal) {
            return Err(self.fault());
        }
        self.at += literal.len();
        Ok(())
    }

    fn fault(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }
}

/// Between the quotes of a name's or string's token.
fn body(record: &[u8], token: (u32, u32)) -> &[u8] {
    &record[token.0 as usize + 1..token.1 as usize - 1]
}

/// The marks of an object's names, thrown into 256 bins: most names are alone in theirs, and then
/// nothing has to be compared.
#[derive(Default)]
struct Seen {
    bins: [u64; 4],
    equal_marks: bool,
}

impl Seen {
    /// Adds the last of an object's names.
    fn add(&mut self, names: &[Name]) {
        let Some((name, others)) = names.split_last() else {
            return;
        };
        let bin = name.mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let (word, bit) = (&mut self.bins[(bin >> 6) as usize], 1 << (bin & 63));
        if *word & bit != 0 && others.len() < FEW {
            self.equal_marks |= others.iter().any(|other| other.mark == name.mark);
        }
        *word |= bit;
    }

    fn perhaps_twice(&self, names: usize) -> bool {
        self.equal_marks || names > FEW
    }
}

/// Made of the length and the bytes at both ends: tells most names apart, equal for equal ones.
fn mark(name: &[u8]) -> u64 {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u32::from_le_bytes(*first).into(),
                u32::from_le_bytes(*last).into(),
            ),
            _ => (name.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0),
        },
    };
    (first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ last).wrapping_add(name.len() as u64)
}

/// Whether all names differ once unescaped. Names come from outside: however many there are and
/// however alike, the time stays within sorting them.
fn unique(names: &[Name], record: &[u8]) -> bool {
    if names.len() > FEW {
        let mut decoded: Vec<_> = names.iter().map(|name| decode(name, record)).collect();
        decoded.sort_unstable();
        return decoded.windows(2).all(|pair| pair[0] != pair[1]);
    }
    names.iter().enumerate().all(|(at, name)| {
        let twin = |other: &&Name| other.mark == name.mark;
        names[..at]
            .iter()
            .filter(twin)
            .all(|other| decode(other, record) != decode(name, record))
    })
}

fn decode<'a>(name: &Name, record: &'a [u8]) -> Cow<'a, [u8]> {
    let body = body(record, name.token);
    match memchr::memchr(b'\\', body) {
        None => Cow::Borrowed(body),
        Some(_) => Cow::Owned(unescape(body, &mut Vec::new()).to_vec()),
    }
}
