//! The shape of a JSON sample: where its records stand, and the paths of their values.

use std::ops::Range;

use crate::cdr::json::{self, Documents, Member, Paths, Scalar, Scanner, Step};
use crate::cdr::learn::names::{self, Says};
use crate::cdr::learn::times::Spelling;
use crate::cdr::learn::{LearnError, Sample};

/// Objects that the shape is taken from.
const OBJECTS: usize = 2_000;
/// Deeper values are restricted with what holds them.
const DEPTH: usize = 8;
/// An object with more members, each in few records, is a table: its names are values.
const MEMBERS: usize = 64;
/// Of fewer objects, nothing is rare.
const FEW_OF: u32 = 20;

/// The paths of a sample's records.
#[derive(Debug)]
pub(super) struct Tree {
    /// The list that wraps the records: `value[]`.
    pub(super) records: Option<String>,
    /// Every value's path, in the order of their first coming.
    pub(super) paths: Vec<String>,
    /// The largest object around records, in bytes.
    pub(super) largest: usize,
}

/// A place in the records.
#[derive(Debug, Default)]
struct Node {
    /// Objects, lists and plain values that stood there.
    objects: u32,
    lists: u32,
    scalars: u32,
    /// Plain values that read as a time.
    times: u32,
    members: Vec<(String, Node)>,
    element: Option<Box<Node>>,
    /// Members with names that may not be shown.
    unnamed: u32,
}

/// Whether this is JSON at all.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start();
    let inside = bytes.strip_prefix(b"[").map_or(bytes, <[u8]>::trim_ascii_start);
    inside.starts_with(b"{")
}

