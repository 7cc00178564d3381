//! JSON records: where one ends, where its fields lie, and how to change some
//! of them so that every other byte stays as it came.
//!
//! RFC 8259 to the letter, because whatever two readers may read differently
//! is a way around the policy: the text is UTF-8, surrogates come in pairs, a
//! member name occurs once in its object (`"a"` and `"\u0061"` are one name),
//! and nothing is nested deeper than [`MAX_DEPTH`]. Bytes in, spans out.

mod paths;
mod scan;
mod spelling;
mod splice;
mod text;

use std::ops::Range;

use memchr::memchr2;
use thiserror::Error;

use crate::cdr::csv::End;

pub use self::paths::{PathError, PathId, Paths};
pub use self::scan::{Member, Place, Scanner};
pub use self::spelling::Spelling;
pub use self::splice::{Edit, Splicer};
pub use self::text::{Scalar, scalar, unescaped, write_string};

/// Objects and arrays within each other, the record itself included.
pub const MAX_DEPTH: usize = 64;

/// Why a record cannot be read. Offsets count from the record's start; no content is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte that does not fit.
        at: usize,
    },
    /// Not JSON, or not an object.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// The first byte that does not fit.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} at byte {at}")]
    TooDeep {
        /// The bracket that is one too many.
        at: usize,
    },
    /// A member name occurs twice in the object that ends at `at`.
    #[error("an object that ends at byte {at} has a member name twice")]
    DuplicateName {
        /// The object's closing brace.
        at: usize,
    },
    /// Over 4 GiB.
    #[error("the record is too long")]
    TooLong,
}

/// What stands at a place of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An object, not yet checked beyond its brackets and strings: [`Scanner::scan`] does that.
    Record {
        /// From its opening to its closing brace.
        record: Range<usize>,
        /// Where to look next.
        next: usize,
    },
    /// The end of the object is not in the buffer: call again from the same place with more bytes.
    Incomplete,
    /// Neither a record nor the end: everything from `at` on is unreadable.
    Malformed {
        /// Where the unreadable part begins.
        at: usize,
    },
    /// Nothing is left.
    Done,
}

/// Finds the records of one input: an object, several with or without white space between, or one
/// array of objects.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    framing: Framing,
    /// An object stands where the next step looks, whatever came before it.
    resumed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Framing {
    #[default]
    Start,
    /// At least one object, and no array around it.
    Sequence,
    /// Behind an object of the array.
    Array,
    /// Behind the array.
    Closed,
}

impl Documents {
    /// At the start of an input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on at an object, behind a part that was malformed.
    pub fn resume(&mut self) {
        self.resumed = true;
    }

    /// What stands at `at`: 0 at first, then the `next` of the step before.
    pub fn step(&mut self, buf: &[u8], at: usize, end: End) -> Step {
        let (at, framing) = match self.before_object(buf, at) {
            Ok(found) => found,
            Err(at) => return Step::Malformed { at },
        };
        match (buf.get(at), end) {
            (Some(b'{'), _) => {}
            (None, End::More) => return Step::Incomplete,
            (None, End::Final) if matches!(framing, Framing::Array) => return Step::Malformed { at },
            (None, End::Final) => return Step::Done,
            (Some(_), _) => return Step::Malformed { at },
        }
        let next = match (text::object_end(&buf[at..]), end) {
            (Ok(Some(length)), _) => at + length,
            (Ok(None), End::More) => return Step::Incomplete,
            (Ok(None), End::Final) | (Err(_), _) => return Step::Malformed { at },
        };
        let Some(goes_on) = goes_on(framing, &buf[next..], end) else {
            return Step::Incomplete;
        };
        self.framing = framing;
        if goes_on {
            return Step::Malformed { at };
        }
        self.resumed = false;
        Step::Record {
            record: at..next,
            next,
        }
    }

    /// Where the next object or the end must stand, past brackets and commas, and the framing there.
    fn before_object(&self, buf: &[u8], at: usize) -> Result<(usize, Framing), usize> {
        let at = text::skip_space(buf, at);
        if self.resumed {
            let array = matches!(self.framing, Framing::Array);
            return Ok((at, if array { Framing::Array } else { Framing::Sequence }));
        }
        match (self.framing, buf.get(at)) {
            (Framing::Start, Some(b'[')) => {
                let first = text::skip_space(buf, at + 1);
                match buf.get(first) {
                    Some(b']') => Self::behind_array(buf, first + 1),
                    _ => Ok((first, Framing::Array)),
                }
            }
            (Framing::Array, Some(b',')) => {
                let next = text::skip_space(buf, at + 1);
                if matches!(buf.get(next), None | Some(b'{')) {
                    Ok((next, Framing::Array))
                } else {
                    Err(next)
                }
            }
            (Framing::Array, Some(b']')) => Self::behind_array(buf, at + 1),
            (Framing::Array | Framing::Closed, Some(_)) => Err(at),
            (Framing::Array | Framing::Closed, None) => Ok((at, self.framing)),
            (Framing::Start | Framing::Sequence, _) => Ok((at, Framing::Sequence)),
        }
    }

    fn behind_array(buf: &[u8], at: usize) -> Result<(usize, Framing), usize> {
        let at = text::skip_space(buf, at);
        if at == buf.len() {
            Ok((at, Framing::Closed))
        } else {
            Err(at)
        }
    }
}

/// Whether what stands behind an object is its own rest: a stray brace ended it, and the identifiers that its first
/// half is searched for are in the second. That is a member's name, and anything on the same line but the next
/// object or the array's end. `None`: that takes more bytes.
fn goes_on(framing: Framing, behind: &[u8], end: End) -> Option<bool> {
    let mut at = text::skip_space(behind, 0);
    while behind.get(at) == Some(&b',') {
        at = text::skip_space(behind, at + 1);
    }
    match (behind.get(at), framing) {
        (None, _) => (end == End::Final).then_some(false),
        (Some(b'"'), _) => Some(true),
        (Some(b'{'), _) | (Some(b']'), Framing::Array) => Some(false),
        (Some(_), _) => Some(memchr2(b'\n', b'\r', &behind[..at]).is_none()),
    }
}

#[cfg(test)]
mod tests;
