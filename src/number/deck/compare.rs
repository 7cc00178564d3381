//! What a deck lacks that another one had.

use crate::number::deck::Deck;
use crate::number::deck::build::key;

/// Prefixes of a former deck that a new one lacks: counted, because some may be somebody's number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// All of them.
    pub prefixes: usize,
    /// Those of them whose numbers have no zone at all now: the deck has no shorter prefix either.
    pub unpriced: usize,
}

/// What became of a prefix in another deck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is there.
    Yes,
    /// A shorter one prices its numbers.
    Shorter,
    /// Nothing does.
    No,
}

impl Deck {
    /// What this deck lacks of a former one.
    pub fn lost(&self, former: &Self) -> Lost {
        let mut lost = Lost::default();
        for key in &former.keys {
            let kept = self.kept(self.longest(*key), key.len());
            lost.prefixes += usize::from(kept != Kept::Yes);
            lost.unpriced += usize::from(kept == Kept::No);
        }
        lost
    }

    /// Whether it has this prefix, spelt as in a deck's file.
    pub fn keeps(&self, prefix: &str) -> Kept {
        key(prefix).map_or(Kept::No, |key| self.kept(self.longest(key), key.len()))
    }

    fn kept(&self, longest: u32, length: usize) -> Kept {
        match self.keys.get(longest as usize) {
            Some(own) if own.len() == length => Kept::Yes,
            Some(_) => Kept::Shorter,
            None => Kept::No,
        }
    }
}