/// Where the records and their values are.
///
/// # Errors
///
/// Not one object that can be read.
pub(super) fn tree(sample: &Sample<'_>) -> Result<Tree, LearnError> {
    let (objects, stopped) = objects(sample);
    let mut reader = Reader::new();
    let mut root = Node::default();
    for object in &objects {
        reader.read(&sample.bytes[object.clone()], &mut root, 0);
    }
    if root.objects == 0 {
        let before = &sample.bytes[..stopped.min(sample.bytes.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        return Err(LearnError::new(
            line,
            "no JSON object ends within what is read (64 MiB), or it is not JSON (RFC 8259, UTF-8, no name twice in an object): give whole records",
        ));
    }
    let list = wrapper(&root);
    let records = list.as_ref().map(|(path, _)| path.clone());
    let node = list.map_or(&root, |(_, node)| node);
    let mut paths = Vec::new();
    node.leaves("", &mut paths);
    Ok(Tree {
        records,
        paths,
        largest: objects.iter().map(Range::len).max().unwrap_or(0),
    })
}

/// The objects of the sample, and where reading stopped.
fn objects(sample: &Sample<'_>) -> (Vec<Range<usize>>, usize) {
    let mut documents = Documents::new();
    let (mut found, mut at) = (Vec::new(), 0);
    while found.len() < OBJECTS {
        match documents.step(sample.bytes, at, sample.end) {
            Step::Record { record, next } => {
                found.push(record);
                at = next;
            }
            Step::Malformed { at: fault } => return (found, fault),
            Step::Incomplete | Step::Done => break,
        }
    }
    (found, at)
}

/// The list whose elements are the records: they have a time and a party, and what is around them has not both.
fn wrapper(root: &Node) -> Option<(String, &Node)> {
    if root.has_a_time() && root.has_a_party() {
        return None;
    }
    let mut lists = Vec::new();
    root.lists("", &mut lists);
    let is_record = |(_, node): &&(String, &Node)| node.deep(Node::is_time) && node.deep_party();
    lists.iter().find(is_record).cloned()
}

impl Node {
    fn is_time(&self) -> bool {
        self.times > 0 && self.times * 2 >= self.scalars
    }

    /// Whether a time stands here or below, outside of lists.
    fn has_a_time(&self) -> bool {
        self.is_time() || self.members.iter().any(|(_, node)| node.has_a_time())
    }

    fn has_a_party(&self) -> bool {
        self.members.iter().any(|(name, node)| {
            let party = matches!(names::says(name), Says::Caller | Says::Called | Says::Number);
            (party && node.scalars > 0) || node.has_a_party()
        })
    }

    /// The same, lists included.
    fn deep(&self, holds: fn(&Self) -> bool) -> bool {
        holds(self)
            || self.members.iter().any(|(_, node)| node.deep(holds))
            || self.element.as_ref().is_some_and(|node| node.deep(holds))
    }

    fn deep_party(&self) -> bool {
        self.has_a_party()
            || self.members.iter().any(|(_, node)| node.deep_party())
            || self.element.as_ref().is_some_and(|node| node.deep_party())
    }

    /// Lists of objects outside of other lists.
    fn lists<'a>(&'a self, path: &str, found: &mut Vec<(String, &'a Self)>) {
        for (name, node) in &self.members {
            let path = joined(path, name);
            match &node.element {
                Some(element) if element.objects > 0 => found.push((format!("{path}[]"), element)),
                _ => node.lists(&path, found),
            }
        }
    }

    /// Paths of values. What cannot be spelt out without showing a value is one path, whole.
    fn leaves(&self, path: &str, paths: &mut Vec<String>) {
        let rare = self
            .members
            .iter()
            .filter(|(_, node)| node.seen() * 5 < self.objects)
            .count();
        let is_table = self.unnamed > 0 || (self.members.len() > MEMBERS && rare * 2 > self.members.len());
        if self.objects > 0 && !self.members.is_empty() && (path.is_empty() || !is_table) {
            let shown = |(name, node): &&(String, Self)| {
                // Few records have it, and it is two words: it may be somebody's name.
                !(name.contains(' ') && self.objects >= FEW_OF && node.seen() * 20 < self.objects)
            };
            for (name, node) in self.members.iter().filter(shown) {
                node.leaves(&joined(path, name), paths);
            }
        } else if let Some(element) = self.element.as_ref().filter(|node| node.seen() > 0) {
            element.leaves(&format!("{path}[]"), paths);
        } else if !path.is_empty() {
            paths.push(path.to_owned());
        }
    }

    fn seen(&self) -> u32 {
        self.objects + self.lists + self.scalars
    }
}

/// A path with one more name, quoted where it must be.
fn joined(path: &str, name: &str) -> String {
    let name = if name.is_empty() || name.contains(['.', '[', ']', '"']) {
        let mut quoted = Vec::new();
        json::write_string(&mut quoted, name.as_bytes());
        String::from_utf8_lossy(&quoted).into_owned()
    } else {
        name.to_owned()
    };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

struct Reader {
    scanner: Scanner,
    none: Paths,
    spellings: Vec<Spelling>,
}

impl Reader {
    fn new() -> Self {
        Self {
            scanner: Scanner::new(),
            none: Paths::parse(&[]).expect("no path overlaps no other"),
            spellings: Spelling::whole(),
        }
    }

    /// Takes one object apart.
    fn read(&mut self, object: &[u8], node: &mut Node, depth: usize) {
        let mut members: Vec<Member> = Vec::new();
        if self.scanner.scan(object, &self.none, &mut members).is_err() {
            return;
        }
        node.objects += 1;
        let mut scratch = Vec::new();
        for member in &members {
            let Scalar::Text(name) = json::scalar(&object[member.name()], &mut scratch) else {
                continue;
            };
            let name = String::from_utf8_lossy(name).into_owned();
            if !names::is_name(name.strip_prefix('@').unwrap_or(&name)) {
                node.unnamed += 1;
                continue;
            }
            let at = node.members.iter().position(|(known, _)| *known == name);
            let at = at.unwrap_or_else(|| {
                node.members.push((name, Node::default()));
                node.members.len() - 1
            });
            self.value(&object[member.value()], &mut node.members[at].1, depth + 1);
        }
    }

    fn value(&mut self, token: &[u8], node: &mut Node, depth: usize) {
        match token.first() {
            Some(b'{') if depth < DEPTH => self.read(token, node, depth),
            Some(b'[') => {
                node.lists += 1;
                let inside = token[1..token.len() - 1].trim_ascii();
                if inside.is_empty() || depth >= DEPTH {
                    return;
                }
                let element = node.element.get_or_insert_with(Box::default);
                if inside[0] != b'{' {
                    // Plain values, or lists in lists: one action for all of them.
                    element.scalars += 1;
                    return;
                }
                let mut documents = Documents::new();
                let mut at = 0;
                while let Step::Record { record, next } =
                    documents.step(token, at, crate::cdr::csv::End::Final)
                {
                    self.read(&token[record], element, depth + 1);
                    at = next;
                }
            }
            _ => {
                node.scalars += 1;
                let mut scratch = Vec::new();
                let text = match json::scalar(token, &mut scratch) {
                    Scalar::Text(text) | Scalar::Number(text) => text,
                    Scalar::Bool | Scalar::Null | Scalar::Container => return,
                };
                let is_time = self.spellings.iter_mut().any(|spelling| {
                    let mut reads = crate::cdr::learn::times::Reads::default();
                    spelling.count(text, &mut reads);
                    reads.as_written + reads.swapped > 0
                });
                node.times += u32::from(is_time && text.len() <= 48);
            }
        }
    }
}
