//! The field paths of a policy (`a.b[].c`), compiled to a tree of names.
//!
//! No path leads into what another one takes whole, so every value has one action.

use std::fmt;

use super::text::{string_end, unescape};

/// A path's number: its place in the list that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u32);

impl PathId {
    /// The place in the list, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of field paths.
///
/// `name` is a member of the record, `a.b` a member of a member, `a[]` each element of an array. A
/// name with a dot, a bracket or a quote in it is written as a JSON string: `"a.b".c`.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The record itself first.
    nodes: Vec<Node>,
}

/// What is said about one place of the record.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The members that lead on.
    names: Vec<(Box<[u8]>, u32)>,
    /// What the elements are, should it be an array.
    each: Option<u32>,
    /// The path that takes whatever stands here.
    path: Option<PathId>,
}

/// A path that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// The path as it was written.
    pub path: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    EmptyName,
    Quote,
    Bracket,
    Separator,
    Twice,
    /// With the other path.
    Overlap(String),
    TooMany,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path `{}` ", self.path)?;
        match &self.fault {
            Fault::EmptyName => f.write_str("has an empty name: write a name between the dots, or \"\" for an empty one"),
            Fault::Quote => f.write_str("has a quoted name that is not a JSON string: write it as in \"a.b\".c"),
            Fault::Bracket => f.write_str("has a bracket that is not part of [] behind a name: [] means each element; quote a name with brackets"),
            Fault::Separator => f.write_str("has something other than a dot or [] behind a name: quote names with dots, brackets or quotes"),
            Fault::Twice => f.write_str("is there twice: leave one"),
            Fault::Overlap(other) => write!(f, "overlaps `{other}`: one takes the other's value whole, leave one of them"),
            Fault::TooMany => f.write_str("is one too many"),
        }
    }
}

impl std::error::Error for PathError {}

/// One step of a path.
enum Segment {
    Name(Box<[u8]>),
    Each,
}

impl Paths {
    /// Compiles the paths; their [`PathId`]s are their places in the list.
    ///
    /// # Errors
    ///
    /// The first path that is misspelt, is there twice, or overlaps another one.
    pub fn parse(texts: &[&str]) -> Result<Self, PathError> {
        let mut paths = Self {
            nodes: vec![Node::default()],
        };
        for (index, text) in texts.iter().enumerate() {
            let inserted = segments(text).and_then(|segments| paths.insert(texts, index, segments));
            inserted.map_err(|fault| PathError {
                path: (*text).to_owned(),
                fault,
            })?;
        }
        Ok(paths)
    }

    fn insert(&mut self, texts: &[&str], index: usize, segments: Vec<Segment>) -> Result<(), Fault> {
        let overlap = |id: PathId| Fault::Overlap(texts[id.index()].to_owned());
        let mut at = 0;
        for segment in segments {
            if let Some(id) = self.nodes[at].path {
                return Err(overlap(id));
            }
            let next = u32::try_from(self.nodes.len()).map_err(|_| Fault::TooMany)?;
            let node = &mut self.nodes[at];
            let found = match segment {
                Segment::Each => *node.each.get_or_insert(next),
                Segment::Name(name) => {
                    let known = node
                        .names
                        .iter()
                        .find(|(known, _)| *known == name)
                        .map(|(_, known)| *known);
                    known.unwrap_or_else(|| {
                        node.names.push((name, next));
                        next
                    })
                }
            };
            if found == next {
                self.nodes.push(Node::default());
            }
            at = found as usize;
        }
        if self.nodes[at].path.is_some() {
            return Err(Fault::Twice);
        }
        if let Some(id) = self.first_below(at) {
            return Err(overlap(id));
        }
        self.nodes[at].path = Some(PathId(u32::try_from(index).map_err(|_| Fault::TooMany)?));
        Ok(())
    }

    fn first_below(&self, at: usize) -> Option<PathId> {
        let node = &self.nodes[at];
        let mut children = node.names.iter().map(|(_, child)| *child).chain(node.each);
        node.path
            .or_else(|| children.find_map(|child| self.first_below(child as usize)))
    }

    /// A path with its names unquoted, however they were written; as it is, if it is no path.
    pub fn plain(text: &str) -> String {
        let Ok(segments) = segments(text) else {
            return text.to_owned();
        };
        let mut plain = String::new();
        for segment in &segments {
            match segment {
                Segment::Each => plain.push_str("[]"),
                Segment::Name(name) => {
                    if !plain.is_empty() {
                        plain.push('.');
                    }
                    plain.push_str(&String::from_utf8_lossy(name));
                }
            }
        }
        plain
    }

    pub(super) fn root(&self) -> &Node {
        &self.nodes[0]
    }

    /// The member of `node` by its unescaped name. `hint` is where to look first: records of one
    /// source name their members in one order.
    pub(super) fn member(&self, node: &Node, name: &[u8], hint: &mut usize) -> Option<&Node> {
        let same = |(known, _): &&(Box<[u8]>, u32)| **known == *name;
        let found = match node.names.get(*hint).filter(same) {
            Some(_) => *hint,
            None => node.names.iter().position(|entry| same(&entry))?,
        };
        *hint = found + 1;
        Some(&self.nodes[node.names[found].1 as usize])
    }

    pub(super) fn element(&self, node: &Node) -> Option<&Node> {
        node.each.map(|each| &self.nodes[each as usize])
    }
}

impl Node {
    pub(super) fn path(&self) -> Option<PathId> {
        self.path
    }

    pub(super) fn has_members(&self) -> bool {
        !self.names.is_empty()
    }

    pub(super) fn has_elements(&self) -> bool {
        self.each.is_some()
    }
}

fn segments(text: &str) -> Result<Vec<Segment>, Fault> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let end = name_end(bytes, at)?;
        let name = match bytes[at..end] {
            [b'"', ref body @ .., b'"'] => unescape(body, &mut Vec::new()).into(),
            ref name => name.into(),
        };
        found.push(Segment::Name(name));
        at = end;
        while bytes[at..].starts_with(b"[]") {
            found.push(Segment::Each);
            at += 2;
        }
        match bytes.get(at) {
            None => return Ok(found),
            Some(b'.') => at += 1,
            Some(b'[' | b']') => return Err(Fault::Bracket),
            Some(_) => return Err(Fault::Separator),
        }
    }
}

fn name_end(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    if bytes.get(at) == Some(&b'"') {
        return string_end(bytes, at).map_err(|_| Fault::Quote);
    }
    let special = |byte: &u8| matches!(byte, b'.' | b'[' | b']' | b'"');
    let length = bytes[at..].iter().position(special).unwrap_or(bytes.len() - at);
    match (length, bytes.get(at)) {
        (0, Some(b'[' | b']')) => Err(Fault::Bracket),
        (0, _) => Err(Fault::EmptyName),
        _ => Ok(at + length),
    }
}
