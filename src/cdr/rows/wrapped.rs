//! JSON records in a list of one object, as APIs page them: each element is a
//! record of its own, and what wraps them goes nowhere.

use std::ops::Range;

use crate::cdr::json::{Member, Scanner};
use crate::cdr::policy::Wrapper;
use crate::cdr::rows::Piece;
use crate::cdr::{Reason, Skip};

/// The elements of a list that are still to be handed out.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    /// Spans in the buffer, the last element first.
    left: Vec<Range<usize>>,
    /// Where to look behind the wrapper.
    behind: usize,
    scanner: Scanner,
    members: Vec<Member>,
}

impl Wrapped {
    pub(super) fn clear(&mut self) {
        self.left.clear();
    }

    /// The first `bytes` of the buffer are gone.
    pub(super) fn consumed(&mut self, bytes: usize) {
        for element in &mut self.left {
            *element = element.start - bytes..element.end - bytes;
        }
        self.behind = self.behind.saturating_sub(bytes);
    }

    /// The next element; `at` goes to where what is not handed out yet begins.
    pub(super) fn next(&mut self, buffer: &[u8], at: &mut usize) -> Option<Piece> {
        let element = self.left.pop()?;
        *at = self.left.last().map_or(self.behind, |next| next.start);
        Some(if buffer[element.start] == b'{' {
            Piece::Record(element)
        } else {
            Piece::Rejected(element, Reason::Format)
        })
    }

    /// The first element of a wrapper, which ends at `at`. An object without the list is a record itself.
    pub(super) fn open(
        &mut self,
        wrapper: &Wrapper,
        buffer: &[u8],
        object: Range<usize>,
        at: &mut usize,
    ) -> Piece {
        let text = &buffer[object.clone()];
        let Self { scanner, members, .. } = self;
        if scanner.scan(text, &wrapper.elements, members).is_err() {
            return Piece::Rejected(object, Reason::Format);
        }
        let elements = members.iter().rev().filter(|member| member.path.is_some());
        self.left.extend(elements.map(|element| {
            let value = element.value();
            object.start + value.start..object.start + value.end
        }));
        self.behind = *at;
        if let Some(piece) = self.next(buffer, at) {
            return piece;
        }
        let empty = |list: &Member| {
            let value = &text[list.value()];
            list.path.is_some() && value.first() == Some(&b'[')
        };
        let listed = self.scanner.scan(text, &wrapper.list, &mut self.members).is_ok();
        if listed && self.members.iter().any(empty) {
            Piece::Skipped(Skip::Marker)
        } else {
            Piece::Record(object)
        }
    }
}
